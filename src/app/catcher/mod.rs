//! The built-in mail catcher: an SMTP server that delivers nothing, and a web
//! page that shows what it caught.
//!
//! `kakitome demo`, tenants in test mode and our own tests send here. It takes
//! every address, keeps the newest mails in memory and forgets the oldest; when
//! the process ends, they are gone. A [`Script`] gives it bad days.
//!
//! It listens where it is told to; the mails hold live links, so that should be
//! the own machine. It refuses to relay anything anywhere.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use zeroize::Zeroizing;

use crate::clock::SharedClock;

mod carrier;
mod conversation;
mod input;
mod script;
mod view;
mod web;

pub use carrier::IntoCatcher;
pub use script::{Act, Rule, Script};

#[cfg(test)]
mod tests;

/// What a catcher offers and where it stops.
#[expect(clippy::struct_excessive_bools, reason = "each is one keyword offered or not")]
#[derive(Clone)]
pub struct CatcherSettings {
    /// The most mails kept; the oldest go first.
    pub mails_max: usize,
    /// The most bytes of mails kept; the oldest go first.
    pub memory_bytes_max: usize,
    /// The largest mail taken, told in `SIZE`; larger ones get 552.
    pub mail_bytes_max: usize,
    /// The most connections served at once; others get 421.
    pub connections_max: usize,
    /// A client that says nothing for so long gets 421.
    pub idle_max: Duration,
    /// Offer PIPELINING.
    pub pipelining: bool,
    /// Offer CHUNKING.
    pub chunking: bool,
    /// Offer SMTPUTF8.
    pub smtputf8: bool,
    /// Offer DSN.
    pub dsn: bool,
    /// Offer STARTTLS with this certificate; see `strip_starttls`.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Do not tell that STARTTLS is there: what a stranger on the line does.
    pub strip_starttls: bool,
    /// Speak TLS from the first byte.
    pub implicit_tls: bool,
    /// Demand this user and password, by these mechanisms.
    pub login: Option<CatcherLogin>,
    /// Bad days.
    pub script: Script,
}

/// A user that a catcher demands.
#[derive(Clone)]
pub struct CatcherLogin {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
    /// `PLAIN`, `LOGIN` or both, as told in EHLO.
    pub mechanisms: String,
}

impl fmt::Debug for CatcherLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CatcherLogin(..)")
    }
}

impl fmt::Debug for CatcherSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatcherSettings")
            .field("mails_max", &self.mails_max)
            .finish_non_exhaustive()
    }
}

impl Default for CatcherSettings {
    fn default() -> Self {
        Self {
            mails_max: 10_000,
            memory_bytes_max: 128 << 20,
            mail_bytes_max: 10 << 20,
            connections_max: 256,
            idle_max: Duration::from_mins(5),
            pipelining: true,
            chunking: true,
            smtputf8: true,
            dsn: false,
            tls: None,
            strip_starttls: false,
            implicit_tls: false,
            login: None,
            script: Script::default(),
        }
    }
}

/// A mail that was caught. It holds a live link: `Debug` is mute.
pub struct CaughtMail {
    /// Counted from 1 in the order of arrival.
    pub number: u64,
    /// When its last byte arrived.
    pub received_at: DateTime<Utc>,
    /// The envelope sender.
    pub envelope_from: String,
    /// The envelope recipients.
    pub envelope_to: Vec<String>,
    /// The message.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for CaughtMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaughtMail").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A mail catcher; clones share their mails.
#[derive(Clone)]
pub struct Catcher(Arc<Inner>);

struct Inner {
    settings: CatcherSettings,
    clock: SharedClock,
    seats: Arc<Semaphore>,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    mails: VecDeque<Arc<CaughtMail>>,
    bytes: usize,
    caught: u64,
    connections: u64,
    /// What clients said lately, without arguments; for tests.
    heard: VecDeque<&'static str>,
}

impl fmt::Debug for Catcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catcher").field("caught", &self.caught()).finish()
    }
}

impl Catcher {
    /// A catcher that has caught nothing yet.
    pub fn new(settings: CatcherSettings, clock: SharedClock) -> Self {
        let seats = Arc::new(Semaphore::new(settings.connections_max));
        Self(Arc::new(Inner { settings, clock, seats, shelf: Mutex::default() }))
    }

    /// Takes mails from `listener` until `stop`, one task of `tasks` for each
    /// connection.
    pub async fn serve(self, listener: TcpListener, tasks: TaskTracker, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            // A connection that failed before it began is its client's matter.
            let Ok((stream, _)) = accepted else { continue };
            let catcher = self.clone();
            let stop = stop.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = conversation::hold(catcher, stream) => {}
                }
            });
        }
    }

    /// A carrier that ends here without a network between.
    pub fn carrier(&self) -> IntoCatcher {
        IntoCatcher(self.clone())
    }

    /// The addresses in the text part of a mail.
    pub fn links_of(mail: &CaughtMail) -> Vec<String> {
        view::Page::of(mail).links
    }

    /// The web view and the JSON interface, to be nested at `base` (empty, or a
    /// path without a slash at its end).
    pub fn router(&self, base: &str) -> axum::Router {
        web::router(self.clone(), base)
    }

    /// The mails that are kept, newest first.
    pub fn mails(&self) -> Vec<Arc<CaughtMail>> {
        self.lock().mails.iter().rev().cloned().collect()
    }

    /// The mail with this number, if it is still kept.
    pub fn mail(&self, number: u64) -> Option<Arc<CaughtMail>> {
        self.lock().mails.iter().find(|mail| mail.number == number).cloned()
    }

    /// How many mails were ever caught.
    pub fn caught(&self) -> u64 {
        self.lock().caught
    }

    /// How many connections were ever opened.
    pub fn connections(&self) -> u64 {
        self.lock().connections
    }

    /// The last thousand commands that clients sent, without their arguments.
    pub fn heard(&self) -> Vec<&'static str> {
        self.lock().heard.iter().copied().collect()
    }

    fn keep(&self, envelope_from: String, envelope_to: Vec<String>, bytes: Zeroizing<Vec<u8>>) {
        let received_at = self.0.clock.now();
        let mut kept = self.lock();
        kept.caught = kept.caught.saturating_add(1);
        kept.bytes = kept.bytes.saturating_add(bytes.len());
        let number = kept.caught;
        let mail = CaughtMail { number, received_at, envelope_from, envelope_to, bytes };
        kept.mails.push_back(Arc::new(mail));
        while kept.mails.len() > self.0.settings.mails_max
            || (kept.bytes > self.0.settings.memory_bytes_max && kept.mails.len() > 1)
        {
            let Some(oldest) = kept.mails.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(oldest.bytes.len());
        }
    }

    fn count_connection(&self) {
        let mut kept = self.lock();
        kept.connections = kept.connections.saturating_add(1);
    }

    fn hear(&self, word: &'static str) {
        let mut kept = self.lock();
        if kept.heard.len() >= 1_000 {
            kept.heard.pop_front();
        }
        kept.heard.push_back(word);
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

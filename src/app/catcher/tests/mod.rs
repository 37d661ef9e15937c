//! The carrier and the catcher, each other's test.

mod bad_days;
mod carrying;
mod tls;
mod view;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::DateTime;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;
use crate::{
    clock::HandClock,
    dispatch::email::{
        Carrier, Letter, Outcome, Relay, RelaySettings, SmtpCarrier,
        relay::{Timeouts, TlsMode},
    },
    domain::ids::JobId,
};

/// A catcher at work on a port of its own, and a carrier to it.
struct Post {
    catcher: Catcher,
    port: u16,
    dots: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Drop for Post {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn clock() -> SharedClock {
    Arc::new(HandClock::starting_at(DateTime::from_timestamp(1_795_000_000, 0).unwrap()))
}

impl Post {
    async fn open(settings: CatcherSettings) -> Self {
        let catcher = Catcher::new(settings, clock());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(catcher.clone().serve(listener, tasks.clone(), stop.clone()));
        Self { catcher, port, dots: Arc::default(), stop }
    }

    fn settings(&self) -> RelaySettings {
        RelaySettings { tls: TlsMode::None, ..RelaySettings::new("127.0.0.1", self.port) }
    }

    fn carrier(&self) -> SmtpCarrier {
        carrier(self.settings())
    }

    async fn carry(&self, carrier: &mut SmtpCarrier, letter: &Letter) -> Outcome {
        let dots = Arc::clone(&self.dots);
        let mut before_dot = move || {
            dots.fetch_add(1, Ordering::SeqCst);
            true
        };
        carrier.carry(letter, &mut before_dot).await
    }

    fn dots(&self) -> usize {
        self.dots.load(Ordering::SeqCst)
    }
}

fn carrier(settings: RelaySettings) -> SmtpCarrier {
    SmtpCarrier::new(Arc::new(Relay::new(settings).unwrap()))
}

/// Times short enough to be waited for, long enough for a busy machine.
fn short_times() -> Timeouts {
    let short = Duration::from_secs(1);
    Timeouts {
        connect: short,
        tls: Duration::from_secs(5),
        greeting: short,
        command: short,
        data: short,
        write: short,
        body: short,
        goodbye: short,
    }
}

fn letter(number: u128) -> Letter {
    letter_to(number, "taro@example.jp")
}

fn letter_to(number: u128, to: &str) -> Letter {
    let body = format!(
        "Message-ID: <{number}.1@example.jp>\r\nSubject: x\r\n\r\n.dot\r\n..\r\nmail {number}\r\n"
    );
    Letter {
        job: JobId(Uuid::from_u128(number)),
        envelope_from: "b+x@bounce.example.jp".to_owned(),
        envelope_to: to.to_owned(),
        bytes: Arc::new(Zeroizing::new(body.into_bytes())),
    }
}

/// Servers with and without the extensions that change the conversation.
fn kinds() -> [CatcherSettings; 4] {
    [(false, false), (true, false), (false, true), (true, true)].map(|(pipelining, chunking)| {
        CatcherSettings { pipelining, chunking, ..CatcherSettings::default() }
    })
}

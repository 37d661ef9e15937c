//! Carries mails to one relay over one connection that mends itself.
//!
//! The connection is opened when the first mail comes, kept while mails keep
//! coming, and closed after a while, after many mails, or when anything about
//! it is in doubt. A server that closed an idle connection is met at the next
//! mail's first command; nothing of the mail has been said by then, so it is
//! offered once more over a new connection, within the same attempt.

use std::{fmt, sync::Arc};

use futures::{FutureExt, future::BoxFuture};

use super::{Carrier, Letter, Outcome, Relay, session::Session};

/// A carrier over SMTP; holds at most one connection.
pub struct SmtpCarrier {
    relay: Arc<Relay>,
    session: Option<Session>,
}

impl fmt::Debug for SmtpCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpCarrier")
            .field("connected", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl SmtpCarrier {
    /// A carrier without a connection yet.
    pub fn new(relay: Arc<Relay>) -> Self {
        Self { relay, session: None }
    }

    async fn offer(
        &mut self,
        mail: &Letter,
        before_dot: &mut (dyn FnMut() -> bool + Send),
    ) -> Outcome {
        // Taken out while it is in use: if this future is dropped half way, so
        // is the connection, and no later mail meets what was left on it.
        if let Some(mut session) = self.session.take() {
            if session.is_usable(&self.relay) {
                let delivery = session.deliver(mail, before_dot).await;
                if !delivery.stale {
                    return self.keep(session, delivery.outcome);
                }
            } else {
                session.quit().await;
            }
        }
        match Session::open(&self.relay).await {
            Ok(mut session) => {
                let delivery = session.deliver(mail, before_dot).await;
                self.keep(session, delivery.outcome)
            }
            Err(setback) => setback.into(),
        }
    }

    /// Puts the connection back without saying a word: an outcome that is
    /// known must not wait for the pleasantries, or a crash meanwhile would
    /// make it unknown. QUIT is said when the next mail comes.
    fn keep(&mut self, session: Session, outcome: Outcome) -> Outcome {
        self.session = session.is_in_step().then_some(session);
        outcome
    }
}

impl Carrier for SmtpCarrier {
    fn carry<'a>(
        &'a mut self,
        mail: &'a Letter,
        before_dot: &'a mut (dyn FnMut() -> bool + Send),
    ) -> BoxFuture<'a, Outcome> {
        self.offer(mail, before_dot).boxed()
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        async move {
            if let Some(session) = self.session.take() {
                session.quit().await;
            }
        }
        .boxed()
    }
}

//! The downloads that run at this moment, and how they are stopped.
//!
//! Each stream asks the books again before every [`LOOK_BYTES`] and at the
//! latest after [`LOOK_EVERY`], and a loop asks for all of them once a second,
//! so that one whose reader has stopped reading is looked at as well. Whoever
//! finds that the link does not serve any more marks the stream: it ends short
//! of its promised length, and its connection is cut where that is known.
//!
//! A stream of which the books could not be asked for [`LOOK_MAX`] ends too:
//! what nobody can vouch for does not flow.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Inner, hangup::Hangup, record::Fault};
use crate::{
    crypto::Lookup,
    domain::ids::{EventId, JobId, TenantId},
    store::handouts::{self, Ended},
};

/// Bytes that flow between two looks into the books, at the most.
pub(super) const LOOK_BYTES: u64 = 256 << 10;
/// The time after which a stream looks again.
const LOOK_EVERY: TimeDelta = TimeDelta::seconds(1);
/// The longest a stream goes on without an answer from the books.
const LOOK_MAX: TimeDelta = TimeDelta::seconds(2);
/// Ends that wait to be written down, at the most. One more is forgotten, and
/// its row stays at what was reserved.
const ENDS_MAX: usize = 10_000;

/// One download that runs.
pub(super) struct Ticket {
    /// Its row among the handouts, and its event.
    pub(super) id: EventId,
    /// The delivery.
    pub(super) job: JobId,
    /// Whose it is.
    pub(super) tenant: TenantId,
    /// Where its link is.
    pub(super) link: Lookup,
    /// Cuts its connection, if that is known.
    pub(super) hangup: Option<Hangup>,
    /// Bytes given to the connection so far.
    given: AtomicU64,
    /// Bytes that had been given when the books were last asked.
    given_then: AtomicU64,
    /// When the books last said that it may go on.
    looked_at: AtomicI64,
    stopped: AtomicBool,
}

impl Ticket {
    /// A download whose reservation committed at `at`.
    pub(super) fn new(
        (id, job, tenant): (EventId, JobId, TenantId),
        link: Lookup,
        hangup: Option<Hangup>,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            job,
            tenant,
            link,
            hangup,
            given: AtomicU64::new(0),
            given_then: AtomicU64::new(0),
            looked_at: AtomicI64::new(at.timestamp_micros()),
            stopped: AtomicBool::new(false),
        }
    }

    /// Counts bytes, before they are given to the connection.
    pub(super) fn give(&self, bytes: u64) {
        self.given.fetch_add(bytes, Ordering::SeqCst);
    }

    fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    fn may_go_on(&self, now: DateTime<Utc>) {
        self.given_then.store(self.given(), Ordering::SeqCst);
        self.looked_at.store(now.timestamp_micros(), Ordering::SeqCst);
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(hangup) = &self.hangup {
            hangup.cut();
        }
    }

    /// How long ago the books were asked; a clock that ran back counts as long.
    fn unseen(&self, now: DateTime<Utc>) -> TimeDelta {
        let micros = now.timestamp_micros().saturating_sub(self.looked_at.load(Ordering::SeqCst));
        if micros < 0 { TimeDelta::MAX } else { TimeDelta::microseconds(micros) }
    }

    fn must_look(&self, now: DateTime<Utc>) -> bool {
        let since = self.given().saturating_sub(self.given_then.load(Ordering::SeqCst));
        since >= LOOK_BYTES || self.unseen(now) >= LOOK_EVERY
    }
}

/// The end of a download, to be written down.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// Its row.
    pub(super) id: EventId,
    /// The delivery.
    pub(super) job: JobId,
    /// Whose it is.
    pub(super) tenant: TenantId,
    /// Bytes that were given to the connection.
    pub(super) given: u64,
    /// When it ended.
    pub(super) at: DateTime<Utc>,
}

impl End {
    /// What is written down of it.
    pub(super) fn row(&self) -> Ended {
        let taken = i64::try_from(self.given).unwrap_or(i64::MAX);
        Ended { id: self.id, job: self.job, taken, at: self.at }
    }
}

/// All downloads of this process.
#[derive(Default)]
pub(super) struct Running {
    tickets: Mutex<HashMap<EventId, Arc<Ticket>>>,
    ends: Mutex<Vec<End>>,
}

impl Running {
    /// A download begins.
    pub(super) fn begin(&self, ticket: &Arc<Ticket>) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.insert(ticket.id, Arc::clone(ticket));
    }

    /// A download has ended, however that came.
    pub(super) fn end(&self, ticket: &Ticket, at: DateTime<Utc>) {
        // The connection may still hold the last slice: as long as it does,
        // the books are asked for it.
        if ticket.hangup.is_none() {
            self.forget(ticket.id);
        }
        let (id, job, tenant) = (ticket.id, ticket.job, ticket.tenant.clone());
        self.note(End { id, job, tenant, given: ticket.given(), at });
    }

    /// Nothing of a download is on its way, or will be.
    pub(super) fn forget(&self, id: EventId) {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn note(&self, end: End) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() < ENDS_MAX {
            ends.push(end);
        }
    }

    fn all(&self) -> Vec<Arc<Ticket>> {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, ticket| !ticket.hangup.as_ref().is_some_and(Hangup::is_over));
        tickets.values().map(Arc::clone).collect()
    }

    /// Takes the ends out that are to be written down.
    pub(super) fn take_ends(&self) -> Vec<End> {
        std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts ends back that could not be written down.
    pub(super) fn put_back(&self, ends: Vec<End>) {
        for end in ends {
            self.note(end);
        }
    }
}

impl Inner {
    /// Whether a stream may give out more; asks the books where it has to.
    pub(super) async fn may_flow(self: &Arc<Self>, ticket: &Arc<Ticket>) -> bool {
        let now = self.parts.clock.now();
        if !ticket.stopped.load(Ordering::SeqCst) && ticket.must_look(now) {
            self.look_for(ticket, now).await;
        }
        !ticket.stopped.load(Ordering::SeqCst)
    }

    async fn look_for(&self, ticket: &Ticket, now: DateTime<Utc>) {
        match self.serves(ticket, now).await {
            Ok(true) => ticket.may_go_on(now),
            Ok(false) => ticket.stop(),
            Err(_) if ticket.unseen(now) < LOOK_MAX => {}
            Err(fault) => {
                tracing::error!(
                    job.id = %ticket.job,
                    "a download ends, because nobody can say whether it may go on: {fault}"
                );
                ticket.stop();
            }
        }
    }

    async fn serves(&self, ticket: &Ticket, now: DateTime<Utc>) -> Result<bool, Fault> {
        let Lookup { day, print } = &ticket.link;
        Ok(handouts::serves(&self.parts.db, *day, print, now).await?)
    }

    /// See [`Gateway::look`](super::Gateway::look).
    pub(super) async fn look(&self) -> usize {
        let now = self.parts.clock.now();
        let tickets = self.running.all();
        for ticket in &tickets {
            self.look_for(ticket, now).await;
        }
        tickets.len()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_176_000, 0).unwrap()
    }

    fn ticket() -> Ticket {
        let whose = (
            EventId(Uuid::from_u128(1)),
            JobId(Uuid::from_u128(2)),
            TenantId::parse("acme").unwrap(),
        );
        Ticket::new(whose, Lookup { day: 20_778, print: [5; 32] }, None, noon())
    }

    #[test]
    fn a_stream_looks_by_bytes_and_by_time() {
        let ticket = ticket();
        assert!(!ticket.must_look(noon()), "its reservation has just looked");
        ticket.give(LOOK_BYTES - 1);
        assert!(!ticket.must_look(noon()), "not yet");
        ticket.give(1);
        assert!(ticket.must_look(noon()), "after so many bytes");
        ticket.may_go_on(noon());
        assert!(!ticket.must_look(noon() + TimeDelta::milliseconds(999)), "it has looked");
        assert!(ticket.must_look(noon() + TimeDelta::seconds(1)), "after a second");
        assert!(ticket.must_look(noon() - TimeDelta::seconds(1)), "when the clock runs back");
    }

    #[tokio::test]
    async fn a_stopped_stream_cuts_its_connection() {
        let hangup = Hangup::default();
        let mut ticket = ticket();
        ticket.hangup = Some(hangup.next_request());
        ticket.stop();
        hangup.cut_off().await;
        assert!(ticket.stopped.load(Ordering::SeqCst), "and gives out nothing more");
    }

    #[test]
    fn a_connection_that_serves_the_next_request_is_left_alone() {
        let (hangup, running) = (Hangup::default(), Running::default());
        let mut first = ticket();
        first.hangup = Some(hangup.next_request());
        let first = Arc::new(first);
        running.begin(&first);
        running.end(&first, noon());
        assert_eq!(running.all().len(), 1, "its last slice may still be on its way");
        let next = hangup.next_request();
        assert!(running.all().is_empty(), "the reader has asked for something else");
        first.stop();
        assert!(!hangup.is_cut(), "and that is not cut");
        next.cut();
        assert!(hangup.is_cut(), "its own cut is");
    }

    #[test]
    fn a_connection_that_is_gone_is_forgotten() {
        let (hangup, running) = (Hangup::default(), Running::default());
        let mut only = ticket();
        only.hangup = Some(hangup.next_request());
        running.begin(&Arc::new(only));
        assert_eq!(running.all().len(), 1, "it runs");
        drop(hangup);
        assert!(running.all().is_empty(), "nobody is left to send anything");
    }

    #[test]
    fn an_end_says_how_much_was_given() {
        let (running, ticket) = (Running::default(), Arc::new(ticket()));
        running.begin(&ticket);
        ticket.give(70_000);
        running.end(&ticket, noon());
        assert!(running.all().is_empty(), "it runs no more");
        let ends = running.take_ends();
        assert_eq!((ends.len(), ends[0].given), (1, 70_000), "counted");
        running.put_back(ends);
        assert_eq!(running.take_ends().len(), 1, "what could not be written is kept");
    }
}

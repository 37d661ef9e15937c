//! The third group commit: what became of the mails is written down.
//!
//! Taken mails of a batch go in one transaction; the rest, one each: deferred
//! ones get a new time, refused ones a reason, and a lost reply ends in
//! `ambiguous`. When the books cannot be written the answers stay in memory
//! and in the journal, and are written as soon as they can.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use super::{park, remind};
use crate::{
    app::{
        office::{Delivery, Done, Office},
        worker::{Service, Tick, TickFuture},
    },
    dispatch::email::{Fate, Outcome, Reply, retry},
    domain::{
        calendar::retention::{Purge, RetentionClock, local_day},
        event::EventKind,
        ids::JobId,
        job::Channel,
        log::{Actor, Kind},
        reason::Reason,
    },
    intake::desk::service_of,
    store::{
        ledger::{DetailKey, EventDraft, EventRow},
        outbox::OutboxRow,
        work::{self, DispatchedJob},
    },
};

const BATCH_MAX: usize = 256;
const COMPANY: usize = 32;

/// Writes down what became of mails.
#[derive(Debug)]
pub struct Finish(pub Arc<Office>);

impl Service for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(async move {
            let batch = self.0.queues.done.take(BATCH_MAX);
            if batch.is_empty() {
                return Ok(Tick::Idle);
            }
            // A connection may have stood still for want of room.
            self.0.queues.letters.ring();
            let count = batch.len();
            let (reminders, batch): (Vec<Done>, Vec<Done>) =
                batch.into_iter().partition(|done| done.delivery.reminder);
            let (taken, rest): (Vec<Done>, Vec<Done>) = batch
                .into_iter()
                .partition(|done| matches!(done.outcome, Outcome::Accepted { .. }));
            let mut left = rest;
            let written = write_taken(&self.0, &taken).await;
            if let Err(fault) = written {
                left.extend(taken);
                left.extend(reminders);
                self.0.queues.done.put_back(left);
                return Err(fault);
            }
            if let Err(fault) = remind::settle(&self.0, &reminders).await {
                left.extend(reminders);
                self.0.queues.done.put_back(left);
                return Err(fault);
            }
            while let Some(done) = left.pop() {
                if let Err(fault) = write_other(&self.0, &done).await {
                    left.push(done);
                    self.0.queues.done.put_back(left);
                    return Err(fault);
                }
            }
            Ok(Tick::Worked(count))
        })
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.0.queues.done.bell())
    }

    fn linger(&self) -> Duration {
        let queues = &self.0.queues;
        let backlog = queues.ready.len() >= COMPANY;
        if backlog && queues.done.len() < COMPANY {
            self.0.config.work.linger.0
        } else {
            Duration::ZERO
        }
    }

    fn finishes(&self) -> bool {
        true
    }
}

async fn write_taken(office: &Office, taken: &[Done]) -> anyhow::Result<()> {
    if taken.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(taken.len());
    let mut outbox = Vec::new();
    for done in taken {
        let Outcome::Accepted { reply } = &done.outcome else { continue };
        let (row, news) = dispatched(office, &done.delivery, reply, done.at).await?;
        rows.push(row);
        outbox.extend(news);
    }
    work::dispatched_now(&office.db, office.epoch, &rows, &outbox).await?;
    for done in taken {
        office.queues.in_flight.leave(done.delivery.job);
        let took = done.at.signed_duration_since(done.delivery.accepted_at);
        office.metrics.dispatched(took.to_std().unwrap_or_default());
    }
    let jobs: Vec<JobId> = taken.iter().map(|done| done.delivery.job).collect();
    office.journal.booked(&jobs)?;
    Ok(())
}

/// The rows that say "the relay took it".
async fn dispatched(
    office: &Office,
    delivery: &Delivery,
    reply: &Reply,
    at: DateTime<Utc>,
) -> anyhow::Result<(DispatchedJob, Option<OutboxRow>)> {
    let (purge, rewrapped) = clock_starts(office, delivery, at).await?;
    let event = office.scribe.event(EventDraft {
        tenant: &delivery.tenant,
        job: Some(delivery.job),
        at,
        kind: Kind::Dispatched,
        actor: Actor::Relay,
        code: None,
        facts: vec![
            ("attempt", delivery.attempt.into()),
            ("purge_at", purge.purge_at.timestamp_micros().into()),
            ("smtp_code", i64::from(reply.code).into()),
        ],
        personal: vec![("smtp_reply", reply.text.clone())],
        detail_key: DetailKey::Delivery(&delivery.key.personal_key()),
    })?;
    let news = office.events.of_delivery(delivery, EventKind::Dispatched, None, at)?;
    let row = DispatchedJob {
        job: delivery.job,
        dispatched_at: at,
        purge_at: purge.purge_at,
        purge_day: purge.purge_day,
        rewrapped,
        event,
    };
    Ok((row, news))
}

/// The retention clock starts at `at`: the purge instant and, when its day is
/// later than the day whose key wraps the delivery's key, the new wrapping.
/// Never an earlier day: the old wrapping dies sooner by itself. A clock that
/// runs since an earlier mail goes on as it is.
pub(super) async fn clock_starts(
    office: &Office,
    delivery: &Delivery,
    at: DateTime<Utc>,
) -> anyhow::Result<(Purge, Option<Vec<u8>>)> {
    let zone = office
        .config
        .tenants
        .get(&delivery.tenant)
        .map_or(chrono_tz::Tz::Asia__Tokyo, crate::config::Tenant::zone);
    if let Some(purge_at) = delivery.purge_at {
        let before = purge_at.checked_sub_signed(TimeDelta::microseconds(1)).unwrap_or(purge_at);
        let last_kept_day = local_day(before, zone);
        return Ok((Purge { last_kept_day, purge_at, purge_day: delivery.purge_day }, None));
    }
    let mut purge = RetentionClock { months: office.config.retention.months }.purge(at, zone)?;
    let rewrapped = if purge.purge_day > delivery.purge_day {
        let service = service_of(delivery.channel);
        let day_key = office.keys.day_key(&delivery.tenant, service, purge.purge_day).await?;
        Some(delivery.key.wrap(&day_key, &delivery.tenant, delivery.job, &office.entropy)?)
    } else {
        purge.purge_day = delivery.purge_day;
        None
    };
    Ok((purge, rewrapped))
}

async fn write_other(office: &Office, done: &Done) -> anyhow::Result<()> {
    let (delivery, at) = (&*done.delivery, done.at);
    let reply = done.outcome.reply();
    let words = reply.map_or(done.outcome.word(), |reply| reply.text.as_str());
    match done.outcome.fate() {
        // Written with its batch, or given back: never here.
        Fate::Sent | Fate::NotOffered => {}
        Fate::Ambiguous => lost_reply(office, delivery, at).await?,
        Fate::Retry | Fate::SoftBounce | Fate::RelayAway => {
            later(office, delivery, reply, words, at).await?;
        }
        Fate::Undeliverable => undeliverable(office, delivery, reply, words, at).await?,
        Fate::Park => park::park(office, delivery, Reason::RelayRefused, words, at).await?,
        Fate::Refused => park::park(office, delivery, refusal(&done.outcome), words, at).await?,
    }
    office.queues.in_flight.leave(delivery.job);
    office.journal.booked(&[delivery.job])?;
    Ok(())
}

pub(super) fn refusal(outcome: &Outcome) -> Reason {
    let word = outcome.word();
    let known = Reason::ALL.iter().copied().find(|reason| reason.code() == word);
    known.unwrap_or(Reason::MailRefused)
}

/// A deferred mail gets a new time, or a reason when its time is up.
async fn later(
    office: &Office,
    delivery: &Delivery,
    reply: Option<&Reply>,
    words: &str,
    at: DateTime<Utc>,
) -> anyhow::Result<()> {
    let since = at.signed_duration_since(delivery.first_try_at);
    let attempt = u32::try_from(delivery.attempt).unwrap_or(u32::MAX);
    let give_up = office.config.mail.give_up_after.delta();
    let Some(wait) = retry::retry_after(attempt, since, give_up, &office.entropy) else {
        return park::park(office, delivery, Reason::RetriesExhausted, words, at).await;
    };
    let event = failed_event(office, delivery, reply, wait, at)?;
    let run_at = at.checked_add_signed(wait).unwrap_or(at);
    let mut tx = office.db.begin().await?;
    work::retry_later(&mut tx, office.epoch, delivery.job, run_at, Some(event)).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) fn failed_event(
    office: &Office,
    delivery: &Delivery,
    reply: Option<&Reply>,
    wait: TimeDelta,
    at: DateTime<Utc>,
) -> anyhow::Result<EventRow> {
    let mut facts =
        vec![("attempt", delivery.attempt.into()), ("wait_seconds", wait.num_seconds().into())];
    let mut personal = Vec::new();
    if let Some(reply) = reply {
        facts.push(("smtp_code", i64::from(reply.code).into()));
        personal.push(("smtp_reply", reply.text.clone()));
    }
    Ok(office.scribe.event(EventDraft {
        tenant: &delivery.tenant,
        job: Some(delivery.job),
        at,
        kind: Kind::AttemptFailed,
        actor: Actor::Relay,
        code: None,
        facts,
        personal,
        detail_key: DetailKey::Delivery(&delivery.key.personal_key()),
    })?)
}

async fn undeliverable(
    office: &Office,
    delivery: &Delivery,
    reply: Option<&Reply>,
    words: &str,
    at: DateTime<Utc>,
) -> anyhow::Result<()> {
    let reason = Reason::AddressRejected;
    let event = office.scribe.event(EventDraft {
        tenant: &delivery.tenant,
        job: Some(delivery.job),
        at,
        kind: Kind::Undeliverable,
        actor: Actor::Relay,
        code: Some(reason.code()),
        facts: reply.map(|reply| ("smtp_code", i64::from(reply.code).into())).into_iter().collect(),
        personal: vec![("smtp_reply", words.to_owned())],
        detail_key: DetailKey::Delivery(&delivery.key.personal_key()),
    })?;
    let kind = EventKind::Undeliverable;
    let news = office.events.of_delivery(delivery, kind, Some(reason.code()), at)?;
    let outbox: Vec<_> = news.into_iter().collect();
    let mut tx = office.db.begin().await?;
    work::undeliverable(&mut tx, delivery.job, reason.code(), event, &outbox).await?;
    tx.commit().await?;
    Ok(())
}

/// The reply after the final dot was lost: nobody knows. The retention clock
/// starts at the marker; the tenant's policy says whether the same bytes may
/// go out again.
async fn lost_reply(office: &Office, delivery: &Delivery, at: DateTime<Utc>) -> anyhow::Result<()> {
    let (purge, rewrapped) = clock_starts(office, delivery, at).await?;
    ambiguous(office, delivery.job, delivery, purge, rewrapped, at).await?;
    office.metrics.ambiguous();
    tracing::warn!(job.id = %delivery.job, "the relay's answer was lost; the mail is ambiguous");
    Ok(())
}

pub(super) async fn ambiguous(
    office: &Office,
    job: JobId,
    delivery: &Delivery,
    purge: Purge,
    rewrapped: Option<Vec<u8>>,
    at: DateTime<Utc>,
) -> anyhow::Result<()> {
    debug_assert_eq!(delivery.channel, Channel::Email, "only mail is ambiguous");
    let event = office.scribe.event(EventDraft {
        tenant: &delivery.tenant,
        job: Some(job),
        at,
        kind: Kind::Ambiguous,
        actor: Actor::Worker,
        code: Some(Reason::ReplyLost.code()),
        facts: vec![("purge_at", purge.purge_at.timestamp_micros().into())],
        personal: Vec::new(),
        detail_key: DetailKey::None,
    })?;
    let news = office.events.of_delivery(delivery, EventKind::Ambiguous, None, at)?;
    let outbox: Vec<_> = news.into_iter().collect();
    let mut tx = office.db.begin().await?;
    let Purge { purge_at, purge_day, .. } = purge;
    let rewrapped = rewrapped.as_deref();
    work::ambiguous(&mut tx, job, at, purge_at, purge_day, rewrapped, event, &outbox).await?;
    tx.commit().await?;
    Ok(())
}

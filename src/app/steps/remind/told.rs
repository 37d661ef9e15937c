//! What became of a reminder: for the log, for the sender, on the books.
//!
//! Whatever it is, the delivery stays where it stands: the first mail was
//! taken, and a reminder that was refused does not change that.

use chrono::{DateTime, Utc};

use crate::{
    app::{
        office::{Delivery, Done, Office},
        steps::finish,
    },
    dispatch::email::{Fate, retry},
    domain::{
        event::EventKind,
        ids::{JobId, TenantId},
        log::{Actor, Fact, Kind},
        reason::Reason,
    },
    store::{
        ledger::{DetailKey, EventDraft},
        outbox::{Announce as _, News},
        reminders::{self, Due, Settled, State},
        work,
        workers::DeadLease,
    },
};

/// What the log and the sender are told.
fn told(
    office: &Office,
    delivery: &Delivery,
    (state, code): (State, Option<&'static str>),
    (facts, reply): (Vec<(&'static str, Fact)>, Option<String>),
    at: DateTime<Utc>,
) -> anyhow::Result<Settled> {
    let (kind, event) = kinds(state);
    let event_row = office.scribe.event(EventDraft {
        tenant: &delivery.tenant,
        job: Some(delivery.job),
        at,
        kind,
        actor: Actor::Relay,
        code,
        facts,
        personal: reply.into_iter().map(|reply| ("smtp_reply", reply)).collect(),
        detail_key: DetailKey::Delivery(&delivery.key.personal_key()),
    })?;
    let news = office.events.of_delivery(delivery, event, code, at)?;
    Ok(Settled { job: delivery.job, state, at, event: event_row, news })
}

const fn kinds(state: State) -> (Kind, EventKind) {
    match state {
        State::Sent => (Kind::Reminded, EventKind::Reminded),
        State::Planned | State::Unknown | State::Failed | State::TooLate | State::NotNeeded => {
            (Kind::NotReminded, EventKind::NotReminded)
        }
    }
}

/// The same without the delivery's key: of its row.
fn told_of_row(
    office: &Office,
    (tenant, job): (&TenantId, JobId),
    (state, code): (State, Option<&'static str>),
    facts: Vec<(&'static str, Fact)>,
    at: DateTime<Utc>,
) -> anyhow::Result<Settled> {
    let (kind, event) = kinds(state);
    let draft = EventDraft::of_job(tenant, job, at, kind, Actor::Worker);
    let event_row = office.scribe.event(EventDraft { code, facts, ..draft })?;
    let news = News { kind: event, tenant, job: Some(job), key: None, reference: None, code, at };
    Ok(Settled { job, state, at, event: event_row, news: office.events.announce(&news)? })
}

pub(super) fn too_late(office: &Office, due: &Due, now: DateTime<Utc>) -> anyhow::Result<Settled> {
    let code = Some(Reason::ReminderTooLate.code());
    let about = (&due.job.tenant, due.job.id);
    told_of_row(office, about, (State::TooLate, code), Vec::new(), now)
}

/// What became of a reminder whose process died.
pub(in crate::app::steps) async fn recovered(
    office: &Office,
    lease: &DeadLease,
    state: State,
    at: DateTime<Utc>,
) -> anyhow::Result<()> {
    let code = (state == State::Unknown).then_some(Reason::ReplyLost.code());
    let facts = vec![("from_journal", Fact::Int(i64::from(state == State::Sent)))];
    let about = (&lease.tenant, lease.job);
    let settled = told_of_row(office, about, (state, code), facts, at)?;
    // The row is leased to the dead epoch: we write in its name.
    let mut tx = office.db.begin().await?;
    let first = reminders::settle(&mut tx, lease.epoch, settled).await?;
    tx.commit().await?;
    if first {
        office.metrics.reminder(state.word());
    }
    Ok(())
}

/// A reminder of a delivery whose key is no more: it can never leave.
pub(super) async fn fail_unread(
    office: &Office,
    tenant: &TenantId,
    job: JobId,
    at: DateTime<Utc>,
) -> anyhow::Result<()> {
    let what = (State::Failed, Some(Reason::PayloadUnreadable.code()));
    let settled = told_of_row(office, (tenant, job), what, Vec::new(), at)?;
    let mut tx = office.db.begin().await?;
    reminders::settle(&mut tx, office.epoch, settled).await?;
    tx.commit().await?;
    office.metrics.reminder(State::Failed.word());
    office.queues.in_flight.leave(job);
    Ok(())
}

/// A reminder that can never leave; its delivery stays where it stands.
pub(super) async fn fail(
    office: &Office,
    delivery: &Delivery,
    reason: Reason,
    at: DateTime<Utc>,
) -> anyhow::Result<()> {
    let what = (State::Failed, Some(reason.code()));
    let settled = told(office, delivery, what, (Vec::new(), None), at)?;
    let mut tx = office.db.begin().await?;
    reminders::settle(&mut tx, office.epoch, settled).await?;
    tx.commit().await?;
    office.metrics.reminder(State::Failed.word());
    office.queues.in_flight.leave(delivery.job);
    Ok(())
}

/// Writes down what became of reminders that were tried, all or none.
pub(in crate::app::steps) async fn settle(office: &Office, tried: &[Done]) -> anyhow::Result<()> {
    if tried.is_empty() {
        return Ok(());
    }
    let mut states = Vec::new();
    let mut tx = office.db.begin().await?;
    for done in tried {
        let (delivery, at) = (&*done.delivery, done.at);
        let what = match done.outcome.fate() {
            Fate::Sent => (State::Sent, None),
            Fate::Ambiguous => (State::Unknown, Some(Reason::ReplyLost)),
            Fate::Undeliverable => (State::Failed, Some(Reason::AddressRejected)),
            Fate::Park => (State::Failed, Some(Reason::RelayRefused)),
            Fate::Refused => (State::Failed, Some(finish::refusal(&done.outcome))),
            Fate::Retry | Fate::SoftBounce | Fate::RelayAway => {
                let since = at.signed_duration_since(delivery.first_try_at);
                let attempt = u32::try_from(delivery.attempt).unwrap_or(u32::MAX);
                let give_up = office.config.mail.give_up_after.delta();
                match retry::retry_after(attempt, since, give_up, &office.entropy) {
                    Some(wait) => {
                        let reply = done.outcome.reply();
                        let event = finish::failed_event(office, delivery, reply, wait, at)?;
                        let run_at = at.checked_add_signed(wait).unwrap_or(at);
                        let (epoch, job) = (office.epoch, delivery.job);
                        work::retry_later(&mut tx, epoch, job, run_at, Some(event)).await?;
                        continue;
                    }
                    None => (State::Failed, Some(Reason::RetriesExhausted)),
                }
            }
            // Given back by the connection: never here.
            Fate::NotOffered => continue,
        };
        let reply = done.outcome.reply();
        let mut facts = vec![("attempt", Fact::Int(delivery.attempt))];
        facts.extend(reply.map(|reply| ("smtp_code", Fact::Int(i64::from(reply.code)))));
        let words = reply.map(|reply| reply.text.clone());
        let what = (what.0, what.1.map(Reason::code));
        let settled = told(office, delivery, what, (facts, words), at)?;
        if reminders::settle(&mut tx, office.epoch, settled).await? {
            states.push(what.0);
        }
    }
    tx.commit().await?;
    for state in states {
        office.metrics.reminder(state.word());
    }
    let jobs: Vec<JobId> = tried.iter().map(|done| done.delivery.job).collect();
    for job in &jobs {
        office.queues.in_flight.leave(*job);
    }
    office.journal.booked(&jobs)?;
    Ok(())
}

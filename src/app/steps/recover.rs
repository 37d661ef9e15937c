//! Takes over from the dead.
//!
//! A process that died leaves rows leased to its epoch and, on this host, a
//! send journal whose lock is free. The journal says of every mail under the
//! marker whether the relay had become responsible: no line before the dot,
//! and sending again is safe; a line after the reply, and it was dispatched;
//! the one without the other, and nobody knows. Without a journal (another
//! host, another boot) everything under the marker is unknown.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    app::{
        office::Office,
        steps::{remind, suspects},
        worker::{Service, Tick, TickFuture},
    },
    crypto::delivery::DeliveryKey,
    dispatch::email::{Abandoned, BootId},
    domain::{
        calendar::retention::RetentionClock,
        event::EventKind,
        ids::{Epoch, JobId},
        log::{Actor, Kind},
        reason::Reason,
    },
    intake::desk::service_of,
    store::{
        jobs::{self, JobRow},
        ledger::{DetailKey, EventDraft},
        outbox::{Announce as _, News, OutboxRow},
        reminders::State,
        work::{self, DispatchedJob, Step},
        workers::{self, DeadLease},
    },
};

/// Rows of the dead looked at in one tick.
const AT_ONCE: i64 = 256;
/// How long the rows of another host's process wait for its journal.
const ELSEWHERE: TimeDelta = TimeDelta::minutes(15);

/// When a job is tried again that was on the press at `crashes` deaths, the one
/// at `now` included: after ten seconds, then four times as long each. So a job
/// that ends its worker does not hold up the others, and one that only stood
/// first in line while the worker kept dying is not there every time.
fn rested(now: DateTime<Utc>, crashes: u32) -> DateTime<Utc> {
    let seconds = 4_i64.saturating_pow(crashes.saturating_sub(1).min(5)).saturating_mul(10);
    now.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(now)
}

/// Settles what dead processes left behind.
#[derive(Debug)]
pub struct Recover {
    office: Arc<Office>,
    journals: PathBuf,
    boot: BootId,
}

/// What the journals of dead processes say.
#[derive(Debug, Default)]
struct Testimony {
    /// Epochs whose journal we hold, written during this boot of this host.
    told: HashSet<Epoch>,
    /// By process: an earlier mail of the same job may stand in another's.
    accepted: HashMap<(Epoch, JobId), DateTime<Utc>>,
    open_dots: HashSet<(Epoch, JobId)>,
    /// Jobs that were on the press.
    suspects: HashSet<JobId>,
}

impl Recover {
    /// Looks for journals in `journals`.
    pub fn new(office: Arc<Office>, journals: PathBuf, boot: BootId) -> Self {
        Self { office, journals, boot }
    }

    async fn recover(&self) -> anyhow::Result<Tick> {
        let office = &self.office;
        let now = office.clock.now();
        let abandoned = self.abandoned()?;
        let mut testimony = Testimony::default();
        for journal in &abandoned {
            if journal.same_boot && journal.intact {
                testimony.told.insert(journal.epoch);
            }
            let epoch = journal.epoch;
            let accepted = journal.accepted.iter().map(|(job, at)| ((epoch, *job), *at));
            testimony.accepted.extend(accepted);
            testimony.open_dots.extend(journal.open_dots.iter().map(|job| (epoch, *job)));
            testimony.suspects.extend(suspects::of_the_dead(&self.journals, journal.epoch));
        }
        let mut tx = office.db.begin().await?;
        for journal in &abandoned {
            // Whose lock is free is dead, whatever its heartbeat says.
            workers::stopped(&mut tx, journal.epoch, now).await?;
        }
        workers::declare_dead(&mut tx, office.epoch, now).await?;
        tx.commit().await?;
        let mut tx = office.db.read().await?;
        let leases = workers::dead_leases(&mut tx, AT_ONCE).await?;
        drop(tx);
        let count = leases.len();
        let mut waiting = HashSet::new();
        for lease in leases {
            let epoch = lease.epoch;
            if !self.settle(lease, &testimony, now).await? {
                waiting.insert(epoch);
            }
        }
        if count < usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
            for journal in abandoned {
                if !waiting.contains(&journal.epoch) {
                    suspects::forget(&self.journals, journal.epoch);
                    journal.finish()?;
                }
            }
        }
        let moved = count.saturating_sub(waiting.len());
        Ok(if moved == 0 { Tick::Idle } else { Tick::Worked(moved) })
    }

    fn abandoned(&self) -> anyhow::Result<Vec<Abandoned>> {
        Ok(Abandoned::find(&self.journals, self.boot)?)
    }

    /// Settles one row of the dead; false when it has to wait.
    async fn settle(
        &self,
        lease: DeadLease,
        testimony: &Testimony,
        now: DateTime<Utc>,
    ) -> anyhow::Result<bool> {
        let office = &self.office;
        let Some(since) = lease.sending_since else {
            self.release(&lease, testimony.suspects.contains(&lease.job), now).await?;
            return Ok(true);
        };
        if let Some(at) = testimony.accepted.get(&(lease.epoch, lease.job)) {
            self.was_accepted(&lease, *at).await?;
        } else if testimony.open_dots.contains(&(lease.epoch, lease.job)) {
            self.is_unknown(&lease, since).await?;
        } else if testimony.told.contains(&lease.epoch) {
            self.release(&lease, testimony.suspects.contains(&lease.job), now).await?;
        } else if now.signed_duration_since(since) < ELSEWHERE {
            return Ok(false);
        } else {
            // No journal speaks for it: another host, or a reboot took the
            // unsynced lines with it.
            self.is_unknown(&lease, since).await?;
        }
        office.metrics.recovered();
        Ok(true)
    }

    /// Nothing left the house: the work goes on, unless this job has ended too
    /// many processes already.
    async fn release(
        &self,
        lease: &DeadLease,
        suspect: bool,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let office = &self.office;
        let crashes =
            u32::try_from(lease.crashes).unwrap_or(u32::MAX).saturating_add(u32::from(suspect));
        let mut tx = office.db.begin().await?;
        if suspect && crashes >= office.config.work.crashes_max {
            let code = Reason::Poisoned.code();
            let event = office.scribe.event(EventDraft {
                tenant: &lease.tenant,
                job: Some(lease.job),
                at: now,
                kind: Kind::Parked,
                actor: Actor::Worker,
                code: Some(code),
                facts: vec![("crashes", i64::from(crashes).into())],
                personal: Vec::new(),
                detail_key: DetailKey::None,
            })?;
            let news = News {
                kind: EventKind::Parked,
                tenant: &lease.tenant,
                job: Some(lease.job),
                key: None,
                reference: None,
                code: Some(code),
                at: now,
            };
            let outbox: Vec<_> = office.events.announce(&news)?.into_iter().collect();
            work::park(&mut tx, Some(lease.epoch), lease.job, code, event, &outbox).await?;
            office.metrics.parked(code);
        } else {
            let run_at = if suspect { rested(now, crashes) } else { now };
            workers::release_dead(&mut tx, lease.job, lease.epoch, run_at, suspect).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The journal holds the relay's 250; only the books do not.
    async fn was_accepted(&self, lease: &DeadLease, at: DateTime<Utc>) -> anyhow::Result<()> {
        let office = &self.office;
        if lease.step == Step::Remind {
            return remind::recovered(office, lease, State::Sent, at).await;
        }
        let Some((row, purge_at, purge_day, rewrapped)) = self.clock(lease.job, at).await? else {
            return Ok(());
        };
        let event = office.scribe.event(EventDraft {
            tenant: &row.tenant,
            job: Some(row.id),
            at,
            kind: Kind::Dispatched,
            actor: Actor::Worker,
            code: None,
            facts: vec![
                ("from_journal", 1.into()),
                ("purge_at", purge_at.timestamp_micros().into()),
            ],
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?;
        let outbox = self.news(&row, EventKind::Dispatched, at)?;
        let done =
            DispatchedJob { job: row.id, dispatched_at: at, purge_at, purge_day, rewrapped, event };
        // The row is leased to the dead epoch: we write in its name.
        work::dispatched_now(&office.db, lease.epoch, &[done], &outbox).await?;
        Ok(())
    }

    async fn is_unknown(&self, lease: &DeadLease, since: DateTime<Utc>) -> anyhow::Result<()> {
        let office = &self.office;
        if lease.step == Step::Remind {
            let now = office.clock.now();
            return remind::recovered(office, lease, State::Unknown, now).await;
        }
        let Some((row, purge_at, purge_day, rewrapped)) = self.clock(lease.job, since).await?
        else {
            return Ok(());
        };
        let event = office.scribe.event(EventDraft {
            tenant: &row.tenant,
            job: Some(row.id),
            at: office.clock.now(),
            kind: Kind::Ambiguous,
            actor: Actor::Worker,
            code: Some(Reason::ReplyLost.code()),
            facts: vec![("purge_at", purge_at.timestamp_micros().into())],
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?;
        let outbox = self.news(&row, EventKind::Ambiguous, since)?;
        let mut tx = office.db.begin().await?;
        work::ambiguous(
            &mut tx,
            row.id,
            since,
            purge_at,
            purge_day,
            rewrapped.as_deref(),
            event,
            &outbox,
        )
        .await?;
        tx.commit().await?;
        office.metrics.ambiguous();
        tracing::warn!(job.id = %row.id, "a process died between the dot and the reply; the mail is ambiguous");
        Ok(())
    }

    fn news(
        &self,
        row: &JobRow,
        kind: EventKind,
        at: DateTime<Utc>,
    ) -> anyhow::Result<Vec<OutboxRow>> {
        let news = News {
            kind,
            tenant: &row.tenant,
            job: Some(row.id),
            key: None,
            reference: None,
            code: None,
            at,
        };
        Ok(self.office.events.announce(&news)?.into_iter().collect())
    }

    /// The retention clock of a job that was dispatched at `at`, or before.
    async fn clock(
        &self,
        job: JobId,
        at: DateTime<Utc>,
    ) -> anyhow::Result<Option<(JobRow, DateTime<Utc>, i64, Option<Vec<u8>>)>> {
        let office = &self.office;
        let mut tx = office.db.read().await?;
        let Some(row) = jobs::get(&mut tx, None, job).await? else { return Ok(None) };
        drop(tx);
        if let Some(purge_at) = row.dispatched_at.and(row.purge_at) {
            let day = row.purge_day;
            return Ok(Some((row, purge_at, day, None)));
        }
        let zone = office
            .config
            .tenants
            .get(&row.tenant)
            .map_or(chrono_tz::Tz::Asia__Tokyo, crate::config::Tenant::zone);
        let purge = RetentionClock { months: office.config.retention.months }.purge(at, zone)?;
        let Some(wrapped) = row.wrapped_key.as_ref().filter(|_| purge.purge_day > row.purge_day)
        else {
            let day = row.purge_day;
            return Ok(Some((row, purge.purge_at, day, None)));
        };
        let service = service_of(row.channel);
        let old = office.keys.existing_day_key(&row.tenant, service, row.purge_day).await?;
        let key = DeliveryKey::unwrap(&old, &row.tenant, row.id, wrapped)?;
        let new = office.keys.day_key(&row.tenant, service, purge.purge_day).await?;
        let rewrapped = key.wrap(&new, &row.tenant, row.id, &office.entropy)?;
        Ok(Some((row, purge.purge_at, purge.purge_day, Some(rewrapped))))
    }
}

impl Service for Recover {
    fn name(&self) -> &'static str {
        "recover"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(self.recover())
    }

    fn pause(&self) -> Duration {
        self.office.config.work.lease.0.checked_div(3).unwrap_or(Duration::from_secs(1))
    }
}

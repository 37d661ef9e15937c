//! The rows of what is dead: cleared in batches, each with its line in the
//! log.
//!
//! A row is cleared only after its key was seen to, so that a crash leaves
//! rows without keys and never keys without rows. Two kinds of delivery go
//! before their key does: one that grew too old to be sent while its key's day
//! is still to come, and one whose key a broken neighbour holds. Their own
//! wrapped key is cleared with the row; the day key follows on its day.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{
    DayKey, Done, Retention, RetentionError,
    judge::{Verdict, Why, judge, latest_day},
    service_of,
};
use crate::{
    domain::{
        event::EventKind,
        ids::JobId,
        log::{Actor, Kind},
        reason::Reason,
    },
    store::{
        Tx,
        ledger::{DetailKey, EventDraft},
        outbox::{News, OutboxRow},
        retention::{self, DueJob, PurgeJob},
    },
};

/// Batches of one tick, so that a tick ends and a stop is heard.
const BATCHES_MAX: usize = 20;

impl Retention {
    /// Clears the rows of what is due.
    pub(super) async fn purge_rows(
        &self,
        now: DateTime<Utc>,
        settled: &mut HashSet<DayKey>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        for _ in 0..BATCHES_MAX {
            let mut tx = self.db.read().await?;
            let due = retention::ripe(&mut tx, latest_day(now), now, self.settings.batch).await?;
            drop(tx);
            let due: Vec<(DueJob, Why)> =
                due.into_iter().filter_map(|job| self.due(job, now)).collect();
            let days = due.iter().map(|(job, _)| day_key(job)).filter(|day| !settled.contains(day));
            let days: HashSet<DayKey> = days.collect();
            self.settle_days(days.into_iter().collect(), now, settled, done).await?;
            if !self.purge(&due, now, done).await? {
                break;
            }
        }
        Ok(())
    }

    /// Ends what waited too long to be sent, whatever its key's day.
    pub(super) async fn purge_too_old(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        for _ in 0..BATCHES_MAX {
            let mut tx = self.db.read().await?;
            let old = self.old_undispatched(&mut tx, now, self.settings.batch).await?;
            drop(tx);
            let old: Vec<(DueJob, Why)> = old
                .into_iter()
                .filter_map(|job| self.due(job, now))
                .filter(|(_, why)| *why == Why::NeverDispatched)
                .collect();
            if !self.purge(&old, now, done).await? {
                break;
            }
        }
        Ok(())
    }

    /// Deliveries that may have waited too long to be sent.
    pub(super) async fn old_undispatched(
        &self,
        tx: &mut Tx,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<DueJob>, RetentionError> {
        let until = now.checked_sub_signed(self.settings.undispatched_min).unwrap_or(now);
        Ok(retention::too_old(tx, until, limit).await?)
    }

    fn due(&self, job: DueJob, now: DateTime<Utc>) -> Option<(DueJob, Why)> {
        match judge(&job, now, &self.rules(&job.tenant)) {
            Verdict::Due(why) => Some((job, why)),
            Verdict::Kept | Verdict::Later { .. } | Verdict::Held(_) => None,
        }
    }

    /// Clears these rows. False when none of them changed.
    async fn purge(
        &self,
        due: &[(DueJob, Why)],
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<bool, RetentionError> {
        if due.is_empty() {
            return Ok(false);
        }
        let mut items = Vec::with_capacity(due.len());
        let mut news = Vec::new();
        for (job, why) in due {
            let (item, told) = self.epitaph(job, *why, now)?;
            items.push(item);
            news.extend(told);
        }
        let mut tx = self.db.begin().await?;
        let gone = retention::purge(&mut tx, now, &items, &news).await?;
        tx.commit().await?;
        let unsent: HashSet<JobId> = due
            .iter()
            .filter(|(_, why)| *why == Why::NeverDispatched)
            .map(|(job, _)| job.id)
            .collect();
        let unsent = gone.iter().filter(|id| unsent.contains(id)).count();
        done.purged = done.purged.saturating_add(gone.len());
        done.never_dispatched = done.never_dispatched.saturating_add(unsent);
        Ok(!gone.is_empty())
    }

    /// What the log and the sender are told.
    fn epitaph(
        &self,
        job: &DueJob,
        why: Why,
        now: DateTime<Utc>,
    ) -> Result<(PurgeJob, Option<OutboxRow>), RetentionError> {
        let (kind, code) = match why {
            Why::WindowClosed | Why::Ended => (Kind::Purged, None),
            Why::NeverDispatched => (Kind::NeverDispatched, Some(Reason::NeverDispatched.code())),
        };
        let mut facts = vec![("purge_day", job.purge_day.into())];
        if let Some(at) = job.purge_at {
            facts.push(("purge_at", at.timestamp_micros().into()));
        }
        let event = self.scribe.event(EventDraft {
            tenant: &job.tenant,
            job: Some(job.id),
            at: now,
            kind,
            actor: Actor::Retention,
            code,
            facts,
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?;
        let news = self.announce.announce(&News {
            kind: EventKind::Purged,
            tenant: &job.tenant,
            job: Some(job.id),
            key: None,
            reference: None,
            code,
            at: now,
        })?;
        Ok((PurgeJob { id: job.id, reason: code.map(str::to_owned), event }, news))
    }
}

fn day_key(job: &DueJob) -> DayKey {
    (job.tenant.clone(), service_of(job.channel), job.purge_day)
}

//! The rows of what is dead: cleared in batches, each with its line in the
//! log.
//!
//! A row is cleared only after its key was seen to, so that a crash leaves
//! rows without keys and never keys without rows. Two kinds of delivery go
//! before their key does: one that grew too old to be sent while its key's day
//! is still to come, and one whose key a broken neighbour holds. Their own
//! wrapped key is cleared with the row; the day key follows on its day.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};

use super::{
    DayKey, Done, News, Retention, RetentionError,
    judge::{Verdict, Why, judge, latest_day},
    service_of,
};
use crate::{
    domain::{
        event::EventKind,
        log::{Actor, Kind},
        reason::Reason,
    },
    store::{
        ledger::{DetailKey, EventDraft, EventRow},
        outbox::{self, OutboxRow},
        retention::{self, DueJob},
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
            let due = retention::due(&mut tx, latest_day(now), now, self.settings.batch).await?;
            drop(tx);
            let due: Vec<(DueJob, Why)> = due.into_iter().filter_map(|job| self.due(job, now)).collect();
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
            let old = retention::old_undispatched(&mut tx, now, self.settings.batch).await?;
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
        let mut events = Vec::with_capacity(due.len());
        let mut news = Vec::new();
        for (job, why) in due {
            let (event, told) = self.epitaph(job, *why, now)?;
            events.push(event);
            news.extend(told);
        }
        let mut tx = self.db.begin().await?;
        let ids: Vec<_> = due.iter().map(|(job, _)| job.id).collect();
        let gone = retention::purge(&mut tx, &ids, now, &events).await?;
        news.retain(|row: &OutboxRow| row.job.is_some_and(|job| gone.contains(&job)));
        outbox::add(&mut tx, &news).await?;
        tx.commit().await?;
        let unsent: BTreeMap<_, _> = due.iter().map(|(job, why)| (job.id, *why)).collect();
        let unsent =
            gone.iter().filter(|id| unsent.get(id) == Some(&Why::NeverDispatched)).count();
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
    ) -> Result<(EventRow, Option<OutboxRow>), RetentionError> {
        let (kind, code) = match why {
            Why::WindowClosed | Why::Ended => (Kind::Purged, None),
            Why::NeverDispatched => {
                (Kind::NeverDispatched, Some(Reason::NeverDispatched.code()))
            }
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
        let kind = EventKind::Purged;
        let news = News { kind, tenant: &job.tenant, job: job.id, code, at: now };
        Ok((event, self.announce.announce(&news)?))
    }
}

fn day_key(job: &DueJob) -> DayKey {
    (job.tenant.clone(), service_of(job.channel), job.purge_day)
}

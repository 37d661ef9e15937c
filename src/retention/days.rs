//! The keys of a day: what is not due is moved away, then the key dies.
//!
//! The key store shares no transaction with the books. So the names of the
//! keys that are to die are written down first; then they die, which may be
//! repeated; then, in one transaction, the log says so and the note is
//! emptied. A tick that finds a note carries it out before anything else.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};

use super::{
    DayKey, Done, Retention, RetentionError,
    judge::{Doubt, Verdict, day_begins, judge, latest_day},
    service_of,
};
use crate::{
    crypto::{CryptoError, delivery::DeliveryKey},
    domain::{
        ids::TenantId,
        log::{Actor, Kind},
    },
    store::{
        checkpoints, jobs,
        keyring::{KeyError, Service},
        ledger::{self, DetailKey, EventDraft},
        retention::{self, DueJob},
    },
};

/// Keys that die together: the costly step is the same for one and for many.
const KEYS_MAX: i64 = 500;
const CONDEMNED: &str = "retention/condemned";

impl Retention {
    /// Destroys the keys of days that are over. `settled` collects the days
    /// that were looked at.
    pub(super) async fn destroy_day_keys(
        &self,
        now: DateTime<Utc>,
        settled: &mut HashSet<DayKey>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let days =
            self.keys.undestroyed_days_before(latest_day(now).saturating_add(1), KEYS_MAX).await?;
        self.settle_days(days, now, settled, done).await
    }

    /// Judges everything under these keys and destroys those that nothing
    /// needs any more.
    pub(super) async fn settle_days(
        &self,
        days: Vec<DayKey>,
        now: DateTime<Utc>,
        settled: &mut HashSet<DayKey>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let is_over = |(tenant, _, day): &DayKey| {
            day_begins(*day, self.rules(tenant).zone).is_some_and(|begins| begins <= now)
        };
        let over = days.into_iter().filter(|day| is_over(day) && settled.insert(day.clone()));
        let mut condemned: HashSet<DayKey> = over.collect();
        let numbers: BTreeSet<i64> = condemned.iter().map(|(_, _, day)| *day).collect();
        for day in numbers {
            self.clear_day(day, &mut condemned, now, done).await?;
            self.clear_uploads(day, &mut condemned, now, done).await?;
        }
        if condemned.is_empty() {
            return Ok(());
        }
        let mut condemned: Vec<DayKey> = condemned.into_iter().collect();
        condemned.sort_unstable();
        let mut tx = self.db.begin().await?;
        checkpoints::set(&mut tx, CONDEMNED, now, &write_note(&condemned)).await?;
        tx.commit().await?;
        self.finish_condemned(now, done).await
    }

    /// Moves what is not due from the condemned keys of a day, and pardons
    /// the keys from which something cannot be moved.
    async fn clear_day(
        &self,
        number: i64,
        condemned: &mut HashSet<DayKey>,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let exceptions = retention::exceptions_on_day(&mut tx, number, now).await?;
        drop(tx);
        for job in &exceptions {
            let key = (job.tenant.clone(), service_of(job.channel), number);
            if !condemned.contains(&key) {
                continue;
            }
            let clear = match judge(job, now, &self.rules(&job.tenant)) {
                Verdict::Due(_) => true,
                Verdict::Kept => false,
                Verdict::Held(doubt) => {
                    Self::doubt(job, doubt, done);
                    false
                }
                Verdict::Later { day, listed } => {
                    if let Some(doubt) = listed {
                        Self::doubt(job, doubt, done);
                    }
                    self.move_to(job, key.1, day, done).await?
                }
            };
            if !clear {
                condemned.remove(&key);
            }
        }
        Ok(())
    }

    /// Wraps a delivery's key under a later day. False when that is not
    /// possible now.
    async fn move_to(
        &self,
        job: &DueJob,
        service: Service,
        day: i64,
        done: &mut Done,
    ) -> Result<bool, RetentionError> {
        let mut tx = self.db.read().await?;
        let row = jobs::get(&mut tx, Some(&job.tenant), job.id).await?;
        drop(tx);
        let Some(row) = row.filter(|row| row.purge_day == job.purge_day) else { return Ok(false) };
        let Some(wrapped) = row.wrapped_key else {
            // Nothing to save: the row never had a key or lost it.
            return Ok(true);
        };
        let opened = match self.keys.existing_day_key(&job.tenant, service, job.purge_day).await {
            Ok(key) => DeliveryKey::unwrap(&key, &job.tenant, job.id, &wrapped),
            Err(KeyError::Destroyed | KeyError::Unknown) => Err(CryptoError::BrokenSeal),
            Err(error) => return Err(error.into()),
        };
        let Ok(key) = opened else {
            Self::doubt(job, Doubt::KeyUnreadable, done);
            return Ok(false);
        };
        let later = self.keys.day_key(&job.tenant, service, day).await?;
        let wrapped = key.wrap(&later, &job.tenant, job.id, &self.entropy)?;
        let mut tx = self.db.begin().await?;
        let moved = retention::rewrap(&mut tx, job.id, job.purge_day, day, &wrapped).await?;
        tx.commit().await?;
        done.moved = done.moved.saturating_add(usize::from(moved));
        Ok(moved)
    }

    fn doubt(job: &DueJob, doubt: Doubt, done: &mut Done) {
        done.doubtful = done.doubtful.saturating_add(1);
        tracing::warn!(job.id = %job.id, code = doubt.code(), "a person has to look at this delivery");
    }

    /// Destroys the keys that are written down to die, and reports them.
    pub(super) async fn finish_condemned(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let note = checkpoints::get(&mut tx, CONDEMNED).await?;
        drop(tx);
        let Some(note) = note.filter(|note| !note.value.is_empty()) else { return Ok(()) };
        let days = read_note(&note.value).ok_or(RetentionError::Note)?;
        self.keys.destroy_days(&days).await?;
        let mut events = Vec::with_capacity(days.len());
        for (tenant, service, day) in &days {
            events.push(self.scribe.event(EventDraft {
                tenant,
                job: None,
                at: now,
                kind: Kind::KeyDestroyed,
                actor: Actor::Retention,
                code: None,
                facts: vec![
                    ("key", "day".into()),
                    ("purge_day", (*day).into()),
                    ("service", service.word().into()),
                ],
                personal: Vec::new(),
                detail_key: DetailKey::None,
            })?);
        }
        let mut tx = self.db.begin().await?;
        ledger::append(&mut tx, &events).await?;
        checkpoints::set(&mut tx, CONDEMNED, now, "").await?;
        tx.commit().await?;
        done.day_keys = done.day_keys.saturating_add(days.len());
        Ok(())
    }
}

/// A line per key: tenant, service, day.
fn write_note(days: &[DayKey]) -> String {
    let line = |(tenant, service, day): &DayKey| format!("{tenant} {} {day}", service.word());
    days.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn read_note(text: &str) -> Option<Vec<DayKey>> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let tenant = TenantId::parse(words.next()?).ok()?;
        let service = Service::parse(words.next()?)?;
        let day = words.next()?.parse().ok()?;
        words.next().is_none().then_some((tenant, service, day))
    };
    text.lines().map(line).collect()
}

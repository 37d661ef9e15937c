//! Keys that no document waits for: of visits, of evidence, of old links.
//!
//! An access key dies when its month is over, a year after the visits whose
//! details it opens; an evidence key when `retention.evidence_years` calendar
//! years have gone since the year of the jobs. A pair of link keys that was
//! replaced dies when no link that it may have minted can be opened any more.
//! As with the keys of days, the names are written down first, then the keys
//! die, then one transaction tells the log and empties the note.
//!
//! What the keys opened stays where it is, as noise: a leaf of the log must
//! not change, and evidence keeps its numbers in clear.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use super::{Done, Retention, RetentionError};
use crate::{
    domain::{
        ids::TenantId,
        log::{Actor, Fact, Kind},
    },
    store::{
        checkpoints,
        ledger::{self, DetailKey, EventDraft},
        links,
    },
};

const CONDEMNED: &str = "retention/condemned-others";

/// Keys that die together.
const KEYS_MAX: usize = 500;

/// How long after the last moment at which a pair of link keys could mint a
/// link of it may still come on the books: a batch that waited for its commit.
const LATE_LINKS: TimeDelta = TimeDelta::hours(24);

/// A key on the note.
#[derive(Debug, PartialEq, Eq)]
enum Other {
    Access(TenantId, i64),
    Evidence(TenantId, i64),
    Links(u8),
}

impl Retention {
    /// Destroys what is due of these keys.
    pub(super) async fn destroy_other_keys(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        self.finish_others(now, done).await?;
        let mut due = Vec::new();
        for (tenant, month) in self.keys.live_access_months_before(months(now)).await? {
            due.push(Other::Access(tenant, month));
        }
        let year = i64::from(now.year()).saturating_sub(self.settings.evidence_years);
        for (tenant, year) in self.keys.live_evidence_years_before(year).await? {
            due.push(Other::Evidence(tenant, year));
        }
        for replaced in self.keys.replaced_link_keys().await? {
            if self.is_dead(replaced.since, now).await? {
                due.push(Other::Links(replaced.id));
            }
        }
        due.truncate(KEYS_MAX);
        if due.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        checkpoints::set(&mut tx, CONDEMNED, now, &write_note(&due)).await?;
        tx.commit().await?;
        self.finish_others(now, done).await
    }

    /// Whether no link minted before `since` can be opened any more.
    async fn is_dead(
        &self,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, RetentionError> {
        let Some(last) = since.checked_add_signed(LATE_LINKS).filter(|last| *last < now) else {
            return Ok(false);
        };
        let mut tx = self.db.read().await?;
        let alive = links::any_alive(&mut tx, last.timestamp().div_euclid(86_400), now).await?;
        Ok(!alive)
    }

    async fn finish_others(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let note = checkpoints::get(&mut tx, CONDEMNED).await?;
        drop(tx);
        let Some(note) = note.filter(|note| !note.value.is_empty()) else { return Ok(()) };
        let due = read_note(&note.value).ok_or(RetentionError::Note)?;
        let mut events = Vec::with_capacity(due.len());
        for other in &due {
            let (tenant, facts) = match other {
                Other::Access(tenant, month) => {
                    self.keys.destroy_access_month(tenant, *month).await?;
                    (tenant, vec![("key", Fact::from("access")), ("month", (*month).into())])
                }
                Other::Evidence(tenant, year) => {
                    self.keys.destroy_evidence_year(tenant, *year).await?;
                    (tenant, vec![("key", Fact::from("evidence")), ("year", (*year).into())])
                }
                Other::Links(id) => {
                    self.keys.destroy_link_keys(*id).await?;
                    let id = i64::from(*id).into();
                    (&self.settings.office, vec![("key", Fact::from("links")), ("key_id", id)])
                }
            };
            events.push(self.scribe.event(EventDraft {
                tenant,
                job: None,
                at: now,
                kind: Kind::KeyDestroyed,
                actor: Actor::Retention,
                code: None,
                facts,
                personal: Vec::new(),
                detail_key: DetailKey::None,
            })?);
        }
        let mut tx = self.db.begin().await?;
        ledger::append(&mut tx, &events).await?;
        checkpoints::set(&mut tx, CONDEMNED, now, "").await?;
        tx.commit().await?;
        done.other_keys = done.other_keys.saturating_add(due.len());
        Ok(())
    }
}

/// Whole months since 1970, in UTC as the keys count them.
fn months(now: DateTime<Utc>) -> i64 {
    let years = i64::from(now.year()).saturating_sub(1970);
    years.saturating_mul(12).saturating_add(i64::from(now.month0()))
}

/// A line per key: what it is for, whose it is, which one.
fn write_note(keys: &[Other]) -> String {
    let line = |key: &Other| match key {
        Other::Access(tenant, month) => format!("access {tenant} {month}"),
        Other::Evidence(tenant, year) => format!("evidence {tenant} {year}"),
        Other::Links(id) => format!("links {id}"),
    };
    keys.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn read_note(text: &str) -> Option<Vec<Other>> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["access", tenant, month] => {
                Some(Other::Access(TenantId::parse(tenant).ok()?, month.parse().ok()?))
            }
            ["evidence", tenant, year] => {
                Some(Other::Evidence(TenantId::parse(tenant).ok()?, year.parse().ok()?))
            }
            ["links", id] => Some(Other::Links(id.parse().ok()?)),
            _ => None,
        }
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let acme = || TenantId::parse("acme").unwrap();
        let keys = vec![Other::Access(acme(), 683), Other::Evidence(acme(), 2014), Other::Links(1)];
        assert_eq!(read_note(&write_note(&keys)), Some(keys), "word for word");
        for bad in ["access acme", "links 256", "links 1 2", "day acme mail 1", "access ACME 1"] {
            assert_eq!(read_note(bad), None, "{bad}");
        }
    }
}

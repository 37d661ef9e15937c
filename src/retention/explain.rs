//! Says what will be destroyed and why: the same judgement, without effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use super::{
    DayKey, Retention, RetentionError, TenantRules,
    judge::{Doubt, Verdict, Why, day_begins, judge, latest_day},
    service_of,
};
use crate::{
    domain::{
        calendar::retention::{day_of_number, local_day},
        ids::{JobId, TenantId},
    },
    store::{
        jobs::{self, JobRow},
        retention::{self, DueJob},
        uploads,
    },
};

/// The doubt that does not keep a delivery from moving to a later key.
const MOVABLE: &str = Doubt::UnknownDate.code();
/// Deliveries that a plan looks at; it says so when there are more.
const PLANNED_MAX: i64 = 10_000;

/// What a tick would do now.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The instant it was made for.
    pub at: DateTime<Utc>,
    /// The clocks disagree by so many seconds: nothing would be destroyed.
    pub held_seconds: Option<i64>,
    /// What would happen, by tenant, service and day.
    pub days: Vec<PlannedDay>,
    /// Uploads that would be ended.
    pub uploads: usize,
    /// There is more than one plan can show.
    pub more: bool,
}

/// What would happen to one day's deliveries of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedDay {
    /// Whose.
    pub tenant: TenantId,
    /// `mail` or `postal`.
    pub service: &'static str,
    /// The first day on which they are gone.
    pub day: Option<NaiveDate>,
    /// Whether the day's key would be destroyed.
    pub destroys_key: bool,
    /// Deliveries whose window has closed.
    pub due: usize,
    /// Deliveries that were ended before they left.
    pub ended: usize,
    /// Deliveries too old to be sent.
    pub never_dispatched: usize,
    /// Deliveries that would move to a later key.
    pub moved: usize,
    /// Deliveries that a person has to look at, with the reason.
    pub doubtful: Vec<(String, &'static str)>,
}

/// Why one delivery is kept, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Which delivery.
    pub job: String,
    /// Whose.
    pub tenant: TenantId,
    /// Where it stands.
    pub stage: &'static str,
    /// The tenant's zone.
    pub zone: String,
    /// When the relay or the partner took it.
    pub dispatched_at: Option<DateTime<Utc>>,
    /// The same as a day of the tenant's calendar.
    pub dispatched_on: Option<NaiveDate>,
    /// How long it is kept, in words.
    pub rule: String,
    /// The last day on which the document can be opened.
    pub last_kept_day: Option<NaiveDate>,
    /// The instant of its destruction.
    pub purge_at: Option<DateTime<Utc>>,
    /// The day whose key opens it.
    pub key_day: Option<NaiveDate>,
    /// An unsent job is ended at this instant.
    pub too_old_at: Option<DateTime<Utc>>,
    /// What keeps it beyond its day, as a code.
    pub held_by: Option<&'static str>,
    /// When it was destroyed.
    pub purged_at: Option<DateTime<Utc>>,
}

impl Retention {
    /// What a tick would do at `at`, without doing any of it. No key is tried:
    /// one that does not open shows in the tick.
    pub async fn plan(&self, at: DateTime<Utc>) -> Result<Plan, RetentionError> {
        let mut days = BTreeMap::new();
        let mut tx = self.db.read().await?;
        let due = retention::due(&mut tx, latest_day(at), at, PLANNED_MAX).await?;
        let mut old = self.old_undispatched(&mut tx, at, PLANNED_MAX).await?;
        let limit = usize::try_from(PLANNED_MAX).unwrap_or(usize::MAX);
        let uploads = uploads::spent(&mut tx, at, PLANNED_MAX).await?.len();
        let more = due.len() >= limit || old.len() >= limit || uploads >= limit;
        old.retain(|job| !due.iter().any(|due| due.id == job.id));
        for job in due.iter().chain(&old) {
            self.enter(&mut days, job, at);
        }
        let keys =
            self.keys.undestroyed_days_before(latest_day(at).saturating_add(1), 1_000).await?;
        let keys: Vec<DayKey> = keys
            .into_iter()
            .filter(|key| day_begins(key.2, self.rules(&key.0).zone).is_some_and(|day| day <= at))
            .collect();
        for number in keys.iter().map(|key| key.2).collect::<BTreeSet<_>>() {
            for job in retention::exceptions_on_day(&mut tx, number, at).await? {
                if due.iter().chain(&old).all(|known| known.id != job.id) {
                    self.enter(&mut days, &job, at);
                }
            }
        }
        drop(tx);
        for key in &keys {
            let day = days.entry(key.clone()).or_insert_with(|| planned(key));
            day.destroys_key = day.doubtful.iter().all(|(_, code)| *code == MOVABLE);
        }
        let days = days.into_values().collect();
        let held_seconds = self.apart(at).await?.map(|apart| apart.num_seconds());
        Ok(Plan { at, held_seconds, days, uploads, more })
    }

    fn enter(&self, days: &mut BTreeMap<DayKey, PlannedDay>, job: &DueJob, at: DateTime<Utc>) {
        let key = (job.tenant.clone(), service_of(job.channel), job.purge_day);
        let verdict = judge(job, at, &self.rules(&job.tenant));
        if verdict == Verdict::Kept {
            return;
        }
        let day = days.entry(key.clone()).or_insert_with(|| planned(&key));
        let (count, doubt) = match verdict {
            Verdict::Kept => return,
            Verdict::Due(Why::WindowClosed) => (Some(&mut day.due), None),
            Verdict::Due(Why::Ended) => (Some(&mut day.ended), None),
            Verdict::Due(Why::NeverDispatched) => (Some(&mut day.never_dispatched), None),
            Verdict::Later { listed, .. } => (Some(&mut day.moved), listed),
            Verdict::Held(doubt) => (None, Some(doubt)),
        };
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }
        day.doubtful.extend(doubt.map(|doubt| (job.id.to_string(), doubt.code())));
    }

    /// Whether the database's clock disagrees; looks, and remembers nothing.
    async fn apart(&self, at: DateTime<Utc>) -> Result<Option<TimeDelta>, RetentionError> {
        let apart = at.signed_duration_since(self.witness.now().await?).abs();
        Ok((apart > self.settings.clock_tolerance).then_some(apart))
    }

    /// Why a delivery is kept, and until when; none if there is no such one.
    pub async fn explain(
        &self,
        tenant: Option<&TenantId>,
        job: JobId,
    ) -> Result<Option<Explanation>, RetentionError> {
        let now = self.clock.now();
        let mut tx = self.db.read().await?;
        let row = jobs::get(&mut tx, tenant, job).await?;
        let judged = retention::due_one(&mut tx, job).await?;
        drop(tx);
        let both = row.zip(judged);
        Ok(both.map(|(row, judged)| explained(&row, &judged, now, &self.rules(&row.tenant))))
    }
}

fn planned((tenant, service, day): &DayKey) -> PlannedDay {
    PlannedDay {
        tenant: tenant.clone(),
        service: service.word(),
        day: day_of_number(*day),
        destroys_key: false,
        due: 0,
        ended: 0,
        never_dispatched: 0,
        moved: 0,
        doubtful: Vec::new(),
    }
}

fn explained(
    row: &JobRow,
    judged: &DueJob,
    now: DateTime<Utc>,
    rules: &TenantRules,
) -> Explanation {
    let held_by = match judge(judged, now, rules) {
        _ if row.purged_at.is_some() => None,
        _ if judged.sending => Some("sending"),
        Verdict::Held(doubt) | Verdict::Later { listed: Some(doubt), .. } => Some(doubt.code()),
        Verdict::Kept | Verdict::Due(_) | Verdict::Later { listed: None, .. } => None,
    };
    let gone = row.purge_at.map(|at| local_day(at, rules.zone));
    let unsent = row.dispatched_at.is_none() && row.purge_at.is_none();
    Explanation {
        job: row.id.to_string(),
        tenant: row.tenant.clone(),
        stage: row.stage.word(),
        zone: rules.zone.name().to_owned(),
        dispatched_at: row.dispatched_at,
        dispatched_on: row.dispatched_at.map(|at| local_day(at, rules.zone)),
        rule: rule(rules),
        last_kept_day: gone.and_then(|day| day.pred_opt()),
        purge_at: row.purge_at,
        key_day: day_of_number(row.purge_day),
        too_old_at: row.send_at.checked_add_signed(rules.undispatched_max).filter(|_| unsent),
        held_by,
        purged_at: row.purged_at,
    }
}

fn rule(rules: &TenantRules) -> String {
    let months = rules.clock.months;
    let unit = if months == 1 { "month" } else { "months" };
    format!(
        "{months} calendar {unit} after the day of dispatch (Civil Code of Japan, articles 140, \
         141 and 143); a letter from its posting date; unsent, {} days after its time",
        rules.undispatched_max.num_days()
    )
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut line = |name: &str, value: Option<String>| match value {
            Some(value) => writeln!(f, "{name:<16}{value}"),
            None => Ok(()),
        };
        line("job", Some(format!("{} of {}, {}", self.job, self.tenant, self.stage)))?;
        line("rule", Some(self.rule.clone()))?;
        let on = self.dispatched_on.map(|day| format!("{day} in {}", self.zone));
        let at = self.dispatched_at.as_ref().map(instant);
        line("dispatched", on.zip(at).map(|(on, at)| format!("{on} ({at})")))?;
        line("kept through", self.last_kept_day.map(|day| day.to_string()))?;
        line("destroyed from", self.purge_at.as_ref().map(instant))?;
        line("ended unsent at", self.too_old_at.as_ref().map(instant))?;
        line("key dies on", self.key_day.map(|day| day.to_string()))?;
        line("held by", self.held_by.map(str::to_owned))?;
        line("destroyed at", self.purged_at.as_ref().map(instant))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seconds) = self.held_seconds {
            writeln!(f, "HELD: the clocks disagree by {seconds} s; nothing would be destroyed")?;
        }
        if self.uploads > 0 {
            writeln!(f, "{} uploads have expired, and no job waits for them", self.uploads)?;
        }
        if self.days.is_empty() && self.uploads == 0 {
            writeln!(f, "nothing is due")?;
        }
        for day in &self.days {
            let date = day.day.map_or_else(|| "?".to_owned(), |day| day.to_string());
            let key = if day.destroys_key { "key dies" } else { "key stays" };
            writeln!(
                f,
                "{} {} {date}: {key}; due {}, ended {}, never sent {}, moved {}",
                day.tenant, day.service, day.due, day.ended, day.never_dispatched, day.moved
            )?;
            for (job, code) in &day.doubtful {
                writeln!(f, "  {job}: {code}")?;
            }
        }
        if self.more {
            writeln!(f, "and more than one plan can show")?;
        }
        Ok(())
    }
}

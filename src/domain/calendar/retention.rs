//! When a document dies: one civil month after the day it was sent.
//!
//! Civil Code of Japan, articles 140, 141 and 143: the day of dispatch is not
//! counted; the period ends with the day before the corresponding day of the
//! last month, or with that month's last day if there is none. Sent on
//! 28 February, a document is kept through 31 March, not 28 March; this is
//! neither `checked_add_months(1)` nor SQL's `interval '1 month'`. Article 142
//! (holidays) is about acts of people and not applied, nor is the proviso of
//! 140 for a dispatch at midnight.
//!
//! Everything is computed from the day of dispatch, never from an earlier
//! purge date: adding months is not associative.

use chrono::{
    DateTime, Datelike as _, MappedLocalTime, Months, NaiveDate, NaiveDateTime, TimeDelta,
    TimeZone as _, Utc,
};
use chrono_tz::Tz;

/// How long documents are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionClock {
    /// Civil months after the day of dispatch.
    pub months: u32,
}

/// When a document dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    /// The last local day on which the document can be opened.
    pub last_kept_day: NaiveDate,
    /// The first instant after that day: not before, and within the promised
    /// hour after it, everything is destroyed.
    pub purge_at: DateTime<Utc>,
    /// Number of the local day after `last_kept_day`, in days since 1970-01-01:
    /// the day under which keys are destroyed.
    pub purge_day: i64,
}

/// The date lies outside the calendar: fails closed, never "purge now".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the purge date lies outside the calendar")]
pub struct OutsideCalendar;

impl RetentionClock {
    /// One civil month, as promised to everyone.
    pub const ONE_MONTH: Self = Self { months: 1 };

    /// When a document dies that was dispatched at `dispatched`, for a tenant
    /// who lives in `zone`.
    pub fn purge(self, dispatched: DateTime<Utc>, zone: Tz) -> Result<Purge, OutsideCalendar> {
        let day = dispatched
            .naive_utc()
            .checked_add_offset(chrono::Offset::fix(
                &zone.offset_from_utc_datetime(&dispatched.naive_utc()),
            ))
            .ok_or(OutsideCalendar)?
            .date();
        let last_kept_day = last_kept_day(day, self.months).ok_or(OutsideCalendar)?;
        let first_day_gone = last_kept_day.succ_opt().ok_or(OutsideCalendar)?;
        let purge_at = start_of_day(zone, first_day_gone).ok_or(OutsideCalendar)?;
        Ok(Purge { last_kept_day, purge_at, purge_day: day_number(first_day_gone) })
    }
}

/// Articles 140 and 143 in closed form: from the last day of a month to the
/// last day of the month `months` later, otherwise to the same day of it,
/// clamped to its end.
fn last_kept_day(dispatched: NaiveDate, months: u32) -> Option<NaiveDate> {
    let target = dispatched.checked_add_months(Months::new(months))?;
    let last = |day: NaiveDate| day.with_day(u32::from(day.num_days_in_month()));
    if Some(dispatched) == last(dispatched) { last(target) } else { Some(target) }
}

/// The first instant of a local day. Where midnight does not exist, the first
/// instant that does; where it comes twice, the later one: never purge early.
pub fn start_of_day(zone: Tz, day: NaiveDate) -> Option<DateTime<Utc>> {
    let mut time: NaiveDateTime = day.and_hms_opt(0, 0, 0)?;
    // The longest gap on record is the day that Samoa skipped.
    for _ in 0..=200 {
        match zone.from_local_datetime(&time) {
            MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(_, instant) => {
                return Some(instant.with_timezone(&Utc));
            }
            MappedLocalTime::None => time = time.checked_add_signed(TimeDelta::minutes(15))?,
        }
    }
    None
}

/// The local day of an instant.
pub fn local_day(instant: DateTime<Utc>, zone: Tz) -> NaiveDate {
    instant.with_timezone(&zone).date_naive()
}

/// Days since 1970-01-01.
pub fn day_number(day: NaiveDate) -> i64 {
    day.signed_duration_since(NaiveDate::default()).num_days()
}

/// The day with this number.
pub fn day_of_number(number: i64) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(number)?)
}

/// The last day on which evidence must be kept: `years` after the day two
/// months past the end of the fiscal year in which the document was provided
/// (消令70条の13). `fiscal_year_end_month` is 1 to 12.
pub fn evidence_kept_through(
    provided: NaiveDate,
    fiscal_year_end_month: u32,
    years: u32,
) -> Result<NaiveDate, OutsideCalendar> {
    let end = |year: i32| {
        let first = NaiveDate::from_ymd_opt(year, fiscal_year_end_month, 1)?;
        first.with_day(u32::from(first.num_days_in_month()))
    };
    let through = || {
        let this_year = end(provided.year())?;
        let year_end =
            if provided <= this_year { this_year } else { end(provided.year().checked_add(1)?)? };
        let clock_starts = year_end.succ_opt()?.checked_add_months(Months::new(2))?;
        clock_starts.checked_add_months(Months::new(years.checked_mul(12)?))?.pred_opt()
    };
    through().ok_or(OutsideCalendar)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKYO: Tz = Tz::Asia__Tokyo;

    fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
        text.lines().skip(1).map(|row| row.split('\t').collect())
    }

    fn instant(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_ends_when_the_civil_code_says() {
        for row in rows(include_str!("../../../tests/vectors/retention_1month_tokyo.tsv")) {
            let noon = start_of_day(TOKYO, day(row[0])).unwrap() + TimeDelta::hours(12);
            let purge = RetentionClock::ONE_MONTH.purge(noon, TOKYO).unwrap();
            assert_eq!(purge.last_kept_day, day(row[1]), "sent on {}", row[0]);
            assert_eq!(purge.purge_at, instant(row[3]), "sent on {}", row[0]);
            assert_eq!(
                day_of_number(purge.purge_day),
                day(row[1]).succ_opt(),
                "sent on {}",
                row[0]
            );
        }
    }

    #[test]
    fn the_day_of_dispatch_is_the_local_one() {
        for row in rows(include_str!("../../../tests/vectors/retention_instants_tokyo.tsv")) {
            let purge = RetentionClock::ONE_MONTH.purge(instant(row[0]), TOKYO).unwrap();
            assert_eq!(local_day(instant(row[0]), TOKYO), day(row[1]), "sent at {}", row[0]);
            assert_eq!(purge.last_kept_day, day(row[2]), "sent at {}", row[0]);
            assert_eq!(purge.purge_at, instant(row[3]), "sent at {}", row[0]);
        }
    }

    #[test]
    fn a_midnight_that_is_missing_or_comes_twice_purges_nothing_early() {
        for row in rows(include_str!("../../../tests/vectors/retention_zones.tsv")) {
            let zone: Tz = row[0].parse().unwrap();
            let purge = RetentionClock::ONE_MONTH.purge(instant(row[1]), zone).unwrap();
            assert_eq!(local_day(instant(row[1]), zone), day(row[2]), "{}", row[0]);
            assert_eq!(purge.last_kept_day, day(row[3]), "{}", row[0]);
            assert_eq!(purge.purge_at, instant(row[5]), "{}", row[0]);
        }
    }

    #[test]
    fn evidence_lives_its_years() {
        for row in rows(include_str!("../../../tests/vectors/evidence_retention.tsv")) {
            let through = evidence_kept_through(
                day(row[0]),
                row[1].parse().unwrap(),
                row[2].parse().unwrap(),
            );
            assert_eq!(through, Ok(day(row[5])), "{row:?}");
        }
        assert_eq!(
            evidence_kept_through(day("2026-01-01"), 13, 7),
            Err(OutsideCalendar),
            "no 13th month"
        );
    }

    #[test]
    fn a_date_outside_the_calendar_is_an_error_and_not_a_purge() {
        for dispatched in [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC] {
            let outcome = RetentionClock { months: u32::MAX }.purge(dispatched, TOKYO);
            assert_eq!(outcome, Err(OutsideCalendar), "fails closed");
        }
    }

    /// The text of the law, step by step; slow, and independent of ours.
    fn by_the_letter(dispatched: NaiveDate, months: u32) -> NaiveDate {
        let first_counted = dispatched.succ_opt().unwrap(); // 140
        let mut last_month = first_counted.with_day(1).unwrap();
        for _ in 0..months {
            let end = last_month.with_day(u32::from(last_month.num_days_in_month())).unwrap();
            last_month = end.succ_opt().unwrap();
        }
        // 143 (2): the day before the corresponding day, or, if there is none,
        // the last day of the month.
        last_month.with_day(first_counted.day()).map_or_else(
            || last_month.with_day(u32::from(last_month.num_days_in_month())).unwrap(),
            |corresponding| corresponding.pred_opt().unwrap(),
        )
    }

    proptest! {
        #[test]
        fn the_closed_form_is_the_law(number in -10_000_i64..160_000, months in 0_u32..130) {
            let day = day_of_number(number).unwrap();
            let kept = last_kept_day(day, months).unwrap();
            prop_assert_eq!(kept, by_the_letter(day, months));
            prop_assert!(kept >= day.checked_add_months(Months::new(months)).unwrap(), "never earlier than the clamp");
            let next = last_kept_day(day.succ_opt().unwrap(), months).unwrap();
            prop_assert!(next >= kept, "a later dispatch never dies earlier");
            prop_assert_eq!(day_number(day), number);
        }
    }
}

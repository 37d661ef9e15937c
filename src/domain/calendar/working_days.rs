//! Working days: Monday to Friday, without Japan's holidays and the turn of
//! the year, when offices there are closed.
//!
//! The days are Japan's for everyone; the hours of a day are those of the zone
//! that its tenant lives in.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeZone as _, Utc, Weekday};
use chrono_tz::Tz;

use super::{holidays::Holidays, retention::local_day};

/// When people are at their desks.
#[derive(Clone, Debug)]
pub struct WorkingDays {
    /// Where the clock hangs.
    pub zone: Tz,
    /// Whether Saturdays that are no holidays count.
    pub saturdays: bool,
    /// The days off.
    pub holidays: Holidays,
}

/// The longest row of days off that is looked through. A table of overrides
/// that closes more is a mistake; nothing is found then.
const ROW_MAX: usize = 31;

impl WorkingDays {
    /// Monday to Friday, for a tenant who lives in `zone`.
    pub fn of(zone: Tz) -> Self {
        Self { zone, saturdays: false, holidays: Holidays::default() }
    }

    /// Whether `day` is a working day.
    pub fn contains(&self, day: NaiveDate) -> bool {
        let turn_of_year = matches!((day.month(), day.day()), (12, 29..=31) | (1, 1..=3));
        let weekend = match day.weekday() {
            Weekday::Sun => true,
            Weekday::Sat => !self.saturdays,
            Weekday::Mon | Weekday::Tue | Weekday::Wed | Weekday::Thu | Weekday::Fri => false,
        };
        !turn_of_year && !weekend && !self.holidays.contains(day)
    }

    /// The `nth` working day after `day`, which is not counted.
    pub fn after(&self, day: NaiveDate, nth: u8) -> Option<NaiveDate> {
        self.step(day, nth, NaiveDate::succ_opt)
    }

    /// The `nth` working day before `day`, which is not counted.
    pub fn before(&self, day: NaiveDate, nth: u8) -> Option<NaiveDate> {
        self.step(day, nth, NaiveDate::pred_opt)
    }

    fn step(
        &self,
        day: NaiveDate,
        nth: u8,
        next: impl Fn(&NaiveDate) -> Option<NaiveDate>,
    ) -> Option<NaiveDate> {
        let mut day = day;
        for _ in 0..nth {
            let days = std::iter::successors(next(&day), &next).take(ROW_MAX);
            day = days.into_iter().find(|day| self.contains(*day))?;
        }
        Some(day)
    }

    /// The instant of a time of day: the later one where it comes twice, and
    /// an hour later where it is skipped.
    pub fn at(&self, day: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
        let local = day.and_time(time);
        let skipped = || local.checked_add_signed(chrono::TimeDelta::hours(1));
        let found = self.zone.from_local_datetime(&local).latest();
        let found = found.or_else(|| self.zone.from_local_datetime(&skipped()?).latest());
        found.map(|at| at.to_utc())
    }

    /// Whether `now` lies on a working day, from `opens` until before `closes`.
    pub fn is_open(&self, now: DateTime<Utc>, opens: NaiveTime, closes: NaiveTime) -> bool {
        let local = now.with_timezone(&self.zone);
        self.contains(local.date_naive()) && local.time() >= opens && local.time() < closes
    }

    /// The first instant after `now` at which a working day reaches `opens`.
    pub fn next_opening(&self, now: DateTime<Utc>, opens: NaiveTime) -> Option<DateTime<Utc>> {
        let today = local_day(now, self.zone);
        let at = self.contains(today).then(|| self.at(today, opens)).flatten();
        match at {
            Some(at) if at > now => Some(at),
            Some(_) | None => self.at(self.after(today, 1)?, opens),
        }
    }
}

//! The monthly partitions: made ahead of time, dropped once all in them is
//! purged. SQLite has none, and none of this does anything there.

use chrono::{DateTime, Datelike as _, Months, NaiveDate, NaiveTime, Utc};
use uuid::Uuid;

use super::{Db, StoreError, error::Doing as _, run::Change as _};

const ENSURE: &str = "
    -- ensure_months
    SELECT ensure_month($1, $2, $3, $4, $5)
";

/// A month of the calendar, as the partitions know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month(NaiveDate);

impl Month {
    /// The month of an instant, in UTC.
    pub(super) fn of(instant: DateTime<Utc>) -> Option<Self> {
        instant.date_naive().with_day(1).map(Self)
    }

    /// The month with this label, `yyyymm`.
    pub(super) fn parse(label: &str) -> Option<Self> {
        if label.len() != 6 || !label.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        NaiveDate::parse_from_str(&format!("{label}01"), "%Y%m%d").ok().map(Self)
    }

    /// `yyyymm`.
    pub(super) fn label(self) -> String {
        self.0.format("%Y%m").to_string()
    }

    /// The month after.
    pub(super) fn next(self) -> Option<Self> {
        self.0.checked_add_months(Months::new(1)).map(Self)
    }

    /// The month before.
    pub(super) fn previous(self) -> Option<Self> {
        self.0.checked_sub_months(Months::new(1)).map(Self)
    }

    /// The first instant of the month.
    pub(super) fn start(self) -> DateTime<Utc> {
        self.0.and_time(NaiveTime::MIN).and_utc()
    }

    /// The smallest id of the month: its first millisecond, then zeros.
    pub(super) fn first_id(self) -> Uuid {
        let millis = u64::try_from(self.start().timestamp_millis()).unwrap_or(0);
        Uuid::from_u128(u128::from(millis) << 80)
    }

    /// The month's first day: days since 1970-01-01.
    pub(super) fn first_link_day(self) -> i64 {
        NaiveDate::from_ymd_opt(1970, 1, 1)
            .map_or(0, |start| self.0.signed_duration_since(start).num_days())
    }
}

impl Db {
    /// Makes the partitions of last month, this one and the two that follow,
    /// unless they exist. A job whose month has none cannot be accepted, so
    /// call it at start and once a day.
    pub async fn ensure_months(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let Self::Postgres(db) = self else { return Ok(()) };
        let out_of_range = StoreError::Corrupt { column: "now", expected: "a date of our age" };
        let Some(mut month) = Month::of(now).and_then(Month::previous) else {
            return Err(out_of_range);
        };
        let act = "make a month's partitions";
        let mut conn = db.acquire().await.doing(act)?;
        for _ in 0..4 {
            let Some(next) = month.next() else { return Err(out_of_range) };
            sqlx::query(ENSURE)
                .bind(month.label())
                .bind(month.first_id())
                .bind(next.first_id())
                .bind(month.first_link_day())
                .bind(next.first_link_day())
                .run(&mut *conn)
                .await
                .doing(act)?;
            month = next;
        }
        Ok(())
    }
}

/// The statements of this file.
pub(super) const STATEMENTS: &[super::statements::Statement] =
    &[super::statements::postgres("ensure_months", ENSURE)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_with_its_smallest_id() {
        let month = Month::parse("202612").unwrap();
        assert_eq!(month.label(), "202612", "the label is the month's name");
        let before = month.start() - chrono::TimeDelta::milliseconds(1);
        let entropy = crate::entropy::Entropy::from_seed_number(1);
        let last = entropy.id(before).unwrap();
        let first = entropy.id(month.start()).unwrap();
        assert!(last < month.first_id() && month.first_id() <= first, "ids part at midnight");
        assert_eq!(month.next().unwrap().first_link_day() - month.first_link_day(), 31, "December");
        assert!(Month::parse("20261").is_none(), "a label has six digits");
        assert!(Month::parse("202613").is_none(), "and names a month");
    }
}

//! When a print partner takes a letter, and when it will be in the post.
//!
//! A partner closes its batch at a time of day, inclusive to the second, and
//! posts it on its next working day. Sundays, holidays and the turn of the year
//! are days off for all of them, Saturdays for most.

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound as _, TimeZone as _, Utc};

use super::{retention::OutsideCalendar, working_days::WorkingDays};

/// The hours of a print partner.
#[derive(Clone, Debug)]
pub struct CutOff {
    /// The last second of the day at which a letter still goes with the batch.
    pub closes: NaiveTime,
    /// The days on which the partner works.
    pub days: WorkingDays,
}

/// The batch a letter goes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The working day of the batch.
    pub batch_day: NaiveDate,
    /// The instant at which the batch closes; until then a letter can be
    /// cancelled.
    pub closes_at: DateTime<Utc>,
    /// The day on which the partner is expected to post it; the partner's
    /// receipt decides.
    pub post_day: NaiveDate,
}

impl CutOff {
    /// The first batch that a letter requested at `requested` can go with.
    pub fn next_batch(&self, requested: DateTime<Utc>) -> Result<Batch, OutsideCalendar> {
        let local = requested.with_timezone(&self.days.zone);
        let today = local.date_naive();
        // 15:00:00.9 is still 15:00:00 on the partner's clock.
        let in_time = local.time().trunc_subsecs(0) <= self.closes;
        let batch_day =
            if in_time && self.is_open(today) { today } else { self.open_day_after(today)? };
        let closes_at = self
            .days
            .zone
            .from_local_datetime(&batch_day.and_time(self.closes))
            .latest()
            .ok_or(OutsideCalendar)?
            .to_utc();
        Ok(Batch { batch_day, closes_at, post_day: self.open_day_after(batch_day)? })
    }

    /// Whether the partner works on `day`.
    pub fn is_open(&self, day: NaiveDate) -> bool {
        self.days.contains(day)
    }

    fn open_day_after(&self, day: NaiveDate) -> Result<NaiveDate, OutsideCalendar> {
        // Longer than any row of days off; an override table that closes a
        // whole month is a mistake to be noticed.
        day.iter_days().skip(1).take(31).find(|day| self.is_open(*day)).ok_or(OutsideCalendar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partner(open_on_saturdays: bool) -> CutOff {
        CutOff {
            closes: NaiveTime::from_hms_opt(15, 0, 0).unwrap(),
            days: WorkingDays {
                saturdays: open_on_saturdays,
                ..WorkingDays::of(chrono_tz::Tz::Asia__Tokyo)
            },
        }
    }

    #[test]
    fn the_vectors_hold() {
        for row in include_str!("../../../tests/vectors/postal_cutoff_1500.tsv").lines().skip(1) {
            let row: Vec<_> = row.split('\t').collect();
            let requested = DateTime::parse_from_rfc3339(row[0]).unwrap().to_utc();
            for (saturdays, batch_day, post_day) in
                [(false, row[1], row[2]), (true, row[3], row[4])]
            {
                let batch = partner(saturdays).next_batch(requested).unwrap();
                assert_eq!(batch.batch_day.to_string(), batch_day, "requested {}", row[0]);
                assert_eq!(batch.post_day.to_string(), post_day, "requested {}", row[0]);
                assert_eq!(
                    batch.closes_at.to_rfc3339(),
                    format!("{batch_day}T06:00:00+00:00"),
                    "15:00 in Tokyo"
                );
            }
        }
    }

    #[test]
    fn the_cut_off_is_inclusive_to_the_second() {
        let at = |text: &str| {
            partner(false).next_batch(DateTime::parse_from_rfc3339(text).unwrap().to_utc()).unwrap()
        };
        assert_eq!(
            at("2026-11-24T15:00:00.999+09:00").batch_day.to_string(),
            "2026-11-24",
            "still 15:00:00"
        );
        assert_eq!(
            at("2026-11-24T15:00:01+09:00").batch_day.to_string(),
            "2026-11-25",
            "a second too late"
        );
    }

    #[test]
    fn a_partner_that_never_opens_is_an_error() {
        let mut closed = partner(false);
        let start = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        closed.days.holidays.overrides =
            start.iter_days().take(90).map(|day| (day, true)).collect();
        let requested = DateTime::parse_from_rfc3339("2026-11-05T10:00:00+09:00").unwrap().to_utc();
        assert_eq!(closed.next_batch(requested), Err(OutsideCalendar), "no endless search");
    }
}

//! The purged are exactly the due: random deliveries against an independent
//! reading of the rule.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{is_purged, retention, run, zone_of};
use crate::{
    domain::ids::JobId,
    store::work::{CancelAnswer, Next},
    trial::{Office, on_both, tenant},
};

on_both! { "2026-01-31T03:00:00Z" => the_purged_are_exactly_the_due }

/// Purged exactly what an independent reading of the rule says is due.
async fn the_purged_are_exactly_the_due(office: Office) {
    let seed = office.entropy.array::<8>().unwrap();
    let mut chance = chance_from(u64::from_le_bytes(seed));
    let names = ["tokyo", "newyork", "kiritimati", "cairo"];
    let mut expected: BTreeMap<JobId, Option<DateTime<Utc>>> = BTreeMap::new();
    for _ in 0..40 {
        office.wait(TimeDelta::minutes(i64::from(chance.next_u32() % 3_000))).await;
        let name = names[usize::try_from(chance.next_u32() % 4).unwrap()];
        let zone = zone_of(&tenant(name));
        let order = office.mail(name, zone);
        let id = office.accept(&order).await;
        let too_old = order.send_at + TimeDelta::days(30);
        let due = match chance.next_u32() % 5 {
            0 => {
                office.park(id).await;
                Some(too_old)
            }
            1 => {
                assert_eq!(office.cancel(id).await, CancelAnswer::Cancelled, "cancelled");
                let first = RetentionRule::of(order.send_at, zone);
                Some(first)
            }
            2 => {
                office.seal(&order, id, Next::SendNow).await;
                // Still on its way: nobody may touch it.
                None
            }
            _ => {
                office.seal(&order, id, Next::SendNow).await;
                Some(office.dispatch(&order, id).await)
            }
        };
        expected.insert(id, due);
    }
    let retention = retention(&office);
    for _ in 0..40 {
        office.wait(TimeDelta::minutes(i64::from(chance.next_u32() % 2_000))).await;
        run(&retention).await;
        let now = office.now();
        for (id, due) in &expected {
            let should = due.is_some_and(|due| due <= now);
            let is = is_purged(&office, *id).await;
            assert_eq!(is, should, "seed {seed:?}: {id} due {due:?}, now {now}");
        }
    }
}

/// The rule, read again: the day after the same day of the next month, or
/// after its last day.
struct RetentionRule;

impl RetentionRule {
    fn of(sent: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        use chrono::{Datelike as _, TimeZone as _};
        let day = sent.with_timezone(&zone).date_naive();
        let last_of_month = day.succ_opt().unwrap().day() == 1;
        let (year, month) =
            if day.month() == 12 { (day.year() + 1, 1) } else { (day.year(), day.month() + 1) };
        let length = (28..=31)
            .rev()
            .find(|d| chrono::NaiveDate::from_ymd_opt(year, month, *d).is_some())
            .unwrap();
        let kept = if last_of_month { length } else { day.day().min(length) };
        let gone = chrono::NaiveDate::from_ymd_opt(year, month, kept).unwrap().succ_opt().unwrap();
        let midnight = gone.and_hms_opt(0, 0, 0).unwrap();
        zone.from_local_datetime(&midnight).latest().unwrap().with_timezone(&Utc)
    }
}

/// Chance from a seed, so that a failure can be replayed.
fn chance_from(seed: u64) -> SplitMix {
    SplitMix(seed)
}

struct SplitMix(u64);

impl SplitMix {
    fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) >> 32).unwrap()
    }
}

//! The rule, over every stage and a wide range of dates.

use chrono::NaiveDate;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{
    ids::{JobId, TenantId},
    job::Channel,
};

const ZONES: [Tz; 6] = [
    Tz::Asia__Tokyo,
    Tz::America__New_York,
    Tz::Pacific__Kiritimati,
    Tz::Pacific__Niue,
    Tz::Africa__Cairo,
    Tz::America__Santiago,
];

fn rules(zone: Tz) -> TenantRules {
    TenantRules { zone, ..TenantRules::default() }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A delivery that was due to be sent, and perhaps was sent, at `sent`.
fn delivery(stage: Stage, sent: DateTime<Utc>, dispatched: bool, rules: &TenantRules) -> DueJob {
    let purge = rules.clock.purge(sent, rules.zone).unwrap();
    DueJob {
        id: JobId(Uuid::from_u128(1)),
        tenant: TenantId::parse("acme").unwrap(),
        channel: Channel::Email,
        stage,
        purge_day: purge.purge_day,
        purge_at: dispatched.then_some(purge.purge_at),
        send_at: sent,
        segment: None,
        has_work: false,
        sending: false,
    }
}

#[test]
fn a_delivery_dies_at_the_first_instant_of_its_day_and_not_a_second_before() {
    for zone in ZONES {
        let rules = rules(zone);
        let job = delivery(Stage::Opened, at("2026-01-31T03:00:00Z"), true, &rules);
        let due = job.purge_at.unwrap();
        let before = judge(&job, due - TimeDelta::microseconds(1), &rules);
        assert_eq!(before, Verdict::Kept, "{zone}: still its last day");
        assert_eq!(judge(&job, due, &rules), Verdict::Due(Why::WindowClosed), "{zone}: over");
    }
}

#[test]
fn what_was_never_sent_moves_on_and_ends_after_thirty_days() {
    let rules = rules(Tz::Asia__Tokyo);
    for stage in [Stage::Accepted, Stage::Sealed, Stage::Parked] {
        // February: the key's day comes before the thirty days are over.
        let sent = at("2026-02-01T03:00:00Z");
        let mut job = delivery(stage, sent, false, &rules);
        let key_day = day_begins(job.purge_day, rules.zone).unwrap();
        let Verdict::Later { day, listed: None } = judge(&job, key_day, &rules) else {
            panic!("{stage:?} has to move to a later key")
        };
        assert!(day > job.purge_day, "to a later one");
        job.purge_day = day;
        let end = sent + rules.undispatched_max;
        assert_eq!(judge(&job, end - TimeDelta::seconds(1), &rules), Verdict::Kept, "not yet");
        assert_eq!(judge(&job, end, &rules), Verdict::Due(Why::NeverDispatched), "too old");
        assert!(day_begins(day, rules.zone).unwrap() >= end, "its key lives as long");
        job.sending = true;
        assert!(!matches!(judge(&job, end, &rules), Verdict::Due(_)), "not while it is sent");
    }
}

#[test]
fn what_was_ended_before_it_left_dies_with_its_key() {
    let rules = rules(Tz::Asia__Tokyo);
    for stage in [Stage::Cancelled, Stage::Undeliverable, Stage::Recalled] {
        let job = delivery(stage, at("2026-01-10T03:00:00Z"), false, &rules);
        let day = day_begins(job.purge_day, rules.zone).unwrap();
        assert_eq!(judge(&job, day - TimeDelta::seconds(1), &rules), Verdict::Kept, "before");
        assert_eq!(judge(&job, day, &rules), Verdict::Due(Why::Ended), "{stage:?}");
    }
}

#[test]
fn a_sent_delivery_without_a_date_is_kept_and_listed() {
    let rules = rules(Tz::Asia__Tokyo);
    for stage in [Stage::Dispatched, Stage::Opened, Stage::Ambiguous] {
        let job = delivery(stage, at("2026-01-10T03:00:00Z"), false, &rules);
        let years = at("2031-01-10T03:00:00Z");
        let Verdict::Later { day, listed } = judge(&job, years, &rules) else {
            panic!("{stage:?} must neither die nor hold its neighbours")
        };
        assert_eq!(listed, Some(Doubt::UnknownDate), "a person has to look");
        assert!(day_begins(day, rules.zone).unwrap() > years, "to a key that lives");
    }
}

#[test]
fn a_clock_later_than_the_key_moves_the_key() {
    let rules = rules(Tz::Asia__Tokyo);
    let mut job = delivery(Stage::Dispatched, at("2026-01-10T03:00:00Z"), true, &rules);
    let key_day = day_begins(job.purge_day, rules.zone).unwrap();
    job.purge_at = Some(key_day + TimeDelta::days(9));
    let expected = Verdict::Later { day: job.purge_day + 9, listed: None };
    assert_eq!(judge(&job, key_day, &rules), expected, "to the day of its clock");
}

#[test]
fn days_outside_the_calendar_are_held() {
    let rules = rules(Tz::Asia__Tokyo);
    let mut job = delivery(Stage::Dispatched, at("2026-01-10T03:00:00Z"), true, &rules);
    for day in [i64::MAX, i64::MIN] {
        job.purge_day = day;
        let verdict = judge(&job, at("2026-05-01T00:00:00Z"), &rules);
        assert_eq!(verdict, Verdict::Held(Doubt::OutsideCalendar), "fails closed");
    }
}

#[test]
fn no_day_begins_anywhere_after_the_latest_day() {
    for hour in 0..48 {
        let now = at("2026-03-30T00:00:00Z") + TimeDelta::hours(hour);
        for zone in ZONES {
            let today = day_number(local_day(now, zone));
            assert!(today <= latest_day(now), "{zone} at {now}");
        }
    }
}

fn any_instant() -> impl Strategy<Value = DateTime<Utc>> {
    (0..4_000_i64 * 86_400)
        .prop_map(|seconds| at("2024-01-01T00:00:00Z") + TimeDelta::seconds(seconds))
}

proptest! {
    #[test]
    fn nothing_dies_early_and_everything_dated_dies(
        zone in prop::sample::select(ZONES.as_slice()),
        stage in prop::sample::select(Stage::ALL.as_slice()),
        sent in any_instant(),
        dispatched: bool,
        sending: bool,
        later in 0..100_i64 * 86_400,
    ) {
        let rules = rules(zone);
        let mut job = delivery(stage, sent, dispatched, &rules);
        job.sending = sending;
        let now = sent + TimeDelta::seconds(later);
        let verdict = judge(&job, now, &rules);
        let key_day = day_begins(job.purge_day, zone).unwrap();
        if let Verdict::Due(why) = verdict {
            prop_assert!(!sending, "what is in flight is left alone");
            match why {
                Why::WindowClosed => prop_assert!(job.purge_at.unwrap() <= now, "early"),
                Why::Ended => prop_assert!(key_day <= now && !dispatched, "early"),
                Why::NeverDispatched => {
                    prop_assert!(sent + rules.undispatched_max <= now && !dispatched, "early");
                }
            }
        }
        if dispatched && !sending && job.purge_at.unwrap() <= now {
            prop_assert_eq!(verdict, Verdict::Due(Why::WindowClosed), "on its day");
        }
        if let Verdict::Later { day, .. } = verdict {
            prop_assert!(day > job.purge_day, "only to a later key");
            prop_assert!(day_begins(day, zone).unwrap() > now, "to one that lives");
        }
        if verdict == Verdict::Kept {
            prop_assert!(key_day > now, "an undecided delivery never blocks a dead day");
        }
    }
}

#[test]
fn the_epoch_is_day_zero() {
    assert_eq!(day_of_number(0), NaiveDate::from_ymd_opt(1970, 1, 1), "days since 1970");
}

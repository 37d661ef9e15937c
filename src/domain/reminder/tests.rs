use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;

const TOKYO: Tz = Tz::Asia__Tokyo;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Sent, ends, rule; due, or nothing.
fn due(sent: &str, expires: &str, reminder: Reminder, zone: Tz) -> Option<String> {
    let found = reminder.due(at(sent), at(expires), &WorkingDays::of(zone));
    found.map(|at| at.with_timezone(&zone).to_rfc3339())
}

#[test]
fn a_reminder_leaves_on_the_morning_that_was_asked_for() {
    use Reminder::{AfterDays, BeforeExpiryDays};
    let far = "2027-12-31T00:00:00+09:00";
    for (sent, expires, reminder, expected) in [
        // Whatever the hour of the mail.
        ("2025-10-01T07:00:00+09:00", far, AfterDays(2), Some("2025-10-03T08:00:00+09:00")),
        ("2025-10-01T10:00:00+09:00", far, AfterDays(2), Some("2025-10-03T08:00:00+09:00")),
        ("2025-10-01T23:59:59+09:00", far, AfterDays(2), Some("2025-10-03T08:00:00+09:00")),
        // Over a weekend; from a Saturday.
        ("2025-10-03T10:00:00+09:00", far, AfterDays(1), Some("2025-10-06T08:00:00+09:00")),
        ("2025-10-04T10:00:00+09:00", far, AfterDays(1), Some("2025-10-06T08:00:00+09:00")),
        // Golden week: 29 April, 3 to 5 May, and the 6th for the Sunday among them.
        ("2026-04-28T10:00:00+09:00", far, AfterDays(1), Some("2026-04-30T08:00:00+09:00")),
        ("2026-05-01T10:00:00+09:00", far, AfterDays(1), Some("2026-05-07T08:00:00+09:00")),
        // The turn of the year, and the second Monday of January.
        ("2026-12-28T10:00:00+09:00", far, AfterDays(1), Some("2027-01-04T08:00:00+09:00")),
        ("2027-01-08T10:00:00+09:00", far, AfterDays(1), Some("2027-01-12T08:00:00+09:00")),
        // Silver week with a day between two holidays.
        ("2026-09-18T10:00:00+09:00", far, AfterDays(1), Some("2026-09-24T08:00:00+09:00")),
        ("2026-11-20T12:00:00+09:00", far, AfterDays(50), Some("2027-02-08T08:00:00+09:00")),
        // Before the end: the last day itself is not counted.
        (
            "2026-11-20T12:00:00+09:00",
            "2026-12-04T12:00:00+09:00",
            BeforeExpiryDays(2),
            Some("2026-12-02T08:00:00+09:00"),
        ),
        // It ends at midnight: the last day is the day before.
        (
            "2026-11-20T12:00:00+09:00",
            "2026-12-05T00:00:00+09:00",
            BeforeExpiryDays(1),
            Some("2026-12-03T08:00:00+09:00"),
        ),
        // It ends on a Sunday; on the morning after a long weekend.
        (
            "2026-11-20T12:00:00+09:00",
            "2026-11-29T12:00:00+09:00",
            BeforeExpiryDays(1),
            Some("2026-11-27T08:00:00+09:00"),
        ),
        (
            "2026-11-19T12:00:00+09:00",
            "2026-11-24T07:00:00+09:00",
            BeforeExpiryDays(1),
            Some("2026-11-20T08:00:00+09:00"),
        ),
    ] {
        assert_eq!(due(sent, expires, reminder, TOKYO).as_deref(), expected, "{sent} {reminder:?}");
    }
}

#[test]
fn what_would_come_too_late_is_not_sent() {
    use Reminder::{AfterDays, BeforeExpiryDays};
    for (sent, expires, reminder) in [
        // After the end, and in its last hours.
        ("2026-11-20T12:00:00+09:00", "2026-11-24T07:59:00+09:00", AfterDays(1)),
        ("2026-11-20T12:00:00+09:00", "2026-11-24T16:59:00+09:00", AfterDays(1)),
        ("2026-11-20T12:00:00+09:00", "2026-12-04T12:00:00+09:00", AfterDays(50)),
        // Before the mail itself, or with it.
        ("2026-11-20T12:00:00+09:00", "2026-11-24T12:00:00+09:00", BeforeExpiryDays(1)),
        ("2026-11-20T08:00:00+09:00", "2026-11-24T12:00:00+09:00", BeforeExpiryDays(1)),
    ] {
        assert_eq!(due(sent, expires, reminder, TOKYO), None, "{sent} {expires} {reminder:?}");
    }
    // A full working day is enough.
    let enough = due("2026-11-20T12:00:00+09:00", "2026-11-24T17:00:00+09:00", AfterDays(1), TOKYO);
    assert_eq!(enough.as_deref(), Some("2026-11-24T08:00:00+09:00"), "until 17:00");
}

#[test]
fn eight_in_the_morning_is_eight_in_summer_and_winter() {
    let far = "2027-12-31T00:00:00Z";
    for (sent, expected) in [
        // The clocks change on Sunday, 8 March and 1 November 2026.
        ("2026-03-06T12:00:00-05:00", "2026-03-09T08:00:00-04:00"),
        ("2026-10-30T12:00:00-04:00", "2026-11-02T08:00:00-05:00"),
    ] {
        let found = due(sent, far, Reminder::AfterDays(1), Tz::America__New_York);
        assert_eq!(found.as_deref(), Some(expected), "{sent}");
    }
    // The day is the tenant's, not ours: Friday evening in New York.
    let found = due("2026-06-06T01:00:00Z", far, Reminder::AfterDays(1), Tz::America__New_York);
    assert_eq!(found.as_deref(), Some("2026-06-08T08:00:00-04:00"), "the Monday after");
}

#[test]
fn one_of_the_two_and_in_bounds() {
    let claim = |after_days, before_expiry_days| ReminderClaim { after_days, before_expiry_days };
    assert_eq!(Reminder::check(&claim(Some(1), None)), Ok(Reminder::AfterDays(1)), "one");
    assert_eq!(
        Reminder::check(&claim(None, Some(50))),
        Ok(Reminder::BeforeExpiryDays(50)),
        "the other"
    );
    for (given, path) in [
        (claim(None, None), "link.reminder"),
        (claim(Some(1), Some(1)), "link.reminder"),
        (claim(Some(0), None), "link.reminder.after_days"),
        (claim(Some(51), None), "link.reminder.after_days"),
        (claim(Some(i64::MIN), None), "link.reminder.after_days"),
        (claim(None, Some(257)), "link.reminder.before_expiry_days"),
    ] {
        let refused = Reminder::check(&given).unwrap_err();
        assert_eq!(refused.path, Some(path), "{given:?}");
    }
}

#[test]
fn what_was_put_off_leaves_by_day_and_in_time_only() {
    let days = WorkingDays::of(TOKYO);
    let (far, near) = ("2026-12-04T12:00:00+09:00", "2026-11-24T18:00:00+09:00");
    for (now, expires, expected) in [
        ("2026-11-24T08:00:00+09:00", far, true),
        ("2026-11-24T02:00:00+09:00", far, false),
        ("2026-11-24T17:00:00+09:00", far, false),
        // A Saturday, and a holiday.
        ("2026-11-21T10:00:00+09:00", far, false),
        ("2026-11-23T10:00:00+09:00", far, false),
        ("2026-11-24T09:00:00+09:00", near, true),
        ("2026-11-24T09:00:01+09:00", near, false),
    ] {
        assert_eq!(may_leave(at(now), at(expires), &days), expected, "{now} until {expires}");
    }
}

fn unopened() -> Seen {
    Seen {
        stage: Stage::Dispatched,
        sent_at: Some(at("2026-11-20T12:00:00+09:00")),
        expires_at: Some(at("2026-12-04T12:00:00+09:00")),
        opens: 0,
        frozen: false,
        busy: false,
    }
}

#[test]
fn what_is_to_be_done_follows_from_the_books() {
    let days = WorkingDays::of(TOKYO);
    let see = |seen: &Seen, now: &str| look(Reminder::AfterDays(1), seen, at(now), &days);
    let due = at("2026-11-24T08:00:00+09:00");
    assert_eq!(see(&unopened(), "2026-11-24T07:59:59+09:00"), Look::Wait(due), "early");
    assert_eq!(see(&unopened(), "2026-11-24T08:00:00+09:00"), Look::Send, "on the minute");
    let morning = Look::Wait(at("2026-11-25T08:00:00+09:00"));
    assert_eq!(see(&unopened(), "2026-11-24T17:00:00+09:00"), morning, "not in the evening");
    assert_eq!(see(&unopened(), "2026-11-25T02:00:00+09:00"), morning, "nor at night");
    let monday = Look::Wait(at("2026-11-30T08:00:00+09:00"));
    assert_eq!(see(&unopened(), "2026-11-28T10:00:00+09:00"), monday, "nor on a Saturday");
    assert_eq!(see(&unopened(), "2026-12-04T03:00:01+09:00"), Look::TooLate, "nine hours");

    let frozen = Seen { frozen: true, ..unopened() };
    assert_eq!(see(&frozen, "2026-11-24T08:00:00+09:00"), morning, "frozen waits");
    assert_eq!(see(&frozen, "2026-12-03T10:00:00+09:00"), Look::TooLate, "and not for ever");
    let busy = Seen { busy: true, ..unopened() };
    let soon = Look::Wait(at("2026-11-24T08:15:00+09:00"));
    assert_eq!(see(&busy, "2026-11-24T08:00:00+09:00"), soon, "another mail of its own");
    let waiting = Seen { stage: Stage::Parked, sent_at: None, ..unopened() };
    assert_eq!(see(&waiting, "2026-11-24T08:00:00+09:00"), morning, "it has not left yet");
    let reissued = Seen { sent_at: Some(at("2026-11-24T12:00:00+09:00")), ..unopened() };
    assert_eq!(see(&reissued, "2026-11-24T13:00:00+09:00"), morning, "counted from the newer mail");

    for over in [
        Seen { opens: 1, ..unopened() },
        Seen { expires_at: None, ..unopened() },
        Seen { stage: Stage::Opened, ..unopened() },
        Seen { stage: Stage::Cancelled, ..unopened() },
        Seen { stage: Stage::Recalled, ..unopened() },
        Seen { stage: Stage::Undeliverable, ..unopened() },
        Seen { stage: Stage::Purged, ..unopened() },
    ] {
        assert_eq!(see(&over, "2026-11-24T08:00:00+09:00"), Look::NotNeeded, "{over:?}");
    }
}

proptest! {
    /// Whatever is asked for: a working morning, after the mail, a working day
    /// before the end; and looking again at that minute sends it.
    #[test]
    fn a_reminder_is_always_of_use(
        sent in 1_600_000_000_i64..2_500_000_000,
        life in 3_600_i64..40 * 86_400,
        nth in 1_u8..=50,
        after in any::<bool>(),
        zone in prop::sample::select(vec![TOKYO, Tz::America__New_York, Tz::Africa__Cairo, Tz::UTC]),
    ) {
        let days = WorkingDays::of(zone);
        let sent = DateTime::from_timestamp(sent, 0).unwrap();
        let expires = sent + TimeDelta::seconds(life);
        let rule = if after { Reminder::AfterDays(nth) } else { Reminder::BeforeExpiryDays(nth) };
        let (word, count) = rule.parts();
        prop_assert_eq!(Reminder::of_parts(word, count.into()), Some(rule), "read back");
        if let Some(due) = rule.due(sent, expires, &days) {
            let local = due.with_timezone(&zone);
            prop_assert!(days.contains(local.date_naive()), "a working day");
            prop_assert_eq!(local.time(), MORNING, "at eight");
            prop_assert!(due > sent && due + LEFT_MIN <= expires, "in time");
            let end = if after { local_day(sent, zone) } else { local_day(expires - TimeDelta::microseconds(1), zone) };
            let (low, high) = if after { (end, local.date_naive()) } else { (local.date_naive(), end) };
            let between = low.iter_days().skip(1).take_while(|day| *day < high).filter(|day| days.contains(*day)).count();
            let counted = between + 1;
            prop_assert_eq!(counted, usize::from(nth), "so many working days");
            let seen = Seen { sent_at: Some(sent), expires_at: Some(expires), ..unopened() };
            prop_assert_eq!(look(rule, &seen, due, &days), Look::Send, "it leaves");
            prop_assert_eq!(look(rule, &seen, due - TimeDelta::seconds(1), &days), Look::Wait(due), "not before");
        }
    }
}

//! What `kakitome jobs show` says of a job's reminder.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::micros;
use crate::{
    domain::{
        calendar::working_days::WorkingDays,
        reminder::{Look, Reminder, look},
        stage::Stage,
    },
    store::reminders::{Shown, State},
};

/// One line for people.
pub(super) fn line(shown: &Shown, now: DateTime<Utc>, zone: Tz) -> String {
    let count = |days: u8| match days {
        1 => "1 working day".to_owned(),
        days => format!("{days} working days"),
    };
    let rule = match shown.reminder {
        Reminder::AfterDays(days) => format!("{} after the mail left", count(days)),
        Reminder::BeforeExpiryDays(days) => format!("{} before the link ends", count(days)),
    };
    let at = |at: DateTime<Utc>| at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string();
    let when = shown.settled_at.map(at).unwrap_or_default();
    match shown.state {
        State::Sent => format!("sent {when}"),
        State::Unknown => format!("may have been sent {when}: the relay's answer was lost"),
        State::Failed => format!("could not be sent, {when}; the log says why"),
        State::TooLate => format!("not sent: it would have come too late ({rule})"),
        State::NotNeeded => "not needed: the link was opened, or opens no more".to_owned(),
        State::Planned => match planned(shown, now, zone) {
            Some(due) => format!("planned for {}, unless the link is opened", at(due)),
            None => format!("planned: {rule}, unless the link is opened"),
        },
    }
}

/// The same for programs.
pub(super) fn value(shown: &Shown, now: DateTime<Utc>, zone: Tz) -> Value {
    let planned = planned(shown, now, zone).filter(|_| shown.state == State::Planned);
    json!({
        "asked": shown.reminder,
        "state": shown.state.word(),
        "planned_at": planned.map(micros),
        "settled_at": shown.settled_at.map(micros),
    })
}

/// When it is to leave as things stand; nothing while the first mail has not
/// left, or when it is about to be settled.
fn planned(shown: &Shown, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    let dispatched = shown.seen.stage == Stage::Dispatched;
    match look(shown.reminder, &shown.seen, now, &WorkingDays::of(zone)) {
        Look::Wait(at) if dispatched => Some(at),
        Look::Send => Some(now),
        Look::Wait(_) | Look::TooLate | Look::NotNeeded => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reminder::Seen;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn planned() -> Shown {
        Shown {
            reminder: Reminder::AfterDays(1),
            state: State::Planned,
            settled_at: None,
            seen: Seen {
                stage: Stage::Dispatched,
                sent_at: Some(at("2026-11-20T12:00:00+09:00")),
                expires_at: Some(at("2026-12-04T12:00:00+09:00")),
                opens: 0,
                frozen: false,
                busy: false,
            },
        }
    }

    #[test]
    fn a_planned_reminder_says_when_and_a_settled_one_what() {
        let now = at("2026-11-20T13:00:00+09:00");
        let say = |shown: &Shown| line(shown, now, Tz::Asia__Tokyo);
        let value = |shown: &Shown| value(shown, now, Tz::Asia__Tokyo);
        let words = say(&planned());
        assert!(words.starts_with("planned for 2026-11-24 08:00 JST"), "{words}");
        assert_eq!(value(&planned())["planned_at"], "2026-11-23T23:00:00.000000Z", "for programs");
        assert_eq!(value(&planned())["asked"], json!({"after_days": 1}), "as it was asked for");

        let unsent = Seen { stage: Stage::Sealed, sent_at: None, ..planned().seen };
        let unsent = Shown { seen: unsent, ..planned() };
        assert!(say(&unsent).starts_with("planned: 1 working day after"), "no date yet");
        assert_eq!(value(&unsent)["planned_at"], Value::Null, "nor for programs");

        let when = Some(at("2026-11-24T08:00:03+09:00"));
        let sent = Shown { state: State::Sent, settled_at: when, ..planned() };
        assert_eq!(say(&sent), "sent 2026-11-24 08:00 JST", "when it was taken");
        assert_eq!(value(&sent)["planned_at"], Value::Null, "nothing is planned any more");
        assert_eq!(value(&sent)["state"], "sent", "the word of the books");
    }
}

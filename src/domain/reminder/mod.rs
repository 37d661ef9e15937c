//! One reminder of a link that nobody has opened: when it leaves, and when it
//! is better left alone.
//!
//! A sender asks for it in working days, after the mail with the link left or
//! before the link ends. It leaves at 08:00 in the tenant's zone, whatever the
//! hour at which the first mail left. A reminder that leaves its reader less
//! than a working day is not sent: it would only annoy. Nor is one sent at
//! night or on a holiday because we were late ourselves; it waits for the next
//! working morning.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    calendar::{retention::local_day, working_days::WorkingDays},
    refusal::{Refusal, Refused},
    stage::Stage,
};

/// The most working days that can be asked for.
pub const REMINDER_DAYS_MAX: u8 = 50;

/// From when on reminders leave.
const MORNING: NaiveTime = hour(8);
/// From when on they wait for the next morning.
const EVENING: NaiveTime = hour(17);
/// What a reminder leaves of the link's life, at the least: a working day.
const LEFT_MIN: TimeDelta = TimeDelta::hours(9);
/// When a delivery is looked at again that another mail of its own holds up.
const BUSY: TimeDelta = TimeDelta::minutes(15);

const fn hour(hour: u32) -> NaiveTime {
    match NaiveTime::from_hms_opt(hour, 0, 0) {
        Some(time) => time,
        None => NaiveTime::MIN,
    }
}

/// A reminder as the sender wrote it: one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReminderClaim {
    /// Working days after the mail with the link left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_days: Option<i64>,
    /// Working days before the link ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_expiry_days: Option<i64>,
}

/// When a link that nobody opened is brought to mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reminder {
    /// So many working days after the mail with the link left; 1 to 50.
    AfterDays(u8),
    /// So many working days before the last day on which the link opens; 1 to
    /// 50.
    BeforeExpiryDays(u8),
}

impl Reminder {
    /// Checks what the sender wrote: exactly one of the two, in bounds.
    pub fn check(claim: &ReminderClaim) -> Result<Self, Refused> {
        let bounded = |days: i64, path| {
            let days = u8::try_from(days).ok();
            let days = days.filter(|days| (1..=REMINDER_DAYS_MAX).contains(days));
            days.ok_or(Refusal::BadOption.at(path))
        };
        match (claim.after_days, claim.before_expiry_days) {
            (Some(days), None) => bounded(days, "link.reminder.after_days").map(Self::AfterDays),
            (None, Some(days)) => {
                let path = "link.reminder.before_expiry_days";
                bounded(days, path).map(Self::BeforeExpiryDays)
            }
            (None, None) | (Some(_), Some(_)) => Err(Refusal::BadOption.at("link.reminder")),
        }
    }

    /// The word of the rule, and its days, as the books keep them.
    pub const fn parts(self) -> (&'static str, u8) {
        match self {
            Self::AfterDays(days) => ("after", days),
            Self::BeforeExpiryDays(days) => ("before", days),
        }
    }

    /// Reads what [`parts`](Self::parts) wrote.
    pub fn of_parts(rule: &str, days: i64) -> Option<Self> {
        let days = u8::try_from(days).ok()?;
        match rule {
            "after" => Some(Self::AfterDays(days)),
            "before" => Some(Self::BeforeExpiryDays(days)),
            _ => None,
        }
    }

    /// When the reminder of a link is due whose mail left at `sent` and that
    /// ends at `expires`; nothing when it would come before the mail, or leave
    /// less than a working day.
    pub fn due(
        self,
        sent: DateTime<Utc>,
        expires: DateTime<Utc>,
        days: &WorkingDays,
    ) -> Option<DateTime<Utc>> {
        let day = match self {
            Self::AfterDays(nth) => days.after(local_day(sent, days.zone), nth)?,
            Self::BeforeExpiryDays(nth) => {
                // A link that ends at midnight opens last on the day before.
                let last = expires.checked_sub_signed(TimeDelta::microseconds(1))?;
                days.before(local_day(last, days.zone), nth)?
            }
        };
        let at = days.at(day, MORNING)?;
        (at > sent && leaves_time(at, expires)).then_some(at)
    }
}

impl Reminder {
    /// When to look first at the reminder of a link whose mail is about to
    /// leave: when it is due if the mail leaves now; at once if it never is.
    pub fn first_look(
        self,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
        days: &WorkingDays,
    ) -> DateTime<Utc> {
        self.due(now, expires, days).unwrap_or(now)
    }
}

/// Whether a reminder may leave now that was to leave before: in the hours in
/// which people work, and with a working day left.
pub fn may_leave(now: DateTime<Utc>, expires: DateTime<Utc>, days: &WorkingDays) -> bool {
    days.is_open(now, MORNING, EVENING) && leaves_time(now, expires)
}

/// Whether a person who is reminded at `at` still has a working day.
fn leaves_time(at: DateTime<Utc>, expires: DateTime<Utc>) -> bool {
    at.checked_add_signed(LEFT_MIN).is_some_and(|needed| needed <= expires)
}

/// What the books know of a delivery whose reminder may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where the delivery stands.
    pub stage: Stage,
    /// When its mail was taken by the relay; the newer one, where its link was
    /// issued again.
    pub sent_at: Option<DateTime<Utc>>,
    /// Until when its link opens; nothing when it has none that is alive.
    pub expires_at: Option<DateTime<Utc>>,
    /// How often the link was opened.
    pub opens: i64,
    /// Whether it, or everything of its tenant, is frozen.
    pub frozen: bool,
    /// Whether a mail of the delivery is under way.
    pub busy: bool,
}

/// What is to be done about a reminder now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It leaves.
    Send,
    /// It is looked at again then.
    Wait(DateTime<Utc>),
    /// It would come too late to be of use.
    TooLate,
    /// There is nothing to remind of: the link was opened, or opens no more.
    NotNeeded,
}

/// Looks at a reminder at `now`. Frozen is not over: a frozen delivery is
/// looked at again on the next working morning, as long as there is time.
///
/// A mail of the delivery that is under way is waited for, whatever the books
/// say meanwhile: it may be the reminder itself.
pub fn look(reminder: Reminder, seen: &Seen, now: DateTime<Utc>, days: &WorkingDays) -> Look {
    match judge(reminder, seen, now, days) {
        Look::Send | Look::TooLate | Look::NotNeeded if seen.busy => {
            now.checked_add_signed(BUSY).map_or(Look::TooLate, Look::Wait)
        }
        look @ (Look::Send | Look::TooLate | Look::NotNeeded | Look::Wait(_)) => look,
    }
}

fn judge(reminder: Reminder, seen: &Seen, now: DateTime<Utc>, days: &WorkingDays) -> Look {
    let (true, Some(expires)) = (may_still_need_it(seen), seen.expires_at) else {
        return Look::NotNeeded;
    };
    let due = match (seen.stage, seen.sent_at) {
        (Stage::Dispatched, Some(sent)) => reminder.due(sent, expires, days),
        // It has not left: the next morning tells.
        _ => days.next_opening(now, MORNING),
    };
    let Some(due) = due.filter(|_| leaves_time(now, expires)) else { return Look::TooLate };
    if due > now {
        return Look::Wait(due);
    }
    if seen.frozen || !days.is_open(now, MORNING, EVENING) {
        let morning = days.next_opening(now, MORNING).filter(|at| leaves_time(*at, expires));
        return morning.map_or(Look::TooLate, Look::Wait);
    }
    Look::Send
}

/// Whether the recipient may still have to be reminded one day.
const fn may_still_need_it(seen: &Seen) -> bool {
    match seen.stage {
        Stage::Accepted | Stage::Sealed | Stage::Dispatched | Stage::Ambiguous | Stage::Parked => {
            seen.opens == 0
        }
        Stage::Opened
        | Stage::Cancelled
        | Stage::Recalled
        | Stage::Undeliverable
        | Stage::Purged => false,
    }
}

#[cfg(test)]
mod tests;

//! What was sealed, as the books are told of it.

use chrono::{DateTime, Utc};

use super::Step;
use crate::{
    domain::{ids::JobId, reminder::Reminder},
    store::ledger::EventRow,
};

/// A document that lies sealed in a segment.
#[derive(Clone, Debug)]
pub struct SealedJob {
    /// The delivery.
    pub job: JobId,
    /// Where the artifact begins in the segment, in bytes.
    pub artifact_offset: i64,
    /// How long it is there, in bytes.
    pub artifact_len: i64,
    /// The sealed mail beside it, if it goes by mail.
    pub mail: Option<SealedMail>,
    /// How long the plain PDF is, in bytes.
    pub pdf_len: i64,
    /// SHA-256 of the plain PDF.
    pub pdf_sha256: [u8; 32],
    /// How many pages it has.
    pub pages: i64,
    /// Template and version, if it was rendered from one.
    pub template: Option<String>,
    /// The renderer's version.
    pub renderer: Option<String>,
    /// The link that opens it, if it goes by mail.
    pub link: Option<NewLink>,
    /// What comes next.
    pub next: Next,
    /// The event `sealed`.
    pub event: EventRow,
}

/// Where a sealed mail lies in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedMail {
    /// Where it begins, in bytes.
    pub offset: i64,
    /// How long it is, in bytes.
    pub len: i64,
    /// The hour of its key: hours since 1970.
    pub hour: i64,
}

/// A link, as we keep it: not the token, only its print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// The day of issue: days since 1970-01-01.
    pub day: i64,
    /// HMAC of the token.
    pub print: Vec<u8>,
    /// Until when it opens.
    pub expires_at: DateTime<Utc>,
    /// How often it opens.
    pub max_opens: i64,
    /// The reminder that was asked for, and when to look at it first.
    pub reminder: Option<(Reminder, DateTime<Utc>)>,
}

impl NewLink {
    /// Rule, days and first look of its reminder, as the books keep them.
    pub(super) fn plan(&self) -> Option<(&'static str, i64, i64)> {
        let (reminder, at) = self.reminder?;
        let (rule, days) = reminder.parts();
        Some((rule, days.into(), at.timestamp_micros()))
    }
}

/// What comes after sealing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The caller sends the mail at once: the lease stays, the marker is set.
    SendNow,
    /// The letter waits, unleased, for its partner's next collection.
    HandOver {
        /// Not before this instant.
        run_at: DateTime<Utc>,
        /// The partner that prints it.
        partner: String,
    },
}

impl SealedJob {
    pub(super) fn step(&self) -> Step {
        match self.next {
            Next::SendNow => Step::Send,
            Next::HandOver { .. } => Step::HandOver,
        }
    }

    pub(super) fn run_at(&self) -> Option<i64> {
        match self.next {
            Next::SendNow => None,
            Next::HandOver { run_at, .. } => Some(run_at.timestamp_micros()),
        }
    }

    pub(super) fn partner(&self) -> Option<&str> {
        match &self.next {
            Next::SendNow => None,
            Next::HandOver { partner, .. } => Some(partner),
        }
    }

    pub(super) fn sends_now(&self) -> bool {
        self.next == Next::SendNow
    }
}

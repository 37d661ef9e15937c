//! The stages a delivery passes, and the only moves between them.
//!
//! One table, [`Stage::after`], decides; the database stores what it returns
//! and the drawing in docs/ARCHITECTURE.md is generated from it. There is no
//! stage for "rendered": the plain PDF lives in memory between `render` and
//! `seal` and never touches a disk. There is none for "sending" either: that is
//! a marker on the work row.
//!
//! Moves of our own that the table does not know are bugs ([`IllegalMove`]).
//! Facts that come from outside arrive late, twice or out of order; they have
//! arms of their own, no-ops included.

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The job is on our books, and its sender has been told so.
    Accepted,
    /// The document is rendered and lies encrypted in a segment.
    Sealed,
    /// The mail relay answered 250, or the print partner accepted the piece.
    Dispatched,
    /// The recipient opened the document.
    Opened,
    /// The mail may or may not have been taken by the relay; a person, a
    /// bounce or an open decides. Never resent by itself.
    Ambiguous,
    /// A person has to look at it; `reason` holds the code.
    Parked,
    /// The sender took the job back before it was dispatched.
    Cancelled,
    /// The sender took the document back after it was dispatched.
    Recalled,
    /// The mail bounced for good, or the letter came back.
    Undeliverable,
    /// Retention is over: payload, sealed bytes and key are gone.
    Purged,
}

/// What can happen to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The document was rendered and sealed.
    Seal,
    /// The relay answered 250, or the partner accepted the piece.
    Dispatch,
    /// The connection died between the final dot and the reply.
    LoseReply,
    /// A person opened the link.
    Open,
    /// The mail bounced for good, or the letter was returned.
    Return,
    /// Trying again by ourselves cannot help.
    Park,
    /// An operator sends a parked or ambiguous job on its way again.
    Retry,
    /// The sender takes the job back before dispatch.
    Cancel,
    /// The sender takes the document back after dispatch.
    Recall,
    /// The retention window closed, or the job grew too old to send.
    Expire,
}

/// A move that the rules do not know: a bug, never an operating error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a delivery that is {} cannot {event:?}", stage.word())]
pub struct IllegalMove {
    /// Where the delivery stood.
    pub stage: Stage,
    /// What was asked of it.
    pub event: Event,
}

/// The text is not the word of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the word of a stage")]
pub struct UnknownStage;

impl Stage {
    /// Every stage, in the order of the journey.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Sealed,
        Self::Dispatched,
        Self::Opened,
        Self::Ambiguous,
        Self::Parked,
        Self::Cancelled,
        Self::Recalled,
        Self::Undeliverable,
        Self::Purged,
    ];

    /// The stage after `event`.
    #[expect(clippy::match_same_arms, reason = "the table is grouped by meaning, not by outcome")]
    pub fn after(self, event: Event) -> Result<Self, IllegalMove> {
        use Event as E;
        use Stage as S;
        let next = match (self, event) {
            // The journey.
            (S::Accepted, E::Seal) => S::Sealed,
            (S::Sealed | S::Ambiguous, E::Dispatch) => S::Dispatched,
            (S::Sealed | S::Ambiguous, E::LoseReply) => S::Ambiguous,

            // An open is a fact. It may be seen before the 250 is on record
            // (then the 250 is what was missing), and again and again; on what
            // was ended otherwise it is written down and moves nothing.
            (S::Sealed | S::Dispatched | S::Opened | S::Ambiguous, E::Open) => S::Opened,
            // (A parked job's earlier link may still live; so it may after a retry.)
            (S::Accepted, E::Open) => S::Accepted,
            (S::Parked, E::Open) => S::Parked,
            (S::Cancelled, E::Open) => S::Cancelled,
            (S::Recalled, E::Open) => S::Recalled,
            (S::Undeliverable, E::Open) => S::Undeliverable,

            // So are the relay's and the partner's late words.
            (S::Dispatched, E::Dispatch | E::LoseReply) => S::Dispatched,
            (S::Opened, E::Dispatch | E::LoseReply | E::Return) => S::Opened,
            (S::Parked, E::Dispatch) => S::Dispatched,
            (S::Recalled, E::Dispatch | E::LoseReply | E::Return) => S::Recalled,
            (S::Cancelled, E::Dispatch | E::LoseReply | E::Return) => S::Cancelled,
            (S::Undeliverable, E::Dispatch | E::LoseReply | E::Return) => S::Undeliverable,
            (S::Purged, E::Dispatch | E::LoseReply | E::Return) => S::Purged,
            (S::Sealed | S::Dispatched | S::Ambiguous | S::Parked, E::Return) => S::Undeliverable,

            // What needs a person, and what the person does.
            (S::Accepted | S::Sealed, E::Park) => S::Parked,
            (S::Parked, E::Retry) => S::Accepted,
            (S::Ambiguous, E::Retry) => S::Sealed,

            // The sender changes their mind; twice is once.
            (S::Accepted | S::Sealed | S::Parked | S::Cancelled, E::Cancel) => S::Cancelled,
            (S::Dispatched | S::Opened | S::Ambiguous | S::Recalled, E::Recall) => S::Recalled,

            // Retention wins over everything. Only a purged job is left alone.
            (
                S::Accepted
                | S::Sealed
                | S::Dispatched
                | S::Opened
                | S::Ambiguous
                | S::Parked
                | S::Cancelled
                | S::Recalled
                | S::Undeliverable,
                E::Expire,
            ) => S::Purged,

            // The rest is a bug; a test walks every pair, so nothing lands
            // here unseen.
            (stage, event) => return Err(IllegalMove { stage, event }),
        };
        Ok(next)
    }

    /// The word stored in the database and shown to people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sealed => "sealed",
            Self::Dispatched => "dispatched",
            Self::Opened => "opened",
            Self::Ambiguous => "ambiguous",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
            Self::Recalled => "recalled",
            Self::Undeliverable => "undeliverable",
            Self::Purged => "purged",
        }
    }

    /// The stage with this word.
    pub fn parse(word: &str) -> Result<Self, UnknownStage> {
        Self::ALL.into_iter().find(|stage| stage.word() == word).ok_or(UnknownStage)
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 10] = [
        Self::Seal,
        Self::Dispatch,
        Self::LoseReply,
        Self::Open,
        Self::Return,
        Self::Park,
        Self::Retry,
        Self::Cancel,
        Self::Recall,
        Self::Expire,
    ];
}

//! What the log says: the kinds of its events, and the bytes of a leaf.
//!
//! A leaf is deterministic CBOR (RFC 8949, section 4.2.1), described with test
//! vectors in docs/LOG-FORMAT.md, so that anyone can rebuild the tree from an
//! export with a CBOR library and SHA-256 and nothing of ours.
//!
//! A leaf outlives everything personal. It therefore carries facts that are
//! nobody's secret and, for the rest, salted commitments and the digest of a
//! sealed detail; when the salt and the detail are destroyed the leaf still
//! verifies and says nothing.

use std::fmt;

mod leaf;
#[cfg(test)]
mod tests;

pub use leaf::{Fact, LEAF_BYTES_MAX, LEAF_VERSION, Leaf, LeafError, Name};

macro_rules! words {
    ($(#[doc = $head:literal])* $name:ident { $(#[doc = $doc:literal] $variant:ident $word:literal)* }) => {
        $(#[doc = $head])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = $doc] $variant,)*
        }

        impl $name {
            /// Every one, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that is stored, searched for and shown.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one with this word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    };
}

words! {
    /// What happened.
    Kind {
        /// A job was taken on our books.
        Accepted "accepted"
        /// A message was refused; the code says why.
        Rejected "rejected"
        /// The same job came again and changed nothing.
        Duplicate "duplicate"
        /// The key of a known job came with another payload.
        Conflict "conflict"
        /// A finished PDF was uploaded, and rests until a job names it.
        Uploaded "uploaded"
        /// An upload was destroyed: it expired, or its sender deleted it.
        UploadEnded "upload_ended"
        /// The document was rendered and sealed.
        Sealed "sealed"
        /// The relay answered 250, or the partner accepted the piece.
        Dispatched "dispatched"
        /// A step failed and will be tried again.
        AttemptFailed "attempt_failed"
        /// The reply after the final dot was lost.
        Ambiguous "ambiguous"
        /// A batch of letters was handed to a print partner.
        HandedOver "handed_over"
        /// The partner took the piece on its books.
        PartnerAccepted "partner_accepted"
        /// The partner refused the piece.
        PartnerRejected "partner_rejected"
        /// The partner posted the letter.
        Posted "posted"
        /// The letter came back.
        Returned "returned"
        /// A mail bounced; the code says whether for good.
        Bounced "bounced"
        /// The link's page was fetched, by a person or a scanner.
        PageFetched "page_fetched"
        /// A person opened the document.
        Opened "opened"
        /// A person opened the document after the second factor held.
        OpenedVerified "opened_verified"
        /// A code was drawn for a link, to be mailed to the recorded address.
        CodeDrawn "code_drawn"
        /// The relay took the mail with a code.
        CodeMailed "code_mailed"
        /// A code could not be mailed before it was over.
        CodeNotMailed "code_not_mailed"
        /// A code or a passcode was tried; the outcome follows.
        FactorTried "factor_tried"
        /// A code or a passcode was tried too often; the link opens no more.
        FactorLocked "factor_locked"
        /// Whoever has the link says that it is not meant for them.
        NotMine "not_mine"
        /// The document's bytes were asked for within an opened session.
        Downloaded "downloaded"
        /// A download ended; the facts say how many bytes were handed over.
        DownloadEnded "download_ended"
        /// A document was asked for and could not be given, or not to its end; the fact `why` says `damaged` or `away`.
        NotServed "not_served"
        /// An access was never completed; nobody knows what arrived.
        OutcomeUnknown "outcome_unknown"
        /// Tokens with a bad tag were tried; counted per minute and block.
        Guessed "guessed"
        /// A person has to look at the job.
        Parked "parked"
        /// A person sent the job on its way again.
        Retried "retried"
        /// A person had the link issued again; the old one is dead.
        Reissued "reissued"
        /// The relay took the reminder of a link that nobody had opened.
        Reminded "reminded"
        /// A reminder was not sent, or nobody knows whether it was; the code says why.
        NotReminded "not_reminded"
        /// The sender took the job back before dispatch.
        Cancelled "cancelled"
        /// The sender took the document back after dispatch.
        Recalled "recalled"
        /// The mail bounced for good, or the letter came back.
        Undeliverable "undeliverable"
        /// A delivery or a tenant was frozen: nothing opens until it is lifted.
        Frozen "frozen"
        /// A freeze was lifted.
        Unfrozen "unfrozen"
        /// A person ordered that a document be kept longer.
        HoldSet "hold_set"
        /// A person lifted such an order.
        HoldLifted "hold_lifted"
        /// Payload, sealed bytes and key of a job are gone.
        Purged "purged"
        /// A key was destroyed, or, by a person's order, is about to be.
        KeyDestroyed "key_destroyed"
        /// A key was replaced by another, or began to be.
        KeyRotated "key_rotated"
        /// A segment of sealed bytes was destroyed; the fact `orphan` says that no delivery knew it.
        SegmentDestroyed "segment_destroyed"
        /// A job grew too old to be sent and was purged unsent.
        NeverDispatched "never_dispatched"
        /// Clocks disagree; every destruction is held.
        ClockHeld "clock_held"
        /// Clocks agree again.
        ClockReleased "clock_released"
        /// A worker died holding jobs; they were taken back.
        LeaseRecovered "lease_recovered"
        /// Somebody exported a part of the log.
        Exported "exported"
        /// A message came in the name of another tenant.
        WrongTenant "wrong_tenant"
    }
}

words! {
    /// Who did it: a class, never a person's name.
    Actor {
        /// The business application that sent the job.
        Application "application"
        /// One of our workers.
        Worker "worker"
        /// The mail relay.
        Relay "relay"
        /// The print partner.
        Partner "partner"
        /// The recipient, or whoever holds the link.
        Recipient "recipient"
        /// A person of the operator.
        Operator "operator"
        /// The retention clock.
        Retention "retention"
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

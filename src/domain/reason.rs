//! Why a job that was accepted did not arrive, in one table.
//!
//! The job stays on our books; its sender learns the code in an event, and an
//! operator sees it beside the stage. docs/ERRORS.md is generated from this
//! table together with the refusals, and a test keeps it so.

use std::fmt;

use super::stage::Stage;

macro_rules! reasons {
    ($($name:ident $code:literal $stage:ident $means:literal $remedy:literal)*) => {
        /// Why a job is parked, ambiguous, undeliverable, or was purged unsent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $means] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of docs/ERRORS.md.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code that is stored and shown; part of the public contract.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The stage a job comes to rest in for this reason.
            pub const fn stage(self) -> Stage {
                match self { $(Self::$name => Stage::$stage,)* }
            }

            /// What happened, in one sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }

            /// What can be done, in one sentence for people.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    GlyphMissing "glyph_missing" Parked
        "The document uses a character that no installed font can print; the log names the code points."
        "Install a font that has it and retry, or cancel and send a new job with another spelling."
    TemplateFailed "template_failed" Parked
        "The template stopped with an error or used up its allowance."
        "Correct the template with `kakitome render` and retry."
    BadDocumentData "bad_document_data" Parked
        "The data does not have the shape that the template's document kind demands."
        "Cancel, and send a new job with corrected data."
    TotalMismatch "total_mismatch" Parked
        "Sums or taxes in the data do not agree with its lines."
        "Cancel, and send a new job with corrected amounts."
    TooManyPages "too_many_pages" Parked
        "The document has more pages than the template, the partner or the configuration allows."
        "Shorten it and send a new job, or raise the limit and retry."
    BadAsset "bad_asset" Parked
        "The template names an image or font that is not installed, or is too large."
        "Install the asset and retry; nothing is ever fetched."
    PdfUnusable "pdf_unusable" Parked
        "The finished PDF passed the first look, but cannot be delivered; the log says why."
        "Cancel, and send a new job with a sound file."
    PayloadUnreadable "payload_unreadable" Parked
        "What we stored for this job does not open with its key."
        "Look for damage with `kakitome check`; then cancel, and let the sender send again."
    Poisoned "poisoned" Parked
        "The worker ended abnormally each time it held this job."
        "Report it with the job id; cancel, or retry after an update."
    MailFailed "mail_failed" Parked
        "The mail around the link could not be written."
        "Look at the tenant's name, contact and reply address in the configuration, then retry."
    MailRefused "mail_refused" Parked
        "The relay refused this mail for good, for a reason that is not the recipient's."
        "Read the relay's words in the log; retry, or cancel and send it in another way."
    Internal "internal" Parked
        "The job cannot be written down, whatever is tried."
        "Report it with the job id; retry after an update."
    RetriesExhausted "retries_exhausted" Parked
        "The relay or the partner asked us to wait until the last attempt was used up."
        "Find out why in the log, then retry."
    RelayRefused "relay_refused" Parked
        "The mail relay refused us, not the recipient: login, policy, or the sender's domain."
        "Correct the relay, SPF, DKIM or DMARC settings, then retry."
    AddressRequiresSmtputf8 "address_requires_smtputf8" Parked
        "The part before the @ is not ASCII, and the relay does not offer SMTPUTF8."
        "Use a relay that offers it, or ask the recipient for another address."
    Cp932Unmappable "cp932_unmappable" Parked
        "A character of the postal address does not exist in the partner's character set."
        "Agree on a substitute with the recipient, cancel, and send a new job."
    PartnerRejected "partner_rejected" Parked
        "The print partner refused the piece."
        "Read the partner's answer in the log; correct and retry, or cancel."
    PartnerSilent "partner_silent" Parked
        "The print partner took the piece, and then gave no posting date for seven days."
        "Ask the partner; retention already counts from the hand-over."
    AddressSuppressed "address_suppressed" Parked
        "Mail to this address bounced for good before."
        "Ask the recipient for the right address, lift the suppression, and retry."
    LookalikeDomain "lookalike_domain" Parked
        "The recipient's domain looks like one this tenant writes to, but is another."
        "Compare both with care; then approve by a retry, or cancel."
    ReplyLost "reply_lost" Ambiguous
        "The connection died between the end of the mail and the relay's answer: it may have been taken."
        "Ask the recipient or wait for an open or a bounce; a retry sends the same bytes and Message-ID."
    AddressRejected "address_rejected" Undeliverable
        "The recipient's mail system refused the address for good."
        "Ask the recipient for the right address, and send a new job."
    Bounced "bounced" Undeliverable
        "The mail was taken and then came back for good."
        "Ask the recipient for the right address, and send a new job."
    NotMine "not_mine" Undeliverable
        "Whoever has the link says that it is not meant for them; the link opens no more."
        "Check the address with the recipient, and send a new job."
    FactorLocked "factor_locked" Undeliverable
        "The code or passcode of the link was tried too often; the link opens no more."
        "Ask the recipient whether it was them, and send a new job with another passcode."
    LetterReturned "letter_returned" Undeliverable
        "The letter came back; the partner keeps it for one month from the day it was processed."
        "Ask the recipient for the right address, and send a new job. Never resent by itself."
    ReminderTooLate "reminder_too_late" Dispatched
        "The reminder would have left its reader less than a working day of the link's life; none was sent."
        "Ask for a reminder earlier, or for a longer link; the delivery itself is not touched."
    NeverDispatched "never_dispatched" Purged
        "The job reached its maximum age without being sent, and was destroyed."
        "Send a new job with a new key, if it is still wanted."
}

impl Reason {
    /// The reason with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::refusal::Refusal;

    #[test]
    fn no_code_is_both_a_refusal_and_a_reason() {
        let reasons: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(reasons.len(), Reason::ALL.len(), "two reasons share a code");
        for refusal in Refusal::ALL {
            assert!(!reasons.contains(refusal.code()), "{refusal} is used twice");
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.code()), Some(*reason), "codes must come back");
        }
    }
}

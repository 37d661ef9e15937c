//! What an outcome means for the mail.
//!
//! A refusal can be about the recipient (their mailbox is gone: never again),
//! about us (our address is on a list, our signature is missing: a person must
//! look, and the recipient is innocent), or about the moment. Servers say which
//! in the enhanced code of RFC 3463; where they leave it out, the three digits
//! decide. One table holds it all.

use super::{Enhanced, Outcome, Reply, Verb};

/// What is to happen with a mail after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was sent; the clock of its retention starts.
    Sent,
    /// Try again by the ladder of [`super::retry`]; this attempt counts.
    Retry,
    /// Like [`Fate::Retry`], but the recipient's side is the cause (their
    /// mailbox is full): worth telling the sender if it lasts.
    SoftBounce,
    /// The relay is away or refuses us altogether: wait for it; the mail's
    /// attempts do not count.
    RelayAway,
    /// The recipient cannot be reached at this address, now or later.
    Undeliverable,
    /// Our own standing or settings are the cause: a person must look.
    Park,
    /// Refused for good for a reason that is neither.
    Refused,
    /// It may or may not have been sent; never sent again by itself.
    Ambiguous,
    /// It was not offered at all.
    NotOffered,
}

/// A row of the table of enhanced codes: subject, detail (none for any), fate,
/// and the word that the log keeps.
type Row = (u16, Option<u16>, Fate, &'static str);

/// Class 5 by subject and detail; the first row that fits decides.
const ENHANCED: [Row; 16] = [
    (1, Some(1), Fate::Undeliverable, "mailbox_unknown"),
    (1, Some(2), Fate::Undeliverable, "domain_unknown"),
    (1, Some(3), Fate::Undeliverable, "bad_address"),
    (1, Some(6), Fate::Undeliverable, "mailbox_moved"),
    (1, Some(10), Fate::Undeliverable, "domain_takes_no_mail"),
    // 5.1.7 and 5.1.8 are about the sender's address, RFC 3463 §3.2.
    (1, Some(7), Fate::Park, "sender_address_refused"),
    (1, Some(8), Fate::Park, "sender_address_refused"),
    (2, Some(1), Fate::Undeliverable, "mailbox_disabled"),
    (2, Some(2), Fate::SoftBounce, "mailbox_full"),
    (2, Some(3), Fate::Refused, "mail_too_big"),
    (3, Some(4), Fate::Refused, "mail_too_big"),
    (6, Some(7), Fate::Refused, "address_requires_smtputf8"),
    (6, None, Fate::Refused, "content_refused"),
    // Everything about security and policy: 5.7.1, 5.7.26, 5.7.515, …
    (7, None, Fate::Park, "sender_refused"),
    (5, None, Fate::Park, "protocol_refused"),
    (1, None, Fate::Refused, "address_refused"),
];

/// The three digits at RCPT, where there is no enhanced code.
const BARE_AT_RCPT: [(u16, Fate, &str); 4] = [
    (550, Fate::Undeliverable, "mailbox_unknown"),
    (551, Fate::Undeliverable, "mailbox_moved"),
    (552, Fate::SoftBounce, "mailbox_full"),
    (553, Fate::Undeliverable, "bad_address"),
];

/// The three digits anywhere, where there is no enhanced code.
const BARE: [(u16, Fate, &str); 6] = [
    (530, Fate::Park, "sender_refused"),
    (534, Fate::Park, "sender_refused"),
    (535, Fate::Park, "sender_refused"),
    (538, Fate::Park, "sender_refused"),
    (552, Fate::Refused, "mail_too_big"),
    (556, Fate::Undeliverable, "domain_takes_no_mail"),
];

impl Outcome {
    /// What is to happen with the mail.
    pub fn fate(&self) -> Fate {
        self.judge().0
    }

    /// A word for the log and for the sender; holds nothing of the server's text.
    pub fn word(&self) -> &'static str {
        self.judge().1
    }

    fn judge(&self) -> (Fate, &'static str) {
        match self {
            Self::Accepted { .. } => (Fate::Sent, "sent"),
            Self::LostReply { .. } => (Fate::Ambiguous, "reply_lost"),
            Self::Withheld => (Fate::NotOffered, "withheld"),
            Self::Unreachable { verb, why } if verb.concerns_the_mail() => {
                (Fate::Retry, why.word())
            }
            Self::Unreachable { why, .. } => (Fate::RelayAway, why.word()),
            Self::Later { verb, .. } if !verb.concerns_the_mail() => {
                (Fate::RelayAway, "relay_deferred")
            }
            // "Shutting down": said at any time, about nobody.
            Self::Later { reply: Some(Reply { code: 421, .. }), .. } => {
                (Fate::RelayAway, "relay_deferred")
            }
            Self::Later { .. } => (Fate::Retry, "deferred"),
            Self::Refused { verb, .. } if !verb.concerns_the_mail() => {
                (Fate::RelayAway, "relay_refused")
            }
            Self::Refused { reply, verb } => refusal(reply, *verb),
        }
    }
}

fn refusal(reply: &Reply, verb: Verb) -> (Fate, &'static str) {
    let said = reply.enhanced.and_then(|Enhanced(_, subject, detail)| {
        ENHANCED
            .iter()
            .find(|row| row.0 == subject && row.1.is_none_or(|wanted| wanted == detail))
            .map(|row| (row.2, row.3))
    });
    let bare = || {
        let at_rcpt = if verb == Verb::Rcpt { BARE_AT_RCPT.as_slice() } else { &[] };
        let row = at_rcpt.iter().chain(&BARE).find(|row| row.0 == reply.code);
        row.map(|row| (row.1, row.2))
    };
    // `5.0.0` says nothing; the digits may.
    said.or_else(bare).unwrap_or((Fate::Refused, "refused"))
}

#[cfg(test)]
mod tests {
    use super::{super::Trouble, *};

    fn refused(verb: Verb, code: u16, enhanced: Option<(u16, u16)>) -> Outcome {
        let enhanced = enhanced.map(|(subject, detail)| Enhanced(5, subject, detail));
        Outcome::Refused { reply: Reply { code, enhanced, text: String::new() }, verb }
    }

    #[test]
    fn refusals_mean_what_rfc_3463_says() {
        for (code, enhanced, fate) in [
            (550, Some((1, 1)), Fate::Undeliverable),
            (550, Some((1, 2)), Fate::Undeliverable),
            (556, Some((1, 10)), Fate::Undeliverable),
            (552, Some((2, 2)), Fate::SoftBounce),
            (550, Some((2, 1)), Fate::Undeliverable),
            (550, Some((7, 1)), Fate::Park),
            (550, Some((7, 26)), Fate::Park),
            (550, Some((7, 515)), Fate::Park),
            (553, Some((1, 8)), Fate::Park),
            (552, Some((3, 4)), Fate::Refused),
            (553, Some((6, 7)), Fate::Refused),
            (554, Some((4, 7)), Fate::Refused),
            (550, Some((0, 0)), Fate::Undeliverable),
            (550, None, Fate::Undeliverable),
            (551, None, Fate::Undeliverable),
            (552, None, Fate::SoftBounce),
            (553, None, Fate::Undeliverable),
            (530, None, Fate::Park),
            (554, None, Fate::Refused),
        ] {
            let outcome = refused(Verb::Rcpt, code, enhanced);
            assert_eq!(outcome.fate(), fate, "{code} {enhanced:?} at RCPT");
        }
        assert_eq!(refused(Verb::Body, 550, None).fate(), Fate::Refused, "after the content");
        assert_eq!(refused(Verb::Mail, 552, None).fate(), Fate::Refused, "too big");
    }

    #[test]
    fn before_the_mail_is_named_nothing_counts_against_it() {
        for verb in Verb::ALL {
            let (relay, later) = if verb.concerns_the_mail() {
                (Fate::Retry, Fate::Retry)
            } else {
                assert_eq!(refused(verb, 554, Some((7, 1))).fate(), Fate::RelayAway, "{verb:?}");
                (Fate::RelayAway, Fate::RelayAway)
            };
            let broken = Outcome::Unreachable { verb, why: Trouble::Closed };
            assert_eq!(broken.fate(), relay, "{verb:?}");
            let reply = Some(Reply { code: 451, enhanced: None, text: String::new() });
            assert_eq!(Outcome::Later { reply, verb }.fate(), later, "{verb:?}");
            let reply = Some(Reply { code: 421, enhanced: None, text: String::new() });
            assert_eq!(Outcome::Later { reply, verb }.fate(), Fate::RelayAway, "421 at {verb:?}");
        }
    }

    #[test]
    fn a_lost_reply_is_never_repeated() {
        let lost = Outcome::LostReply { why: Trouble::TimedOut };
        assert_eq!((lost.fate(), lost.word()), (Fate::Ambiguous, "reply_lost"));
        assert_eq!(Outcome::Withheld.fate(), Fate::NotOffered);
    }
}

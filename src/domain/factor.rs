//! The second factor of a link: what a person must know or have besides it.
//!
//! A link is a bearer secret; whoever reads the mail has it. A sender may ask
//! for more: a code that we mail to the recorded address when the button is
//! pressed, or a passcode that the sender gave the recipient in another way.
//! The passcode is never sent by us, and is forgotten at the desk: what rests
//! is a slow print of it, sealed with the delivery's personal data.
//!
//! Nothing here prints what it holds.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::refusal::{Refusal, Refused};

/// Shortest passcode, in characters.
pub const PASSCODE_CHARS_MIN: usize = 6;
/// Longest passcode, in characters.
pub const PASSCODE_CHARS_MAX: usize = 64;

/// A second factor as the sender wrote it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FactorClaim {
    /// Eight digits, mailed to the recorded address when the button is pressed.
    EmailCode {},
    /// A word that sender and recipient know.
    Passcode {
        /// The word: 6 to 64 characters.
        passcode: String,
    },
}

/// Which second factor a link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    /// Eight digits by mail.
    EmailCode,
    /// A word of the sender's.
    Passcode,
}

impl FactorKind {
    /// The word in the contract, in the log and on pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EmailCode => "email_code",
            Self::Passcode => "passcode",
        }
    }
}

/// A passcode in the one form in which it is compared.
#[derive(Clone, PartialEq, Eq)]
pub struct Passcode(Zeroizing<String>);

impl Passcode {
    /// What a sender set. NFKC, so that full-width digits are digits, and
    /// without the blanks around it.
    pub fn set(text: &str) -> Result<Self, Refused> {
        let raw = text.chars().count();
        let passcode = Self::typed(text);
        let length = passcode.as_str().chars().count();
        let fits = |length| (PASSCODE_CHARS_MIN..=PASSCODE_CHARS_MAX).contains(&length);
        if fits(raw) && fits(length) && !passcode.as_str().chars().any(char::is_control) {
            Ok(passcode)
        } else {
            Err(Refusal::BadOption.at("link.second_factor.passcode"))
        }
    }

    /// What a person typed; of any length up to the form's.
    pub fn typed(text: &str) -> Self {
        let folded: Zeroizing<String> = Zeroizing::new(text.nfkc().collect());
        Self(Zeroizing::new(folded.trim().to_owned()))
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passcode(..)")
    }
}

/// The second factor of a delivery, as its personal data keep it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SecondFactor {
    /// Eight digits by mail.
    EmailCode,
    /// A word of the sender's.
    Passcode {
        /// Its slow print; see docs/FORMATS.md.
        verifier: String,
    },
}

impl SecondFactor {
    /// Which of the two.
    pub const fn kind(&self) -> FactorKind {
        match self {
            Self::EmailCode => FactorKind::EmailCode,
            Self::Passcode { .. } => FactorKind::Passcode,
        }
    }
}

/// The digits in what a person typed for a code: full-width ones count, and
/// the blanks and hyphens that people and mail programs put between them do
/// not. Nothing when it is not eight digits.
pub fn code_typed(text: &str) -> Option<Zeroizing<String>> {
    let folded: Zeroizing<String> = Zeroizing::new(text.nfkc().take(64).collect());
    let blank = |c: &char| !c.is_whitespace() && !matches!(c, '-' | '‐' | '−' | 'ー');
    let digits: Zeroizing<String> = Zeroizing::new(folded.chars().filter(blank).collect());
    let whole = digits.len() == CODE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then_some(digits)
}

/// Digits of a code.
pub const CODE_DIGITS: usize = 8;

/// An address as a page may show it to whoever holds the link: its first
/// letter and the end of its domain, `s•••@e•••.jp`.
pub fn masked(address: &str) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else { return "•••".to_owned() };
    let first = |text: &str| text.chars().find(|c| *c != '"').map(String::from).unwrap_or_default();
    let end = domain.rsplit_once('.').map(|(_, end)| format!(".{end}")).unwrap_or_default();
    format!("{}•••@{}•••{end}", first(local), first(domain))
}

macro_rules! mute {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
mute! { FactorClaim SecondFactor }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passcode_is_compared_as_people_mean_it() {
        let set = Passcode::set("さくら１２３ ").unwrap();
        assert_eq!(set.as_str(), "さくら123", "full-width digits are digits, blanks around go");
        assert_eq!(Passcode::typed(" さくら123"), set, "typed otherwise");
        assert_ne!(Passcode::typed("さくら124"), set, "another");
    }

    #[test]
    fn a_passcode_out_of_bounds_is_refused_without_being_repeated() {
        for bad in ["", "12345", "     6     ", "abc\u{7}defg", &"a".repeat(65), &"㌀".repeat(17)]
        {
            let refused = Passcode::set(bad).unwrap_err();
            assert_eq!(refused.refusal, Refusal::BadOption, "{bad:?}");
            assert_eq!(refused.path, Some("link.second_factor.passcode"), "where");
        }
        assert!(Passcode::set(&"a".repeat(64)).is_ok(), "the longest");
        assert_eq!(format!("{:?}", Passcode::typed("secret")), "Passcode(..)", "mute");
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for typed in ["12345678", "1234 5678", " 1234-5678 ", "１２３４５６７８"] {
            assert_eq!(
                code_typed(typed).as_deref().map(String::as_str),
                Some("12345678"),
                "{typed}"
            );
        }
        for bad in ["", "1234567", "123456789", "1234567a", "١٢٣٤٥٦٧٨"] {
            assert!(code_typed(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_shown_so_that_its_owner_knows_it_and_nobody_learns_it() {
        assert_eq!(masked("sato@example.co.jp"), "s•••@e•••.jp", "first letters and the end");
        assert_eq!(masked("\"a..b\"@docomo.ne.jp"), "a•••@d•••.jp", "a quoted local part");
        assert_eq!(masked("no address"), "•••", "nothing is guessed");
    }

    #[test]
    fn what_rests_is_told_apart_by_its_kind() {
        let kept = SecondFactor::Passcode { verifier: "v1$a$b".into() };
        let json = serde_json::to_string(&kept).unwrap();
        assert_eq!(json, r#"{"kind":"passcode","verifier":"v1$a$b"}"#, "as it rests");
        assert_eq!(serde_json::from_str::<SecondFactor>(&json).unwrap(), kept, "and back");
        let claim = r#"{"kind":"email_code","passcode":"123456"}"#;
        assert!(serde_json::from_str::<FactorClaim>(claim).is_err(), "one or the other");
    }
}

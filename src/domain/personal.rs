//! What a delivery knows about people, in the one shape in which it is kept.
//!
//! The column `jobs.personal` holds this as JSON, sealed under the delivery's
//! own key with table, column and row as associated data. It is read back when
//! a mail is composed, a letter is addressed, a page is shown to the recipient,
//! and when staff ask; it ends with its key.
//!
//! Nothing here prints what it holds, and the JSON is wiped after use. Fields can be moved
//! out, into a mail or a label.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{factor::SecondFactor, locale::Locale};

/// The sealed column does not hold what this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the personal data of a delivery has an unknown form")]
pub struct BadPersonal;

/// Everything personal about one delivery.
///
/// Fields that a later version adds are absent in old rows, so each new one
/// needs a default; fields are never renamed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    /// The sender's job key: senders put names and numbers into it.
    pub key: String,
    /// The name under which the recipient saves the document.
    pub filename: String,
    /// What the document is called in mail and pages.
    pub title: String,
    /// The company or person it goes to, as it is to be printed.
    pub recipient_name: String,
    /// The contact at the company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The bare address; present for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The language of mail and pages.
    pub locale: Locale,
    /// The sender's own words, handed back in every event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Seven digits without hyphen; present for post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// The address below the postcode, from prefecture to room, one line each;
    /// empty unless the delivery is a letter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address_lines: Vec<String>,
    /// What opening the link asks for besides the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
}

impl Personal {
    /// The bytes to seal; wiped when dropped.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, BadPersonal> {
        serde_json::to_vec(self).map(Zeroizing::new).map_err(|_| BadPersonal)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. The error does not quote
    /// the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadPersonal> {
        serde_json::from_slice(bytes).map_err(|_| BadPersonal)
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Personal {
        Personal {
            key: "invoice-2026-11-0042".into(),
            filename: "請求書.pdf".into(),
            title: "請求書 2026年11月分".into(),
            recipient_name: "株式会社カナリア".into(),
            email: Some("canary@example.jp".into()),
            ..Personal::default()
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = sample().to_bytes().unwrap();
        assert_eq!(Personal::from_bytes(&bytes), Ok(sample()), "the row must come back whole");
        assert_eq!(Personal::from_bytes(b"{}"), Err(BadPersonal), "half a row is no row");
    }

    #[test]
    fn an_unknown_field_of_a_later_version_does_not_lose_the_row() {
        let text = br#"{"key":"k","filename":"f.pdf","title":"t","recipient_name":"n","locale":"en","later":1}"#;
        let read = Personal::from_bytes(text).unwrap();
        assert_eq!(read.locale, Locale::En, "the known fields must be read");
    }

    #[test]
    fn it_does_not_print_what_it_holds() {
        let printed = format!("{:?}", sample());
        assert_eq!(printed, "Personal(..)", "names must not reach a log");
    }
}

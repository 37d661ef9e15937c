//! A job that keeps every rule of the contract, in the form the house works
//! with. Only `intake` makes one.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    evidence::Evidence,
    factor::{FactorKind, Passcode},
    ids::TenantId,
    job::{Channel, Document},
    locale::Locale,
    mail_address::MailAddress,
    pdf::PdfFacts,
    postal_address::PostalAddress,
    reminder::Reminder,
};

/// A checked job. Serialises, so that it can rest (sealed) between the stages
/// and mean the same when a later version of the rules reads it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedJob {
    /// The tenant of the channel it came through, never of the body.
    pub tenant: TenantId,
    /// The sender's key.
    pub key: String,
    /// How the document travels.
    pub channel: Channel,
    /// What is delivered.
    pub document: Document,
    /// What is known of a finished PDF; nothing where it was not looked into yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pdf: Option<PdfFacts>,
    /// The name the recipient saves it under; always set, ends in `.pdf`.
    pub filename: String,
    /// To whom.
    pub recipient: CheckedRecipient,
    /// The terms of the link; the defaults stand here for a letter too.
    pub link: CheckedLink,
    /// Nothing leaves before; the moment of the check for "at once".
    pub send_at: DateTime<Utc>,
    /// What stays searchable for years.
    pub evidence: Evidence,
    /// The sender's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The passcode of the link, on its way to the desk. It does not rest: the
    /// desk keeps a print of it with the personal data.
    #[serde(skip)]
    pub passcode: Option<Passcode>,
}

/// To whom a document goes. `email` is set for mail, `address` for post.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedRecipient {
    /// The company's or the person's name, as it is printed.
    pub name: String,
    /// The contact at the company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Where the mail goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<MailAddress>,
    /// Where the letter goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<PostalAddress>,
    /// The language of mail and pages.
    pub locale: Locale,
}

impl CheckedRecipient {
    /// The lines of the address block, with honorifics, if there is an address.
    pub fn address_block(&self) -> Option<Vec<String>> {
        Some(self.address.as_ref()?.block(&self.name, self.person.as_deref()))
    }
}

/// The terms of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedLink {
    /// Life of the link in seconds, from dispatch on; never past the purge.
    pub ttl_seconds: u64,
    /// How many times the document may be opened: 1 to 1000.
    pub max_opens: u16,
    /// What opening asks for besides the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<FactorKind>,
    /// When a link that nobody opened is brought to mind; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder: Option<Reminder>,
}

impl CheckedLink {
    /// Life of the link from dispatch on.
    pub const fn ttl(self) -> Duration {
        Duration::from_secs(self.ttl_seconds)
    }
}

impl fmt::Debug for CheckedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedJob")
            .field("tenant", &self.tenant)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CheckedRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckedRecipient(..)")
    }
}

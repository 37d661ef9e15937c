//! What goes into a mail, what comes out, and why it may be refused.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use zeroize::Zeroizing;

use crate::domain::{crockford::LinkNumber, locale::Locale};

/// Everything a mail says. Texts are one line each.
#[derive(Clone, Copy)]
pub struct MailOrder<'a> {
    /// The language of the mail.
    pub locale: Locale,
    /// The name beside the sender's address.
    pub from_name: &'a str,
    /// The sender's address.
    pub from_address: &'a str,
    /// Where answers go; without it the mail says that nobody reads them.
    pub reply_to: Option<&'a str>,
    /// The name beside the recipient's address.
    pub to_name: Option<&'a str>,
    /// The recipient's address.
    pub to_address: &'a str,
    /// The first line, with the honorific: `山田 太郎 様`, `Dear Ms Yamada,`.
    pub salutation: Option<&'a str>,
    /// The subject; without it a standard one is made of tenant, title and number.
    pub subject: Option<&'a str>,
    /// The legal name of the tenant whose document it is.
    pub tenant_name: &'a str,
    /// What the document is called: `請求書`.
    pub title: &'a str,
    /// The document's number, if it has one.
    pub document_number: Option<&'a str>,
    /// Where questions go: a telephone number, an address.
    pub contact: Option<&'a str>,
    /// What a recipient reads out on the phone; no secret.
    pub support: LinkNumber,
    /// The secret: an `https` URL that opens the document.
    pub link_url: &'a str,
    /// When the link stops working, in the zone it is to be shown in.
    pub expires_at: DateTime<Tz>,
    /// `<JOBID.1@domain>`; the same on every attempt.
    pub message_id: &'a str,
    /// The `Date` header.
    pub date: DateTime<Utc>,
    /// The envelope sender, see [`crate::dispatch::email::verp`].
    pub return_path: &'a str,
}

impl fmt::Debug for MailOrder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailOrder(..)")
    }
}

/// The mail that a reminder reminds of.
#[derive(Clone, Copy)]
pub struct FirstMail<'a> {
    /// When it left, in the zone its day is to be shown in.
    pub sent_at: DateTime<Tz>,
    /// Its `Message-ID`.
    pub message_id: &'a str,
}

impl fmt::Debug for FirstMail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstMail(..)")
    }
}

/// A finished mail and its envelope. It holds the link: `Debug` is mute.
pub struct Composed {
    /// The message (RFC 5322) with CRLF line ends, ready to be sent.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The envelope sender.
    pub envelope_from: String,
    /// The envelope recipient, quoted and in ASCII where that is needed.
    pub envelope_to: String,
}

impl fmt::Debug for Composed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Composed").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// A part of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `from_name`.
    FromName,
    /// `from_address`.
    FromAddress,
    /// `reply_to`.
    ReplyTo,
    /// `to_name`.
    ToName,
    /// `to_address`.
    ToAddress,
    /// `salutation`.
    Salutation,
    /// `subject`, given or made.
    Subject,
    /// `tenant_name`.
    TenantName,
    /// `title`.
    Title,
    /// `document_number`.
    DocumentNumber,
    /// `contact`.
    Contact,
    /// `return_path`.
    ReturnPath,
}

/// Why a mail was not written.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A text is empty, too long, or could deceive a mail program or a reader.
    #[error("{field:?} holds text that is not allowed in a mail")]
    BadText {
        /// Where it stands.
        field: Field,
    },
    /// An address is none that we send to.
    #[error("{field:?} is not a mail address that can be sent to")]
    BadAddress {
        /// Where it stands.
        field: Field,
    },
    /// The link is no plain URL.
    #[error("the link is not a plain URL")]
    BadLink,
    /// The Message-ID is not of the form we make.
    #[error("the Message-ID is malformed")]
    BadMessageId,
    /// A date lies outside the years 1970 to 9999.
    #[error("a date lies outside the years that a mail can hold")]
    BadDate,
    /// A built-in template does not work: a bug.
    #[error("a mail template failed")]
    Template(#[source] minijinja::Error),
}

impl Fault {
    /// The code that the sender of the job is told.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadText { .. } => "bad_text",
            Self::BadAddress { .. } => "bad_address",
            Self::BadLink | Self::BadMessageId | Self::BadDate | Self::Template(_) => "mail_failed",
        }
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

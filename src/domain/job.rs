//! A send job as its sender wrote it: version 1 of the public contract.
//!
//! This is the shape only. Whether an address can be delivered to, a template
//! exists or a link lives too long is decided by `intake`, which turns a
//! [`SendJob`] into a [`CheckedJob`](super::checked::CheckedJob). The schema in
//! docs/job-v1.schema.json says the same, and a test keeps the two together.
//!
//! Nothing here prints what it holds: a job is personal data from its first
//! byte to its last.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    canonical::canonical_json,
    document::profile::Profile,
    factor::FactorClaim,
    ids::{TenantId, UploadId},
    locale::Locale,
    reminder::ReminderClaim,
};

/// The AMQP message type of a send job.
pub const MESSAGE_TYPE: &str = "kakitome.send.v1";
/// The content type of a send job.
pub const CONTENT_TYPE: &str = "application/json";

/// Longest job key, in characters; longer ones are `bad_field`.
pub const KEY_CHARS_MAX: usize = 128;
/// Longest name of a party or counterparty, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// Longest name of a contact person, in characters.
pub const PERSON_CHARS_MAX: usize = 60;
/// Longest line of a postal address, in characters: more does not fit a window.
pub const ADDRESS_LINE_CHARS_MAX: usize = 50;
/// Longest document number or customer code, in characters.
pub const NUMBER_CHARS_MAX: usize = 64;
/// Longest reference of the sender's own, in characters.
pub const REFERENCE_CHARS_MAX: usize = 200;
/// Longest file name, in characters.
pub const FILENAME_CHARS_MAX: usize = 120;
/// Longest e-mail address, in octets (RFC 5321 §4.5.3.1.3 less the brackets).
pub const EMAIL_OCTETS_MAX: usize = 254;

/// A job as its sender wrote it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendJob {
    /// The sender's key: one key is one delivery, for ever. Characters
    /// `A-Z a-z 0-9 . _ : / @ + = # ~ -`, at most [`KEY_CHARS_MAX`].
    pub key: String,
    /// Whom the sender believes to be; compared with the channel, never trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// How the document travels.
    pub channel: Channel,
    /// What is delivered.
    pub document: Document,
    /// To whom.
    pub recipient: Recipient,
    /// The terms of the link; mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkTerms>,
    /// RFC 3339 instant before which nothing leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<String>,
    /// What must stay searchable after the document is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceClaim>,
    /// The sender's own words, handed back in every event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// How a document travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A mail with an expiring link.
    Email,
    /// A letter, through a print partner.
    Post,
}

impl Channel {
    /// The word stored in the database and used in the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Post => "post",
        }
    }

    /// The channel with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Email, Self::Post].into_iter().find(|channel| channel.word() == word)
    }
}

/// What is delivered: something to render, or a finished PDF.
#[derive(Clone, PartialEq)]
pub enum Document {
    /// A template of the registry, and the data that fills it.
    Template {
        /// Name in the registry; never a path.
        template: String,
        /// What the template is filled with.
        data: Map<String, Value>,
        /// What kind of PDF it becomes; plain if absent.
        profile: Option<Profile>,
        /// Whether the data are attached to the PDF; not if absent.
        attach_data: Option<bool>,
        /// The name the recipient saves it under.
        filename: Option<String>,
    },
    /// A PDF that the sender made.
    Pdf {
        /// The file.
        bytes: Vec<u8>,
        /// The name the recipient saves it under.
        filename: Option<String>,
    },
    /// A PDF that the sender made and uploaded before.
    Upload {
        /// Its upload.
        upload: UploadId,
        /// The name the recipient saves it under.
        filename: Option<String>,
    },
}

impl Document {
    /// The name the recipient saves it under, if the sender chose one.
    pub fn filename(&self) -> Option<&str> {
        match self {
            Self::Template { filename, .. }
            | Self::Pdf { filename, .. }
            | Self::Upload { filename, .. } => filename.as_deref(),
        }
    }

    /// The name of the template, if one is to be rendered.
    pub fn template(&self) -> Option<&str> {
        match self {
            Self::Template { template, .. } => Some(template),
            Self::Pdf { .. } | Self::Upload { .. } => None,
        }
    }
}

/// To whom a document goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The company's or the person's name, as it is to be printed.
    pub name: String,
    /// The contact at the company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// One bare address; needed for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The language of mail and pages; Japanese if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// Needed for post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressClaim>,
}

/// A postal address as the sender wrote it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressClaim {
    /// Seven digits, with or without hyphen and 〒, half or full width.
    pub postal_code: String,
    /// One of the 47.
    pub prefecture: String,
    /// City, ward, town.
    pub city: String,
    /// Block and house number.
    pub line1: String,
    /// Building and room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// ISO 3166-1 alpha-2; only `JP`, which is also what absence means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// The terms of a link as the sender wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkTerms {
    /// Life of the link from dispatch on: `14d`, `36h`, `90m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// How many times the document may be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_opens: Option<i64>,
    /// What opening asks for besides the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<FactorClaim>,
    /// When a link that nobody opened is brought to mind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder: Option<ReminderClaim>,
}

/// What must stay searchable, as the sender wrote it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceClaim {
    /// Number of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Transaction date, `2026-11-30`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Total, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// ISO 4217; `JPY` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Name of the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<String>,
    /// The sender's code for the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty_code: Option<String>,
}

impl SendJob {
    /// The bytes that say whether two jobs are the same job: canonical JSON,
    /// without `tenant`, so that naming it or not makes no difference.
    ///
    /// # Panics
    /// Never: every value of this type has a JSON form.
    #[expect(
        clippy::expect_used,
        reason = "a job is strings, integers and JSON: it always serialises"
    )]
    pub fn canonical(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).expect("a job is JSON");
        if let Value::Object(map) = &mut value {
            map.shift_remove("tenant");
        }
        canonical_json(&value)
    }
}

/// The id of an upload in its one spelling, as the receipt gave it.
pub fn parse_upload(text: &str) -> Option<UploadId> {
    let upload: UploadId = text.parse().ok()?;
    (upload.to_string() == text).then_some(upload)
}

/// How [`Document`] looks in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentIn {
    template: Option<String>,
    data: Option<Map<String, Value>>,
    pdf: Option<PdfIn>,
    profile: Option<Profile>,
    attach_data: Option<bool>,
    filename: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PdfIn {
    base64: Option<String>,
    upload: Option<String>,
}

#[derive(Serialize)]
struct DocumentOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pdf: Option<PdfOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attach_data: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
}

#[derive(Serialize)]
struct PdfOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<String>,
}

impl Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let out = match self {
            Self::Template { template, data, profile, attach_data, filename } => DocumentOut {
                template: Some(template),
                data: Some(data),
                pdf: None,
                profile: *profile,
                attach_data: *attach_data,
                filename: filename.as_deref(),
            },
            Self::Pdf { bytes, filename } => DocumentOut {
                template: None,
                data: None,
                pdf: Some(PdfOut {
                    base64: Some(data_encoding::BASE64.encode(bytes)),
                    upload: None,
                }),
                profile: None,
                attach_data: None,
                filename: filename.as_deref(),
            },
            Self::Upload { upload, filename } => DocumentOut {
                template: None,
                data: None,
                pdf: Some(PdfOut { base64: None, upload: Some(upload.to_string()) }),
                profile: None,
                attach_data: None,
                filename: filename.as_deref(),
            },
        };
        out.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let whole = DocumentIn::deserialize(deserializer)?;
        let DocumentIn { template, data, pdf, profile, attach_data, filename } = whole;
        if pdf.is_some() && (profile.is_some() || attach_data.is_some()) {
            return Err(D::Error::custom("a finished PDF stays what it is"));
        }
        match (template, data, pdf) {
            (Some(template), Some(data), None) => {
                Ok(Self::Template { template, data, profile, attach_data, filename })
            }
            (None, None, Some(PdfIn { base64: None, upload: Some(upload) })) => {
                let upload = parse_upload(&upload).ok_or(D::Error::custom("not an upload"))?;
                Ok(Self::Upload { upload, filename })
            }
            (None, None, Some(PdfIn { base64: Some(base64), upload: None })) => {
                let bytes = data_encoding::BASE64
                    .decode(base64.as_bytes())
                    .map_err(|_| D::Error::custom("not base64"))?;
                Ok(Self::Pdf { bytes, filename })
            }
            _ => Err(D::Error::custom("a document is a template with data, or a pdf")),
        }
    }
}

impl fmt::Debug for SendJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendJob").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Template { .. } => "Template(..)",
            Self::Pdf { .. } => "Pdf(..)",
            Self::Upload { .. } => "Upload(..)",
        })
    }
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
mute! { Recipient AddressClaim EvidenceClaim }

//! From bytes to a job of the right shape.
//!
//! The mapping is written by hand and not derived, because the sender is owed
//! an exact code and the path of the field; serde's errors are sentences that
//! repeat the input. A test holds it against the derived one and against the
//! schema. Rules that need to know the world are in [`check`](super::check).

use serde_json::{Map, Value};

use super::json;
use crate::domain::{
    document::profile::Profile,
    factor::FactorClaim,
    ids::{TenantId, UploadId},
    job::{
        AddressClaim, Channel, Document, EvidenceClaim, LinkTerms, Recipient, SendJob, parse_upload,
    },
    locale::Locale,
    refusal::{Refusal, Refused},
    reminder::ReminderClaim,
};

/// How much is read before a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// Largest body in bytes; above it nothing is parsed: `too_large`.
    pub body_bytes_max: usize,
    /// Deepest nesting of arrays and objects: `bad_json` above it.
    pub depth_max: usize,
    /// Most JSON values in one body: `too_large` above it.
    pub values_max: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self { body_bytes_max: 1 << 20, depth_max: 64, values_max: 100_000 }
    }
}

/// Whole numbers of more digits are refused: money is a string, and 15 digits
/// are what every JSON reader keeps exactly.
const NUMBER_MAX: i64 = 999_999_999_999_999;

/// Reads a job. Size first, then JSON, then the fields; the first fault counts.
pub fn parse(body: &[u8], limits: &ParseLimits) -> Result<SendJob, Refused> {
    let mut job = object(json::read(body, limits)?, "")?;
    known(
        &job,
        "",
        &[
            "key",
            "tenant",
            "channel",
            "document",
            "recipient",
            "link",
            "send_at",
            "evidence",
            "reference",
        ],
    )?;
    Ok(SendJob {
        key: required(&mut job, "key", text)?,
        tenant: optional(&mut job, "tenant", |value, path| {
            TenantId::parse(&text(value, path)?).map_err(|_| Refusal::BadField.at(path))
        })?,
        channel: required(&mut job, "channel", |value, path| {
            Channel::parse(&text(value, path)?).ok_or(Refusal::BadField.at(path))
        })?,
        document: required(&mut job, "document", document)?,
        recipient: required(&mut job, "recipient", recipient)?,
        link: optional(&mut job, "link", link)?,
        send_at: optional(&mut job, "send_at", text)?,
        evidence: optional(&mut job, "evidence", evidence)?,
        reference: optional(&mut job, "reference", text)?,
    })
}

fn document(value: Value, path: &'static str) -> Result<Document, Refused> {
    let mut document = object(value, path)?;
    known(&document, path, &["template", "data", "pdf", "profile", "attach_data", "filename"])?;
    let filename = optional(&mut document, "document.filename", text)?;
    let Some(pdf) = optional(&mut document, "document.pdf", pdf)? else {
        return Ok(Document::Template {
            template: required(&mut document, "document.template", text)?,
            data: required(&mut document, "document.data", data)?,
            profile: optional(&mut document, "document.profile", |value, path| {
                Profile::parse(&text(value, path)?).ok_or(Refusal::BadField.at(path))
            })?,
            attach_data: optional(&mut document, "document.attach_data", |value, path| {
                value.as_bool().ok_or(Refusal::BadField.at(path))
            })?,
            filename,
        });
    };
    // One or the other: what would be delivered must not be a guess.
    if document.is_empty() {
        Ok(match pdf {
            Pdf::Bytes(bytes) => Document::Pdf { bytes, filename },
            Pdf::Upload(upload) => Document::Upload { upload, filename },
        })
    } else {
        Err(Refusal::BadField.at("document.pdf"))
    }
}

/// A finished PDF: itself, or its upload.
enum Pdf {
    Bytes(Vec<u8>),
    Upload(UploadId),
}

fn pdf(value: Value, path: &'static str) -> Result<Pdf, Refused> {
    let mut pdf = object(value, path)?;
    known(&pdf, path, &["base64", "upload"])?;
    let upload = optional(&mut pdf, "document.pdf.upload", |value, path| {
        parse_upload(&text(value, path)?).ok_or(Refusal::BadField.at(path))
    })?;
    match upload {
        Some(upload) if pdf.is_empty() => Ok(Pdf::Upload(upload)),
        Some(_) => Err(Refusal::BadField.at(path)),
        None => required(&mut pdf, "document.pdf.base64", |value, path| {
            data_encoding::BASE64
                .decode(text(value, path)?.as_bytes())
                .map(Pdf::Bytes)
                .map_err(|_| Refusal::BadField.at(path))
        }),
    }
}

fn data(value: Value, path: &'static str) -> Result<Map<String, Value>, Refused> {
    let data = object(value, path)?;
    if data.values().all(numbers_are_exact) { Ok(data) } else { Err(Refusal::BadAmount.at(path)) }
}

fn numbers_are_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.as_i64().is_some_and(|number| (-NUMBER_MAX..=NUMBER_MAX).contains(&number))
        }
        Value::Array(items) => items.iter().all(numbers_are_exact),
        Value::Object(map) => map.values().all(numbers_are_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

fn recipient(value: Value, path: &'static str) -> Result<Recipient, Refused> {
    let mut recipient = object(value, path)?;
    known(&recipient, path, &["name", "person", "email", "locale", "address"])?;
    Ok(Recipient {
        name: required(&mut recipient, "recipient.name", text)?,
        person: optional(&mut recipient, "recipient.person", text)?,
        email: optional(&mut recipient, "recipient.email", text)?,
        locale: optional(&mut recipient, "recipient.locale", |value, path| {
            let tag = text(value, path)?;
            [Locale::Ja, Locale::En]
                .into_iter()
                .find(|l| l.tag() == tag)
                .ok_or(Refusal::BadField.at(path))
        })?,
        address: optional(&mut recipient, "recipient.address", address)?,
    })
}

fn address(value: Value, path: &'static str) -> Result<AddressClaim, Refused> {
    let mut address = object(value, path)?;
    known(&address, path, &["postal_code", "prefecture", "city", "line1", "line2", "country"])?;
    Ok(AddressClaim {
        postal_code: required(&mut address, "recipient.address.postal_code", text)?,
        prefecture: required(&mut address, "recipient.address.prefecture", text)?,
        city: required(&mut address, "recipient.address.city", text)?,
        line1: required(&mut address, "recipient.address.line1", text)?,
        line2: optional(&mut address, "recipient.address.line2", text)?,
        country: optional(&mut address, "recipient.address.country", text)?,
    })
}

fn link(value: Value, path: &'static str) -> Result<LinkTerms, Refused> {
    let mut link = object(value, path)?;
    known(&link, path, &["expires_in", "max_opens", "second_factor", "reminder"])?;
    Ok(LinkTerms {
        expires_in: optional(&mut link, "link.expires_in", text)?,
        max_opens: optional(&mut link, "link.max_opens", |value, path| count(&value, path))?,
        second_factor: optional(&mut link, "link.second_factor", factor)?,
        reminder: optional(&mut link, "link.reminder", reminder)?,
    })
}

fn count(value: &Value, path: &'static str) -> Result<i64, Refused> {
    // A number, but no whole one that could ever be in bounds.
    let refusal = if value.is_number() { Refusal::BadOption } else { Refusal::BadField };
    value.as_i64().ok_or(refusal.at(path))
}

fn reminder(value: Value, path: &'static str) -> Result<ReminderClaim, Refused> {
    let mut reminder = object(value, path)?;
    known(&reminder, path, &["after_days", "before_expiry_days"])?;
    let mut days = |path| optional(&mut reminder, path, |value, path| count(&value, path));
    Ok(ReminderClaim {
        after_days: days("link.reminder.after_days")?,
        before_expiry_days: days("link.reminder.before_expiry_days")?,
    })
}

fn factor(value: Value, path: &'static str) -> Result<FactorClaim, Refused> {
    let mut factor = object(value, path)?;
    let kind = required(&mut factor, "link.second_factor.kind", text)?;
    match kind.as_str() {
        "email_code" => {
            known(&factor, path, &[])?;
            Ok(FactorClaim::EmailCode {})
        }
        "passcode" => {
            known(&factor, path, &["passcode"])?;
            let passcode = required(&mut factor, "link.second_factor.passcode", text)?;
            Ok(FactorClaim::Passcode { passcode })
        }
        _ => Err(Refusal::BadField.at("link.second_factor.kind")),
    }
}

fn evidence(value: Value, path: &'static str) -> Result<EvidenceClaim, Refused> {
    let mut evidence = object(value, path)?;
    known(
        &evidence,
        path,
        &["number", "date", "amount", "currency", "counterparty", "counterparty_code"],
    )?;
    Ok(EvidenceClaim {
        number: optional(&mut evidence, "evidence.number", text)?,
        date: optional(&mut evidence, "evidence.date", text)?,
        amount: optional(&mut evidence, "evidence.amount", |value, path| {
            // Money in a number is the one mistake that deserves its own code.
            if value.is_number() { Err(Refusal::BadAmount.at(path)) } else { text(value, path) }
        })?,
        currency: optional(&mut evidence, "evidence.currency", text)?,
        counterparty: optional(&mut evidence, "evidence.counterparty", text)?,
        counterparty_code: optional(&mut evidence, "evidence.counterparty_code", text)?,
    })
}

type Read<T> = Result<T, Refused>;

/// Takes the last segment of `path` out of the object; absent is a fault.
fn required<T>(
    map: &mut Map<String, Value>,
    path: &'static str,
    read: impl FnOnce(Value, &'static str) -> Read<T>,
) -> Read<T> {
    optional(map, path, read)?.ok_or(Refusal::MissingField.at(path))
}

/// Takes the last segment of `path` out of the object. `null` is a value like
/// any other, and of the wrong type everywhere.
fn optional<T>(
    map: &mut Map<String, Value>,
    path: &'static str,
    read: impl FnOnce(Value, &'static str) -> Read<T>,
) -> Read<Option<T>> {
    let name = path.rsplit('.').next().unwrap_or(path);
    map.swap_remove(name).map(|value| read(value, path)).transpose()
}

fn object(value: Value, path: &'static str) -> Read<Map<String, Value>> {
    let Value::Object(map) = value else { return Err(fault(Refusal::BadField, path)) };
    Ok(map)
}

fn text(value: Value, path: &'static str) -> Read<String> {
    let Value::String(text) = value else { return Err(Refusal::BadField.at(path)) };
    Ok(text)
}

/// Refuses names we do not know, without repeating them.
fn known(map: &Map<String, Value>, path: &'static str, names: &[&str]) -> Read<()> {
    if map.keys().all(|name| names.contains(&name.as_str())) {
        Ok(())
    } else {
        Err(fault(Refusal::UnknownField, path))
    }
}

/// The body itself has no path.
fn fault(refusal: Refusal, path: &'static str) -> Refused {
    if path.is_empty() { refusal.into() } else { refusal.at(path) }
}

//! From a job of the right shape to a job that keeps every rule.
//!
//! Pure: what the rules need to know of the world (the tenant of the channel,
//! the installed templates, the time, what the document itself says) is handed
//! in. The same job is checked again when it is read back from rest, so a check
//! must not depend on anything else.

use std::{fmt, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::domain::{
    calendar::durations::parse_duration,
    checked::{CheckedJob, CheckedLink, CheckedRecipient},
    document::needs_stamp,
    evidence::{DocumentFacts, Evidence},
    factor::{FactorClaim, FactorKind, Passcode},
    ids::TenantId,
    job::{
        Channel, Document, FILENAME_CHARS_MAX, KEY_CHARS_MAX, LinkTerms, NAME_CHARS_MAX,
        PERSON_CHARS_MAX, REFERENCE_CHARS_MAX, Recipient, SendJob,
    },
    mail_address::MailAddress,
    pdf::PdfFlaw,
    postal_address::PostalAddress,
    refusal::{Refusal, Refused},
    reminder::Reminder,
    text::{BadText, check_block, check_filename, check_line},
};

/// Life of a link when the sender does not say: 14 days.
pub const LINK_TTL_DEFAULT: Duration = Duration::from_hours(14 * 24);
/// Shortest life of a link.
pub const LINK_TTL_MIN: Duration = Duration::from_hours(1);
/// Longest life of a link in days; a tenant may be given less.
pub const LINK_DAYS_MAX: u32 = 31;
/// Opens of a link when the sender does not say.
pub const MAX_OPENS_DEFAULT: u16 = 20;
/// Most opens of a link.
pub const MAX_OPENS_MAX: u16 = 1000;
/// How far ahead a job may be scheduled.
pub const SEND_AT_MAX: TimeDelta = TimeDelta::days(366);
/// The name of a document whose sender gave it none.
pub const FILENAME_DEFAULT: &str = "document.pdf";

/// What the rules need to know of the world.
pub struct CheckContext<'a> {
    /// The tenant of the channel the job came through.
    pub tenant: &'a TenantId,
    /// Whether this tenant may write to the carriers' misplaced dots.
    pub legacy_jp_addresses: bool,
    /// The instant of the step.
    pub now: DateTime<Utc>,
    /// Longest life of a link for this tenant, in days; above
    /// [`LINK_DAYS_MAX`] the latter counts.
    pub link_days_max: u32,
    /// Whether this tenant has a template of this name.
    pub has_template: &'a dyn Fn(&str) -> bool,
    /// What the document itself says, where its kind is known.
    pub facts: Option<&'a DocumentFacts>,
}

impl fmt::Debug for CheckContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckContext").field("tenant", self.tenant).finish_non_exhaustive()
    }
}

/// Checks a job. The first fault counts; the order is that of the contract.
pub fn check(job: SendJob, context: &CheckContext<'_>) -> Result<CheckedJob, Refused> {
    if job.tenant.as_ref().is_some_and(|tenant| tenant != context.tenant) {
        return Err(Refusal::WrongTenant.at("tenant"));
    }
    if !is_key(&job.key) {
        return Err(Refusal::BadField.at("key"));
    }
    let filename = check_document(&job.document, context)?;
    check_stamp_duty(&job.document, job.channel)?;
    let recipient = check_recipient(&job.recipient, job.channel, context)?;
    let link = check_link(job.link.as_ref(), job.channel, context.link_days_max)?;
    let passcode = check_passcode(job.link.as_ref())?;
    let send_at = check_send_at(job.send_at.as_deref(), context.now)?;
    let evidence = Evidence::check(&job.evidence.unwrap_or_default())?;
    let evidence = match context.facts {
        Some(facts) => evidence.confirmed_by(facts)?,
        None => evidence,
    };
    if let Some(reference) = &job.reference {
        line(reference, REFERENCE_CHARS_MAX, "reference")?;
    }
    Ok(CheckedJob {
        tenant: context.tenant.clone(),
        key: job.key,
        channel: job.channel,
        document: job.document,
        pdf: None,
        filename,
        recipient,
        link,
        send_at,
        evidence,
        reference: job.reference,
        passcode,
    })
}

/// Keys stand in routing, logs and URLs, so they are plain ASCII.
fn is_key(key: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/@+=#~-".contains(&b))
}

/// `[a-z0-9][a-z0-9._-]{0,63}`: a name in a registry, never a path.
fn is_template_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// Nobody can put a revenue stamp on a letter that a partner prints.
fn check_stamp_duty(document: &Document, channel: Channel) -> Result<(), Refused> {
    match (document, channel) {
        (Document::Template { template, data, .. }, Channel::Post)
            if needs_stamp(template, data) =>
        {
            Err(Refusal::StampDutyRequired.at("channel"))
        }
        (
            Document::Template { .. } | Document::Pdf { .. } | Document::Upload { .. },
            Channel::Post | Channel::Email,
        ) => Ok(()),
    }
}

fn check_document(document: &Document, context: &CheckContext<'_>) -> Result<String, Refused> {
    match document {
        Document::Template { template, data, .. } => {
            if !is_template_name(template) || !(context.has_template)(template) {
                return Err(Refusal::NoTemplate.at("document.template"));
            }
            let entries = || data.iter().try_for_each(|(name, value)| check_data(name, value));
            entries().map_err(|_| Refusal::BadText.at("document.data"))?;
        }
        Document::Pdf { bytes, .. } => look_at_pdf(bytes)?,
        // Whether it is there only the books can say.
        Document::Upload { .. } => {}
    }
    let filename = document.filename().unwrap_or(FILENAME_DEFAULT);
    check_filename(filename, FILENAME_CHARS_MAX)
        .map_err(|_| Refusal::BadText.at("document.filename"))?;
    Ok(filename.to_owned())
}

/// Nothing in the data may command a terminal, a header or a reading direction.
fn check_data(name: &str, value: &Value) -> Result<(), BadText> {
    check_block(name)?;
    match value {
        Value::String(text) => check_block(text),
        Value::Array(items) => items.iter().try_for_each(|item| check_data("", item)),
        Value::Object(map) => map.iter().try_for_each(|(name, value)| check_data(name, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// The first look, by the ends of the file; what is inside is read in a process
/// of its own.
pub fn look_at_pdf(bytes: &[u8]) -> Result<(), Refused> {
    const TAIL: usize = 1024;
    // ZIP (and every office file), gzip, 7z, RAR, OLE, PNG, JPEG, GIF, programs.
    const OTHERS: [&[u8]; 10] = [
        b"PK",
        b"\x1f\x8b",
        b"7z\xbc\xaf",
        b"Rar!",
        b"\xd0\xcf\x11\xe0",
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"GIF8",
        b"MZ",
        b"\x7fELF",
    ];
    if bytes.starts_with(b"%PDF-1.") || bytes.starts_with(b"%PDF-2.") {
        let tail = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
        let whole = tail.windows(5).any(|window| window == b"%%EOF");
        return if whole { Ok(()) } else { Err(Refused::bad_pdf(PdfFlaw::Damaged)) };
    }
    if OTHERS.iter().any(|magic| bytes.starts_with(magic)) {
        return Err(Refusal::TypeNotAllowed.at("document.pdf"));
    }
    Err(Refused::bad_pdf(PdfFlaw::NotPdf))
}

fn check_recipient(
    recipient: &Recipient,
    channel: Channel,
    context: &CheckContext<'_>,
) -> Result<CheckedRecipient, Refused> {
    let name = line(&recipient.name, NAME_CHARS_MAX, "recipient.name")?;
    let person = recipient.person.as_deref();
    let person = person.map(|text| line(text, PERSON_CHARS_MAX, "recipient.person")).transpose()?;
    let email = recipient.email.as_deref();
    let email = email
        .map(|text| MailAddress::parse(text, context.legacy_jp_addresses))
        .transpose()
        .map_err(|_| Refusal::BadAddress.at("recipient.email"))?;
    let address = recipient.address.as_ref().map(PostalAddress::check).transpose()?;
    match channel {
        Channel::Email if email.is_none() => Err(Refusal::MissingField.at("recipient.email")),
        Channel::Post if address.is_none() => Err(Refusal::MissingField.at("recipient.address")),
        Channel::Email | Channel::Post => Ok(CheckedRecipient {
            name,
            person,
            email,
            address,
            locale: recipient.locale.unwrap_or_default(),
        }),
    }
}

fn check_link(
    terms: Option<&LinkTerms>,
    channel: Channel,
    days_max: u32,
) -> Result<CheckedLink, Refused> {
    let Some(terms) = terms else {
        let ttl = LINK_TTL_DEFAULT.min(ttl_max(days_max));
        let max_opens = MAX_OPENS_DEFAULT;
        return Ok(CheckedLink {
            ttl_seconds: ttl.as_secs(),
            max_opens,
            second_factor: None,
            reminder: None,
        });
    };
    if channel == Channel::Post {
        return Err(Refusal::BadOption.at("link"));
    }
    let ttl = match terms.expires_in.as_deref() {
        Some(text) => parse_duration(text).map_err(|_| Refusal::BadField.at("link.expires_in"))?,
        None => LINK_TTL_DEFAULT.min(ttl_max(days_max)),
    };
    if ttl < LINK_TTL_MIN || ttl > ttl_max(days_max) {
        return Err(Refusal::BadOption.at("link.expires_in"));
    }
    let max_opens = u16::try_from(terms.max_opens.unwrap_or(MAX_OPENS_DEFAULT.into()))
        .ok()
        .filter(|opens| (1..=MAX_OPENS_MAX).contains(opens))
        .ok_or(Refusal::BadOption.at("link.max_opens"))?;
    let second_factor = terms.second_factor.as_ref().map(|claim| match claim {
        FactorClaim::EmailCode {} => FactorKind::EmailCode,
        FactorClaim::Passcode { .. } => FactorKind::Passcode,
    });
    let reminder = terms.reminder.as_ref().map(Reminder::check).transpose()?;
    Ok(CheckedLink { ttl_seconds: ttl.as_secs(), max_opens, second_factor, reminder })
}

fn check_passcode(terms: Option<&LinkTerms>) -> Result<Option<Passcode>, Refused> {
    match terms.and_then(|terms| terms.second_factor.as_ref()) {
        Some(FactorClaim::Passcode { passcode }) => Passcode::set(passcode).map(Some),
        Some(FactorClaim::EmailCode {}) | None => Ok(None),
    }
}

fn ttl_max(days_max: u32) -> Duration {
    let days = u64::from(days_max.clamp(1, LINK_DAYS_MAX));
    Duration::from_secs(days.saturating_mul(86_400))
}

/// A time in the past means "at once".
fn check_send_at(text: Option<&str>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refused> {
    let Some(text) = text else { return Ok(now) };
    let at = parse_instant(text).ok_or(Refusal::BadField.at("send_at"))?;
    let latest = now.checked_add_signed(SEND_AT_MAX).unwrap_or(now);
    if at > latest {
        return Err(Refusal::BadOption.at("send_at"));
    }
    Ok(at.max(now))
}

/// RFC 3339 with capital `T`, an offset, and at most microseconds; no leap
/// second, which no queue could keep.
fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let fits = text.is_ascii()
        && text.len() <= 32
        && bytes.get(10) == Some(&b'T')
        && !text.contains('z')
        && bytes.get(17..19) != Some(b"60".as_slice())
        && fraction_digits(text) <= 6;
    if !fits {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

fn fraction_digits(text: &str) -> usize {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    fraction.bytes().take_while(u8::is_ascii_digit).count()
}

fn line(text: &str, chars_max: usize, path: &'static str) -> Result<String, Refused> {
    check_line(text, chars_max).map_err(|_| Refusal::BadText.at(path))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests;

//! Writes the mail that carries a link: one message, byte for byte, once.
//!
//! What is composed here is sealed beside its document and sent unchanged on
//! every attempt, so nothing in it is drawn by chance or read from a clock. The
//! plain text and the HTML say the same; there is no picture, no script, no
//! tracking and no advertising (an invoice mail with advertising falls under
//! the Japanese anti-spam law, one without does not).
//!
//! The link never enters the template engine: templates place a NUL, which no
//! checked input can hold, and the link is written over it in a buffer that
//! wipes itself. Not signed here: DKIM is the relay's work.
//!
//! Refused: what [`super::text`] and [`super::address`] refuse, so that lettre,
//! which panics on some names, only ever sees harmless ones.

use std::fmt;

use chrono::{DateTime, Datelike, Offset, Utc};
use chrono_tz::Tz;
use data_encoding::BASE64_MIME;
use lettre::message::{
    Mailbox, Mailboxes,
    header::{self, Headers},
};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use zeroize::Zeroizing;

use super::{address::MailAddress, text};
use crate::domain::locale::Locale;

/// Stands in a rendered template where the link goes.
const LINK: char = '\0';

/// A line of a 7bit body may have 998 octets (RFC 5322); the link is part of one.
const LINE_MAX: usize = 400;

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
    /// The secret: an `https` URL that opens the document.
    pub link_url: &'a str,
    /// When the link stops working, in the zone it is to be shown in.
    pub expires_at: DateTime<Tz>,
    /// `<JOBID.1@domain>`; the same on every attempt.
    pub message_id: &'a str,
    /// The `Date` header.
    pub date: DateTime<Utc>,
    /// The envelope sender, see [`super::verp`].
    pub return_path: &'a str,
}

impl fmt::Debug for MailOrder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailOrder(..)")
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

/// The mail templates, compiled once.
pub struct Composer {
    templates: Environment<'static>,
}

impl fmt::Debug for Composer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Composer(..)")
    }
}

/// The checked addresses of an order.
struct Envelope {
    from: MailAddress,
    to: MailAddress,
    reply_to: Option<MailAddress>,
    return_path: MailAddress,
}

impl Composer {
    /// Compiles the built-in templates.
    pub fn new() -> Result<Self, Fault> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        });
        for (name, source) in [
            ("ja.subject", include_str!("../../../templates/mail/ja.subject")),
            ("ja.txt", include_str!("../../../templates/mail/ja.txt")),
            ("ja.html", include_str!("../../../templates/mail/ja.html")),
            ("en.subject", include_str!("../../../templates/mail/en.subject")),
            ("en.txt", include_str!("../../../templates/mail/en.txt")),
            ("en.html", include_str!("../../../templates/mail/en.html")),
        ] {
            templates.add_template(name, source).map_err(Fault::Template)?;
        }
        Ok(Self { templates })
    }

    /// Writes the mail of `order`. The same order gives the same bytes.
    pub fn compose(&self, order: &MailOrder<'_>) -> Result<Composed, Fault> {
        check_texts(order)?;
        let host = text::link_host(order.link_url).ok_or(Fault::BadLink)?;
        if !text::is_message_id(order.message_id) {
            return Err(Fault::BadMessageId);
        }
        let envelope = Envelope::read(order)?;
        let view = view(order, host)?;
        let [subject, plain, html] = match order.locale {
            Locale::Ja => ["ja.subject", "ja.txt", "ja.html"],
            Locale::En => ["en.subject", "en.txt", "en.html"],
        };
        let plain = self.render(plain, &view)?;
        let html = self.render(html, &view)?;
        let subject = match order.subject {
            Some(given) => given.to_owned(),
            None => self.render(subject, &view)?,
        };
        text::check(Field::Subject, &subject)?;

        let boundary = boundary(order.message_id);
        let head = head(order, &envelope, subject, &boundary)?;
        // Large enough from the start: a buffer that grows leaves a copy of
        // the link behind. Not much larger: all of it has to be wiped.
        let room = [&plain, &html].into_iter().map(|body| part_len_max(body, order.link_url));
        let room = room.fold(head.len(), usize::saturating_add).saturating_add(1_024);
        let mut mail = Zeroizing::new(String::with_capacity(room));
        mail.push_str(&head);
        part(&mut mail, "text/plain", &plain, order.link_url, &boundary);
        part(&mut mail, "text/html", &html, order.link_url, &boundary);
        for piece in ["--", &boundary, "--\r\n"] {
            mail.push_str(piece);
        }
        Ok(Composed {
            bytes: Zeroizing::new(std::mem::take(&mut *mail).into_bytes()),
            envelope_from: envelope.return_path.wire().to_owned(),
            envelope_to: envelope.to.wire().to_owned(),
        })
    }

    fn render(&self, name: &str, view: &Value) -> Result<String, Fault> {
        let template = self.templates.get_template(name).map_err(Fault::Template)?;
        template.render(view.clone()).map_err(Fault::Template)
    }
}

impl Envelope {
    fn read(order: &MailOrder<'_>) -> Result<Self, Fault> {
        let read = |field, text| MailAddress::parse(text).map_err(|_| Fault::BadAddress { field });
        Ok(Self {
            from: read(Field::FromAddress, order.from_address)?,
            to: read(Field::ToAddress, order.to_address)?,
            reply_to: order.reply_to.map(|text| read(Field::ReplyTo, text)).transpose()?,
            return_path: read(Field::ReturnPath, order.return_path)?,
        })
    }
}

fn check_texts(order: &MailOrder<'_>) -> Result<(), Fault> {
    let optional = [
        (Field::ToName, order.to_name),
        (Field::Salutation, order.salutation),
        (Field::Subject, order.subject),
        (Field::DocumentNumber, order.document_number),
        (Field::Contact, order.contact),
    ];
    text::check(Field::FromName, order.from_name)?;
    text::check(Field::TenantName, order.tenant_name)?;
    text::check(Field::Title, order.title)?;
    for (field, given) in optional {
        given.map_or(Ok(()), |given| text::check(field, given))?;
    }
    Ok(())
}

/// What the templates see.
fn view(order: &MailOrder<'_>, host: &str) -> Result<Value, Fault> {
    Ok(context! {
        tenant => order.tenant_name,
        title => order.title,
        number => order.document_number,
        salutation => order.salutation,
        contact => order.contact,
        replies => order.reply_to.is_some(),
        expires => moment(order.locale, &order.expires_at)?,
        host => host,
        link => LINK.to_string(),
    })
}

/// An instant as people read it, with its zone.
fn moment(locale: Locale, at: &DateTime<Tz>) -> Result<String, Fault> {
    if !(1970..=9999).contains(&at.year()) {
        return Err(Fault::BadDate);
    }
    let offset = at.offset().fix();
    let zone = at.timezone();
    Ok(match (locale, zone) {
        (Locale::Ja, Tz::Asia__Tokyo) => at.format("%Y年%-m月%-d日 %H:%M（日本時間）").to_string(),
        (Locale::Ja, _) => format!("{}（{zone}、UTC{offset}）", at.format("%Y年%-m月%-d日 %H:%M")),
        (Locale::En, Tz::Asia__Tokyo) => {
            at.format("%-d %B %Y, %H:%M (Japan time, UTC+09:00)").to_string()
        }
        (Locale::En, _) => format!("{} ({zone}, UTC{offset})", at.format("%-d %B %Y, %H:%M")),
    })
}

/// The line between the parts. `=_` stands in no base64 text; [`part`] looks
/// after the rest.
fn boundary(message_id: &str) -> String {
    let plain = message_id.chars().filter(char::is_ascii_alphanumeric).take(60);
    std::iter::once("=_").flat_map(str::chars).chain(plain).collect()
}

/// Writes the headers.
fn head(
    order: &MailOrder<'_>,
    envelope: &Envelope,
    subject: String,
    boundary: &str,
) -> Result<String, Fault> {
    if !(1970..=9999).contains(&order.date.year()) {
        return Err(Fault::BadDate);
    }
    let one = |name: Option<&str>, address: &MailAddress| {
        Mailboxes::from(Mailbox::new(name.map(str::to_owned), address.lettre().clone()))
    };
    let mut headers = Headers::with_capacity(4);
    headers.set(header::From::from(one(Some(order.from_name), &envelope.from)));
    if let Some(reply_to) = &envelope.reply_to {
        headers.set(header::ReplyTo::from(one(None, reply_to)));
    }
    headers.set(header::To::from(one(order.to_name, &envelope.to)));
    headers.set(header::Subject::from(subject));
    let (date, named) = (order.date.to_rfc2822(), fold(&headers.to_string()));
    let pieces = [
        "Date: ",
        date.as_str(),
        "\r\n",
        named.as_str(),
        "Message-ID: ",
        order.message_id,
        "\r\nAuto-Submitted: auto-generated\r\nContent-Language: ",
        order.locale.tag(),
        "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary=\"",
        boundary,
        "\"\r\n\r\n",
    ];
    Ok(pieces.concat())
}

/// Breaks lines before the address where a name made them long: a line with an
/// encoded word has at most 76 characters (RFC 2047 §2).
fn fold(headers: &str) -> String {
    let lines = headers.split_inclusive("\r\n").map(|line| match line.rsplit_once(" <") {
        Some((name, address)) if line.len() > 78 && !name.ends_with(':') => {
            format!("{name}\r\n <{address}")
        }
        Some(_) | None => line.to_owned(),
    });
    lines.collect()
}

/// Writes one part: as it is where it is plain ASCII in short lines, in base64
/// otherwise.
fn part(mail: &mut String, kind: &str, body: &str, link: &str, boundary: &str) {
    let plain =
        body.is_ascii() && !body.contains(boundary) && body.lines().all(|l| l.len() <= LINE_MAX);
    let encoding = if plain { "7bit" } else { "base64" };
    for piece in [
        "--",
        boundary,
        "\r\nContent-Type: ",
        kind,
        "; charset=utf-8\r\nContent-Transfer-Encoding: ",
        encoding,
        "\r\n\r\n",
    ] {
        mail.push_str(piece);
    }
    if plain {
        with_link(mail, body, link);
    } else {
        let mut text = Zeroizing::new(String::with_capacity(text_len_max(body, link)));
        with_link(&mut text, body, link);
        BASE64_MIME.encode_append(text.as_bytes(), mail);
    }
    if !mail.ends_with("\r\n") {
        mail.push_str("\r\n");
    }
}

/// The most bytes that [`with_link`] makes of `body`.
fn text_len_max(body: &str, link: &str) -> usize {
    let count = |wanted| body.bytes().filter(|b| *b == wanted).count();
    let line_ends = count(b'\n').saturating_add(2);
    let links = count(0).saturating_mul(link.len());
    body.len().saturating_add(line_ends).saturating_add(links)
}

/// The most bytes that [`part`] makes of `body`, its few headers aside.
fn part_len_max(body: &str, link: &str) -> usize {
    BASE64_MIME.encode_len(text_len_max(body, link))
}

/// Copies `body` with CRLF line ends and `link` in its place.
fn with_link(target: &mut String, body: &str, link: &str) {
    for line in body.lines() {
        for (nth, piece) in line.split(LINK).enumerate() {
            if nth > 0 {
                target.push_str(link);
            }
            target.push_str(piece);
        }
        target.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests;

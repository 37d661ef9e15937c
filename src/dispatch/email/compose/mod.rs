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

use chrono::{DateTime, Datelike, Offset};
use chrono_tz::Tz;
use lettre::message::{
    Mailbox, Mailboxes,
    header::{self, Headers},
};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use zeroize::Zeroizing;

use self::part::Part;
use super::{address::MailAddress, text};
use crate::domain::locale::Locale;

mod order;
mod part;

pub use order::{Composed, Fault, Field, FirstMail, MailOrder};

/// Stands in a rendered template where the link goes.
const LINK: char = '\0';

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
        templates.set_auto_escape_callback(|name| match name {
            html if html.rsplit('.').next() == Some("html") => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        for (name, source) in [
            ("ja.subject", include_str!("../../../../templates/mail/ja.subject")),
            ("ja.txt", include_str!("../../../../templates/mail/ja.txt")),
            ("ja.html", include_str!("../../../../templates/mail/ja.html")),
            ("ja.code.subject", include_str!("../../../../templates/mail/ja.code.subject")),
            ("ja.code.txt", include_str!("../../../../templates/mail/ja.code.txt")),
            ("ja.code.html", include_str!("../../../../templates/mail/ja.code.html")),
            ("en.code.subject", include_str!("../../../../templates/mail/en.code.subject")),
            ("en.code.txt", include_str!("../../../../templates/mail/en.code.txt")),
            ("en.code.html", include_str!("../../../../templates/mail/en.code.html")),
            ("ja.reminder.subject", include_str!("../../../../templates/mail/ja.reminder.subject")),
            ("ja.reminder.txt", include_str!("../../../../templates/mail/ja.reminder.txt")),
            ("ja.reminder.html", include_str!("../../../../templates/mail/ja.reminder.html")),
            ("en.reminder.subject", include_str!("../../../../templates/mail/en.reminder.subject")),
            ("en.reminder.txt", include_str!("../../../../templates/mail/en.reminder.txt")),
            ("en.reminder.html", include_str!("../../../../templates/mail/en.reminder.html")),
            ("en.subject", include_str!("../../../../templates/mail/en.subject")),
            ("en.txt", include_str!("../../../../templates/mail/en.txt")),
            ("en.html", include_str!("../../../../templates/mail/en.html")),
        ] {
            templates.add_template(name, source).map_err(Fault::Template)?;
        }
        Ok(Self { templates })
    }

    /// Writes the mail of `order`. The same order gives the same bytes.
    pub fn compose(&self, order: &MailOrder<'_>) -> Result<Composed, Fault> {
        let names = match order.locale {
            Locale::Ja => ["ja.subject", "ja.txt", "ja.html"],
            Locale::En => ["en.subject", "en.txt", "en.html"],
        };
        self.write(order, None, names, order.link_url)
    }

    /// Writes the mail that reminds of a link that nobody has opened; mail
    /// programs show it below the mail that it reminds of.
    pub fn compose_reminder(
        &self,
        order: &MailOrder<'_>,
        first: &FirstMail<'_>,
    ) -> Result<Composed, Fault> {
        let names = match order.locale {
            Locale::Ja => ["ja.reminder.subject", "ja.reminder.txt", "ja.reminder.html"],
            Locale::En => ["en.reminder.subject", "en.reminder.txt", "en.reminder.html"],
        };
        if !text::is_message_id(first.message_id) {
            return Err(Fault::BadMessageId);
        }
        self.write(order, Some(first), names, order.link_url)
    }

    /// Writes the mail that carries a code. Of the order's link only the host
    /// is said, and what expires is the code.
    pub fn compose_code(&self, order: &MailOrder<'_>, code: &str) -> Result<Composed, Fault> {
        let names = match order.locale {
            Locale::Ja => ["ja.code.subject", "ja.code.txt", "ja.code.html"],
            Locale::En => ["en.code.subject", "en.code.txt", "en.code.html"],
        };
        self.write(order, None, names, code)
    }

    fn write(
        &self,
        order: &MailOrder<'_>,
        first: Option<&FirstMail<'_>>,
        [subject, plain, html]: [&str; 3],
        secret: &str,
    ) -> Result<Composed, Fault> {
        check_texts(order)?;
        let host = text::link_host(order.link_url).ok_or(Fault::BadLink)?;
        if !text::is_message_id(order.message_id) {
            return Err(Fault::BadMessageId);
        }
        let envelope = Envelope::read(order)?;
        let view = view(order, first, host)?;
        let plain = self.render(plain, &view)?;
        let html = self.render(html, &view)?;
        let subject = match order.subject {
            Some(given) => given.to_owned(),
            None => self.render(subject, &view)?,
        };
        text::check(Field::Subject, &subject)?;

        let boundary = boundary(order.message_id);
        let head = head(order, first, &envelope, subject, &boundary)?;
        // Large enough from the start: a buffer that grows leaves a copy of
        // the link behind. Not much larger: all of it has to be wiped.
        let plain = Part::new("text/plain", &plain, secret);
        let html = Part::new("text/html", &html, secret);
        let room = [head.len(), plain.room(), html.room(), 1_024];
        let room = room.into_iter().fold(0, usize::saturating_add);
        let mut mail = Zeroizing::new(String::with_capacity(room));
        mail.push_str(&head);
        plain.write(&mut mail, &boundary);
        html.write(&mut mail, &boundary);
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
fn view(order: &MailOrder<'_>, first: Option<&FirstMail<'_>>, host: &str) -> Result<Value, Fault> {
    Ok(context! {
        tenant => order.tenant_name,
        title => order.title,
        number => order.document_number,
        salutation => order.salutation,
        contact => order.contact,
        support => order.support.to_string(),
        replies => order.reply_to.is_some(),
        expires => moment(order.locale, &order.expires_at)?,
        first_sent => first.map(|first| day(order.locale, &first.sent_at)).transpose()?,
        host => host,
        // The secret of the mail: the link, or the code.
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

/// A day as people read it.
fn day(locale: Locale, at: &DateTime<Tz>) -> Result<String, Fault> {
    if !(1970..=9999).contains(&at.year()) {
        return Err(Fault::BadDate);
    }
    Ok(match locale {
        Locale::Ja => at.format("%Y年%-m月%-d日").to_string(),
        Locale::En => at.format("%-d %B %Y").to_string(),
    })
}

/// The line between the parts. `=_` stands in no base64 text;
/// [`Part::write`] looks after the rest.
fn boundary(message_id: &str) -> String {
    let plain = message_id.chars().filter(char::is_ascii_alphanumeric).take(60);
    std::iter::once("=_").flat_map(str::chars).chain(plain).collect()
}

/// Writes the headers.
fn head(
    order: &MailOrder<'_>,
    first: Option<&FirstMail<'_>>,
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
    let thread = first.map(|FirstMail { message_id: id, .. }| {
        ["\r\nIn-Reply-To: ", id, "\r\nReferences: ", id].concat()
    });
    let pieces = [
        "Date: ",
        date.as_str(),
        "\r\n",
        named.as_str(),
        "Message-ID: ",
        order.message_id,
        thread.as_deref().unwrap_or_default(),
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

#[cfg(test)]
mod tests;

//! What people see of a caught mail: decoded headers, text with its links, and
//! the HTML part.

use mail_parser::{Address, MessageParser};
use serde::Serialize;

use super::CaughtMail;

/// A mail as a row of the list.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) received_at: String,
    pub(super) envelope_from: String,
    pub(super) envelope_to: Vec<String>,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) message_id: String,
    pub(super) size_bytes: usize,
}

/// A mail with its contents.
#[derive(Serialize)]
pub(super) struct Page {
    #[serde(flatten)]
    pub(super) row: Row,
    pub(super) text: String,
    pub(super) html: String,
    pub(super) links: Vec<String>,
}

/// A run of text, and whether it is a link.
#[derive(Serialize)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) link: bool,
}

impl Row {
    pub(super) fn of(mail: &CaughtMail) -> Self {
        let message = MessageParser::default().parse_headers(mail.bytes.as_slice());
        let message = message.as_ref();
        Self {
            number: mail.number,
            received_at: mail.received_at.to_rfc3339(),
            envelope_from: mail.envelope_from.clone(),
            envelope_to: mail.envelope_to.clone(),
            from: people(message.and_then(|m| m.from())),
            to: people(message.and_then(|m| m.to())),
            subject: message.and_then(|m| m.subject()).unwrap_or("(no subject)").to_owned(),
            message_id: message.and_then(|m| m.message_id()).unwrap_or_default().to_owned(),
            size_bytes: mail.bytes.len(),
        }
    }
}

impl Page {
    pub(super) fn of(mail: &CaughtMail) -> Self {
        let message = MessageParser::default().parse(mail.bytes.as_slice());
        let message = message.as_ref();
        let text = message.and_then(|m| m.body_text(0)).unwrap_or_default().into_owned();
        let html = message.and_then(|m| m.html_part(0)?.text_contents()).unwrap_or_default();
        let links = pieces(&text).into_iter().filter(|piece| piece.link);
        let links = links.map(|piece| piece.text.to_owned()).collect();
        Self { row: Row::of(mail), html: html.to_owned(), links, text }
    }
}

/// `name <address>` of everyone named.
fn people(addresses: Option<&Address<'_>>) -> String {
    let people = addresses.into_iter().flat_map(Address::iter).map(|person| {
        let address = person.address().unwrap_or_default();
        person.name().map_or(address.to_owned(), |name| format!("{name} <{address}>"))
    });
    people.collect::<Vec<_>>().join(", ")
}

/// Splits text into links and what stands between them.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = ["https://", "http://"].iter().filter_map(|p| rest.find(p)).min() {
        let Some((before, from)) = rest.split_at_checked(start) else { break };
        let is_url = |c: char| c.is_ascii_graphic() && !"<>\"'`{}|\\^".contains(c);
        let end = from.find(|c| !is_url(c)).unwrap_or(from.len());
        let Some((link, after)) = from.split_at_checked(end) else { break };
        pieces.push(Piece { text: before, link: false });
        pieces.push(Piece { text: link, link: true });
        rest = after;
    }
    pieces.push(Piece { text: rest, link: false });
    pieces
}

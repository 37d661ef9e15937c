//! Recomputes the examples of docs/FORMATS.md, which Python's `cryptography`
//! wrote (tests/interop/formats.py).

use std::{collections::HashMap, sync::Arc};

use chrono::DateTime;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use uuid::Uuid;

use super::{column, factor, prints, sealed_body::SealingPair, stream, token, wrap, *};
use crate::domain::{
    crockford::{LinkNumber, session_label},
    factor::Passcode,
    ids::{EventId, JobId, TenantId},
};

/// One example: its values by name, text and hexadecimal decoded alike.
pub(crate) struct Vector(HashMap<String, Vec<u8>>);

impl Vector {
    /// The example with this name.
    pub(crate) fn named(name: &str) -> Self {
        let document = include_str!("../../docs/FORMATS.md");
        let opening = format!("```vector {name}\n");
        let (_, rest) = document.split_once(&opening).expect("the example is in the document");
        let (lines, _) = rest.split_once("```").expect("the example ends");
        let value = |text: &str| match text.strip_prefix('"') {
            Some(_) => serde_json::from_str::<String>(text).unwrap().into_bytes(),
            None => HEXLOWER.decode(text.replace('-', "").as_bytes()).unwrap(),
        };
        let pair = |line: &str| {
            let (name, text) = line.split_once(" = ").expect("a line is a name and a value");
            (name.to_owned(), value(text))
        };
        Self(lines.lines().map(pair).collect())
    }

    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        &self.0[name]
    }

    pub(crate) fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().expect("the value has the right length")
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        std::str::from_utf8(self.bytes(name)).unwrap()
    }

    pub(crate) fn key(&self, name: &str) -> Key {
        Key::take(&mut self.array(name))
    }

    fn tenant(&self) -> TenantId {
        TenantId::parse(self.text("tenant")).unwrap()
    }
}

#[test]
fn the_macs_are_as_documented() {
    let v = Vector::named("mac");
    let mac = prints::mac(&v.key("key"), v.text("label"), &[v.bytes("part1"), v.bytes("part2")]);
    assert_eq!(mac, v.bytes("mac"), "mac");
    let v = Vector::named("dedupe");
    let print = prints::dedupe_print(&v.key("key"), &v.tenant(), v.text("job_key"));
    assert_eq!(print, v.bytes("print"), "dedupe");
    let v = Vector::named("payload");
    assert_eq!(prints::payload_mac(&v.key("key"), v.bytes("payload")), v.bytes("mac"), "payload");
    let v = Vector::named("index");
    let print = prints::blind_index(&v.key("key"), v.text("field"), v.text("value"));
    assert_eq!(print, v.bytes("print"), "index");
    let v = Vector::named("commitment");
    let commitment = prints::commitment(&v.array("salt"), v.text("name"), v.bytes("value"));
    assert_eq!(commitment, v.bytes("commitment"), "commitment");
    let v = Vector::named("verp");
    assert_eq!(prints::verp_tag(&v.key("key"), &v.array("job")), v.bytes("tag"), "verp");
    let v = Vector::named("page");
    let minute = i64::from(u32::from_be_bytes(v.array("minute")));
    let now = DateTime::from_timestamp(minute * 60 + 59, 0).unwrap();
    let nonce = prints::page_nonce(&v.key("key"), &v.array("link"), now);
    assert_eq!(nonce, v.text("nonce"), "page");
    let v = Vector::named("code");
    let mac = factor::code_mac(&v.key("key"), &v.array("link"), v.text("code"));
    assert_eq!(mac.as_slice(), v.bytes("mac"), "code");
    let v = Vector::named("passcode");
    let (job, typed) =
        (JobId(Uuid::from_bytes(v.array("job"))), Passcode::typed(v.text("passcode")));
    let held = factor::passcode_holds(&v.key("key"), job, v.text("verifier"), &typed);
    assert_eq!(held, Ok(true), "passcode");
    let v = Vector::named("derive");
    assert_eq!(v.key("key").derive(v.text("label")).expose(), v.bytes("subkey"), "derive");
}

#[test]
fn the_token_is_as_documented() {
    let v = Vector::named("token");
    let [key_id] = v.array("key_id");
    let keys = LinkKeys::new(key_id, Arc::new(v.key("tag_key")), Arc::new(v.key("pepper")));
    let token = LinkToken::parse(v.text("text"), &keys).unwrap();
    assert_eq!(token.key_id(), key_id, "key id");
    assert_eq!(&*token.text(), v.text("text"), "text");
    let lookup = token.lookup(&keys).unwrap();
    assert_eq!(lookup.print, v.bytes("print"), "print");
    let day = lookup.day.checked_sub(18_262).and_then(|day| u16::try_from(day).ok()).unwrap();
    assert_eq!(day.to_be_bytes(), v.bytes("day"), "day, counted from 2020");
    let bytes = BASE64URL_NOPAD.decode(v.text("text").as_bytes()).unwrap();
    assert_eq!(&bytes[3..27], v.bytes("random"), "random");
    assert_eq!(v.text("text").len(), token::TEXT_LENGTH, "length");
}

#[test]
fn the_link_number_and_the_session_label_are_as_documented() {
    let v = Vector::named("number");
    let job = JobId(Uuid::from_bytes(v.array("job")));
    assert_eq!(LinkNumber::of(job).to_string(), v.text("number"), "number");
    assert_eq!(v.text("number").parse(), Ok(LinkNumber::of(job)), "and back");
    let v = Vector::named("session");
    let event = EventId(Uuid::from_bytes(v.array("event")));
    assert_eq!(session_label(event), v.text("label"), "session");
}

#[test]
fn the_sealed_file_is_as_documented() {
    let v = Vector::named("stream");
    let sealed = v.bytes("sealed");
    let plain = stream::open(&v.key("key"), v.bytes("aad"), sealed).unwrap();
    assert_eq!(plain.as_slice(), v.bytes("plain"), "plain");
    assert_eq!(&sealed[1..33], v.bytes("salt"), "salt");
    assert_eq!(&sealed[33..40], v.bytes("prefix"), "nonce prefix");
}

#[test]
fn the_sealed_column_and_the_wrap_are_as_documented() {
    let v = Vector::named("column");
    let sealed = v.bytes("sealed");
    let (table, name, row) = (v.text("table"), v.text("column"), v.array("row"));
    let plain = column::open_column(&v.key("key"), table, name, &row, sealed).unwrap();
    assert_eq!(plain.as_slice(), v.bytes("plain"), "plain");
    assert_eq!((sealed[0], &sealed[1..13]), (1, v.bytes("nonce")), "version and nonce");
    assert_eq!(sealed.len(), plain.len().saturating_add(wrap::OVERHEAD), "overhead");
}

#[test]
fn the_sealed_body_is_as_documented() {
    let v = Vector::named("body");
    let pair = SealingPair::from_seed(&v.key("seed"));
    assert_eq!(pair.public().0, v.bytes("public"), "public key");
    let plain = pair.open(Some(&v.tenant()), v.bytes("sealed")).unwrap();
    assert_eq!(plain.as_slice(), v.bytes("plain"), "plain");
}

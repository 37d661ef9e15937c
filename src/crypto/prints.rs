//! Keyed fingerprints, each with a label of its own.
//!
//! A fingerprint stands where the value must not: a job key in the dedupe
//! table, an address in a search index, a name in a public log. All are
//! HMAC-SHA256 over a label and length-prefixed parts, so that no print can be
//! taken for another and no two lists of parts collide.
//!
//! Prints are compared in constant time ([`same`]), never with `==` where an
//! outsider chooses one side.

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Key;
use crate::domain::ids::TenantId;

/// HMAC-SHA256 under `key` of: label, a zero byte, then every part behind its
/// length (8 bytes, big endian).
pub fn mac(key: &Key, label: &str, parts: &[&[u8]]) -> [u8; 32] {
    mac_under(key.expose(), label, parts)
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn mac_under(key: &[u8], label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes every length");
    mac.update(label.as_bytes());
    mac.update(&[0]);
    for part in parts {
        mac.update(&length(part));
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The length prefix of a part.
pub(super) fn length(part: &[u8]) -> [u8; 8] {
    // No slice is longer than the largest u64.
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}

/// Whether two prints are equal, in a time that depends on their lengths only.
pub fn same(ours: &[u8], theirs: &[u8]) -> bool {
    ours.ct_eq(theirs).into()
}

fn cut<const N: usize>(print: &[u8; 32]) -> [u8; N] {
    const { assert!(N <= 32, "a print has 32 bytes") };
    let mut short = [0; N];
    short.iter_mut().zip(print).for_each(|(to, from)| *to = *from);
    short
}

/// The primary key of the dedupe table: stands for (tenant, job key).
pub fn dedupe_print(key: &Key, tenant: &TenantId, job_key: &str) -> [u8; 16] {
    cut(&mac(key, "kakitome dedupe v1", &[tenant.as_str().as_bytes(), job_key.as_bytes()]))
}

/// Stands for a job's canonical payload: the same key with another payload is
/// a conflict.
pub fn payload_mac(key: &Key, canonical: &[u8]) -> [u8; 32] {
    mac(key, "kakitome payload v1", &[canonical])
}

/// An exact blind index: finds rows with this value in this field without the
/// value being there. `key` is the tenant's own; the caller canonicalises.
pub fn blind_index(key: &Key, field: &str, canonical: &str) -> [u8; 16] {
    cut(&mac(key, "kakitome index v1", &[field.as_bytes(), canonical.as_bytes()]))
}

/// Commits a log leaf to a value without showing it: whoever is given salt and
/// value can check; when the salt is gone, nobody can.
pub fn commitment(salt: &[u8; 32], name: &str, value: &[u8]) -> [u8; 32] {
    mac_under(salt, "kakitome commitment v1", &[name.as_bytes(), value])
}

/// The tag in a VERP envelope sender: a bounce without it is not ours.
pub fn verp_tag(key: &Key, job: &[u8; 16]) -> [u8; 10] {
    cut(&mac(key, "kakitome verp v1", &[job]))
}

/// For how long a link page may lie open before its button works no more.
const PAGE_MINUTES: i64 = 30;

/// The nonce of a link page: proves that the page was served for this link
/// within the last 30 minutes. 27 base64url characters.
pub fn page_nonce(key: &Key, link: &[u8; 32], now: DateTime<Utc>) -> String {
    let minute = minute(now).to_be_bytes();
    let mut nonce = [0; 20];
    let tag = page_tag(key, link, minute);
    nonce.iter_mut().zip(minute.iter().chain(&tag)).for_each(|(to, from)| *to = *from);
    BASE64URL_NOPAD.encode(&nonce)
}

/// Whether `text` is a nonce of [`page_nonce`] for this link, not older than
/// 30 minutes and not from the future by more than a minute.
pub fn page_nonce_holds(key: &Key, link: &[u8; 32], text: &str, now: DateTime<Utc>) -> bool {
    let Ok(bytes) = BASE64URL_NOPAD.decode(text.as_bytes()) else { return false };
    let Some((minute_bytes, tag)) = bytes.split_first_chunk::<4>() else { return false };
    let age = i64::from(minute(now)).saturating_sub(i64::from(u32::from_be_bytes(*minute_bytes)));
    same(&page_tag(key, link, *minute_bytes), tag) && (-1..=PAGE_MINUTES).contains(&age)
}

fn page_tag(key: &Key, link: &[u8; 32], minute: [u8; 4]) -> [u8; 16] {
    cut(&mac(key, "kakitome page v1", &[link, &minute]))
}

/// Minutes since 1970; good until the year 10136.
fn minute(now: DateTime<Utc>) -> u32 {
    u32::try_from(now.timestamp().div_euclid(60)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32])
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    #[test]
    fn parts_do_not_run_together() {
        let print = |parts: &[&[u8]]| mac(&key(1), "l", parts);
        assert_ne!(print(&[b"ab", b"c"]), print(&[b"a", b"bc"]), "cut elsewhere");
        assert_ne!(print(&[b"ab"]), print(&[b"ab", b""]), "an empty part counts");
        assert_ne!(mac(&key(1), "la", &[]), mac(&key(1), "lb", &[]), "labels separate");
        assert_ne!(mac(&key(1), "l", &[]), mac(&key(2), "l", &[]), "keys separate");
    }

    #[test]
    fn prints_of_different_kinds_never_meet() {
        let acme = TenantId::parse("acme").unwrap();
        let all = [
            dedupe_print(&key(1), &acme, "x").to_vec(),
            blind_index(&key(1), "acme", "x").to_vec(),
            payload_mac(&key(1), b"x")[..16].to_vec(),
            commitment(key(1).expose(), "acme", b"x")[..16].to_vec(),
        ];
        for (at, print) in all.iter().enumerate() {
            assert!(!all[..at].contains(print), "print {at} equals an earlier one");
        }
    }

    #[test]
    fn one_tenants_job_key_is_not_anothers() {
        let (acme, other) = (TenantId::parse("acme").unwrap(), TenantId::parse("other").unwrap());
        let (a, b) = (dedupe_print(&key(1), &acme, "7"), dedupe_print(&key(1), &other, "7"));
        assert_ne!(a, b, "tenants never meet");
    }

    #[test]
    fn a_page_nonce_holds_for_half_an_hour_and_one_link() {
        let nonce = page_nonce(&key(1), &[4; 32], now());
        let holds = |link: u8, minutes: i64| {
            let later = now() + TimeDelta::minutes(minutes);
            page_nonce_holds(&key(1), &[link; 32], &nonce, later)
        };
        assert!(holds(4, 0) && holds(4, 30) && holds(4, -1), "inside its time");
        assert!(!holds(4, 31) && !holds(4, -2), "outside its time");
        assert!(!holds(5, 0), "another link");
        assert!(!page_nonce_holds(&key(2), &[4; 32], &nonce, now()), "another key");
        for text in ["", "AAAA", "not base64!", nonce.get(1..).unwrap(), &format!("{nonce}AAAA")] {
            assert!(!page_nonce_holds(&key(1), &[4; 32], text, now()), "{text:?} is no nonce");
        }
    }

    #[test]
    fn a_print_of_another_length_is_not_the_same() {
        assert!(same(b"abc", b"abc"), "equal");
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"", b"a"), "unequal");
    }
}

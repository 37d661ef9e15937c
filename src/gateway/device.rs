//! Whether a document was opened from this device or from another.
//!
//! A browser that opens a document gets a cookie of chance, signed by us, and
//! the log keeps a print of it in the sealed detail of the open. So a person
//! can be told which of the opens were theirs, and nobody else learns
//! anything: the print is another one for every tenant, and dies with the key
//! of its month. The cookie is read nowhere else and decides nothing; without
//! cookies a page says that it cannot tell.

use axum::http::{HeaderMap, header};
use chrono::TimeDelta;
use data_encoding::BASE64URL_NOPAD;

use crate::{
    crypto::{Key, prints},
    domain::ids::TenantId,
    entropy::{Entropy, NoEntropy},
};

/// How long a browser keeps the cookie: longer than any document lives.
const LIFE: TimeDelta = TimeDelta::days(90);
/// Cookies of a request that are looked at.
const COOKIES_MAX: usize = 50;

const ID: usize = 16;
const TAG: usize = 16;

/// A browser that opened something before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Device([u8; ID]);

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device(..)")
    }
}

/// The cookie's name. The prefix keeps other hosts and plain connections from
/// setting it; without TLS, on the loopback of a demo, browsers refuse it.
const fn name(secure: bool) -> &'static str {
    if secure { "__Host-kakitome-device" } else { "kakitome-device" }
}

impl Device {
    /// The device behind a request, if it has our cookie.
    pub(super) fn of(headers: &HeaderMap, key: &Key, secure: bool) -> Option<Self> {
        let lines = headers.get_all(header::COOKIE).iter();
        let pairs = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        let mut ours = pairs.take(COOKIES_MAX).filter_map(|pair| {
            let (found, value) = pair.trim().split_once('=')?;
            (found == name(secure)).then_some(value)
        });
        ours.find_map(|value| Self::parse(value, key))
    }

    /// A device that has no cookie yet.
    pub(super) fn draw(entropy: &Entropy) -> Result<Self, NoEntropy> {
        entropy.array().map(Self)
    }

    fn parse(value: &str, key: &Key) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
        let (id, tag) = bytes.split_first_chunk::<ID>()?;
        prints::same(&Self(*id).tag(key), tag).then_some(Self(*id))
    }

    fn tag(self, key: &Key) -> Vec<u8> {
        prints::mac(key, "kakitome device v1", &[&self.0]).into_iter().take(TAG).collect()
    }

    /// The line that gives a browser its cookie.
    pub(super) fn cookie(self, key: &Key, secure: bool) -> String {
        let value = BASE64URL_NOPAD.encode(&[self.0.as_slice(), &self.tag(key)].concat());
        let (name, life) = (name(secure), LIFE.num_seconds());
        let shield = if secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{shield}")
    }

    /// What the log keeps: another print for every tenant.
    pub(super) fn print(self, key: &Key, tenant: &TenantId) -> String {
        let parts = [tenant.as_str().as_bytes(), &self.0];
        let print = prints::mac(key, "kakitome device print v1", &parts);
        BASE64URL_NOPAD.encode(print.get(..12).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32])
    }

    fn request(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        headers
    }

    #[test]
    fn a_browser_comes_back_as_itself() {
        let device = Device::draw(&Entropy::from_seed_number(1)).unwrap();
        for secure in [true, false] {
            let line = device.cookie(&key(1), secure);
            let pair = line.split(';').next().unwrap();
            let headers = request(&format!("a=b; {pair}; c=d"));
            assert_eq!(Device::of(&headers, &key(1), secure), Some(device), "{secure}");
            assert_eq!(Device::of(&headers, &key(2), secure), None, "another key");
            assert_eq!(Device::of(&headers, &key(1), !secure), None, "another kind of site");
            assert_eq!(line.contains("Secure"), secure, "{line}");
            assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
        }
    }

    #[test]
    fn a_forged_cookie_is_no_device() {
        for forged in ["", "kakitome-device=", "kakitome-device=AAAA", "kakitome-device=%%"] {
            assert_eq!(Device::of(&request(forged), &key(1), false), None, "{forged}");
        }
        let forged = format!("kakitome-device={}", BASE64URL_NOPAD.encode(&[7; 32]));
        assert_eq!(Device::of(&request(&forged), &key(1), false), None, "without our tag");
    }

    #[test]
    fn tenants_cannot_compare_their_visitors() {
        let device = Device::draw(&Entropy::from_seed_number(1)).unwrap();
        let print = |tenant: &str| device.print(&key(1), &TenantId::parse(tenant).unwrap());
        assert_ne!(print("acme"), print("other"), "another print for another tenant");
        assert_eq!(print("acme"), print("acme"), "the same for the same");
    }
}

//! The secret in a recipient's link.
//!
//! A token is 36 bytes: key id (1), issue day (2), random (24), tag (9); as
//! text, 48 characters of base64url. The 192 random bits are the secret. The
//! tag lets us turn away guesses without asking the database, which is all it
//! is for. The issue day leads a look-up to the right month's partition, and
//! the key id lets two sets of keys live while one replaces the other.
//!
//! What we keep of a token is its print ([`Lookup`]), under a pepper that is
//! not in the database. A token therefore cannot be shown again by anyone,
//! us included.
//!
//! It refuses every text that is not exactly what [`LinkToken::text`] writes:
//! other lengths, padding, characters outside the alphabet, stray bits.

use std::{collections::BTreeMap, fmt, sync::Arc};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use data_encoding::BASE64URL_NOPAD;
use zeroize::{Zeroize, Zeroizing};

use super::{CryptoError, Key, prints};
use crate::entropy::Entropy;

/// Bytes of a token.
const LENGTH: usize = 36;
/// Bytes before the tag.
const SIGNED: usize = 27;
/// Characters of a token.
pub const TEXT_LENGTH: usize = 48;
/// Day 0 of the issue day: 1 January 2020, as days since 1970.
const DAY_ZERO: i64 = 18_262;

/// The keys of one key id.
#[derive(Debug)]
struct KeyPair {
    tag: Arc<Key>,
    pepper: Arc<Key>,
}

/// The keys behind links: one pair per key id, and which of them mints.
#[derive(Debug)]
pub struct LinkKeys {
    pairs: BTreeMap<u8, KeyPair>,
    minting: u8,
}

impl LinkKeys {
    /// Begins a set with the pair that mints.
    pub fn new(key_id: u8, tag: Arc<Key>, pepper: Arc<Key>) -> Self {
        Self { pairs: BTreeMap::from([(key_id, KeyPair { tag, pepper })]), minting: key_id }
    }

    /// Adds a pair whose tokens are still, or already, good.
    #[must_use]
    pub fn with(mut self, key_id: u8, tag: Arc<Key>, pepper: Arc<Key>) -> Self {
        self.pairs.insert(key_id, KeyPair { tag, pepper });
        self
    }

    /// Mints with another pair of the set from now on; an id that is not in
    /// the set changes nothing.
    #[must_use]
    pub fn minting_with(mut self, key_id: u8) -> Self {
        if self.pairs.contains_key(&key_id) {
            self.minting = key_id;
        }
        self
    }

    /// The key id of new tokens.
    pub fn minting(&self) -> u8 {
        self.minting
    }

    /// The key ids whose tokens are good.
    pub fn key_ids(&self) -> impl Iterator<Item = u8> + '_ {
        self.pairs.keys().copied()
    }
}

/// Why a text is not a token of ours. The answer to the outside is the same
/// for all; the word is for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not 48 characters.
    #[error("not the length of a token")]
    Length,
    /// Not base64url, or not in its canonical form.
    #[error("not the alphabet of a token")]
    Alphabet,
    /// No key of ours has this id (any more).
    #[error("no key for this token")]
    Key,
    /// The tag is not ours: a guess, or a damaged link.
    #[error("not a token of ours")]
    Tag,
}

/// The secret that opens one document. It exists in two places only: in the
/// recipient's mailbox, and here while a mail is written or a page is served.
pub struct LinkToken(Box<[u8; LENGTH]>);

/// What is kept of a token: where its row is, and nothing that opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lookup {
    /// The day of issue, in days since 1970 (UTC).
    pub day: i64,
    /// HMAC-SHA256 of the token under the pepper of its key id.
    pub print: [u8; 32],
}

impl Lookup {
    /// The day of issue as a date.
    pub fn date(&self) -> Option<NaiveDate> {
        DateTime::UNIX_EPOCH
            .checked_add_signed(TimeDelta::try_days(self.day)?)
            .map(|instant| instant.date_naive())
    }
}

impl LinkToken {
    /// Mints a token issued at `issued` (a day from 2020 to 2199, UTC).
    pub fn mint(
        keys: &LinkKeys,
        issued: DateTime<Utc>,
        entropy: &Entropy,
    ) -> Result<Self, CryptoError> {
        let day = issued.timestamp().div_euclid(86_400).saturating_sub(DAY_ZERO);
        let [high, low] = u16::try_from(day).map_err(|_| CryptoError::TooLong)?.to_be_bytes();
        let pair = keys.pairs.get(&keys.minting).ok_or(CryptoError::BrokenSeal)?;
        let mut token = Self(Box::new([0; LENGTH]));
        let (signed, tag) = token.0.split_at_mut(SIGNED);
        if let [kid, day_high, day_low, random @ ..] = &mut *signed {
            (*kid, *day_high, *day_low) = (keys.minting, high, low);
            entropy.fill(random)?;
        }
        tag.copy_from_slice(&tag_of(&pair.tag, signed));
        Ok(token)
    }

    /// Reads a token from a link, and refuses what we did not mint.
    pub fn parse(text: &str, keys: &LinkKeys) -> Result<Self, BadToken> {
        if text.len() != TEXT_LENGTH {
            return Err(BadToken::Length);
        }
        let mut token = Self(Box::new([0; LENGTH]));
        // 48 characters carry 36 bytes exactly: there are no spare bits, and
        // so no second spelling.
        BASE64URL_NOPAD
            .decode_mut(text.as_bytes(), token.0.as_mut_slice())
            .map_err(|_| BadToken::Alphabet)?;
        let pair = keys.pairs.get(&token.key_id()).ok_or(BadToken::Key)?;
        let (signed, tag) = token.0.split_at(SIGNED);
        if prints::same(&tag_of(&pair.tag, signed), tag) { Ok(token) } else { Err(BadToken::Tag) }
    }

    /// The text for the link; the one way out.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64URL_NOPAD.encode(self.0.as_slice()))
    }

    /// Where this token's row is. Fails only when the keys of its id have been
    /// destroyed since it was minted or parsed.
    pub fn lookup(&self, keys: &LinkKeys) -> Result<Lookup, BadToken> {
        let pair = keys.pairs.get(&self.key_id()).ok_or(BadToken::Key)?;
        let [_, high, low, ..] = &*self.0;
        let day = DAY_ZERO.saturating_add(i64::from(u16::from_be_bytes([*high, *low])));
        let print = prints::mac(&pair.pepper, "kakitome link lookup v1", &[self.0.as_slice()]);
        Ok(Lookup { day, print })
    }

    /// The id of the keys that vouch for this token.
    pub fn key_id(&self) -> u8 {
        let [key_id, ..] = &*self.0;
        *key_id
    }
}

fn tag_of(key: &Key, signed: &[u8]) -> [u8; 9] {
    let mut tag = [0; 9];
    let print = prints::mac(key, "kakitome link tag v1", &[signed]);
    tag.iter_mut().zip(print).for_each(|(to, from)| *to = from);
    tag
}

impl Drop for LinkToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl zeroize::ZeroizeOnDrop for LinkToken {}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Arc<Key> {
        Arc::new(Key::take(&mut [byte; 32]))
    }

    fn keys() -> LinkKeys {
        LinkKeys::new(2, key(1), key(2)).with(1, key(3), key(4))
    }

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_176_000, 0).unwrap()
    }

    #[test]
    fn a_token_comes_back_from_its_text() {
        let entropy = Entropy::from_seed_number(1);
        let token = LinkToken::mint(&keys(), noon(), &entropy).unwrap();
        assert_eq!(token.text().len(), TEXT_LENGTH, "48 characters");
        let again = LinkToken::parse(&token.text(), &keys()).unwrap();
        let lookup = again.lookup(&keys()).unwrap();
        assert_eq!(Ok(lookup), token.lookup(&keys()), "the same token, the same row");
        assert_eq!(lookup.date(), Some(noon().date_naive()), "the day of issue");
    }

    #[test]
    fn a_token_minted_before_a_rotation_stays_good() {
        let entropy = Entropy::from_seed_number(1);
        let old = LinkKeys::new(1, key(3), key(4));
        let token = LinkToken::mint(&old, noon(), &entropy).unwrap();
        let lookup = token.lookup(&old).unwrap();
        let parsed = LinkToken::parse(&token.text(), &keys()).unwrap();
        assert_eq!(parsed.lookup(&keys()), Ok(lookup), "same print under both sets");
        let new = LinkKeys::new(2, key(1), key(2));
        let refused = LinkToken::parse(&token.text(), &new).err();
        assert_eq!(refused, Some(BadToken::Key), "and dies with its keys");
    }

    #[test]
    fn a_token_shows_nothing_and_is_never_minted_twice() {
        let entropy = Entropy::from_os().unwrap();
        let mut seen = HashSet::new();
        for _ in 0..2_000 {
            let token = LinkToken::mint(&keys(), noon(), &entropy).unwrap();
            assert_eq!(format!("{token:?}"), "LinkToken(..)", "Debug must be mute");
            assert!(seen.insert(token.text().to_string()), "minted twice");
        }
    }

    #[test]
    fn a_seed_replays_its_tokens() {
        let mint = |seed| LinkToken::mint(&keys(), noon(), &Entropy::from_seed_number(seed));
        assert_eq!(mint(1).unwrap().text(), mint(1).unwrap().text(), "the same seed");
        assert_ne!(mint(1).unwrap().text(), mint(2).unwrap().text(), "another seed");
    }

    #[test]
    fn days_outside_the_calendar_are_refused() {
        let entropy = Entropy::from_seed_number(1);
        for seconds in [0, 1_577_836_799, (DAY_ZERO + 65_536) * 86_400] {
            let day = DateTime::from_timestamp(seconds, 0).unwrap();
            assert!(LinkToken::mint(&keys(), day, &entropy).is_err(), "{day} is out of range");
        }
        for seconds in [1_577_836_800, (DAY_ZERO + 65_536) * 86_400 - 1] {
            let day = DateTime::from_timestamp(seconds, 0).unwrap();
            let token = LinkToken::mint(&keys(), day, &entropy).unwrap();
            let lookup = token.lookup(&keys()).unwrap();
            assert_eq!(lookup.date(), Some(day.date_naive()), "the first and the last day");
        }
    }

    #[test]
    fn only_the_canonical_text_is_read() {
        let token = LinkToken::mint(&keys(), noon(), &Entropy::from_seed_number(1)).unwrap();
        let text = token.text();
        let refusal = |text: &str| LinkToken::parse(text, &keys()).err();
        assert_eq!(refusal(""), Some(BadToken::Length), "empty");
        assert_eq!(refusal(text.get(1..).unwrap()), Some(BadToken::Length), "short");
        assert_eq!(refusal(&format!("{}=", &*text)), Some(BadToken::Length), "padded");
        assert_eq!(refusal(&"é".repeat(24)), Some(BadToken::Alphabet), "not ASCII");
        for stray in ["+", "/", "=", " ", "\n", "%", "\0"] {
            let spoiled = format!("{}{stray}", text.get(..47).unwrap());
            assert_eq!(refusal(&spoiled), Some(BadToken::Alphabet), "{stray:?}");
        }
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_refused(bit in 0..(LENGTH * 8), seed: u64) {
            let token = LinkToken::mint(&keys(), noon(), &Entropy::from_seed_number(seed)).unwrap();
            let mut bytes = *token.0;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refusal = LinkToken::parse(&BASE64URL_NOPAD.encode(&bytes), &keys()).err();
            prop_assert!(matches!(refusal, Some(BadToken::Tag | BadToken::Key)));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            prop_assert!(LinkToken::parse(&text, &keys()).is_err());
        }
    }
}

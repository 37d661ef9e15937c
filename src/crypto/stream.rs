//! The format of a sealed file: Tink's AES256-GCM-HKDF streaming AEAD with
//! 64 KiB segments, SHA-256 and a 32-byte derived key, so that a stranger's
//! client can open what we seal.
//!
//! Header: its length (1 byte, 40), salt (32), nonce prefix (7). The file's
//! key is HKDF-SHA256 of our key, the salt, and the associated data as info.
//! Segment `i` is AES-256-GCM under the nonce prefix | i (4, big endian) |
//! 1 when it is the last. Every segment is 65,536 bytes with its tag, but the
//! last, and the first counts the header in.
//! <https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming>
//!
//! The length of the file is vouched for by the last segment only. A reader of
//! single segments would take a cut file for a whole one; so [`Opened`] cannot
//! be had without the last segment, and is the only way to a range.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "every length is bounded once, by segments_of and plain_len; after that offsets \
              stay below 2^48"
)]

use std::ops::Range;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf,
};
use zeroize::Zeroizing;

use super::{CryptoError, Key, key::ThirtyTwo};
use crate::{domain::plain::Plain, entropy::Entropy};

/// Bytes of a sealed segment, tag included.
pub const SEGMENT: u64 = 65_536;
/// Bytes of the header.
pub const HEADER: u64 = 40;
const TAG: u64 = 16;
/// Plain bytes in a full segment that is not the first.
const ROOM: u64 = SEGMENT - TAG;
/// The longest file we seal or open: 16 GiB, far above every other limit and
/// far below the 2^32 segments of the format.
const LONGEST: u64 = 1 << 34;

/// The length of what `plain_len` bytes become when sealed.
pub fn sealed_len(plain_len: u64) -> Result<u64, CryptoError> {
    if plain_len > LONGEST {
        return Err(CryptoError::TooLong);
    }
    let segments = (plain_len + HEADER).div_ceil(ROOM);
    Ok(plain_len + HEADER + segments * TAG)
}

/// The length of what is sealed in `sealed_len` bytes, if any file can have
/// that length.
pub fn plain_len(sealed: u64) -> Result<u64, CryptoError> {
    let plain = sealed
        .checked_sub(HEADER)
        .and_then(|rest| rest.checked_sub(sealed.div_ceil(SEGMENT) * TAG))
        .ok_or(CryptoError::BrokenSeal)?;
    if sealed_len(plain) == Ok(sealed) { Ok(plain) } else { Err(CryptoError::BrokenSeal) }
}

/// Seals `plain` under `key`, bound to `aad`.
pub fn seal(
    key: &Key,
    aad: &[u8],
    plain: &[u8],
    entropy: &Entropy,
) -> Result<Vec<u8>, CryptoError> {
    let length = sealed_len(u64::try_from(plain.len()).map_err(|_| CryptoError::TooLong)?)?;
    let mut sealed = vec![0; usize::try_from(length).map_err(|_| CryptoError::TooLong)?];
    let (header, mut body) = split(&mut sealed, HEADER)?;
    let chance: [u8; 39] = entropy.array()?;
    if let [first, rest @ ..] = &mut *header {
        *first = 40;
        rest.copy_from_slice(&chance);
    }
    let cipher = Cipher::new(key, aad, header)?;

    let last = length.div_ceil(SEGMENT) - 1;
    let mut rest = plain;
    for index in 0..=last {
        let place = segment(index, length);
        let (chunk, later) = rest
            .split_at_checked(to_usize(place.end - place.start - TAG)?)
            .ok_or(CryptoError::TooLong)?;
        let (target, later_body) = split(body, place.end - place.start)?;
        let (target, tag) = split(target, place.end - place.start - TAG)?;
        let nonce = cipher.nonce(index, index == last)?;
        cipher
            .aead
            .seal_out_of_place_scatter(nonce, Aad::empty(), chunk, target, &[], tag)
            .map_err(|_| CryptoError::TooLong)?;
        (rest, body) = (later, later_body);
    }
    Ok(sealed)
}

/// Opens a whole sealed file.
pub fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Result<Plain, CryptoError> {
    let length = u64::try_from(sealed.len()).map_err(|_| CryptoError::TooLong)?;
    let header = sealed.get(..to_usize(HEADER)?).ok_or(CryptoError::BrokenSeal)?;
    let file = Opened {
        cipher: Cipher::new(key, aad, header)?,
        sealed: length,
        plain: plain_len(length)?,
    };
    let (_, body) = sealed.split_at_checked(to_usize(HEADER)?).ok_or(CryptoError::BrokenSeal)?;
    if file.plain == 0 {
        // Nothing to give, but the one empty segment is authenticated too.
        let mut plain = Plain::default();
        file.open_segment(0, body, &mut plain)?;
        return Ok(plain);
    }
    file.decode(0..file.plain, body)
}

/// The two pieces of a sealed file that [`Opened::new`] needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Where the header is.
    pub head: Range<u64>,
    /// Where the last segment is.
    pub tail: Range<u64>,
}

/// Where the header and the last segment of a file of this length are.
pub fn ends(sealed_len: u64) -> Result<Ends, CryptoError> {
    plain_len(sealed_len)?;
    Ok(Ends { head: 0..HEADER, tail: segment(sealed_len.div_ceil(SEGMENT) - 1, sealed_len) })
}

/// A sealed file whose length has been authenticated, ready to give ranges.
///
/// The bytes are fetched by the caller: ask [`Opened::cover`] which sealed
/// bytes a plain range needs, and give them to [`Opened::decode`].
#[derive(Debug)]
pub struct Opened {
    cipher: Cipher,
    sealed: u64,
    plain: u64,
}

impl Opened {
    /// Opens a file of `sealed_len` bytes by its header and last segment, the
    /// pieces named by [`ends`].
    pub fn new(
        key: &Key,
        aad: &[u8],
        sealed_len: u64,
        head: &[u8],
        tail: &[u8],
    ) -> Result<Self, CryptoError> {
        let plain = plain_len(sealed_len)?;
        let file = Self { cipher: Cipher::new(key, aad, head)?, sealed: sealed_len, plain };
        let last = sealed_len.div_ceil(SEGMENT) - 1;
        let mut scratch = Plain::default();
        file.open_segment(last, tail, &mut scratch)?;
        Ok(file)
    }

    /// The length of the plain file.
    pub fn plain_len(&self) -> u64 {
        self.plain
    }

    /// The sealed bytes that hold `range` of the plain file; empty when the
    /// range is. A range that reaches past the end is refused.
    pub fn cover(&self, range: &Range<u64>) -> Result<Range<u64>, CryptoError> {
        self.check(range)?;
        let Some(at_last) = range.end.checked_sub(1).filter(|_| !range.is_empty()) else {
            return Ok(HEADER..HEADER);
        };
        let (first, last) = (index_of(range.start), index_of(at_last));
        Ok(segment(first, self.sealed).start..segment(last, self.sealed).end)
    }

    /// Opens `range` of the plain file from the sealed bytes that
    /// [`Self::cover`] named for it.
    pub fn decode(&self, range: Range<u64>, covered: &[u8]) -> Result<Plain, CryptoError> {
        let cover = self.cover(&range)?;
        let mut rest = covered;
        let mut plain = Plain::with_capacity(to_usize(range.end - range.start)?);
        let mut at = cover.start;
        while at < cover.end {
            let index = at / SEGMENT;
            let place = segment(index, self.sealed);
            let (bytes, later) = rest
                .split_at_checked(to_usize(place.end - place.start)?)
                .ok_or(CryptoError::BrokenSeal)?;
            let start = plain_start(index);
            let whole = start..start + (place.end - place.start - TAG);
            if range.start <= whole.start && whole.end <= range.end {
                self.open_segment(index, bytes, &mut plain)?;
            } else {
                // Large enough for any segment: growing would leave a copy behind.
                let mut scratch = Plain::with_capacity(to_usize(ROOM)?);
                self.open_segment(index, bytes, &mut scratch)?;
                let from = to_usize(range.start.saturating_sub(start))?;
                let to = to_usize(range.end - start)?.min(scratch.len());
                plain.extend_from_slice(scratch.get(from..to).ok_or(CryptoError::BrokenSeal)?);
            }
            (rest, at) = (later, place.end);
        }
        if rest.is_empty() { Ok(plain) } else { Err(CryptoError::BrokenSeal) }
    }

    fn check(&self, range: &Range<u64>) -> Result<(), CryptoError> {
        let fits = range.start <= range.end && range.end <= self.plain;
        if fits { Ok(()) } else { Err(CryptoError::TooLong) }
    }

    /// Opens one segment and appends what was in it to `plain`.
    fn open_segment(
        &self,
        index: u64,
        bytes: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let place = segment(index, self.sealed);
        if bytes.len() != to_usize(place.end - place.start)? {
            return Err(CryptoError::BrokenSeal);
        }
        let (text, tag) = bytes.split_last_chunk::<16>().ok_or(CryptoError::BrokenSeal)?;
        let before = plain.len();
        plain.resize(before + text.len(), 0);
        let target = plain.get_mut(before..).ok_or(CryptoError::BrokenSeal)?;
        let nonce = self.cipher.nonce(index, place.end == self.sealed)?;
        self.cipher
            .aead
            .open_separate_gather(nonce, Aad::empty(), text, tag, target)
            .map_err(|_| CryptoError::BrokenSeal)
    }
}

/// The key and the nonce prefix of one file.
#[derive(Debug)]
struct Cipher {
    aead: LessSafeKey,
    prefix: [u8; 7],
}

impl Cipher {
    fn new(key: &Key, aad: &[u8], header: &[u8]) -> Result<Self, CryptoError> {
        let rest = header.strip_prefix(&[40]).ok_or(CryptoError::BrokenSeal)?;
        let (salt, prefix) = rest.split_first_chunk::<32>().ok_or(CryptoError::BrokenSeal)?;
        let prefix = prefix.try_into().map_err(|_| CryptoError::BrokenSeal)?;
        let mut derived = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(key.expose())
            .expand(&[aad], ThirtyTwo)
            .and_then(|okm| okm.fill(derived.as_mut_slice()))
            .and_then(|()| UnboundKey::new(&AES_256_GCM, derived.as_slice()))
            .map(|aead| Self { aead: LessSafeKey::new(aead), prefix })
            .map_err(|_| CryptoError::BrokenSeal)
    }

    fn nonce(&self, index: u64, last: bool) -> Result<Nonce, CryptoError> {
        let [p0, p1, p2, p3, p4, p5, p6] = self.prefix;
        let index = u32::try_from(index).map_err(|_| CryptoError::TooLong)?;
        let [i0, i1, i2, i3] = index.to_be_bytes();
        let nonce = [p0, p1, p2, p3, p4, p5, p6, i0, i1, i2, i3, u8::from(last)];
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Where segment `index` lies in a sealed file of `length` bytes; the first
/// begins behind the header.
fn segment(index: u64, length: u64) -> Range<u64> {
    let start = if index == 0 { HEADER } else { index * SEGMENT };
    start..((index + 1) * SEGMENT).min(length)
}

/// The segment that holds the plain byte at `offset`.
fn index_of(offset: u64) -> u64 {
    (offset + HEADER) / ROOM
}

/// The offset of the first plain byte in segment `index`.
fn plain_start(index: u64) -> u64 {
    (index * ROOM).saturating_sub(HEADER)
}

fn to_usize(length: u64) -> Result<usize, CryptoError> {
    usize::try_from(length).map_err(|_| CryptoError::TooLong)
}

fn split(bytes: &mut [u8], at: u64) -> Result<(&mut [u8], &mut [u8]), CryptoError> {
    bytes.split_at_mut_checked(to_usize(at)?).ok_or(CryptoError::TooLong)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "tampered_tests.rs"]
mod tampered;

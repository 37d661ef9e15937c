//! Wraps keys and other short secrets for storage.
//!
//! AES-256-GCM-SIV (RFC 8452): should a nonce ever repeat, only the equality
//! of two equal secrets in the same place would show. The associated data
//! names the place (ids and version), so that a wrapped key copied into
//! another row does not open there.
//!
//! It refuses everything whose version, length, place or tag is not right,
//! without saying which.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use super::{CryptoError, Key};
use crate::entropy::Entropy;

/// The first byte of everything wrapped by this version.
const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;

/// By how many bytes a wrapped secret is longer than the secret.
pub const OVERHEAD: usize = 1 + NONCE + TAG;

/// Wraps `plain` under `key` for the place named by `aad`: version (1), nonce
/// (12), ciphertext, tag (16).
pub fn wrap(
    key: &Key,
    aad: &[u8],
    plain: &[u8],
    entropy: &Entropy,
) -> Result<Vec<u8>, CryptoError> {
    let nonce: [u8; NONCE] = entropy.array()?;
    let capacity = plain.len().checked_add(OVERHEAD).ok_or(CryptoError::TooLong)?;
    let mut wrapped = Vec::with_capacity(capacity);
    wrapped.push(VERSION);
    wrapped.extend_from_slice(&nonce);
    wrapped.extend_from_slice(plain);
    let (_, secret) = wrapped.split_at_mut(1 + NONCE);
    let sealed = cipher(key)?.seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(aad),
        secret,
    );
    let Ok(tag) = sealed else {
        wrapped.zeroize();
        return Err(CryptoError::TooLong);
    };
    wrapped.extend_from_slice(tag.as_ref());
    Ok(wrapped)
}

/// Unwraps what [`wrap`] made for the same place.
pub fn unwrap_(key: &Key, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let rest = wrapped.strip_prefix(&[VERSION]).ok_or(CryptoError::BrokenSeal)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(CryptoError::BrokenSeal)?;
    let (sealed, tag) = rest.split_last_chunk::<TAG>().ok_or(CryptoError::BrokenSeal)?;
    let mut plain = Zeroizing::new(vec![0; sealed.len()]);
    cipher(key)?
        .open_separate_gather(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(aad),
            sealed,
            tag,
            &mut plain,
        )
        .map_err(|_| CryptoError::BrokenSeal)?;
    Ok(plain)
}

/// Unwraps a key.
pub fn unwrap_key(key: &Key, aad: &[u8], wrapped: &[u8]) -> Result<Key, CryptoError> {
    let mut plain = unwrap_(key, aad, wrapped)?;
    Key::take_slice(&mut plain).ok_or(CryptoError::BrokenSeal)
}

fn cipher(key: &Key) -> Result<LessSafeKey, CryptoError> {
    let key = UnboundKey::new(&AES_256_GCM_SIV, key.expose());
    Ok(LessSafeKey::new(key.map_err(|_| CryptoError::BrokenSeal)?))
}

/// Joins the names of a place into associated data. Every part carries its
/// length (8 bytes, big endian), so that no two places give the same bytes.
pub fn place(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&super::prints::length(part));
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32])
    }

    proptest! {
        #[test]
        fn what_is_wrapped_comes_back(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            aad in proptest::collection::vec(any::<u8>(), 0..60),
            seed: u64,
        ) {
            let wrapped = wrap(&key(3), &aad, &plain, &Entropy::from_seed_number(seed)).unwrap();
            prop_assert_eq!(wrapped.len().checked_sub(OVERHEAD), Some(plain.len()));
            let opened = unwrap_(&key(3), &aad, &wrapped).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
        }

        #[test]
        fn one_changed_bit_is_refused(bit in 0..488_usize) {
            let entropy = Entropy::from_seed_number(1);
            let mut wrapped = wrap(&key(3), b"here", &[5; 32], &entropy).unwrap();
            wrapped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(unwrap_(&key(3), b"here", &wrapped).is_err());
        }
    }

    #[test]
    fn a_wrapped_key_opens_in_its_own_place_only() {
        let entropy = Entropy::from_seed_number(2);
        let here = place(&[b"day", b"acme", b"7"]);
        let wrapped = wrap(&key(3), &here, &[5; 32], &entropy).unwrap();
        assert_eq!(unwrap_key(&key(3), &here, &wrapped).unwrap().expose(), &[5; 32], "at home");
        for parts in [
            [b"day".as_slice(), b"acme", b"8"],
            [b"day", b"acm", b"e7"],
            [b"daya", b"cme", b"7"],
            [b"mail", b"acme", b"7"],
        ] {
            let elsewhere = unwrap_(&key(3), &place(&parts), &wrapped);
            assert_eq!(elsewhere.err(), Some(CryptoError::BrokenSeal), "another place");
        }
        assert!(unwrap_(&key(4), &here, &wrapped).is_err(), "another key");
    }

    #[test]
    fn every_cut_is_refused() {
        let wrapped = wrap(&key(3), b"", &[5; 32], &Entropy::from_seed_number(3)).unwrap();
        for length in 0..wrapped.len() {
            assert!(unwrap_(&key(3), b"", &wrapped[..length]).is_err(), "cut to {length}");
        }
        assert!(unwrap_(&key(3), b"", &[wrapped.as_slice(), &[0]].concat()).is_err(), "longer");
    }
}

//! A secret key: 32 bytes with one way in, one way out, and no copies.
//!
//! The bytes live behind a pointer, so that moving a key moves no secret, and
//! are overwritten when the key is dropped. A key can neither be printed, nor
//! compared, nor cloned; who shares one shares it by reference count.

use std::fmt;

use aws_lc_rs::hkdf;
use zeroize::Zeroize;

use crate::entropy::{Entropy, NoEntropy};

/// Thirty-two secret bytes.
pub struct Key(Box<[u8; 32]>);

impl Key {
    /// Draws a new key.
    pub fn draw(entropy: &Entropy) -> Result<Self, NoEntropy> {
        let mut key = Self(Box::new([0; 32]));
        entropy.fill(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// Takes over 32 bytes that were unwrapped or read elsewhere, and
    /// overwrites the caller's copy.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let key = Self(Box::new(*bytes));
        bytes.zeroize();
        key
    }

    /// Takes over a slice, if it has 32 bytes, and overwrites it in any case.
    pub(crate) fn take_slice(bytes: &mut [u8]) -> Option<Self> {
        let mut key = Self(Box::new([0; 32]));
        let fits = bytes.len() == key.0.len();
        if fits {
            key.0.copy_from_slice(bytes);
        }
        bytes.zeroize();
        fits.then_some(key)
    }

    /// The secret bytes; the one way out.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The subkey for one use: HKDF-SHA256 (RFC 5869), expansion only, with
    /// this key as the pseudorandom key and `label` as info. The same label
    /// gives the same subkey; no subkey tells anything about another.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "32 bytes are below every limit of HKDF-SHA256"
    )]
    #[must_use]
    pub fn derive(&self, label: &str) -> Self {
        let mut subkey = Self(Box::new([0; 32]));
        let info = [label.as_bytes()];
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, self.expose())
            .expand(&info, ThirtyTwo)
            .and_then(|okm| okm.fill(subkey.0.as_mut_slice()))
            .expect("HKDF gives 32 bytes");
        subkey
    }
}

/// The length of what HKDF is asked for.
pub(crate) struct ThirtyTwo;

impl hkdf::KeyType for ThirtyTwo {
    fn len(&self) -> usize {
        32
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl zeroize::ZeroizeOnDrop for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_nothing() {
        let key = Key::take(&mut [7; 32]);
        assert_eq!(format!("{key:?}"), "Key(..)", "Debug must be mute");
    }

    #[test]
    fn the_caller_keeps_no_copy() {
        let mut bytes = [9; 32];
        let key = Key::take(&mut bytes);
        assert_eq!((bytes, *key.expose()), ([0; 32], [9; 32]), "taken over, not copied");
        let mut short = [9; 31];
        assert!(Key::take_slice(&mut short).is_none(), "31 bytes are not a key");
        assert_eq!(short, [0; 31], "even a refused slice is overwritten");
    }

    #[test]
    fn labels_give_different_subkeys_and_one_label_always_the_same() {
        let key = Key::take(&mut [1; 32]);
        let (a, b) = (key.derive("a"), key.derive("b"));
        assert_ne!(a.expose(), b.expose(), "labels must separate");
        assert_ne!(a.expose(), key.expose(), "a subkey is not the key");
        assert_eq!(a.expose(), key.derive("a").expose(), "derivation must repeat");
    }
}

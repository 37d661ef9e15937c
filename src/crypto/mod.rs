//! Keys, the formats they seal, and the MACs they make.
//!
//! Everything here is pure and waits for nothing: bytes in, bytes out, chance
//! as an argument. AEADs and HKDF come from aws-lc-rs, HMAC from `hmac`, HPKE
//! from `hpke`; what is our own is which of them is used, under which label,
//! and which bytes are bound to which row. The byte layouts stand in
//! docs/FORMATS.md, whose examples a test recomputes.
//!
//! What does not authenticate is refused with one word and no detail: neither
//! a caller nor a log learns which byte was wrong.

pub mod column;
pub mod delivery;
pub mod factor;
pub mod key;
pub mod prints;
pub mod sealed_body;
pub mod stream;
pub mod token;
pub mod upload;
pub mod wrap;

#[cfg(test)]
pub(crate) mod format_tests;

pub use delivery::DeliveryKey;
pub use key::Key;
pub use token::{BadToken, LinkKeys, LinkToken, Lookup};
pub use upload::UploadKey;

use crate::entropy::NoEntropy;

/// Why something could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The operating system gave no randomness, so nothing was sealed.
    #[error("nothing was sealed for want of randomness")]
    NoEntropy,
    /// The bytes are not what was sealed under this key for this place: cut,
    /// changed, swapped, or sealed by someone else.
    #[error("the seal is broken, or belongs to another key or place")]
    BrokenSeal,
    /// The bytes are longer than the format can carry.
    #[error("too long to be sealed")]
    TooLong,
}

impl From<NoEntropy> for CryptoError {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

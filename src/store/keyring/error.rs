//! Why a key is not to be had, and whether waiting helps.

use crate::{crypto::CryptoError, entropy::NoEntropy};

/// Why a key is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key has been destroyed, or is about to be; nothing brings it back.
    #[error("the key has been destroyed")]
    Destroyed,
    /// There is no such key, and it was not to be made.
    #[error("there is no such key")]
    Unknown,
    /// The row does not open under its parent: it was changed or exchanged.
    #[error("a wrapped key is not what was stored")]
    Broken,
    /// The key store was made with another master key.
    #[error("the key store belongs to another master key")]
    WrongMaster,
    /// One master key replaces another, and one of the two is not at hand.
    #[error(
        "the master key is being replaced, and one of the two keys is missing: name both \
         (`keys.master`, `keys.master_next`)"
    )]
    MasterMissing,
    /// Another rotation of the master key has to be finished first.
    #[error("a rotation to another master key is under way; finish that first")]
    RotatingAlready,
    /// This is the master key that is being replaced.
    #[error("this is the old master key; name the new one")]
    OldMaster,
    /// The key is out of its row, but still in the store's files; asking for
    /// its destruction again will finish it.
    #[error("the key store is being read, and its log could not be emptied yet")]
    StillInLog,
    /// These link keys mint; rotate first.
    #[error("the pair of link keys that mints cannot be destroyed")]
    StillMinting,
    /// All 255 ids of link keys are used up.
    #[error("there are no more ids for link keys")]
    NoMoreLinkKeys,
    /// The operating system gave no randomness, so no key was made.
    #[error("no key was made for want of randomness")]
    NoEntropy,
    /// The key store does not answer, or refuses.
    #[error("the key store failed")]
    Store(#[source] sqlx::Error),
    /// The master key's file cannot be read.
    #[error("the file of the master key cannot be read")]
    MasterUnreadable(#[source] std::io::Error),
    /// The master key's file cannot be written, or is there already.
    #[error("the file of the master key cannot be written")]
    MasterUnwritable(#[source] std::io::Error),
    /// The master key's file can be read by others than its owner.
    #[error("the file of the master key is open to others; chmod it to 0400")]
    MasterOpenToOthers,
    /// The master key's file belongs to somebody else.
    #[error("the file of the master key belongs to another user")]
    MasterOwner,
    /// The master key's file does not hold a key.
    #[error("the file of the master key holds neither 32 random bytes nor their base64")]
    MasterForm,
}

impl KeyError {
    /// Whether asking again later can help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Store(_) | Self::StillInLog | Self::NoEntropy => true,
            Self::Destroyed
            | Self::Unknown
            | Self::Broken
            | Self::WrongMaster
            | Self::MasterMissing
            | Self::RotatingAlready
            | Self::OldMaster
            | Self::NoMoreLinkKeys
            | Self::StillMinting
            | Self::MasterUnreadable(_)
            | Self::MasterUnwritable(_)
            | Self::MasterOpenToOthers
            | Self::MasterOwner
            | Self::MasterForm => false,
        }
    }
}

impl From<NoEntropy> for KeyError {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

impl From<sqlx::Error> for KeyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

impl From<CryptoError> for KeyError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::NoEntropy => Self::NoEntropy,
            CryptoError::BrokenSeal | CryptoError::TooLong => Self::Broken,
        }
    }
}

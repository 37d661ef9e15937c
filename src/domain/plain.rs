//! Readable bytes in memory: a document, a mail, a job. Wiped when dropped.
//!
//! `Zeroizing` writes byte by byte, which for a document costs more than to
//! decrypt it. This writes all of them at once, and then keeps the compiler
//! from leaving that out.
//!
//! A vector that grows leaves what it held where it was: take enough room
//! first.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use zeroize::{ZeroizeOnDrop, optimization_barrier};

/// Bytes that are wiped, with all the room they had, when they are dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Plain(Vec<u8>);

impl Plain {
    /// Takes bytes over.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }
}

impl Plain {
    fn wipe(&mut self) {
        // What was shortened may still lie behind the end.
        self.0.clear();
        self.0.resize(self.0.capacity(), 0);
        optimization_barrier(self.0.as_slice());
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl ZeroizeOnDrop for Plain {}

impl Deref for Plain {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Plain {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Plain {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Plain {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plain({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_much_and_never_what() {
        let plain = Plain::new(b"secret".to_vec());
        assert_eq!(format!("{plain:?}"), "Plain(6 bytes)", "mute");
        assert_eq!(&**plain, b"secret", "and there");
    }

    #[test]
    fn all_of_its_room_is_wiped_where_it_is() {
        let mut plain = Plain::with_capacity(100);
        plain.extend_from_slice(&[7; 60]);
        plain.truncate(10);
        let (room, place) = (plain.capacity(), plain.as_ptr());
        plain.wipe();
        assert_eq!(*plain, vec![0; room], "what was shortened too");
        assert_eq!(plain.as_ptr(), place, "and not a copy of it");
    }
}

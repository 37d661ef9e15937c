//! To be written.

pub mod keyring;
pub mod keys;

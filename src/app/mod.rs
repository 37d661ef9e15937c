//! To be written.

pub mod partner;

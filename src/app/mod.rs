//! To be written.

pub mod catcher;

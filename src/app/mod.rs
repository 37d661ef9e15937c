//! To be written.

pub mod metrics;
pub mod operations;

//! Pure values and rules: what a job, a stage, an address, an amount and a
//! retention day are. Nothing here waits, reads or writes.

pub mod ids;
pub mod locale;
pub mod log;
pub mod stage;

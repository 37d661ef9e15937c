//! What the store promises, checked on both databases.
//!
//! `KAKITOME_TEST_POSTGRES` names a server (`postgres://user@host:port`) on
//! which each test makes a database of its own; `tests/run` starts one and
//! sets it. Without it the PostgreSQL half fails and says so, unless it is set
//! to `off`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod harness;

mod accept;
mod handouts;
mod links;
mod log;
mod person;
mod plans;
mod postal;
mod reminders;
mod retention;
mod schema;
mod uploads;
mod work;
mod workers;

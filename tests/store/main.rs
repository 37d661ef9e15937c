//! What the store promises, checked on both databases.
//!
//! `KAKITOME_TEST_POSTGRES` names a server (`postgres://user@host:port`) on
//! which each test makes a database of its own; `tests/run` starts one and
//! sets it. Without it the PostgreSQL half fails and says so, unless it is set
//! to `off`.

mod harness;

mod accept;
mod links;
mod log;
mod plans;
mod postal;
mod retention;
mod schema;
mod work;
mod workers;

//! Journeys: the real office on SQLite and on PostgreSQL, with a real SMTP
//! server as the far end, driven one tick at a time on a hand clock. Every
//! journey ends in the inspection of the whole office.

mod dies_here;
mod factors;
mod harness;
mod inspection;
mod keys;
mod mail;
mod post;
mod refused;
mod reissue;
mod reminded;
mod reminders;
mod retention;
#[path = "../services/s3.rs"]
mod s3;
mod small_disk;
mod storage;
mod tenants;
mod uploads;
mod uploads_bad;
mod world;

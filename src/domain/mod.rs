//! Pure values and rules: what a job, a stage, an address, an amount and a
//! retention day are. Nothing here waits, reads or writes.

pub mod amount;
pub mod calendar;
pub mod canonical;
pub mod checked;
pub mod crockford;
pub mod document;
pub mod event;
pub mod evidence;
pub mod factor;
pub mod ids;
pub mod job;
pub mod locale;
pub mod log;
pub mod mail_address;
pub mod names;
pub mod pdf;
pub mod personal;
pub mod plain;
pub mod postal_address;
pub mod reason;
pub mod refusal;
pub mod reminder;
pub mod stage;
pub mod text;

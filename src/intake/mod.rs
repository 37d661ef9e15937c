//! From the bytes of a message to a checked job.
//!
//! Two steps, both pure: [`parse`](crate::intake::parse::parse) turns bytes into a
//! [`SendJob`](crate::domain::job::SendJob) of the right shape,
//! [`check`](crate::intake::check::check) turns that into a
//! [`CheckedJob`](crate::domain::checked::CheckedJob) that keeps every rule.
//! Every way to fail has one code, and nothing a sender wrote is repeated in it.

pub mod check;
pub mod desk;
mod factor;
pub mod inside;
mod json;
pub mod message;
pub mod parse;
mod record;

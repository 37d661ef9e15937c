//! A message as it comes in, and what becomes of it.

use chrono::{DateTime, Utc};

use crate::{
    crypto::delivery::DeliveryKey,
    domain::{
        checked::CheckedJob,
        ids::{JobId, TenantId},
        refusal::{Refusal, Refused},
    },
};

/// A message as it came in.
pub struct Incoming {
    /// Whose it is, by the channel it came through; or why nobody's.
    pub tenant: Result<TenantId, Refusal>,
    /// The job, as sent.
    pub body: Vec<u8>,
    /// The body is sealed to the tenant's public key.
    pub sealed: bool,
    /// What is wrong with it already: its type, its content type.
    pub flaw: Option<Refusal>,
    /// The W3C trace context it came with.
    pub trace: Option<String>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("body_bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// What became of a message.
#[derive(Debug)]
pub enum Verdict {
    /// It is on the books.
    Accepted {
        /// Its id.
        job: JobId,
        /// The job itself, when it was leased to us at once.
        fresh: Option<Box<Fresh>>,
    },
    /// It was on the books already, the same in every byte that matters.
    Duplicate {
        /// The id it has.
        job: JobId,
    },
    /// It was refused, and the log says so.
    Refused {
        /// Why.
        refused: Refused,
    },
}

/// A job that was just taken and is leased to this process.
pub struct Fresh {
    /// Its key.
    pub key: DeliveryKey,
    /// The day whose key wraps that key.
    pub purge_day: i64,
    /// When it was taken.
    pub accepted_at: DateTime<Utc>,
    /// What is to be delivered.
    pub checked: Box<CheckedJob>,
}

impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fresh(..)")
    }
}

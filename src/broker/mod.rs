//! AMQP: takes send jobs from a queue, publishes refused jobs and result
//! events, and comes back by itself when the broker goes away.
//!
//! One *session* is a connection, its channels and its consumer. Whatever goes
//! wrong in it, the whole session is dropped and a new one is opened, for
//! ever, with a jittered backoff ([`Supervised`]). The library's own recovery
//! is off: it resumes silently, and an acknowledgement that crosses a recovery
//! could confirm jobs nobody has written down. A message can therefore be
//! acknowledged only in the session that delivered it ([`Consumer`]), and what
//! was not acknowledged when a session died is delivered again.
//!
//! Consuming and publishing never share a connection: when the broker runs
//! short of memory or disk it stops reading from connections that publish, and
//! acknowledgements must not wait behind that ([`Link::is_blocked`]).
//!
//! This room refuses to reject or requeue: a job is acknowledged when it is on
//! the books, or when its refusal is. It never waits between attempts either;
//! it says how long, and `app` waits.

mod check;
mod consumer;
mod dial;
mod error;
mod link;
mod message;
mod publisher;
mod settings;
mod supervise;
mod topology;

pub use check::{Found, Report, check};
pub use consumer::Consumer;
pub use error::BrokerError;
pub use link::{Counts, Link};
pub use message::{Confirm, Exchange, Message, Outgoing};
pub use publisher::Publisher;
pub use settings::{BrokerSettings, Declare, Names};
pub use supervise::{Backoff, Outage, Session, Supervised};

/// What a log filter must hold back from the AMQP library: it writes message
/// bodies and whole frames, and calls every goodbye an error; what goes wrong
/// we say ourselves. `cli` lays this over the operator's own choice, so that no
/// setting can let it through.
pub const MUTED_LOG_TARGETS: [&str; 1] = ["lapin=off"];

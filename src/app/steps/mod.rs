//! The steps of a letter's life inside the worker, in their order: a lease is
//! taken ([`feed`]), the document is rendered and sealed ([`press`]), made
//! durable ([`commit`]), carried to the relay ([`carry`]) and written down
//! ([`finish`]), or set aside for a person (`park`). [`tend`] keeps the leases
//! alive, [`recover`] takes over from the dead; [`remind`] brings links to mind
//! that nobody has opened.

mod brought;
pub mod carry;
pub mod codes;
pub mod commit;
pub mod feed;
pub mod finish;
mod make;
mod park;
pub mod press;
pub mod recover;
pub mod relay;
pub mod remind;
mod resend;
pub mod suspects;
pub mod tend;

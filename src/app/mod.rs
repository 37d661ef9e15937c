//! Builds the office from its configuration and runs it.
//!
//! Start reading in [`worker`]: the loops. [`office`] holds every handle,
//! [`steps`] a letter's life inside the worker, [`intake`] what stands before
//! it. Only this room spawns and waits.

pub mod events;
pub mod metrics;
pub mod office;
pub mod operations;
pub mod partner;
pub mod queue;
pub mod steps;
pub mod worker;

//! Builds the office from its configuration and runs it.
//!
//! Start reading in [`worker`]: the loops. [`office`] holds every handle,
//! [`steps`] a letter's life inside the worker, [`intake`] what stands before
//! it. Only this room spawns and waits.

mod brands;
pub mod build;
pub mod catcher;
pub mod checks;
pub mod demo;
pub mod desk;
pub mod events;
pub mod gauges;
pub mod http;
pub mod intake;
pub mod key_change;
pub mod metrics;
pub mod office;
pub mod operations;
pub mod partner;
pub mod pdf_child;
pub mod post;
pub mod queue;
pub mod run;
pub mod segment_metrics;
pub mod steps;
pub mod uploads;
pub mod web;
pub mod worker;
pub mod workshop;

/// An error with everything behind it, for a log line: `Display` of an error
/// never repeats its source.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

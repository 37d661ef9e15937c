//! Kakitome takes a send job from a queue, renders the document to PDF, seals
//! it, delivers it as an expiring link by e-mail or as a letter through a
//! print partner, records every step, and destroys everything on its day.
//!
//! This page is the map. Read the middle block from top to bottom and you have
//! read a letter's life; `app/worker.rs` is where to start reading the code.

// The foundation. Each room may use those above it.

// The only door through which the time of day enters.
pub mod clock;
// The only door through which chance enters.
pub mod entropy;
// Pure values and rules: jobs, stages, addresses, money, the calendar.
pub mod domain;
// `kakitome.toml`: every key, every bound, every check.
pub mod config;
// Link tokens, the key hierarchy, the sealed-file format, MACs.
pub mod crypto;
// The database; the only room that speaks SQL.
pub mod store;
// Sealed bytes in segments, on disk or in object storage.
pub mod blobs;
// AMQP connections; the only room that speaks it.
pub mod broker;

// A letter's life.

// From AMQP, HTTP or the command line to a checked job on our books.
pub mod intake;
// From a template and data to the bytes of a PDF, and nothing else.
pub mod render;
// From the bytes of a PDF to a sealed artifact.
pub mod seal;
// A link goes out by mail, or a print job to a partner.
pub mod dispatch;
// The recipient's side: the link page and the download.
pub mod gateway;
// What is due is destroyed.
pub mod retention;
// The log: leaves, search, export.
pub mod audit;

// The people's side.

// The HTTP interface for business applications.
pub mod api;

// The whole.

// Builds the office from its configuration and runs it.
pub mod app;
// The command line: prints, never decides.
pub mod cli;

// Rendering and serving make and drop many small values: what this allocator
// saves is in docs/PERFORMANCE.md. Here, so that benches measure what runs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// A small office for tests.
#[cfg(test)]
mod trial;

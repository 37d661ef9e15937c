//! The office as its operators run it: processes of the real program, a broker
//! and databases of its own, a relay and a client that are not written in Rust.
//!
//! Small loads by default; `KAKITOME_TEST_LONG=1` (`tests/run --long`) makes
//! them heavy. Every test ends in the inspection of `loads/books.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "loads/books.rs"]
mod books;
#[path = "loads/canaries.rs"]
mod canaries;
#[path = "loads/client.rs"]
mod client;
#[path = "loads/faults.rs"]
mod faults;
#[path = "loads/letters.rs"]
mod letters;
#[path = "loads/mails.rs"]
mod mails;
#[path = "loads/place.rs"]
mod place;
mod services;

/// The size of a load.
fn size(short: usize, long: usize) -> usize {
    if std::env::var_os("KAKITOME_TEST_LONG").is_some() { long } else { short }
}

/// Looks every few milliseconds until `done` has an answer.
#[track_caller]
fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let started = std::time::Instant::now();
    let patience = size(5, 20) as u64;
    loop {
        if let Some(answer) = done() {
            return answer;
        }
        assert!(started.elapsed() < std::time::Duration::from_mins(patience), "waited for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

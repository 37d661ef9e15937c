//! What a delivery costs, and how many go through: RabbitMQ quorum queue to
//! SMTP 250, everything durable, everything on this machine.
//!
//! `tests/with-services cargo bench --bench deliveries` runs all measurements;
//! words after `--` choose some (`fixed`, `rendered`, `latency`, `memory`), and
//! `--jobs N` sets the size. The driver starts itself again as the worker and
//! as the SMTP sink, so that each has a process, and CPU, of its own. Every run
//! has fresh databases, queues and folders.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a measurement that cannot go on may fall over"
)]

mod driver;
mod process;
mod sink;
mod worker;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.first().map(String::as_str) {
        Some("as-worker") => runtime.block_on(worker::run(&arguments[1], &arguments[2])),
        Some("as-sink") => runtime.block_on(sink::run(&arguments[1])),
        _ => {
            let mut jobs = 20_000;
            if let Some(at) = arguments.iter().position(|a| a == "--jobs") {
                jobs = arguments[at + 1].parse().unwrap();
                arguments.drain(at..at + 2);
            }
            runtime.block_on(driver::run(&arguments, jobs));
        }
    }
}

//! The command line: one file per subcommand. It prints and never decides.
//!
//! Exit codes: 0 done; 1 it did not work, and standard error says why and what
//! to do; 2 the command line or the configuration is wrong; 3 something was
//! refused or needs a person (`check` found problems, `enqueue` had refusals).

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::app::Chain;

mod context;
mod demo;
mod print;
mod serve;

/// It did not work.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const USAGE: u8 = 2;
/// Something was refused, or needs a person.
const REFUSED: u8 = 3;

/// Secure document delivery: jobs in, sealed documents and letters out, a log
/// that can be audited.
#[derive(Debug, Parser)]
#[command(
    name = "kakitome",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused or \
                  needs a person.\n\nExamples:\n  kakitome demo                        \
                  everything in one process, nothing to install\n  kakitome check --config \
                  kakitome.toml\n  kakitome serve --config kakitome.toml"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole office in one process, with samples and a mail catcher.
    Demo(demo::Demo),
    /// Runs the office; any number of processes beside each other.
    Serve(serve::Serve),
}

/// Why a command ended badly.
#[derive(Debug)]
enum Failure {
    /// The command line or the configuration is wrong; each line says how.
    Usage(Vec<String>),
    /// It did not work.
    Failed(anyhow::Error),
    /// Something was refused; it has been printed.
    Refused,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

type Outcome = Result<(), Failure>;

/// Where the configuration is.
#[derive(Debug, Clone, clap::Args)]
struct ConfigArg {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/kakitome/kakitome.toml")]
    config: PathBuf,
    #[command(flatten)]
    log: context::LogArg,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::error(&format!("no threads can be started: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let outcome = runtime.block_on(dispatch(arguments.command));
    // Whatever still hangs on a blocking thread is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(lines)) => {
            lines.iter().for_each(|line| print::error(line));
            ExitCode::from(USAGE)
        }
        Err(Failure::Failed(error)) => {
            print::error(&Chain(error.as_ref()).to_string());
            ExitCode::from(FAILED)
        }
        Err(Failure::Refused) => ExitCode::from(REFUSED),
    }
}

async fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Demo(demo) => demo.run().await,
        Command::Serve(serve) => serve.run().await,
    }
}

/// The whole help, for docs/CLI.md and the test that compares it.
pub fn reference() -> String {
    print::reference(<Arguments as clap::CommandFactory>::command())
}

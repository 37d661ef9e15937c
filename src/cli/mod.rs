//! The command line: one file per subcommand. It prints and never decides.
//!
//! Exit codes: 0 done; 1 it did not work, and standard error says why and what
//! to do; 2 the command line or the configuration is wrong; 3 something was
//! refused or needs a person (`check` found problems, `enqueue` had refusals).
//!
//! What is printed on standard output is the answer, on standard error what
//! went on; with `--json` the answer is JSON, one object a line where there are
//! many. A program that panics tells where, never what: the message of a panic
//! can quote the text it stumbled over.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::app::{Chain, pdf_child};

mod audit;
mod check;
mod check_job;
mod context;
mod demo;
mod enqueue;
mod health;
mod job_file;
mod jobs;
mod keys;
mod memory;
mod migrate;
mod print;
mod render;
mod retention;
mod serve;
mod tenants;
mod templates;
mod upload;

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
    /// Sends jobs to the office: to the broker, or over HTTP.
    Enqueue(enqueue::Enqueue),
    /// Uploads a finished PDF for a job to come.
    Upload(upload::Upload),
    /// Looks into a PDF as the office would, and sends nothing.
    CheckPdf(upload::CheckPdf),
    /// Lists, shows, retries, cancels, recalls and freezes jobs.
    Jobs(jobs::Jobs),
    /// Freezes everything of a tenant, or lifts that freeze.
    Tenants(tenants::Tenants),
    /// Looks at a job as the office would, and sends nothing.
    CheckJob(check_job::CheckJob),
    /// Renders a template to a PDF.
    Render(render::Render),
    /// Lists, checks, starts and previews templates.
    Templates(templates::Templates),
    /// Checks configuration, connections, migrations, fonts and permissions.
    Check(check::Check),
    /// Brings the database's schema up to date.
    Migrate(migrate::Migrate),
    /// Makes, shows, replaces and destroys keys.
    Keys(keys::Keys),
    /// Destroys what is due, or says what would be and why.
    Retention(retention::Retention),
    /// Searches and exports the log.
    Audit(audit::Audit),
    /// Asks a running office whether it is well.
    Health(health::Health),
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
    // A child is shut in before anything else happens.
    if let Some(code) = pdf_child::run_if_child(std::env::args_os()) {
        return code;
    }
    if let Err(error) = memory::close() {
        print::error(&format!("core dumps cannot be switched off: {error}"));
        return ExitCode::from(FAILED);
    }
    let arguments = Arguments::parse();
    context::hush_panics();
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
            for line in &lines {
                print::error(line);
            }
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
        Command::Enqueue(enqueue) => enqueue.run().await,
        Command::Upload(upload) => upload.run().await,
        Command::CheckPdf(check_pdf) => check_pdf.run().await,
        Command::Jobs(jobs) => jobs.run().await,
        Command::Tenants(tenants) => tenants.run().await,
        Command::CheckJob(check_job) => check_job.run(),
        Command::Render(render) => render.run(),
        Command::Templates(templates) => templates.run().await,
        Command::Check(check) => check.run().await,
        Command::Migrate(migrate) => migrate.run().await,
        Command::Keys(keys) => keys.run().await,
        Command::Retention(retention) => retention.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Health(health) => health.run().await,
    }
}

/// The whole help, for docs/CLI.md and the test that compares it.
pub fn reference() -> String {
    print::reference(<Arguments as clap::CommandFactory>::command())
}

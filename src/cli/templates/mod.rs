//! `kakitome templates`: what a template's author uses.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Failure, Outcome, context, print};
use crate::{app::workshop::Source, config::Config};

mod check;
mod list;
mod new;
mod preview;

/// Lists, checks, starts and previews templates; lists them if nothing else is
/// said.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  kakitome templates\n  kakitome templates new invoice-acme\n  \
                  kakitome templates preview ./invoice-acme\n  kakitome templates check \
                  ./invoice-acme"
)]
pub(super) struct Templates {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the installed templates.
    List(list::List),
    /// Checks templates with all their samples in every language.
    Check(check::Check),
    /// Writes a folder to start a template from.
    New(new::New),
    /// Shows a template in the browser, rendered again on every save.
    Preview(preview::Preview),
}

/// Where the operator's templates are.
#[derive(Clone, Debug, clap::Args)]
struct Installed {
    /// A configuration whose `office.templates_dir` is used beside the bundled
    /// templates.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Installed {
    fn config(&self) -> Result<Config, Failure> {
        match &self.config {
            Some(file) => context::config(file),
            None => Ok(Config::default()),
        }
    }
}

impl Templates {
    pub(super) async fn run(self) -> Outcome {
        match self.command {
            None => self.list.run(),
            Some(Command::List(list)) => list.run(),
            Some(Command::Check(check)) => check.run(),
            Some(Command::New(new)) => new.run(),
            Some(Command::Preview(preview)) => preview.run().await,
        }
    }
}

/// The template that a person names, or what to do if there is none.
pub(super) fn find(config: &Config, what: &str) -> Result<Source, Failure> {
    Source::find(config, what).ok_or_else(|| {
        Failure::Usage(vec![format!(
            "`{what}` is neither a folder nor an installed template; `kakitome templates list` \
             shows those"
        )])
    })
}

//! `kakitome templates preview`.

use std::io::IsTerminal as _;

use tokio::signal::unix::{SignalKind, signal};

use super::{Installed, Outcome, find, print};
use crate::{
    app::workshop::preview::{self, Settings},
    cli::{context, render::Language},
    entropy::Entropy,
    render::Renderer,
};

/// Shows a template in the browser and renders it again on every save, with the
/// errors beside the pages.
///
/// The page is on this machine only, behind a random address. While something is
/// wrong the last good document stays. Pages are drawn with `pdftoppm` if it is
/// installed, otherwise by the browser's own viewer.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome templates preview ./invoice-acme\n  kakitome \
                        templates preview invoice --sample data.json --locale en")]
pub(super) struct Preview {
    /// The folder of a template, or the name of an installed one.
    #[arg(value_name = "DIR|NAME")]
    template: String,
    /// The port of the page; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The sample that is shown first: one of the template's, or any file of
    /// data.
    #[arg(long, value_name = "FILE")]
    sample: Option<String>,
    /// The language that is shown first.
    #[arg(long, value_enum, default_value = "ja")]
    locale: Language,
    #[command(flatten)]
    installed: Installed,
    #[command(flatten)]
    log: context::LogArg,
}

impl Preview {
    pub(super) async fn run(self) -> Outcome {
        context::quiet_log(self.log);
        let source = find(&self.installed.config()?, &self.template)?;
        let settings =
            Settings { source, port: self.port, sample: self.sample, locale: self.locale.into() };
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let preview = preview::open(settings, Renderer::bundled()?, &Entropy::from_os()?).await?;
        print::line(&preview.url);
        if std::io::stdout().is_terminal() {
            print::line("Open this address in a browser. Ctrl-C ends it.");
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        preview.stop().await;
        Ok(())
    }
}

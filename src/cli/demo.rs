//! `kakitome demo`: the whole office in one process.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Outcome, context, print};
use crate::{
    app::demo::{self, journey},
    clock::{Clock, HandClock, SharedClock, WallClock},
    entropy::Entropy,
};

/// Runs the whole office in one process, with samples and a mail catcher.
#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing has to be installed. Without --data everything is kept in a \
                        temporary folder and removed at the end.\n\nExamples:\n  kakitome demo\n  \
                        kakitome demo --listen 127.0.0.1:9000 --data ./office\n  kakitome demo \
                        --once                 one journey by itself, summary as JSON")]
pub(super) struct Demo {
    /// Where the recipients' pages are served; port 0 takes any free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The folder that keeps everything; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Walks one journey, prints a summary as JSON, and ends: 0 when every step
    /// was reached, 1 naming the step that was not.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    log: context::LogArg,
}

impl Demo {
    pub(super) async fn run(self) -> Outcome {
        context::quiet_log(self.log);
        let (dir, temporary) = match self.data.clone() {
            Some(dir) => (std::path::absolute(dir)?, false),
            None => (scratch()?, true),
        };
        let outcome = if self.once { self.once(&dir).await } else { self.stay(&dir).await };
        if temporary {
            std::fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
        outcome
    }

    async fn once(&self, dir: &std::path::Path) -> Outcome {
        let clock = Arc::new(HandClock::starting_at(WallClock.now()));
        let shared: SharedClock = clock.clone();
        let listen = self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let demo = demo::open(dir, listen, shared, true).await?;
        let summary = journey::walk(&demo, &clock).await;
        demo.stop().await?;
        print::json_pretty(&summary);
        if let Some(failed) = &summary.failed {
            return Err(Failure::Failed(anyhow::anyhow!("{}: {}", failed.step, failed.why)));
        }
        Ok(())
    }

    async fn stay(&self, dir: &std::path::Path) -> Outcome {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let listen = self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let demo = demo::open(dir, listen, Arc::new(WallClock), false).await?;
        let round = WallClock.now().timestamp_micros().to_string();
        let jobs = demo.enqueue_samples(&round).await?;
        let at = demo.running.addresses;
        let config = demo.config_file.display();
        let show = |address: Option<SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
        print::line("The office is open. Two sample jobs are on their way:");
        for (channel, job) in jobs {
            print::line(&format!("  {channel:<6} {job}"));
        }
        print::line("");
        print::line(&format!(
            "  mails caught       http://{}/   <- open the link in there",
            demo.mail_page
        ));
        print::line(&format!("  recipients' pages  http://{}/", show(at.gateway)));
        print::line(&format!("  applications       http://{}/v1/jobs", show(at.api)));
        print::line(&format!("  health, metrics    http://{}/metrics", show(at.operations)));
        print::line(&format!("  everything kept in {}", demo.dir.display()));
        print::line("");
        print::line("In another terminal:");
        print::line(&format!("  kakitome jobs list --config {config}"));
        print::line(&format!("  kakitome enqueue --config {config} --tenant demo JOB.json"));
        print::line("");
        print::line("Ctrl-C ends it.");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        demo.stop().await?;
        Ok(())
    }
}

fn scratch() -> anyhow::Result<PathBuf> {
    let name = data_encoding::HEXLOWER.encode(&Entropy::from_os()?.array::<8>()?);
    let dir = std::env::temp_dir().join(format!("kakitome-demo-{name}"));
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&dir)?;
    Ok(dir)
}

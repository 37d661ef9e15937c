//! `kakitome serve`: the real thing.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArg, Failure, Outcome, context, print};
use crate::{
    app::{
        build::{self, Parts},
        catcher::{Catcher, CatcherSettings},
        run,
    },
    clock::WallClock,
    config::Role,
    entropy::Entropy,
};

/// Runs the office; any number of processes beside each other.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGTERM or Ctrl-C takes nothing new, finishes what is under way and gives \
                        the rest back, within work.drain; a second one ends at once and loses \
                        nothing either.\n\nExamples:\n  kakitome serve --config kakitome.toml\n  \
                        kakitome serve --config kakitome.toml --role gateway\n  kakitome serve \
                        --config kakitome.toml --role intake,work"
)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArg,
    /// What this process does, instead of office.roles.
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    role: Vec<RoleArg>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleArg {
    Intake,
    Work,
    Gateway,
    Retention,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Intake => Self::Intake,
            RoleArg::Work => Self::Work,
            RoleArg::Gateway => Self::Gateway,
            RoleArg::Retention => Self::Retention,
        }
    }
}

impl Serve {
    pub(super) async fn run(self) -> Outcome {
        let config = context::config(&self.config.config)?;
        context::log(config.office.log_format, self.config.log);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let roles = if self.role.is_empty() {
            config.office.roles.clone()
        } else {
            self.role.into_iter().map(Role::from).collect()
        };
        let db = build::database(&config, Some(2)).await?;
        let pending = db.pending_migrations().await?;
        if !pending.is_empty() {
            return Err(Failure::Usage(vec![format!(
                "the database's schema is {} step(s) behind: run `kakitome migrate --config {}` \
                 first",
                pending.len(),
                self.config.config.display()
            )]));
        }
        db.close().await;
        let clock = Arc::new(WallClock);
        let mut parts = Parts::new(clock.clone(), Entropy::from_os()?);
        parts.roles = roles;
        let office = build::open(config, parts).await?;
        let carriers = run::carriers(&office)?;
        let catcher = Catcher::new(CatcherSettings::default(), clock);
        let running =
            run::start(office, carriers, Box::new(catcher.carrier()), run::Doors::default())
                .await?;
        let at = running.addresses;
        tracing::info!(
            gateway = ?at.gateway, api = ?at.api, operations = ?at.operations,
            "the office is open"
        );
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("the office closes: nothing new is taken");
        tokio::select! {
            ended = running.stop() => ended?,
            _ = terminate.recv() => print::error("ended at once; the journal speaks for what was under way"),
            _ = interrupt.recv() => print::error("ended at once; the journal speaks for what was under way"),
        }
        Ok(())
    }
}

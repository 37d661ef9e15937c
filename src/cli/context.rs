//! What a command needs before it can do anything: the configuration, the log,
//! the time, chance, and the stores, opened when they are asked for.
//!
//! Commands log to standard error, so that standard output holds the answer
//! and nothing else. Only our own rooms can be made talkative: libraries write
//! frames, bodies and addresses at their finer levels, and no setting lets
//! those through.

use std::{io::IsTerminal as _, path::Path, sync::Arc};

use anyhow::Context as _;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{ConfigArg, Failure, print};
use crate::{
    app::build,
    broker::MUTED_LOG_TARGETS,
    clock::{SharedClock, WallClock},
    config::{Config, LogFormat, Problem},
    entropy::Entropy,
    store::{Db, keyring::KeyRing},
};

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct LogArg {
    /// How much is written to standard error: `info` for `serve`, `warn` for
    /// every other command, unless this says otherwise.
    #[arg(long = "log", value_name = "LEVEL", value_enum)]
    level: Option<Level>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// What is let through: our own rooms at `level`, everybody else at `warn` at
/// the most, and what the broker's library must never say not at all.
fn targets(level: LevelFilter) -> Targets {
    let others = level.min(LevelFilter::WARN);
    let muted: Targets = MUTED_LOG_TARGETS.join(",").parse().unwrap_or_default();
    let muted = muted.into_iter().map(|(target, most)| (target, most.min(others)));
    Targets::new().with_default(others).with_target("kakitome", level).with_targets(muted)
}

/// Starts the log of a process that serves.
pub(super) fn log(format: LogFormat, arg: LogArg) {
    start_log(format, arg.level.map_or(LevelFilter::INFO, Level::filter));
}

/// Starts the log of a command that talks to a person: only what goes wrong.
pub(super) fn quiet_log(arg: LogArg) {
    start_log(LogFormat::Text, arg.level.map_or(LevelFilter::WARN, Level::filter));
}

fn start_log(format: LogFormat, level: LevelFilter) {
    // Colours are for people, not for files and pipes.
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(targets(level));
    let started = match format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(layer).try_init(),
    };
    if let Err(error) = started {
        print::error(&format!("there is a log already: {error}"));
    }
}

/// Lets a panic say where it happened and nothing else: its message may quote
/// a name or a piece of a document.
pub(super) fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        print::error(&format!("something that cannot happen did{place}; please report this place"));
    }));
}

/// Reads the configuration, or says everything that is wrong with it.
pub(super) fn config(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|problems| Failure::Usage(complaints(path, &problems)))
}

fn complaints(path: &Path, problems: &[Problem]) -> Vec<String> {
    let head = match problems.len() {
        1 => format!("the configuration {} cannot be used:", path.display()),
        count => format!("the configuration {} has {count} problems:", path.display()),
    };
    std::iter::once(head).chain(problems.iter().map(|problem| format!("  {problem}"))).collect()
}

/// A checked configuration, and the outside world.
#[derive(Debug)]
pub(super) struct Context {
    /// The settings.
    pub(super) config: Arc<Config>,
    /// The time of day.
    pub(super) clock: SharedClock,
    /// Chance.
    pub(super) entropy: Entropy,
}

impl Context {
    /// For a command that does one thing and ends.
    pub(super) fn open(arg: &ConfigArg) -> Result<Self, Failure> {
        let config = config(&arg.config)?;
        quiet_log(arg.log);
        let entropy = Entropy::from_os()?;
        Ok(Self { config: Arc::new(config), clock: Arc::new(WallClock), entropy })
    }

    /// The database, with a schema that this program knows.
    pub(super) async fn db(&self) -> anyhow::Result<Db> {
        let db = build::database(&self.config, Some(2)).await?;
        let pending = db.pending_migrations().await?;
        anyhow::ensure!(
            pending.is_empty(),
            "the database's schema is not up to date; run `kakitome migrate`"
        );
        Ok(db)
    }

    /// The key store.
    pub(super) async fn keys(&self) -> anyhow::Result<KeyRing> {
        build::keyring(&self.config, Arc::clone(&self.clock), self.entropy.clone()).await
    }
}

/// An HTTP client for our own interfaces: no redirects, no proxy from the
/// environment, TLS by aws-lc-rs and the system's authorities.
pub(super) fn http(timeout: std::time::Duration) -> anyhow::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race to another thread installs the same provider.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .build()
        .context("no HTTP client can be made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_quiet_whatever_the_level() {
        let targets = targets(LevelFilter::TRACE);
        let open = |target: &str, level: tracing::Level| targets.would_enable(target, &level);
        assert!(open("kakitome::app", tracing::Level::TRACE), "we may be asked everything");
        assert!(!open("hyper", tracing::Level::INFO), "a library says no more than warnings");
        assert!(open("sqlx", tracing::Level::WARN), "but it may warn");
        assert!(!open("lapin::channel", tracing::Level::INFO), "frames stay out of the log");
        let returned = "lapin::returned_messages";
        assert!(!open(returned, tracing::Level::ERROR), "and so do message bodies");
    }

    #[test]
    fn off_is_off() {
        let targets = targets(LevelFilter::OFF);
        for target in ["kakitome::app", "lapin", "hyper"] {
            assert!(!targets.would_enable(target, &tracing::Level::ERROR), "{target} is silent");
        }
    }
}

//! `kakitome migrate`: the schema of the database and of the key store.

use serde_json::json;

use super::{ConfigArg, Outcome, context::Context, print};
use crate::{
    app::{build, checks},
    config::Config,
};

/// Brings the database's schema up to date.
///
/// Applies what this version's database needs and opens the key store, which
/// brings its own schema up to date. Harmless when there is nothing to do, and
/// safe when several processes start at once. A database that a later version
/// has migrated is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome migrate --dry-run\n  kakitome migrate --config \
                        /etc/kakitome/kakitome.toml")]
pub(super) struct Migrate {
    #[command(flatten)]
    config: ConfigArg,
    /// Only say what would be applied.
    #[arg(long)]
    dry_run: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) async fn run(self) -> Outcome {
        let context = Context::open(&self.config)?;
        let done =
            if self.dry_run { plan(&context.config).await? } else { apply(&context).await? };
        done.print(self.json, self.dry_run);
        Ok(())
    }
}

struct Done {
    /// What was applied, or would be; none where there is no database yet.
    database: Option<Vec<i64>>,
    /// Whether there is a key store; not known of one on a server that was
    /// not opened.
    keys: Option<bool>,
}

async fn apply(context: &Context) -> anyhow::Result<Done> {
    let db = build::database(&context.config, Some(1)).await?;
    let migrated = db.migrate().await?;
    db.close().await;
    context.keys().await?.close().await;
    Ok(Done { database: Some(migrated.applied), keys: Some(true) })
}

/// Opens nothing that opening would make.
async fn plan(config: &Config) -> anyhow::Result<Done> {
    let exists = |url: &str| checks::sqlite_file(url).map(|file| file.exists());
    let database = if exists(&config.database.url) == Some(false) {
        None
    } else {
        let db = build::database(config, Some(1)).await?;
        let pending = db.pending_migrations().await?;
        db.close().await;
        Some(pending)
    };
    Ok(Done { database, keys: exists(&config.keys.url) })
}

impl Done {
    fn print(&self, as_json: bool, dry_run: bool) {
        if as_json {
            let applied = if dry_run { "pending" } else { "applied" };
            print::json(&json!({
                "database": { "exists": self.database.is_some(), applied: self.database },
                "keys": { "exists": self.keys },
            }));
            return;
        }
        match (&self.database, dry_run) {
            (None, _) => print::line("database: would be made, with every migration"),
            (Some(list), _) if list.is_empty() => print::line("database: up to date"),
            (Some(list), true) => print::line(&format!("database: would apply {}", numbers(list))),
            (Some(list), false) => print::line(&format!("database: applied {}", numbers(list))),
        }
        match (self.keys, dry_run) {
            (_, false) => print::line("key store: up to date"),
            (Some(false), true) => print::line("key store: would be made"),
            (Some(true) | None, true) => {
                print::line("key store: not opened; opening it brings it up to date");
            }
        }
    }
}

fn numbers(list: &[i64]) -> String {
    list.iter().map(|version| format!("{version:04}")).collect::<Vec<_>>().join(", ")
}

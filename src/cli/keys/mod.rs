//! `kakitome keys`: the master key, the state of the key store, public keys,
//! rotation.

mod change;

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;

use chrono::{DateTime, Utc};

use super::{ConfigArg, Failure, Outcome, context::Context, print};
use crate::{
    domain::ids::TenantId,
    entropy::Entropy,
    store::keyring::{KeyError, KeyStatus, MasterKey, TenantVersion, Version},
};

/// Makes, shows, replaces and destroys keys.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  kakitome keys init --master /etc/kakitome/master.key\n  kakitome \
                  keys status\n  kakitome keys public acme > acme.pub\n  kakitome keys rotate \
                  links"
)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes the master key: 32 random bytes in a file that only its owner
    /// may read.
    ///
    /// A file that is there already is left alone: with another master key
    /// nothing that was ever stored could be opened. Keep a copy of the file
    /// away from this machine and away from the backups of the key store.
    #[command(after_help = "Examples:\n  kakitome keys init\n  kakitome keys init --master \
                            /run/secrets/kakitome-master.key")]
    Init {
        #[command(flatten)]
        config: ConfigArg,
        /// The file, instead of the one that `keys.master` names.
        #[arg(long, value_name = "FILE")]
        master: Option<PathBuf>,
    },
    /// Counts the keys of the key store by kind (live, being destroyed, gone),
    /// and shows the versions and ages of those that can be replaced.
    #[command(after_help = "Examples:\n  kakitome keys status\n  kakitome keys status --json")]
    Status {
        #[command(flatten)]
        config: ConfigArg,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Replaces the master key, a tenant's key or the link keys by new ones.
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = "Examples:\n  kakitome keys \
                            rotate links\n  kakitome keys rotate master --to \
                            /etc/kakitome/master-2027.key"
    )]
    Rotate(change::Rotate),
    /// Destroys the key of a tenant who leaves, and all documents with it.
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = "Examples:\n  kakitome keys \
                            destroy tenant acme --service mail --yes"
    )]
    Destroy(change::Destroy),
    /// Prints the public key that a tenant's jobs may be sealed to (X25519 for
    /// HPKE, 32 bytes in base64).
    #[command(after_help = "Examples:\n  kakitome keys public acme\n  kakitome enqueue --seal \
                            --public-key \"$(kakitome keys public acme)\" job.json")]
    Public {
        /// The tenant's short name.
        tenant: String,
        #[command(flatten)]
        config: ConfigArg,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Keys {
    pub(super) async fn run(self) -> Outcome {
        match self.command {
            Command::Init { config, master } => init(&config, master),
            Command::Status { config, json } => status(&config, json).await,
            Command::Rotate(rotate) => rotate.run().await,
            Command::Destroy(destroy) => destroy.run().await,
            Command::Public { tenant, config, json } => public(&tenant, &config, json).await,
        }
    }
}

fn init(config: &ConfigArg, master: Option<PathBuf>) -> Outcome {
    let file = match master {
        Some(file) => file,
        None => Context::open(config)?.config.keys.master.locate().context(
            "`keys.master` names a credential of the service; name a file with --master and give \
             it to the service with LoadCredential=",
        )?,
    };
    match MasterKey::create_file(&file, &Entropy::from_os()?) {
        Ok(_) => {}
        Err(KeyError::MasterUnwritable(error))
            if error.kind() == std::io::ErrorKind::AlreadyExists =>
        {
            let kept = format!(
                "{} is there already and was left alone: another master key would make \
                 everything that is stored unreadable",
                file.display()
            );
            return Err(anyhow::anyhow!(kept).into());
        }
        Err(error) => {
            let what = format!("no master key in {}", file.display());
            return Err(anyhow::Error::from(error).context(what).into());
        }
    }
    print::line(&format!("made {}, readable by its owner alone (0400)", file.display()));
    print::error(
        "keep a copy of it away from this machine and from the backups of the key store: without \
         it nothing can be opened, with it and an old backup destroyed documents can",
    );
    Ok(())
}

async fn status(config: &ConfigArg, as_json: bool) -> Outcome {
    let context = Context::open(config)?;
    let (keys, now) = (context.keys().await?, context.clock.now());
    let KeyStatus { kinds, minting, links, masters, tenants } = keys.status().await?;
    keys.close().await;
    if as_json {
        let kinds: Vec<_> = kinds
            .iter()
            .map(|one| {
                json!({
                    "kind": one.kind,
                    "live": one.live,
                    "being_destroyed": one.condemned,
                    "destroyed": one.destroyed,
                })
            })
            .collect();
        print::json(&json!({
            "kinds": kinds,
            "link_keys": { "minting": minting, "good": links },
            "master": masters.iter().map(|one| version(one, now)).collect::<Vec<_>>(),
            "tenants": tenants.iter().map(|one| tenant_version(one, now)).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let rows: Vec<_> = kinds
        .into_iter()
        .map(|one| {
            let counts = [one.live, one.condemned, one.destroyed];
            std::iter::once(one.kind).chain(counts.map(|count| count.to_string())).collect()
        })
        .collect();
    print::table(&["kind", "live", "being destroyed", "destroyed"], &rows);
    let good: Vec<_> = links.iter().map(ToString::to_string).collect();
    print::line(&format!("links: key {minting} mints; links of {} are good", good.join(", ")));
    for one in &masters {
        print::line(&format!("master key: version {}, {}", one.number, age(one, now)));
    }
    for TenantVersion { tenant, service, version } in &tenants {
        let (number, service) = (version.number, service.word());
        print::line(&format!("{tenant} {service}: version {number}, {}", age(version, now)));
    }
    Ok(())
}

/// How old a version is, in words.
fn age(version: &Version, now: DateTime<Utc>) -> String {
    if let Some(at) = version.destroyed_at {
        return format!("destroyed {}", at.format("%Y-%m-%d"));
    }
    let days = now.signed_duration_since(version.made_at).num_days();
    format!("made {} ({days} days ago)", version.made_at.format("%Y-%m-%d"))
}

fn version(version: &Version, now: DateTime<Utc>) -> serde_json::Value {
    json!({
        "version": version.number,
        "made_at": version.made_at,
        "age_days": now.signed_duration_since(version.made_at).num_days(),
        "destroyed_at": version.destroyed_at,
    })
}

fn tenant_version(one: &TenantVersion, now: DateTime<Utc>) -> serde_json::Value {
    let mut value = version(&one.version, now);
    if let Some(object) = value.as_object_mut() {
        object.insert("tenant".to_owned(), json!(one.tenant));
        object.insert("service".to_owned(), json!(one.service.word()));
    }
    value
}

/// A tenant's name on the command line.
fn tenant_id(name: &str) -> Result<TenantId, String> {
    TenantId::parse(name).map_err(|_| "not the short name of a tenant".to_owned())
}

/// A tenant of the configuration.
fn tenant(name: &str, context: &Context) -> Result<TenantId, Failure> {
    let known = TenantId::parse(name).ok().filter(|id| context.config.tenants.contains_key(id));
    known.ok_or_else(|| {
        let what = "there is no such tenant in the configuration (`tenants`)".to_owned();
        Failure::Usage(vec![what])
    })
}

async fn public(name: &str, config: &ConfigArg, as_json: bool) -> Outcome {
    let context = Context::open(config)?;
    let tenant = tenant(name, &context)?;
    let keys = context.keys().await?;
    let key = data_encoding::BASE64.encode(&keys.sealing_pair(&tenant).await?.public().0);
    keys.close().await;
    if as_json {
        print::json(&json!({ "tenant": tenant, "public_key": key, "encoding": "hpke" }));
    } else {
        print::line(&key);
    }
    Ok(())
}

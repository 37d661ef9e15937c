//! `kakitome keys rotate` and `kakitome keys destroy`: keys that replace
//! others, and the key of a tenant who leaves.

use std::sync::Arc;

use chrono::SecondsFormat;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Context, tenant};
use crate::{
    app::{
        build,
        key_change::{KeyChange, MasterNotRotated, Progress},
    },
    cli::{ConfigArg, Failure, Outcome, print},
    config::SecretSource,
    domain::ids::TenantId,
    store::{keyring::Service, ledger::Scribe},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Rotate {
    /// Wraps every key of the key store under a new master key, while the
    /// office works.
    ///
    /// First make the new key (`keys init --master`), name it as
    /// `keys.master_next` on every host, and restart the processes one after
    /// another: refused until each of them has been given it. May be
    /// interrupted; the same command goes on where it was. Afterwards name the
    /// new key as `keys.master`, remove `keys.master_next`, and destroy the
    /// old key with its copies once the key store's backups have expired.
    #[command(after_help = "Examples:\n  kakitome keys rotate master --to \
                            /etc/kakitome/master-2027.key\n  kakitome keys rotate master --to \
                            credential:master-next --json")]
    Master {
        /// The new master key: a file, or a systemd credential.
        #[arg(long, value_name = "FILE|credential:NAME", value_parser = source)]
        to: SecretSource,
        #[command(flatten)]
        config: ConfigArg,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Gives a tenant new keys for new days; what is stored stays under the
    /// old ones until its day.
    #[command(
        after_help = "Examples:\n  kakitome keys rotate tenant acme\n  kakitome keys rotate \
                            tenant acme --service mail"
    )]
    Tenant {
        /// The tenant's short name.
        tenant: String,
        /// Only of this service: mail or postal.
        #[arg(long, value_name = "SERVICE", value_parser = service)]
        service: Option<Service>,
        #[command(flatten)]
        config: ConfigArg,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Adds a pair of link keys, which mints all new links five minutes later.
    ///
    /// Links that were sent stay good; retention destroys the old pair when the
    /// last of them has expired.
    #[command(after_help = "Examples:\n  kakitome keys rotate links\n  kakitome keys status")]
    Links {
        #[command(flatten)]
        config: ConfigArg,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Destroy {
    /// Destroys the key above all documents of a tenant's service, for ever:
    /// every one of them is gone at once, and no new one can be sent.
    ///
    /// The log is told first. Nothing else is touched; retention clears the
    /// rows on their days. A running process may serve what it has open for up
    /// to a minute longer.
    #[command(after_help = "Examples:\n  kakitome keys destroy tenant acme --service mail --yes")]
    Tenant {
        /// The tenant's short name; it need not be in the configuration any
        /// more.
        #[arg(value_parser = crate::cli::keys::tenant_id)]
        tenant: TenantId,
        /// mail or postal.
        #[arg(long, value_name = "SERVICE", value_parser = service)]
        service: Service,
        /// Yes, for ever.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        config: ConfigArg,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

fn source(text: &str) -> Result<SecretSource, String> {
    let wrong = || "not an absolute path and not `credential:NAME`".to_owned();
    SecretSource::parse(text).ok_or_else(wrong)
}

fn service(word: &str) -> Result<Service, String> {
    Service::parse(word)
        .filter(|service| matches!(service, Service::Mail | Service::Postal))
        .ok_or_else(|| "not `mail` or `postal`".to_owned())
}

async fn open(context: &Context) -> anyhow::Result<KeyChange> {
    Ok(KeyChange {
        db: context.db().await?,
        keys: context.keys().await?,
        scribe: Scribe::new(context.entropy.clone()),
        clock: Arc::clone(&context.clock),
    })
}

impl Rotate {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Master { to, config, json } => master(&to, &config, json).await,
            Self::Tenant { tenant: name, service, config, json } => {
                let context = Context::open(&config)?;
                let tenant = tenant(&name, &context)?;
                let change = open(&context).await?;
                let services =
                    service.map_or(vec![Service::Mail, Service::Postal], |one| vec![one]);
                for service in services {
                    let version = change.rotate_tenant(&tenant, service).await?;
                    let service = service.word();
                    if json {
                        print::json(&json!({
                            "tenant": tenant, "service": service, "version": version,
                        }));
                    } else {
                        print::line(&format!(
                            "{tenant} {service}: version {version} is for what is new"
                        ));
                    }
                }
                Ok(())
            }
            Self::Links { config, json } => {
                let change = open(&Context::open(&config)?).await?;
                let (id, since) = change.rotate_links().await?;
                let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
                if json {
                    print::json(&json!({ "key": id, "mints_from": since }));
                } else {
                    print::line(&format!(
                        "key {id} mints links from {since}; links sent before stay good"
                    ));
                }
                Ok(())
            }
        }
    }
}

async fn master(to: &SecretSource, config: &ConfigArg, as_json: bool) -> Outcome {
    let context = Context::open(config)?;
    let new = build::master_key(to, "--to")?;
    let change = open(&context).await?;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} keys {eta}")
    {
        bar.set_style(style);
    }
    let outcome = change
        .rotate_master(&new, |progress| match progress {
            Progress::Left(count) => bar.set_length(count),
            Progress::Done(count) => bar.inc(count),
        })
        .await;
    bar.finish_and_clear();
    let done = match outcome {
        Ok(done) => done,
        Err(unprepared @ MasterNotRotated::Unprepared { .. }) => {
            print::error(&unprepared.to_string());
            return Err(Failure::Refused);
        }
        Err(MasterNotRotated::Failed(error)) => return Err(Failure::Failed(error)),
    };
    if as_json {
        print::json(&json!({
            "from_version": done.from, "to_version": done.to, "rewrapped": done.rewrapped,
        }));
    } else if done.from == done.to {
        print::line(&format!("this is the master key already (version {})", done.to));
    } else {
        print::line(&format!(
            "{} keys are wrapped under version {} of the master key; name it as `keys.master` now \
             and remove `keys.master_next`",
            done.rewrapped, done.to
        ));
    }
    Ok(())
}

impl Destroy {
    pub(super) async fn run(self) -> Outcome {
        let Self::Tenant { tenant, service, yes, config, json } = self;
        let context = Context::open(&config)?;
        if !yes {
            return Err(Failure::Usage(vec![format!(
                "this destroys every {} document of {tenant}, for ever; say --yes",
                service.word()
            )]));
        }
        let at = open(&context).await?.destroy_tenant(&tenant, service).await?;
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        if json {
            print::json(&json!({
                "tenant": tenant, "service": service.word(), "destroyed_at": at,
            }));
        } else {
            print::line(&format!("{tenant} {}: destroyed at {at}", service.word()));
        }
        Ok(())
    }
}

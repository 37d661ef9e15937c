//! `kakitome tenants`: what concerns everything of one sender.

use serde_json::json;

use super::{ConfigArg, Failure, Outcome, context::Context, jobs::tenant, print};
use crate::{
    domain::{
        ids::TenantId,
        log::{Actor, Kind},
    },
    store::{
        freezes::{self, FreezeAnswer},
        jobs::{self, JobFilter},
        ledger::{DetailKey, EventDraft, Scribe},
    },
};

/// Freezes everything of a tenant, or lifts that freeze.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  kakitome tenants freeze acme\n  kakitome tenants unfreeze acme"
)]
pub(super) struct Tenants {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Nothing of a tenant's documents opens or flows until it is lifted.
    ///
    /// Links that are frozen answer like dead ones and count no opens;
    /// downloads that run end within two seconds. Jobs are still taken and
    /// sent, and what is due is still destroyed.
    #[command(after_help = "Examples:\n  kakitome tenants freeze acme")]
    Freeze(OneTenant),
    /// Lifts a tenant's freeze. Jobs that are frozen by themselves stay so.
    #[command(after_help = "Examples:\n  kakitome tenants unfreeze acme")]
    Unfreeze(OneTenant),
}

#[derive(Debug, clap::Args)]
struct OneTenant {
    /// The tenant's short name.
    #[arg(value_name = "NAME", value_parser = tenant)]
    tenant: TenantId,
    #[command(flatten)]
    config: ConfigArg,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Tenants {
    pub(super) async fn run(self) -> Outcome {
        match self.command {
            Command::Freeze(one) => one.freeze(true).await,
            Command::Unfreeze(one) => one.freeze(false).await,
        }
    }
}

impl OneTenant {
    async fn freeze(self, freeze: bool) -> Outcome {
        let context = Context::open(&self.config)?;
        let db = context.db().await?;
        if !context.config.tenants.contains_key(&self.tenant) {
            // Who has been struck off the configuration may still have links.
            let mut tx = db.read().await?;
            let tenant = Some(self.tenant.clone());
            let filter = JobFilter { tenant, limit: 1, ..JobFilter::default() };
            if jobs::list(&mut tx, &filter).await?.is_empty() {
                return Err(Failure::Failed(anyhow::anyhow!("there is no such tenant")));
            }
        }
        let event = Scribe::new(context.entropy.clone()).event(EventDraft {
            tenant: &self.tenant,
            job: None,
            at: context.clock.now(),
            kind: if freeze { Kind::Frozen } else { Kind::Unfrozen },
            actor: Actor::Operator,
            code: None,
            facts: Vec::new(),
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?;
        let mut tx = db.begin().await?;
        let answer = freezes::tenant(&mut tx, freeze, event).await?;
        tx.commit().await?;
        db.close().await;
        let done = answer == FreezeAnswer::Done;
        let what = match (done, freeze) {
            (true, true) => "frozen; nothing of it opens or flows until it is lifted",
            (false, true) => "was frozen before",
            (true, false) => "its freeze is lifted",
            (false, false) => "was not frozen",
        };
        if self.json {
            print::json(&json!({
                "tenant": self.tenant, "done": true, "frozen": freeze, "what": what,
            }));
        } else {
            print::line(&format!("{}: {what}", self.tenant));
        }
        Ok(())
    }
}

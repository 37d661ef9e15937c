//! `kakitome retention`: what is due, why, and doing it now.

use std::sync::Arc;

use serde_json::json;

use super::{ConfigArg, Failure, Outcome, context::Context, print};
use crate::{
    app::{build, events::EventMaker, web},
    domain::ids::JobId,
    retention::{self, DbWitness, Done, RetentionParts, Tick},
    store::ledger::Scribe,
};

/// Ticks of one run; each is bounded, and what is left is due the next time.
const TICKS_MAX: usize = 10_000;

/// Destroys what is due, or says what would be and why.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  kakitome retention run --dry-run\n  kakitome retention explain \
                  0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04\n\nA running office with the role \
                  `retention` does this by itself; `run` is for a machine without one."
)]
pub(super) struct Retention {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Destroys what is due now: keys first, then bytes, then rows.
    ///
    /// Nothing is destroyed while this machine's clock, the database's and the
    /// last note disagree (exit code 3). Running it twice, or beside a running
    /// office, is harmless.
    #[command(after_help = "Examples:\n  kakitome retention run --dry-run --json\n  kakitome \
                            retention run")]
    Run {
        #[command(flatten)]
        config: ConfigArg,
        /// Only say what would be destroyed.
        #[arg(long)]
        dry_run: bool,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says until when a job's document is kept, by which rule, and what holds
    /// it.
    #[command(after_help = "Examples:\n  kakitome retention explain \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04")]
    Explain {
        /// The job's id.
        job: JobId,
        #[command(flatten)]
        config: ConfigArg,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says that this machine's clock is right, after it was seen to jump or
    /// the office stood still for long; ends a hold of destructions.
    ///
    /// Does not help while the database's clock disagrees. The log keeps it.
    #[command(after_help = "Examples:\n  date; kakitome retention vouch")]
    Vouch {
        #[command(flatten)]
        config: ConfigArg,
    },
}

impl Retention {
    pub(super) async fn run(self) -> Outcome {
        match self.command {
            Command::Run { config, dry_run, json } => run(&config, dry_run, json).await,
            Command::Explain { job, config, json } => explain(job, &config, json).await,
            Command::Vouch { config } => {
                let retention = open(&Context::open(&config)?).await?;
                retention.vouch_for_clock().await?;
                print::line("this machine's clock counts as right from now on");
                Ok(())
            }
        }
    }
}

async fn run(config: &ConfigArg, dry_run: bool, as_json: bool) -> Outcome {
    let context = Context::open(config)?;
    let retention = open(&context).await?;
    if dry_run {
        let plan = retention.plan(context.clock.now()).await?;
        if as_json {
            print::json(&plan);
        } else {
            print::line(plan.to_string().trim_end());
        }
        return Ok(());
    }
    let mut all = Done::default();
    for _ in 0..TICKS_MAX {
        match retention.tick().await? {
            Tick::Worked(done) => add(&mut all, done),
            Tick::Idle => break,
            Tick::Held { apart } => {
                print::error(&format!(
                    "HELD: clocks disagree by {} s, so nothing more is destroyed. Set the clock; \
                     if it is right, run `kakitome retention vouch`",
                    apart.num_seconds()
                ));
                tell(&all, as_json);
                return Err(Failure::Refused);
            }
        }
    }
    tell(&all, as_json);
    Ok(())
}

fn add(all: &mut Done, done: Done) {
    let pairs = [
        (&mut all.day_keys, done.day_keys),
        (&mut all.mail_keys, done.mail_keys),
        (&mut all.other_keys, done.other_keys),
        (&mut all.moved, done.moved),
        (&mut all.purged, done.purged),
        (&mut all.never_dispatched, done.never_dispatched),
        (&mut all.uploads, done.uploads),
        (&mut all.segments, done.segments),
        (&mut all.orphans, done.orphans),
        (&mut all.months, done.months),
    ];
    for (sum, more) in pairs {
        *sum = sum.saturating_add(more);
    }
    // Those are seen again at every tick.
    all.doubtful = all.doubtful.max(done.doubtful);
}

fn tell(done: &Done, as_json: bool) {
    let counts = [
        ("day_keys", done.day_keys),
        ("mail_keys", done.mail_keys),
        ("other_keys", done.other_keys),
        ("moved", done.moved),
        ("purged", done.purged),
        ("never_dispatched", done.never_dispatched),
        ("uploads", done.uploads),
        ("segments", done.segments),
        ("orphans", done.orphans),
        ("months", done.months),
        ("doubtful", done.doubtful),
    ];
    if as_json {
        let object = counts.into_iter().map(|(name, count)| (name.to_owned(), json!(count)));
        print::json(&serde_json::Value::Object(object.collect()));
    } else {
        for (name, count) in counts {
            print::line(&format!("{:<18}{count}", name.replace('_', " ")));
        }
    }
}

async fn explain(job: JobId, config: &ConfigArg, as_json: bool) -> Outcome {
    let retention = open(&Context::open(config)?).await?;
    let Some(explanation) = retention.explain(None, job).await? else {
        return Err(anyhow::anyhow!("there is no such job (any more)").into());
    };
    if as_json {
        print::json(&explanation);
    } else {
        print::line(explanation.to_string().trim_end());
    }
    Ok(())
}

/// Retention as a running office has it.
async fn open(context: &Context) -> anyhow::Result<retention::Retention> {
    let db = context.db().await?;
    let keys = context.keys().await?;
    let events = EventMaker::new(
        Arc::clone(&context.config),
        keys.outbox_key().await?,
        context.entropy.clone(),
    );
    let blobs = build::blobs(&context.config, &context.entropy)?;
    retention::expect_mark(&db, &blobs).await?;
    Ok(retention::Retention::new(RetentionParts {
        witness: Arc::new(DbWitness::new(db.clone())),
        db,
        keys,
        blobs,
        clock: Arc::clone(&context.clock),
        entropy: context.entropy.clone(),
        scribe: Scribe::new(context.entropy.clone()),
        announce: Arc::new(events),
        settings: web::retention_settings(&context.config),
    }))
}

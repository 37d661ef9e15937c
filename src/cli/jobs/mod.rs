//! `kakitome jobs`: what stands on the books, and what a person does about it.
//!
//! Stages, codes and instants are nobody's secret. Names and addresses are
//! shown only when `--reveal` asks for them, and the log says so first.

mod act;
mod freeze;
mod name;
mod recall;
mod reissue;
mod reminder;
mod show;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{ConfigArg, Failure, Outcome, context::Context, print};
use crate::{
    domain::{
        ids::{JobId, TenantId},
        job::Channel,
        stage::Stage,
    },
    store::jobs::{self, JobFilter, JobRow},
};
use name::JobName;

/// Lists, shows, retries, cancels, recalls and freezes jobs.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  kakitome jobs list --stage parked\n  kakitome jobs show \
                  0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04\n  kakitome jobs retry \
                  0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04"
)]
pub(super) struct Jobs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists jobs, newest first, in pages.
    #[command(after_help = "Examples:\n  kakitome jobs list\n  kakitome jobs list --tenant acme \
                            --stage ambiguous --json\n  kakitome jobs list --limit 1000 --after \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04")]
    List(List),
    /// Shows a job: its stage, what it means, its link and its log.
    #[command(after_help = "Examples:\n  kakitome jobs show \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04\n  kakitome jobs show --reveal \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04")]
    Show {
        #[command(flatten)]
        job: OneJob,
        /// Also show the recipient and the sender's key; the log keeps that
        /// they were looked at.
        #[arg(long)]
        reveal: bool,
    },
    /// Sends a parked or ambiguous job on its way again.
    ///
    /// What was sealed goes out as it is: the same bytes and the same
    /// Message-ID. For an ambiguous mail that can be a second copy; a person
    /// decides, never the office.
    #[command(after_help = "Examples:\n  kakitome jobs retry \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04")]
    Retry(OneJob),
    /// Takes a job back before it is sent (exit code 3 when it is too late).
    #[command(after_help = "Examples:\n  kakitome jobs cancel \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04")]
    Cancel(OneJob),
    /// Takes a document back after it was sent, and says what of it had left.
    ///
    /// Its link opens no more, and downloads that run end within two seconds.
    /// The answer is either that no content byte left this service, or the
    /// list of what did: when, how many bytes, to which session. A number
    /// marked "at most" is what was reserved for a download whose end is not
    /// known. The answer waits up to six seconds for running downloads to end;
    /// asking again is harmless and can only make numbers smaller. A letter
    /// counts as left when it is handed to the print partner. Copies that a
    /// reader made are beyond this answer.
    #[command(after_help = "Examples:\n  kakitome jobs recall \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04\n  kakitome jobs recall --json \
                            KT-1BKB-Y7ZJ-N704-V")]
    Recall(OneJob),
    /// Revokes a job's link and mails a new one to the recorded address.
    ///
    /// The document stays what it is, and its day too: the new link ends after
    /// so many days, and no later than its document. There is no way to name
    /// another address. Refused (exit code 3) for what was never sent, was
    /// taken back, or is destroyed. While the mail is under way, asking again
    /// changes nothing; a mail whose reply is lost is on record as ambiguous
    /// and is not sent again by itself.
    #[command(after_help = "Examples:\n  kakitome jobs reissue \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04\n  kakitome jobs reissue --days 3 \
                            KT-1BKB-Y7ZJ-N704-V")]
    Reissue {
        #[command(flatten)]
        job: OneJob,
        /// How long the new link opens, in days.
        #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=366))]
        days: u16,
    },
    /// Nothing of a job's document opens or flows until it is lifted.
    ///
    /// Its link answers like a dead one and counts no opens; downloads that
    /// run end within two seconds. What is due is still destroyed, and a mail
    /// that was not sent yet still leaves.
    #[command(after_help = "Examples:\n  kakitome jobs freeze \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04")]
    Freeze(OneJob),
    /// Lifts a job's freeze; a freeze of its whole tenant stays.
    #[command(after_help = "Examples:\n  kakitome jobs unfreeze \
                            0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04")]
    Unfreeze(OneJob),
}

#[derive(Debug, clap::Args)]
struct OneJob {
    /// The job's id, or its link number as the recipient reads it out.
    #[arg(value_name = "ID")]
    job: JobName,
    #[command(flatten)]
    config: ConfigArg,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    config: ConfigArg,
    /// Only this tenant's.
    #[arg(long, value_name = "NAME", value_parser = tenant)]
    tenant: Option<TenantId>,
    /// Only those at this stage: accepted, sealed, dispatched, opened,
    /// ambiguous, parked, cancelled, recalled, undeliverable or purged.
    #[arg(long, value_parser = stage)]
    stage: Option<Stage>,
    /// Only those that travel this way: email or post.
    #[arg(long, value_parser = channel)]
    channel: Option<Channel>,
    /// Only those with this reason (docs/ERRORS.md).
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// How many, 1 to 1000.
    #[arg(long, value_name = "COUNT", default_value_t = 50,
          value_parser = clap::value_parser!(i64).range(1..=1_000))]
    limit: i64,
    /// Only those older than this one: the last of the page before.
    #[arg(long, value_name = "ID")]
    after: Option<JobId>,
    /// Answer in JSON, one object a job.
    #[arg(long)]
    json: bool,
}

/// Reads a tenant's short name.
pub(super) fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text).map_err(|error| error.to_string())
}

fn stage(text: &str) -> Result<Stage, String> {
    let words = || Stage::ALL.map(Stage::word).join(", ");
    Stage::parse(text).map_err(|_| format!("one of {}", words()))
}

fn channel(text: &str) -> Result<Channel, String> {
    Channel::parse(text).ok_or_else(|| "email or post".to_owned())
}

impl Jobs {
    pub(super) async fn run(self) -> Outcome {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show { job, reveal } => show::show(&job, reveal).await,
            Command::Retry(job) => act::retry(&job).await,
            Command::Cancel(job) => act::cancel(&job).await,
            Command::Recall(job) => recall::recall(&job).await,
            Command::Reissue { job, days } => reissue::reissue(&job, days).await,
            Command::Freeze(job) => freeze::freeze(&job, true).await,
            Command::Unfreeze(job) => freeze::freeze(&job, false).await,
        }
    }
}

impl List {
    async fn run(self) -> Outcome {
        let db = Context::open(&self.config)?.db().await?;
        let filter = JobFilter {
            tenant: self.tenant,
            stage: self.stage,
            channel: self.channel,
            reason: self.reason,
            after: self.after,
            limit: self.limit,
        };
        let mut tx = db.read().await?;
        let rows = jobs::list(&mut tx, &filter).await?;
        drop(tx);
        if self.json {
            for row in &rows {
                print::json(&summary(row));
            }
        } else {
            let cells: Vec<_> = rows.iter().map(cells).collect();
            print::table(&["job", "tenant", "channel", "stage", "reason", "since", ""], &cells);
        }
        let full = i64::try_from(rows.len()).is_ok_and(|count| count >= self.limit);
        if let Some(last) = rows.last().filter(|_| full) {
            print::error(&format!("there may be more: --after {}", last.id));
        }
        db.close().await;
        Ok(())
    }
}

fn cells(row: &JobRow) -> Vec<String> {
    vec![
        row.id.to_string(),
        row.tenant.to_string(),
        row.channel.word().to_owned(),
        row.stage.word().to_owned(),
        row.reason.clone().unwrap_or_default(),
        second(row.stage_at),
        if row.test_mode { "test".to_owned() } else { String::new() },
    ]
}

/// A job without anything personal.
fn summary(row: &JobRow) -> Value {
    json!({
        "job": row.id.to_string(),
        "tenant": row.tenant,
        "channel": row.channel.word(),
        "stage": row.stage.word(),
        "reason": row.reason,
        "test_mode": row.test_mode,
        "accepted_at": micros(row.accepted_at),
        "send_at": micros(row.send_at),
        "stage_at": micros(row.stage_at),
        "dispatched_at": row.dispatched_at.map(micros),
        "purge_at": row.purge_at.map(micros),
        "purged_at": row.purged_at.map(micros),
    })
}

fn micros(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn second(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn no_such_job() -> Failure {
    Failure::Failed(anyhow::anyhow!(
        "there is no such job (any more); `kakitome jobs list` shows what there is"
    ))
}

//! `kakitome enqueue`: sends jobs to the office, as an application would.
//!
//! Every job is looked at before the first one is sent, so that a file with a
//! broken line sends nothing. Sending a file again is harmless: a key is one
//! delivery for ever, and what is on the books already is answered as a
//! duplicate. What a sender publishes in clear rests in the broker's files
//! until it is taken; `--seal` makes it unreadable on the way.

mod amqp;
mod http;

use std::path::PathBuf;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    ConfigArg, Failure, Outcome,
    context::Context,
    job_file::{Entry, JobFile},
    print,
};
use crate::{
    config::{Config, SecretSource},
    crypto::sealed_body::{self, PublicKey},
    domain::ids::TenantId,
    intake::parse::{ParseLimits, parse},
};

/// From this many jobs on there is a bar.
const BAR_FROM: u64 = 50;
/// Bad lines that are named before the rest is only counted.
const NAMED_MAX: u64 = 20;

/// Sends jobs to the office: to the broker, or over HTTP.
///
/// With `[broker]` in the configuration, jobs are published with confirms
/// under the broker user's name, and the office takes the tenant from that
/// user. Without it, or with --url, they are posted to the HTTP interface with
/// the tenant's bearer token. Every job is checked first, and nothing is sent
/// when one is broken.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome enqueue --tenant acme \
                        docs/examples/email-invoice.json\n  kakitome enqueue --user billing \
                        --password-file /run/secrets/billing jobs.jsonl\n  kakitome enqueue --url \
                        http://127.0.0.1:8081 --token-file /run/secrets/acme-token --json - < \
                        jobs.jsonl\n  kakitome enqueue --seal --tenant acme jobs.jsonl\n\nExit \
                        codes: 0 all were taken, 1 the connection failed (send the file again, \
                        nothing is sent twice), 3 at least one was refused.")]
pub(super) struct Enqueue {
    /// One JSON job, or one a line; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArg,
    /// The tenant that sends; needed where the configuration has several.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Post to this HTTP interface instead of the broker or `listen.api`.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The bearer token, instead of the tenant's `token`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The broker user, instead of `broker.user`; the office takes the tenant
    /// from it.
    #[arg(long, value_name = "NAME", requires = "password_file", conflicts_with = "url")]
    user: Option<String>,
    /// The broker user's password.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Seal every job to the tenant's public key; broker only.
    #[arg(long, conflicts_with = "url")]
    seal: bool,
    /// The tenant's public key (`kakitome keys public`), instead of the key
    /// store's.
    #[arg(long, value_name = "BASE64", requires = "seal")]
    public_key: Option<String>,
    /// Send without looking at the jobs first; the office looks anyway.
    #[arg(long)]
    no_check: bool,
    /// Answer in JSON, one object a job.
    #[arg(long)]
    json: bool,
}

/// What became of one job.
#[derive(Debug, Default)]
struct Answer {
    line: u64,
    state: &'static str,
    job: Option<String>,
    code: Option<String>,
    field: Option<String>,
}

impl Answer {
    fn is_refusal(&self) -> bool {
        self.code.is_some()
    }
}

/// A body on its way.
struct Parcel {
    line: u64,
    body: Zeroizing<Vec<u8>>,
}

impl Enqueue {
    pub(super) async fn run(self) -> Outcome {
        let context = Context::open(&self.config)?;
        let over_amqp = self.url.is_none() && context.config.broker.is_some();
        if !over_amqp && (self.seal || self.user.is_some()) {
            return usage("--seal and --user need a broker (`[broker]` in the configuration)");
        }
        let file = JobFile::open(&self.file, !self.no_check)?;
        let count = if self.no_check { None } else { Some(self.look(&file)?) };
        let mut report = Report::new(count, self.json);
        let sent = if over_amqp {
            amqp::send(&self, &context, &file, &mut report).await
        } else {
            http::send(&self, &context, &file, &mut report).await
        };
        report.finish(over_amqp);
        sent?;
        if report.refused == 0 { Ok(()) } else { Err(Failure::Refused) }
    }

    /// Reads every job before the first one is sent; answers how many there
    /// are.
    fn look(&self, file: &JobFile) -> Result<u64, Failure> {
        let (mut count, mut bad) = (0_u64, 0_u64);
        for entry in file.entries()? {
            let Entry { line, body } = entry?;
            count = count.saturating_add(1);
            let Err(refused) = parse(&body, &ParseLimits::default()) else { continue };
            bad = bad.saturating_add(1);
            if bad > NAMED_MAX && !self.json {
                continue;
            }
            tell(
                &Answer {
                    line,
                    state: "refused",
                    code: Some(refused.refusal.code().to_owned()),
                    field: refused.path.map(str::to_owned),
                    ..Answer::default()
                },
                self.json,
            );
        }
        if count == 0 {
            return usage(&format!("{} holds no job", self.file.display()));
        }
        if bad == 0 {
            return Ok(count);
        }
        print::error(&format!(
            "{bad} of {count} jobs are broken; nothing was sent. `kakitome check-job` says more"
        ));
        Err(Failure::Refused)
    }

    /// The tenant that sends: the one that is named, or the only one.
    fn tenant(&self, config: &Config) -> Result<TenantId, Failure> {
        tenant_of(config, self.tenant.as_deref())
    }
}

/// The tenant of this name, or the only one.
pub(super) fn tenant_of(config: &Config, name: Option<&str>) -> Result<TenantId, Failure> {
    let Some(name) = name else {
        let mut tenants = config.tenants.keys();
        return match (tenants.next(), tenants.next()) {
            (Some(only), None) => Ok(only.clone()),
            _ => usage("name the tenant that sends with --tenant"),
        };
    };
    match TenantId::parse(name) {
        Ok(tenant) if config.tenants.contains_key(&tenant) => Ok(tenant),
        _ => usage("there is no such tenant in the configuration (`tenants`)"),
    }
}

/// The way to make a body unreadable, when it is asked for.
struct Seal {
    tenant: TenantId,
    public: PublicKey,
    entropy: crate::entropy::Entropy,
}

impl Seal {
    async fn of(enqueue: &Enqueue, context: &Context, tenant: &TenantId) -> Result<Self, Failure> {
        let public = if let Some(text) = &enqueue.public_key {
            let bytes = data_encoding::BASE64.decode(text.trim().as_bytes()).ok();
            let Some(bytes) = bytes.and_then(|bytes| bytes.try_into().ok()) else {
                return usage("--public-key: write what `kakitome keys public` prints");
            };
            PublicKey(bytes)
        } else {
            let keys = context.keys().await?;
            let public = keys.sealing_pair(tenant).await?.public();
            keys.close().await;
            public
        };
        Ok(Self { tenant: tenant.clone(), public, entropy: context.entropy.clone() })
    }

    fn seal(&self, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        sealed_body::seal_body(&self.public, Some(&self.tenant), body, &self.entropy)
            .context("a job cannot be sealed to this public key")
    }
}

/// Reads a secret from a file that is closed to others.
pub(super) fn secret(file: &std::path::Path) -> anyhow::Result<secrecy::SecretString> {
    let file = std::path::absolute(file)?;
    Ok(SecretSource::path(file).read()?)
}

pub(super) fn usage<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::Usage(vec![what.to_owned()]))
}

/// Tells what became of each job, and counts.
struct Report {
    json: bool,
    bar: ProgressBar,
    taken: u64,
    duplicates: u64,
    refused: u64,
}

impl Report {
    fn new(count: Option<u64>, json: bool) -> Self {
        let bar = match count {
            Some(count) if count < BAR_FROM => ProgressBar::hidden(),
            Some(count) => ProgressBar::new(count),
            None => ProgressBar::no_length(),
        };
        let style = "{wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self { json, bar, taken: 0, duplicates: 0, refused: 0 }
    }

    fn add(&mut self, answer: &Answer) {
        let count = match answer {
            answer if answer.is_refusal() => &mut self.refused,
            answer if answer.state == "duplicate" => &mut self.duplicates,
            _ => &mut self.taken,
        };
        *count = count.saturating_add(1);
        self.bar.inc(1);
        if self.json || answer.is_refusal() {
            self.bar.suspend(|| tell(answer, self.json));
        }
    }

    fn finish(&self, over_amqp: bool) {
        self.bar.finish_and_clear();
        let Self { taken, duplicates, refused, .. } = self;
        let what = if over_amqp { "published" } else { "accepted" };
        let known = if over_amqp { String::new() } else { format!("{duplicates} known already, ") };
        let summary = format!("{taken} {what}, {known}{refused} refused");
        if self.json { print::error(&summary) } else { print::line(&summary) }
    }
}

fn tell(answer: &Answer, as_json: bool) {
    if as_json {
        let mut told = json!({ "line": answer.line, "state": answer.state });
        let more = [("job", &answer.job), ("code", &answer.code), ("field", &answer.field)];
        if let Some(object) = told.as_object_mut() {
            for (name, value) in more {
                if let Some(value) = value {
                    object.insert(name.to_owned(), value.as_str().into());
                }
            }
        }
        print::json(&told);
        return;
    }
    let code = answer.code.as_deref().unwrap_or(answer.state);
    let field = answer.field.as_ref().map_or_else(String::new, |field| format!(" ({field})"));
    print::line(&format!("line {}: {code}{field}", answer.line));
}

//! `kakitome check-job`: what the office would say to a job, without the
//! office.

use std::path::PathBuf;

use serde_json::json;

use super::{Failure, Outcome, context, job_file::JobFile, print, render};
use crate::{
    clock::{Clock as _, WallClock},
    config::Config,
    domain::{
        document,
        ids::TenantId,
        job::{Channel, Document, SendJob},
        refusal::{Refusal, Refused},
    },
    intake::{
        check::{CheckContext, LINK_DAYS_MAX, check},
        parse::{ParseLimits, parse},
    },
};

/// Looks at a job as the office would, and sends nothing.
///
/// Answers with the code that the office would refuse the job with, and with
/// the path of the field that is at fault. Nothing is sent, stored or logged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome check-job docs/examples/email-invoice.json\n  \
                        kakitome check-job --config kakitome.toml --tenant acme jobs.jsonl\n  \
                        cat job.json | kakitome check-job --json -")]
pub(super) struct CheckJob {
    /// One JSON job, or one a line; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A configuration whose templates and tenants count; otherwise the
    /// bundled templates do.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The tenant that would send it; otherwise the one that the job names.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Answer in JSON, one object a job.
    #[arg(long)]
    json: bool,
}

impl CheckJob {
    pub(super) fn run(self) -> Outcome {
        let config = self.config.as_deref().map(context::config).transpose()?;
        let tenant = match self.tenant.as_deref().map(TenantId::parse).transpose() {
            Ok(tenant) => tenant,
            Err(error) => return Err(Failure::Usage(vec![error.to_string()])),
        };
        let renderer = render::renderer(self.config.as_deref())?;
        let has_template = |name: &str| renderer.has_template(name);
        let (mut count, mut refused) = (0_u64, 0_u64);
        for entry in JobFile::open(&self.file, false)?.entries()? {
            let entry = entry?;
            let verdict = look(&entry.body, tenant.as_ref(), config.as_ref(), &has_template);
            count = count.saturating_add(1);
            refused = refused.saturating_add(u64::from(verdict.is_err()));
            tell(entry.line, verdict.err(), self.json);
        }
        if count == 0 {
            return Err(Failure::Usage(vec![format!("{} holds no job", self.file.display())]));
        }
        if refused == 0 { Ok(()) } else { Err(Failure::Refused) }
    }
}

/// The two steps of intake, with what can be known here of the world.
fn look(
    body: &[u8],
    tenant: Option<&TenantId>,
    config: Option<&Config>,
    has_template: &dyn Fn(&str) -> bool,
) -> Result<(), Refused> {
    let job = parse(body, &ParseLimits::default())?;
    let nobody = TenantId::office();
    let tenant = tenant.or(job.tenant.as_ref()).unwrap_or(&nobody).clone();
    let settings = config.and_then(|config| config.tenants.get(&tenant));
    let test_mode = settings.is_some_and(|settings| settings.test_mode);
    let no_partner = config.is_some_and(|config| config.post.is_none()) && !test_mode;
    if no_partner && job.channel == Channel::Post {
        return Err(Refusal::BadOption.at("channel"));
    }
    let facts = facts_of(&job);
    let context = CheckContext {
        tenant: &tenant,
        legacy_jp_addresses: settings.is_some_and(|settings| settings.legacy_jp_addresses),
        now: WallClock.now(),
        link_days_max: LINK_DAYS_MAX,
        has_template,
        facts: facts.as_ref(),
    };
    check(job, &context).map(drop)
}

fn facts_of(job: &SendJob) -> Option<crate::domain::evidence::DocumentFacts> {
    match &job.document {
        Document::Template { template, data, .. } => document::facts(template, data),
        Document::Pdf { .. } | Document::Upload { .. } => None,
    }
}

fn tell(line: u64, refused: Option<Refused>, as_json: bool) {
    let Some(refused) = refused else {
        if as_json {
            print::json(&json!({ "line": line, "ok": true }));
        } else {
            print::line(&format!("line {line}: ok"));
        }
        return;
    };
    let code = refused.refusal.code();
    if as_json {
        print::json(&json!({ "line": line, "ok": false, "code": code, "path": refused.path }));
        return;
    }
    let path = refused.path.map_or_else(String::new, |path| format!(" ({path})"));
    print::line(&format!(
        "line {line}: {code}{path}\n  {}\n  {}",
        refused.refusal.meaning(),
        refused.refusal.remedy()
    ));
}

//! `kakitome audit`: questions to the log.
//!
//! What the log says in clear is shown to whoever may run this. What was
//! sealed (names, addresses, what is known of an access) is opened only for
//! `--reveal` and for exports, and both stand in the log before the first line
//! is written.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::{ConfigArg, Failure, Outcome, context::Context, print};
use crate::{
    audit::{BadQuery, Evidence, Format, Line, Query, Reader},
    domain::{
        ids::TenantId,
        log::{Actor, Kind},
    },
    store::ledger::{self, DetailKey, EventDraft, Scribe},
};

/// Searches and exports the log.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  kakitome audit search --tenant acme --kind opened --from \
                  2026-11-01\n  kakitome audit search --tenant acme --counterparty 株式会社桔梗製作所 \
                  --amount-min 100000\n  kakitome audit export --tenant acme --date-from \
                  2026-01-01 --date-to 2026-12-31 -o log-2026.csv"
)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows the events that fit, oldest first, in pages.
    #[command(after_help = "Examples:\n  kakitome audit search --tenant acme --number \
                            INV-2026-000042\n  kakitome audit search --tenant acme --recipient \
                            sakura@example.jp --reveal\n  kakitome audit search --tenant acme \
                            --job 0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04 --json")]
    Search {
        #[command(flatten)]
        question: Question,
        /// Also show what was sealed; the log keeps that it was looked at.
        #[arg(long)]
        reveal: bool,
        /// How many events, 1 to 1000.
        #[arg(long, value_name = "COUNT", default_value_t = 100,
              value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
        /// Only those after this one: the last of the page before.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// Answer in JSON, one object an event.
        #[arg(long)]
        json: bool,
    },
    /// Writes all events that fit to a file, opened as far as they can be; the
    /// log keeps that they were exported.
    #[command(after_help = "Examples:\n  kakitome audit export --tenant acme -o \
                            log.csv\n  kakitome audit export --tenant acme --from 2026-11-01 \
                            --format jsonl -o log.jsonl")]
    Export {
        #[command(flatten)]
        question: Question,
        /// `csv` for spreadsheets, `jsonl` for programs.
        #[arg(long, value_enum, default_value = "csv")]
        format: Form,
        /// The file, readable by its owner alone; standard output otherwise.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    Csv,
    Jsonl,
}

/// What is looked for; everything that is given must hold.
#[derive(Debug, clap::Args)]
struct Question {
    #[command(flatten)]
    config: ConfigArg,
    /// Whose log; needed where the configuration has several tenants.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// One job.
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// One kind of event, such as `opened` (docs/LOG-FORMAT.md).
    #[arg(long)]
    kind: Option<String>,
    /// Events from this instant on (RFC 3339, or a day in UTC).
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// Events before this instant.
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// Deliveries to this mail address; for letters, to this name.
    #[arg(long)]
    recipient: Option<String>,
    /// Documents of this other side; 株式会社 and ㈱ are the same.
    #[arg(long, value_name = "NAME")]
    counterparty: Option<String>,
    /// Documents with this number.
    #[arg(long)]
    number: Option<String>,
    /// Documents with a transaction date from this day on.
    #[arg(long, value_name = "DAY")]
    date_from: Option<String>,
    /// Documents with a transaction date up to this day, which is included.
    #[arg(long, value_name = "DAY")]
    date_to: Option<String>,
    /// Documents of at least this amount.
    #[arg(long, value_name = "AMOUNT")]
    amount_min: Option<String>,
    /// Documents of at most this amount.
    #[arg(long, value_name = "AMOUNT")]
    amount_max: Option<String>,
    /// Documents in this currency.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
}

impl Question {
    fn query(&self, context: &Context, more: &[(&str, &str)]) -> Result<Query, Failure> {
        let mut tenants = context.config.tenants.keys();
        let only = match (tenants.next(), tenants.next()) {
            (Some(only), None) => Some(only.as_str()),
            _ => None,
        };
        let fields = [
            ("tenant", self.tenant.as_deref().or(only)),
            ("job", self.job.as_deref()),
            ("kind", self.kind.as_deref()),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("recipient", self.recipient.as_deref()),
            ("counterparty", self.counterparty.as_deref()),
            ("number", self.number.as_deref()),
            ("date-from", self.date_from.as_deref()),
            ("date-to", self.date_to.as_deref()),
            ("amount-min", self.amount_min.as_deref()),
            ("amount-max", self.amount_max.as_deref()),
            ("currency", self.currency.as_deref()),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Query::parse(given.chain(more.iter().copied())).map_err(|error| {
            Failure::Usage(vec![match error {
                BadQuery::NoTenant => "name the tenant whose log it is with --tenant".to_owned(),
                BadQuery::BadValue(field) => format!("--{field}: the value cannot be read"),
                other @ (BadQuery::UnknownField | BadQuery::Twice(_)) => other.to_string(),
            }])
        })
    }

    async fn reader(&self, context: &Context) -> anyhow::Result<Reader> {
        Ok(Reader {
            db: context.db().await?,
            keys: context.keys().await?,
            clock: Arc::clone(&context.clock),
            scribe: Scribe::new(context.entropy.clone()),
        })
    }
}

impl Audit {
    pub(super) async fn run(self) -> Outcome {
        match self.command {
            Command::Search { question, reveal, limit, after, json } => {
                let context = Context::open(&question.config)?;
                let limit = limit.to_string();
                let mut more = vec![("limit", limit.as_str())];
                more.extend(after.as_deref().map(|after| ("after", after)));
                let query = question.query(&context, &more)?;
                search(&question.reader(&context).await?, &query, reveal, json).await
            }
            Command::Export { question, format, output } => {
                let context = Context::open(&question.config)?;
                let query = question.query(&context, &[])?;
                let format = match format {
                    Form::Csv => Format::Csv,
                    Form::Jsonl => Format::JsonLines,
                };
                let reader = question.reader(&context).await?;
                export(&reader, &query, format, output.as_deref()).await
            }
        }
    }
}

async fn search(reader: &Reader, query: &Query, reveal: bool, as_json: bool) -> Outcome {
    if reveal {
        put_on_record(reader, &query.tenant).await?;
    }
    let page = reader.search(query).await?;
    if as_json {
        for line in &page.lines {
            print::json(&object(line, reveal));
        }
    } else {
        let rows: Vec<_> = page.lines.iter().map(|line| cells(line, reveal)).collect();
        let head = ["at", "event", "by", "code", "job", "number", "date", "amount", "more"];
        print::table(&head, &rows);
    }
    if let Some(next) = page.next {
        print::error(&format!("there may be more: --after {next}"));
    }
    Ok(())
}

async fn put_on_record(reader: &Reader, tenant: &TenantId) -> anyhow::Result<()> {
    let event = reader.scribe.event(EventDraft {
        tenant,
        job: None,
        at: reader.clock.now(),
        kind: Kind::Exported,
        actor: Actor::Operator,
        code: None,
        facts: vec![("what", "personal".into())],
        personal: Vec::new(),
        detail_key: DetailKey::None,
    })?;
    let mut tx = reader.db.begin().await?;
    ledger::append(&mut tx, &[event]).await?;
    Ok(tx.commit().await?)
}

fn cells(line: &Line, reveal: bool) -> Vec<String> {
    let Evidence { number, date, amount, currency, counterparty, .. } =
        line.evidence.clone().unwrap_or_default();
    let money = amount.map(|amount| format!("{amount} {}", currency.unwrap_or_default()));
    let mut more: Vec<_> =
        line.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if reveal {
        more.extend(line.detail.iter().map(|(name, value)| format!("{name}={value}")));
        more.extend(counterparty.map(|name| format!("counterparty={name}")));
    }
    vec![
        instant(line.at),
        line.kind.to_owned(),
        line.actor.to_owned(),
        line.code.clone().unwrap_or_default(),
        line.job.map(|job| job.to_string()).unwrap_or_default(),
        number.unwrap_or_default(),
        date.unwrap_or_default(),
        money.unwrap_or_default(),
        more.join(" "),
    ]
}

fn object(line: &Line, reveal: bool) -> Value {
    let pairs = |pairs: &[(String, String)]| -> Map<String, Value> {
        pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
    };
    let evidence = line.evidence.as_ref().map(|evidence| Evidence {
        counterparty: evidence.counterparty.clone().filter(|_| reveal),
        ..evidence.clone()
    });
    let mut object = json!({
        "event": line.event.to_string(),
        "at": instant(line.at),
        "tenant": line.tenant,
        "kind": line.kind,
        "actor": line.actor,
        "code": line.code,
        "job": line.job.map(|job| job.to_string()),
        "evidence": evidence,
        "facts": pairs(&line.facts),
        "detail_state": line.detail_state.word(),
        "leaf_index": line.leaf_index,
        "leaf_sha256": line.leaf_sha256(),
    });
    if let Some(object) = object.as_object_mut().filter(|_| reveal) {
        object.insert("detail".to_owned(), Value::Object(pairs(&line.detail)));
    }
    object
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

async fn export(reader: &Reader, query: &Query, format: Format, output: Option<&Path>) -> Outcome {
    let count = match output {
        None => reader.export(query, format, print::Out).await?,
        Some(file) => {
            let mut options = OpenOptions::new();
            let mut out = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(file)
                .with_context(|| format!("writing {}", file.display()))?;
            let mut buffer = std::io::BufWriter::new(&mut out);
            let count = reader.export(query, format, &mut buffer).await?;
            buffer.flush()?;
            drop(buffer);
            out.sync_all()?;
            count
        }
    };
    print::error(&format!("{count} events exported"));
    Ok(())
}

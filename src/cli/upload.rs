//! `kakitome upload` and `kakitome check-pdf`: finished PDFs, before any job.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{ConfigArg, Failure, Outcome, context, context::Context, enqueue, print};
use crate::{
    app::pdf_child::ChildCheck,
    domain::{plain::Plain, refusal::Refusal},
    intake::inside::{PdfCheck as _, Unchecked},
    render::PdfLimits,
};

/// The longest an upload may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// Uploads a finished PDF for a job to come.
///
/// A job body holds at most 1 MiB. A larger PDF is put down first; the answer's
/// id goes into the job as `"document": {"pdf": {"upload": "ID"}}`, over HTTP or
/// AMQP, before the upload expires. Several jobs may name the same upload.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome upload --tenant acme contract.pdf\n  kakitome \
                        upload --url https://api.example.jp --token-file \
                        /run/secrets/acme-token --json contract.pdf\n\nExit codes: 0 it is kept, \
                        1 the connection failed (upload it again), 3 it was refused.")]
pub(super) struct Upload {
    /// The PDF; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArg,
    /// The tenant that sends; needed where the configuration has several.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// The HTTP interface, instead of `listen.api`.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The bearer token, instead of the tenant's `token`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Upload {
    pub(super) async fn run(self) -> Outcome {
        let context = Context::open(&self.config)?;
        let base = match &self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", context.config.listen.api),
        };
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return enqueue::usage("--url: write http://HOST:PORT or https://HOST");
        }
        let token = self.token(&context)?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| anyhow::anyhow!("the token holds characters that no token has"))?;
        bearer.set_sensitive(true);
        let pdf = read(&self.file)?;
        let response = context::http(PATIENCE)?
            .post(format!("{base}/v1/uploads"))
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/pdf")
            .body(pdf.to_vec())
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| format!("no answer from {base}; upload the file again"))?;
        let status = response.status();
        let body = response.bytes().await.map_err(reqwest::Error::without_url)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        self.tell(&base, status.is_success(), status.as_u16(), &body)
    }

    fn token(&self, context: &Context) -> Result<SecretString, Failure> {
        if let Some(file) = &self.token_file {
            return Ok(enqueue::secret(file)?);
        }
        let tenant = enqueue::tenant_of(&context.config, self.tenant.as_deref())?;
        let source = context.config.tenants.get(&tenant).and_then(|tenant| tenant.token.as_ref());
        match source {
            Some(source) => Ok(source.read().context("the tenant's token")?),
            None => enqueue::usage(&format!(
                "name a token with --token-file, or in `tenants.{tenant}.token`"
            )),
        }
    }

    fn tell(&self, base: &str, done: bool, status: u16, body: &Value) -> Outcome {
        let word = |name: &str| body.get(name).and_then(Value::as_str);
        if done {
            let (Some(upload), Some(until)) = (word("upload"), word("expires_at")) else {
                return Err(anyhow::anyhow!("{base} answers {status} without an upload").into());
            };
            if self.json {
                print::json(body);
            } else {
                print::line(&format!("upload {upload}, kept until {until}"));
            }
            return Ok(());
        }
        let Some(code) = word("code") else {
            return Err(anyhow::anyhow!(
                "{base} answers {status}; is this the interface for applications?"
            )
            .into());
        };
        if code == Refusal::Unauthorized.code() {
            let remedy = Refusal::Unauthorized.remedy();
            return Err(anyhow::anyhow!("the office does not know this token: {remedy}").into());
        }
        let reason = word("reason");
        refused(code, reason, self.json);
        Err(Failure::Refused)
    }
}

/// Looks into a PDF as the office would, and sends nothing.
///
/// Answers with the number of its pages, or with the reason for which the office
/// would refuse it (docs/ERRORS.md).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kakitome check-pdf contract.pdf\n  kakitome check-pdf --json \
                        - < contract.pdf\n\nExit codes: 0 it can be delivered, 1 it could not be \
                        looked into, 3 it would be refused."
)]
pub(super) struct CheckPdf {
    /// The PDF; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl CheckPdf {
    pub(super) async fn run(self) -> Outcome {
        let pdf = read(&self.file)?;
        let limits = PdfLimits { max_bytes: pdf.len(), ..PdfLimits::default() };
        match ChildCheck::new(limits).check(&pdf, PATIENCE).await {
            Ok(facts) if self.json => print::json(&facts),
            Ok(facts) => {
                let post = if facts.a4 { "by mail and by post" } else { "by mail, not by post" };
                print::line(&format!("{} pages; it can go {post}", facts.pages));
            }
            Err(Unchecked::Flawed(flaw)) => {
                refused(Refusal::BadPdf.code(), Some(flaw.word()), self.json);
                if !self.json {
                    print::line(&format!("  {}", flaw.meaning()));
                }
                return Err(Failure::Refused);
            }
            Err(Unchecked::NotNow) => {
                return Err(anyhow::anyhow!("no process could be started to look into it").into());
            }
        }
        Ok(())
    }
}

fn refused(code: &str, reason: Option<&str>, as_json: bool) {
    if as_json {
        print::json(&json!({ "code": code, "reason": reason }));
    } else {
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        print::line(&format!("{code}{reason}"));
    }
}

/// More than any office takes.
const READ_MAX: u64 = 101 << 20;

fn read(path: &std::path::Path) -> anyhow::Result<Plain> {
    use std::io::Read as _;
    let mut bytes = Plain::default();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(READ_MAX).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path);
        let file = file.with_context(|| format!("reading {}", path.display()))?;
        file.take(READ_MAX).read_to_end(&mut bytes)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|len| len < READ_MAX) {
        Ok(bytes)
    } else {
        bail!("{} is larger than any office takes", path.display())
    }
}

//! `kakitome health`: what a container's health check runs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{Failure, Outcome, context, print};

/// How long an office may take to say that it is well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a running office whether it is well.
///
/// Asks `/healthz` (the process lives) and `/readyz` (every part it needs
/// answers) of the operations listener.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome health\n  kakitome health --alive --url \
                        http://127.0.0.1:9090\n\nIn a container: HEALTHCHECK CMD [\"kakitome\", \
                        \"health\", \"--alive\"]")]
pub(super) struct Health {
    /// The operations listener (`listen.operations`).
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    url: String,
    /// Ask only whether the process lives, not whether it is ready.
    #[arg(long)]
    alive: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Health {
    pub(super) async fn run(self) -> Outcome {
        let base = self.url.trim_end_matches('/');
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(Failure::Usage(vec![format!("{base}: write http://HOST:PORT")]));
        }
        let client = context::http(PATIENCE)?;
        ask(&client, &format!("{base}/healthz")).await?;
        if self.alive {
            if self.json {
                print::json(&json!({ "alive": true }));
            } else {
                print::line("alive");
            }
            return Ok(());
        }
        let (status, body) = ask(&client, &format!("{base}/readyz")).await?;
        let answer: Value = serde_json::from_slice(&body)
            .with_context(|| format!("{base}/readyz does not answer like an office"))?;
        if self.json {
            print::json(&answer);
        } else {
            for check in answer.get("checks").and_then(Value::as_array).into_iter().flatten() {
                let word = |name: &str| check.get(name).and_then(Value::as_str);
                let why = word("why").unwrap_or("ready");
                print::line(&format!("{}: {why}", word("name").unwrap_or("?")));
            }
        }
        if status {
            Ok(())
        } else {
            Err(anyhow::anyhow!("the office is alive but not ready").into())
        }
    }
}

/// Whether the answer is a success, and its body.
async fn ask(client: &reqwest::Client, url: &str) -> anyhow::Result<(bool, Vec<u8>)> {
    let answer = client
        .get(url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("no answer from {url}; is `kakitome serve` running?"))?;
    let status = answer.status();
    if !(status.is_success() || status.as_u16() == 503) {
        bail!("{url} answers {status}; is this the operations listener?");
    }
    let body = answer.bytes().await.context("the answer broke off")?;
    Ok((status.is_success(), body.to_vec()))
}

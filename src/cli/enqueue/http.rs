//! Jobs to the HTTP interface, a few at a time.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{Answer, Enqueue, Parcel, Report, secret, usage};
use crate::{
    app::worker::wait,
    cli::{
        Failure, context,
        context::Context,
        job_file::{Entry, JobFile},
    },
    domain::{job, refusal::Refusal},
};

/// Requests under way at once.
const AT_ONCE: usize = 8;
/// The longest one of them may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often a job is sent again when the office says `try_later`.
const TRIES_MAX: u32 = 6;
/// The longest wait between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub(super) async fn send(
    enqueue: &Enqueue,
    context: &Context,
    file: &JobFile,
    report: &mut Report,
) -> Result<(), Failure> {
    let base = match &enqueue.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", context.config.listen.api),
    };
    let counter = Counter::open(&base, &token(enqueue, context)?)?;
    let parcels =
        file.entries()?.map(|entry| entry.map(|Entry { line, body }| Parcel { line, body }));
    let mut answers = futures::stream::iter(parcels)
        .map(|parcel| async { counter.hand_in(parcel?).await })
        .buffered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        report.add(&answer?);
    }
    Ok(())
}

fn token(enqueue: &Enqueue, context: &Context) -> Result<SecretString, Failure> {
    if let Some(file) = &enqueue.token_file {
        return Ok(secret(file)?);
    }
    let tenant = enqueue.tenant(&context.config)?;
    let source = context.config.tenants.get(&tenant).and_then(|tenant| tenant.token.as_ref());
    match source {
        Some(source) => Ok(source.read().context("the tenant's token")?),
        None => usage(&format!("name a token with --token-file, or in `tenants.{tenant}.token`")),
    }
}

struct Counter {
    client: reqwest::Client,
    url: String,
    bearer: HeaderValue,
}

impl Counter {
    fn open(base: &str, token: &SecretString) -> Result<Self, Failure> {
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return usage("--url: write http://HOST:PORT or https://HOST");
        }
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| anyhow::anyhow!("the token holds characters that no token has"))?;
        bearer.set_sensitive(true);
        Ok(Self { client: context::http(PATIENCE)?, url: format!("{base}/v1/jobs"), bearer })
    }

    /// Sends one job until the office takes or refuses it.
    async fn hand_in(&self, parcel: Parcel) -> anyhow::Result<Answer> {
        let mut tries = 0_u32;
        loop {
            tries = tries.saturating_add(1);
            let (answer, pause) = self.offer(&parcel).await?;
            let later = answer.code.as_deref() == Some(Refusal::TryLater.code());
            if !later || tries >= TRIES_MAX {
                return Ok(answer);
            }
            wait(pause).await;
        }
    }

    async fn offer(&self, parcel: &Parcel) -> anyhow::Result<(Answer, Duration)> {
        let response = self
            .client
            .post(&self.url)
            .header(AUTHORIZATION, self.bearer.clone())
            .header(CONTENT_TYPE, job::CONTENT_TYPE)
            .body(parcel.body.to_vec())
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| {
                format!(
                    "no answer from {}; send the whole file again: what is on the books is not \
                     sent twice",
                    self.url
                )
            })?;
        let status = response.status();
        let pause = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(Duration::from_secs(1), Duration::from_secs)
            .min(PAUSE_MAX);
        let body = response.bytes().await.map_err(reqwest::Error::without_url)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let word = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        if status.is_success() {
            let known = word("state").as_deref() == Some("duplicate");
            let state = if known { "duplicate" } else { "accepted" };
            let job = word("job");
            return Ok((Answer { line: parcel.line, state, job, ..Answer::default() }, pause));
        }
        let Some(code) = word("code") else {
            bail!("{} answers {status}; is this the interface for applications?", self.url)
        };
        if code == Refusal::Unauthorized.code() {
            bail!("the office does not know this token: {}", Refusal::Unauthorized.remedy());
        }
        let field = word("field");
        let answer =
            Answer { line: parcel.line, state: "refused", code: Some(code), field, job: None };
        Ok((answer, pause))
    }
}

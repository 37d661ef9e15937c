//! The HTTP interface for business applications: send a job, ask after it,
//! take it back; put down a finished PDF for a job to come.
//!
//! It is a counter, not an office: what a job must look like is decided by the
//! [`Desk`], which the same rules serve for AMQP; here a request is measured,
//! its caller is known by a bearer token, and the answer is put into HTTP.
//! docs/openapi.yaml describes it, and a test compares the two.
//!
//! It refuses everything with a problem (RFC 9457) that carries a code and
//! repeats nothing; other tenants' jobs do not exist. Tokens, bodies and
//! senders' keys are never logged.

mod callers;
mod jobs;
mod problem;
mod uploads;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{BodyDataStream, Bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::{MethodRouter, get, post},
};
use bytes::BytesMut;
use futures::{StreamExt as _, future::BoxFuture};

pub use callers::{Allowance, Tokens};
use callers::{Caller, Callers, Turned};
use problem::Problem;
pub use uploads::Uploads;

use crate::{
    clock::SharedClock,
    domain::{
        ids::{JobId, TenantId},
        refusal::{Refusal, Refused},
    },
    store::{Db, keyring::KeyRing, ledger::Scribe, outbox::Announce},
};

/// What takes jobs on the books; the application makes it of intake.
pub trait Desk: Send + Sync {
    /// Takes the job in `body`, sent by `tenant`. An answer that is not a
    /// refusal means that the job is on the books and its transaction has
    /// committed. `trace` is a `traceparent`.
    fn take(
        &self,
        tenant: TenantId,
        body: Bytes,
        trace: Option<String>,
    ) -> BoxFuture<'_, Result<Receipt, Refused>>;
}

/// A job is on the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its id.
    pub job: JobId,
    /// Whether it was there already.
    pub state: Taken,
}

/// Whether a job is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is.
    Accepted,
    /// The same job came before; nothing was done again.
    Duplicate,
}

/// Bounds of the interface.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a body; a longer one is `too_large`.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive; a slower one is `try_later`.
    pub body_wait_max: Duration,
    /// Bytes of an upload; a longer one is `too_large`.
    pub upload_bytes_max: usize,
    /// How long an upload may take to arrive; a slower one is `try_later`.
    pub upload_wait_max: Duration,
    /// What one tenant may ask; more is `try_later`.
    pub allowance: Allowance,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            body_wait_max: Duration::from_secs(30),
            upload_bytes_max: 20 << 20,
            upload_wait_max: Duration::from_mins(5),
            allowance: Allowance::default(),
        }
    }
}

/// Bytes of a body beyond its limit that are read and thrown away, at the most.
const DISCARDED_BYTES_MAX: usize = 8 << 20;
/// How long that may take.
const DISCARDING_MAX: Duration = Duration::from_secs(5);

/// Counts an answer by the pattern of its route and its status.
pub type Answered = Arc<dyn Fn(&'static str, u16) + Send + Sync>;

/// Everything the interface needs.
pub struct Parts {
    /// The books.
    pub db: Db,
    /// The keys, for the sender's own words in a result event.
    pub keys: KeyRing,
    /// The time of day.
    pub clock: SharedClock,
    /// Writes rows of the log.
    pub scribe: Scribe,
    /// Takes jobs.
    pub desk: Arc<dyn Desk>,
    /// Takes uploads.
    pub uploads: Arc<dyn Uploads>,
    /// Makes result events.
    pub announce: Arc<dyn Announce>,
    /// Who may call.
    pub tokens: Tokens,
    /// Bounds.
    pub limits: Limits,
    /// Counts answers.
    pub answered: Answered,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts(..)")
    }
}

struct Api {
    parts: Parts,
    callers: Callers,
}

/// The paths and what answers them; docs/openapi.yaml has the same.
fn routes() -> [(&'static str, MethodRouter<Arc<Api>>); 5] {
    [
        ("/v1/jobs", post(submit)),
        ("/v1/jobs/{id}", get(jobs::show)),
        ("/v1/jobs/{id}/cancel", post(jobs::cancel)),
        ("/v1/uploads", post(uploads::upload)),
        ("/v1/uploads/{id}", get(uploads::show).delete(uploads::delete)),
    ]
}

/// The service; serve it behind TLS.
pub fn router(parts: Parts) -> Router {
    let callers =
        Callers::new(parts.tokens.clone(), parts.limits.allowance, std::time::Instant::now());
    let api = Arc::new(Api { parts, callers });
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, answers)| router.route(path, answers))
        .method_not_allowed_fallback(async || Problem::WrongMethod)
        .fallback(async || Problem::from(Refusal::NotFound))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), watch))
        .with_state(api)
}

/// Sees every request and every answer.
async fn watch(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let pattern = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = routes()
        .iter()
        .map(|(path, _)| *path)
        .find(|path| pattern.as_deref() == Some(*path))
        .unwrap_or("other");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    (api.parts.answered)(route, response.status().as_u16());
    response
}

impl Api {
    fn admit(&self, request: &Request) -> Result<Caller, Problem> {
        self.callers.admit(request.headers(), std::time::Instant::now()).map_err(|turned| {
            match turned {
                Turned::Unknown => Refusal::Unauthorized.into(),
                Turned::TooMuch => Refusal::TryLater.into(),
            }
        })
    }
}

/// `POST /v1/jobs`.
async fn submit(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let caller = api.admit(&request)?;
    if !is_plain_json(&request) {
        return Err(Refusal::WrongType.into());
    }
    let trace = trace(&request);
    let body = body(request, api.parts.limits).await?;
    let receipt = api.parts.desk.take(caller.tenant.clone(), body, trace).await?;
    Ok(jobs::accepted(receipt))
}

fn is_plain_json(request: &Request) -> bool {
    let headers = request.headers();
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = media.unwrap_or_default().split(';').map(str::trim);
    let json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|part| part.is_empty() || part.eq_ignore_ascii_case("charset=utf-8"));
    json && utf8 && !headers.contains_key(header::CONTENT_ENCODING)
}

/// The body of a request, unless it says beforehand that it is longer than
/// `most`; and the length that it says.
async fn announced(
    request: Request,
    most: usize,
) -> Result<(BodyDataStream, Option<usize>), Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let waits = request.headers().contains_key(header::EXPECT);
    let stream = request.into_body().into_data_stream();
    if length.is_none_or(|length| length <= most) {
        return Ok((stream, length));
    }
    // Who waits for leave to send has not begun.
    Err(if waits { Refusal::TooLarge.into() } else { too_large(stream).await })
}

/// Reads a body to its end, its limit or the end of our patience.
async fn body(request: Request, limits: Limits) -> Result<Bytes, Problem> {
    let (mut stream, _) = announced(request, limits.body_bytes_max).await?;
    let reading = gather(&mut stream, limits.body_bytes_max);
    // A caller that dawdles gets the answer of one that came too soon.
    let read = tokio::time::timeout(limits.body_wait_max, reading).await;
    match read {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(too_large(stream).await),
        Ok(Err(_)) | Err(_) => Err(Refusal::TryLater.into()),
    }
}

/// The whole body; `None` when it is longer than `limit`.
async fn gather(stream: &mut BodyDataStream, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut body = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if body.len().saturating_add(piece.len()) > limit {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body.freeze()))
}

/// The answer to a body that is too long. Some of its rest is read and thrown
/// away first: who is still writing when a connection closes never sees the
/// answer.
async fn too_large(mut stream: BodyDataStream) -> Problem {
    let reading = async {
        let mut left = DISCARDED_BYTES_MAX;
        while let Some(Ok(piece)) = stream.next().await {
            let Some(rest) = left.checked_sub(piece.len()) else { return };
            left = rest;
        }
    };
    let _in_time = tokio::time::timeout(DISCARDING_MAX, reading).await;
    Refusal::TooLarge.into()
}

/// A `traceparent` of version 00 (W3C Trace Context §3.2.2), if it is one.
fn trace(request: &Request) -> Option<String> {
    let text = request.headers().get("traceparent")?.to_str().ok()?;
    let fields: Vec<_> = text.split('-').collect();
    let hex = |field: &&str, length| {
        field.len() == length && field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let [version, trace, span, flags] = fields.as_slice() else { return None };
    let fits = *version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    fits.then(|| text.to_owned())
}

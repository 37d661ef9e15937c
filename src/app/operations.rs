//! What operators and their machines ask: is it alive, is it ready, how much.
//!
//! Alive means that the process answers; it never asks anybody else, so that
//! no orchestrator kills a worker because a database is away. Ready means that
//! every part this process needs answers now; a part that is only told, such as
//! a disk that is full, has its line and changes nothing else. Reasons are words of ours, never
//! an error's text, which could hold an address or a password.
//!
//! This listener belongs on an inner address; it has no login.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::{BoxFuture, join_all};
use serde::Serialize;

use super::metrics::Metrics;

/// How long a check may take before it counts as failed.
const CHECK_MAX: Duration = Duration::from_secs(2);
/// What a scraper is told about the form of the numbers.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a check answers: well, or a word saying why not.
pub type Checked = Result<(), &'static str>;

/// One part of this process.
pub struct Check {
    name: &'static str,
    needed: bool,
    ask: Box<dyn Fn() -> BoxFuture<'static, Checked> + Send + Sync>,
}

impl Check {
    /// A check by this name.
    pub fn new(
        name: &'static str,
        ask: impl Fn() -> BoxFuture<'static, Checked> + Send + Sync + 'static,
    ) -> Self {
        Self { name, needed: true, ask: Box::new(ask) }
    }

    /// A check that is told, but without which the process stays ready: what
    /// does not work is waited for, and sending nobody here would not help.
    pub fn told(
        name: &'static str,
        ask: impl Fn() -> BoxFuture<'static, Checked> + Send + Sync + 'static,
    ) -> Self {
        Self { needed: false, ..Self::new(name, ask) }
    }

    async fn run(&self, limit: Duration) -> Finding {
        let answer = tokio::time::timeout(limit, (self.ask)()).await;
        let answer = answer.unwrap_or(Err("no answer in time"));
        Finding { name: self.name, ready: answer.is_ok(), why: answer.err() }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Finding>,
}

#[derive(Debug)]
struct Operations {
    metrics: Arc<Metrics>,
    checks: Vec<Check>,
}

/// The routes `/healthz`, `/readyz` and `/metrics`.
pub fn router(metrics: Arc<Metrics>, checks: Vec<Check>) -> Router {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readiness))
        .route("/metrics", get(scrape))
        .with_state(Arc::new(Operations { metrics, checks }))
}

async fn readiness(State(operations): State<Arc<Operations>>) -> Response {
    let checks = join_all(operations.checks.iter().map(|check| check.run(CHECK_MAX))).await;
    let ready = operations
        .checks
        .iter()
        .zip(&checks)
        .all(|(check, finding)| finding.ready || !check.needed);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(Readiness { ready, checks }))
        .into_response()
}

async fn scrape(State(operations): State<Arc<Operations>>) -> Response {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], operations.metrics.text()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use futures::FutureExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str, checks: Vec<Check>) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(Arc::new(Metrics::new()), checks).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn well() -> Check {
        Check::new("database", || async { Ok(()) }.boxed())
    }

    #[tokio::test]
    async fn it_is_ready_when_every_part_answers() {
        let (status, body) = ask("/readyz", vec![well()]).await;
        assert_eq!(status, StatusCode::OK, "all is well");
        assert_eq!(
            body, r#"{"ready":true,"checks":[{"name":"database","ready":true}]}"#,
            "by name"
        );
    }

    #[tokio::test]
    async fn one_part_that_is_away_makes_it_unready_but_not_dead() {
        let away = || Check::new("broker", || async { Err("not connected") }.boxed());
        let (status, body) = ask("/readyz", vec![well(), away()]).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "no traffic, please");
        assert!(body.contains(r#""why":"not connected""#), "the word stands in {body}");
        let (status, _) = ask("/healthz", vec![away()]).await;
        assert_eq!(status, StatusCode::OK, "the process itself lives");
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_a_check_that_fails() {
        let hangs = Check::new("keys", || futures::future::pending().boxed());
        let finding = hangs.run(Duration::from_millis(5)).await;
        assert!(!finding.ready, "nobody waits for ever");
        assert_eq!(finding.why, Some("no answer in time"), "and it is said why");
    }

    #[tokio::test]
    async fn the_numbers_are_open_metrics() {
        let (status, body) = ask("/metrics", Vec::new()).await;
        assert_eq!(status, StatusCode::OK, "scraped");
        assert!(body.contains("kakitome_build_info"), "the program names itself in {body}");
    }
}

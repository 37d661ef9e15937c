//! What a sender may know of a job and do with it.
//!
//! A job of another tenant is not found, word for word like one that never
//! was. What is told are stages, codes and instants; the sender knows the rest
//! already, and nothing is unsealed for an answer.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::{Api, Problem, Receipt, Taken};
use crate::{
    crypto::CryptoError,
    domain::{
        event::EventKind,
        ids::{JobId, TenantId},
        log::{Actor, Kind},
        refusal::Refusal,
        stage::Stage,
    },
    store::{
        StoreError, Tx, dossier,
        jobs::{self, JobRow},
        ledger::{DetailKey, EventDraft},
        links,
        outbox::News,
        work::{self, CancelAnswer},
    },
};

#[derive(Serialize)]
struct Taking {
    job: String,
    state: &'static str,
}

/// 202: the job is on the books.
pub(super) fn accepted(receipt: Receipt) -> Response {
    let state = match receipt.state {
        Taken::Accepted => "accepted",
        Taken::Duplicate => "duplicate",
    };
    let location = format!("/v1/jobs/{}", receipt.job);
    let mut response = (StatusCode::ACCEPTED, Json(Taking { job: receipt.job.to_string(), state }))
        .into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A job as its sender sees it.
#[derive(Serialize)]
struct Shown {
    job: String,
    channel: &'static str,
    stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    test_mode: bool,
    accepted_at: String,
    send_at: String,
    stage_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatched_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<ShownLink>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purge_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purged_at: Option<String>,
}

/// The link of a job as its sender sees it.
#[derive(Serialize)]
struct ShownLink {
    expires_at: String,
    opens: i64,
    max_opens: i64,
    revoked: bool,
}

fn shown(row: JobRow, link: Option<links::LinkRow>) -> Shown {
    Shown {
        job: row.id.to_string(),
        channel: row.channel.word(),
        stage: row.stage.word(),
        reason: row.reason,
        test_mode: row.test_mode,
        accepted_at: rfc3339(row.accepted_at),
        send_at: rfc3339(row.send_at),
        stage_at: rfc3339(row.stage_at),
        dispatched_at: row.dispatched_at.map(rfc3339),
        link: link.map(|link| ShownLink {
            expires_at: rfc3339(link.expires_at),
            opens: link.opens,
            max_opens: link.max_opens,
            revoked: link.revoked_at.is_some(),
        }),
        purge_at: row.purge_at.map(rfc3339),
        purged_at: row.purged_at.map(rfc3339),
    }
}

pub(super) fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A database that does not answer is our trouble, not the caller's fault.
pub(super) fn away(error: &StoreError) -> Problem {
    tracing::warn!(error = %error, "the books could not be asked");
    Refusal::TryLater.into()
}

/// A cancellation that cannot be told is not done: the sender may ask again.
fn unsealed(error: CryptoError) -> Problem {
    tracing::error!(error = %error, "a result event could not be sealed");
    Refusal::TryLater.into()
}

/// `GET /v1/jobs/{id}`.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = api.admit(&request)?;
    let job = parse(id)?;
    let mut tx = api.parts.db.read().await.map_err(|error| away(&error))?;
    let row = find(&mut tx, &caller.tenant, job).await?;
    let link = link_of(&mut tx, job).await.map_err(|error| away(&error))?;
    Ok(Json(shown(row, link)).into_response())
}

/// The link of a job; the newest, should there ever be two.
async fn link_of(tx: &mut Tx, job: JobId) -> Result<Option<links::LinkRow>, StoreError> {
    match links::of_job(tx, job).await?.pop() {
        Some((day, print)) => Ok(links::find(tx, day, &print).await?.map(|found| found.link)),
        None => Ok(None),
    }
}

/// `POST /v1/jobs/{id}/cancel`.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = api.admit(&request)?;
    let job = parse(id)?;
    let now = api.parts.clock.now();
    let event = api.parts.scribe.event(EventDraft {
        tenant: &caller.tenant,
        job: Some(job),
        at: now,
        kind: Kind::Cancelled,
        actor: Actor::Application,
        code: None,
        facts: Vec::new(),
        personal: Vec::new(),
        detail_key: DetailKey::None,
    });
    let event = event.map_err(|_| Problem::from(Refusal::TryLater))?;
    let mut tx = api.parts.db.begin().await.map_err(|error| away(&error))?;
    // The tenant is checked in the transaction that acts.
    let row = find(&mut tx, &caller.tenant, job).await?;
    let personal = dossier::personal(&api.parts.keys, &row).await.ok();
    let news = api.parts.announce.announce(&News {
        kind: EventKind::Cancelled,
        tenant: &caller.tenant,
        job: Some(job),
        key: personal.as_ref().map(|personal| personal.key.as_str()),
        reference: personal.as_ref().and_then(|personal| personal.reference.as_deref()),
        code: None,
        at: now,
    });
    let outbox: Vec<_> = news.map_err(unsealed)?.into_iter().collect();
    let answer = work::cancel(&mut tx, job, now, event, &outbox).await;
    match answer.map_err(|error| away(&error))? {
        CancelAnswer::Cancelled => {
            tx.commit().await.map_err(|error| away(&error))?;
            Ok(standing(job, Stage::Cancelled))
        }
        CancelAnswer::AlreadyCancelled => Ok(standing(job, Stage::Cancelled)),
        CancelAnswer::TooLate(_) | CancelAnswer::Sending => Err(Refusal::TooLate.into()),
        CancelAnswer::NoSuchJob => Err(Refusal::NotFound.into()),
    }
}

#[derive(Serialize)]
struct Standing {
    job: String,
    stage: &'static str,
}

fn standing(job: JobId, stage: Stage) -> Response {
    Json(Standing { job: job.to_string(), stage: stage.word() }).into_response()
}

/// An id in its one spelling; anything else is not found.
fn parse(id: Result<Path<String>, PathRejection>) -> Result<JobId, Problem> {
    let Path(id) = id.map_err(|_| Problem::from(Refusal::NotFound))?;
    let job: Option<JobId> = id.parse().ok();
    job.filter(|job| job.to_string() == id).ok_or_else(|| Refusal::NotFound.into())
}

async fn find(tx: &mut Tx, tenant: &TenantId, job: JobId) -> Result<JobRow, Problem> {
    let row = jobs::get(tx, Some(tenant), job).await.map_err(|error| away(&error))?;
    row.ok_or_else(|| Refusal::NotFound.into())
}

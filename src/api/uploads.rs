//! Finished PDFs that are too large for a job: put down first, named by a job
//! later.
//!
//! An upload of another tenant is not found, word for word like one that never
//! was. Its bytes are never given back: whoever sent them has them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, future::BoxFuture};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Api, Limits, Problem, announced,
    jobs::{away, rfc3339},
    too_large,
};
use crate::{
    domain::{
        ids::{TenantId, UploadId},
        job::parse_upload,
        log::{Actor, Kind},
        plain::Plain,
        refusal::{Refusal, Refused},
    },
    store::{
        ledger::{DetailKey, EventDraft},
        uploads::{self, Ended, UploadRow},
    },
};

/// The media type of an upload.
const PDF: &str = "application/pdf";

/// What takes uploads; the application makes it.
pub trait Uploads: Send + Sync {
    /// A seat for one upload under way; none while all are taken.
    fn seat(&self) -> Option<OwnedSemaphorePermit>;

    /// Takes an upload of `tenant`. An answer that is not a refusal means that
    /// it is sealed, durable, and on the books.
    fn take(&self, tenant: TenantId, pdf: Plain) -> BoxFuture<'_, Result<UploadRow, Refused>>;
}

/// An upload as its sender sees it.
#[derive(Serialize)]
struct Shown {
    upload: String,
    bytes: i64,
    sha256: String,
    pages: u32,
    a4: bool,
    received_at: String,
    expires_at: String,
}

fn shown(row: &UploadRow) -> Shown {
    Shown {
        upload: row.id.to_string(),
        bytes: row.pdf_len,
        sha256: data_encoding::HEXLOWER.encode(&row.pdf_sha256),
        pages: row.facts.pages,
        a4: row.facts.a4,
        received_at: rfc3339(row.received_at),
        expires_at: rfc3339(row.expires_at),
    }
}

/// `POST /v1/uploads`.
pub(super) async fn upload(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = api.admit(&request)?;
    if !is_pdf(&request) {
        return Err(Refusal::WrongType.into());
    }
    let seat = api.parts.uploads.seat().ok_or(Refusal::TryLater)?;
    let pdf = body(request, api.parts.limits).await?;
    let row = api.parts.uploads.take(caller.tenant.clone(), pdf).await?;
    drop(seat);
    let mut response = (StatusCode::CREATED, Json(shown(&row))).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/v1/uploads/{}", row.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn is_pdf(request: &Request) -> bool {
    let headers = request.headers();
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let name = media.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    name.eq_ignore_ascii_case(PDF) && !headers.contains_key(header::CONTENT_ENCODING)
}

/// Reads an upload to its end, its limit or the end of our patience; what was
/// read is wiped in any case.
async fn body(request: Request, limits: Limits) -> Result<Plain, Problem> {
    let most = limits.upload_bytes_max;
    let (mut stream, length) = announced(request, most).await?;
    let reading = async {
        // Growing would leave copies behind.
        let mut body = Plain::with_capacity(length.unwrap_or(most));
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            if body.len().saturating_add(piece.len()) > most {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok::<_, axum::Error>(Some(body))
    };
    match tokio::time::timeout(limits.upload_wait_max, reading).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(too_large(stream).await),
        Ok(Err(_)) | Err(_) => Err(Refusal::TryLater.into()),
    }
}

/// `GET /v1/uploads/{id}`.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = api.admit(&request)?;
    let id = parse(id)?;
    let mut tx = api.parts.db.read().await.map_err(|error| away(&error))?;
    let row = uploads::get(&mut tx, &caller.tenant, id).await.map_err(|error| away(&error))?;
    let row = row.ok_or(Refusal::NotFound)?;
    Ok(Json(shown(&row)).into_response())
}

/// `DELETE /v1/uploads/{id}`.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = api.admit(&request)?;
    let id = parse(id)?;
    let now = api.parts.clock.now();
    let event = api.parts.scribe.event(EventDraft {
        tenant: &caller.tenant,
        job: None,
        at: now,
        kind: Kind::UploadEnded,
        actor: Actor::Application,
        code: None,
        facts: vec![("upload", id.0.as_bytes().as_slice().into())],
        personal: Vec::new(),
        detail_key: DetailKey::None,
    });
    let event = event.map_err(|_| Problem::from(Refusal::TryLater))?;
    let mut tx = api.parts.db.begin().await.map_err(|error| away(&error))?;
    let ended = uploads::end(&mut tx, &caller.tenant, id, now, &event).await;
    match ended.map_err(|error| away(&error))? {
        Ended::Ended => {
            tx.commit().await.map_err(|error| away(&error))?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Ended::Gone => Err(Refusal::NotFound.into()),
        Ended::Claimed => Err(Refusal::UploadInUse.into()),
    }
}

/// An id in its one spelling; anything else is not found.
fn parse(id: Result<Path<String>, PathRejection>) -> Result<UploadId, Problem> {
    let Path(id) = id.map_err(|_| Problem::from(Refusal::NotFound))?;
    parse_upload(&id).ok_or_else(|| Refusal::NotFound.into())
}

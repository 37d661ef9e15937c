//! The document itself, to be looked at or to be saved.
//!
//! In this order: the session, the books, the key, the seal, the reservation
//! and the log, the bytes. Both have committed before the first byte leaves;
//! when they cannot be written nothing is sent. How much was given to the
//! connection is counted, and noted however the stream ends. A document that
//! was exchanged, cut or changed is an empty 500 with a page that says so.
//!
//! One range is served as 206, so that a broken download can go on; asking
//! for a part is an access like any other.

use std::{ops::Range, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Hangup, Inner,
    artifact::{Artifact, ArtifactError, Reading},
    pages::Notice,
    range::{Wanted, wanted},
    record::Fault,
    running::Ticket,
    session::Session,
    visitor::Visitor,
    words::negotiate,
};
use crate::{
    domain::{
        locale::Locale,
        log::{Fact, Kind},
        personal::Personal,
    },
    store::{
        dossier::{self, DossierError},
        handouts::{self, NewHandout, Way},
        links::Found,
    },
};

/// What the document may do in a browser: nothing. Some browsers show a PDF
/// inside a page of their own making, which needs an object and inline styles;
/// the policy of our pages would leave it blank there.
const POLICY: &str = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What an old program calls a document whose own name it could not read.
const PLAIN_NAME: &str = "document.pdf";

/// How a browser is to take the document.
const fn disposition_of(way: Way) -> &'static str {
    match way {
        Way::View => "inline",
        Way::Save | Way::Partner => "attachment",
    }
}

/// `GET /v/{session}/file`.
pub(super) async fn view(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    serve(&gateway, Asked::of(request, &gateway), Way::View, "/file").await
}

/// `GET /v/{session}/download`.
pub(super) async fn download(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    serve(&gateway, Asked::of(request, &gateway), Way::Save, "/download").await
}

/// A request without its body, which nobody reads.
struct Asked {
    head: Parts,
    visitor: Visitor,
    hangup: Option<Hangup>,
}

impl Asked {
    fn of(request: Request, gateway: &Inner) -> Self {
        let visitor = Visitor::of(&request, &gateway.proxies);
        let hangup = request.extensions().get::<Hangup>().cloned();
        Self { head: request.into_parts().0, visitor, hangup }
    }
}

/// What is about to be handed out.
struct Handing<'a> {
    session: Session,
    found: &'a Found,
    visitor: &'a Visitor,
    way: Way,
    now: DateTime<Utc>,
}

async fn serve(gateway: &Arc<Inner>, asked: Asked, way: Way, suffix: &str) -> Response {
    let now = gateway.parts.clock.now();
    let locale = negotiate(&asked.head.uri, &asked.head.headers, Locale::Ja);
    let path = asked.head.uri.path().strip_prefix("/v/").unwrap_or_default();
    let text = path.strip_suffix(suffix).unwrap_or_default();
    let (session, found) = match gateway.readable(text, now, locale).await {
        Ok(pair) => pair,
        Err(answer) => return *answer,
    };
    let Ok(seat) = Arc::clone(&gateway.downloads).try_acquire_owned() else {
        return gateway.pages.notice(Notice::Trouble, locale);
    };
    let handing = Handing { session, found: &found, visitor: &asked.visitor, way, now };
    match gateway.hand_out(&asked, &handing, seat).await {
        Ok(Some(response)) => response,
        // It was taken back between the look into the books and now.
        Ok(None) | Err(Fault::Dossier(DossierError::Destroyed)) => {
            gateway.pages.notice(Notice::Gone, locale)
        }
        Err(fault) => {
            // The day may have come between the look into the books and now.
            match gateway.readable(text, now, locale).await {
                Ok(_) => gateway.answer(&fault, Some(found.link.job), locale),
                Err(answer) => *answer,
            }
        }
    }
}

impl Inner {
    async fn hand_out(
        self: &Arc<Self>,
        asked: &Asked,
        handing: &Handing<'_>,
        seat: OwnedSemaphorePermit,
    ) -> Result<Option<Response>, Fault> {
        let head = &asked.head;
        let job = &handing.found.job;
        let key = dossier::delivery_key(&self.parts.keys, job).await?;
        let personal = dossier::personal_under(&key, job)?;
        let artifact = Artifact::open(&self.parts.blobs, &key, job).await?;
        let length = artifact.len();
        let etag = etag(handing.found);
        let (status, range) = match wanted(&head.headers, &etag, length) {
            Wanted::Whole => (StatusCode::OK, 0..length),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::Nothing => return Ok(Some(unsatisfiable(length))),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        describe(response.headers_mut(), &personal, handing.way, &etag, &range);
        if status == StatusCode::PARTIAL_CONTENT {
            let last = range.end.saturating_sub(1);
            insert(
                response.headers_mut(),
                header::CONTENT_RANGE,
                &format!("bytes {}-{last}/{length}", range.start),
            );
        }
        if head.method == Method::HEAD {
            return Ok(Some(response));
        }
        let reading = artifact.begin(range.clone()).await?;
        let Some(handed) = self.reserve(asked, handing, &range, seat).await? else {
            return Ok(None);
        };
        *response.body_mut() = handed.body(reading);
        Ok(Some(response))
    }

    /// Puts the access on record and reserves its bytes; none when the link
    /// does not serve any more.
    async fn reserve(
        self: &Arc<Self>,
        asked: &Asked,
        handing: &Handing<'_>,
        range: &Range<u64>,
        seat: OwnedSemaphorePermit,
    ) -> Result<Option<Handed>, Fault> {
        let place = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let session = handing.session.label();
        let facts = vec![
            ("way", Fact::from(handing.way.word())),
            ("session", Fact::from(session.as_str())),
            ("from_byte", Fact::Int(place(range.start))),
            ("to_byte", Fact::Int(place(range.end))),
        ];
        let (found, visitor) = (&handing.found.link, Some(handing.visitor));
        let (kind, job) = (Kind::Downloaded, Some(found.job));
        let event = self.event(kind, &found.tenant, job, handing.now, facts, visitor).await?;
        let link = handing.session.link;
        let whose = (event.id, found.job, found.tenant.clone());
        let ticket = Ticket::new(whose, link, asked.hangup.clone(), handing.now);
        // From here on its end is noted, even if nobody waits for the answer
        // any more while the reservation commits.
        let left = range.end.saturating_sub(range.start);
        let handed = Handed::begin(self, Arc::new(ticket), left, seat);
        let new = NewHandout {
            job: found.job,
            day: link.day,
            print: &link.print,
            epoch: self.parts.epoch,
            way: handing.way,
            session: &session,
            from_byte: place(range.start),
            to_byte: place(range.end),
        };
        let reserved = handouts::reserve(&self.parts.db, &new, event).await?;
        Ok(reserved.then_some(handed))
    }
}

/// A download that runs: counts its bytes and holds its seat.
struct Handed {
    gateway: Arc<Inner>,
    ticket: Arc<Ticket>,
    left: u64,
    ended: bool,
    _seat: OwnedSemaphorePermit,
}

impl Handed {
    fn begin(
        gateway: &Arc<Inner>,
        ticket: Arc<Ticket>,
        left: u64,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        gateway.running.begin(&ticket);
        Self { gateway: Arc::clone(gateway), ticket, left, ended: false, _seat: seat }
    }

    /// The bytes, slice by slice, for as long as the link serves.
    fn body(self, reading: Reading) -> Body {
        let bits = stream::unfold(Some((self, reading)), |running| async move {
            let (mut handed, mut reading) = running?;
            match handed.next(&mut reading).await {
                Ok(None) => None,
                Ok(Some(slice)) => Some((Ok(slice), Some((handed, reading)))),
                // The connection ends short of the promised length.
                Err(stop) => {
                    handed.tell(&stop);
                    Some((Err(stop), None))
                }
            }
        });
        Body::from_stream(bits)
    }

    async fn next(&mut self, reading: &mut Reading) -> Result<Option<Bytes>, Stop> {
        if !self.gateway.may_flow(&self.ticket).await {
            return Err(Stop::TakenBack);
        }
        let slice = reading.next().await.map_err(Stop::Artifact)?;
        if let Some(slice) = &slice {
            // Counted before it is given: who is asked in between says more.
            let bytes = u64::try_from(slice.len()).unwrap_or(u64::MAX);
            self.ticket.give(bytes);
            self.left = self.left.saturating_sub(bytes);
            if self.left == 0 {
                self.end();
            }
        }
        Ok(slice)
    }

    fn tell(&self, stop: &Stop) {
        let job = self.ticket.job;
        match stop {
            Stop::TakenBack => tracing::info!(job.id = %job, "a download was ended: {stop}"),
            Stop::Artifact(error) => {
                tracing::error!(job.id = %job, error = %error, "a document ended in the middle");
            }
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.gateway.running.end(&self.ticket, self.gateway.parts.clock.now());
        }
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why a document ended before its end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// Its link serves no more, or nobody can say whether it does.
    #[error("its link does not serve any more")]
    TakenBack,
    /// The rest of it does not open.
    #[error("the document does not open to its end")]
    Artifact(#[source] ArtifactError),
}

/// 416: the document has no such bytes.
fn unsatisfiable(length: u64) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
    response
}

/// A strong validator: the digest of the document, which its reader has.
fn etag(found: &Found) -> String {
    let digest = found.job.pdf_sha256.unwrap_or_default();
    let short = digest.first_chunk::<16>().map_or(&[][..], |short| short);
    format!("\"{}\"", data_encoding::HEXLOWER.encode(short))
}

fn describe(
    headers: &mut HeaderMap,
    personal: &Personal,
    way: Way,
    etag: &str,
    range: &Range<u64>,
) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/pdf"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    insert(headers, header::ETAG, etag);
    insert(headers, header::CONTENT_DISPOSITION, &disposition(way, &personal.filename));
    let length = range.end.saturating_sub(range.start);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

/// RFC 6266: a plain name for old programs, the real one for all others.
fn disposition(way: Way, filename: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    let plain = if filename.chars().all(is_plain) { filename } else { PLAIN_NAME };
    let way = disposition_of(way);
    format!("{way}; filename=\"{plain}\"; filename*=UTF-8''{}", escaped(filename))
}

/// `ext-value` of RFC 8187 §3.2.1.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    // All of these are ASCII of our own making.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_reaches_old_and_new_programs() {
        assert_eq!(
            disposition(Way::Save, "請求書 11月.pdf"),
            "attachment; filename=\"document.pdf\"; \
             filename*=UTF-8''%E8%AB%8B%E6%B1%82%E6%9B%B8%2011%E6%9C%88.pdf",
            "a name that is not plain gets a plain one beside it"
        );
        assert_eq!(
            disposition(Way::View, "invoice 42.pdf"),
            "inline; filename=\"invoice 42.pdf\"; filename*=UTF-8''invoice%2042.pdf",
            "a plain name stays"
        );
    }

    #[test]
    fn a_file_name_cannot_leave_its_header() {
        let hostile = "a\"; filename=\"b.exe\r\nX: y\\.pdf";
        let header = disposition(Way::Save, hostile);
        assert!(HeaderValue::try_from(&header).is_ok(), "one header line");
        assert_eq!(header.matches('"').count(), 2, "one quoted name in {header}");
    }
}

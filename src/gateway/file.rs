//! The document itself, to be looked at or to be saved.
//!
//! In this order: the session, the books or what they said within the minute,
//! the key, the seal, the reservation and the log, the bytes. Both have committed
//! before the first byte leaves; when they cannot be written nothing is sent. How
//! much was given to the connection is counted, and noted however the stream ends. A
//! document that was exchanged, cut or changed is an empty 500 with a page that says so.
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
use chrono::{DateTime, Utc};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Hangup, Inner,
    artifact::Artifact,
    handed::Handed,
    notes::Note,
    pages::Notice,
    range::{Wanted, wanted},
    record::Fault,
    running::Ticket,
    session::Session,
    together::{Together, in_time},
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
        Db,
        dossier::{self, DossierError},
        handouts::{self, Held, NewHandout, Way},
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

    /// Whether all of the document is asked for, not its head or a part.
    fn wants_whole(&self) -> bool {
        self.head.method == Method::GET && !self.head.headers.contains_key(header::RANGE)
    }
}

/// What is about to be handed out.
struct Handing<'a> {
    session: &'a Session,
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
    let session = match gateway.session(text, now, locale).await {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let visitor = &asked.visitor;
    // A whole document is not given without a reservation, which asks the books
    // anew: what they said a moment ago is enough to prepare it.
    if asked.wants_whole()
        && let Some(found) = gateway.recent.get(&session.link, now)
    {
        let handing = Handing { session: &session, found: &found, visitor, way, now };
        match gateway.hand_out(&asked, &handing).await {
            Ok(Some(response)) => return response,
            Ok(None) => return gateway.pages.notice(Notice::Gone, locale),
            Err(Fault::Busy) => return gateway.pages.notice(Notice::Trouble, locale),
            // Its bytes may lie elsewhere by now, under another key.
            Err(fault) if fault.is_damage() => {}
            Err(fault) => return gateway.not_given(&fault, &handing, locale),
        }
    }
    let found = match gateway.readable(&session, now, locale).await {
        Ok(found) => found,
        Err(answer) => return *answer,
    };
    let handing = Handing { session: &session, found: &found, visitor, way, now };
    match gateway.hand_out(&asked, &handing).await {
        Ok(Some(response)) => response,
        // It was taken back between the look into the books and now.
        Ok(None) | Err(Fault::Dossier(DossierError::Destroyed)) => {
            gateway.pages.notice(Notice::Gone, locale)
        }
        Err(Fault::Busy) => gateway.pages.notice(Notice::Trouble, locale),
        Err(fault) => {
            // The day may have come between the look into the books and now.
            match gateway.readable(&session, now, locale).await {
                Ok(_) => gateway.not_given(&fault, &handing, locale),
                Err(answer) => *answer,
            }
        }
    }
}

impl Inner {
    /// Somebody who was let in does not get the document: that is on record, too.
    fn not_given(&self, fault: &Fault, handing: &Handing<'_>, locale: Locale) -> Response {
        let link = &handing.found.link;
        let (tenant, job, damaged) = (link.tenant.clone(), link.job, fault.is_damage());
        let note = Note::NotServed { tenant, job, damaged };
        self.notes.add(note, handing.now, Some(handing.visitor.clone()));
        self.answer(fault, Some(job), locale)
    }

    async fn hand_out(
        self: &Arc<Self>,
        asked: &Asked,
        handing: &Handing<'_>,
    ) -> Result<Option<Response>, Fault> {
        let head = &asked.head;
        let seat = Arc::clone(&self.downloads).try_acquire_owned().map_err(|_| Fault::Busy)?;
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
        let new = Arc::new(NewHandout {
            event,
            job: found.job,
            day: link.day,
            print: link.print,
            epoch: self.parts.epoch,
            way: handing.way,
            session,
            from_byte: place(range.start),
            to_byte: place(range.end),
        });
        if self.reservations.ask(Arc::clone(&new)).await == Some(true) {
            return Ok(Some(handed));
        }
        // Alone it waits for whoever holds its link, and hears why not. A few may
        // wait at a time: each takes a connection to the books.
        let waits = self.waiting.acquire().await.map_err(|_| Fault::Stopping)?;
        let reserved = handouts::reserve(&self.parts.db, &[&*new], Held::WaitFor).await?;
        drop(waits);
        if reserved.is_empty() {
            handed.call_off();
            return Ok(None);
        }
        Ok(Some(handed))
    }
}

/// Reserves for all who wait for it at this moment; none of them waits for a
/// link that somebody else holds.
pub(super) fn reservations(db: Db) -> Together<Arc<NewHandout>, bool> {
    Together::new(move |asked: Vec<Arc<NewHandout>>| {
        let db = db.clone();
        Box::pin(async move {
            let new: Vec<&NewHandout> = asked.iter().map(|one| &**one).collect();
            let reserved = in_time(handouts::reserve(&db, &new, Held::PassOver)).await;
            let reserved = reserved.unwrap_or_default();
            asked.iter().map(|one| reserved.contains(&one.event.id)).collect()
        })
    })
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

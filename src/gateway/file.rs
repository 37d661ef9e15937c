//! The document itself, to be looked at or to be saved.
//!
//! In this order: the session, the books, the key, the seal, the log, the
//! bytes. The log event has committed before the first byte leaves; when it
//! cannot be written nothing is sent. A document that was exchanged, cut or
//! changed is an empty 500 with a page that says so.
//!
//! One range is served as 206, so that a broken download can go on; asking
//! for a part is an access like any other.

use std::{ops::Range, pin::Pin, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Inner,
    artifact::{Artifact, ArtifactError, Reading},
    notes::Note,
    pages::Notice,
    range::{Wanted, wanted},
    record::{Fault, Found},
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
        ledger,
    },
};

/// What the document may do in a browser: nothing. Some browsers show a PDF
/// inside a page of their own making, which needs an object and inline styles;
/// the policy of our pages would leave it blank there.
const POLICY: &str = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What an old program calls a document whose own name it could not read.
const PLAIN_NAME: &str = "document.pdf";

/// How the document is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To be looked at in the browser.
    View,
    /// To be saved.
    Save,
}

impl Way {
    const fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Save => "save",
        }
    }

    const fn disposition(self) -> &'static str {
        match self {
            Self::View => "inline",
            Self::Save => "attachment",
        }
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
}

impl Asked {
    fn of(request: Request, gateway: &Inner) -> Self {
        let visitor = Visitor::of(&request, &gateway.proxies);
        Self { head: request.into_parts().0, visitor }
    }
}

/// What is about to be handed out.
struct Handing<'a> {
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
    let (_, found) = match gateway.readable(text, now, locale).await {
        Ok(pair) => pair,
        Err(answer) => return *answer,
    };
    let Ok(seat) = Arc::clone(&gateway.downloads).try_acquire_owned() else {
        return gateway.pages.notice(Notice::Trouble, locale);
    };
    let handing = Handing { found: &found, visitor: &asked.visitor, way, now };
    match gateway.hand_out(&asked.head, &handing, seat).await {
        Ok(response) => response,
        Err(Fault::Dossier(DossierError::Destroyed)) => gateway.pages.notice(Notice::Gone, locale),
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
        head: &Parts,
        handing: &Handing<'_>,
        seat: OwnedSemaphorePermit,
    ) -> Result<Response, Fault> {
        let job = &handing.found.job;
        let key = dossier::delivery_key(&self.parts.keys, job).await?;
        let personal = dossier::personal_under(&key, job)?;
        let artifact = Artifact::open(&self.parts.blobs, &key, job).await?;
        let length = artifact.len();
        let etag = etag(handing.found);
        let (status, range) = match wanted(&head.headers, &etag, length) {
            Wanted::Whole => (StatusCode::OK, 0..length),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::Nothing => return Ok(unsatisfiable(length)),
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
            return Ok(response);
        }
        let reading = artifact.begin(range.clone()).await?;
        self.put_on_record(handing, &range).await?;
        *response.body_mut() = self.body(reading, handing, &range, seat);
        Ok(response)
    }

    async fn put_on_record(&self, handing: &Handing<'_>, range: &Range<u64>) -> Result<(), Fault> {
        let place = |bytes: u64| Fact::Int(i64::try_from(bytes).unwrap_or(i64::MAX));
        let facts = vec![
            ("way", Fact::from(handing.way.word())),
            ("from_byte", place(range.start)),
            ("to_byte", place(range.end)),
        ];
        let (link, visitor) = (&handing.found.link, Some(handing.visitor));
        let (kind, job) = (Kind::Downloaded, Some(link.job));
        let event = self.event(kind, &link.tenant, job, handing.now, facts, visitor).await?;
        let mut tx = self.parts.db.begin().await?;
        ledger::append(&mut tx, &[event]).await?;
        Ok(tx.commit().await?)
    }

    /// The bytes, with a note when the last of them has been taken.
    fn body(
        self: &Arc<Self>,
        reading: Reading,
        handing: &Handing<'_>,
        range: &Range<u64>,
        seat: OwnedSemaphorePermit,
    ) -> Body {
        let link = &handing.found.link;
        let note = Note::Ended { tenant: link.tenant.clone(), job: link.job };
        let left = range.end.saturating_sub(range.start);
        let watched = Watched { gateway: Arc::clone(self), note, left, _seat: seat };
        Body::from_stream(watched.over(Box::pin(reading.stream())))
    }
}

/// Counts the bytes of a download down, and holds its seat.
struct Watched {
    gateway: Arc<Inner>,
    note: Note,
    left: u64,
    _seat: OwnedSemaphorePermit,
}

type Bits = Pin<Box<dyn Stream<Item = Result<Bytes, ArtifactError>> + Send>>;

impl Watched {
    fn over(mut self, bits: Bits) -> impl Stream<Item = Result<Bytes, ArtifactError>> + Send {
        bits.inspect(move |bit| match bit {
            Ok(bit) => {
                let taken = u64::try_from(bit.len()).unwrap_or(u64::MAX);
                self.left = self.left.saturating_sub(taken);
                if self.left == 0 {
                    let now = self.gateway.parts.clock.now();
                    self.gateway.notes.add(self.note.clone(), now, None);
                }
            }
            // The connection ends short of the promised length.
            Err(error) => {
                tracing::error!(error = %error, "a document ended in the middle");
            }
        })
    }
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
    let way = way.disposition();
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

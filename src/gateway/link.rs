//! A link's page, and the one request that opens it.
//!
//! The page is the same for a person and for a scanner, and asking for it
//! changes nothing but a tally in the log. Opening is a form sent from that
//! page: its nonce proves that the page was served for this very link within
//! the last half hour, its `Origin` that it was sent from here. One
//! conditional statement counts the open, and its log event commits with it,
//! before anything of the document is shown.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Form, FromRequest as _, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use minijinja::context;
use serde::Deserialize;

use super::{
    Inner,
    guesses::WINDOW_SECONDS,
    notes::Note,
    pages::Notice,
    record::{Fault, Found},
    session::Session,
    visitor::Visitor,
    when::{When, what},
    words::{named, negotiate},
};
use crate::{
    crypto::{LinkToken, Lookup, prints},
    domain::{crockford::LinkNumber, event::EventKind, ids::EventId, locale::Locale, log::Kind},
    store::{
        StoreError,
        dossier::{self, DossierError},
        links,
        outbox::News,
    },
};

/// What became of a wish to open.
enum Opening {
    /// Counted and on record, under this event.
    Counted(EventId),
    /// The link opens nothing any more.
    Refused,
}

/// `GET /d/{token}`.
pub(super) async fn page(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let now = gateway.parts.clock.now();
    let visitor = Visitor::of(&request, &gateway.proxies);
    let (head, _) = request.into_parts();
    let asked = |otherwise| negotiate(&head.uri, &head.headers, otherwise);
    let locale = asked(Locale::Ja);
    // The raw path: a token has one spelling, and no escapes.
    let text = head.uri.path().strip_prefix("/d/").unwrap_or_default();
    let (token, link) = match gateway.token(text).await {
        Ok(Some(pair)) => pair,
        Ok(None) => return gateway.guessed(visitor, now, locale),
        Err(fault) => return gateway.answer(&fault, None, locale),
    };
    let found = match gateway.find(&link).await {
        Ok(Some(found)) => found,
        Ok(None) => return gateway.pages.notice(Notice::Gone, locale),
        Err(fault) => return gateway.answer(&fault, None, locale),
    };
    let alive = found.is_alive(now);
    if head.method == Method::GET {
        let (tenant, job) = (found.link.tenant.clone(), found.link.job);
        gateway.notes.add(Note::Fetched { tenant, job, alive }, now, Some(visitor));
    }
    if !alive {
        return gateway.pages.notice(Notice::Gone, locale);
    }
    let seen = Seen { token: &token, link: &link, found: &found, now, stale: false };
    gateway.link_page(&seen, asked).await
}

/// What a link's page is made of.
struct Seen<'a> {
    token: &'a LinkToken,
    link: &'a Lookup,
    found: &'a Found,
    now: DateTime<Utc>,
    /// A form came too late and is offered again.
    stale: bool,
}

/// The one form there is.
#[derive(Deserialize)]
struct OpenForm {
    token: String,
    nonce: String,
    lang: Option<String>,
}

/// `POST /o`.
pub(super) async fn open(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let now = gateway.parts.clock.now();
    let wished = negotiate(request.uri(), request.headers(), Locale::Ja);
    let visitor = Visitor::of(&request, &gateway.proxies);
    if !gateway.site.sent_it(request.headers()) {
        return gateway.pages.notice(Notice::Refused, wished);
    }
    let Ok(Form(form)) = Form::<OpenForm>::from_request(request, &()).await else {
        return gateway.pages.notice(Notice::Wrong, wished);
    };
    let locale = form.lang.as_deref().and_then(named).unwrap_or(wished);
    let (token, link) = match gateway.token(&form.token).await {
        Ok(Some(pair)) => pair,
        Ok(None) => return gateway.guessed(visitor, now, locale),
        Err(fault) => return gateway.answer(&fault, None, locale),
    };
    let found = match gateway.find(&link).await {
        Ok(Some(found)) if found.is_alive(now) => found,
        Ok(_) => return gateway.pages.notice(Notice::Gone, locale),
        Err(fault) => return gateway.answer(&fault, None, locale),
    };
    let job = Some(found.link.job);
    let page_key = match gateway.parts.keys.page_key().await {
        Ok(key) => key,
        Err(error) => return gateway.answer(&error.into(), job, locale),
    };
    if !prints::page_nonce_holds(&page_key, &link.print, &form.nonce, now) {
        let seen = Seen { token: &token, link: &link, found: &found, now, stale: true };
        return gateway.link_page(&seen, |_| locale).await;
    }
    match gateway.count(&link, &found, &visitor, now).await {
        Ok(Opening::Counted(event)) => {
            let session = Session::begin(link, event, now, found.link.expires_at);
            see(&format!("/v/{}?lang={}", session.text(&page_key), locale.tag()))
        }
        Ok(Opening::Refused) => gateway.pages.notice(Notice::Gone, locale),
        Err(fault) => gateway.answer(&fault, job, locale),
    }
}

/// The answer to guesses beyond any misspelling. Genuine links never get it.
fn too_many() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(WINDOW_SECONDS));
    response
}

/// 303 to a page of ours.
fn see(location: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    match HeaderValue::try_from(location) {
        Ok(location) => {
            response.headers_mut().insert(header::LOCATION, location);
        }
        // Base64url and two letters always make a header.
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

impl Inner {
    /// The token in a text and where its row would be; `None` for everything
    /// that we did not mint.
    async fn token(&self, text: &str) -> Result<Option<(LinkToken, Lookup)>, Fault> {
        let keys = self.parts.keys.link_keys().await?;
        let token = LinkToken::parse(text, &keys);
        Ok(token.and_then(|token| token.lookup(&keys).map(|link| (token, link))).ok())
    }

    fn guessed(&self, visitor: Visitor, now: DateTime<Utc>, locale: Locale) -> Response {
        self.parts.meter.guessed();
        if !self.guesses.one_more(visitor.block, now) {
            self.notes.add(Note::Guessed { block: visitor.block }, now, Some(visitor));
            return too_many();
        }
        self.notes.add(Note::Guessed { block: visitor.block }, now, Some(visitor));
        self.pages.notice(Notice::Missing, locale)
    }

    /// The page with the button; in the language of the delivery, unless its
    /// reader wants another.
    async fn link_page(&self, seen: &Seen<'_>, language: impl Fn(Locale) -> Locale) -> Response {
        let Seen { token, link, found, now, stale } = seen;
        let job = Some(found.link.job);
        let personal = match dossier::personal(&self.parts.keys, &found.job).await {
            Ok(personal) => personal,
            Err(DossierError::Destroyed) => {
                return self.pages.notice(Notice::Gone, language(Locale::Ja));
            }
            Err(error) => return self.answer(&error.into(), job, language(Locale::Ja)),
        };
        let locale = language(personal.locale);
        let page_key = match self.parts.keys.page_key().await {
            Ok(key) => key,
            Err(error) => return self.answer(&error.into(), job, locale),
        };
        let display = self.parts.tenants.display(&found.link.tenant);
        let (words, expires) = (&self.pages.words, found.link.expires_at);
        let bytes = found.job.pdf_len.and_then(|len| u64::try_from(len).ok()).unwrap_or_default();
        let values = context! {
            stale => stale,
            sender => display.name,
            contact => display.contact,
            what => what(words, locale, found.job.pages, bytes),
            expires => When::new(words, locale, display.zone, expires, *now),
            host => &self.site.authority,
            number => LinkNumber::of(found.link.job).to_string(),
            token => token.text().as_str(),
            nonce => prints::page_nonce(&page_key, &link.print, *now),
        };
        let status = if *stale { StatusCode::FORBIDDEN } else { StatusCode::OK };
        self.pages.page("link.html", status, locale, values)
    }

    /// Counts an open and writes it down, both or neither.
    async fn count(
        &self,
        link: &Lookup,
        found: &Found,
        visitor: &Visitor,
        now: DateTime<Utc>,
    ) -> Result<Opening, Fault> {
        let (tenant, job) = (&found.link.tenant, found.link.job);
        let event =
            self.event(Kind::Opened, tenant, Some(job), now, Vec::new(), Some(visitor)).await?;
        let opened = event.id;
        let outbox = match dossier::personal(&self.parts.keys, &found.job).await {
            // The sender hears of the first open; the log has them all.
            Ok(personal) if found.link.opens == 0 => self.parts.announce.announce(&News {
                kind: EventKind::Opened,
                tenant,
                job: Some(job),
                key: Some(&personal.key),
                reference: personal.reference.as_deref(),
                code: None,
                at: now,
            })?,
            Ok(_) => None,
            Err(DossierError::Destroyed) => return Ok(Opening::Refused),
            Err(error) => return Err(error.into()),
        };
        let outbox: Vec<_> = outbox.into_iter().collect();
        let mut tx = self.parts.db.begin().await?;
        // The delivery's rows are locked before the link's, as everywhere; the
        // statement that counts comes last, and without it nothing happened.
        match links::opened(&mut tx, job, now, event, &outbox).await {
            Ok(Some(_)) => {}
            Ok(None) | Err(StoreError::Illegal { .. }) => return Ok(Opening::Refused),
            Err(error) => return Err(error.into()),
        }
        if !links::count_open(&mut tx, link.day, &link.print, now).await? {
            return Ok(Opening::Refused);
        }
        tx.commit().await?;
        Ok(Opening::Counted(opened))
    }
}

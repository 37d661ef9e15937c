//! A link's page, and the one request that opens it.
//!
//! The page is the same for a person and for a scanner, and asking for it
//! changes nothing but a tally in the log. Opening is a form sent from that
//! page: its nonce proves that the page was served for this very link within
//! the last half hour, its `Origin` that it was sent from here. It opens, or,
//! where the sender asked for a second factor, leads to the question.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Form, FromRequest as _, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use minijinja::context;
use serde::Deserialize;

use super::{
    Inner,
    guesses::WINDOW_SECONDS,
    labels::Labels,
    notes::Note,
    opening::{Proof, Wish},
    pages::Notice,
    record::Fault,
    visitor::Visitor,
    when::{When, what},
    words::{named, negotiate},
};
use crate::{
    crypto::{LinkToken, Lookup, prints},
    domain::{crockford::LinkNumber, locale::Locale},
    store::{
        dossier::{self, DossierError},
        links::Found,
    },
};

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
    let alive = found.link.is_alive(now);
    if [Method::GET, Method::HEAD].contains(&head.method) {
        let (tenant, job) = (found.link.tenant.clone(), found.link.job);
        let labels = Labels::of(&head.method, &head.headers, found.job.dispatched_at, now);
        gateway.notes.add(Note::Fetched { tenant, job, alive, labels }, now, Some(visitor));
    }
    if !alive {
        return gateway.pages.notice(Notice::Gone, locale);
    }
    let seen = Seen { token: &token, found: &found, now, stale: false };
    gateway.link_page(&seen, asked).await
}

/// What a link's page is made of.
struct Seen<'a> {
    token: &'a LinkToken,
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
    let headers = request.headers().clone();
    if !gateway.site.sent_it(&headers) {
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
        Ok(Some(found)) if found.link.is_alive(now) => found,
        Ok(_) => return gateway.pages.notice(Notice::Gone, locale),
        Err(fault) => return gateway.answer(&fault, None, locale),
    };
    let job = Some(found.link.job);
    let page_key = match gateway.parts.keys.page_key().await {
        Ok(key) => key,
        Err(error) => return gateway.answer(&error.into(), job, locale),
    };
    if !prints::page_nonce_holds(&page_key, &found.link.at.print, &form.nonce, now) {
        let seen = Seen { token: &token, found: &found, now, stale: true };
        return gateway.link_page(&seen, |_| locale).await;
    }
    let labels = Labels::of(&Method::POST, &headers, found.job.dispatched_at, now);
    let press = Press { found: &found, visitor: &visitor, labels, now };
    match gateway.press(&press, &headers, locale).await {
        Ok(Some(response)) => response,
        Ok(None) | Err(Fault::Dossier(DossierError::Destroyed)) => {
            gateway.pages.notice(Notice::Gone, locale)
        }
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

/// The button was pressed on a page of ours.
struct Press<'a> {
    found: &'a Found,
    visitor: &'a Visitor,
    labels: Labels,
    now: DateTime<Utc>,
}

impl Inner {
    /// The token in a text and where its row would be; `None` for everything
    /// that we did not mint.
    pub(super) async fn token(&self, text: &str) -> Result<Option<(LinkToken, Lookup)>, Fault> {
        let keys = self.parts.keys.link_keys().await?;
        let token = LinkToken::parse(text, &keys);
        Ok(token.and_then(|token| token.lookup(&keys).map(|link| (token, link))).ok())
    }

    pub(super) fn guessed(&self, visitor: Visitor, now: DateTime<Utc>, locale: Locale) -> Response {
        self.parts.meter.guessed();
        let within = self.guesses.one_more(visitor.block, now);
        self.notes.add(Note::Guessed { block: visitor.block }, now, Some(visitor));
        if within { self.pages.notice(Notice::Missing, locale) } else { too_many() }
    }

    /// The page with the button; in the language of the delivery, unless its
    /// reader wants another.
    async fn link_page(&self, seen: &Seen<'_>, language: impl Fn(Locale) -> Locale) -> Response {
        let Seen { token, found, now, stale } = seen;
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
        let text = token.text();
        let values = context! {
            here => format!("/d/{}", *text),
            not_mine => format!("/n/{}?lang={}", *text, locale.tag()),
            factor => personal.second_factor.as_ref().map(|factor| factor.kind().word()),
            brand => self.pages.brand(&found.link.tenant),
            stale => stale,
            sender => display.name,
            contact => display.contact,
            what => what(words, locale, found.job.pages, bytes),
            expires => When::new(words, locale, display.zone, expires, *now),
            host => &self.site.authority,
            number => LinkNumber::of(found.link.job).to_string(),
            token => text.as_str(),
            nonce => prints::page_nonce(&page_key, &found.link.at.print, *now),
        };
        let status = if *stale { StatusCode::FORBIDDEN } else { StatusCode::OK };
        self.pages.page("link.html", status, locale, values)
    }

    /// Opens, or asks for the second factor; `None` when the link opens
    /// nothing any more.
    async fn press(
        &self,
        press: &Press<'_>,
        headers: &HeaderMap,
        locale: Locale,
    ) -> Result<Option<Response>, Fault> {
        let Press { found, visitor, labels, now } = *press;
        let personal = dossier::personal(&self.parts.keys, &found.job).await?;
        let wish = Wish { link: &found.link.at, found, personal: &personal, visitor, labels, now };
        match &personal.second_factor {
            Some(factor) => self.challenge(&wish, factor, locale).await.map(Some),
            None => self.let_in(&wish, Proof::LinkAlone, headers, locale).await,
        }
    }
}

//! "This was not meant for me": whoever got a link by mistake can say so.
//!
//! A page asks once more, and a form from that page, with its nonce and with
//! the box ticked, revokes the link: nobody opens it again, running sessions
//! end, the log says so and the sender is told. Looking at the page changes
//! nothing. Said twice it is said once; a link that is dead for another reason
//! gets the same thanks, which tell nothing.

use std::sync::Arc;

use axum::{
    extract::{Form, FromRequest as _, Request, State},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, Utc};
use minijinja::context;
use serde::Deserialize;

use super::{
    Inner,
    labels::Labels,
    opening::see,
    pages::Notice,
    record::Fault,
    visitor::Visitor,
    words::{named, negotiate},
};
use crate::{
    crypto::{LinkToken, prints},
    domain::{event::EventKind, locale::Locale, log::Kind, reason::Reason},
    store::{
        dossier::{self, DossierError},
        links::{self, Found},
        outbox::News,
    },
};

/// The form of the page that asks once more.
#[derive(Deserialize)]
struct SayForm {
    token: String,
    nonce: String,
    /// The box: `yes` when it is ticked.
    sure: Option<String>,
    lang: Option<String>,
}

/// `GET /n/{token}`.
pub(super) async fn page(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let now = gateway.parts.clock.now();
    let visitor = Visitor::of(&request, &gateway.proxies);
    let (head, _) = request.into_parts();
    let locale = negotiate(&head.uri, &head.headers, Locale::Ja);
    let text = head.uri.path().strip_prefix("/n/").unwrap_or_default();
    let (token, link) = match gateway.token(text).await {
        Ok(Some(pair)) => pair,
        Ok(None) => return gateway.guessed(visitor, now, locale),
        Err(fault) => return gateway.answer(&fault, None, locale),
    };
    match gateway.find(&link).await {
        Ok(Some(found)) if found.link.is_readable(now) => {
            let language = |otherwise| negotiate(&head.uri, &head.headers, otherwise);
            gateway.not_mine_page(&token, &found, now, false, language).await
        }
        Ok(_) => gateway.pages.notice(Notice::Gone, locale),
        Err(fault) => gateway.answer(&fault, None, locale),
    }
}

/// `POST /n`.
pub(super) async fn say(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let now = gateway.parts.clock.now();
    let wished = negotiate(request.uri(), request.headers(), Locale::Ja);
    let visitor = Visitor::of(&request, &gateway.proxies);
    if !gateway.site.sent_it(request.headers()) {
        return gateway.pages.notice(Notice::Refused, wished);
    }
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let Ok(Form(form)) = Form::<SayForm>::from_request(request, &()).await else {
        return gateway.pages.notice(Notice::Wrong, wished);
    };
    let locale = form.lang.as_deref().and_then(named).unwrap_or(wished);
    let (token, link) = match gateway.token(&form.token).await {
        Ok(Some(pair)) => pair,
        Ok(None) => return gateway.guessed(visitor, now, locale),
        Err(fault) => return gateway.answer(&fault, None, locale),
    };
    let thanks = || see(&format!("/thanks?lang={}", locale.tag()));
    let found = match gateway.find(&link).await {
        Ok(Some(found)) if found.link.is_readable(now) => found,
        Ok(_) => return thanks(),
        Err(fault) => return gateway.answer(&fault, None, locale),
    };
    let job = Some(found.link.job);
    let page_key = match gateway.parts.keys.page_key().await {
        Ok(key) => key,
        Err(error) => return gateway.answer(&error.into(), job, locale),
    };
    let sure = form.sure.as_deref() == Some("yes");
    if !sure || !prints::page_nonce_holds(&page_key, &found.link.at.print, &form.nonce, now) {
        return gateway.not_mine_page(&token, &found, now, true, |_| locale).await;
    }
    let labels = Labels::of(&method, &headers, found.job.dispatched_at, now);
    match gateway.turn_away(&found, &visitor, labels, now).await {
        Ok(()) => thanks(),
        Err(fault) => gateway.answer(&fault, job, locale),
    }
}

/// `GET /thanks`.
pub(super) async fn thanks(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let locale = negotiate(request.uri(), request.headers(), Locale::Ja);
    gateway.pages.notice(Notice::Thanks, locale)
}

impl Inner {
    async fn not_mine_page(
        &self,
        token: &LinkToken,
        found: &Found,
        now: DateTime<Utc>,
        again: bool,
        language: impl Fn(Locale) -> Locale,
    ) -> Response {
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
        let text = token.text();
        let values = context! {
            here => format!("/n/{}", *text),
            back => format!("/d/{}?lang={}", *text, locale.tag()),
            again,
            sender => display.name,
            contact => display.contact,
            brand => self.pages.brand(&found.link.tenant),
            token => text.as_str(),
            nonce => prints::page_nonce(&page_key, &found.link.at.print, now),
        };
        let status = if again { StatusCode::FORBIDDEN } else { StatusCode::OK };
        self.pages.page("not_mine.html", status, locale, values)
    }

    /// Revokes the link and tells the sender, once.
    async fn turn_away(
        &self,
        found: &Found,
        visitor: &Visitor,
        labels: Labels,
        now: DateTime<Utc>,
    ) -> Result<(), Fault> {
        let (link, reason) = (&found.link, Reason::NotMine);
        let facts = labels.words(1).map(|words| ("labels", words.into()));
        let (kind, about) = (Kind::NotMine, (&link.tenant, Some(link.job)));
        let facts = facts.into_iter().collect();
        let event =
            self.event_because(kind, Some(reason), about, now, facts, Some(visitor)).await?;
        let personal = match dossier::personal(&self.parts.keys, &found.job).await {
            Ok(personal) => personal,
            Err(DossierError::Destroyed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let news = self.parts.announce.announce(&News {
            kind: EventKind::Undeliverable,
            tenant: &link.tenant,
            job: Some(link.job),
            key: Some(&personal.key),
            reference: personal.reference.as_deref(),
            code: Some(reason.code()),
            at: now,
        })?;
        let outbox: Vec<_> = news.into_iter().collect();
        let mut tx = self.parts.db.begin().await?;
        links::turn_away(&mut tx, link.job, now, reason.code(), event, &outbox).await?;
        Ok(tx.commit().await?)
    }
}

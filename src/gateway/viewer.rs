//! The page of an opened document: what it is, and two ways to get it.
//!
//! Its address holds a session instead of the token. That the session was
//! opened is proven by its seal; that the document may still be seen is asked
//! of the books every time, so that a revoked, expired or purged one is gone
//! at once.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, Utc};
use minijinja::context;

use super::{
    Inner,
    pages::Notice,
    session::{Parsed, Purpose, Session},
    when::{When, what},
    words::negotiate,
};
use crate::{
    domain::{crockford::LinkNumber, locale::Locale},
    store::{
        dossier::{self, DossierError},
        links::Found,
    },
};

/// `GET /v/{session}`.
pub(super) async fn page(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let now = gateway.parts.clock.now();
    let (head, _) = request.into_parts();
    let text = head.uri.path().strip_prefix("/v/").unwrap_or_default();
    let language = |otherwise| negotiate(&head.uri, &head.headers, otherwise);
    let session = match gateway.session(text, now, language(Locale::Ja)).await {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let found = match gateway.readable(&session, now, language(Locale::Ja)).await {
        Ok(found) => found,
        Err(answer) => return *answer,
    };
    let personal = match dossier::personal(&gateway.parts.keys, &found.job).await {
        Ok(personal) => personal,
        Err(DossierError::Destroyed) => {
            return gateway.pages.notice(Notice::Gone, language(Locale::Ja));
        }
        Err(error) => {
            return gateway.answer(&error.into(), Some(found.link.job), language(Locale::Ja));
        }
    };
    let locale = language(personal.locale);
    let display = gateway.parts.tenants.display(&found.link.tenant);
    let bytes = found.job.pdf_len.and_then(|len| u64::try_from(len).ok()).unwrap_or_default();
    let words = &gateway.pages.words;
    let when = |instant| When::new(words, locale, display.zone, instant, now);
    let history = match gateway.history(&found, &head.headers, when).await {
        Ok(history) => history,
        Err(fault) => return gateway.answer(&fault, Some(found.link.job), locale),
    };
    let values = context! {
        here => format!("/v/{text}"),
        brand => gateway.pages.brand(&found.link.tenant),
        history,
        session => text,
        sender => display.name,
        contact => display.contact,
        title => personal.title,
        filename => personal.filename,
        what => what(words, locale, found.job.pages, bytes),
        expires => when(found.link.expires_at),
        screen => when(session.ends),
        number => LinkNumber::of(found.link.job).to_string(),
    };
    gateway.pages.page("viewer.html", StatusCode::OK, locale, values)
}

impl Inner {
    /// The session in a text; otherwise the answer.
    pub(super) async fn session(
        &self,
        text: &str,
        now: DateTime<Utc>,
        locale: Locale,
    ) -> Result<Session, Box<Response>> {
        let key = match self.parts.keys.page_key().await {
            Ok(key) => key,
            Err(error) => return Err(Box::new(self.answer(&error.into(), None, locale))),
        };
        match Session::parse(text, Purpose::Viewer, &key, now) {
            Parsed::Live(session) => Ok(session),
            Parsed::Over => Err(Box::new(self.pages.notice(Notice::Over, locale))),
            Parsed::Foreign => Err(Box::new(self.pages.notice(Notice::Missing, locale))),
        }
    }

    /// A session's delivery, if the document may be seen now; otherwise the
    /// answer.
    pub(super) async fn readable(
        &self,
        session: &Session,
        now: DateTime<Utc>,
        locale: Locale,
    ) -> Result<Arc<Found>, Box<Response>> {
        match self.find(&session.link).await {
            Ok(Some(found)) if found.link.is_readable(now) => {
                Ok(self.recent.put(session.link, found, now))
            }
            Ok(_) => Err(Box::new(self.pages.notice(Notice::Gone, locale))),
            Err(fault) => Err(Box::new(self.answer(&fault, None, locale))),
        }
    }
}

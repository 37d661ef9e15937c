//! The one act that counts: a link is opened.
//!
//! One conditional statement counts the open, and its log event commits with
//! it, before anything of the document is shown. Where a second factor was
//! asked for, its proof is used up in the same transaction: a code opens once,
//! and what was locked meanwhile stays shut.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};

use super::{
    Inner,
    device::Device,
    labels::Labels,
    record::Fault,
    session::{Purpose, Session},
    visitor::Visitor,
};
use crate::{
    crypto::Lookup,
    domain::{
        event::EventKind,
        factor::{FactorKind, SecondFactor},
        ids::EventId,
        locale::Locale,
        log::{Fact, Kind},
        personal::Personal,
    },
    store::{
        StoreError, factors,
        links::{self, Found},
        outbox::News,
    },
};

/// What became of a wish to open.
pub(super) enum Opening {
    /// Counted and on record, under this event.
    Counted(EventId),
    /// The link opens nothing any more.
    Refused,
}

/// What a person showed besides the link.
#[derive(Clone, Copy)]
pub(super) enum Proof {
    /// Nothing was asked for.
    LinkAlone,
    /// The code with this MAC.
    Code([u8; 32]),
    /// The passcode.
    Passcode,
}

impl Proof {
    const fn factor(&self) -> Option<FactorKind> {
        match self {
            Self::LinkAlone => None,
            Self::Code(_) => Some(FactorKind::EmailCode),
            Self::Passcode => Some(FactorKind::Passcode),
        }
    }
}

/// Who wants to open what.
pub(super) struct Wish<'a> {
    pub(super) link: &'a Lookup,
    pub(super) found: &'a Found,
    pub(super) personal: &'a Personal,
    pub(super) visitor: &'a Visitor,
    pub(super) labels: Labels,
    pub(super) now: DateTime<Utc>,
}

/// 303 to a page of ours.
pub(super) fn see(location: &str) -> Response {
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
    /// Opens, and sends the person on to the document; the answer is `None`
    /// when the link opens nothing any more.
    pub(super) async fn let_in(
        &self,
        wish: &Wish<'_>,
        proof: Proof,
        headers: &HeaderMap,
        locale: Locale,
    ) -> Result<Option<Response>, Fault> {
        let key = self.parts.keys.page_key().await?;
        let secure = self.site.is_secure();
        let device = match Device::of(headers, &key, secure) {
            Some(device) => device,
            None => Device::draw(&self.parts.entropy)?,
        };
        let print = device.print(&key, &wish.found.link.tenant);
        match self.count(wish, proof, print).await? {
            Opening::Refused => Ok(None),
            Opening::Counted(event) => {
                let expires = wish.found.link.expires_at;
                let session = Session::begin(*wish.link, event, wish.now, expires);
                let text = session.text(Purpose::Viewer, &key);
                let mut response = see(&format!("/v/{text}?lang={}", locale.tag()));
                if let Ok(cookie) = HeaderValue::try_from(device.cookie(&key, secure)) {
                    response.headers_mut().insert(header::SET_COOKIE, cookie);
                }
                Ok(Some(response))
            }
        }
    }

    /// Counts an open and writes it down, both or neither.
    async fn count(&self, wish: &Wish<'_>, proof: Proof, device: String) -> Result<Opening, Fault> {
        let Wish { link, found, personal, visitor, labels, now } = wish;
        let (tenant, job) = (&found.link.tenant, found.link.job);
        // Whatever way led here: what the sender asked for must have held.
        if proof.factor() != personal.second_factor.as_ref().map(SecondFactor::kind) {
            return Ok(Opening::Refused);
        }
        let (kind, news) = match proof.factor() {
            None => (Kind::Opened, EventKind::Opened),
            Some(_) => (Kind::OpenedVerified, EventKind::OpenedVerified),
        };
        let mut facts: Vec<(&'static str, Fact)> = Vec::new();
        if let Some(words) = labels.words(1) {
            facts.push(("labels", words.into()));
        }
        if let Some(factor) = proof.factor() {
            facts.push(("factor", factor.word().into()));
        }
        let visitor = Visitor { device: Some(device), ..(*visitor).clone() };
        let event = self.event(kind, tenant, Some(job), *now, facts, Some(&visitor)).await?;
        let opened = event.id;
        // The sender hears of the first open; the log has them all.
        let outbox = if found.link.opens == 0 {
            self.parts.announce.announce(&News {
                kind: news,
                tenant,
                job: Some(job),
                key: Some(&personal.key),
                reference: personal.reference.as_deref(),
                code: None,
                at: *now,
            })?
        } else {
            None
        };
        let outbox: Vec<_> = outbox.into_iter().collect();
        let mut tx = self.parts.db.begin().await?;
        // The delivery's rows are locked before the link's, as everywhere; the
        // statement that counts comes last, and without it nothing happened.
        match links::opened(&mut tx, job, *now, event, &outbox).await {
            Ok(Some(_)) => {}
            Ok(None) | Err(StoreError::Illegal { .. }) => return Ok(Opening::Refused),
            Err(error) => return Err(error.into()),
        }
        let held = match proof {
            Proof::LinkAlone => true,
            Proof::Code(mac) => factors::redeem_code(&mut tx, link, &mac).await?,
            Proof::Passcode => factors::redeem_passcode(&mut tx, link).await?,
        };
        if !held || !links::count_open(&mut tx, link.day, &link.print, *now).await? {
            return Ok(Opening::Refused);
        }
        tx.commit().await?;
        Ok(Opening::Counted(opened))
    }
}

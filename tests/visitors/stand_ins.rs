//! Those whom the house works with: they answer at once, or break where they are told to.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Bytes;
use chrono_tz::Tz;
use futures::future::BoxFuture;
use kakitome::{
    api,
    crypto::CryptoError,
    domain::{
        event::EventKind,
        ids::{JobId, TenantId},
        plain::Plain,
        refusal::{Refusal, Refused},
    },
    gateway::{self, TenantDirectory, TenantDisplay},
    store::{
        Blown, Fuse,
        outbox::{Announce, News, OutboxRow},
        uploads::UploadRow,
    },
};

/// Breaks the database at one point.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Option<&'static str>>);

impl Breaker {
    /// From now on everything fails at `point`; `None` heals.
    pub(crate) fn at(&self, point: Option<&'static str>) {
        *self.0.lock().unwrap() = point;
    }
}

impl Fuse for Breaker {
    fn check(&self, point: &'static str) -> Result<(), Blown> {
        if *self.0.lock().unwrap() == Some(point) { Err(Blown) } else { Ok(()) }
    }
}

/// Knows every tenant.
pub(crate) struct Names;

impl TenantDirectory for Names {
    fn display(&self, tenant: &TenantId) -> TenantDisplay {
        TenantDisplay {
            name: format!("株式会社ひかり<商事> {tenant}"),
            contact: Some("03-1234-5678".into()),
            zone: Tz::Asia__Tokyo,
        }
    }
}

/// Counts what it is told.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    pub(crate) guesses: AtomicUsize,
    pub(crate) first_opens: AtomicUsize,
    pub(crate) answers: Mutex<Vec<(&'static str, u16)>>,
    /// What senders were told.
    pub(crate) told: Mutex<Vec<(EventKind, Option<&'static str>)>>,
}

impl gateway::Meter for Ear {
    fn answered(&self, route: &'static str, status: u16) {
        self.answers.lock().unwrap().push((route, status));
    }

    fn guessed(&self) {
        self.guesses.fetch_add(1, Ordering::SeqCst);
    }
}

/// Makes events until the breaker is at `announce`.
pub(crate) struct Herald {
    pub(crate) ear: Arc<Ear>,
    pub(crate) breaker: Arc<Breaker>,
}

impl Announce for Herald {
    fn announce(&self, news: &News<'_>) -> Result<Option<OutboxRow>, CryptoError> {
        self.breaker.check("announce").map_err(|Blown| CryptoError::NoEntropy)?;
        if ![EventKind::Opened, EventKind::OpenedVerified, EventKind::Undeliverable]
            .contains(&news.kind)
        {
            return Ok(None);
        }
        let key = news.key.unwrap_or_default();
        assert!(!key.is_empty(), "the sender's key belongs into the event");
        if news.kind != EventKind::Undeliverable {
            self.ear.first_opens.fetch_add(1, Ordering::SeqCst);
        }
        self.ear.told.lock().unwrap().push((news.kind, news.code));
        let (id, sealed) = (uuid::Uuid::now_v7(), vec![1, 2, 3]);
        let routing_key = "delivery.opened".into();
        Ok(Some(OutboxRow { id, job: news.job, routing_key, sealed }))
    }
}

/// A desk that knows three words.
pub(crate) struct Counter(pub(crate) JobId);

/// Takes no uploads: they have their journeys in tests/office.
pub(crate) struct Shut;

impl api::Uploads for Shut {
    fn seat(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        None
    }

    fn take(&self, _: TenantId, _: Plain) -> BoxFuture<'_, Result<UploadRow, Refused>> {
        Box::pin(async { Err(Refusal::TryLater.into()) })
    }
}

impl api::Desk for Counter {
    fn take(
        &self,
        _: TenantId,
        body: Bytes,
        trace: Option<String>,
    ) -> BoxFuture<'_, Result<api::Receipt, Refused>> {
        let (job, traced) = (self.0, trace.is_some());
        Box::pin(async move {
            match body.as_ref() {
                b"\"new\"" if traced => Ok(api::Receipt { job, state: api::Taken::Accepted }),
                b"\"again\"" => Ok(api::Receipt { job, state: api::Taken::Duplicate }),
                _ => Err(Refusal::BadField.at("recipient.email")),
            }
        })
    }
}

//! Result events for the tenants that asked for them: made here, sealed into
//! the outbox in the transaction of what they tell, published by the relay.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::office::Delivery;
use crate::{
    config::Config,
    crypto::{CryptoError, Key, wrap},
    domain::{
        event::{EventKind, ResultEvent},
        ids::{EventId, JobId, TenantId},
    },
    entropy::Entropy,
    intake::desk::{Announce, News},
    store::outbox::OutboxRow,
};

/// Makes result events.
#[derive(Clone, Debug)]
pub struct EventMaker {
    config: Arc<Config>,
    key: Arc<Key>,
    entropy: Entropy,
}

/// What is told about one delivery.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// Which event.
    pub kind: EventKind,
    /// Whose.
    pub tenant: &'a TenantId,
    /// Which job.
    pub job: Option<JobId>,
    /// The sender's key, where it is at hand.
    pub key: Option<&'a str>,
    /// The sender's reference, where it is at hand.
    pub reference: Option<&'a str>,
    /// The reason or refusal code.
    pub code: Option<&'static str>,
    /// When.
    pub at: DateTime<Utc>,
}

impl EventMaker {
    /// Seals events under `key`, the outbox key of the key store.
    pub fn new(config: Arc<Config>, key: Arc<Key>, entropy: Entropy) -> Self {
        Self { config, key, entropy }
    }

    /// The outbox row of an event, when a broker is configured and the tenant
    /// asked for it.
    pub fn make(&self, told: &Told<'_>) -> Result<Option<OutboxRow>, CryptoError> {
        let tenant = self.config.tenants.get(told.tenant);
        let wanted = tenant.is_some_and(|tenant| tenant.wants(told.kind.word()));
        if self.config.broker.is_none() || !wanted {
            return Ok(None);
        }
        let id = EventId(self.entropy.id(told.at)?);
        let event = ResultEvent {
            id,
            kind: told.kind,
            tenant: told.tenant.clone(),
            job: told.job,
            key: told.key.map(str::to_owned),
            at: told.at,
            code: told.code,
            reference: told.reference.map(str::to_owned),
            // Instants of one delivery's events grow, so they order it.
            sequence: u64::try_from(told.at.timestamp_micros()).unwrap_or(0),
        };
        let body = Zeroizing::new(event.to_json());
        let sealed = wrap::wrap(&self.key, id.0.as_bytes(), &body, &self.entropy)?;
        Ok(Some(OutboxRow { id: id.0, job: told.job, routing_key: event.routing_key(), sealed }))
    }

    /// The event of a delivery in memory.
    pub fn of_delivery(
        &self,
        delivery: &Delivery,
        kind: EventKind,
        code: Option<&'static str>,
        at: DateTime<Utc>,
    ) -> Result<Option<OutboxRow>, CryptoError> {
        self.make(&Told {
            kind,
            tenant: &delivery.tenant,
            job: Some(delivery.job),
            key: Some(&delivery.sender_key),
            reference: delivery.reference.as_deref(),
            code,
            at,
        })
    }

    /// Opens the body of an outbox row.
    pub fn open(&self, row: &OutboxRow) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        wrap::unwrap_(&self.key, row.id.as_bytes(), &row.sealed)
    }
}

impl Announce for EventMaker {
    fn announce(&self, news: &News<'_>) -> Result<Option<OutboxRow>, CryptoError> {
        self.make(&Told {
            kind: news.event,
            tenant: news.tenant,
            job: news.job,
            key: news.key,
            reference: news.reference,
            code: news.code,
            at: news.at,
        })
    }
}

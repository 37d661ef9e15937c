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
        ids::EventId,
    },
    entropy::Entropy,
    store::outbox::{Announce, News, OutboxRow},
};

/// Makes result events.
#[derive(Clone, Debug)]
pub struct EventMaker {
    config: Arc<Config>,
    key: Arc<Key>,
    entropy: Entropy,
}

impl EventMaker {
    /// Seals events under `key`, the outbox key of the key store.
    pub fn new(config: Arc<Config>, key: Arc<Key>, entropy: Entropy) -> Self {
        Self { config, key, entropy }
    }

    /// The event of a delivery in memory.
    pub fn of_delivery(
        &self,
        delivery: &Delivery,
        kind: EventKind,
        code: Option<&'static str>,
        at: DateTime<Utc>,
    ) -> Result<Option<OutboxRow>, CryptoError> {
        self.announce(&News {
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
    /// Nobody hears of anything where no broker is configured.
    fn announce(&self, news: &News<'_>) -> Result<Option<OutboxRow>, CryptoError> {
        let tenant = self.config.tenants.get(news.tenant);
        let wanted = tenant.is_some_and(|tenant| tenant.wants(news.kind.word()));
        if self.config.broker.is_none() || !wanted {
            return Ok(None);
        }
        let id = EventId(self.entropy.id(news.at)?);
        let event = ResultEvent {
            id,
            kind: news.kind,
            tenant: news.tenant.clone(),
            job: news.job,
            key: news.key.map(str::to_owned),
            at: news.at,
            code: news.code,
            reference: news.reference.map(str::to_owned),
            // Instants of one delivery's events grow, so they order it.
            sequence: u64::try_from(news.at.timestamp_micros()).unwrap_or(0),
        };
        let body = Zeroizing::new(event.to_json());
        let sealed = wrap::wrap(&self.key, id.0.as_bytes(), &body, &self.entropy)?;
        Ok(Some(OutboxRow { id: id.0, job: news.job, routing_key: event.routing_key(), sealed }))
    }
}

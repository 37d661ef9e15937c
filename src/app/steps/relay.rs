//! The event relay: what the outbox holds is published with confirms.
//!
//! Rows are taken out inside a transaction, published, and the transaction is
//! committed when every confirm has come. A crash in between publishes the same
//! events again with the same ids; consumers dedupe on the id. There is no
//! cursor that could skip a row committed late.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use zeroize::Zeroizing;

use crate::{
    app::{
        office::Office,
        worker::{Service, Tick, TickFuture},
    },
    store::outbox,
};

/// Events published at once.
const AT_ONCE: i64 = 512;

/// An event on its way out.
#[derive(Debug)]
pub struct Leaving {
    /// The event's id, for consumers to dedupe on.
    pub id: uuid::Uuid,
    /// `delivery.<event>.<tenant>`.
    pub routing_key: String,
    /// The CloudEvents JSON.
    pub body: Zeroizing<Vec<u8>>,
}

/// Whoever publishes events; answers when all of them are confirmed.
pub trait EventPort: Send {
    /// Publishes events.
    fn publish(&mut self, events: Vec<Leaving>) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Says good-bye.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// Publishes what the outbox holds.
pub struct Relay {
    office: Arc<Office>,
    port: Box<dyn EventPort>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Relay(..)")
    }
}

impl Relay {
    /// A relay to `port`.
    pub fn new(office: Arc<Office>, port: Box<dyn EventPort>) -> Self {
        Self { office, port }
    }

    async fn relay(&mut self) -> anyhow::Result<Tick> {
        let mut tx = self.office.db.begin().await?;
        let rows = outbox::claim_batch(&mut tx, AT_ONCE).await?;
        if rows.is_empty() {
            return Ok(Tick::Idle);
        }
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let body = self.office.events.open(&row)?;
            events.push(Leaving { id: row.id, routing_key: row.routing_key, body });
        }
        let count = events.len();
        self.port.publish(events).await?;
        tx.commit().await?;
        Ok(Tick::Worked(count))
    }
}

impl Service for Relay {
    fn name(&self) -> &'static str {
        "relay"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(self.relay())
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn finishes(&self) -> bool {
        true
    }

    fn close(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.port.close()
    }
}

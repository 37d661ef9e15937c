//! Publishes batches and waits until the broker has them on disk.
//!
//! The confirms of a batch are awaited together: one by one, a broker takes
//! some 1,800 messages a second, in batches ten times as many.
//!
//! What happens twice: a batch that ran into a time-out or a lost connection
//! may have been stored in part or in whole. Its messages keep their ids, so
//! receivers can tell.

use std::collections::BTreeSet;

use lapin::{
    Channel, Confirmation, ConnectionStatus, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};

use super::{
    BrokerError, BrokerSettings, Confirm, Exchange, Outgoing, Session, error::within, link::Wire,
    message::short, topology,
};

/// One session that publishes with confirms.
pub struct Publisher {
    channel: Channel,
    wire: Wire,
    settings: BrokerSettings,
}

impl Publisher {
    /// Connects, makes sure of the topology, and asks for confirms.
    pub async fn connect(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let wire = Wire::open(settings).await?;
        let setup = async {
            let channel = wire.channel().await?;
            topology::ensure(&channel, &settings.names, settings.declare).await?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await
                .map_err(BrokerError::lost("asking for confirms"))?;
            Ok(channel)
        };
        let channel = within(settings.connect_timeout, "setting up", setup).await?;
        Ok(Self { channel, wire, settings: settings.clone() })
    }

    /// Publishes `items` and waits for all their confirms, which come back in
    /// the order of the items. An error concerns the whole session: any of the
    /// items may have been stored or not, and the session is of no more use.
    pub async fn publish_all(&mut self, items: &[Outgoing]) -> Result<Vec<Confirm>, BrokerError> {
        let after = self.settings.publish_timeout;
        let result = within(after, "publishing", self.publish_and_wait(items)).await;
        match result {
            Err(BrokerError::Timeout { .. }) if self.wire.status().blocked() => {
                Err(BrokerError::Blocked { after })
            }
            result => result,
        }
    }

    async fn publish_and_wait(&self, items: &[Outgoing]) -> Result<Vec<Confirm>, BrokerError> {
        let mut waiting = Vec::with_capacity(items.len());
        let mut broken = None;
        for item in items {
            match self.publish(item).await? {
                Ok(confirm) => waiting.push(confirm),
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        let mut confirms = Vec::with_capacity(items.len());
        let mut returned = BTreeSet::new();
        for confirm in waiting {
            // The first of these tells why the broker closed the channel; what
            // a later publish says is only that it is closed.
            let confirmation = confirm.await.map_err(BrokerError::publishing)?;
            confirms.push(match &confirmation {
                Confirmation::Nack(_) => Confirm::Refused,
                Confirmation::Ack(_) | Confirmation::NotRequested => Confirm::Stored,
            });
            if let Some(message) = confirmation.take_message() {
                let target = (message.exchange.to_string(), message.routing_key.to_string());
                returned.insert(target);
            }
        }
        if let Some(source) = broken {
            return Err(BrokerError::publishing(source));
        }
        self.mark_returned(items, &mut confirms, &returned);
        Ok(confirms)
    }

    /// The outer error is ours, the inner one the broker's.
    async fn publish(
        &self,
        item: &Outgoing,
    ) -> Result<Result<PublisherConfirm, lapin::Error>, BrokerError> {
        let exchange = short("exchange", self.name_of(&item.exchange))?;
        let key = short("routing key", &item.routing_key)?;
        let options =
            BasicPublishOptions { mandatory: item.exchange.is_mandatory(), immediate: false };
        let properties = item.properties()?;
        Ok(self.channel.basic_publish(exchange, key, options, &item.body, properties).await)
    }

    /// The library hands a returned message to whichever confirm comes next,
    /// which need not be its own. But a message is returned for where it was
    /// sent, so every item that went there is unroutable.
    fn mark_returned(
        &self,
        items: &[Outgoing],
        confirms: &mut [Confirm],
        returned: &BTreeSet<(String, String)>,
    ) {
        for (item, confirm) in items.iter().zip(confirms) {
            let target = (self.name_of(&item.exchange).to_owned(), item.routing_key.clone());
            if item.exchange.is_mandatory() && returned.contains(&target) {
                *confirm = Confirm::Unroutable;
            }
        }
    }

    fn name_of<'a>(&'a self, exchange: &'a Exchange) -> &'a str {
        let names = &self.settings.names;
        match exchange {
            Exchange::Jobs => &names.exchange,
            Exchange::Dead => &names.dead_exchange,
            Exchange::Events => &names.events_exchange,
            Exchange::Named(name) => name,
        }
    }

    /// Ends the session in good order.
    pub async fn close(self) -> Result<(), BrokerError> {
        let patience = self.settings.publish_timeout;
        self.wire.close(patience).await
    }
}

impl Session for Publisher {
    async fn open(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        Self::connect(settings).await
    }

    fn status(&self) -> ConnectionStatus {
        self.wire.status()
    }

    async fn end(self) -> Result<(), BrokerError> {
        self.close().await
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("settings", &self.settings).finish_non_exhaustive()
    }
}

//! The exchanges and queues we need: created, or only looked for.
//!
//! The jobs queue is a quorum queue that delivers a message at most
//! [`DELIVERY_LIMIT`] times; what keeps coming back then moves to the
//! dead-letter queue by the broker's own hand, at least once, which needs
//! `reject-publish` as its overflow rule. That is the second net: we ourselves
//! publish what we refuse.

use lapin::{
    Channel, ExchangeKind, Queue,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::{BrokerError, Declare, Names, message::short};

/// How often a message is delivered before the broker takes it aside.
const DELIVERY_LIMIT: i64 = 20;

/// One exchange or queue.
pub(super) enum Part {
    Exchange { name: String },
    Queue { name: String, arguments: FieldTable, bound_to: String, key: String },
}

/// Everything, in the order in which it can be created.
pub(super) fn parts(names: &Names) -> [Part; 5] {
    let exchange = |name: &str| Part::Exchange { name: name.to_owned() };
    [
        exchange(&names.dead_exchange),
        Part::Queue {
            name: names.dead_queue.clone(),
            arguments: quorum(),
            bound_to: names.dead_exchange.clone(),
            key: "#".to_owned(),
        },
        exchange(&names.exchange),
        Part::Queue {
            name: names.jobs_queue.clone(),
            arguments: jobs_arguments(names),
            bound_to: names.exchange.clone(),
            key: names.job_key.clone(),
        },
        exchange(&names.events_exchange),
    ]
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn jobs_arguments(names: &Names) -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    arguments.insert("x-dead-letter-exchange".into(), text(&names.dead_exchange));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

impl Part {
    /// "exchange `name`" or "queue `name`".
    pub(super) fn label(&self) -> String {
        match self {
            Self::Exchange { name } => format!("exchange `{name}`"),
            Self::Queue { name, .. } => format!("queue `{name}`"),
        }
    }

    /// Looks whether the part exists; the broker closes the channel if not. A
    /// queue tells how many messages wait and how many consumers it has.
    pub(super) async fn look(&self, channel: &Channel) -> Result<Option<Queue>, BrokerError> {
        let found = match self {
            Self::Exchange { name } => {
                let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
                let name = short("exchange", name)?;
                channel
                    .exchange_declare(name, ExchangeKind::Topic, options, FieldTable::default())
                    .await
                    .map(|()| None)
            }
            Self::Queue { name, .. } => {
                let options = QueueDeclareOptions { passive: true, ..Default::default() };
                let name = short("queue", name)?;
                channel.queue_declare(name, options, FieldTable::default()).await.map(Some)
            }
        };
        found.map_err(|source| BrokerError::declaring(source, &self.label()))
    }

    async fn create(&self, channel: &Channel) -> Result<(), BrokerError> {
        let failed = |source| BrokerError::declaring(source, &self.label());
        match self {
            Self::Exchange { name } => {
                let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
                let name = short("exchange", name)?;
                channel
                    .exchange_declare(name, ExchangeKind::Topic, options, FieldTable::default())
                    .await
                    .map_err(failed)
            }
            Self::Queue { name, arguments, bound_to, key } => {
                let options = QueueDeclareOptions { durable: true, ..Default::default() };
                let name = short("queue", name)?;
                channel
                    .queue_declare(name.clone(), options, arguments.clone())
                    .await
                    .map_err(failed)?;
                channel
                    .queue_bind(
                        name,
                        short("exchange", bound_to)?,
                        short("routing key", key)?,
                        QueueBindOptions::default(),
                        FieldTable::default(),
                    )
                    .await
                    .map_err(failed)
            }
        }
    }
}

/// Makes sure that everything is there. May run any number of times.
pub(super) async fn ensure(
    channel: &Channel,
    names: &Names,
    declare: Declare,
) -> Result<(), BrokerError> {
    for part in &parts(names) {
        match declare {
            Declare::Create => part.create(channel).await?,
            Declare::Passive => {
                part.look(channel).await?;
            }
        }
    }
    Ok(())
}

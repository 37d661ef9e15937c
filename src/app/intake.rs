//! Takes messages from RabbitMQ to the desk, and tells the broker only what is
//! true: refused messages go to the dead-letter exchange first, sealed, with
//! their code, and the ack comes last, one for the whole batch.
//!
//! When the books cannot be written the batch is held and tried again; the
//! broker keeps what it has. When the broker goes away everything of its
//! session is dropped: what was on the books already comes again and is a
//! duplicate there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    office::Office,
    steps::relay::{EventPort, Leaving},
    worker::{Service, Tick, TickFuture},
};
use crate::{
    broker::{
        BrokerSettings, Confirm, Consumer, Exchange, Message, Outage, Outgoing, Publisher,
        Supervised,
    },
    crypto::sealed_body,
    domain::{
        ids::TenantId,
        job::{CONTENT_TYPE, MESSAGE_TYPE},
        refusal::{Refusal, Refused},
    },
    intake::desk::{Desk, Incoming, Verdict},
    store::work,
};

/// Bytes of bodies in one batch, at the most.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// How often the backlog is looked at.
const BACKLOG_EVERY: Duration = Duration::from_secs(2);
/// The content encoding of a sealed body.
const SEALED: &str = "hpke";

/// Takes jobs from RabbitMQ.
pub struct AmqpIntake {
    office: Arc<Office>,
    desk: Arc<Desk>,
    consumer: Supervised<Consumer>,
    publisher: Supervised<Publisher>,
    dead_key: String,
    closing: CancellationToken,
    held: Option<Held>,
    pause: Duration,
    looked: Option<Instant>,
}

/// A batch that is not acked yet.
struct Held {
    messages: Vec<Message>,
    /// Once the books have it: what must reach the dead-letter exchange.
    dead: Option<Vec<Outgoing>>,
}

impl std::fmt::Debug for AmqpIntake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AmqpIntake(..)")
    }
}

impl AmqpIntake {
    /// Consumes with one connection and publishes dead letters on another: a
    /// broker that blocks publishers must not block our acks.
    pub fn new(
        office: Arc<Office>,
        desk: Arc<Desk>,
        settings: &BrokerSettings,
        closing: CancellationToken,
    ) -> Self {
        let named = |name: &str| {
            let mut settings = settings.clone();
            settings.connection_name = format!("{} {name}", settings.connection_name);
            settings
        };
        Self {
            consumer: Supervised::new(named("intake"), office.entropy.clone()),
            publisher: Supervised::new(named("dead letters"), office.entropy.clone()),
            dead_key: settings.names.job_key.clone(),
            office,
            desk,
            closing,
            held: None,
            pause: Duration::ZERO,
            looked: None,
        }
    }

    async fn intake(&mut self) -> anyhow::Result<Tick> {
        self.pause = Duration::from_millis(5);
        self.mind_the_backlog().await?;
        if self.held.is_none() {
            let Some(messages) = self.next_batch().await else { return Ok(Tick::Idle) };
            self.held = Some(Held { messages, dead: None });
        }
        let Some(mut held) = self.held.take() else { return Ok(Tick::Idle) };
        let count = held.messages.len();
        if held.dead.is_none() {
            match self.put_on_the_books(&mut held.messages).await {
                Ok(dead) => held.dead = Some(dead),
                Err(fault) => {
                    self.held = Some(held);
                    return Err(fault);
                }
            }
        }
        if let Err(fault) = self.bury(held.dead.as_deref().unwrap_or_default()).await {
            self.held = Some(held);
            return Err(fault);
        }
        let Some(last) = held.messages.last() else { return Ok(Tick::Idle) };
        // A session that is gone takes its unacked messages with it.
        let acked = match self.consumer.session().await {
            Ok(session) => session.ack_through(last).await,
            Err(outage) => return Ok(self.outage(&outage)),
        };
        if let Err(error) = acked {
            let outage = self.consumer.lost(error);
            return Ok(self.outage(&outage));
        }
        Ok(Tick::Worked(count))
    }

    async fn next_batch(&mut self) -> Option<Vec<Message>> {
        let most = self.office.config.work.batch;
        let session = match self.consumer.session().await {
            Ok(session) => session,
            Err(outage) => {
                self.outage(&outage);
                return None;
            }
        };
        let batch = tokio::select! {
            batch = session.next_batch(most, BATCH_BYTES_MAX) => batch,
            () = self.closing.cancelled() => return None,
            // Now and then, a look around.
            () = super::worker::wait(BACKLOG_EVERY) => return None,
        };
        match batch {
            Ok(batch) => Some(batch),
            Err(error) => {
                let outage = self.consumer.lost(error);
                self.outage(&outage);
                None
            }
        }
    }

    fn outage(&mut self, outage: &Outage) -> Tick {
        tracing::warn!(
            "RabbitMQ is away, asked again in {:?}: {:#}",
            outage.retry_after,
            crate::app::Chain(&outage.error)
        );
        self.office.metrics.broker_reconnected();
        self.held = None;
        self.pause = outage.retry_after;
        Tick::Idle
    }

    /// Too much on the books: the broker keeps the rest until there is less.
    async fn mind_the_backlog(&mut self) -> anyhow::Result<()> {
        if self.looked.is_some_and(|at| at.elapsed() < BACKLOG_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let mut tx = self.office.db.read().await?;
        let depth = work::depth(&mut tx, self.office.clock.now()).await?;
        drop(tx);
        let waiting = u64::try_from(depth.ready).unwrap_or(0);
        let most = self.office.config.work.backlog_max;
        let blocked = self.consumer.link().is_blocked() || self.publisher.link().is_blocked();
        self.office.metrics.broker_blocked(blocked);
        let Ok(session) = self.consumer.session().await else { return Ok(()) };
        let changed = if !session.is_paused() && waiting >= most {
            tracing::warn!(waiting, "the books are full enough; no more messages are taken");
            session.pause().await
        } else if session.is_paused() && waiting < most / 2 {
            session.resume().await
        } else {
            Ok(())
        };
        if let Err(error) = changed {
            let outage = self.consumer.lost(error);
            self.outage(&outage);
        }
        Ok(())
    }

    async fn put_on_the_books(&self, messages: &mut [Message]) -> anyhow::Result<Vec<Outgoing>> {
        let mut batch = Vec::with_capacity(messages.len());
        let mut senders = Vec::with_capacity(messages.len());
        for message in messages.iter() {
            let incoming = self.incoming(message);
            senders.push(incoming.tenant.clone());
            batch.push(incoming);
        }
        let verdicts = super::desk::take(&self.office, &self.desk, batch).await?;
        let mut dead = Vec::new();
        for ((message, sender), verdict) in messages.iter().zip(senders).zip(verdicts) {
            if let Verdict::Refused { refused } = verdict {
                dead.push(self.dead_letter(message, sender.ok().as_ref(), refused).await?);
            }
        }
        Ok(dead)
    }

    /// The tenant is whoever the broker says sent it; the body has no say.
    fn incoming(&self, message: &Message) -> Incoming {
        let broker = self.office.config.broker.as_ref();
        let tenant =
            match (broker.and_then(|broker| broker.single_tenant.as_ref()), &message.user_id) {
                (Some(tenant), _) => Ok(tenant.clone()),
                (None, Some(user)) => {
                    self.office.config.tenant_of_user(user).cloned().ok_or(Refusal::NoTenant)
                }
                (None, None) => Err(Refusal::NoTenant),
            };
        let sealed = message.content_encoding.as_deref() == Some(SEALED);
        let encoding_known =
            matches!(message.content_encoding.as_deref(), None | Some("" | SEALED));
        let content = message.content_type.as_deref().unwrap_or_default();
        let json = content.split(';').next().unwrap_or_default().trim();
        let known = message.kind.as_deref() == Some(MESSAGE_TYPE)
            && json.eq_ignore_ascii_case(CONTENT_TYPE)
            && encoding_known;
        Incoming {
            tenant,
            body: message.body.clone(),
            sealed,
            flaw: (!known).then_some(Refusal::WrongType),
            trace: message.traceparent.clone(),
        }
    }

    /// A refused message as it goes to the dead-letter exchange: sealed to the
    /// tenant, or to the office when nobody knows whose it is.
    async fn dead_letter(
        &self,
        message: &Message,
        tenant: Option<&TenantId>,
        refused: Refused,
    ) -> anyhow::Result<Outgoing> {
        let sealed = message.content_encoding.as_deref() == Some(SEALED);
        let body = if sealed {
            message.body.clone()
        } else {
            let keys = &self.office.keys;
            let pair = match tenant {
                Some(tenant) => keys.sealing_pair(tenant).await?,
                None => keys.office_pair().await?,
            };
            let entropy = &self.office.entropy;
            sealed_body::seal_body(&pair.public(), tenant, &message.body, entropy)?
        };
        // The same name for the same message, should a crash publish it twice.
        let id = message.message_id.clone().unwrap_or_else(|| {
            let digest = Sha256::digest(&message.body);
            data_encoding::HEXLOWER.encode(digest.get(..16).unwrap_or_default())
        });
        let mut outgoing = Outgoing::new(Exchange::Dead, &self.dead_key, body);
        outgoing.kind.clone_from(&message.kind);
        outgoing.content_type.clone_from(&message.content_type);
        outgoing.content_encoding = Some(SEALED.to_owned());
        outgoing.message_id = Some(id);
        outgoing.correlation_id.clone_from(&message.correlation_id);
        outgoing.error_code = Some(refused.refusal.code().to_owned());
        outgoing.error_reason = refused.flaw.map(|flaw| flaw.word().to_owned());
        outgoing.traceparent.clone_from(&message.traceparent);
        Ok(outgoing)
    }

    async fn bury(&mut self, dead: &[Outgoing]) -> anyhow::Result<()> {
        publish(&mut self.publisher, dead).await
    }
}

impl Service for AmqpIntake {
    fn name(&self) -> &'static str {
        "intake"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(self.intake())
    }

    fn pause(&self) -> Duration {
        self.pause
    }
}

/// Publishes and waits for every confirm.
async fn publish(publisher: &mut Supervised<Publisher>, items: &[Outgoing]) -> anyhow::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let session = publisher.session().await.map_err(|outage| outage.error)?;
    let confirms = match session.publish_all(items).await {
        Ok(confirms) => confirms,
        Err(error) => return Err(publisher.lost(error).error.into()),
    };
    if confirms.iter().any(|confirm| *confirm != Confirm::Stored) {
        anyhow::bail!("the broker did not take every message; it is published again");
    }
    Ok(())
}

/// Publishes result events to RabbitMQ.
pub struct AmqpEvents {
    publisher: Option<Supervised<Publisher>>,
}

impl AmqpEvents {
    /// Publishes on a connection of its own.
    pub fn new(office: &Office, settings: &BrokerSettings) -> Self {
        let mut settings = settings.clone();
        settings.connection_name = format!("{} events", settings.connection_name);
        Self { publisher: Some(Supervised::new(settings, office.entropy.clone())) }
    }
}

impl std::fmt::Debug for AmqpEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AmqpEvents(..)")
    }
}

impl EventPort for AmqpEvents {
    fn publish(
        &mut self,
        events: Vec<Leaving>,
    ) -> futures::future::BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let Some(publisher) = &mut self.publisher else {
                anyhow::bail!("the relay is closed");
            };
            let items: Vec<Outgoing> = events
                .into_iter()
                .map(|event| {
                    let body = event.body.to_vec();
                    let mut item = Outgoing::new(Exchange::Events, &event.routing_key, body);
                    item.content_type = Some(crate::domain::event::EVENT_CONTENT_TYPE.to_owned());
                    item.message_id = Some(event.id.to_string());
                    item
                })
                .collect();
            publish(publisher, &items).await
        })
    }

    fn close(&mut self) -> futures::future::BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(publisher) = self.publisher.take()
                && let Err(error) = publisher.close().await
            {
                tracing::debug!("the event relay left RabbitMQ without a good-bye: {error}");
            }
        })
    }
}

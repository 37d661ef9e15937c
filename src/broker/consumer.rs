//! Takes messages in batches, and acknowledges them once they are on the books.
//!
//! The broker counts how often it delivered a message and takes it aside after
//! twenty times. Every lost session counts for all that was pushed ahead, so
//! whoever cannot work just now (the database is away) keeps its session,
//! holds its batch and tries again, or pauses; dropping and reopening sessions
//! in a loop would send innocent jobs to the dead-letter queue.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use futures::{FutureExt, StreamExt};
use lapin::{
    Channel, ConnectionState, ConnectionStatus, ErrorKind, Event,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};

use super::{
    BrokerError, BrokerSettings, Message, Session, error::within, link::Wire, message::short,
    topology,
};

/// Sessions are numbered through the life of the process, so that a message
/// can tell its own from every other.
static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// One session that consumes the jobs queue.
pub struct Consumer {
    /// What the broker pushed, oldest subscription first: one that was paused
    /// is read to its end before the next, so that tags are handed out in
    /// order and nothing pushed ahead is ever acknowledged unread.
    pushed: VecDeque<lapin::Consumer>,
    subscribed: bool,
    fault: Option<BrokerError>,
    channel: Channel,
    wire: Wire,
    settings: BrokerSettings,
    session: u64,
    handed_out: u64,
}

impl Consumer {
    /// Connects, makes sure of the topology, and subscribes.
    pub async fn connect(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let wire = Wire::open(settings).await?;
        let setup = async {
            let channel = wire.channel().await?;
            topology::ensure(&channel, &settings.names, settings.declare).await?;
            channel
                .basic_qos(settings.prefetch, BasicQosOptions::default())
                .await
                .map_err(BrokerError::lost("setting the prefetch"))?;
            Ok(channel)
        };
        let channel = within(settings.connect_timeout, "setting up", setup).await?;
        let mut consumer = Self {
            pushed: VecDeque::new(),
            subscribed: false,
            fault: None,
            channel,
            wire,
            settings: settings.clone(),
            session: SESSIONS.fetch_add(1, Ordering::Relaxed),
            handed_out: 0,
        };
        consumer.resume().await?;
        Ok(consumer)
    }

    /// Waits for a message, then takes what else has already arrived, until
    /// there are `max` messages or `max_bytes` bytes of bodies (the last
    /// message may exceed them). While paused, it hands out what was pushed
    /// ahead and then waits, and still notices a lost connection.
    ///
    /// Dropping the future loses nothing. After an error the session is of no
    /// more use.
    pub async fn next_batch(
        &mut self,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Message>, BrokerError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let mut batch = vec![self.next_message().await?];
        let mut bytes = batch.iter().map(|message| message.body.len()).sum::<usize>();
        while batch.len() < max && bytes < max_bytes {
            match self.next_message().now_or_never() {
                None => break,
                Some(Ok(message)) => {
                    bytes = bytes.saturating_add(message.body.len());
                    batch.push(message);
                }
                Some(Err(fault)) => {
                    // What was taken comes first; the error waits its turn.
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        Ok(batch)
    }

    async fn next_message(&mut self) -> Result<Message, BrokerError> {
        loop {
            let Some(stream) = self.pushed.front_mut() else {
                return Err(self.wait_for_trouble().await);
            };
            match stream.next().await {
                Some(Ok(delivery)) => {
                    let message = Message::new(delivery, self.session);
                    self.handed_out = message.tag;
                    return Ok(message);
                }
                Some(Err(source)) => {
                    self.pushed.clear();
                    return Err(BrokerError::lost("waiting for jobs")(source));
                }
                None => {
                    self.pushed.pop_front();
                    if self.subscribed && self.pushed.is_empty() {
                        let queue = self.settings.names.jobs_queue.clone();
                        return Err(BrokerError::Cancelled { queue });
                    }
                }
            }
        }
    }

    /// Nothing can arrive; what remains to be noticed is the end.
    async fn wait_for_trouble(&self) -> BrokerError {
        let during = "pausing";
        let mut events = std::pin::pin!(self.wire.events());
        if self.wire.status().connected() && self.channel.status().connected() {
            while let Some(event) = events.next().await {
                if let Event::Error(source) = event {
                    return BrokerError::lost(during)(source);
                }
            }
        }
        let source = ErrorKind::InvalidConnectionState(ConnectionState::Closed).into();
        BrokerError::lost(during)(source)
    }

    /// Acknowledges every message handed out up to and including `last`, in
    /// one frame. Messages are handed out in the order of their tags, so there
    /// is no gap in between; a message of an earlier session is refused.
    pub async fn ack_through(&mut self, last: &Message) -> Result<(), BrokerError> {
        if last.session != self.session || last.tag > self.handed_out {
            return Err(BrokerError::Stale);
        }
        let acking = async {
            self.channel
                .basic_ack(last.tag, BasicAckOptions { multiple: true })
                .await
                .map_err(BrokerError::lost("acknowledging"))
        };
        within(self.settings.publish_timeout, "acknowledging", acking).await
    }

    /// Asks the broker to push nothing more. Harmless when paused already.
    pub async fn pause(&mut self) -> Result<(), BrokerError> {
        let Some(stream) = self.pushed.back().filter(|_| self.subscribed) else { return Ok(()) };
        let tag = stream.tag();
        self.subscribed = false;
        let cancelling = async {
            self.channel
                .basic_cancel(tag, BasicCancelOptions::default())
                .await
                .map_err(BrokerError::lost("pausing"))
        };
        within(self.settings.publish_timeout, "pausing", cancelling).await
    }

    /// Subscribes again. Harmless when not paused.
    pub async fn resume(&mut self) -> Result<(), BrokerError> {
        if self.subscribed {
            return Ok(());
        }
        let queue = short("jobs queue", &self.settings.names.jobs_queue)?;
        let label = format!("queue `{queue}`");
        let subscribing = async {
            let options = BasicConsumeOptions::default();
            self.channel
                .basic_consume(queue, "".into(), options, FieldTable::default())
                .await
                .map_err(|source| BrokerError::declaring(source, &label))
        };
        let stream = within(self.settings.publish_timeout, "subscribing", subscribing).await?;
        self.pushed.push_back(stream);
        self.subscribed = true;
        Ok(())
    }

    /// Whether the broker was asked to push nothing for now.
    pub fn is_paused(&self) -> bool {
        !self.subscribed
    }

    /// Ends the session in good order. What was not acknowledged goes back to
    /// the queue.
    pub async fn close(self) -> Result<(), BrokerError> {
        let patience = self.settings.publish_timeout;
        self.wire.close(patience).await
    }
}

impl Session for Consumer {
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

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("session", &self.session)
            .field("handed_out", &self.handed_out)
            .field("subscribed", &self.subscribed)
            .finish_non_exhaustive()
    }
}

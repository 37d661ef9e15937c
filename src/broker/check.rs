//! Looks at the broker for `kakitome check`, and changes nothing there.

use super::{BrokerError, BrokerSettings, error::within, link::Wire, topology};

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// The parts of the topology that exist.
    pub found: Vec<Found>,
    /// What is missing or out of reach, each saying what to do.
    pub problems: Vec<BrokerError>,
}

/// A part of the topology that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which one, such as "queue `kakitome.jobs`".
    pub what: String,
    /// Messages ready in it; for queues only.
    pub messages: Option<u32>,
    /// Its consumers; for queues only.
    pub consumers: Option<u32>,
}

/// Connects and looks for every part of the topology, never creating any. The
/// error says why there is no connection; problems with single parts stand in
/// the report. What a passive look cannot see, over AMQP, is the bindings and
/// the arguments of a queue.
pub async fn check(settings: &BrokerSettings) -> Result<Report, BrokerError> {
    let wire = Wire::open(settings).await?;
    let mut report = Report { encrypted: settings.tls.is_some(), found: vec![], problems: vec![] };
    let mut channels = Vec::new();
    for part in topology::parts(&settings.names) {
        // The broker closes the channel over a missing part: one for each. A
        // channel that is still closing would spoil the goodbye: all are kept.
        let looking = async {
            let channel = wire.channel().await?;
            let found = part.look(&channel).await;
            channels.push(channel);
            found
        };
        match within(settings.connect_timeout, "looking at the topology", looking).await {
            Ok(queue) => report.found.push(Found {
                what: part.label(),
                messages: queue.as_ref().map(lapin::Queue::message_count),
                consumers: queue.as_ref().map(lapin::Queue::consumer_count),
            }),
            Err(problem) => report.problems.push(problem),
        }
    }
    wire.close(settings.publish_timeout).await?;
    Ok(report)
}

//! Where the broker is, and what we expect to find there.

use std::time::Duration;

use secrecy::SecretString;

use super::BrokerError;

/// AMQP short strings, which carry every name, hold at most this many bytes.
pub(super) const SHORT_STRING_BYTES_MAX: usize = 255;

/// How to reach the broker. One value serves consumers and publishers; each
/// opens a connection of its own.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Host name or address; with TLS, the name the certificate must carry.
    pub host: String,
    /// TCP port, usually 5672, or 5671 with TLS.
    pub port: u16,
    /// The virtual host, `/` by default.
    pub vhost: String,
    /// The account of this worker.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The certificates (PEM) that may have signed the broker's; TLS is spoken
    /// exactly when they are given, and no other root is trusted.
    pub tls: Option<String>,
    /// The heartbeat asked for; a silent broker is given up after twice that.
    pub heartbeat: Duration,
    /// How many unacknowledged messages the broker may push ahead.
    pub prefetch: u16,
    /// Names of exchanges, queues and keys.
    pub names: Names,
    /// Whether the topology is created or only looked for.
    pub declare: Declare,
    /// The longest a connection may take to be usable.
    pub connect_timeout: Duration,
    /// The longest a batch may wait for its confirms, and any other request
    /// for its answer.
    pub publish_timeout: Duration,
    /// What operators see in the broker's list of connections.
    pub connection_name: String,
}

impl BrokerSettings {
    /// Plain AMQP to `host`:`port` with the defaults: virtual host `/`, 512
    /// messages ahead, the standard names, a passive look at the topology.
    pub fn new(host: &str, port: u16, user: &str, password: SecretString) -> Self {
        Self {
            host: host.to_owned(),
            port,
            vhost: "/".to_owned(),
            user: user.to_owned(),
            password,
            tls: None,
            heartbeat: Duration::from_secs(20),
            prefetch: 512,
            names: Names::default(),
            declare: Declare::Passive,
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            connection_name: "kakitome".to_owned(),
        }
    }

    /// `host:port`, for messages to people.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Refuses names the protocol cannot carry, before the library meets them.
    pub(super) fn checked(&self) -> Result<&Self, BrokerError> {
        let names = &self.names;
        for (what, value) in [
            ("vhost", &self.vhost),
            ("user", &self.user),
            ("connection name", &self.connection_name),
            ("exchange", &names.exchange),
            ("jobs queue", &names.jobs_queue),
            ("routing key of jobs", &names.job_key),
            ("dead-letter exchange", &names.dead_exchange),
            ("dead-letter queue", &names.dead_queue),
            ("events exchange", &names.events_exchange),
        ] {
            if value.is_empty() || value.len() > SHORT_STRING_BYTES_MAX {
                return Err(BrokerError::BadName { what });
            }
        }
        Ok(self)
    }
}

/// The names on the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The durable topic exchange applications publish jobs to.
    pub exchange: String,
    /// The quorum queue this worker consumes.
    pub jobs_queue: String,
    /// The key that leads from the exchange to the queue.
    pub job_key: String,
    /// Where refused and undeliverable jobs go.
    pub dead_exchange: String,
    /// The queue that keeps them.
    pub dead_queue: String,
    /// The topic exchange for result events.
    pub events_exchange: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            exchange: "kakitome".to_owned(),
            jobs_queue: "kakitome.jobs".to_owned(),
            job_key: "job.send".to_owned(),
            dead_exchange: "kakitome.dead".to_owned(),
            dead_queue: "kakitome.jobs.dead".to_owned(),
            events_exchange: "kakitome.events".to_owned(),
        }
    }
}

/// Who owns the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declare {
    /// We create what is missing; what exists otherwise is an error.
    Create,
    /// Operators create it; we only look whether it is there. This needs no
    /// `configure` permission, and is the setting for production.
    Passive,
}

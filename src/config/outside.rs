//! Settings of those outside whom the office speaks to: the broker, the mail
//! relay, the print partner.

use std::{path::PathBuf, time::Duration};

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{SecretSource, Span};
use crate::domain::ids::TenantId;

/// `[broker]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// The host name.
    pub host: String,
    /// The port: 5672 plain, 5671 with TLS.
    pub port: u16,
    /// The virtual host.
    pub vhost: String,
    /// The office's own user.
    pub user: String,
    /// Its password.
    pub password: Option<SecretSource>,
    /// Speak TLS.
    pub tls: bool,
    /// The authority of the broker's certificate, in PEM; needed with TLS.
    pub tls_ca: Option<PathBuf>,
    /// `passive` checks that exchanges and queues exist, `create` makes them.
    pub declare: Declare,
    /// Messages on their way to us without an ack, at the most (1 to 10000).
    pub prefetch: u16,
    /// The time between heartbeats (2s to 5min).
    pub heartbeat: Span,
    /// A publish without a confirm after this long is tried again
    /// (1s to 10min).
    pub publish_timeout: Span,
    /// The exchange that jobs are published to.
    pub exchange: String,
    /// The queue of jobs.
    pub queue: String,
    /// The routing key of jobs.
    pub routing_key: String,
    /// The exchange of refused messages.
    pub dead_exchange: String,
    /// The queue of refused messages.
    pub dead_queue: String,
    /// The exchange of result events.
    pub events_exchange: String,
    /// Development only: every message belongs to this tenant, whoever sent it.
    pub single_tenant: Option<TenantId>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 5672,
            vhost: "/".into(),
            user: "kakitome".into(),
            password: None,
            tls: false,
            tls_ca: None,
            declare: Declare::Passive,
            prefetch: 512,
            heartbeat: Span(Duration::from_secs(20)),
            publish_timeout: Span(Duration::from_secs(30)),
            exchange: "kakitome".into(),
            queue: "kakitome.jobs".into(),
            routing_key: "job.send".into(),
            dead_exchange: "kakitome.dead".into(),
            dead_queue: "kakitome.jobs.dead".into(),
            events_exchange: "kakitome.events".into(),
            single_tenant: None,
        }
    }
}

/// Whether the office makes its exchanges and queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Declare {
    /// They must exist: operations owns the topology.
    #[default]
    Passive,
    /// They are made where they are missing.
    Create,
}

/// `[mail]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// The relay's host name.
    pub relay: String,
    /// The relay's port.
    pub port: u16,
    /// `starttls` or `tls`; `none` only on a loopback address.
    pub tls: MailTls,
    /// The authority of the relay's certificate, in PEM, where it is a private
    /// one.
    pub tls_ca: Option<PathBuf>,
    /// The user name, where the relay asks for one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<SecretSource>,
    /// The name we greet with.
    pub hello_name: String,
    /// The sender's address of every mail.
    pub from: String,
    /// The domain bounces return to.
    pub bounce_domain: String,
    /// Connections to the relay, at the most (1 to 256).
    pub connections: u32,
    /// How long after the first try a mail is still tried (1min to 30days).
    pub give_up_after: Span,
    /// The longest wait for the reply after the final dot (RFC 5321: 10 min)
    /// (1s to 1h).
    pub final_timeout: Span,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            relay: "127.0.0.1".into(),
            port: 25,
            tls: MailTls::Starttls,
            tls_ca: None,
            user: None,
            password: None,
            hello_name: "localhost".into(),
            from: "noreply@example.jp".into(),
            bounce_domain: "bounce.example.jp".into(),
            connections: 8,
            give_up_after: Span(Duration::from_hours(24)),
            final_timeout: Span(Duration::from_mins(10)),
        }
    }
}

/// How the relay is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// STARTTLS, required.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// In clear: loopback only.
    None,
}

/// `[post]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Post {
    /// The partner's name in the log.
    pub partner: String,
    /// The folder shared with the partner: `out/` and `in/`.
    pub drop_dir: PathBuf,
    /// The hour and minute of the daily cut-off in the partner's zone.
    pub cutoff: String,
    /// The partner's zone.
    pub zone: Tz,
    /// The partner works on Saturdays.
    pub saturday_open: bool,
    /// `utf8` or `cp932`.
    pub manifest: ManifestEncoding,
    /// Without a word for this long, the letter's clock starts at hand-over
    /// (1day to 30days).
    pub silent_after: Span,
    /// The sender's address on the address page, at most 6 lines.
    pub sender_lines: Vec<String>,
}

impl Default for Post {
    fn default() -> Self {
        Self {
            partner: "partner".into(),
            drop_dir: "/var/lib/kakitome/post".into(),
            cutoff: "15:00".into(),
            zone: Tz::Asia__Tokyo,
            saturday_open: false,
            manifest: ManifestEncoding::Utf8,
            silent_after: Span(Duration::from_hours(168)),
            sender_lines: Vec::new(),
        }
    }
}

/// The encoding of the partner's manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ManifestEncoding {
    /// UTF-8 with a byte-order mark.
    #[default]
    Utf8,
    /// Windows-31J; a character it lacks parks the letter.
    Cp932,
}

//! `kakitome.toml`: every setting, its default, its bounds, and all checks.
//!
//! The file is read once and checked as a whole: [`Config::parse`] answers with
//! every problem it finds, so that `kakitome check` and `kakitome serve` cannot
//! disagree. There is no interpolation of any kind. A secret never stands in
//! the file: it is named as a path, or as `credential:NAME`, a systemd
//! credential.
//!
//! docs/CONFIGURATION.md is generated from the comments and defaults below, and
//! a test tries every bound that a comment names.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::domain::{ids::TenantId, locale::Locale};

mod checks;
pub mod secret;
mod span;

pub use checks::Problem;
pub use secret::SecretSource;
pub use span::Span;

/// The whole configuration, checked.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The office itself.
    pub office: Office,
    /// The addresses it listens on.
    pub listen: Listen,
    /// The database of jobs, links and the log.
    pub database: Database,
    /// The key store, apart from the database.
    pub keys: Keys,
    /// The sealed bytes.
    pub blobs: Blobs,
    /// RabbitMQ; absent: jobs arrive over HTTP only.
    pub broker: Option<Broker>,
    /// The mail relay.
    pub mail: Mail,
    /// The print partner; absent: letters are refused.
    pub post: Option<Post>,
    /// Finished PDFs that are uploaded before their job.
    pub uploads: Uploads,
    /// How much is done at once, and how often it is tried.
    pub work: Work,
    /// What is kept, and for how long.
    pub retention: Retention,
    /// The applications' organisations, by short name.
    pub tenants: BTreeMap<TenantId, Tenant>,
}

/// `[office]`: the office itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Office {
    /// Where recipients open their links: `https://` and a host, no path.
    pub public_url: String,
    /// The folder of send journals and other state of this host.
    pub state_dir: PathBuf,
    /// Operator templates, one folder each, beside the bundled ones.
    pub templates_dir: Option<PathBuf>,
    /// TrueType fonts (`*.ttf`) that are asked for a glyph after the bundled ones.
    pub fonts_dir: Option<PathBuf>,
    /// What this process does, unless `--role` says otherwise.
    pub roles: Vec<Role>,
    /// `json` or `text` logs.
    pub log_format: LogFormat,
    /// Proxies whose `X-Forwarded-For` is believed, as CIDR blocks.
    pub trusted_proxies: Vec<String>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes jobs from AMQP and HTTP.
    Intake,
    /// Renders, seals, sends, hands over, relays events.
    Work,
    /// Serves the recipients' pages.
    Gateway,
    /// Destroys what is due.
    Retention,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Intake, Self::Work, Self::Gateway, Self::Retention];

    /// The word in the configuration and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Work => "work",
            Self::Gateway => "gateway",
            Self::Retention => "retention",
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// `[listen]`: the addresses the office listens on.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The recipients' pages.
    pub gateway: SocketAddr,
    /// The applications' HTTP interface.
    pub api: SocketAddr,
    /// Health, readiness and metrics; keep it inside.
    pub operations: SocketAddr,
    /// TLS for the pages and the interface: the certificate and its chain in PEM, read
    /// again when the file changes. Without it a proxy has the TLS.
    pub certificate: Option<PathBuf>,
    /// The certificate's private key in PEM.
    pub private_key: Option<SecretSource>,
}

/// `[database]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://user@host:port/name`, without a password.
    pub url: String,
    /// The password.
    pub password: Option<SecretSource>,
    /// Connections of this process at the most (2 to 200).
    pub max_connections: u32,
    /// A statement that takes longer is given up and tried again (1s to 10min).
    pub statement_timeout: Span,
}

/// `[keys]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// `sqlite:PATH` or a PostgreSQL cluster other than the database's.
    pub url: String,
    /// The password.
    pub password: Option<SecretSource>,
    /// The master key: 32 bytes, base64, readable by the office alone.
    pub master: SecretSource,
    /// Another master key, while it replaces the first or is about to
    /// (`kakitome keys rotate master`).
    pub master_next: Option<SecretSource>,
}

/// `[blobs]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Blobs {
    /// Files of this host, or S3-compatible storage.
    pub kind: BlobKind,
    /// `files`: the folder.
    pub dir: PathBuf,
    /// `files`: the folder is shared by every host that serves this database.
    pub shared: bool,
    /// A segment is closed when it has grown to this many bytes
    /// (1048576 to 68719476736).
    pub segment_bytes_max: u64,
    /// `s3`: the bucket. It keeps no versions of its objects.
    pub bucket: Option<String>,
    /// `s3`: the folder of our objects within the bucket. No two offices share one.
    pub prefix: String,
    /// `s3`: the endpoint, where it is not AWS: `https://host`, and a port.
    pub endpoint: Option<String>,
    /// `s3`: the region; `us-east-1` where none is given.
    pub region: Option<String>,
    /// `s3`: the access key id. Without the two keys the machine's role (EC2's
    /// instance metadata) is asked.
    pub access_key: Option<SecretSource>,
    /// `s3`: the secret access key.
    pub secret_key: Option<SecretSource>,
    /// `s3`: a request that takes longer is given up. It is made again three times at
    /// most, and not begun again after this time; then whoever waits is told, and the
    /// job is tried again later (1s to 5min).
    pub timeout: Span,
    /// `s3`: the authority of the storage's certificate, in PEM, and the only one
    /// that is trusted; where it is absent, the platform's are.
    pub tls_ca: Option<PathBuf>,
    /// `s3`: plain HTTP is allowed (a server on this machine or its inner network).
    pub allow_http: bool,
}

/// Where segments live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// A folder.
    #[default]
    Files,
    /// S3-compatible storage.
    S3,
}

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

/// `[uploads]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uploads {
    /// Bytes of a finished PDF, at the most; a longer one is refused
    /// (65536 to 104857600).
    pub bytes_max: usize,
    /// How long an upload is kept for a job to name it; it stays longer while
    /// such a job is not sealed (1h to 30days).
    pub keep: Span,
    /// Uploads of one tenant at rest, at the most; the next one is refused
    /// (1 to 1000000).
    pub per_tenant: u32,
    /// Uploads on their way in at once, at the most; the next one is asked to
    /// come again. Each may take three times its size in memory (1 to 64).
    pub at_once: usize,
}

/// `[work]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Work {
    /// Messages of one intake commit, at the most (1 to 4096).
    pub batch: usize,
    /// Jobs in memory on their way, at the most; the rest waits on the books
    /// (1 to 65536).
    pub in_flight: usize,
    /// Jobs of one tenant in memory, at the most (1 to 65536).
    pub in_flight_per_tenant: usize,
    /// Threads that render; 0: one per core (0 to 256).
    pub render_threads: usize,
    /// Jobs rendered by a thread in one go (1 to 256).
    pub render_chunk: usize,
    /// How long a commit waits for company when there is a backlog
    /// (0s to 100ms).
    pub linger: Span,
    /// A process silent for this long has lost its leases (5s to 10min).
    pub lease: Span,
    /// Work rows on the books above which no message is taken
    /// (1000 to 100000000).
    pub backlog_max: u64,
    /// A job that ended its worker this many times is parked (1 to 100).
    pub crashes_max: u32,
    /// How long a shutdown may take (1s to 5min).
    pub drain: Span,
    /// How often the books are asked for due work when nothing woke us
    /// (1s to 1min).
    pub poll: Span,
}

/// `[retention]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Calendar months that a delivered artifact is kept (1 to 120).
    pub months: u32,
    /// Days after `send_at` at which an unsent job is destroyed (1 to 365).
    pub undispatched_days_max: u32,
    /// Clocks further apart than this hold every destruction (1min to 1day).
    pub clock_tolerance: Span,
    /// How often the day's work is looked for (1s to 1h).
    pub every: Span,
    /// Jobs destroyed in one transaction (1 to 10000).
    pub batch: usize,
    /// Calendar years after that of a job's arrival for which its evidence stays
    /// readable; then its key is destroyed (1 to 30).
    pub evidence_years: u32,
}

/// `[tenants.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tenant {
    /// The name that recipients see.
    pub name: String,
    /// How recipients reach the sender: a telephone number, a page.
    pub contact: Option<String>,
    /// The address answers go to.
    pub reply_to: Option<String>,
    /// The colour of buttons and links on the recipients' pages, `#rrggbb`;
    /// shades that could not be read are made darker or lighter there.
    pub colour: Option<String>,
    /// The picture above the name on the recipients' pages: a PNG or a passive
    /// SVG of at most 64 KiB.
    pub logo: Option<PathBuf>,
    /// The tenant's calendar.
    pub zone: Option<Tz>,
    /// The language where a job names none.
    pub locale: Locale,
    /// Broker users that publish for this tenant.
    pub users: Vec<String>,
    /// The bearer token of the HTTP interface, at least 32 characters.
    pub token: Option<SecretSource>,
    /// Everything runs, but mail and letters stay in the house.
    pub test_mode: bool,
    /// Result events that are published: their names, or `*`.
    pub events: Vec<String>,
    /// Old carrier addresses with dots in odd places are accepted.
    pub legacy_jp_addresses: bool,
    /// What happens to a mail whose reply was lost: `hold`. `resend` is reserved
    /// and acts like it: a person resends with `kakitome jobs retry`.
    pub on_ambiguous: OnAmbiguous,
}

/// What happens to a mail whose reply was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnAmbiguous {
    /// A person, a bounce or an open decides.
    #[default]
    Hold,
    /// The same bytes go out again.
    Resend,
}

impl Tenant {
    /// The tenant's calendar; Tokyo where none is configured.
    pub fn zone(&self) -> Tz {
        self.zone.unwrap_or(Tz::Asia__Tokyo)
    }

    /// Whether the tenant asked for result events of this name.
    pub fn wants(&self, event: &str) -> bool {
        self.events.iter().any(|wanted| wanted == "*" || wanted == event)
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    ///
    /// Every problem found, each with its key and what to do about it.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![Problem::file(path, error.kind())])?;
        Self::parse(&text)
    }

    /// Checks the text of a configuration file.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let config: Self =
            toml::from_str(text).map_err(|error| vec![Problem::toml(error.message())])?;
        let problems = checks::problems(&config);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The tenant that a broker user publishes for.
    pub fn tenant_of_user(&self, user: &str) -> Option<&TenantId> {
        self.tenants
            .iter()
            .find(|(_, tenant)| tenant.users.iter().any(|known| known == user))
            .map(|(id, _)| id)
    }
}

impl Default for Office {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8080".into(),
            state_dir: "/var/lib/kakitome".into(),
            templates_dir: None,
            fonts_dir: None,
            roles: Role::ALL.to_vec(),
            log_format: LogFormat::Json,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            gateway: SocketAddr::from(([127, 0, 0, 1], 8080)),
            api: SocketAddr::from(([127, 0, 0, 1], 8081)),
            operations: SocketAddr::from(([127, 0, 0, 1], 9090)),
            certificate: None,
            private_key: None,
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite:/var/lib/kakitome/office.db".into(),
            password: None,
            max_connections: 8,
            statement_timeout: Span(Duration::from_secs(30)),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            url: "sqlite:/var/lib/kakitome-keys/keys.db".into(),
            password: None,
            master: SecretSource::path("/etc/kakitome/master.key"),
            master_next: None,
        }
    }
}

impl Default for Blobs {
    fn default() -> Self {
        Self {
            kind: BlobKind::Files,
            dir: "/var/lib/kakitome/segments".into(),
            shared: false,
            segment_bytes_max: 1 << 30,
            bucket: None,
            prefix: "segments".into(),
            endpoint: None,
            region: None,
            access_key: None,
            secret_key: None,
            timeout: Span(Duration::from_secs(30)),
            tls_ca: None,
            allow_http: false,
        }
    }
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

impl Default for Uploads {
    fn default() -> Self {
        Self {
            bytes_max: 20 << 20,
            keep: Span(Duration::from_hours(24)),
            per_tenant: 1_000,
            at_once: 4,
        }
    }
}

impl Default for Work {
    fn default() -> Self {
        Self {
            batch: 256,
            in_flight: 1_024,
            in_flight_per_tenant: 512,
            render_threads: 0,
            render_chunk: 8,
            linger: Span(Duration::from_millis(4)),
            lease: Span(Duration::from_secs(30)),
            backlog_max: 200_000,
            crashes_max: 3,
            drain: Span(Duration::from_secs(25)),
            poll: Span(Duration::from_secs(1)),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            months: 1,
            undispatched_days_max: 30,
            clock_tolerance: Span(Duration::from_hours(1)),
            every: Span(Duration::from_mins(1)),
            batch: 500,
            evidence_years: 12,
        }
    }
}

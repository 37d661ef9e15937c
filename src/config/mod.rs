//! `kakitome.toml`: every setting, its default, its bounds, and all checks.
//!
//! The file is read once and checked as a whole: [`Config::parse`] answers with
//! every problem it finds, so that `kakitome check` and `kakitome serve` cannot
//! disagree. There is no interpolation of any kind. A secret never stands in
//! the file: it is named as a path, or as `credential:NAME`, a systemd
//! credential.
//!
//! docs/CONFIGURATION.md is generated from the comments and defaults here and in
//! the files beside, and a test tries every bound that a comment names.

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
mod outside;
mod pace;
pub mod secret;
mod span;

pub use checks::Problem;
pub use outside::{Broker, Declare, Mail, MailTls, ManifestEncoding, Post};
pub use pace::{Retention, Uploads, Work};
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
    /// Operator templates, one folder each, beside the bundled ones; the folder `parts` holds what they share.
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

//! Opens what the configuration names and puts the office together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::{
    events::EventMaker,
    metrics::Metrics,
    office::{LeaseWatch, Office, Press, Queues},
    pdf_child::ChildCheck,
    steps::suspects::Suspects,
    workshop,
};
use crate::{
    blobs::{Blobs, S3Settings},
    broker::{BrokerSettings, Declare, Names},
    clock::SharedClock,
    config::{self, BlobKind, Config, Role, SecretSource},
    dispatch::email::{
        BootId, Composer, Journal,
        relay::{Login, RelaySettings, TlsMode},
    },
    domain::ids::Epoch,
    entropy::Entropy,
    intake::inside::PdfCheck,
    render::{FontSource, PdfLimits, Renderer},
    retention::{self, Witness},
    store::{
        Db, DbOptions,
        keyring::{KeyRing, MasterKey},
        ledger::Scribe,
        workers::{self, WorkerRow},
    },
};

/// What an office is made of besides its configuration; tests and the demo put
/// their own in.
#[derive(Clone)]
pub struct Parts {
    /// The time of day.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: Entropy,
    /// What renders; the bundled renderer where none is given.
    pub press: Option<Arc<dyn Press>>,
    /// What looks into finished PDFs; children of this program where none is given.
    pub pdfs: Option<Arc<dyn PdfCheck>>,
    /// What this process does.
    pub roles: Vec<Role>,
    /// The database, where it is not simply the configured one.
    pub db: Option<Db>,
    /// The second opinion on the time, where it is not the database's.
    pub witness: Option<Arc<dyn Witness>>,
}

impl Parts {
    /// An office on this clock, with everything as it is configured.
    pub fn new(clock: SharedClock, entropy: Entropy) -> Self {
        Self {
            clock,
            entropy,
            press: None,
            pdfs: None,
            roles: Role::ALL.to_vec(),
            db: None,
            witness: None,
        }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// Adds a password to a database's address.
pub fn with_password(url: &str, password: Option<&SecretSource>) -> anyhow::Result<String> {
    let Some(source) = password else { return Ok(url.to_owned()) };
    let secret = source.read()?;
    let (scheme, rest) = url.split_once("://").context("a password needs a postgres:// address")?;
    let (user, host) = rest.split_once('@').context("a password needs a user name before an @")?;
    let mut coded = String::new();
    for byte in secret.expose_secret().bytes() {
        if byte.is_ascii_alphanumeric() {
            coded.push(char::from(byte));
        } else {
            coded.push('%');
            coded.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
    }
    Ok(format!("{scheme}://{user}:{coded}@{host}"))
}

/// Opens the database.
pub async fn database(config: &Config, connections: Option<u32>) -> anyhow::Result<Db> {
    let settings = &config.database;
    let url = with_password(&settings.url, settings.password.as_ref())?;
    let options = DbOptions {
        max_connections: connections.unwrap_or(settings.max_connections),
        statement_timeout: settings.statement_timeout.0,
    };
    Db::open(&url, options).await.context("the database cannot be opened (`database.url`)")
}

/// Reads a master key; `name` is the setting that names it.
pub fn master_key(source: &SecretSource, name: &str) -> anyhow::Result<MasterKey> {
    let path =
        source.check().with_context(|| format!("the master key cannot be used (`{name}`)"))?;
    MasterKey::from_file(&path, source.forbidden_bits())
        .context("the master key cannot be used; `kakitome keys init` makes one")
}

/// Opens the key store.
pub async fn keyring(
    config: &Config,
    clock: SharedClock,
    entropy: Entropy,
) -> anyhow::Result<KeyRing> {
    let settings = &config.keys;
    let mut masters = vec![master_key(&settings.master, "keys.master")?];
    if let Some(next) = &settings.master_next {
        masters.push(master_key(next, "keys.master_next")?);
    }
    let url = with_password(&settings.url, settings.password.as_ref())?;
    KeyRing::open_with(&url, masters, clock, entropy)
        .await
        .context("the key store cannot be opened (`keys.url`)")
}

/// Opens the store of sealed bytes.
pub fn blobs(config: &Config, entropy: &Entropy) -> anyhow::Result<Blobs> {
    let settings = &config.blobs;
    match settings.kind {
        BlobKind::Files => {
            Ok(Blobs::files(&settings.dir, settings.segment_bytes_max, entropy.clone())
                .with_context(|| {
                    format!("segments cannot be kept in {}", settings.dir.display())
                })?)
        }
        BlobKind::S3 => Ok(Blobs::s3(&s3(settings)?, entropy.clone())
            .context("the S3 settings cannot be used (`blobs`)")?),
    }
}

fn s3(settings: &config::Blobs) -> anyhow::Result<S3Settings> {
    let keys = match (&settings.access_key, &settings.secret_key) {
        (Some(id), Some(secret)) => {
            let id = id.read().context("the access key (`blobs.access_key`)")?;
            Some((id, secret.read().context("the secret key (`blobs.secret_key`)")?))
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => anyhow::bail!("name both keys, or neither (`blobs`)"),
    };
    let authority = match &settings.tls_ca {
        Some(file) => {
            let read = std::fs::read(file);
            Some(read.with_context(|| format!("reading {} (`blobs.tls_ca`)", file.display()))?)
        }
        None => None,
    };
    Ok(S3Settings {
        bucket: settings.bucket.clone().context("name the bucket (`blobs.bucket`)")?,
        prefix: settings.prefix.clone(),
        endpoint: settings.endpoint.clone(),
        region: settings.region.clone().unwrap_or_else(|| "us-east-1".into()),
        keys,
        authority,
        allow_http: settings.allow_http,
        timeout: settings.timeout.0,
    })
}

/// How to reach RabbitMQ.
pub fn broker(settings: &config::Broker, name: &str) -> anyhow::Result<BrokerSettings> {
    let password = match &settings.password {
        Some(source) => source.read().context("the broker's password (`broker.password`)")?,
        None => "guest".to_owned().into(),
    };
    let mut broker = BrokerSettings::new(&settings.host, settings.port, &settings.user, password);
    broker.vhost.clone_from(&settings.vhost);
    if settings.tls {
        let ca =
            settings.tls_ca.as_ref().context("name the broker's authority (`broker.tls_ca`)")?;
        let pem =
            std::fs::read_to_string(ca).with_context(|| format!("reading {}", ca.display()))?;
        broker.tls = Some(pem);
    }
    broker.heartbeat = settings.heartbeat.0;
    broker.prefetch = settings.prefetch;
    broker.publish_timeout = settings.publish_timeout.0;
    broker.declare = match settings.declare {
        config::Declare::Create => Declare::Create,
        config::Declare::Passive => Declare::Passive,
    };
    broker.names = Names {
        exchange: settings.exchange.clone(),
        jobs_queue: settings.queue.clone(),
        job_key: settings.routing_key.clone(),
        dead_exchange: settings.dead_exchange.clone(),
        dead_queue: settings.dead_queue.clone(),
        events_exchange: settings.events_exchange.clone(),
    };
    name.clone_into(&mut broker.connection_name);
    Ok(broker)
}

/// How to reach the mail relay.
pub fn relay(settings: &config::Mail) -> anyhow::Result<RelaySettings> {
    let mut relay = RelaySettings::new(settings.relay.clone(), settings.port);
    relay.tls = match settings.tls {
        config::MailTls::Starttls => TlsMode::Required,
        config::MailTls::Tls => TlsMode::Implicit,
        config::MailTls::None => TlsMode::None,
    };
    if let Some(ca) = &settings.tls_ca {
        let pem =
            std::fs::read_to_string(ca).with_context(|| format!("reading {}", ca.display()))?;
        relay.extra_roots_pem = Some(pem);
    }
    if let (Some(user), Some(source)) = (&settings.user, &settings.password) {
        let password = source.read().context("the relay's password (`mail.password`)")?;
        relay.login = Some(Login { user: user.clone(), password });
    }
    relay.hello_name.clone_from(&settings.hello_name);
    relay.timeouts.body = settings.final_timeout.0;
    Ok(relay)
}

/// The folder of this host's send journals.
pub fn journals(config: &Config) -> PathBuf {
    config.office.state_dir.join("journal")
}

/// The operator's fonts, in the order of their file names.
fn fonts(dir: &Path) -> anyhow::Result<Vec<FontSource>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "ttf") {
            files.push(file);
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let bytes = std::fs::read(&file)?;
            FontSource::read(bytes)
                .with_context(|| format!("{} is not a TrueType font", file.display()))
        })
        .collect()
}

/// The bundled renderer, with the operator's fonts and templates.
pub fn renderer(config: &Config) -> anyhow::Result<Renderer> {
    let renderer = workbench(config)?;
    let Some(dir) = &config.office.templates_dir else { return Ok(renderer) };
    let mut renderer = renderer;
    for folder in workshop::folders(dir)? {
        let source = workshop::Source::Folder(folder);
        let shown = source.shown();
        renderer = renderer.with_templates(vec![source.read()?]).with_context(|| {
            format!("{shown} is not sound; `kakitome templates check {shown}` says more")
        })?;
    }
    Ok(renderer)
}

/// The renderer with the operator's fonts and without the operator's templates: what
/// a single template is tried out with.
pub fn workbench(config: &Config) -> anyhow::Result<Renderer> {
    let fonts = config.office.fonts_dir.as_deref().map(fonts).transpose()?.unwrap_or_default();
    Renderer::with_fonts(&fonts).context("fonts and bundled templates")
}

/// Puts the office together and enters this process into the list of workers.
/// The schema must be up to date.
pub async fn open(config: Config, parts: Parts) -> anyhow::Result<Arc<Office>> {
    let Parts { clock, entropy, press, pdfs, roles, db, witness } = parts;
    let now = clock.now();
    let epoch = Epoch(entropy.id(now)?);
    let db = match db {
        Some(db) => db,
        None => database(&config, None).await?,
    };
    let keys = keyring(&config, Arc::clone(&clock), entropy.clone()).await?;
    let journals = journals(&config);
    std::fs::create_dir_all(&journals)
        .with_context(|| format!("making {} (`office.state_dir`)", journals.display()))?;
    let boot = BootId::read()?;
    let journal = Journal::open(&journals, epoch, boot)?;
    let press = match press {
        Some(press) => press,
        None => Arc::new(renderer(&config)?),
    };
    let pdfs = pdfs.unwrap_or_else(|| {
        let max_bytes = config.uploads.bytes_max;
        Arc::new(ChildCheck::new(PdfLimits { max_bytes, ..PdfLimits::default() }))
    });
    let config = Arc::new(config);
    let lease = config.work.lease;
    let row = WorkerRow {
        epoch,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        boot_id: boot.0.to_string(),
        roles: roles.iter().map(|role| role.word()).collect::<Vec<_>>().join(","),
        started_at: now,
        alive_until: now.checked_add_signed(lease.delta()).unwrap_or(now),
        stopped_at: None,
        masters: keys.master_prints().join(","),
    };
    db.ensure_months(now).await?;
    let mut tx = db.begin().await?;
    workers::register(&mut tx, &row).await?;
    tx.commit().await?;
    let blobs = blobs(&config, &entropy)?;
    retention::expect_mark(&db, &blobs).await?;
    let outbox_key = keys.outbox_key().await?;
    Ok(Arc::new(Office {
        queues: Queues::new(&config),
        blobs,
        scribe: Scribe::new(entropy.clone()),
        pdfs,
        press,
        composer: Composer::new()?,
        suspects: Suspects::open(&journals, epoch)?,
        journal: Arc::new(journal),
        events: EventMaker::new(Arc::clone(&config), outbox_key, entropy.clone()),
        verp_key: keys.verp_key().await?,
        metrics: Arc::new(Metrics::new()),
        lease: LeaseWatch::starting(lease.0),
        config,
        clock,
        entropy,
        epoch,
        db,
        keys,
        roles,
        witness,
    }))
}

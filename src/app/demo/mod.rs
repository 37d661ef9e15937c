//! The whole office in one process, with nothing installed: SQLite, files, a
//! mail catcher, a print partner that prints nothing, a sample tenant.
//!
//! It is the real office: the same loops, the same configuration file, which
//! it writes into its folder, so that every other command can be tried on it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::{
    Chain,
    build::{self, Parts},
    catcher::{Catcher, CatcherSettings},
    desk::OfficeDesk,
    http, post,
    run::{self, Doors, Running},
    worker::wait,
};
use crate::{
    clock::SharedClock,
    config::{Config, MailTls, Post, SecretSource, Span, Tenant},
    domain::{
        ids::{JobId, TenantId},
        locale::Locale,
    },
    entropy::Entropy,
    intake::desk::{Incoming, Verdict},
    retention::Believer,
    store::keyring::MasterKey,
};

pub mod journey;

/// The sample tenant's short name.
pub const TENANT: &str = "demo";

/// The sample tenant's logo.
const LOGO: &str = include_str!("../../../templates/pages/sample-logo.svg");

/// The sample jobs: one by mail, one by post.
const SAMPLES: [(&str, &str); 2] = [
    ("email", include_str!("../../../docs/examples/email-invoice.json")),
    ("post", include_str!("../../../docs/examples/post-invoice.json")),
];

/// How long the samples are tried to be enqueued.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    /// The office.
    pub running: Running,
    /// The mail catcher.
    pub catcher: Catcher,
    /// The catcher's web page.
    pub mail_page: SocketAddr,
    /// The folder that holds everything.
    pub dir: PathBuf,
    /// The configuration file that other commands can be given.
    pub config_file: PathBuf,
    desk: OfficeDesk,
    tasks: TaskTracker,
}

/// Opens an office in `dir`, whose pages are served at `listen`; the other
/// addresses are chosen by the system. `by_hand` says that the clock is moved by
/// hand.
pub async fn open(
    dir: &Path,
    listen: SocketAddr,
    clock: SharedClock,
    by_hand: bool,
) -> anyhow::Result<Demo> {
    let entropy = Entropy::from_os()?;
    let any = SocketAddr::new(listen.ip(), 0);
    let catcher = Catcher::new(CatcherSettings::default(), Arc::clone(&clock));
    let tasks = TaskTracker::new();
    let smtp = TcpListener::bind(any).await?;
    let relay = smtp.local_addr()?;
    let gateway = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; name another address with --listen")
    })?;
    // The office is given its doors open: a port that is let go may be
    // somebody else's a moment later.
    let doors = Doors {
        gateway: Some(gateway),
        api: Some(TcpListener::bind(any).await?),
        operations: Some(TcpListener::bind(any).await?),
    };
    let config_file = dir.join("kakitome.toml");
    let config = configure(dir, &doors, relay, &entropy)?;
    let text = toml::to_string(&config)?;
    std::fs::write(&config_file, &text)?;
    let config = Config::parse(&text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the demo's own configuration is wrong: {}", lines.join("; "))
    })?;
    let db = build::database(&config, None).await?;
    db.migrate().await?;
    db.close().await;
    let mut parts = Parts::new(Arc::clone(&clock), entropy);
    if by_hand {
        // The database's clock knows nothing of one that is moved by hand.
        parts.witness = Some(Arc::new(Believer::of(clock)));
    }
    let office = build::open(config, parts).await?;
    let carriers = run::carriers(&office)?;
    let desk = OfficeDesk::new(Arc::clone(&office));
    let simulator = post::simulator(&office, &dir.join("post"))?;
    let running = run::start(office, carriers, Box::new(catcher.carrier()), doors).await?;
    running.loops.run(simulator);
    running.loops.spawn(catcher.clone().serve(smtp, tasks.clone(), running.loops.closed()));
    let mail = TcpListener::bind(any).await?;
    let mail_page = mail.local_addr()?;
    let stop = running.loops.closing();
    let serving = http::Serving::default();
    running.loops.spawn(http::serve(
        mail,
        catcher.router(""),
        serving,
        running.loops.clone(),
        stop,
    ));
    Ok(Demo { running, catcher, mail_page, dir: dir.to_owned(), config_file, desk, tasks })
}

fn configure(
    dir: &Path,
    doors: &Doors,
    relay: SocketAddr,
    entropy: &Entropy,
) -> anyhow::Result<Config> {
    let keys = dir.join("keys");
    for folder in [dir, &keys] {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let master = dir.join("master.key");
    if !master.exists() {
        MasterKey::create_file(&master, entropy)?;
    }
    let token = dir.join("token");
    if !token.exists() {
        let secret = data_encoding::BASE64URL_NOPAD.encode(&entropy.array::<32>()?);
        write_secret(&token, secret.as_bytes())?;
    }
    let mut config = Config::default();
    for (door, at) in [
        (&doors.gateway, &mut config.listen.gateway),
        (&doors.api, &mut config.listen.api),
        (&doors.operations, &mut config.listen.operations),
    ] {
        if let Some(door) = door {
            *at = door.local_addr()?;
        }
    }
    config.office.public_url = format!("http://{}", config.listen.gateway);
    config.office.state_dir = dir.join("state");
    config.database.url = format!("sqlite:{}", dir.join("office.db").display());
    config.keys.url = format!("sqlite:{}", keys.join("keys.db").display());
    config.keys.master = SecretSource::path(master);
    config.blobs.dir = dir.join("segments");
    config.mail.relay = relay.ip().to_string();
    config.mail.port = relay.port();
    config.mail.tls = MailTls::None;
    config.mail.connections = 2;
    config.mail.from = "noreply@kakitome.example".into();
    config.mail.bounce_domain = "bounce.kakitome.example".into();
    config.work.render_threads = 1;
    config.retention.every = Span(Duration::from_secs(1));
    config.post = Some(Post {
        drop_dir: dir.join("post"),
        sender_lines: vec![
            "〒900-0015 沖縄県那覇市久茂地1-1-1".into(),
            "書留サンプル株式会社".into(),
        ],
        ..Post::default()
    });
    let logo = dir.join("logo.svg");
    std::fs::write(&logo, LOGO)?;
    let tenant = Tenant {
        name: "書留サンプル株式会社".into(),
        colour: Some("#0b5f50".into()),
        logo: Some(logo),
        contact: Some("経理部 03-0000-0000".into()),
        locale: Locale::Ja,
        users: vec![TENANT.into()],
        token: Some(SecretSource::path(token)),
        ..Tenant::default()
    };
    config.tenants.insert(TenantId::parse(TENANT)?, tenant);
    Ok(config)
}

fn write_secret(path: &Path, secret: &[u8]) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(secret)?;
    Ok(())
}

/// The samples as an application would send them.
fn samples(round: &str) -> anyhow::Result<Vec<Incoming>> {
    let tenant = TenantId::parse(TENANT)?;
    let mut batch = Vec::new();
    for (channel, text) in SAMPLES {
        let mut job: serde_json::Value = serde_json::from_str(text)?;
        if let Some(fields) = job.as_object_mut() {
            fields.insert("key".into(), format!("sample-{channel}-{round}").into());
            fields.insert("tenant".into(), TENANT.into());
        }
        batch.push(Incoming {
            tenant: Ok(tenant.clone()),
            body: serde_json::to_vec(&job)?,
            sealed: false,
            flaw: None,
            trace: None,
        });
    }
    Ok(batch)
}

impl Demo {
    /// Enqueues the samples under keys of their own; answers channel and id. What
    /// fails is tried again for a minute: the keys make that safe, and a disk may
    /// be busy with what was built just before.
    pub async fn enqueue_samples(&self, round: &str) -> anyhow::Result<Vec<(&'static str, JobId)>> {
        let started = Instant::now();
        let verdicts = loop {
            match self.desk.take(samples(round)?).await {
                Err(error) if started.elapsed() < PATIENCE => {
                    tracing::warn!("the samples are tried again: {}", Chain(error.as_ref()));
                    wait(Duration::from_secs(1)).await;
                }
                taken => break taken?,
            }
        };
        let mut jobs = Vec::new();
        for ((channel, _), verdict) in SAMPLES.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Accepted { job, .. } | Verdict::Duplicate { job } => {
                    jobs.push((channel, job));
                }
                Verdict::Refused { refused } => {
                    anyhow::bail!("the sample for {channel} was refused: {refused}");
                }
            }
        }
        Ok(jobs)
    }

    /// Shuts the demo down.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.running.stop().await?;
        self.tasks.close();
        self.tasks.wait().await;
        Ok(())
    }
}

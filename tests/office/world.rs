//! A world for an office: a clock, a relay, folders and databases of its own.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use kakitome::{
    app::{
        build::{self, Parts},
        catcher::{Catcher, CatcherSettings, Script},
        desk::OfficeDesk,
        office::Press,
        pdf_child::ChildCheck,
        post, run,
        steps::{
            carry::Carry,
            codes::{Codes, SharedCarrier},
            tend::{GiveBack, Heartbeat},
        },
        web,
    },
    clock::HandClock,
    config::{Config, MailTls, Post, SecretSource, Tenant},
    domain::ids::{JobId, TenantId},
    entropy::Entropy,
    render::PdfLimits,
    retention::Believer,
    store::{Fuse, keyring::MasterKey},
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::harness::{Books, TestOffice, renderer, server};

/// The program, whose children look into PDFs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_kakitome");

static NEXT: AtomicU32 = AtomicU32::new(0);

async fn fresh_database(server_url: &str) -> String {
    let unique = Entropy::from_os().unwrap().array::<6>().unwrap();
    let unique = data_encoding::HEXLOWER.encode(&unique);
    let name = format!("office_{unique}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let sql = format!("CREATE DATABASE {name}");
    let made = tokio::process::Command::new("psql")
        .args([&format!("{server_url}/postgres"), "-q", "-c", &sql])
        .status()
        .await
        .unwrap();
    assert!(made.success(), "psql makes {name}");
    format!("{server_url}/{name}")
}

/// What survives the death of a process.
pub(crate) struct World {
    pub(crate) books: Books,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) catcher: Catcher,
    pub(crate) config: Config,
    pub(crate) jobs: Mutex<Vec<JobId>>,
    /// Folders of others in which our bytes lie, to be inspected as well.
    pub(crate) elsewhere: Vec<PathBuf>,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    /// A fresh world at noon of a Friday in Tokyo.
    pub(crate) async fn new(books: Books) -> Self {
        Self::with(books, Script::default(), |_| {}).await
    }

    /// A fresh world with a relay that follows a script.
    pub(crate) async fn with(
        books: Books,
        script: Script,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock::starting_at("2026-11-20T03:00:00Z".parse().unwrap()));
        let settings = CatcherSettings { script, ..CatcherSettings::default() };
        let catcher = Catcher::new(settings, clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = config(dir.path(), listener.local_addr().unwrap().port());
        if books == Books::Postgres {
            let data = server("KAKITOME_TEST_POSTGRES").unwrap();
            let keys = server("KAKITOME_TEST_KEYS_POSTGRES").unwrap_or_else(|| data.clone());
            config.database.url = fresh_database(&data).await;
            config.keys.url = fresh_database(&keys).await;
        }
        change(&mut config);
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "the far end runs beside the test")]
        tokio::spawn(catcher.clone().serve(listener, TaskTracker::new(), stop.clone()));
        MasterKey::create_file(&dir.path().join("master.key"), &Entropy::from_os().unwrap())
            .unwrap();
        build::database(&config, None).await.unwrap().migrate().await.unwrap();
        let (jobs, elsewhere) = (Mutex::default(), Vec::new());
        Self { books, dir, clock, catcher, config, jobs, elsewhere, stop }
    }

    fn pdf_limits(&self) -> PdfLimits {
        PdfLimits { max_bytes: self.config.uploads.bytes_max, ..PdfLimits::default() }
    }

    /// Starts a process of the office.
    pub(crate) async fn start(&self) -> TestOffice<'_> {
        self.start_with(None, renderer()).await
    }

    /// Starts a process that can start none for PDFs.
    pub(crate) async fn start_blind(&self) -> TestOffice<'_> {
        let nothing = ChildCheck::of("/nonexistent".into(), self.pdf_limits());
        self.start_office(None, renderer(), nothing).await
    }

    /// Starts a process with a fuse in its database and a press of its own.
    pub(crate) async fn start_with(
        &self,
        fuse: Option<Arc<dyn Fuse>>,
        press: Arc<dyn Press>,
    ) -> TestOffice<'_> {
        let pdfs = ChildCheck::of(PROGRAM.into(), self.pdf_limits());
        self.start_office(fuse, press, pdfs).await
    }

    async fn start_office(
        &self,
        fuse: Option<Arc<dyn Fuse>>,
        press: Arc<dyn Press>,
        pdfs: ChildCheck,
    ) -> TestOffice<'_> {
        let mut db = build::database(&self.config, None).await.unwrap();
        if let Some(fuse) = fuse {
            db = db.with_fuse(fuse);
        }
        let mut parts = Parts::new(self.clock.clone(), Entropy::from_os().unwrap());
        parts.press = Some(press);
        parts.pdfs = Some(Arc::new(pdfs));
        parts.db = Some(db.clone());
        parts.witness = Some(Arc::new(Believer::of(self.clock.clone())));
        let office = build::open(self.config.clone(), parts).await.unwrap();
        let carriers = run::carriers(&office).unwrap();
        let mut services = run::work_services(&office, carriers).unwrap();
        let letters = office.queues.test_letters.clone();
        let house = Box::new(self.catcher.carrier());
        let house = SharedCarrier::new(house);
        services.push(Box::new(Codes::new(office.clone(), house.clone(), true)));
        services.push(Box::new(Carry::new(office.clone(), letters, Box::new(house))));
        services.push(Box::new(GiveBack(office.clone())));
        services.push(Box::new(Heartbeat::new(office.clone(), db)));
        services.extend(web::retention_services(&office));
        if let Some(post) = &office.config.post {
            services.push(post::simulator(&office, &post.drop_dir).unwrap());
        }
        let pages = web::gateway(&office).unwrap();
        services.extend(web::gateway_services(&pages));
        let gateway = kakitome::gateway::router(pages);
        let desk = Arc::new(OfficeDesk::new(office.clone()));
        let api = web::api(&office, desk.clone()).unwrap();
        TestOffice { world: self, office, desk, services, gateway, api }
    }
}

fn config(dir: &Path, relay_port: u16) -> Config {
    let mut config = Config::default();
    config.office.state_dir = dir.join("state");
    config.office.public_url = "http://localhost".into();
    config.database.url = format!("sqlite:{}", dir.join("office.db").display());
    config.keys.url = format!("sqlite:{}", dir.join("keys.db").display());
    config.keys.master = SecretSource::path(dir.join("master.key"));
    config.blobs.dir = dir.join("segments");
    config.mail.port = relay_port;
    config.mail.tls = MailTls::None;
    config.mail.connections = 2;
    config.work.render_threads = 1;
    config.post = Some(Post { drop_dir: dir.join("post"), ..Post::default() });
    for name in ["acme", "other", "trial"] {
        let token = dir.join(format!("{name}.token"));
        std::fs::write(&token, format!("{name}-token-0123456789-0123456789-0123456789")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        std::fs::set_permissions(&token, mode).unwrap();
        let tenant = Tenant {
            name: "株式会社青葉商事".into(),
            contact: Some("03-0000-0000".into()),
            users: vec![format!("{name}-app")],
            token: Some(SecretSource::path(token)),
            test_mode: name == "trial",
            ..Tenant::default()
        };
        config.tenants.insert(TenantId::parse(name).unwrap(), tenant);
    }
    config
}

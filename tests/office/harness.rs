//! An office for a test: real database, real SMTP, hand clock.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{Router, body::Body, http::Request};
use chrono::TimeDelta;
use kakitome::{
    app::{
        build::{self, Parts},
        catcher::{Catcher, CatcherSettings, CaughtMail, Script},
        desk::OfficeDesk,
        office::{Office, Press},
        pdf_child::ChildCheck,
        post, run,
        steps::{
            carry::Carry,
            codes::{Codes, SharedCarrier},
            tend::{GiveBack, Heartbeat},
        },
        web,
        worker::{Service, Tick},
    },
    clock::{Clock as _, HandClock},
    config::{Config, MailTls, Post, SecretSource, Tenant},
    domain::{
        ids::{JobId, TenantId},
        log::Kind,
        stage::Stage,
    },
    entropy::Entropy,
    intake::desk::{Incoming, Verdict},
    render::{PdfLimits, Renderer},
    retention::Believer,
    store::{
        Fuse,
        jobs::{self, JobRow},
        keyring::MasterKey,
        ledger,
    },
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

pub(crate) const EMAIL: &str = include_str!("../../docs/examples/email-invoice.json");
pub(crate) const LETTER: &str = include_str!("../../docs/examples/post-invoice.json");

/// The program, whose children look into PDFs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_kakitome");

/// What no file, log or queue may hold in clear.
pub(crate) const CANARY_ADDRESS: &str = "canary-4f1c@example.jp";
/// What no file, log or queue may hold in clear.
pub(crate) const CANARY_NAME: &str = "株式会社カナリア検査所";

/// Which database a journey runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Books {
    Sqlite,
    Postgres,
}

/// Declares journeys once and runs each on both databases.
macro_rules! journeys {
    ($($(#[doc = $doc:literal])* async fn $name:ident($books:ident: Books) $body:block)*) => {$(
        $(#[doc = $doc])*
        mod $name {
            use super::*;
            async fn walk($books: $crate::harness::Books) $body
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() { walk($crate::harness::Books::Sqlite).await; }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                if $crate::harness::postgres_is_there() {
                    walk($crate::harness::Books::Postgres).await;
                }
            }
        }
    )*};
}
pub(crate) use journeys;

#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn server(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|url| url != "off")
}

/// Whether a PostgreSQL was given. `tests/run` always gives one.
pub(crate) fn postgres_is_there() -> bool {
    let there = server("KAKITOME_TEST_POSTGRES").is_some();
    if !there {
        println!("PostgreSQL was not tried: KAKITOME_TEST_POSTGRES is not set (see tests/run)");
    }
    there
}

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

/// One renderer for all tests: its start costs more than a journey.
pub(crate) fn renderer() -> Arc<dyn Press> {
    static RENDERER: Mutex<Option<Arc<Renderer>>> = Mutex::new(None);
    let mut renderer = RENDERER.lock().unwrap();
    let renderer = renderer.get_or_insert_with(|| Arc::new(Renderer::bundled().unwrap()));
    renderer.clone()
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

/// A process of the office under test.
pub(crate) struct TestOffice<'w> {
    pub(crate) world: &'w World,
    pub(crate) office: Arc<Office>,
    pub(crate) desk: Arc<OfficeDesk>,
    pub(crate) services: Vec<Box<dyn Service>>,
    pub(crate) gateway: Router,
    pub(crate) api: Router,
}

/// A sample job under a key of its own, with canaries in it.
pub(crate) fn job(sample: &str, key: &str) -> Value {
    let mut job: Value = serde_json::from_str(sample).unwrap();
    let object = job.as_object_mut().unwrap();
    object.shift_remove("tenant");
    object.shift_remove("evidence");
    object.shift_remove("send_at");
    job["key"] = key.into();
    job["recipient"]["name"] = CANARY_NAME.into();
    job["document"]["data"]["recipient"]["name"] = CANARY_NAME.into();
    if job["channel"] == "email" {
        job["recipient"]["email"] = CANARY_ADDRESS.into();
    }
    job
}

impl TestOffice<'_> {
    /// Offers a job to the desk in the name of `tenant`.
    pub(crate) async fn offer(&self, tenant: &str, job: &Value) -> Verdict {
        let incoming = Incoming {
            tenant: Ok(TenantId::parse(tenant).unwrap()),
            body: serde_json::to_vec(job).unwrap(),
            sealed: false,
            flaw: None,
            trace: None,
        };
        self.desk.take(vec![incoming]).await.unwrap().pop().unwrap()
    }

    /// Enqueues a job of `acme` that must be taken.
    pub(crate) async fn enqueue(&self, job: &Value) -> JobId {
        self.enqueue_for("acme", job).await
    }

    /// Enqueues a job of `tenant` that must be taken.
    pub(crate) async fn enqueue_for(&self, tenant: &str, job: &Value) -> JobId {
        match self.offer(tenant, job).await {
            Verdict::Accepted { job, .. } => {
                self.world.jobs.lock().unwrap().push(job);
                job
            }
            other => panic!("the job was not taken: {other:?}"),
        }
    }

    /// Runs every step until nothing moves.
    pub(crate) async fn run(&mut self) {
        for _ in 0..500 {
            let mut moved = false;
            for service in &mut self.services {
                let tick = service.tick().await;
                let tick = tick.unwrap_or_else(|e| panic!("{}: {e:#}", service.name()));
                moved |= matches!(tick, Tick::Worked(_));
            }
            if !moved {
                return;
            }
        }
        panic!("the office does not come to rest");
    }

    /// Runs every step some times, whatever fails, with time between; tells
    /// what failed.
    pub(crate) async fn struggle(&mut self, rounds: usize) -> Vec<String> {
        let mut faults = Vec::new();
        for _ in 0..rounds {
            for service in &mut self.services {
                if let Err(fault) = service.tick().await {
                    faults.push(format!("{}: {fault:#}", service.name()));
                }
            }
            self.world.clock.advance(TimeDelta::seconds(6));
        }
        faults
    }

    /// Moves the clock, then runs.
    pub(crate) async fn after(&mut self, time: TimeDelta) {
        self.world.clock.advance(time);
        self.run().await;
    }

    /// A job's row; none when its whole month is purged.
    pub(crate) async fn find(&self, job: JobId) -> Option<JobRow> {
        let mut tx = self.office.db.read().await.unwrap();
        jobs::get(&mut tx, None, job).await.unwrap()
    }

    pub(crate) async fn row(&self, job: JobId) -> JobRow {
        self.find(job).await.expect("the job is on the books")
    }

    pub(crate) async fn stage(&self, job: JobId) -> Stage {
        self.row(job).await.stage
    }

    /// What the log says of a job, oldest first.
    pub(crate) async fn log(&self, job: JobId) -> Vec<Kind> {
        let mut tx = self.office.db.read().await.unwrap();
        let events = ledger::of_job(&mut tx, None, job).await.unwrap();
        events.into_iter().map(|event| event.row.kind).collect()
    }

    /// Mails that arrived, oldest first.
    pub(crate) fn mails(&self) -> Vec<Arc<CaughtMail>> {
        self.world.catcher.mails().into_iter().rev().collect()
    }

    /// The link in the newest mail.
    pub(crate) fn newest_link(&self) -> String {
        let mail = self.mails().pop().expect("a mail has arrived");
        let links = Catcher::links_of(&mail);
        links.into_iter().find(|link| link.contains("/d/")).expect("the mail holds a link")
    }

    /// Asks the recipients' pages.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        answer(self.gateway.clone(), request).await
    }

    /// Asks the applications' interface in the name of `tenant`.
    pub(crate) async fn ask(
        &self,
        tenant: &str,
        method: &str,
        path: &str,
        pdf: Option<Vec<u8>>,
    ) -> Answer {
        let token = format!("Bearer {tenant}-token-0123456789-0123456789-0123456789");
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", token);
        if pdf.is_some() {
            request = request.header("content-type", "application/pdf");
        }
        let request = request.body(pdf.map_or_else(Body::empty, Body::from)).unwrap();
        answer(self.api.clone(), request).await
    }

    /// Uploads a PDF for `acme` that must be taken, and tells its id.
    pub(crate) async fn upload(&self, pdf: &[u8]) -> String {
        let answer = self.ask("acme", "POST", "/v1/uploads", Some(pdf.to_vec())).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["upload"].as_str().unwrap().to_owned()
    }

    /// Opens a link as a person does: page, button, viewer, file.
    pub(crate) async fn open_link(&self, link: &str) -> Answer {
        match self.viewer(link).await {
            Ok(place) => self.get(&format!("{place}/file")).await,
            Err(answer) => answer,
        }
    }

    /// Opens a link; its viewer's address, or the page that says why not.
    pub(crate) async fn viewer(&self, link: &str) -> Result<String, Answer> {
        let path = link.strip_prefix("http://localhost").unwrap();
        let page = self.get(path).await;
        if page.status != 200 {
            return Err(page);
        }
        let form = format!("token={}&nonce={}", page.field("token"), page.field("nonce"));
        let request = Request::post("/o")
            .header("host", "localhost")
            .header("origin", "http://localhost")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        let opened = answer(self.gateway.clone(), request).await;
        match &opened.location {
            Some(place) => Ok(place.split('?').next().unwrap().to_owned()),
            None => Err(opened),
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> String {
        let text = self.text();
        let at = text.find(&format!("name=\"{name}\"")).expect("the field is there");
        let rest = &text[at..];
        let start = rest.find("value=\"").expect("it has a value") + 7;
        rest[start..].split('"').next().unwrap().to_owned()
    }
}

pub(crate) async fn answer(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let location = response.headers().get("location").map(|l| l.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), 64 << 20).await;
    Answer { status, location, body: body.map(|b| b.to_vec()).unwrap_or_default() }
}

/// Every file below a folder.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Noon of the world, for instants in jobs.
pub(crate) fn in_the_future(world: &World, days: i64) -> String {
    (world.clock.now() + TimeDelta::days(days)).to_rfc3339()
}

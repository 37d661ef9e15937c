//! An office for a test: real database, real SMTP, hand clock.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, http::Request};
use chrono::TimeDelta;
use kakitome::{
    app::{
        catcher::{Catcher, CaughtMail},
        desk::OfficeDesk,
        office::{Office, Press},
        worker::{Service, Tick},
    },
    clock::Clock as _,
    domain::{
        ids::{JobId, TenantId},
        log::Kind,
        stage::Stage,
    },
    intake::desk::{Incoming, Verdict},
    render::Renderer,
    store::{
        jobs::{self, JobRow},
        ledger,
    },
};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) use crate::world::World;

pub(crate) const EMAIL: &str = include_str!("../../docs/examples/email-invoice.json");
pub(crate) const LETTER: &str = include_str!("../../docs/examples/post-invoice.json");

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
pub(crate) fn server(name: &str) -> Option<String> {
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

/// One renderer for all tests: its start costs more than a journey.
pub(crate) fn renderer() -> Arc<dyn Press> {
    static RENDERER: Mutex<Option<Arc<Renderer>>> = Mutex::new(None);
    let mut renderer = RENDERER.lock().unwrap();
    let renderer = renderer.get_or_insert_with(|| Arc::new(Renderer::bundled().unwrap()));
    renderer.clone()
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

    /// Lets some steps tick four times in turn, whatever becomes of them: a process
    /// that dies somewhere in there.
    pub(crate) async fn falter(&mut self, steps: [&str; 3]) {
        for name in [steps; 4].concat() {
            for service in self.services.iter_mut().filter(|service| service.name() == name) {
                drop(service.tick().await);
            }
        }
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

//! A house with a gateway, an interface and a few sealed deliveries.

use std::{net::SocketAddr, sync::Arc};

use kakitome::{
    api,
    blobs::Blobs,
    clock::{Clock as _, HandClock},
    domain::{
        ids::{Epoch, JobId, TenantId},
        log::{Actor, Kind},
    },
    entropy::Entropy,
    gateway::{self, Gateway, GatewaySettings},
    store::{
        Db, DbOptions,
        keyring::{KeyRing, MasterKey},
        ledger::{self, EventDraft, EventRow, Scribe, StoredEvent},
        links::{self, LinkRow},
        outbox::Announce,
        retention::{self, PurgeJob},
        work,
    },
};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::{
    letters::Delivery,
    stand_ins::{Breaker, Counter, Ear, Herald, Names, Shut},
};

/// The house.
pub(crate) struct House {
    /// The address of the pages, without a slash at its end.
    pub(crate) url: String,
    /// The address of the interface.
    pub(crate) api_url: String,
    pub(crate) client: reqwest::Client,
    pub(crate) db: Db,
    pub(crate) keys: KeyRing,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) entropy: Entropy,
    pub(crate) scribe: Scribe,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) gateway: Gateway,
    pub(crate) ear: Arc<Ear>,
    pub(crate) epoch: Epoch,
    /// The address of the database.
    pub(crate) database: String,
    pub(crate) folder: tempfile::TempDir,
    servers: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.servers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// The token of `acme`.
pub(crate) const ACME: &str = "acme-token-0123456789-0123456789-01";
/// The token of `other`.
pub(crate) const OTHER: &str = "other-token-0123456789-0123456789-0";

/// A tenant's id.
pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// A new database on the test server, if there is one.
#[expect(clippy::disallowed_methods, reason = "a test's setting")]
pub(crate) fn postgres_url() -> Option<String> {
    let Ok(server) = std::env::var("KAKITOME_TEST_POSTGRES") else {
        eprintln!("NOT RUN: KAKITOME_TEST_POSTGRES names no server");
        return None;
    };
    let name = format!("kk_visitors_{}", uuid::Uuid::now_v7().simple());
    let made = std::process::Command::new("psql")
        .arg(format!("{server}/postgres"))
        .args(["-qc", &format!("CREATE DATABASE {name}")])
        .status();
    assert!(made.unwrap().success(), "a database can be made");
    Some(format!("{server}/{name}"))
}

impl House {
    /// A house on a fresh SQLite file.
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("office.db").display());
        Self::on(url, folder).await
    }

    /// A house on the database at `url`.
    pub(crate) async fn on(url: String, folder: tempfile::TempDir) -> Self {
        let start = "2026-11-21T03:00:00Z".parse().unwrap();
        let clock = Arc::new(HandClock::starting_at(start));
        let entropy = Entropy::from_os().unwrap();
        let breaker = Arc::new(Breaker::default());
        let db = Db::open(&url, DbOptions::default()).await.unwrap();
        db.migrate().await.unwrap();
        db.ensure_months(start).await.unwrap();
        let db = db.with_fuse(breaker.clone());
        let keys_url = format!("sqlite:{}", folder.path().join("keys.db").display());
        let master = MasterKey::from_bytes(Zeroizing::new(vec![7; 32])).unwrap();
        let keys = KeyRing::open(&keys_url, master, clock.clone(), entropy.clone()).await.unwrap();
        let blobs = Blobs::files(folder.path().join("seg"), 1 << 30, entropy.clone()).unwrap();
        let scribe = Scribe::new(entropy.clone());
        let ear = Arc::new(Ear::default());
        let herald = Arc::new(Herald { ear: ear.clone(), breaker: breaker.clone() });

        let epoch = Epoch(entropy.id(start).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public_url = format!("http://{}", listener.local_addr().unwrap());
        let settings = GatewaySettings {
            public_url: public_url.clone(),
            trusted_proxies: vec!["127.0.0.0/8".into()],
            brands: std::collections::BTreeMap::new(),
            limits: gateway::Limits::default(),
        };
        let parts = gateway::Parts {
            db: db.clone(),
            keys: keys.clone(),
            blobs: blobs.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            epoch,
            scribe: scribe.clone(),
            tenants: Arc::new(Names),
            announce: herald.clone(),
            meter: ear.clone(),
        };
        let gateway = Gateway::new(&settings, parts).unwrap();
        let pages = serve(listener, gateway::router(gateway.clone()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap());
        let heard = ear.clone();
        let counter = JobId(entropy.id(start).unwrap());
        let parts = api::Parts {
            db: db.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            scribe: scribe.clone(),
            desk: Arc::new(Counter(counter)),
            uploads: Arc::new(Shut),
            announce: herald,
            tokens: api::Tokens::default()
                .with(tenant("acme"), ACME.as_bytes())
                .with(tenant("other"), OTHER.as_bytes()),
            limits: api::Limits::default(),
            answered: Arc::new(move |route, status| {
                heard.answers.lock().unwrap().push((route, status));
            }),
        };
        let interface = serve(listener, api::router(parts));

        Self {
            url: public_url,
            api_url,
            client: client(),
            db,
            keys,
            blobs,
            clock,
            entropy,
            scribe,
            breaker,
            gateway,
            ear,
            epoch,
            database: url,
            folder,
            servers: vec![pages, interface],
        }
    }

    /// What makes the result events of this house.
    pub(crate) fn herald(&self) -> Arc<dyn Announce> {
        Arc::new(Herald { ear: self.ear.clone(), breaker: self.breaker.clone() })
    }

    /// A row of the log about a delivery.
    pub(crate) fn told(&self, tenant: &TenantId, job: JobId, kind: Kind, actor: Actor) -> EventRow {
        self.scribe.event(EventDraft::of_job(tenant, job, self.clock.now(), kind, actor)).unwrap()
    }

    /// The row of a delivery's link.
    pub(crate) async fn link(&self, delivery: &Delivery) -> LinkRow {
        let mut tx = self.db.read().await.unwrap();
        let (day, print) = links::of_job(&mut tx, delivery.job).await.unwrap().remove(0);
        links::find(&mut tx, day, &print).await.unwrap().unwrap().link
    }

    /// What the log says about a delivery, oldest first.
    pub(crate) async fn log(&self, delivery: &Delivery) -> Vec<StoredEvent> {
        let mut tx = self.db.read().await.unwrap();
        ledger::of_job(&mut tx, None, delivery.job).await.unwrap()
    }

    /// How often the log says `kind` about a delivery.
    pub(crate) async fn said(&self, delivery: &Delivery, kind: Kind) -> usize {
        self.log(delivery).await.iter().filter(|event| event.row.kind == kind).count()
    }

    /// Takes a document back.
    pub(crate) async fn recall(&self, delivery: &Delivery) {
        let event = self.told(&delivery.tenant, delivery.job, Kind::Recalled, Actor::Operator);
        let mut tx = self.db.begin().await.unwrap();
        work::recall(&mut tx, delivery.job, self.clock.now(), event, &[]).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Destroys a delivery's rows, as on its day.
    pub(crate) async fn purge(&self, delivery: &Delivery) {
        let event = self.told(&delivery.tenant, delivery.job, Kind::Purged, Actor::Retention);
        let item = PurgeJob { id: delivery.job, reason: None, event };
        let mut tx = self.db.begin().await.unwrap();
        let now = self.clock.now();
        let gone = retention::purge(&mut tx, now, &[item], &[]).await.unwrap();
        assert_eq!(gone, [delivery.job], "purged");
        tx.commit().await.unwrap();
    }

    /// Fetches a path of the pages.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// Fetches a link's page and gives the nonce of its form.
    pub(crate) async fn nonce(&self, delivery: &Delivery) -> String {
        let page = self.get(&format!("/d/{}", delivery.token)).await.text().await.unwrap();
        let at = page.find("name=\"nonce\" value=\"").unwrap() + 20;
        page[at..].split('"').next().unwrap().to_owned()
    }

    /// Sends the form of a link's page, as a browser would.
    pub(crate) async fn press(&self, delivery: &Delivery, nonce: &str) -> reqwest::Response {
        self.form(
            &[("token", &delivery.token), ("nonce", nonce), ("lang", "en")],
            &[("origin", &self.url), ("sec-fetch-site", "same-origin")],
        )
        .await
    }

    /// Sends a form with these fields and headers.
    pub(crate) async fn form(
        &self,
        fields: &[(&str, &str)],
        headers: &[(&'static str, &str)],
    ) -> reqwest::Response {
        self.form_to("/o", fields, headers).await
    }

    /// Sends a form to a path.
    pub(crate) async fn form_to(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&'static str, &str)],
    ) -> reqwest::Response {
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self
            .client
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Opens a delivery and gives the path of its session.
    pub(crate) async fn open(&self, delivery: &Delivery) -> String {
        let nonce = self.nonce(delivery).await;
        let response = self.press(delivery, &nonce).await;
        assert_eq!(response.status(), 303, "the button works");
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        location.split('?').next().unwrap().to_owned()
    }
}

fn client() -> reqwest::Client {
    // Twice is an error, and harmless.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's server")]
fn serve(listener: TcpListener, router: axum::Router) -> tokio::task::JoinHandle<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() })
}

/// Makes a test of each claim on each database.
#[macro_export]
macro_rules! on_both {
    ($($claim:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                super::$claim($crate::house::House::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                if let Some(url) = $crate::house::postgres_url() {
                    let folder = tempfile::tempdir().unwrap();
                    super::$claim($crate::house::House::on(url, folder).await).await;
                }
            })*
        }
    };
}

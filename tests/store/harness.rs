//! Opens a fresh, migrated database of either kind, and makes the rows that
//! tests are about.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use kakitome::{
    clock::{Clock as _, HandClock},
    domain::{
        ids::{Epoch, JobId, SegmentId, TenantId},
        job::Channel,
        log::{Actor, Kind},
    },
    entropy::Entropy,
    store::{
        Db, DbOptions, StoreError, Tx,
        jobs::{self, JobRow, NewEvidence, NewJob, Taken},
        ledger::{EventDraft, EventRow, Scribe},
        outbox::OutboxRow,
        work::{self, DispatchedJob, NewLink, Next, SealedJob, SealedMail},
    },
};
use sha2::{Digest as _, Sha256};
use sqlx::Connection as _;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A desk with a fresh database, a hand clock and an epoch of its own.
pub(crate) struct Office {
    pub(crate) db: Db,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) entropy: Entropy,
    pub(crate) epoch: Epoch,
    /// For statements that the store does not offer; `None` in memory.
    pub(crate) url: String,
    _dir: Option<tempfile::TempDir>,
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Office(..)")
    }
}

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

impl Office {
    /// Boxed, like the other futures here that every test awaits, so that each
    /// is compiled once and not into every test.
    fn on(url: String, dir: Option<tempfile::TempDir>) -> BoxFuture<'static, Self> {
        Box::pin(Self::open(url, dir))
    }

    async fn open(url: String, dir: Option<tempfile::TempDir>) -> Self {
        let db = Db::open(&url, DbOptions::default()).await.unwrap();
        db.migrate().await.unwrap();
        db.ensure_months(noon()).await.unwrap();
        let entropy = Entropy::from_os().unwrap();
        let epoch = Epoch(entropy.id(noon()).unwrap());
        Self { db, clock: Arc::new(HandClock::starting_at(noon())), entropy, epoch, url, _dir: dir }
    }

    pub(crate) async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("office.db").display());
        Self::on(url, Some(dir)).await
    }

    pub(crate) async fn in_memory() -> Self {
        Self::on("sqlite::memory:".to_owned(), None).await
    }

    /// A database of its own on the test server.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = postgres_server()?;
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = sqlx::PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new("CREATE DATABASE ");
        sql.push(&name);
        sql.build().persistent(false).execute(&mut admin).await.unwrap();
        Some(Self::on(format!("{server}/{name}"), None).await)
    }

    /// The same database through fresh connections.
    pub(crate) async fn reopened(self) -> Self {
        let db = Db::open(&self.url, DbOptions::default()).await.unwrap();
        Self { db, ..self }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn another_epoch(&self) -> Epoch {
        Epoch(self.entropy.id(self.now()).unwrap())
    }

    pub(crate) fn segment(&self) -> SegmentId {
        SegmentId(self.entropy.id(self.now()).unwrap())
    }

    /// Runs `body` in a transaction and commits it.
    pub(crate) async fn write<T>(
        &self,
        body: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> T {
        let mut tx = self.begin().await;
        let value = body(&mut tx).await.unwrap();
        commit(tx).await;
        value
    }

    fn begin(&self) -> BoxFuture<'_, Tx> {
        Box::pin(async { self.db.begin().await.unwrap() })
    }

    fn begin_reading(&self) -> BoxFuture<'_, Tx> {
        Box::pin(async { self.db.read().await.unwrap() })
    }

    /// Runs `body` in a transaction that only reads.
    pub(crate) async fn read<T>(
        &self,
        body: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> T {
        let mut tx = self.begin_reading().await;
        body(&mut tx).await.unwrap()
    }

    pub(crate) fn event(&self, tenant: &TenantId, job: JobId, kind: Kind) -> EventRow {
        let draft = EventDraft::of_job(tenant, job, self.now(), kind, Actor::Worker);
        Scribe::new(self.entropy.clone()).event(draft).unwrap()
    }

    pub(crate) fn event_of(&self, job: &NewJob, kind: Kind) -> EventRow {
        self.event(&job.tenant, job.id, kind)
    }

    /// A checked job of `tenant` under `key`, leased to nobody.
    pub(crate) fn job(&self, tenant: &str, key: &str) -> NewJob {
        let tenant = TenantId::parse(tenant).unwrap();
        let now = self.now();
        let id = JobId(self.entropy.id(now).unwrap());
        let print: [u8; 32] = Sha256::digest(format!("{tenant}/{key}")).into();
        NewJob {
            id,
            channel: Channel::Email,
            test_mode: false,
            accepted_at: now,
            send_at: now,
            purge_day: 20_800,
            wrapped_key: vec![1; 60],
            personal: vec![2; 200],
            payload: vec![3; 400],
            trace: None,
            dedupe_print: print[..16].try_into().unwrap(),
            payload_mac: Sha256::digest(key).into(),
            lease: false,
            evidence: NewEvidence {
                recipient_index: print[16..].try_into().unwrap(),
                number: Some(format!("INV-{key}")),
                transaction_day: Some(20_778),
                amount_minor: Some(108_000),
                currency: Some("JPY".to_owned()),
                counterparty_index: Some(print[16..].try_into().unwrap()),
                counterparty: Some(vec![4; 40]),
                counterparty_code: None,
                evidence_year: 2026,
            },
            event: self.event(&tenant, id, Kind::Accepted),
            tenant,
        }
    }

    /// A job that is leased to this epoch at once.
    pub(crate) fn leased(&self, tenant: &str, key: &str) -> NewJob {
        NewJob { lease: true, ..self.job(tenant, key) }
    }

    pub(crate) fn letter(&self, tenant: &str, key: &str) -> NewJob {
        NewJob { channel: Channel::Post, ..self.leased(tenant, key) }
    }

    pub(crate) fn note(&self, job: &NewJob) -> OutboxRow {
        OutboxRow {
            id: self.entropy.id(self.now()).unwrap(),
            job: Some(job.id),
            routing_key: format!("delivery.sealed.{}", job.tenant),
            sealed: vec![5; 100],
        }
    }

    pub(crate) async fn accept(&self, jobs: &[NewJob]) -> Vec<Taken> {
        jobs::accept_now(&self.db, self.epoch, jobs, &[]).await.unwrap()
    }

    pub(crate) fn link(&self, job: &NewJob) -> NewLink {
        NewLink {
            day: job.accepted_at.timestamp() / 86_400,
            print: Sha256::digest(job.id.0).to_vec(),
            expires_at: self.now() + TimeDelta::days(14),
            max_opens: 5,
            reminder: None,
        }
    }

    pub(crate) fn sealed(&self, job: &NewJob) -> SealedJob {
        SealedJob {
            job: job.id,
            artifact_offset: 4_096,
            artifact_len: 40_000,
            mail: Some(SealedMail { offset: 44_096, len: 2_000, hour: 498_684 }),
            pdf_len: 39_000,
            pdf_sha256: [6; 32],
            pages: 2,
            template: Some("invoice@1".to_owned()),
            renderer: Some("0.1.0".to_owned()),
            link: Some(self.link(job)),
            next: Next::SendNow,
            event: self.event_of(job, Kind::Sealed),
        }
    }

    pub(crate) fn sealed_letter(&self, job: &NewJob, run_at: DateTime<Utc>) -> SealedJob {
        SealedJob {
            mail: None,
            link: None,
            next: Next::HandOver { run_at, partner: "press".to_owned() },
            ..self.sealed(job)
        }
    }

    /// Seals jobs that this epoch holds; answers the segment.
    pub(crate) async fn seal(&self, jobs: &[&NewJob]) -> SegmentId {
        let segment = self.segment();
        let sealed: Vec<_> = jobs.iter().map(|job| self.sealed(job)).collect();
        let held = work::seal_now(&self.db, self.epoch, self.now(), segment, &sealed, &[]);
        assert_eq!(held.await.unwrap().len(), jobs.len(), "every row was held");
        segment
    }

    pub(crate) fn dispatched(&self, job: &NewJob) -> DispatchedJob {
        DispatchedJob {
            job: job.id,
            dispatched_at: self.now(),
            purge_at: self.now() + TimeDelta::days(31),
            purge_day: 20_809,
            rewrapped: Some(vec![7; 60]),
            event: self.event_of(job, Kind::Dispatched),
        }
    }

    /// Takes a job all the way to its 250.
    pub(crate) async fn deliver(&self, tenant: &str, key: &str) -> NewJob {
        let job = self.leased(tenant, key);
        self.accept(std::slice::from_ref(&job)).await;
        self.seal(&[&job]).await;
        let sent = [self.dispatched(&job)];
        work::dispatched_now(&self.db, self.epoch, &sent, &[]).await.unwrap();
        job
    }

    /// Claims up to `limit` rows of any step for a worker of its own.
    pub(crate) async fn claim(&self, limit: i64) -> Vec<work::Leased> {
        let mut cursor = String::new();
        let (epoch, now, steps) = (self.another_epoch(), self.now(), work::Step::ALL);
        self.write(async |tx| work::claim(tx, epoch, now, &steps, limit, limit, &mut cursor).await)
            .await
    }

    pub(crate) async fn row(&self, job: JobId) -> JobRow {
        self.read(async |tx| jobs::get(tx, None, job).await).await.unwrap()
    }

    pub(crate) async fn kinds(&self, job: JobId) -> Vec<Kind> {
        use kakitome::store::ledger;
        let events = self.read(async |tx| ledger::of_job(tx, None, job).await).await;
        events.into_iter().map(|event| event.row.kind).collect()
    }

    pub(crate) async fn work(&self, job: JobId) -> Option<work::WorkRow> {
        self.write(async |tx| work::lock(tx, job).await).await
    }
}

fn commit(tx: Tx) -> BoxFuture<'static, ()> {
    Box::pin(async { tx.commit().await.unwrap() })
}

/// The server to test on; nothing when it is switched off by name.
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn postgres_server() -> Option<String> {
    match std::env::var("KAKITOME_TEST_POSTGRES") {
        Ok(word) if word == "off" => None,
        Ok(server) => Some(server.trim_end_matches('/').to_owned()),
        Err(_) => panic!(
            "PostgreSQL was not tried: set KAKITOME_TEST_POSTGRES to postgres://user@host:port \
             (tests/run does), or to `off`"
        ),
    }
}

/// A contract, to be checked against an office.
type Check = fn(&Office) -> BoxFuture<'_, ()>;

/// Checks a contract on SQLite.
pub(crate) fn on_sqlite(check: Check) {
    runtime().block_on(async { check(&Office::sqlite().await).await });
}

/// Checks a contract on PostgreSQL, unless that is switched off.
pub(crate) fn on_postgres(check: Check) {
    runtime().block_on(async {
        if let Some(office) = Office::postgres().await {
            check(&office).await;
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Declares a contract once and checks it on every database.
macro_rules! contract {
    ($($(#[doc = $doc:literal])* async fn $name:ident($office:ident: &Office) $body:block)*) => {$(
        $(#[doc = $doc])*
        mod $name {
            use super::*;
            use crate::harness;
            fn check($office: &Office) -> futures::future::BoxFuture<'_, ()> {
                Box::pin(async move $body)
            }
            #[test]
            fn on_sqlite() { harness::on_sqlite(check); }
            #[test]
            fn on_postgres() { harness::on_postgres(check); }
        }
    )*};
}
pub(crate) use contract;

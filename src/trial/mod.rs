//! A small office for tests: real books, keys and blobs, a clock moved by
//! hand, and verbs of the domain. Every claim is tried on both databases.

#![expect(clippy::arithmetic_side_effects, reason = "tests count small things")]

mod segments;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    blobs::Blobs,
    clock::{Clock as _, HandClock},
    crypto::{
        delivery::{DeliveryKey, artifact_aad},
        stream,
    },
    domain::{
        calendar::retention::RetentionClock,
        ids::{Epoch, EventId, JobId, SegmentId, TenantId},
        job::Channel,
        log::{Actor, Kind},
        personal::Personal,
    },
    entropy::Entropy,
    store::{
        Db, Fuse,
        jobs::{self, JobRow, NewEvidence, NewJob},
        keyring::{KeyRing, MasterKey, Service, hours},
        ledger::{self, EventDraft, EventRow, Scribe},
        trial::Trial,
        work::{self, DispatchedJob, NewLink, Next, SealedJob, SealedMail},
    },
};

/// An office with everything but loops.
pub(crate) struct Office {
    pub(crate) db: Db,
    pub(crate) keys: KeyRing,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) entropy: Entropy,
    pub(crate) scribe: Scribe,
    pub(crate) epoch: Epoch,
    trial: Trial,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) tenant: TenantId,
    pub(crate) zone: Tz,
    pub(crate) channel: Channel,
    pub(crate) send_at: DateTime<Utc>,
    pub(crate) pdf: Vec<u8>,
    pub(crate) pages: i64,
    pub(crate) address: String,
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Makes a test of each claim on each database. Each claim takes an office.
macro_rules! on_both {
    ($start:expr => $($claim:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim($crate::trial::Office::sqlite($start).await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $claim() {
                if let Some(office) = $crate::trial::Office::postgres($start).await {
                    super::$claim(office).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;

impl Office {
    pub(crate) async fn sqlite(start: &str) -> Self {
        Self::open(Trial::sqlite().await, at(start)).await
    }

    pub(crate) async fn postgres(start: &str) -> Option<Self> {
        let trial = Trial::postgres().await?;
        Some(Self::open(trial, at(start)).await)
    }

    async fn open(trial: Trial, start: DateTime<Utc>) -> Self {
        let clock = Arc::new(HandClock::starting_at(start));
        let entropy = Entropy::from_os().unwrap();
        let folder = trial.folder.path();
        let master = MasterKey::from_bytes(Zeroizing::new(vec![7; 32])).unwrap();
        let keys_url = format!("sqlite:{}", folder.join("keys.db").display());
        let keys = KeyRing::open(&keys_url, master, clock.clone(), entropy.clone()).await.unwrap();
        let blobs =
            Blobs::files(folder.join("blobs"), Blobs::SEGMENT_BYTES_MAX, entropy.clone()).unwrap();
        let epoch = Epoch(entropy.id(start).unwrap());
        let scribe = Scribe::new(entropy.clone());
        let office =
            Self { db: trial.db.clone(), keys, blobs, clock, entropy, scribe, epoch, trial };
        office.ensure_months().await;
        office
    }

    /// The same books, broken where `fuse` says.
    pub(crate) fn db_with(&self, fuse: Arc<dyn Fuse>) -> Db {
        self.db.clone().with_fuse(fuse)
    }

    /// A folder of the test's.
    pub(crate) fn folder(&self, name: &str) -> std::path::PathBuf {
        self.trial.folder.path().join(name)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) async fn set(&self, instant: DateTime<Utc>) {
        self.clock.set(instant);
        self.ensure_months().await;
    }

    pub(crate) async fn wait(&self, time: TimeDelta) {
        self.set(self.now() + time).await;
    }

    async fn ensure_months(&self) {
        self.db.ensure_months(self.now()).await.unwrap();
    }

    /// An order for a mail that is to leave now.
    pub(crate) fn mail(&self, name: &str, zone: Tz) -> Order {
        Order {
            tenant: tenant(name),
            zone,
            channel: Channel::Email,
            send_at: self.now(),
            pdf: b"%PDF-1.7 CANARY-DOCUMENT".to_vec(),
            pages: 1,
            address: "CANARY-STREET 1-1".to_owned(),
        }
    }

    /// An order for a letter.
    pub(crate) fn letter(&self, name: &str) -> Order {
        Order { channel: Channel::Post, ..self.mail(name, Tz::Asia__Tokyo) }
    }

    /// Takes a job on the books, leased to us.
    pub(crate) async fn accept(&self, order: &Order) -> JobId {
        let now = self.now();
        let id = JobId(self.entropy.id(now).unwrap());
        let key = DeliveryKey::draw(&self.entropy).unwrap();
        let purge = RetentionClock::ONE_MONTH.purge(order.send_at.max(now), order.zone).unwrap();
        let service = service(order.channel);
        let day = self.keys.day_key(&order.tenant, service, purge.purge_day).await.unwrap();
        let wrapped_key = key.wrap(&day, &order.tenant, id, &self.entropy).unwrap();
        let personal = Personal {
            key: format!("CANARY-KEY-{id}"),
            recipient_name: "株式会社CANARY".to_owned(),
            postal_code: Some("1000001".to_owned()),
            address_lines: vec![order.address.clone()],
            ..Personal::default()
        };
        let personal = personal.to_bytes().unwrap();
        let job = NewJob {
            id,
            tenant: order.tenant.clone(),
            channel: order.channel,
            test_mode: false,
            accepted_at: now,
            send_at: order.send_at,
            purge_day: purge.purge_day,
            wrapped_key,
            personal: key.seal_personal(id, &personal, &self.entropy).unwrap(),
            payload: key.seal_payload(id, b"CANARY-PAYLOAD", &self.entropy).unwrap(),
            trace: None,
            dedupe_print: self.entropy.array().unwrap(),
            payload_mac: [0; 32],
            lease: true,
            evidence: evidence(),
            event: self.event(&order.tenant, id, Kind::Accepted),
        };
        let taken = jobs::accept_now(&self.db, self.epoch, &[job], &[]).await.unwrap();
        assert_eq!(taken, [jobs::Taken::Fresh], "accepted");
        id
    }

    /// Seals the document of an accepted job and writes down what comes next.
    pub(crate) async fn seal(&self, order: &Order, id: JobId, next: Next) -> SegmentId {
        let now = self.now();
        let row = self.job(id).await;
        let key = self.delivery_key(&row).await.expect("an accepted job has a key");
        let aad = artifact_aad(&row.tenant, id);
        let sealed = stream::seal(&key.artifact_key(), &aad, &order.pdf, &self.entropy).unwrap();
        let hour = hours::mail_hour(now);
        self.keys.mail_key(hour).await.unwrap();
        let batch = vec![sealed, b"sealed mail".to_vec()];
        let appended = self.blobs.append(now, batch).await.unwrap();
        let number = |n: u64| i64::try_from(n).unwrap();
        let mail = matches!(next, Next::SendNow).then(|| SealedMail {
            offset: number(appended.places[1].offset),
            len: number(appended.places[1].len),
            hour,
        });
        let link = mail.is_some().then(|| NewLink {
            day: now.timestamp().div_euclid(86_400),
            print: Sha256::digest(id.0.as_bytes()).to_vec(),
            expires_at: now + TimeDelta::days(14),
            max_opens: 5,
            reminder: None,
        });
        let sealed = SealedJob {
            job: id,
            artifact_offset: number(appended.places[0].offset),
            artifact_len: number(appended.places[0].len),
            mail,
            pdf_len: i64::try_from(order.pdf.len()).unwrap(),
            pdf_sha256: Sha256::digest(&order.pdf).into(),
            pages: order.pages,
            template: None,
            renderer: None,
            link,
            next,
            event: self.event(&row.tenant, id, Kind::Sealed),
        };
        let segment = appended.segment;
        let held =
            work::seal_now(&self.db, self.epoch, now, segment, &[sealed], &[]).await.unwrap();
        assert_eq!(held, [id], "sealed");
        segment
    }

    /// The relay took it now: the clock starts.
    pub(crate) async fn dispatch(&self, order: &Order, id: JobId) -> DateTime<Utc> {
        let now = self.now();
        let row = self.job(id).await;
        let purge = RetentionClock::ONE_MONTH.purge(now, order.zone).unwrap();
        let rewrapped = if purge.purge_day > row.purge_day {
            let key = self.delivery_key(&row).await.unwrap();
            let service = service(row.channel);
            let day = self.keys.day_key(&row.tenant, service, purge.purge_day).await.unwrap();
            Some(key.wrap(&day, &row.tenant, id, &self.entropy).unwrap())
        } else {
            None
        };
        let job = DispatchedJob {
            job: id,
            dispatched_at: now,
            purge_at: purge.purge_at,
            purge_day: purge.purge_day.max(row.purge_day),
            rewrapped,
            event: self.event(&row.tenant, id, Kind::Dispatched),
        };
        work::dispatched_now(&self.db, self.epoch, &[job], &[]).await.unwrap();
        purge.purge_at
    }

    /// The whole way to a dispatched mail.
    pub(crate) async fn sent(&self, order: &Order) -> JobId {
        let id = self.accept(order).await;
        self.seal(order, id, Next::SendNow).await;
        self.dispatch(order, id).await;
        id
    }

    /// A person has to look at it.
    pub(crate) async fn park(&self, id: JobId) {
        let row = self.job(id).await;
        let event = self.event(&row.tenant, id, Kind::Parked);
        let mut tx = self.db.begin().await.unwrap();
        assert!(
            work::park(&mut tx, None, id, "relay_refused", event, &[]).await.unwrap(),
            "parked"
        );
        tx.commit().await.unwrap();
    }

    /// The sender takes it back before it leaves.
    pub(crate) async fn cancel(&self, id: JobId) -> work::CancelAnswer {
        let row = self.job(id).await;
        let event = self.event(&row.tenant, id, Kind::Cancelled);
        let mut tx = self.db.begin().await.unwrap();
        let answer = work::cancel(&mut tx, id, self.now(), event, &[]).await.unwrap();
        tx.commit().await.unwrap();
        answer
    }

    pub(crate) async fn job(&self, id: JobId) -> JobRow {
        self.find(id).await.expect("the job is on the books")
    }

    pub(crate) async fn find(&self, id: JobId) -> Option<JobRow> {
        let mut tx = self.db.read().await.unwrap();
        jobs::get(&mut tx, None, id).await.unwrap()
    }

    /// The key of a delivery; none when it does not open any more.
    pub(crate) async fn delivery_key(&self, row: &JobRow) -> Option<DeliveryKey> {
        let service = service(row.channel);
        let day = self.keys.existing_day_key(&row.tenant, service, row.purge_day).await.ok()?;
        DeliveryKey::unwrap(&day, &row.tenant, row.id, row.wrapped_key.as_ref()?).ok()
    }

    /// What the log says of a delivery.
    pub(crate) async fn log(&self, id: JobId) -> Vec<Kind> {
        let mut tx = self.db.read().await.unwrap();
        let events = ledger::of_job(&mut tx, None, id).await.unwrap();
        events.into_iter().map(|event| event.row.kind).collect()
    }

    /// Ids of the log's events of one kind.
    pub(crate) async fn logged(&self, kind: Kind) -> Vec<EventId> {
        let search = ledger::Search { kind: Some(kind), limit: 1_000, ..ledger::Search::default() };
        let mut tx = self.db.read().await.unwrap();
        let found = ledger::search(&mut tx, &search).await.unwrap();
        found.into_iter().map(|found| found.event.row.id).collect()
    }

    fn event(&self, tenant: &TenantId, id: JobId, kind: Kind) -> EventRow {
        let draft = EventDraft::of_job(tenant, id, self.now(), kind, Actor::Worker);
        self.scribe.event(draft).unwrap()
    }
}

fn service(channel: Channel) -> Service {
    match channel {
        Channel::Email => Service::Mail,
        Channel::Post => Service::Postal,
    }
}

fn evidence() -> NewEvidence {
    NewEvidence {
        recipient_index: [0; 16],
        number: None,
        transaction_day: None,
        amount_minor: None,
        currency: None,
        counterparty_index: None,
        counterparty: None,
        counterparty_code: None,
        evidence_year: 2026,
    }
}

/// Fails at the n-th point it is asked at, once.
#[derive(Debug)]
pub(crate) struct FailsAt(pub(crate) std::sync::atomic::AtomicI64);

impl FailsAt {
    pub(crate) fn the(number: i64) -> Arc<Self> {
        Arc::new(Self(number.into()))
    }

    /// Whether the failure has happened.
    pub(crate) fn blew(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst) < 0
    }
}

impl Fuse for FailsAt {
    fn check(&self, _point: &'static str) -> Result<(), crate::store::Blown> {
        let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        if left == 0 { Err(crate::store::Blown) } else { Ok(()) }
    }
}

/// A job id that is nobody's.
pub(crate) fn nobody() -> JobId {
    JobId(Uuid::from_u128(1))
}

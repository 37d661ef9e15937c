//! One life of an office: what happens is up to the dice.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::Ordering},
};

use chrono::TimeDelta;
use kakitome::{
    app::{
        build::{self, Parts},
        catcher::{Catcher, CatcherSettings},
        desk::OfficeDesk,
        office::{Office, Press},
        run,
        steps::{
            carry::Carry,
            tend::{GiveBack, Heartbeat},
        },
        web,
        worker::{Service, Tick},
    },
    clock::Clock as _,
    config::{Config, MailTls, SecretSource, Tenant},
    domain::log::{Actor, Kind},
    domain::{
        ids::{JobId, TenantId},
        pdf::PdfFacts,
        stage::Stage,
    },
    entropy::Entropy,
    intake::desk::{Incoming, Verdict},
    render::{AddressPage, Order, RenderError, Rendered},
    retention::Believer,
    store::{
        Db,
        keyring::MasterKey,
        ledger::{DetailKey, EventDraft},
        work,
    },
};

use crate::{
    carrier::Faulty,
    laws,
    world::{Death, World},
};

const INVOICE: &str = include_str!("../../docs/examples/email-invoice.json");
/// Steps of the dice in one life.
const STEPS: u64 = 120;
/// Rounds in which a step finds work without time moving: a life has about a
/// hundred jobs, each with a handful of steps.
const ROUNDS_MAX: u32 = 5_000;

/// What a life told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) jobs: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused: u64,
    pub(crate) crashes: u64,
    pub(crate) mails: u64,
    pub(crate) ambiguous: u64,
    pub(crate) parked: u64,
    pub(crate) cancelled: u64,
}

impl Told {
    pub(crate) fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.crashes += other.crashes;
        self.mails += other.mails;
        self.ambiguous += other.ambiguous;
        self.parked += other.parked;
        self.cancelled += other.cancelled;
    }
}

/// Renders next to nothing, sometimes badly.
struct Sheet;

impl Sheet {
    fn rendered(order: &Order<'_>) -> Result<Rendered, RenderError> {
        let number = order.data["number"].as_str().unwrap_or_default();
        assert!(!number.ends_with("13"), "a job that ends its worker");
        let pdf = format!("%PDF-1.7 {number} canary-document").into_bytes();
        Ok(Rendered {
            pdf: pdf.into(),
            pages: 1,
            template: "sheet@0".into(),
            renderer: "sheet".into(),
        })
    }
}

impl Press for Sheet {
    fn render(&self, order: &Order<'_>) -> Result<Rendered, RenderError> {
        Self::rendered(order)
    }

    fn adopt(
        &self,
        _: kakitome::domain::plain::Plain,
        _: PdfFacts,
        _: Option<&AddressPage>,
    ) -> Result<Rendered, RenderError> {
        Err(RenderError::NoTemplate)
    }

    fn has_template(&self, _: &str) -> bool {
        true
    }
}

/// One process of the office.
pub(crate) struct Process {
    pub(crate) office: Arc<Office>,
    pub(crate) desk: OfficeDesk,
    pub(crate) services: Vec<Box<dyn Service>>,
    pub(crate) death: Arc<Death>,
}

/// Empty, migrated databases, made once.
async fn blank() -> PathBuf {
    static BLANK: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    if let Some((_, path)) = BLANK.get() {
        return path.clone();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let db = build::database(&config(&path), None).await.unwrap();
    db.migrate().await.unwrap();
    MasterKey::create_file(&path.join("master.key"), &Entropy::from_os().unwrap()).unwrap();
    close(db).await;
    BLANK.get_or_init(|| (dir, path)).1.clone()
}

async fn close(db: Db) {
    db.close().await;
}

fn config(dir: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.office.state_dir = dir.join("state");
    config.database.url = format!("sqlite:{}", dir.join("office.db").display());
    config.keys.url = format!("sqlite:{}", dir.join("keys.db").display());
    config.keys.master = SecretSource::path(dir.join("master.key"));
    config.blobs.dir = dir.join("segments");
    config.mail.tls = MailTls::None;
    config.mail.connections = 1;
    config.work.render_threads = 1;
    config.work.in_flight = 16;
    config.work.in_flight_per_tenant = 8;
    config.work.render_chunk = 3;
    for name in ["acme", "other"] {
        let tenant = Tenant { name: "Sender".into(), ..Tenant::default() };
        config.tenants.insert(TenantId::parse(name).unwrap(), tenant);
    }
    config
}

/// Starts a process in `world`.
pub(crate) async fn start(world: &World, round: u64) -> Process {
    let config = config(world.dir.path());
    let death = Arc::new(Death::default());
    let db = build::database(&config, None).await.unwrap().with_fuse(death.clone());
    let seed = world.seed.wrapping_mul(1_000_003).wrapping_add(round);
    let entropy = Entropy::from_seed_number(seed);
    let mut parts = Parts::new(world.clock.clone(), entropy);
    parts.press = Some(Arc::new(Sheet));
    parts.db = Some(db.clone());
    parts.witness = Some(Arc::new(Believer::of(world.clock.clone())));
    let office = build::open(config, parts).await.unwrap();
    let carrier =
        Faulty { relay: world.relay.clone(), dice: world.dice.clone(), death: death.clone() };
    let mut services = run::work_services(&office, vec![Box::new(carrier)]).unwrap();
    let catcher = Catcher::new(CatcherSettings::default(), world.clock.clone());
    let test_letters = office.queues.test_letters.clone();
    services.push(Box::new(Carry::new(office.clone(), test_letters, Box::new(catcher.carrier()))));
    services.push(Box::new(GiveBack(office.clone())));
    services.push(Box::new(Heartbeat::new(office.clone(), db)));
    services.extend(web::retention_services(&office));
    let desk = OfficeDesk::new(office.clone());
    Process { office, desk, services, death }
}

/// Lives one life and checks the laws at its end.
pub(crate) async fn live(seed: u64) -> Told {
    let world = World::new(seed);
    let blank = blank().await;
    for file in std::fs::read_dir(blank).unwrap().flatten() {
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), world.dir.path().join(file.file_name())).unwrap();
        }
    }
    let mut told = Told::default();
    let mut known: BTreeMap<String, JobId> = BTreeMap::new();
    let mut process = start(&world, 0).await;
    for step in 0..STEPS {
        if world.one_in(14) {
            process.death.arm(world.roll(12));
        }
        let death = process.death.clone();
        tokio::select! {
            biased;
            () = death.comes() => {}
            () = act(&world, &mut process, &mut known, &mut told, step) => {}
        }
        if process.death.is_dead() {
            told.crashes += 1;
            drop(process);
            process = start(&world, step + 1).await;
        }
    }
    world.relay.moody.store(false, Ordering::SeqCst);
    drop(process);
    let mut process = start(&world, STEPS + 1).await;
    come_to_rest(&world, &mut process).await;
    laws::nothing_lost_nothing_twice(&world, &process, &known, &mut told).await;
    world.clock.advance(TimeDelta::days(70));
    come_to_rest(&world, &mut process).await;
    // A store may have been marked just now: leftovers go in the round after.
    world.clock.advance(TimeDelta::hours(2));
    come_to_rest(&world, &mut process).await;
    laws::dead_on_the_day(&world, &process, &known).await;
    told
}

/// One thing that happens.
async fn act(
    world: &World,
    process: &mut Process,
    known: &mut BTreeMap<String, JobId>,
    told: &mut Told,
    step: u64,
) {
    match world.roll(20) {
        0..=2 => enqueue(world, process, known, told, step).await,
        3 => world.clock.advance(TimeDelta::seconds(i64::try_from(world.roll(90)).unwrap())),
        4 => world.clock.advance(TimeDelta::minutes(i64::try_from(world.roll(90)).unwrap())),
        5 => cancel(world, process, known).await,
        _ => {
            let which = usize::try_from(world.roll(process.services.len() as u64)).unwrap();
            let service = &mut process.services[which];
            // What fails here is tried again: that is the step's promise.
            let _faults_are_the_point = service.tick().await;
        }
    }
}

async fn enqueue(
    world: &World,
    process: &Process,
    known: &mut BTreeMap<String, JobId>,
    told: &mut Told,
    step: u64,
) {
    let mut batch = Vec::new();
    let mut keys = Vec::new();
    for n in 0..=world.roll(4) {
        let tenant = if world.one_in(4) { "other" } else { "acme" };
        let name = world
            .one_in(5)
            .then(|| known.keys().nth(usize::try_from(world.roll(9)).unwrap()).cloned())
            .flatten()
            .unwrap_or_else(|| format!("{tenant}|k/{step}/{n}"));
        let (tenant, key) = name.split_once('|').unwrap();
        let mut job: serde_json::Value = serde_json::from_str(INVOICE).unwrap();
        job.as_object_mut().unwrap().shift_remove("tenant");
        job.as_object_mut().unwrap().shift_remove("evidence");
        job["key"] = key.into();
        job["document"]["template"] = "sheet".into();
        job["document"]["data"] = serde_json::json!({ "number": key });
        job["recipient"]["email"] = "canary-address@example.jp".into();
        let mut body = serde_json::to_vec(&job).unwrap();
        if world.one_in(9) {
            body.truncate(body.len() / 2);
        }
        batch.push(Incoming {
            tenant: Ok(TenantId::parse(tenant).unwrap()),
            body,
            sealed: false,
            flaw: None,
            trace: None,
        });
        keys.push(name);
    }
    let Ok(verdicts) = process.desk.take(batch).await else { return };
    for (key, verdict) in keys.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Accepted { job, .. } => {
                told.jobs += 1;
                let before = known.insert(key.clone(), job);
                assert!(before.is_none(), "seed {}: {key} was taken twice", world.seed);
            }
            Verdict::Duplicate { job } => {
                told.duplicates += 1;
                // A crash may have hidden the first answer from us.
                let first = *known.entry(key).or_insert(job);
                assert_eq!(first, job, "seed {}: one key, one job", world.seed);
            }
            Verdict::Refused { .. } => told.refused += 1,
        }
    }
}

async fn cancel(world: &World, process: &Process, known: &BTreeMap<String, JobId>) {
    let Some(job) = known.values().nth(usize::try_from(world.roll(8)).unwrap()) else { return };
    let office = &process.office;
    let tenant = TenantId::parse("acme").unwrap();
    let event = office.scribe.event(EventDraft {
        tenant: &tenant,
        job: Some(*job),
        at: office.clock.now(),
        kind: Kind::Cancelled,
        actor: Actor::Application,
        code: None,
        facts: Vec::new(),
        personal: Vec::new(),
        detail_key: DetailKey::None,
    });
    let Ok(mut tx) = office.db.begin().await else { return };
    if work::cancel(&mut tx, *job, office.clock.now(), event.unwrap(), &[]).await.is_ok() {
        let _a_crash_may_come_first = tx.commit().await;
    }
}

/// No faults any more: everything goes to its end.
async fn come_to_rest(world: &World, process: &mut Process) {
    for _ in 0..80 {
        let mut moved = "";
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "seed {}: {moved} never comes to an end", world.seed);
            moved = "";
            for service in &mut process.services {
                let ticked = service.tick().await;
                let ticked = ticked
                    .unwrap_or_else(|e| panic!("seed {}: {}: {e:#}", world.seed, service.name()));
                if let Tick::Worked(_) = ticked {
                    moved = service.name();
                }
            }
            if moved.is_empty() {
                break;
            }
        }
        let mut tx = process.office.db.read().await.unwrap();
        let depth = work::depth(&mut tx, world.clock.now()).await.unwrap();
        if depth.ready + depth.scheduled + depth.leased == 0 {
            return;
        }
        drop(tx);
        world.clock.advance(TimeDelta::minutes(40));
    }
    panic!("seed {}: the office does not come to rest", world.seed);
}

/// Stages in which a delivery may rest.
pub(crate) fn at_rest(stage: Stage) -> bool {
    !matches!(stage, Stage::Accepted | Stage::Sealed)
}

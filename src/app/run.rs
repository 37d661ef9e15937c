//! Runs the office: which loops a role needs, and the two strokes of a
//! shutdown.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;

use super::{
    build,
    desk::OfficeDesk,
    gauges::Gauges,
    http::{self, Serving},
    intake::{AmqpEvents, AmqpIntake},
    office::Office,
    operations, post,
    steps::{
        carry::Carry,
        codes::{Codes, SharedCarrier},
        commit::Commit,
        feed::Feed,
        finish::Finish,
        press::PressStep,
        recover::Recover,
        relay::Relay,
        remind::Remind,
        tend::{GiveBack, Heartbeat, give_back},
    },
    web,
    worker::{Loops, Service, wait},
};
use crate::{
    broker::BrokerSettings,
    config::Role,
    dispatch::email::{BootId, Carrier, Relay as MailRelay, SmtpCarrier},
    gateway::{self, Gateway},
    store::workers,
};

/// A running office.
#[derive(Debug)]
pub struct Running {
    /// Its handles.
    pub office: Arc<Office>,
    /// Its loops.
    pub loops: Loops,
    /// Where it listens.
    pub addresses: Addresses,
    /// The recipients' pages, if it has them.
    pub pages: Option<Gateway>,
}

/// Where an office listens; none for roles it does not have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    /// The recipients' pages.
    pub gateway: Option<std::net::SocketAddr>,
    /// The applications' interface.
    pub api: Option<std::net::SocketAddr>,
    /// Health and metrics.
    pub operations: Option<std::net::SocketAddr>,
}

/// Listeners that are open already; what is not among them is opened as it is
/// configured.
#[derive(Debug, Default)]
pub struct Doors {
    /// See [`Addresses::gateway`].
    pub gateway: Option<TcpListener>,
    /// See [`Addresses::api`].
    pub api: Option<TcpListener>,
    /// See [`Addresses::operations`].
    pub operations: Option<TcpListener>,
}

impl Doors {
    /// Opens what the office's roles need.
    async fn open(mut self, office: &Office) -> anyhow::Result<Self> {
        let at = &office.config.listen;
        let has = |role| office.roles.contains(&role);
        for (door, needed, at, key) in [
            (&mut self.api, has(Role::Intake), at.api, "listen.api"),
            (&mut self.gateway, has(Role::Gateway), at.gateway, "listen.gateway"),
            (&mut self.operations, true, at.operations, "listen.operations"),
        ] {
            if !needed {
                *door = None;
            } else if door.is_none() {
                let opened = TcpListener::bind(at).await;
                *door = Some(opened.with_context(|| format!("cannot listen on {at} (`{key}`)"))?);
            }
        }
        Ok(self)
    }
}

/// The carriers of one process: one per connection.
pub type Carriers = Vec<Box<dyn Carrier>>;

/// Connections to the configured relay.
pub fn carriers(office: &Office) -> anyhow::Result<Carriers> {
    let relay = MailRelay::new(build::relay(&office.config.mail)?)
        .context("the mail relay's settings cannot be used (`mail`)")?;
    let relay = Arc::new(relay);
    let mut carriers = Carriers::new();
    for _ in 0..office.config.mail.connections {
        carriers.push(Box::new(SmtpCarrier::new(Arc::clone(&relay))));
    }
    Ok(carriers)
}

/// The steps of the role `work`, in the order of a letter's life.
pub fn work_services(
    office: &Arc<Office>,
    mut carriers: Carriers,
) -> anyhow::Result<Vec<Box<dyn Service>>> {
    let mut services: Vec<Box<dyn Service>> = vec![Box::new(Feed::new(Arc::clone(office)))];
    for slot in 0..press_threads(office) {
        services.push(Box::new(PressStep::new(Arc::clone(office), slot)));
    }
    // One writes its bytes while the other one's rows are committed.
    for _ in 0..COMMITS {
        services.push(Box::new(Commit(Arc::clone(office))));
    }
    // Codes share the last connection: they are few, and somebody waits for them.
    if let Some(last) = carriers.pop() {
        let shared = SharedCarrier::new(last);
        carriers.push(Box::new(shared.clone()));
        services.push(Box::new(Codes::new(Arc::clone(office), shared, false)));
    }
    for carrier in carriers {
        let queue = Arc::clone(&office.queues.letters);
        services.push(Box::new(Carry::new(Arc::clone(office), queue, carrier)));
    }
    services.push(Box::new(Remind::new(Arc::clone(office))));
    services.push(Box::new(Finish(Arc::clone(office))));
    let journals = build::journals(&office.config);
    services.push(Box::new(Recover::new(Arc::clone(office), journals, BootId::read()?)));
    services.extend(post::services(office)?);
    Ok(services)
}

/// Batches of sealed jobs that become durable at the same time.
const COMMITS: usize = 2;

fn press_threads(office: &Office) -> u64 {
    let threads = match office.config.work.render_threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    u64::try_from(threads).unwrap_or(1)
}

/// Starts the loops and listeners of the office's roles. `test_carrier` takes
/// the mails of tenants in test mode. Nothing runs before every door is open.
pub async fn start(
    office: Arc<Office>,
    carriers: Carriers,
    test_carrier: Box<dyn Carrier>,
    doors: Doors,
) -> anyhow::Result<Running> {
    let doors = doors.open(&office).await?;
    let loops = Loops::new();
    let has = |role| office.roles.contains(&role);
    let heartbeat_db = build::database(&office.config, Some(1)).await?;
    loops.run(Box::new(Heartbeat::new(Arc::clone(&office), heartbeat_db)));
    loops.run(Box::new(GiveBack(Arc::clone(&office))));
    loops.run(Box::new(Gauges::new(Arc::clone(&office))));
    let broker = match &office.config.broker {
        Some(settings) => Some(build::broker(settings, "kakitome")?),
        None => None,
    };
    let mut addresses = Addresses::default();
    let outside = web::serving(&office, &loops)?;
    let mut pages = None;
    if has(Role::Work) {
        for service in work_services(&office, carriers)? {
            loops.run(service);
        }
        let queue = Arc::clone(&office.queues.test_letters);
        let house = SharedCarrier::new(test_carrier);
        loops.run(Box::new(Codes::new(Arc::clone(&office), house.clone(), true)));
        loops.run(Box::new(Carry::new(Arc::clone(&office), queue, Box::new(house))));
        if let Some(settings) = &broker {
            let port = Box::new(AmqpEvents::new(&office, settings));
            loops.run(Box::new(Relay::new(Arc::clone(&office), port)));
        }
    }
    if has(Role::Retention) {
        for service in web::retention_services(&office) {
            loops.run(service);
        }
    }
    let desk = Arc::new(OfficeDesk::new(Arc::clone(&office)));
    if let Some(door) = doors.api {
        if let Some(settings) = &broker {
            consume(&office, &desk, settings, &loops);
        }
        let router = web::api(&office, Arc::clone(&desk))?;
        addresses.api = Some(serve(&loops, door, router, outside.clone().with_uploads())?);
    }
    if let Some(door) = doors.gateway {
        let gateway = web::gateway(&office)?;
        for service in web::gateway_services(&gateway) {
            loops.run(service);
        }
        let router = gateway::router(gateway.clone());
        pages = Some(gateway);
        addresses.gateway = Some(serve(&loops, door, router, outside)?);
    }
    if let Some(door) = doors.operations {
        let checks = web::readiness(&office);
        let router = operations::router(Arc::clone(&office.metrics), checks);
        addresses.operations = Some(serve(&loops, door, router, Serving::default())?);
    }
    Ok(Running { office, loops, addresses, pages })
}

fn consume(office: &Arc<Office>, desk: &OfficeDesk, settings: &BrokerSettings, loops: &Loops) {
    if let Some(tenant) = office.config.broker.as_ref().and_then(|one| one.single_tenant.as_ref()) {
        tracing::warn!(
            tenant.id = %tenant,
            "DEVELOPMENT MODE: every message on the broker is taken for this tenant's, whoever \
             sent it; remove broker.single_tenant before anybody else can publish"
        );
    }
    let intake = AmqpIntake::new(Arc::clone(office), desk.desk(), settings, loops.closing());
    loops.run(Box::new(intake));
}

fn serve(
    loops: &Loops,
    listener: TcpListener,
    router: Router,
    serving: Serving,
) -> anyhow::Result<std::net::SocketAddr> {
    let address = listener.local_addr()?;
    loops.spawn(http::serve(listener, router, serving, loops.clone(), loops.closing()));
    Ok(address)
}

impl Running {
    /// Shuts the office down: nothing new is taken, what is in memory goes on
    /// to its end, and what is left after `work.drain` is given back.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { office, loops, pages, .. } = self;
        loops.close_door();
        let drain = office.config.work.drain.0;
        let started = Instant::now();
        while !office.queues.in_flight.is_empty() && started.elapsed() < drain {
            wait(Duration::from_millis(20)).await;
        }
        let left = office.queues.in_flight.jobs();
        if !left.is_empty() {
            tracing::warn!(jobs = left.len(), "the time to drain is up; these are given back");
        }
        // A connection that hangs is not waited for: the journal speaks for it.
        if tokio::time::timeout(Duration::from_secs(3), loops.stop()).await.is_err() {
            tracing::warn!("a step did not stop in time");
        }
        // What was noted until the last connection closed.
        if let Some(pages) = pages {
            pages.flush().await?;
        }
        let under_way = office.journal.under_way();
        let safe: Vec<_> = left.into_iter().filter(|job| !under_way.contains(job)).collect();
        if !safe.is_empty() {
            give_back(&office, &safe, None).await?;
        }
        let mut tx = office.db.begin().await?;
        workers::stopped(&mut tx, office.epoch, office.clock.now()).await?;
        tx.commit().await?;
        office.suspects.close();
        Ok(())
    }
}

//! The office's pages and interfaces, and the retention loop: each room gets
//! the handles it asks for.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use chrono::TimeDelta;
use ipnet::IpNet;
use secrecy::ExposeSecret as _;

use super::{
    desk::OfficeDesk,
    http::{Serving, tls::Certificate},
    metrics::Metrics,
    office::Office,
    operations::Check,
    post::Step,
    uploads::OfficeUploads,
    worker::{Loops, Service, Tick},
};
use crate::{
    api, blobs,
    config::{Config, Tenant},
    domain::{calendar::retention::RetentionClock, ids::TenantId},
    gateway::{self, Gateway, GatewaySettings, TenantDisplay},
    retention::{self, DbWitness, Retention, RetentionParts, RetentionSettings, TenantRules},
};

/// How often the certificate's files are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);
/// How old an empty segment must be before it goes: longer than any batch can
/// wait to be written down.
const SEGMENT_GRACE: TimeDelta = TimeDelta::hours(1);
/// The row of a purged delivery says what became of it for three months after
/// the end of its month.
const ROWS_KEPT: TimeDelta = TimeDelta::days(92);
/// How long the key of a job is known after the job is gone.
const DEDUPE_KEPT: TimeDelta = TimeDelta::days(400);

/// The recipients' pages.
pub fn gateway(office: &Arc<Office>) -> anyhow::Result<Gateway> {
    let settings = GatewaySettings {
        public_url: office.config.office.public_url.clone(),
        trusted_proxies: office.config.office.trusted_proxies.clone(),
        brands: super::brands::load(&office.config)?,
        limits: gateway::Limits::default(),
    };
    let gateway = Gateway::new(
        &settings,
        gateway::Parts {
            db: office.db.clone(),
            keys: office.keys.clone(),
            blobs: office.blobs.clone(),
            clock: Arc::clone(&office.clock),
            entropy: office.entropy.clone(),
            epoch: office.epoch,
            scribe: office.scribe.clone(),
            tenants: Arc::new(Face(Arc::clone(office))),
            announce: Arc::new(office.events.clone()),
            meter: Arc::new(Meter(Arc::clone(&office.metrics))),
        },
    )?;
    Ok(gateway)
}

/// The loops of the recipients' pages: one writes down what they noted, one
/// asks whether the downloads that run may go on, one gives up what dead
/// processes left.
pub fn gateway_services(gateway: &Gateway) -> Vec<Box<dyn Service>> {
    let (notes, running, left) = (gateway.clone(), gateway.clone(), gateway.clone());
    let worked = |count| if count == 0 { Tick::Idle } else { Tick::Worked(count) };
    vec![
        Step::boxed("gateway-notes", Duration::from_secs(2), move || {
            let notes = notes.clone();
            Box::pin(async move { Ok(worked(notes.flush().await?)) })
        }),
        Step::boxed("gateway-look", Duration::from_secs(1), move || {
            let running = running.clone();
            Box::pin(async move {
                running.look().await;
                Ok(Tick::Idle)
            })
        }),
        Step::boxed("gateway-settle", Duration::from_secs(30), move || {
            let left = left.clone();
            Box::pin(async move { Ok(worked(left.settle().await?)) })
        }),
    ]
}

/// How the pages and the interface are served, and the loop that reads a renewed
/// certificate.
pub fn serving(office: &Arc<Office>, loops: &Loops) -> anyhow::Result<Serving> {
    let config = &office.config;
    let proxies = config
        .office
        .trusted_proxies
        .iter()
        .map(|block| block.parse().or_else(|_| block.parse::<IpAddr>().map(IpNet::from)));
    let proxies = proxies.collect::<Result<_, _>>().context("`office.trusted_proxies`")?;
    let listen = &config.listen;
    let (Some(chain), Some(key)) = (&listen.certificate, &listen.private_key) else {
        return Ok(Serving { proxies, ..Serving::default() });
    };
    let certificate = Certificate::open(chain.clone(), key.clone())?;
    let tls = Some(certificate.acceptor()?);
    loops.run(Step::boxed("certificate", CERTIFICATE_EVERY, move || {
        let certificate = Arc::clone(&certificate);
        Box::pin(async move {
            let renewed = certificate.refresh()?;
            if renewed {
                tracing::info!("the renewed certificate is served from now on");
            }
            Ok(if renewed { Tick::Worked(1) } else { Tick::Idle })
        })
    }));
    Ok(Serving { tls, proxies, ..Serving::default() })
}

/// The applications' interface.
pub fn api(office: &Arc<Office>, desk: Arc<OfficeDesk>) -> anyhow::Result<Router> {
    let mut tokens = api::Tokens::default();
    for (id, tenant) in &office.config.tenants {
        if let Some(source) = &tenant.token {
            let token = source.read().with_context(|| format!("`tenants.{id}.token`"))?;
            let token = token.expose_secret();
            anyhow::ensure!(
                token.len() >= 32,
                "`tenants.{id}.token` is shorter than 32 characters"
            );
            tokens = tokens.with(id.clone(), token.as_bytes());
        }
    }
    let metrics = Arc::clone(&office.metrics);
    Ok(api::router(api::Parts {
        db: office.db.clone(),
        keys: office.keys.clone(),
        clock: Arc::clone(&office.clock),
        scribe: office.scribe.clone(),
        desk,
        uploads: Arc::new(OfficeUploads::new(Arc::clone(office))),
        announce: Arc::new(office.events.clone()),
        tokens,
        limits: api::Limits {
            upload_bytes_max: office.config.uploads.bytes_max,
            ..api::Limits::default()
        },
        answered: Arc::new(move |route, status| metrics.http(route, status)),
    }))
}

/// What retention needs of this office.
pub fn retention(office: &Arc<Office>) -> Retention {
    Retention::new(RetentionParts {
        db: office.db.clone(),
        keys: office.keys.clone(),
        blobs: office.blobs.clone(),
        clock: Arc::clone(&office.clock),
        entropy: office.entropy.clone(),
        scribe: office.scribe.clone(),
        witness: office
            .witness
            .clone()
            .unwrap_or_else(|| Arc::new(DbWitness::new(office.db.clone()))),
        announce: Arc::new(office.events.clone()),
        settings: retention_settings(&office.config),
    })
}

/// The bounds of retention: the same for a running office and for `kakitome
/// retention`.
pub fn retention_settings(config: &Arc<Config>) -> RetentionSettings {
    let config = Arc::clone(config);
    let undispatched = TimeDelta::days(i64::from(config.retention.undispatched_days_max));
    let clock = RetentionClock { months: config.retention.months };
    RetentionSettings {
        clock_tolerance: config.retention.clock_tolerance.delta(),
        batch: i64::try_from(config.retention.batch).unwrap_or(i64::MAX),
        segment_grace: SEGMENT_GRACE,
        undispatched_min: undispatched,
        rows_kept: ROWS_KEPT,
        dedupe_kept: DEDUPE_KEPT,
        evidence_years: i64::from(config.retention.evidence_years),
        office: TenantId::office(),
        rules: Arc::new(move |tenant| TenantRules {
            zone: config.tenants.get(tenant).map_or(chrono_tz::Tz::Asia__Tokyo, Tenant::zone),
            clock,
            undispatched_max: undispatched,
        }),
    }
}

/// The retention loop.
pub fn retention_services(office: &Arc<Office>) -> Vec<Box<dyn Service>> {
    let retention = Arc::new(retention(office));
    let metrics = Arc::clone(&office.metrics);
    let pause = office.config.retention.every.0;
    vec![Step::boxed("retention", pause, move || {
        let (retention, metrics) = (Arc::clone(&retention), Arc::clone(&metrics));
        Box::pin(async move {
            let tick = retention.tick().await;
            if let Some(missing) = retention.missing_segments() {
                metrics.segments.missing(missing);
            }
            let tick = tick?;
            metrics.purge_held(matches!(tick, retention::Tick::Held { .. }));
            Ok(match tick {
                retention::Tick::Worked(done) => {
                    metrics.segments.orphans(done.orphans);
                    tracing::info!(?done, "what was due is destroyed");
                    Tick::Worked(1)
                }
                retention::Tick::Idle => Tick::Idle,
                retention::Tick::Held { apart } => {
                    tracing::error!(
                        apart_seconds = apart.num_seconds(),
                        "clocks disagree; nothing is destroyed until they agree"
                    );
                    Tick::Idle
                }
            })
        })
    })]
}

/// What `/readyz` asks.
pub fn readiness(office: &Arc<Office>) -> Vec<Check> {
    let (database, keys, lease) = (Arc::clone(office), Arc::clone(office), Arc::clone(office));
    vec![
        Check::new("database", move || {
            let office = Arc::clone(&database);
            Box::pin(async move {
                office.db.witness_time().await.map(drop).map_err(|_| "it does not answer")
            })
        }),
        Check::new("keys", move || {
            let office = Arc::clone(&keys);
            Box::pin(async move {
                office.keys.status().await.map(drop).map_err(|_| "the key store does not answer")
            })
        }),
        Check::new("leases", move || {
            let holds = lease.lease.holds();
            Box::pin(async move { if holds { Ok(()) } else { Err("the heartbeat is late") } })
        }),
        segments("segments-write", blobs::Act::Write, office),
        segments("segments-read", blobs::Act::Read, office),
    ]
}

/// A full disk or a storage that is away: jobs wait on the books, recipients
/// are asked to come back. It says so, and stays ready for the rest.
fn segments(name: &'static str, act: blobs::Act, office: &Arc<Office>) -> Check {
    let office = Arc::clone(office);
    Check::told(name, move || {
        let trouble = office.blobs.fares(act).trouble;
        Box::pin(async move { trouble.map_or(Ok(()), Err) })
    })
}

/// The office as the recipients' pages see it.
struct Face(Arc<Office>);

impl gateway::TenantDirectory for Face {
    fn display(&self, tenant: &TenantId) -> TenantDisplay {
        let nobody = Tenant::default();
        let known = self.0.config.tenants.get(tenant).unwrap_or(&nobody);
        TenantDisplay {
            name: known.name.clone(),
            contact: known.contact.clone(),
            zone: known.zone(),
        }
    }
}

/// Counts what happens at the recipients' door.
struct Meter(Arc<Metrics>);

impl gateway::Meter for Meter {
    fn answered(&self, route: &'static str, status: u16) {
        self.0.http(route, status);
    }

    fn guessed(&self) {
        self.0.link_guessed();
    }
}

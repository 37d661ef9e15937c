//! The post room's loops: one room per partner, and the simulator that stands
//! in for the partner where letters stay in the house.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, NaiveTime, Utc};
use futures::future::BoxFuture;

use super::{
    office::{Office, TEST_PARTNER},
    partner::{PrintPartner, Script},
    worker::{Service, Tick, TickFuture},
};
use crate::{
    blobs::BlobError,
    config::{self, ManifestEncoding, Tenant},
    crypto::{
        delivery::{DeliveryKey, artifact_aad},
        stream,
    },
    dispatch::postal::{
        self, Answers, CsvEncoding, FileDrop, FileDropOptions, HandOver, OpenFault, OpenPiece,
        OpenedPiece, PostRoom, PostSettings, PrintOptions, Silent,
    },
    domain::{
        calendar::{
            cutoff::CutOff,
            retention::{OutsideCalendar, RetentionClock},
            working_days::WorkingDays,
        },
        personal::Personal,
    },
    intake::desk::service_of,
    store::{jobs::JobRow, keyring::KeyError},
};

/// Letters of one batch, at the most.
const BATCH_PIECES_MAX: i64 = 500;
/// Bytes of plain PDF in memory for one batch, at the most.
const BATCH_BYTES_MAX: u64 = 256 << 20;

/// The daily cut-off of the configured partner.
pub fn cut_off(post: &config::Post) -> anyhow::Result<CutOff> {
    let closes = NaiveTime::parse_from_str(&post.cutoff, "%H:%M").context("`post.cutoff`")?;
    let days = WorkingDays { saturdays: post.saturday_open, ..WorkingDays::of(post.zone) };
    Ok(CutOff { closes, days })
}

/// When a letter sealed now is handed over: at the partner's next cut-off, or
/// at once where it stays in the house.
pub fn next_collection(
    office: &Office,
    test_mode: bool,
    now: DateTime<Utc>,
) -> anyhow::Result<DateTime<Utc>> {
    match &office.config.post {
        Some(post) if !test_mode => Ok(cut_off(post)?
            .next_batch(now)
            .map_err(|OutsideCalendar| {
                anyhow::anyhow!("the partner's calendar ends before this letter")
            })?
            .closes_at),
        Some(_) | None => Ok(now),
    }
}

/// The loops of every partner of this office.
pub fn services(office: &Arc<Office>) -> anyhow::Result<Vec<Box<dyn Service>>> {
    let mut services = Vec::new();
    let house = office.config.office.state_dir.join("test-post");
    room(office, TEST_PARTNER, &house, CsvEncoding::Utf8, &mut services)?;
    services.push(simulator(office, &house)?);
    if let Some(post) = &office.config.post {
        let csv = match post.manifest {
            ManifestEncoding::Utf8 => CsvEncoding::Utf8,
            ManifestEncoding::Cp932 => CsvEncoding::Cp932,
        };
        room(office, &post.partner, &post.drop_dir, csv, &mut services)?;
    }
    Ok(services)
}

/// A partner that prints nothing, at a hand-over folder.
pub fn simulator(office: &Office, root: &Path) -> anyhow::Result<Box<dyn Service>> {
    let zone = office.config.post.as_ref().map_or(chrono_tz::Tz::Asia__Tokyo, |post| post.zone);
    let partner = PrintPartner::open(root, Arc::clone(&office.clock), zone, Script::default())?;
    Ok(Box::new(Step {
        name: "print-partner",
        pause: Duration::from_millis(500),
        tick: Box::new(move || {
            let partner = partner.clone();
            Box::pin(async move {
                let done = partner.tick().await?;
                Ok(worked(done.taken.saturating_add(done.answered)))
            })
        }),
    }))
}

fn worked(count: usize) -> Tick {
    if count == 0 { Tick::Idle } else { Tick::Worked(count) }
}

fn room(
    office: &Arc<Office>,
    name: &str,
    root: &Path,
    csv: CsvEncoding,
    services: &mut Vec<Box<dyn Service>>,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
    let partner = FileDrop::open(FileDropOptions {
        name: name.to_owned(),
        root: root.to_owned(),
        may_carry_correspondence: true,
        csv,
        wrapping: None,
    })
    .with_context(|| format!("the hand-over folder {}", root.display()))?;
    let config = Arc::clone(&office.config);
    let silent_after =
        config.post.as_ref().map_or(config::Post::default().silent_after, |post| post.silent_after);
    let settings = PostSettings {
        clock: RetentionClock { months: config.retention.months },
        zone_of: Arc::new(move |tenant| {
            config.tenants.get(tenant).map_or(chrono_tz::Tz::Asia__Tokyo, Tenant::zone)
        }),
        options: PrintOptions::default(),
        silent_after: silent_after.delta(),
        batch_pieces_max: BATCH_PIECES_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
    };
    let room = Arc::new(PostRoom {
        partner: Arc::new(partner),
        db: office.db.clone(),
        keys: office.keys.clone(),
        clock: Arc::clone(&office.clock),
        entropy: office.entropy.clone(),
        epoch: office.epoch,
        scribe: office.scribe.clone(),
        opener: Arc::new(Opener(Arc::clone(office))),
        announce: Arc::new(office.events.clone()),
        settings,
    });
    let pause = Duration::from_secs(1);
    let hand_over = HandOver(Arc::clone(&room));
    services.push(Step::boxed("hand-over", pause, move || {
        let step = hand_over.clone();
        Box::pin(async move { Ok(moved(step.tick().await?)) })
    }));
    let answers = Answers(Arc::clone(&room));
    services.push(Step::boxed("partner-answers", pause, move || {
        let step = answers.clone();
        Box::pin(async move { Ok(moved(step.tick().await?)) })
    }));
    let silent = Silent(room);
    services.push(Step::boxed("partner-silent", Duration::from_mins(1), move || {
        let step = silent.clone();
        Box::pin(async move { Ok(moved(step.tick().await?)) })
    }));
    Ok(())
}

fn moved(tick: postal::Tick) -> Tick {
    match tick {
        postal::Tick::Worked(count) => Tick::Worked(count),
        postal::Tick::Idle => Tick::Idle,
    }
}

/// A room's tick as a service.
pub(super) struct Step {
    name: &'static str,
    pause: Duration,
    tick: Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<Tick>> + Send + Sync>,
}

impl Step {
    pub(super) fn boxed(
        name: &'static str,
        pause: Duration,
        tick: impl Fn() -> BoxFuture<'static, anyhow::Result<Tick>> + Send + Sync + 'static,
    ) -> Box<dyn Service> {
        Box::new(Self { name, pause, tick: Box::new(tick) })
    }
}

impl Service for Step {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tick(&mut self) -> TickFuture<'_> {
        (self.tick)()
    }

    fn pause(&self) -> Duration {
        self.pause
    }
}

/// Opens sealed letters.
struct Opener(Arc<Office>);

impl OpenPiece for Opener {
    fn open<'a>(&'a self, job: &'a JobRow) -> BoxFuture<'a, Result<OpenedPiece, OpenFault>> {
        Box::pin(async move {
            let later = |error: Box<dyn std::error::Error + Send + Sync>| OpenFault::Later(error);
            let office = &self.0;
            let wrapped = job.wrapped_key.as_deref().ok_or(OpenFault::Unreadable)?;
            let place = super::steps::feed::artifact_place(job).ok_or(OpenFault::Unreadable)?;
            let service = service_of(job.channel);
            let day_key =
                office.keys.existing_day_key(&job.tenant, service, job.purge_day).await.map_err(
                    |error| {
                        // Gone for good: this letter is parked, its neighbours go.
                        let gone = matches!(error, KeyError::Destroyed | KeyError::Unknown);
                        if gone { OpenFault::Unreadable } else { later(error.into()) }
                    },
                )?;
            let key = DeliveryKey::unwrap(&day_key, &job.tenant, job.id, wrapped)
                .map_err(|_| OpenFault::Unreadable)?;
            let sealed = office.blobs.read(&place, 0..place.len).await.map_err(|error| {
                let gone = matches!(error, BlobError::Gone | BlobError::Torn);
                if gone { OpenFault::Unreadable } else { later(error.into()) }
            })?;
            let aad = artifact_aad(&job.tenant, job.id);
            let pdf = stream::open(&key.artifact_key(), &aad, &sealed)
                .map_err(|_| OpenFault::Unreadable)?;
            let personal = job.personal.as_deref().ok_or(OpenFault::Unreadable)?;
            let personal =
                key.open_personal(job.id, personal).map_err(|_| OpenFault::Unreadable)?;
            let personal = Personal::from_bytes(&personal).map_err(|_| OpenFault::Unreadable)?;
            Ok(OpenedPiece { pdf, personal })
        })
    }
}

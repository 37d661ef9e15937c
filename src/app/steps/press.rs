//! Renders and seals: the step that costs the most, on threads of its own.
//!
//! A chunk of jobs goes to a blocking thread; there each one is rendered,
//! sealed, and, for mail, its mail is composed around a fresh link and sealed
//! too. Nothing leaves this step readable but the mail itself, in memory. A job
//! that cannot be rendered is parked with its reason; one that panics is parked
//! as well and touches no other.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::{
    app::{
        office::{Delivery, Office, Pressed, Ready},
        post::next_collection,
        steps::{
            brought::{self, Brought},
            make, park,
        },
        worker::{Service, Tick, TickFuture},
    },
    config::Tenant,
    crypto::{
        Key, prints,
        token::{LinkKeys, LinkToken},
    },
    dispatch::email::{Letter, MailOrder, verp},
    domain::{
        calendar::{retention::RetentionClock, working_days::WorkingDays},
        checked::CheckedJob,
        crockford::LinkNumber,
        job::{Channel, Document},
        log::{Actor, Kind},
        reason::Reason,
    },
    seal,
    store::{
        keyring::hours,
        ledger::{DetailKey, EventDraft},
        work::{NewLink, Next, SealedJob},
    },
};

/// Renders and seals jobs.
#[derive(Debug)]
pub struct PressStep {
    office: Arc<Office>,
    slot: u64,
}

impl PressStep {
    /// The press thread of this number.
    pub fn new(office: Arc<Office>, slot: u64) -> Self {
        Self { office, slot }
    }
}

impl Service for PressStep {
    fn name(&self) -> &'static str {
        "press"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(press(Arc::clone(&self.office), self.slot))
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.office.queues.ready.bell())
    }

    fn finishes(&self) -> bool {
        true
    }
}

/// The keys that a chunk needs, fetched once.
struct Keys {
    link: Arc<LinkKeys>,
    hour: i64,
    mail: Arc<Key>,
}

async fn press(office: Arc<Office>, slot: u64) -> anyhow::Result<Tick> {
    let chunk = office.config.work.render_chunk;
    if office.queues.pressed.room() == 0 {
        return Ok(Tick::Idle);
    }
    let now = office.clock.now();
    let hour = hours::mail_hour(now);
    let keys = Arc::new(Keys {
        link: office.keys.link_keys().await?,
        hour,
        mail: office.keys.mail_key(hour).await?,
    });
    let batch = office.queues.ready.take(chunk);
    if batch.is_empty() {
        return Ok(Tick::Idle);
    }
    let count = batch.len();
    // An upload may be large: one at a time, and only while there is room.
    let (uploads, chunk): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_upload);
    let mut pressed = press_chunk(&office, slot, &keys, chunk, now).await;
    for ready in uploads {
        if pressed.is_ok() && office.queues.pressed.room() > 0 {
            pressed = press_chunk(&office, slot, &keys, vec![ready], now).await;
        } else {
            let tenant = ready.delivery.tenant.clone();
            office.queues.ready.push(&tenant, ready);
        }
    }
    pressed.map(|()| Tick::Worked(count))
}

fn is_upload(ready: &Ready) -> bool {
    matches!(ready.checked.document, Document::Upload { .. })
}

/// Presses some jobs on a thread of their own, and hands on what came of them.
async fn press_chunk(
    office: &Arc<Office>,
    slot: u64,
    keys: &Arc<Keys>,
    chunk: Vec<Ready>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let jobs: Vec<_> = chunk.iter().map(|ready| ready.delivery.job).collect();
    let mut prepared = Vec::with_capacity(chunk.len());
    for ready in chunk {
        let brought = brought::fetch(office, &ready).await;
        prepared.push((ready, brought));
    }
    let (inside, keys) = (Arc::clone(office), Arc::clone(keys));
    let work = tokio::task::spawn_blocking(move || {
        let press = |(ready, brought): (Ready, Result<Option<Brought>, Fault>)| {
            inside.suspects.enter(slot, ready.delivery.job);
            press_safely(&inside, &keys, &ready, brought, now)
        };
        let results: Vec<_> = prepared.into_iter().map(press).collect();
        inside.suspects.leave(slot);
        results
    });
    let results = match work.await {
        Ok(results) => results,
        Err(error) => {
            office.queues.give_back(jobs);
            return Err(error.into());
        }
    };
    let mut pressed = Vec::with_capacity(jobs.len());
    for result in results {
        match result {
            Ok(one) => pressed.push(*one),
            Err(Spoiled::Parked { delivery, reason, detail }) => {
                if let Err(fault) = park::park(office, &delivery, reason, &detail, now).await {
                    tracing::warn!(job.id = %delivery.job, "a job could not be parked: {fault:#}");
                    office.queues.give_back([delivery.job]);
                }
            }
            Err(Spoiled::Again { delivery, fault }) => {
                tracing::warn!(job.id = %delivery.job, "a job could not be sealed: {fault:#}");
                office.queues.give_back([delivery.job]);
            }
        }
    }
    office.queues.pressed.push(pressed);
    Ok(())
}

/// Why a job did not become a sealed document.
enum Spoiled {
    /// Trying again cannot help.
    Parked { delivery: Arc<Delivery>, reason: Reason, detail: String },
    /// It is our own trouble, and may pass.
    Again { delivery: Arc<Delivery>, fault: anyhow::Error },
}

pub(super) enum Fault {
    Park(Reason, String),
    Again(anyhow::Error),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Again(error.into())
    }
}

fn press_safely(
    office: &Office,
    keys: &Keys,
    ready: &Ready,
    brought: Result<Option<Brought>, Fault>,
    now: DateTime<Utc>,
) -> Result<Box<Pressed>, Spoiled> {
    let delivery = Arc::clone(&ready.delivery);
    let started = std::time::Instant::now();
    let attempt = AssertUnwindSafe(|| press_one(office, keys, ready, brought?, now));
    let result = catch_unwind(attempt);
    office.metrics.rendered(started.elapsed());
    match result {
        Ok(Ok(pressed)) => Ok(Box::new(pressed)),
        Ok(Err(Fault::Park(reason, detail))) => Err(Spoiled::Parked { delivery, reason, detail }),
        Ok(Err(Fault::Again(fault))) => Err(Spoiled::Again { delivery, fault }),
        Err(_) => {
            let detail = "panicked while it was rendered".to_owned();
            Err(Spoiled::Parked { delivery, reason: Reason::Poisoned, detail })
        }
    }
}

fn press_one(
    office: &Office,
    keys: &Keys,
    ready: &Ready,
    brought: Option<Brought>,
    now: DateTime<Utc>,
) -> Result<Pressed, Fault> {
    let Ready { delivery, checked } = ready;
    let nobody = Tenant::default();
    let tenant = office.config.tenants.get(&delivery.tenant).unwrap_or(&nobody);
    let address_page = make::address_page(office, delivery, checked);
    let rendered = make::render(office, checked, brought, address_page.as_ref())?;
    let pages = rendered.pages;
    let (template, renderer) = (rendered.template, rendered.renderer);
    let artifact =
        seal::seal(rendered.pdf, &delivery.key, &delivery.tenant, delivery.job, &office.entropy)?;
    let (mail, letter, link, next) = match delivery.channel {
        Channel::Post => {
            let partner = office.partner_of(delivery.test_mode);
            let run_at = next_collection(office, delivery.test_mode, now).map_err(Fault::Again)?;
            (None, None, None, Next::HandOver { run_at, partner })
        }
        Channel::Email => {
            let (letter, link) = mail(office, keys, delivery, checked, tenant, now)?;
            let sealed = seal::seal_mail(
                &letter.bytes,
                &keys.mail,
                &delivery.tenant,
                delivery.job,
                &office.entropy,
            )?;
            (Some((sealed, keys.hour)), Some(letter), Some(link), Next::SendNow)
        }
    };
    let event = office.scribe.event(EventDraft {
        tenant: &delivery.tenant,
        job: Some(delivery.job),
        at: now,
        kind: Kind::Sealed,
        actor: Actor::Worker,
        code: None,
        facts: vec![
            ("pages", i64::from(pages).into()),
            ("pdf_bytes", i64::try_from(artifact.plain_len).unwrap_or(i64::MAX).into()),
            ("pdf_sha256", artifact.sha256.as_slice().into()),
            ("renderer", renderer.as_str().into()),
            ("template", template.as_str().into()),
        ],
        personal: Vec::new(),
        detail_key: DetailKey::None,
    })?;
    let row = SealedJob {
        job: delivery.job,
        // Known when the segment has them.
        artifact_offset: 0,
        artifact_len: 0,
        mail: None,
        pdf_len: i64::try_from(artifact.plain_len).unwrap_or(i64::MAX),
        pdf_sha256: artifact.sha256,
        pages: i64::from(pages),
        template: Some(template),
        renderer: Some(renderer),
        link,
        next,
        event,
    };
    let delivery = Arc::clone(delivery);
    Ok(Pressed { delivery, artifact: artifact.sealed, mail, row, letter })
}

/// Mints the link, writes the mail around it and forgets the token.
fn mail(
    office: &Office,
    keys: &Keys,
    delivery: &Delivery,
    checked: &CheckedJob,
    tenant: &Tenant,
    now: DateTime<Utc>,
) -> Result<(Letter, NewLink), Fault> {
    let zone = tenant.zone();
    let purge = RetentionClock { months: office.config.retention.months }.purge(now, zone)?;
    let ttl = TimeDelta::from_std(checked.link.ttl()).unwrap_or(TimeDelta::days(14));
    let wished = now.checked_add_signed(ttl).unwrap_or(purge.purge_at);
    // A link never outlives its document, and it ends on a full minute, so
    // that what the mail says is what holds.
    let expires_at = wished.min(purge.purge_at);
    let expires_at =
        expires_at.with_second(0).and_then(|at| at.with_nanosecond(0)).unwrap_or(expires_at);
    let token = LinkToken::mint(&keys.link, now, &office.entropy)?;
    let lookup = token.lookup(&keys.link)?;
    let text = token.text();
    let url = Zeroizing::new(format!("{}/d/{}", office.config.office.public_url, *text));
    let tag = prints::verp_tag(&office.verp_key, delivery.job.0.as_bytes());
    let return_path = verp::address(delivery.job, tag, &office.config.mail.bounce_domain);
    let domain = office.config.mail.from.rsplit('@').next().unwrap_or("localhost");
    let message_id = format!("<{}.1@{domain}>", delivery.job.0.simple());
    let Some(email) = &checked.recipient.email else {
        return Err(Fault::Park(Reason::PayloadUnreadable, "a mail job without an address".into()));
    };
    let title = checked.filename.strip_suffix(".pdf").unwrap_or(&checked.filename);
    let composed = office
        .composer
        .compose(&MailOrder {
            locale: checked.recipient.locale,
            from_name: &tenant.name,
            from_address: &office.config.mail.from,
            reply_to: tenant.reply_to.as_deref(),
            to_name: Some(checked.recipient.person.as_deref().unwrap_or(&checked.recipient.name)),
            to_address: &email.shown(),
            salutation: None,
            subject: None,
            tenant_name: &tenant.name,
            title,
            document_number: checked.evidence.number.as_deref(),
            contact: tenant.contact.as_deref(),
            support: LinkNumber::of(delivery.job),
            link_url: &url,
            expires_at: expires_at.with_timezone(&zone),
            message_id: &message_id,
            date: now,
            return_path: &return_path,
        })
        .map_err(|fault| {
            let reason = Reason::ALL.iter().copied().find(|reason| reason.code() == fault.code());
            Fault::Park(reason.unwrap_or(Reason::MailFailed), fault.to_string())
        })?;
    let link = NewLink {
        day: lookup.day,
        print: lookup.print.to_vec(),
        expires_at,
        max_opens: i64::from(checked.link.max_opens),
        reminder: checked.link.reminder.map(|reminder| {
            let days = WorkingDays::of(zone);
            (reminder, reminder.first_look(now, expires_at, &days))
        }),
    };
    let letter = Letter {
        job: delivery.job,
        envelope_from: composed.envelope_from,
        envelope_to: composed.envelope_to,
        bytes: Arc::new(composed.bytes),
    };
    Ok((letter, link))
}

//! Takes due work from the books into memory: what intake had no room for,
//! what was scheduled, what is tried again, what another process left.
//!
//! Tenants take turns on the books as they do in memory. A job in step `seal`
//! is unsealed and goes to the press; a mail in step `send` is read back from
//! its segment, marked `sending`, and goes out byte for byte as before.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::{
    app::{
        office::{Delivery, Office, Outgoing, Ready},
        steps::{park, resend},
        worker::{Service, Tick, TickFuture},
    },
    blobs::Place,
    crypto::delivery::DeliveryKey,
    dispatch::email::Letter,
    domain::{
        checked::CheckedJob,
        ids::{JobId, TenantId},
        personal::Personal,
        reason::Reason,
    },
    intake::desk::{Fresh, service_of},
    seal,
    store::{
        jobs::JobRow,
        work::{self, Leased, Reissue, Step},
    },
};

/// Jobs claimed at once, at the most.
const CLAIM_MAX: usize = 256;
/// Of one tenant, while others may have work too, at the least.
const CLAIM_PER_TENANT: i64 = 64;

/// Takes due work from the books.
#[derive(Debug)]
pub struct Feed {
    office: Arc<Office>,
    /// The tenant that was served last.
    cursor: String,
    /// Whether the last claim left something behind.
    more: bool,
}

impl Feed {
    /// Starts with the first tenant.
    pub fn new(office: Arc<Office>) -> Self {
        Self { office, cursor: String::new(), more: true }
    }

    async fn feed(&mut self) -> anyhow::Result<Tick> {
        let office = &self.office;
        let room = office.queues.in_flight.room().min(CLAIM_MAX);
        // A claim for a handful costs as much as one for many.
        let worth_it = CLAIM_MAX.min(office.config.work.in_flight / 4).max(1);
        if room < worth_it || !office.lease.holds() {
            return Ok(Tick::Idle);
        }
        let now = office.clock.now();
        let mut tx = office.db.begin().await?;
        let claimed = work::claim(
            &mut tx,
            office.epoch,
            now,
            &[Step::Seal, Step::Send, Step::Resend],
            CLAIM_PER_TENANT.max(i64::try_from(room / 2).unwrap_or(i64::MAX)),
            i64::try_from(room).unwrap_or(i64::MAX),
            &mut self.cursor,
        )
        .await?;
        tx.commit().await?;
        self.more = !claimed.is_empty();
        if claimed.is_empty() {
            return Ok(Tick::Idle);
        }
        let count = claimed.len();
        let mut sends = Vec::new();
        for leased in claimed {
            let (job, tenant) = (leased.job.id, leased.job.tenant.clone());
            if !office.queues.in_flight.enter(job, &tenant) {
                continue;
            }
            match take(office, leased, now).await {
                Ok(Taken::Ready(ready)) => office.queues.ready.push(&tenant, ready),
                Ok(Taken::Send(outgoing)) => sends.push(outgoing),
                Ok(Taken::Parked | Taken::Dropped) => {}
                Err(fault) => {
                    tracing::warn!(job.id = %job, "a job could not be taken up: {fault:#}");
                    office.queues.give_back([job]);
                }
            }
        }
        self.send_again(sends, now).await?;
        Ok(Tick::Worked(count))
    }

    /// Marks mails as being sent, then lets the connections have them.
    async fn send_again(&self, sends: Vec<Outgoing>, now: DateTime<Utc>) -> anyhow::Result<()> {
        if sends.is_empty() {
            return Ok(());
        }
        let office = &self.office;
        let jobs: Vec<JobId> = sends.iter().map(|one| one.delivery.job).collect();
        let marked = match office.journal.anew(&jobs, now) {
            Ok(()) => work::mark_sending_now(&office.db, office.epoch, now, &jobs).await,
            Err(error) => {
                office.queues.give_back(jobs);
                return Err(error.into());
            }
        };
        let held = match marked {
            Ok(held) => held,
            Err(error) => {
                office.queues.give_back(jobs);
                return Err(error.into());
            }
        };
        for outgoing in sends {
            let queues = &office.queues;
            if !held.contains(&outgoing.delivery.job) {
                queues.in_flight.leave(outgoing.delivery.job);
            } else if outgoing.delivery.test_mode {
                queues.test_letters.push([outgoing]);
            } else {
                queues.letters.push([outgoing]);
            }
        }
        Ok(())
    }
}

impl Service for Feed {
    fn name(&self) -> &'static str {
        "feed"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(self.feed())
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        // Only while the books are known to hold more than memory does.
        self.more.then(|| self.office.queues.in_flight.bell())
    }

    fn pause(&self) -> Duration {
        self.office.config.work.poll.0
    }
}

enum Taken {
    Ready(Ready),
    Send(Outgoing),
    Parked,
    /// It was taken back, or taken over, meanwhile.
    Dropped,
}

/// Opens a claimed job.
async fn take(office: &Office, leased: Leased, now: DateTime<Utc>) -> anyhow::Result<Taken> {
    let (row, job) = (&leased.job, leased.job.id);
    let mut delivery = delivery_of(office, &leased, now).await?;
    match leased.step {
        Step::Seal => {
            let sealed = row.payload.as_deref().unwrap_or_default();
            let Ok(plain) = delivery.key.open_payload(job, sealed) else {
                return unreadable(office, &delivery, now).await;
            };
            let Ok(checked) = serde_json::from_slice::<CheckedJob>(&plain) else {
                return unreadable(office, &delivery, now).await;
            };
            delivery.sender_key.clone_from(&checked.key);
            delivery.reference.clone_from(&checked.reference);
            Ok(Taken::Ready(Ready { delivery: Arc::new(delivery), checked: Box::new(checked) }))
        }
        Step::Send | Step::Resend => take_mail(office, &leased, delivery, now).await,
        Step::HandOver | Step::Remind => anyhow::bail!("this has a step of its own"),
    }
}

/// A claimed job, but for what its personal data say.
pub(super) async fn delivery_of(
    office: &Office,
    leased: &Leased,
    now: DateTime<Utc>,
) -> anyhow::Result<Delivery> {
    let row = &leased.job;
    let (job, tenant) = (row.id, &row.tenant);
    let Some(wrapped) = &row.wrapped_key else {
        anyhow::bail!("the job has no key and should have no work");
    };
    let service = service_of(row.channel);
    let day_key = office.keys.existing_day_key(tenant, service, row.purge_day).await?;
    Ok(Delivery {
        job,
        tenant: tenant.clone(),
        channel: row.channel,
        test_mode: row.test_mode,
        key: DeliveryKey::unwrap(&day_key, tenant, job, wrapped)?,
        purge_day: row.purge_day,
        purge_at: row.dispatched_at.and(row.purge_at),
        accepted_at: row.accepted_at,
        attempt: leased.attempt,
        first_try_at: leased.first_try_at.unwrap_or(now),
        reminder: leased.step == Step::Remind,
        sender_key: String::new(),
        reference: None,
    })
}

/// Reads a job's sealed mail back; composes it, where its link is issued again
/// and nobody has yet.
async fn take_mail(
    office: &Office,
    leased: &Leased,
    mut delivery: Delivery,
    now: DateTime<Utc>,
) -> anyhow::Result<Taken> {
    let (row, job) = (&leased.job, delivery.job);
    let sealed = row.personal.as_deref().unwrap_or_default();
    let opened = delivery.key.open_personal(job, sealed).ok();
    let Some(personal) = opened.and_then(|plain| Personal::from_bytes(&plain).ok()) else {
        return unreadable(office, &delivery, now).await;
    };
    let reissue = reissued(office, job).await?;
    let letter = match reissue.as_ref().filter(|asked| asked.mail.is_none()) {
        Some(asked) => resend::compose(office, &delivery, row, &personal, asked, now).await?,
        None => match read_letter(office, leased, &personal, reissue).await {
            Ok(letter) => Some(letter),
            Err(Unread::ForGood(detail)) => {
                park::park(office, &delivery, Reason::PayloadUnreadable, &detail, now).await?;
                return Ok(Taken::Parked);
            }
            Err(Unread::ForNow(fault)) => return Err(fault),
        },
    };
    let Some(letter) = letter else {
        office.queues.in_flight.leave(job);
        return Ok(Taken::Dropped);
    };
    delivery.sender_key = personal.key;
    delivery.reference = personal.reference;
    Ok(Taken::Send(Outgoing { delivery: Arc::new(delivery), letter }))
}

async fn unreadable(
    office: &Office,
    delivery: &Delivery,
    now: DateTime<Utc>,
) -> anyhow::Result<Taken> {
    let detail = "the sealed payload does not open";
    park::park(office, delivery, Reason::PayloadUnreadable, detail, now).await?;
    Ok(Taken::Parked)
}

/// Why a sealed mail was not read back.
pub(super) enum Unread {
    /// Trying again cannot help.
    ForGood(String),
    /// The disk or the key store failed.
    ForNow(anyhow::Error),
}

impl Unread {
    fn after(error: impl std::error::Error + Send + Sync + 'static, may_pass: bool) -> Self {
        if may_pass { Self::ForNow(error.into()) } else { Self::ForGood(error.to_string()) }
    }
}

/// What is sent in the place of the first mail, if its link was issued again.
async fn reissued(office: &Office, job: JobId) -> anyhow::Result<Option<Reissue>> {
    let mut tx = office.db.read().await?;
    Ok(work::reissued(&mut tx, job).await?)
}

/// Reads a job's first mail from its segment, and the hour of its key.
async fn read_sealed(office: &Office, row: &JobRow) -> Result<(Vec<u8>, i64), Unread> {
    let Some((place, hour)) = mail_place(row) else {
        return Err(Unread::ForGood("the job has no sealed mail".into()));
    };
    let sealed = office.blobs.read(&place, 0..place.len).await.map_err(|error| {
        let may_pass = error.may_pass();
        Unread::after(error, may_pass)
    })?;
    Ok((sealed.to_vec(), hour))
}

/// Reads a sealed mail back, with the envelope it was composed for.
async fn read_letter(
    office: &Office,
    leased: &Leased,
    personal: &Personal,
    reissue: Option<Reissue>,
) -> Result<Letter, Unread> {
    let row = &leased.job;
    let sealed = match reissue.and_then(|reissue| reissue.mail) {
        Some(pair) => pair,
        None => read_sealed(office, row).await?,
    };
    open_letter(office, row, personal, sealed).await
}

/// Opens a sealed mail of a job, with the envelope it was composed for.
pub(super) async fn open_letter(
    office: &Office,
    row: &JobRow,
    personal: &Personal,
    (sealed, hour): (Vec<u8>, i64),
) -> Result<Letter, Unread> {
    let key = office.keys.existing_mail_key(hour).await.map_err(|error| {
        let may_pass = error.may_pass();
        Unread::after(error, may_pass)
    })?;
    let bytes = seal::open_mail(&sealed, &key, &row.tenant, row.id)
        .map_err(|error| Unread::after(error, false))?;
    let tag = crate::crypto::prints::verp_tag(&office.verp_key, row.id.0.as_bytes());
    let envelope_from =
        crate::dispatch::email::verp::address(row.id, tag, &office.config.mail.bounce_domain);
    let address = personal.email.as_deref().unwrap_or_default();
    let envelope_to = crate::dispatch::email::address::MailAddress::parse(address)
        .map_err(|error| Unread::after(error, false))?
        .wire()
        .to_owned();
    Ok(Letter { job: row.id, envelope_from, envelope_to, bytes: Arc::new(bytes) })
}

/// Puts a job that intake just took straight into memory: no claim needed.
/// The caller has entered it into `in_flight`.
pub fn hand_in(office: &Office, tenant: &TenantId, job: JobId, fresh: Fresh) {
    let Fresh { key, purge_day, accepted_at, checked } = fresh;
    let test_mode = office.config.tenants.get(tenant).is_some_and(|tenant| tenant.test_mode);
    let delivery = Delivery {
        job,
        tenant: tenant.clone(),
        channel: checked.channel,
        test_mode,
        key,
        purge_day,
        purge_at: None,
        accepted_at,
        attempt: 1,
        first_try_at: accepted_at,
        reminder: false,
        sender_key: checked.key.clone(),
        reference: checked.reference.clone(),
    };
    office.queues.ready.push(tenant, Ready { delivery: Arc::new(delivery), checked });
}

/// Where a job's sealed document lies.
pub fn artifact_place(row: &JobRow) -> Option<Place> {
    Some(Place {
        segment: row.segment?,
        offset: u64::try_from(row.artifact_offset?).ok()?,
        len: u64::try_from(row.artifact_len?).ok()?,
    })
}

/// Where a job's sealed mail lies, and the hour of its key.
fn mail_place(row: &JobRow) -> Option<(Place, i64)> {
    let place = Place {
        segment: row.segment?,
        offset: u64::try_from(row.mail_offset?).ok()?,
        len: u64::try_from(row.mail_len?).ok()?,
    };
    Some((place, row.mail_hour?))
}

//! Reminds of links that nobody has opened.
//!
//! A tick either looks at reminders whose time has come and makes work of those
//! that are to leave, or takes some of that work and sends it: composed around
//! a second token of the same link, sealed and on the books, under the marker,
//! over the connections of all mails. Every process does so; the books let one
//! of them win. A person who opens the link until the marker is set is not
//! reminded.
//!
//! Mails with documents go first: a tick takes a few reminders, and none while
//! mails wait for a connection, so that ten thousand at eight o'clock are a
//! trickle beside what else is to be sent.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

mod told;

use told::{fail, fail_unread, too_late};
pub(super) use told::{recovered, settle};

use super::{
    feed::{self, Unread},
    resend::{self, Words},
};
use crate::{
    app::{
        office::{Delivery, Office, Outgoing},
        worker::{Service, Tick, TickFuture},
    },
    config::Tenant,
    crypto::{CryptoError, LinkToken},
    dispatch::email::Letter,
    domain::{
        calendar::working_days::WorkingDays,
        ids::{JobId, TenantId},
        personal::Personal,
        reason::Reason,
        reminder::{Look, look, may_leave},
    },
    seal,
    store::{
        keyring::{KeyError, hours},
        reminders::{self, Composed, State},
        work::{self, Leased, Step},
    },
};

/// Reminders in one tick, and mails that may wait for a connection before a
/// tick takes none.
const AT_ONCE: i64 = 64;
/// When a reminder is looked at again whose work came to nothing.
const AGAIN: TimeDelta = TimeDelta::minutes(15);

/// Reminds of links.
#[derive(Debug)]
pub struct Remind {
    office: Arc<Office>,
    /// The tenant that was served last.
    cursor: String,
    /// Whether there was no room for what is to be sent.
    held_up: bool,
}

impl Remind {
    /// Starts with the first tenant.
    pub fn new(office: Arc<Office>) -> Self {
        Self { office, cursor: String::new(), held_up: false }
    }

    async fn remind(&mut self) -> anyhow::Result<Tick> {
        let queues = &self.office.queues;
        let at_once = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        let waiting = queues.letters.len().max(queues.test_letters.len());
        let in_flight = self.office.config.work.in_flight;
        let crowded = queues.in_flight.room() < at_once.min(in_flight / 2);
        self.held_up = waiting >= at_once || crowded;
        if self.held_up || !self.office.lease.holds() {
            return Ok(Tick::Idle);
        }
        let sent = self.send().await?;
        let looked = if sent < at_once { self.look().await? } else { 0 };
        let moved = sent.saturating_add(looked);
        Ok(if moved == 0 { Tick::Idle } else { Tick::Worked(moved) })
    }

    /// Looks at what is due.
    async fn look(&self) -> anyhow::Result<usize> {
        let office = &self.office;
        let now = office.clock.now();
        let mut tx = office.db.read().await?;
        let mut due = reminders::due(&mut tx, now, AT_ONCE).await?;
        drop(tx);
        if due.is_empty() {
            return Ok(0);
        }
        // Deliveries are locked in the order of their ids, as everywhere.
        due.sort_unstable_by_key(|one| one.job.id);
        let again = now.checked_add_signed(AGAIN).unwrap_or(now);
        let mut late = 0_usize;
        let mut tx = office.db.begin().await?;
        for one in &due {
            let days = WorkingDays::of(zone_of(office, &one.job.tenant));
            match look(one.reminder, &one.seen, now, &days) {
                Look::Send => {
                    reminders::start(&mut tx, one.job.id, one.due_at, now, again).await?;
                }
                Look::Wait(until) => {
                    reminders::wait(&mut tx, one, until).await?;
                }
                Look::NotNeeded => {
                    reminders::end(&mut tx, one, State::NotNeeded, now).await?;
                }
                Look::TooLate => {
                    let settled = too_late(office, one, now)?;
                    late = late.saturating_add(usize::from(
                        reminders::end_told(&mut tx, one, settled).await?,
                    ));
                }
            }
        }
        tx.commit().await?;
        for _ in 0..late {
            office.metrics.reminder(State::TooLate.word());
        }
        Ok(due.len())
    }

    /// Takes some of the work, and lets it leave.
    async fn send(&mut self) -> anyhow::Result<usize> {
        let office = &self.office;
        let now = office.clock.now();
        let mut tx = office.db.begin().await?;
        let (epoch, steps) = (office.epoch, [Step::Remind]);
        let cursor = &mut self.cursor;
        let claimed = work::claim(&mut tx, epoch, now, &steps, AT_ONCE, AT_ONCE, cursor).await?;
        tx.commit().await?;
        let count = claimed.len();
        let mut batch = Batch { office, now, ready: Vec::new(), jobs: Vec::new() };
        for leased in claimed {
            let job = leased.job.id;
            if !office.queues.in_flight.enter(job, &leased.job.tenant) {
                continue;
            }
            if let Err(fault) = batch.take(&leased).await {
                if is_for_good(&fault) {
                    fail_unread(office, &leased.job.tenant, job, now).await?;
                    continue;
                }
                tracing::warn!(job.id = %job, "a reminder could not be taken up: {fault:#}");
                office.queues.give_back([job]);
            }
        }
        let jobs = batch.jobs.clone();
        if let Err(fault) = batch.leave().await {
            office.queues.give_back(jobs);
            return Err(fault);
        }
        Ok(count)
    }
}

impl Service for Remind {
    fn name(&self) -> &'static str {
        "remind"
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(self.remind())
    }

    fn pause(&self) -> Duration {
        let poll = self.office.config.work.poll.0;
        if self.held_up { poll.min(Duration::from_millis(200)) } else { poll }
    }
}

/// Whether the key of a delivery is destroyed, or will never open it.
fn is_for_good(fault: &anyhow::Error) -> bool {
    fault.downcast_ref::<KeyError>().is_some_and(|error| !error.may_pass())
        || fault.downcast_ref::<CryptoError>().is_some()
}

fn zone_of(office: &Office, tenant: &TenantId) -> Tz {
    office.config.tenants.get(tenant).map_or(Tz::Asia__Tokyo, Tenant::zone)
}

/// A mail on its way to the books.
struct Ready {
    delivery: Delivery,
    letter: Letter,
    /// What is to be written down; nothing where that was done before.
    new: Option<New>,
}

struct New {
    mail: Vec<u8>,
    hour: i64,
    twin: (i64, [u8; 32]),
    link: (i64, Vec<u8>),
}

/// Reminders that leave together.
struct Batch<'o> {
    office: &'o Office,
    now: DateTime<Utc>,
    ready: Vec<Ready>,
    /// Whose leases are to be given back if the batch fails.
    jobs: Vec<JobId>,
}

impl Batch<'_> {
    /// Opens a claimed delivery; composes its mail, unless it was before.
    async fn take(&mut self, leased: &Leased) -> anyhow::Result<()> {
        let (office, row) = (self.office, &leased.job);
        let mut delivery = feed::delivery_of(office, leased, self.now).await?;
        let sealed = row.personal.as_deref().unwrap_or_default();
        let opened = delivery.key.open_personal(row.id, sealed).ok();
        let Some(personal) = opened.and_then(|plain| Personal::from_bytes(&plain).ok()) else {
            return fail(office, &delivery, Reason::PayloadUnreadable, self.now).await;
        };
        delivery.sender_key.clone_from(&personal.key);
        delivery.reference.clone_from(&personal.reference);
        let mut tx = office.db.read().await?;
        let mail = reminders::mail_of(&mut tx, row.id).await?;
        drop(tx);
        let days = WorkingDays::of(zone_of(office, &row.tenant));
        // A retry, or the rest of a life that ended, may come at any hour.
        let wanted = |mail: &reminders::Mail| may_leave(self.now, mail.expires_at, &days);
        let Some(mail) = mail.filter(wanted) else {
            let mut tx = office.db.begin().await?;
            reminders::let_go(&mut tx, office.epoch, row.id).await?;
            tx.commit().await?;
            office.queues.in_flight.leave(row.id);
            return Ok(());
        };
        let (letter, new) = match mail.sealed {
            Some(sealed) => match feed::open_letter(office, row, &personal, sealed).await {
                Ok(letter) => (letter, None),
                Err(Unread::ForNow(fault)) => return Err(fault),
                Err(Unread::ForGood(_)) => {
                    return fail(office, &delivery, Reason::PayloadUnreadable, self.now).await;
                }
            },
            None => match compose(office, &delivery, &personal, mail, self.now).await? {
                Some((letter, new)) => (letter, Some(new)),
                None => return fail(office, &delivery, Reason::MailFailed, self.now).await,
            },
        };
        self.jobs.push(row.id);
        self.ready.push(Ready { delivery, letter, new });
        Ok(())
    }

    /// Writes the mails down, sets the marker on those that are still wanted,
    /// and lets the connections have them.
    async fn leave(self) -> anyhow::Result<()> {
        let Self { office, now, mut ready, jobs } = self;
        if ready.is_empty() {
            return Ok(());
        }
        if ready.iter().any(|one| one.new.is_some()) {
            let mut tx = office.db.begin().await?;
            for one in &mut ready {
                let Some(New { mail, hour, twin, link }) = &one.new else { continue };
                let new = Composed {
                    mail,
                    hour: *hour,
                    twin: (twin.0, &twin.1),
                    link: (link.0, &link.1),
                };
                let job = one.delivery.job;
                if !reminders::composed(&mut tx, office.epoch, job, &new).await? {
                    // Its link died meanwhile, or it is somebody else's now.
                    reminders::let_go(&mut tx, office.epoch, job).await?;
                }
            }
            tx.commit().await?;
        }
        office.journal.anew(&jobs, now)?;
        let leaving = reminders::leave_now(&office.db, office.epoch, now, &jobs).await?;
        for Ready { delivery, letter, .. } in ready {
            let queues = &office.queues;
            if !leaving.contains(&delivery.job) {
                queues.in_flight.leave(delivery.job);
                continue;
            }
            let to = if delivery.test_mode { &queues.test_letters } else { &queues.letters };
            to.push([Outgoing { delivery: Arc::new(delivery), letter }]);
        }
        Ok(())
    }
}

/// Writes a reminder around a second token of its link; nothing when its words
/// make no mail.
async fn compose(
    office: &Office,
    delivery: &Delivery,
    personal: &Personal,
    mail: reminders::Mail,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<(Letter, New)>> {
    let link_keys = office.keys.link_keys().await?;
    let hour = hours::mail_hour(now);
    let mail_key = office.keys.mail_key(hour).await?;
    let token = LinkToken::mint(&link_keys, now, &office.entropy)?;
    let lookup = token.lookup(&link_keys)?;
    let words = Words {
        suffix: "r",
        document_number: mail.document_number.as_deref(),
        expires_at: mail.expires_at,
        first: Some((mail.sent_at, &mail.number.to_string())),
    };
    let letter = match resend::write(office, delivery, personal, &words, &token, now) {
        Ok(letter) => letter,
        Err(fault) => {
            tracing::error!(job.id = %delivery.job, "a reminder cannot be written: {fault:#}");
            return Ok(None);
        }
    };
    let (tenant, job) = (&delivery.tenant, delivery.job);
    let sealed = seal::seal_mail(&letter.bytes, &mail_key, tenant, job, &office.entropy)?;
    let twin = (lookup.day, lookup.print);
    Ok(Some((letter, New { mail: sealed, hour, twin, link: mail.link })))
}

//! The desk: messages in, jobs on the books out, one commit for many.
//!
//! A batch of messages is read and checked, each accepted one is sealed under
//! a key of its own, and all of them go onto the books in one transaction with
//! their log events. What was there already is answered as such; what is
//! refused gets its event in the log before anybody is told. Only when this
//! returns may the broker be told "ack": from then on nothing is lost here.
//!
//! The desk does not ack, publish or render.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

pub use super::message::{Fresh, Incoming, Verdict};
use super::{
    check::{self, CheckContext, LINK_DAYS_MAX},
    factor,
    inside::{self, PdfCheck},
    parse::{self, ParseLimits},
    record::personal_of,
};
use crate::{
    clock::SharedClock,
    config::Config,
    crypto::{CryptoError, delivery::DeliveryKey, prints},
    domain::{
        calendar::retention::{OutsideCalendar, RetentionClock},
        checked::CheckedJob,
        document,
        event::EventKind,
        evidence::DocumentFacts,
        ids::{Epoch, JobId, TenantId},
        job::{Channel, Document},
        log::Kind,
        personal::BadPersonal,
        refusal::{Refusal, Refused},
    },
    entropy::{Entropy, NoEntropy},
    store::{
        Db, StoreError,
        jobs::{self, NewJob, Taken},
        keyring::{KeyError, KeyRing, Service},
        ledger::{self, EventRow, Scribe, ScribeError},
        outbox::{Announce, News, OutboxRow},
    },
};

/// A sealed body of a body at the limit.
const SEALED_BODY_BYTES_MAX: usize = (1 << 20) + 128;

/// The desk could not work; nothing was acked, all of it comes again.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The books cannot be written.
    #[error("the books cannot be written")]
    Store(#[from] StoreError),
    /// A key is missing.
    #[error("a key cannot be had")]
    Keys(#[from] KeyError),
    /// Nothing can be sealed.
    #[error("nothing can be sealed")]
    Crypto(#[from] CryptoError),
    /// There is no randomness.
    #[error("no id can be drawn")]
    Entropy(#[from] NoEntropy),
    /// The log event cannot be written down.
    #[error("the log event cannot be made")]
    Scribe(#[from] ScribeError),
    /// The personal data cannot be written down.
    #[error("the personal data cannot be kept")]
    Personal(#[from] BadPersonal),
    /// The calendar ends before the retention does.
    #[error("no purge day can be computed")]
    Calendar(#[from] OutsideCalendar),
    /// The process is being shut down.
    #[error("the process is stopping")]
    Stopped,
    /// The books answered with fewer jobs than they were given.
    #[error("the books lost count")]
    Miscounted,
}

/// Takes jobs onto the books.
pub struct Desk {
    /// The settings.
    pub config: Arc<Config>,
    /// The time of day.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: Entropy,
    /// This process.
    pub epoch: Epoch,
    /// The books.
    pub db: Db,
    /// The keys.
    pub keys: KeyRing,
    /// The log's scribe.
    pub scribe: Scribe,
    /// Makes result events.
    pub announce: Arc<dyn Announce>,
    /// Looks into finished PDFs.
    pub pdfs: Arc<dyn PdfCheck>,
    /// Which templates exist.
    pub has_template: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// A checked job on its way onto the books.
struct Candidate {
    index: usize,
    row: NewJob,
    fresh: Fresh,
    key: String,
    reference: Option<String>,
}

impl Desk {
    /// Takes a batch of messages; answers one verdict each, in their order.
    ///
    /// `lease` is asked once per job that is due now: whether this process has
    /// room for it in memory. The rest waits on the books for whoever has.
    ///
    /// Twice the same batch is once: the second time every job is a duplicate.
    pub async fn take(
        &self,
        batch: Vec<Incoming>,
        lease: &mut (dyn FnMut(&TenantId) -> bool + Send),
    ) -> Result<Vec<Verdict>, DeskError> {
        let now = self.clock.now();
        let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(batch.len());
        let mut candidates = Vec::new();
        let mut events = Vec::new();
        let mut outbox = Vec::new();
        let mut reads = Vec::with_capacity(batch.len());
        for incoming in &batch {
            reads.push(self.read(incoming, now).await?);
        }
        inside::look(&*self.pdfs, reads.iter_mut()).await;
        for (index, (incoming, read)) in batch.into_iter().zip(reads).enumerate() {
            let offered = match read {
                Ok((checked, payload_mac)) => {
                    self.candidate(index, checked, payload_mac, incoming.trace, now, lease).await?
                }
                Err(refused) => Err(refused),
            };
            match offered {
                Ok(candidate) => {
                    candidates.push(candidate);
                    verdicts.push(None);
                }
                Err(refused) => {
                    if let Ok(tenant) = &incoming.tenant {
                        events.push(self.refusal_event(tenant, &refused, now)?);
                        outbox.extend(self.announce.announce(&News {
                            kind: EventKind::Rejected,
                            tenant,
                            job: None,
                            key: None,
                            reference: None,
                            code: Some(refused.refusal.code()),
                            at: now,
                        })?);
                    } else {
                        events.push(self.refusal_event(&office_tenant(), &refused, now)?);
                    }
                    verdicts.push(Some(Verdict::Refused { refused }));
                }
            }
        }
        self.put(candidates, &mut verdicts, &mut events, now).await?;
        self.write_down(&events, &outbox).await?;
        verdicts.into_iter().map(|verdict| verdict.ok_or(DeskError::Miscounted)).collect()
    }

    /// Reads and checks one message.
    async fn read(
        &self,
        incoming: &Incoming,
        now: DateTime<Utc>,
    ) -> Result<Result<(CheckedJob, [u8; 32]), Refused>, DeskError> {
        let tenant = match &incoming.tenant {
            Ok(tenant) => tenant,
            Err(refusal) => return Ok(Err(Refused::from(*refusal))),
        };
        if let Some(flaw) = incoming.flaw {
            return Ok(Err(Refused::from(flaw)));
        }
        let opened;
        let body = if incoming.sealed {
            if incoming.body.len() > SEALED_BODY_BYTES_MAX {
                return Ok(Err(Refused::from(Refusal::TooLarge)));
            }
            let pair = self.keys.sealing_pair(tenant).await?;
            match pair.open(Some(tenant), &incoming.body) {
                Ok(plain) => {
                    opened = plain;
                    opened.as_slice()
                }
                Err(_) => return Ok(Err(Refused::from(Refusal::BadSealedBody))),
            }
        } else {
            &incoming.body
        };
        let Some(settings) = self.config.tenants.get(tenant) else {
            return Ok(Err(Refused::from(Refusal::NoTenant)));
        };
        let dedupe = self.keys.dedupe_key().await?;
        let read = parse::parse(body, &ParseLimits::default()).and_then(|mut job| {
            let mac = prints::payload_mac(&dedupe, &Zeroizing::new(job.canonical()));
            if job.channel == Channel::Post && self.config.post.is_none() && !settings.test_mode {
                return Err(Refusal::BadOption.at("channel"));
            }
            job.recipient.locale.get_or_insert(settings.locale);
            let facts = facts_of(&job.document);
            let context = CheckContext {
                tenant,
                legacy_jp_addresses: settings.legacy_jp_addresses,
                now,
                link_days_max: LINK_DAYS_MAX,
                has_template: &|name| (self.has_template)(name),
                facts: facts.as_ref(),
            };
            check::check(job, &context).map(|checked| (checked, mac))
        });
        Ok(read)
    }

    /// Draws the id and the key of a job and seals what must not be readable.
    async fn candidate(
        &self,
        index: usize,
        mut checked: CheckedJob,
        payload_mac: [u8; 32],
        trace: Option<String>,
        now: DateTime<Utc>,
        lease: &mut (dyn FnMut(&TenantId) -> bool + Send),
    ) -> Result<Result<Candidate, Refused>, DeskError> {
        let tenant = checked.tenant.clone();
        let settings = self.config.tenants.get(&tenant);
        let job = JobId(self.entropy.id(now)?);
        let zone = settings.map_or(chrono_tz::Tz::Asia__Tokyo, crate::config::Tenant::zone);
        let send_at = checked.send_at.max(now);
        let purge = RetentionClock { months: self.config.retention.months }.purge(send_at, zone)?;
        let service = service_of(checked.channel);
        let day_key = match self.keys.day_key(&tenant, service, purge.purge_day).await {
            // Off-boarded while its application still sends: it will not come back.
            Err(KeyError::Destroyed) => return Ok(Err(Refusal::ServiceEnded.into())),
            key => key?,
        };
        if let Err(refused) = inside::claim(&self.db, &mut checked, job, now).await? {
            return Ok(Err(refused));
        }
        let key = DeliveryKey::draw(&self.entropy)?;
        let mut personal = personal_of(&checked);
        personal.second_factor = factor::kept(&self.keys, &self.entropy, job, &mut checked).await?;
        let payload = Zeroizing::new(serde_json::to_vec(&checked).map_err(|_| BadPersonal)?);
        let dedupe = self.keys.dedupe_key().await?;
        let due = send_at <= now;
        let leased = due && lease(&tenant);
        let event = self.accepted_event(&checked, job, &key, now)?;
        let row = NewJob {
            id: job,
            channel: checked.channel,
            test_mode: settings.is_some_and(|tenant| tenant.test_mode),
            accepted_at: now,
            send_at,
            purge_day: purge.purge_day,
            wrapped_key: key.wrap(&day_key, &tenant, job, &self.entropy)?,
            personal: key.seal_personal(job, &personal.to_bytes()?, &self.entropy)?,
            payload: key.seal_payload(job, &payload, &self.entropy)?,
            trace,
            dedupe_print: prints::dedupe_print(&dedupe, &tenant, &checked.key),
            payload_mac,
            lease: leased,
            evidence: self.evidence(&checked, now).await?,
            event,
            tenant,
        };
        let sender_key = checked.key.clone();
        let reference = checked.reference.clone();
        let fresh =
            Fresh { key, purge_day: purge.purge_day, accepted_at: now, checked: Box::new(checked) };
        Ok(Ok(Candidate { index, row, fresh, key: sender_key, reference }))
    }

    /// Puts the candidates onto the books and answers for each.
    async fn put(
        &self,
        candidates: Vec<Candidate>,
        verdicts: &mut [Option<Verdict>],
        events: &mut Vec<EventRow>,
        now: DateTime<Utc>,
    ) -> Result<(), DeskError> {
        if candidates.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(candidates.len());
        let mut rest = Vec::with_capacity(candidates.len());
        let mut outbox = Vec::new();
        for candidate in candidates {
            outbox.extend(self.announce.announce(&News {
                kind: EventKind::Accepted,
                tenant: &candidate.row.tenant,
                job: Some(candidate.row.id),
                key: Some(&candidate.key),
                reference: candidate.reference.as_deref(),
                code: None,
                at: now,
            })?);
            rest.push((candidate.index, candidate.row.lease, candidate.fresh));
            rows.push(candidate.row);
        }
        let taken = jobs::accept_now(&self.db, self.epoch, &rows, &outbox).await?;
        if taken.len() != rows.len() {
            return Err(DeskError::Miscounted);
        }
        for (((index, leased, fresh), row), taken) in rest.into_iter().zip(&rows).zip(taken) {
            let verdict = match taken {
                Taken::Fresh => {
                    Verdict::Accepted { job: row.id, fresh: leased.then(|| Box::new(fresh)) }
                }
                Taken::Same { job } => {
                    events.push(self.echo_event(&row.tenant, job, Kind::Duplicate, None, now)?);
                    Verdict::Duplicate { job }
                }
                Taken::Conflict { job } => {
                    let refused = Refused::from(Refusal::IdConflict);
                    let code = Some(refused.refusal.code());
                    events.push(self.echo_event(&row.tenant, job, Kind::Conflict, code, now)?);
                    Verdict::Refused { refused }
                }
            };
            if let Some(place) = verdicts.get_mut(index) {
                *place = Some(verdict);
            }
        }
        Ok(())
    }

    /// Writes down what was refused or came twice, before anybody is told.
    async fn write_down(&self, events: &[EventRow], outbox: &[OutboxRow]) -> Result<(), DeskError> {
        if events.is_empty() && outbox.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        ledger::append(&mut tx, events).await?;
        crate::store::outbox::add(&mut tx, outbox).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// What a document's own data say, for the kinds whose data we know.
fn facts_of(document: &Document) -> Option<DocumentFacts> {
    match document {
        Document::Template { template, data, .. } => document::facts(template, data),
        Document::Pdf { .. } | Document::Upload { .. } => None,
    }
}

/// Under whose name the log keeps what no known tenant sent.
fn office_tenant() -> TenantId {
    TenantId::office()
}

/// The key service of a channel.
pub const fn service_of(channel: Channel) -> Service {
    match channel {
        Channel::Email => Service::Mail,
        Channel::Post => Service::Postal,
    }
}

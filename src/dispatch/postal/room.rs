//! The post room: the handles that the three ticks share.
//!
//! [`HandOver`](super::HandOver) makes batches and hands them over,
//! [`Answers`](super::Answers) puts on the books what the partner says, and
//! [`Silent`](super::Silent) notices what it does not say.

use std::{fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::future::BoxFuture;

use super::{Partner, PostalError, PostalLines, PrintOptions};
use crate::{
    clock::SharedClock,
    crypto::{CryptoError, delivery::DeliveryKey},
    domain::{
        calendar::retention::{OutsideCalendar, RetentionClock},
        event::EventKind,
        ids::{Epoch, TenantId},
        log::{Actor, Fact, Kind},
        personal::Personal,
        plain::Plain,
        postal_address::addressee,
    },
    entropy::Entropy,
    store::{
        Db, StoreError,
        jobs::JobRow,
        keyring::{KeyError, KeyRing, Service},
        ledger::{DetailKey, EventDraft, EventRow, Scribe, ScribeError},
        outbox::{Announce, News, OutboxRow},
        postal::PieceClock,
    },
};

/// The handles of one partner's ticks; `app` makes one room per partner.
pub struct PostRoom {
    /// The partner.
    pub partner: Arc<dyn Partner>,
    /// The database.
    pub db: Db,
    /// The keys.
    pub keys: KeyRing,
    /// The time of day.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: Entropy,
    /// This life of this process.
    pub epoch: Epoch,
    /// Writes rows of the log.
    pub scribe: Scribe,
    /// Opens sealed documents.
    pub opener: Arc<dyn OpenPiece>,
    /// Tells senders what became of a letter.
    pub announce: Arc<dyn Announce>,
    /// The bounds.
    pub settings: PostSettings,
}

/// The bounds of the post room.
#[derive(Clone)]
pub struct PostSettings {
    /// How long a dispatched letter is kept.
    pub clock: RetentionClock,
    /// Gives each tenant's zone.
    pub zone_of: Arc<dyn Fn(&TenantId) -> Tz + Send + Sync>,
    /// How letters are printed.
    pub options: PrintOptions,
    /// Without a posting date for this long after the hand-over, a letter is
    /// silent: its clock starts at the hand-over.
    pub silent_after: TimeDelta,
    /// Most letters of a batch; more make a second batch.
    pub batch_pieces_max: i64,
    /// Most bytes of plain PDF in memory for a batch; more make a second one.
    pub batch_bytes_max: u64,
}

/// Opens the document of a letter that is about to be handed over.
pub trait OpenPiece: Send + Sync {
    /// The plain PDF and what is known of its recipient.
    fn open<'a>(&'a self, job: &'a JobRow) -> BoxFuture<'a, Result<OpenedPiece, OpenFault>>;
}

/// A letter's plain document and address.
pub struct OpenedPiece {
    /// The document.
    pub pdf: Plain,
    /// Name and address.
    pub personal: Personal,
}

/// Why a document does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// Its key or its bytes are gone or broken: the letter is parked.
    #[error("the document of a letter does not open")]
    Unreadable,
    /// Something was not to be had; the same may work later.
    #[error("the document of a letter cannot be read now")]
    Later(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a tick of the post room did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// That many letters moved; there may be more at once.
    Worked(usize),
    /// There was nothing to do.
    Idle,
}

impl Tick {
    pub(super) const fn of(moved: usize) -> Self {
        if moved == 0 { Self::Idle } else { Self::Worked(moved) }
    }
}

/// Why a tick came to nothing; the next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The books did not answer.
    #[error("the post room cannot use the books")]
    Store(#[from] StoreError),
    /// The partner's side failed.
    #[error("the print partner's side failed")]
    Partner(#[from] PostalError),
    /// The key store did not answer.
    #[error("the post room cannot use the keys")]
    Keys(#[from] KeyError),
    /// A document is not to be had now.
    #[error("a letter cannot be opened now")]
    Open(#[from] OpenFault),
    /// A row of the log could not be written.
    #[error("the post room cannot write a row of the log")]
    Scribe(#[from] ScribeError),
    /// Something could not be sealed.
    #[error("the post room cannot seal")]
    Crypto(#[from] CryptoError),
    /// A date lies outside the calendar.
    #[error("no purge date can be computed for a letter")]
    Calendar(#[from] OutsideCalendar),
    /// No id could be drawn.
    #[error("no id could be drawn for a batch")]
    NoEntropy(#[from] crate::entropy::NoEntropy),
}

impl PostRoom {
    /// Starts the retention clock of a letter. Its key moves to the purge day
    /// if that is later, never to an earlier one.
    pub(super) async fn start_clock(
        &self,
        job: &JobRow,
        dispatched: DateTime<Utc>,
    ) -> Result<PieceClock, RoomError> {
        let zone = (self.settings.zone_of)(&job.tenant);
        let purge = self.settings.clock.purge(dispatched, zone)?;
        let purge_at = purge.purge_at;
        let mut clock = PieceClock { purge_at, purge_day: job.purge_day, rewrapped: None };
        if purge.purge_day > job.purge_day
            && let Some(key) = self.delivery_key(job).await?
        {
            let day = self.keys.day_key(&job.tenant, Service::Postal, purge.purge_day).await?;
            clock.rewrapped = Some(key.wrap(&day, &job.tenant, job.id, &self.entropy)?);
            clock.purge_day = purge.purge_day;
        }
        Ok(clock)
    }

    /// The key of a letter; none when it was destroyed or does not open, which
    /// must not keep the partner's words off the books.
    pub(super) async fn delivery_key(
        &self,
        job: &JobRow,
    ) -> Result<Option<DeliveryKey>, RoomError> {
        let Some(wrapped) = &job.wrapped_key else { return Ok(None) };
        let day = self.keys.existing_day_key(&job.tenant, Service::Postal, job.purge_day).await;
        match day {
            Ok(day) => Ok(DeliveryKey::unwrap(&day, &job.tenant, job.id, wrapped).ok()),
            Err(KeyError::Destroyed | KeyError::Unknown) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The news of a letter, with the sender's own names where they open.
    pub(super) async fn news(
        &self,
        job: &JobRow,
        kind: EventKind,
        code: Option<&'static str>,
        at: DateTime<Utc>,
    ) -> Result<Option<OutboxRow>, RoomError> {
        let personal = match (self.delivery_key(job).await?, &job.personal) {
            (Some(key), Some(sealed)) => key
                .open_personal(job.id, sealed)
                .ok()
                .and_then(|plain| Personal::from_bytes(&plain).ok()),
            (None, _) | (_, None) => None,
        };
        let key = personal.as_ref().map(|personal| personal.key.as_str());
        let reference = personal.as_ref().and_then(|personal| personal.reference.as_deref());
        let news = News { kind, tenant: &job.tenant, job: Some(job.id), key, reference, code, at };
        Ok(self.announce.announce(&news)?)
    }

    /// A line of the log about a letter.
    pub(super) fn event(
        &self,
        job: &JobRow,
        kind: Kind,
        actor: Actor,
        code: Option<&'static str>,
        at: DateTime<Utc>,
        facts: Vec<(&'static str, Fact)>,
    ) -> Result<EventRow, RoomError> {
        Ok(self.scribe.event(EventDraft {
            tenant: &job.tenant,
            job: Some(job.id),
            at,
            kind,
            actor,
            code,
            facts,
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?)
    }
}

/// The lines on the envelope; none where a part of the address is missing.
pub(super) fn lines_of(personal: &Personal) -> Option<PostalLines> {
    let digits = personal.postal_code.as_deref()?;
    let (area, town) = digits.split_at_checked(3).filter(|_| digits.len() == 7)?;
    if personal.address_lines.is_empty() {
        return None;
    }
    let mut lines = personal.address_lines.clone();
    lines.extend(addressee(&personal.recipient_name, personal.person.as_deref()));
    Some(PostalLines { postal_code: format!("{area}-{town}"), lines })
}

impl fmt::Debug for PostRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostRoom").field("partner", &self.partner).finish_non_exhaustive()
    }
}

impl fmt::Debug for PostSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostSettings")
            .field("silent_after", &self.silent_after)
            .field("batch_pieces_max", &self.batch_pieces_max)
            .field("batch_bytes_max", &self.batch_bytes_max)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenedPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedPiece(..)")
    }
}

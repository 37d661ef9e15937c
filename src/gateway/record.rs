//! What goes into the log, and how a request finds its delivery.
//!
//! The visitor's address block and program are sealed under the tenant's
//! access key of a month that is destroyed a year later; the leaf in the tree
//! keeps no more than a commitment to them.

use std::sync::Arc;

use axum::response::Response;
use chrono::{DateTime, Utc};

use super::{
    Inner,
    artifact::ArtifactError,
    notes::{Note, Slot, Taken, Tally},
    pages::Notice,
    support,
    together::{Together, in_time},
    visitor::Visitor,
};
use crate::{
    crypto::{CryptoError, Key, Lookup},
    domain::{
        ids::{JobId, TenantId},
        locale::Locale,
        log::{Actor, Fact, Kind},
        reason::Reason,
    },
    entropy::NoEntropy,
    store::{
        Db, StoreError,
        dossier::{self, DossierError},
        keyring::KeyError,
        ledger::{self, DetailKey, EventDraft, EventRow, ScribeError},
        links::{self, Found},
    },
};

/// Why a request could not be answered. Goes to our log, never to a page.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The books.
    #[error("the books cannot be used")]
    Store(#[from] StoreError),
    /// The key store.
    #[error("a key is not to be had")]
    Keys(#[from] KeyError),
    /// A row that stays closed.
    #[error("a delivery's row stays closed")]
    Dossier(#[from] DossierError),
    /// A row of the log that cannot be made.
    #[error("a row of the log cannot be made")]
    Scribe(#[from] ScribeError),
    /// A result event that cannot be made.
    #[error("a result event cannot be sealed")]
    Event(#[from] CryptoError),
    /// No randomness for a code, a cookie or a number.
    #[error("there is no randomness")]
    Entropy(#[from] NoEntropy),
    /// The process is being shut down.
    #[error("the process is stopping")]
    Stopping,
    /// As many documents are being sent as may be at the same time.
    #[error("too many documents are being sent")]
    Busy,
    /// The document.
    #[error("the document does not open")]
    Artifact(#[from] ArtifactError),
}

impl Fault {
    /// Whether the document itself is damaged, as opposed to something of ours
    /// being away.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Dossier(error) => !error.may_pass(),
            Self::Keys(error) => !error.may_pass(),
            Self::Artifact(error) => error.is_damage(),
            Self::Store(_)
            | Self::Scribe(_)
            | Self::Event(_)
            | Self::Entropy(_)
            | Self::Stopping
            | Self::Busy => false,
        }
    }
}

/// Why notes could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("notes could not be written down")]
pub struct FlushError(#[source] pub(super) Fault);

impl Inner {
    /// Looks for a link and its delivery.
    pub(super) async fn find(&self, link: &Lookup) -> Result<Option<Found>, Fault> {
        if let Some(Some(found)) = self.looks.ask(*link).await {
            return Ok(Some(found));
        }
        // Alone it hears what is wrong, and is looked for among second tokens.
        Ok(links::look(&self.parts.db, link.day, &link.print).await?)
    }

    /// A row of the log about what a visitor did.
    pub(super) async fn event(
        &self,
        kind: Kind,
        tenant: &TenantId,
        job: Option<JobId>,
        at: DateTime<Utc>,
        facts: Vec<(&'static str, Fact)>,
        visitor: Option<&Visitor>,
    ) -> Result<EventRow, Fault> {
        self.event_because(kind, None, (tenant, job), at, facts, visitor).await
    }

    /// The same, with the reason for which something ended.
    pub(super) async fn event_because(
        &self,
        kind: Kind,
        reason: Option<Reason>,
        (tenant, job): (&TenantId, Option<JobId>),
        at: DateTime<Utc>,
        facts: Vec<(&'static str, Fact)>,
        visitor: Option<&Visitor>,
    ) -> Result<EventRow, Fault> {
        let personal = visitor.map(personal).unwrap_or_default();
        let month = dossier::access_month(at);
        let key: Option<Arc<Key>> = if personal.is_empty() {
            None
        } else {
            Some(self.parts.keys.access_key(tenant, month).await?)
        };
        let detail_key = match &key {
            Some(key) => DetailKey::Access(key, dossier::access_label(month)),
            None => DetailKey::None,
        };
        Ok(self.parts.scribe.event(EventDraft {
            tenant,
            job,
            at,
            kind,
            actor: Actor::Recipient,
            code: reason.map(Reason::code),
            facts,
            personal,
            detail_key,
        })?)
    }

    /// The answer to a fault: never more than that it is ours.
    pub(super) fn answer(&self, fault: &Fault, job: Option<JobId>, locale: Locale) -> Response {
        let job = job.map(tracing::field::display);
        let notice = if fault.is_damage() { Notice::Broken } else { Notice::Trouble };
        // A number without meaning: who is called finds this line by it.
        let support = self.parts.entropy.array().ok().map(support::number);
        let shown = support.as_deref().unwrap_or_default();
        let error = Chain(fault).to_string();
        tracing::error!(job.id = job, support = shown, error, "a visitor was not served");
        self.pages.notice_with(notice, locale, support.as_deref())
    }

    /// See [`Gateway::flush`](super::Gateway::flush).
    pub(super) async fn flush(&self) -> Result<usize, FlushError> {
        let taken = self.notes.take();
        if taken.slots.is_empty() && taken.dropped == 0 {
            return self.write_ends().await;
        }
        match self.write_down(&taken).await {
            Ok(rows) => Ok(rows.saturating_add(self.write_ends().await?)),
            Err(fault) => {
                self.notes.put_back(taken);
                Err(FlushError(fault))
            }
        }
    }

    async fn write_down(&self, taken: &Taken) -> Result<usize, Fault> {
        let mut rows = Vec::with_capacity(taken.slots.len());
        for (slot, tally) in &taken.slots {
            rows.push(self.note_row(slot, tally).await?);
        }
        if taken.dropped > 0 {
            let facts = vec![("dropped", Fact::Int(taken.dropped))];
            let (office, now) = (TenantId::office(), self.parts.clock.now());
            rows.push(self.event(Kind::Guessed, &office, None, now, facts, None).await?);
        }
        let mut tx = self.parts.db.begin().await?;
        ledger::append(&mut tx, &rows).await?;
        tx.commit().await?;
        Ok(rows.len())
    }

    async fn note_row(&self, slot: &Slot, tally: &Tally) -> Result<EventRow, Fault> {
        let count = ("count", Fact::Int(tally.count));
        let visitor = tally.visitor.as_ref();
        match &slot.1 {
            Note::Fetched { tenant, job, alive, labels } => {
                let mut facts = vec![count, ("alive", Fact::Int(i64::from(*alive)))];
                if let Some(words) = labels.words(tally.count) {
                    facts.push(("labels", words.into()));
                }
                let (kind, job) = (Kind::PageFetched, Some(*job));
                self.event(kind, tenant, job, tally.at, facts, visitor).await
            }
            Note::NotServed { tenant, job, damaged } => {
                let why = if *damaged { "damaged" } else { "away" };
                let facts = vec![count, ("why", why.into())];
                let (kind, job) = (Kind::NotServed, Some(*job));
                self.event(kind, tenant, job, tally.at, facts, visitor).await
            }
            Note::Guessed { .. } => {
                let office = TenantId::office();
                self.event(Kind::Guessed, &office, None, tally.at, vec![count], visitor).await
            }
        }
    }
}

/// Looks for the links of all who wait for it at this moment.
pub(super) fn looks(db: Db) -> Together<Lookup, Option<Found>> {
    Together::new(move |asked: Vec<Lookup>| {
        let db = db.clone();
        Box::pin(async move { in_time(links::look_many(&db, &asked)).await.unwrap_or_default() })
    })
}

fn personal(visitor: &Visitor) -> Vec<(&'static str, String)> {
    let block = visitor.block.map(|block| ("address", block.to_string()));
    let program = visitor.program.clone().map(|program| ("program", program));
    let device = visitor.device.clone().map(|device| ("device", device));
    block.into_iter().chain(program).chain(device).collect()
}

/// An error with everything behind it, for the log.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

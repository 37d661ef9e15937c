//! The log, for those who must answer: who got what, when, who opened it, and
//! is it gone?
//!
//! An answer has three layers. What is nobody's secret stands in the leaf and
//! in the evidence, and is there for years. What is personal was sealed, and
//! is opened here as long as its key exists; afterwards the line says
//! "destroyed", which is itself an answer. The leaf goes with every line, so
//! that its reader can rebuild the tree and take nobody's word.
//!
//! Exporting is itself an event in the log; whoever exports writes it first.
//!
//! It refuses questions without a tenant, and shows a detail only when it
//! matches the commitments of its leaf.

pub mod export;
pub mod query;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use export::{ExportError, Exporter, Format};
pub use query::{BadQuery, Query};

use crate::{
    clock::SharedClock,
    crypto::{Key, delivery::DeliveryKey},
    domain::{
        amount::Amount,
        ids::{EventId, JobId, TenantId},
        log::{Actor, Fact, Kind, Leaf},
    },
    store::{
        Db, StoreError,
        dossier::{self, DossierError},
        jobs,
        keyring::{KeyError, KeyRing},
        ledger::{
            self, DetailKey, EventDraft, EvidenceRow, FoundEvent, Scribe, ScribeError,
            scribe::Detail,
        },
    },
};

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The books.
    #[error("the books cannot be used")]
    Store(#[from] StoreError),
    /// The key store.
    #[error("a key is not to be had")]
    Keys(#[from] KeyError),
    /// The export could not be put on record, and so was not made.
    #[error("the export cannot be put on record")]
    Scribe(#[from] ScribeError),
    /// The export could not be written.
    #[error("the export cannot be written")]
    Export(#[from] ExportError),
}

/// What is known of a detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailState {
    /// The event never had one.
    None,
    /// Opened, and it matches its leaf.
    Open,
    /// Its key has been destroyed: nobody can read it any more.
    Destroyed,
    /// It does not open or does not match its leaf: somebody changed it.
    Broken,
}

impl DetailState {
    /// The word in an export.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Open => "open",
            Self::Destroyed => "destroyed",
            Self::Broken => "broken",
        }
    }
}

/// What stays searchable of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Number of the document.
    pub number: Option<String>,
    /// Transaction date.
    pub date: Option<String>,
    /// Total, as a decimal string.
    pub amount: Option<String>,
    /// Currency of the total.
    pub currency: Option<String>,
    /// Name of the other side; `destroyed` when its years are over.
    pub counterparty: Option<String>,
    /// The sender's code for the other side.
    pub counterparty_code: Option<String>,
}

/// A line of the log, opened as far as it can be.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Whose log.
    pub tenant: TenantId,
    /// The event.
    pub event: EventId,
    /// What happened.
    pub kind: &'static str,
    /// Who did it.
    pub actor: &'static str,
    /// Why, as a code.
    pub code: Option<String>,
    /// The delivery it is about.
    pub job: Option<JobId>,
    /// What stays searchable of its document.
    pub evidence: Option<Evidence>,
    /// What is nobody's secret, by name.
    pub facts: Vec<(String, String)>,
    /// What is personal, by name, if it can be opened.
    pub detail: Vec<(String, String)>,
    /// What is known of the detail.
    pub detail_state: DetailState,
    /// The place in the tenant's tree, once it has one.
    pub leaf_index: Option<i64>,
    /// The leaf.
    pub leaf: Vec<u8>,
}

impl Line {
    /// The hash of the leaf in the tree (RFC 6962 §2.1), in hexadecimal.
    pub fn leaf_sha256(&self) -> String {
        let hash = Sha256::new().chain_update([0]).chain_update(&self.leaf).finalize();
        HEXLOWER.encode(&hash)
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("event", &self.event).finish_non_exhaustive()
    }
}

/// A page of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The lines, oldest first.
    pub lines: Vec<Line>,
    /// Where the next page begins; absent when this was the last.
    pub next: Option<EventId>,
}

/// Answers questions to the log.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The books.
    pub db: Db,
    /// The keys.
    pub keys: KeyRing,
    /// The time of day.
    pub clock: SharedClock,
    /// Writes that something was exported.
    pub scribe: Scribe,
}

impl Reader {
    /// One page of an answer.
    pub async fn search(&self, query: &Query) -> Result<Page, AuditError> {
        let index = self.keys.index_key(&query.tenant).await?;
        let mut tx = self.db.read().await?;
        let found = ledger::search(&mut tx, &query.search(&index)).await?;
        let mut opener = Opener { reader: self, deliveries: HashMap::new() };
        let full = i64::try_from(found.len()).unwrap_or(i64::MAX) >= query.limit;
        let next = found.last().filter(|_| full).map(|last| last.event.row.id);
        let mut lines = Vec::with_capacity(found.len());
        for event in found {
            lines.push(opener.open(&mut tx, event).await?);
        }
        Ok(Page { lines, next })
    }

    /// Writes every page of an answer to `out`, and gives the number of lines.
    /// That there was an export is on record before the first line is written.
    pub async fn export<W: std::io::Write>(
        &self,
        query: &Query,
        format: Format,
        out: W,
    ) -> Result<u64, AuditError> {
        let mut query = query.clone();
        self.put_on_record(&query.tenant).await?;
        // What comes while we write belongs to the next export.
        let begun = self.clock.now();
        let end = begun.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(begun);
        query.to = Some(query.to.map_or(end, |to| to.min(end)));
        query.limit = query::PAGE_ROWS_MAX;
        let mut exporter = Exporter::begin(out, format)?;
        let mut count = 0_u64;
        loop {
            let page = self.search(&query).await?;
            for line in &page.lines {
                exporter.line(line)?;
                count = count.saturating_add(1);
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        exporter.end()?;
        Ok(count)
    }

    async fn put_on_record(&self, tenant: &TenantId) -> Result<(), AuditError> {
        let event = self.scribe.event(EventDraft {
            tenant,
            job: None,
            at: self.clock.now(),
            kind: Kind::Exported,
            actor: Actor::Operator,
            code: None,
            facts: Vec::new(),
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?;
        let mut tx = self.db.begin().await?;
        ledger::append(&mut tx, &[event]).await?;
        Ok(tx.commit().await?)
    }
}

/// Opens the lines of a page; remembers the keys of their deliveries.
struct Opener<'r> {
    reader: &'r Reader,
    deliveries: HashMap<JobId, Option<std::sync::Arc<DeliveryKey>>>,
}

impl Opener<'_> {
    async fn open(
        &mut self,
        tx: &mut crate::store::Tx,
        found: FoundEvent,
    ) -> Result<Line, AuditError> {
        let FoundEvent { event, evidence } = found;
        let row = event.row;
        // A leaf that cannot be read is shown as bytes; verification names it.
        let leaf = Leaf::decode(&row.leaf).ok();
        let (detail, detail_state) = match (&row.detail, &row.detail_key) {
            (Some(sealed), Some(key)) => {
                let job = row.job;
                let opened = self.detail(tx, &row.tenant, job, key, row.id, sealed).await?;
                judged(opened, leaf.as_ref())
            }
            (None, None) => (Vec::new(), DetailState::None),
            (Some(_), None) | (None, Some(_)) => (Vec::new(), DetailState::Broken),
        };
        let evidence = match evidence {
            Some(evidence) => Some(self.evidence(evidence).await?),
            None => None,
        };
        Ok(Line {
            at: row.at,
            event: row.id,
            kind: row.kind.word(),
            actor: leaf.as_ref().map_or("", |leaf| leaf.actor.word()),
            code: row.code,
            job: row.job,
            evidence,
            facts: leaf.map(|leaf| leaf.facts.iter().map(shown).collect()).unwrap_or_default(),
            detail,
            detail_state,
            leaf_index: event.leaf_index,
            leaf: row.leaf,
            tenant: row.tenant,
        })
    }

    async fn detail(
        &mut self,
        tx: &mut crate::store::Tx,
        tenant: &TenantId,
        job: Option<JobId>,
        name: &str,
        event: EventId,
        sealed: &[u8],
    ) -> Result<Opened, AuditError> {
        let open = |key: &Key| match Detail::open(key, event, sealed) {
            Ok(detail) => Opened::Open(detail),
            Err(_) => Opened::Broken,
        };
        if let Some(label) = name.strip_prefix("access/") {
            let Some(month) = dossier::month_of_label(label) else { return Ok(Opened::Broken) };
            return match self.reader.keys.access_key(tenant, month).await {
                Ok(key) => Ok(open(&key)),
                Err(KeyError::Destroyed) => Ok(Opened::Destroyed),
                Err(error) => Err(error.into()),
            };
        }
        let (Some(job), "delivery") = (job, name) else { return Ok(Opened::Broken) };
        match self.delivery(tx, tenant, job).await? {
            Some(key) => Ok(open(&key.personal_key())),
            None => Ok(Opened::Destroyed),
        }
    }

    /// The key of a delivery; `None` once it is destroyed.
    async fn delivery(
        &mut self,
        tx: &mut crate::store::Tx,
        tenant: &TenantId,
        job: JobId,
    ) -> Result<Option<std::sync::Arc<DeliveryKey>>, AuditError> {
        if let Some(known) = self.deliveries.get(&job) {
            return Ok(known.clone());
        }
        let key = match jobs::get(tx, Some(tenant), job).await? {
            // The month's partition is gone with everything in it.
            None => None,
            Some(row) => match dossier::delivery_key(&self.reader.keys, &row).await {
                Ok(key) => Some(std::sync::Arc::new(key)),
                Err(DossierError::Key(error)) if error.may_pass() => return Err(error.into()),
                Err(_) => None,
            },
        };
        self.deliveries.insert(job, key.clone());
        Ok(key)
    }

    async fn evidence(&self, row: EvidenceRow) -> Result<Evidence, AuditError> {
        let keys = &self.reader.keys;
        let counterparty = match &row.counterparty {
            None => None,
            Some(sealed) => {
                let name =
                    dossier::counterparty(keys, &row.tenant, row.evidence_year, sealed).await;
                Some(match name {
                    Ok(name) => name,
                    Err(DossierError::Key(error)) if error.may_pass() => return Err(error.into()),
                    Err(DossierError::Destroyed) => DetailState::Destroyed.word().to_owned(),
                    Err(_) => DetailState::Broken.word().to_owned(),
                })
            }
        };
        let amount = row.amount_minor.and_then(|minor| Amount::from_hundredths(minor).ok());
        Ok(Evidence {
            number: row.number,
            date: row.transaction_day.and_then(day).map(|day| day.to_string()),
            amount: amount.map(|amount| amount.to_string()),
            currency: row.currency,
            counterparty,
            counterparty_code: row.counterparty_code,
        })
    }
}

enum Opened {
    Open(Detail),
    Destroyed,
    Broken,
}

fn judged(opened: Opened, leaf: Option<&Leaf>) -> (Vec<(String, String)>, DetailState) {
    match opened {
        Opened::Open(detail) if leaf.is_some_and(|leaf| detail.matches(leaf)) => {
            (detail.fields.into_iter().collect(), DetailState::Open)
        }
        Opened::Open(_) | Opened::Broken => (Vec::new(), DetailState::Broken),
        Opened::Destroyed => (Vec::new(), DetailState::Destroyed),
    }
}

fn shown((name, fact): &(crate::domain::log::Name, Fact)) -> (String, String) {
    let value = match fact {
        Fact::Int(value) => value.to_string(),
        Fact::Text(value) => value.clone(),
        Fact::Bytes(value) => HEXLOWER.encode(value),
    };
    (name.to_string(), value)
}

/// The day with this number since 1970.
fn day(number: i64) -> Option<chrono::NaiveDate> {
    chrono::NaiveDate::default().checked_add_signed(TimeDelta::try_days(number)?)
}

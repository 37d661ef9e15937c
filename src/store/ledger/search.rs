//! Searching the log and the evidence: who got what, when, for how much.
//!
//! Everything that is given must hold. A search by evidence starts from the
//! small evidence table and its indexes, one by delivery from that delivery,
//! and the rest walks the tenant's log by id, which carries the time. Pages
//! are cut by id; there is no offset to grow slow.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{StoredEvent, event_columns, stored_event};
use crate::{
    domain::{
        ids::{EventId, JobId, TenantId},
        job::Channel,
        log::Kind,
    },
    store::{StoreError, Tx, cells::Cells, error::Doing as _, run::Rows as _},
};

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// In this tenant's log.
    pub tenant: Option<TenantId>,
    /// About this delivery.
    pub job: Option<JobId>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Not before this instant.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
    /// To the recipient with this blind index.
    pub recipient_index: Option<[u8; 16]>,
    /// For the counterparty with this blind index.
    pub counterparty_index: Option<[u8; 16]>,
    /// With this document number.
    pub number: Option<String>,
    /// Transaction on this day (since 1970) or later.
    pub day_from: Option<i64>,
    /// Transaction on this day or earlier.
    pub day_to: Option<i64>,
    /// Of this amount (smallest unit) or more.
    pub amount_min: Option<i64>,
    /// Of this amount or less.
    pub amount_max: Option<i64>,
    /// In this currency.
    pub currency: Option<String>,
    /// Only events after this one: the last of the page before.
    pub after: Option<EventId>,
    /// How many at most; never more than 1,000.
    pub limit: i64,
}

/// What is kept of a delivery for its years.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRow {
    /// The delivery.
    pub job: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How it travelled.
    pub channel: Channel,
    /// The document's number.
    pub number: Option<String>,
    /// The transaction's date: days since 1970.
    pub transaction_day: Option<i64>,
    /// The amount in the currency's smallest unit.
    pub amount_minor: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// The counterparty's name, sealed.
    pub counterparty: Option<Vec<u8>>,
    /// The counterparty's code in the sender's books.
    pub counterparty_code: Option<String>,
    /// The year under whose key the name is sealed.
    pub evidence_year: i64,
}

/// An event that was found, with the evidence of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEvent {
    /// The event.
    pub event: StoredEvent,
    /// What is kept of its delivery; nothing for events about none.
    pub evidence: Option<EvidenceRow>,
}

impl Search {
    fn asks_evidence(&self) -> bool {
        self.recipient_index.is_some()
            || self.counterparty_index.is_some()
            || self.number.is_some()
            || self.day_from.is_some()
            || self.day_to.is_some()
            || self.amount_min.is_some()
            || self.amount_max.is_some()
            || self.currency.is_some()
    }

    /// The smallest event id that the page may hold: ids carry the time.
    fn first_id(&self) -> Option<Uuid> {
        let from = self.from.map(|from| id_at(from));
        let after = self.after.map(|after| after.0);
        from.max(after)
    }
}

/// The smallest id drawn at or after an instant's millisecond. Ids of one
/// process may run ahead of a clock that stands still, never behind it.
fn id_at(instant: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(instant.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(u128::from(millis) << 80)
}

const EVIDENCE_COLUMNS: &str = "v.job_id, v.tenant, v.channel, v.number, v.transaction_day, \
    v.amount_minor, v.currency, v.counterparty, v.counterparty_code, v.evidence_year";

macro_rules! push_evidence {
    ($sql:ident, $search:ident) => {
        if let Some(tenant) = &$search.tenant {
            $sql.push(" AND v.tenant = ").push_bind(tenant.as_str().to_owned());
        }
        if let Some(job) = $search.job {
            $sql.push(" AND v.job_id = ").push_bind(job.0);
        }
        if let Some(index) = $search.recipient_index {
            $sql.push(" AND v.recipient_index = ").push_bind(index.to_vec());
        }
        if let Some(index) = $search.counterparty_index {
            $sql.push(" AND v.counterparty_index = ").push_bind(index.to_vec());
        }
        if let Some(number) = &$search.number {
            $sql.push(" AND v.number = ").push_bind(number.clone());
        }
        if let Some(day) = $search.day_from {
            $sql.push(" AND v.transaction_day >= ").push_bind(day);
        }
        if let Some(day) = $search.day_to {
            $sql.push(" AND v.transaction_day <= ").push_bind(day);
        }
        if let Some(amount) = $search.amount_min {
            $sql.push(" AND v.amount_minor >= ").push_bind(amount);
        }
        if let Some(amount) = $search.amount_max {
            $sql.push(" AND v.amount_minor <= ").push_bind(amount);
        }
        if let Some(currency) = &$search.currency {
            $sql.push(" AND v.currency = ").push_bind(currency.clone());
        }
    };
}

macro_rules! search_body {
    ($db:ty, $conn:expr, $search:expr) => {{
        let search: &Search = $search;
        let mut sql = QueryBuilder::<$db>::new(concat!("-- search\nSELECT ", event_columns!()));
        if search.asks_evidence() {
            sql.push(" FROM evidence v JOIN audit_events e ON e.job_id = v.job_id");
            sql.push(" AND e.tenant = v.tenant WHERE 1 = 1");
            push_evidence!(sql, search);
        } else {
            sql.push(" FROM audit_events e WHERE 1 = 1");
        }
        if let Some(tenant) = &search.tenant {
            sql.push(" AND e.tenant = ").push_bind(tenant.as_str().to_owned());
        }
        if let Some(job) = search.job {
            sql.push(" AND e.job_id = ").push_bind(job.0);
        }
        if let Some(kind) = search.kind {
            sql.push(" AND e.kind = ").push_bind(kind.word());
        }
        if let Some(from) = search.from {
            sql.push(" AND e.at >= ").push_bind(from.timestamp_micros());
        }
        if let Some(to) = search.to {
            sql.push(" AND e.at < ").push_bind(to.timestamp_micros());
        }
        if let Some(first) = search.first_id() {
            sql.push(" AND e.id >= ").push_bind(first);
        }
        if let Some(after) = search.after {
            sql.push(" AND e.id > ").push_bind(after.0);
        }
        sql.push(" ORDER BY e.id LIMIT ").push_bind(search.limit.clamp(0, 1_000));
        let act = "search the log";
        let rows = sql.build().persistent(false).all(&mut *$conn).await.doing(act)?;
        let events = rows.iter().map(stored_event).collect::<Result<Vec<_>, _>>()?;
        let mut jobs: Vec<Uuid> =
            events.iter().filter_map(|e| e.row.job).map(|job| job.0).collect();
        jobs.sort_unstable();
        jobs.dedup();
        let mut known = vec![];
        if !jobs.is_empty() {
            let mut sql = QueryBuilder::<$db>::new("-- search: evidence\nSELECT ");
            sql.push(EVIDENCE_COLUMNS).push(" FROM evidence v WHERE v.job_id IN (");
            let mut list = sql.separated(", ");
            for job in jobs {
                list.push_bind(job);
            }
            sql.push(")");
            let rows = sql.build().persistent(false).all($conn).await.doing(act)?;
            known = rows.iter().map(evidence_row).collect::<Result<Vec<_>, _>>()?;
        }
        Ok(join(events, &known))
    }};
}

/// One page of what was found, oldest first, with the evidence of each
/// delivery. Without a tenant it looks through everybody's log, which is slow
/// and for the operator alone.
pub async fn search(tx: &mut Tx, search: &Search) -> Result<Vec<FoundEvent>, StoreError> {
    match tx {
        Tx::Sqlite(tx) => search_body!(sqlx::Sqlite, &mut *tx.inner, search),
        Tx::Postgres(tx) => search_body!(sqlx::Postgres, &mut *tx.inner, search),
    }
}

fn join(events: Vec<StoredEvent>, known: &[EvidenceRow]) -> Vec<FoundEvent> {
    let find = |event: &StoredEvent| {
        let job = event.row.job?;
        known.iter().find(|row| row.job == job).cloned()
    };
    events.into_iter().map(|event| FoundEvent { evidence: find(&event), event }).collect()
}

fn evidence_row(row: &impl Cells) -> Result<EvidenceRow, StoreError> {
    Ok(EvidenceRow {
        job: JobId(row.uuid("job_id")?),
        tenant: row.tenant("tenant")?,
        channel: row.word("channel", "the word of a channel", Channel::parse)?,
        number: row.text_opt("number")?,
        transaction_day: row.int_opt("transaction_day")?,
        amount_minor: row.int_opt("amount_minor")?,
        currency: row.text_opt("currency")?,
        counterparty: row.blob_opt("counterparty")?,
        counterparty_code: row.text_opt("counterparty_code")?,
        evidence_year: row.int("evidence_year")?,
    })
}

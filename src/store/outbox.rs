//! Events on their way to the broker: written with the change they report,
//! taken out in the transaction during which they are published.
//!
//! A reader never remembers how far it got; it claims and deletes. What was
//! published when the commit failed is published again, under the same id.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    StoreError, Tx,
    error::Doing as _,
    run::{Change as _, Rows as _},
    statements::{Statement, both, each},
    with_conn,
};
use crate::{
    crypto::CryptoError,
    domain::{
        event::EventKind,
        ids::{JobId, TenantId},
    },
};

/// An event to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The event's id, by which its readers drop what they know (version 7).
    pub id: Uuid,
    /// In a batch: the job whose row must change for this event to be true.
    /// Not stored.
    pub job: Option<JobId>,
    /// Where it goes.
    pub routing_key: String,
    /// The body, sealed under the outbox key.
    pub sealed: Vec<u8>,
}

/// Makes result events; a room tells what happened and adds the row to the
/// transaction that makes it true.
pub trait Announce: Send + Sync {
    /// The event, sealed; `None` when the sender did not ask for it.
    fn announce(&self, news: &News<'_>) -> Result<Option<OutboxRow>, CryptoError>;
}

/// What a sender is told.
#[derive(Clone, Copy)]
pub struct News<'a> {
    /// What happened.
    pub kind: EventKind,
    /// Whose job.
    pub tenant: &'a TenantId,
    /// Which one; none when it was refused.
    pub job: Option<JobId>,
    /// The sender's key, where it is at hand.
    pub key: Option<&'a str>,
    /// The sender's reference, where it is at hand.
    pub reference: Option<&'a str>,
    /// Why: the code of a reason or a refusal.
    pub code: Option<&'static str>,
    /// When.
    pub at: DateTime<Utc>,
}

// The sender's own words stay out of every log.
impl fmt::Debug for News<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News")
            .field("kind", &self.kind)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

const ADD_ONE: &str = "
    -- add
    INSERT INTO outbox (id, routing_key, sealed) VALUES ($1, $2, $3)
";
const ADD_MANY: &str = "
    -- add
    INSERT INTO outbox (id, routing_key, sealed)
    SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::bytea[])
";

/// Adds events, in the transaction that makes them true.
pub async fn add(tx: &mut Tx, rows: &[OutboxRow]) -> Result<(), StoreError> {
    let act = "add to the outbox";
    if rows.is_empty() {
        return Ok(());
    }
    match tx {
        Tx::Sqlite(tx) => {
            for row in rows {
                sqlx::query(ADD_ONE)
                    .bind(row.id)
                    .bind(row.routing_key.as_str())
                    .bind(row.sealed.as_slice())
                    .run(&mut *tx.inner)
                    .await
                    .doing(act)?;
            }
        }
        Tx::Postgres(tx) => {
            let columns = OutboxColumns::of(rows);
            sqlx::query(ADD_MANY)
                .bind(columns.id)
                .bind(columns.routing_key)
                .bind(columns.sealed)
                .run(&mut *tx.inner)
                .await
                .doing(act)?;
        }
    }
    Ok(())
}

/// Adds those events of a batch that belong to `job`.
pub(super) async fn add_of(tx: &mut Tx, rows: &[OutboxRow], job: JobId) -> Result<(), StoreError> {
    let rows: Vec<_> = rows.iter().filter(|row| row.job == Some(job)).cloned().collect();
    add(tx, &rows).await
}

/// Events as the arrays of a batch statement.
#[derive(Default)]
pub(super) struct OutboxColumns<'r> {
    pub(super) id: Vec<Uuid>,
    pub(super) job: Vec<Option<Uuid>>,
    pub(super) routing_key: Vec<&'r str>,
    pub(super) sealed: Vec<&'r [u8]>,
}

impl<'r> OutboxColumns<'r> {
    pub(super) fn of(rows: &'r [OutboxRow]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.id.push(row.id);
            columns.job.push(row.job.map(|job| job.0));
            columns.routing_key.push(row.routing_key.as_str());
            columns.sealed.push(row.sealed.as_slice());
        }
        columns
    }
}

const CLAIM_SQLITE: &str = "
    -- claim_batch
    DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1)
    RETURNING id, routing_key, sealed
";
// ARRAY() runs the locking query once; an IN may run it again per row.
const CLAIM_POSTGRES: &str = "
    -- claim_batch
    DELETE FROM outbox WHERE id = ANY(ARRAY(
        SELECT id FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, routing_key, sealed
";

/// Takes out up to `limit` of the oldest events that nobody else is
/// publishing. Publish them before committing; when publishing fails, drop the
/// transaction and they are back.
pub async fn claim_batch(tx: &mut Tx, limit: i64) -> Result<Vec<OutboxRow>, StoreError> {
    use super::cells::Cells as _;
    let sql = match tx {
        Tx::Sqlite(_) => CLAIM_SQLITE,
        Tx::Postgres(_) => CLAIM_POSTGRES,
    };
    let mut rows = with_conn!(tx, |conn| sqlx::query(sql)
        .bind(limit)
        .all(conn)
        .await
        .doing("claim events")?
        .iter()
        .map(|row| {
            Ok(OutboxRow {
                id: row.uuid("id")?,
                job: None,
                routing_key: row.text("routing_key")?,
                sealed: row.blob("sealed")?,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>())?;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

const DEPTH: &str = "
    -- depth
    SELECT COUNT(*) FROM outbox
";

/// How many events wait.
pub async fn depth(tx: &mut Tx) -> Result<i64, StoreError> {
    with_conn!(tx, |conn| sqlx::query(DEPTH).number(conn).await).doing("count waiting events")
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    each("outbox::add", ADD_ONE, ADD_MANY),
    each("outbox::claim_batch", CLAIM_SQLITE, CLAIM_POSTGRES),
    both("outbox::depth", DEPTH),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_do_not_show_the_senders_words() {
        let news = News {
            kind: EventKind::Opened,
            tenant: &TenantId::office(),
            job: None,
            key: Some("canary-key"),
            reference: Some("canary-reference"),
            code: None,
            at: DateTime::UNIX_EPOCH,
        };
        let shown = format!("{news:?}");
        assert!(shown.contains("Opened") && !shown.contains("canary"), "{shown}");
    }
}

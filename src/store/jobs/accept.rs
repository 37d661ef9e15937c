//! The first group commit: many checked jobs go on the books at once.
//!
//! The dedupe row, the delivery, its work row (already leased, so that nobody
//! has to claim it), its evidence, its event and what is to be published stand
//! or fall together. A key that is known already takes nothing; whether it is
//! the same job again or another one in its name is told by the payload's MAC.
//!
//! Accepting the same batch again after its answer was lost says the same as
//! the first time: a row that carries the id we just drew is ours.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::one_by_one::on_sqlite;
use crate::{
    domain::{
        ids::{Epoch, JobId, TenantId},
        job::Channel,
        stage::Stage,
    },
    store::{
        Db, StoreError, Tx,
        cells::Cells as _,
        error::Doing as _,
        ledger::{BindTold as _, EventColumns, EventRow},
        outbox::{OutboxColumns, OutboxRow},
        run::Rows as _,
        statements::{Statement, postgres},
    },
};

pub(super) const ACT: &str = "accept jobs";

/// A checked job, its personal data sealed, ready for the books.
#[derive(Clone)]
pub struct NewJob {
    /// The delivery's id, drawn by the caller.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How it travels.
    pub channel: Channel,
    /// Whether nothing may really leave.
    pub test_mode: bool,
    /// Now.
    pub accepted_at: DateTime<Utc>,
    /// Before this instant nothing leaves.
    pub send_at: DateTime<Utc>,
    /// The earliest day it could be purged on: days since 1970.
    pub purge_day: i64,
    /// The data key, wrapped under that day's key.
    pub wrapped_key: Vec<u8>,
    /// Names and addresses, sealed.
    pub personal: Vec<u8>,
    /// What is to be rendered, sealed.
    pub payload: Vec<u8>,
    /// The sender's trace context.
    pub trace: Option<String>,
    /// HMAC of tenant and job key, cut to 16 bytes.
    pub dedupe_print: [u8; 16],
    /// HMAC of the canonical payload.
    pub payload_mac: [u8; 32],
    /// Whether the work row is leased to the caller at once.
    pub lease: bool,
    /// What stays searchable.
    pub evidence: NewEvidence,
    /// The event `accepted`.
    pub event: EventRow,
}

impl std::fmt::Debug for NewJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewJob")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .field("send_at", &self.send_at)
            .finish_non_exhaustive()
    }
}

/// What stays searchable after the document is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvidence {
    /// Blind index of the recipient.
    pub recipient_index: [u8; 16],
    /// The document's number.
    pub number: Option<String>,
    /// The transaction's date: days since 1970.
    pub transaction_day: Option<i64>,
    /// The amount in the currency's smallest unit.
    pub amount_minor: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Blind index of the counterparty's name.
    pub counterparty_index: Option<[u8; 16]>,
    /// The counterparty's name, sealed under the evidence year's key.
    pub counterparty: Option<Vec<u8>>,
    /// The counterparty's code in the sender's books.
    pub counterparty_code: Option<String>,
    /// The year under whose key the name is sealed.
    pub evidence_year: i64,
}

/// What became of one job of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is on our books now.
    Fresh,
    /// It was there already, with the same payload.
    Same {
        /// The delivery that has it.
        job: JobId,
    },
    /// Its key is taken by another payload.
    Conflict {
        /// The delivery that has the key.
        job: JobId,
    },
}

/// Takes jobs on the books, in a transaction of the caller's. Answers for each
/// job, in order. Rows of `outbox` that name a job are added with it, the
/// others always. A work row leased at once has its first attempt counted.
pub async fn accept(
    tx: &mut Tx,
    epoch: Epoch,
    jobs: &[NewJob],
    outbox: &[OutboxRow],
) -> Result<Vec<Taken>, StoreError> {
    match tx {
        Tx::Sqlite(tx) => on_sqlite(&mut tx.inner, epoch, jobs, outbox).await,
        Tx::Postgres(tx) => on_postgres(&mut tx.inner, epoch, jobs, outbox).await,
    }
}

/// [`accept`] with a commit of its own: on PostgreSQL one statement and one
/// round trip.
pub async fn accept_now(
    db: &Db,
    epoch: Epoch,
    jobs: &[NewJob],
    outbox: &[OutboxRow],
) -> Result<Vec<Taken>, StoreError> {
    if let Db::Postgres(pg) = db {
        db.check("begin")?;
        let mut conn = pg.acquire().await.doing(ACT)?;
        db.check("commit")?;
        let taken = on_postgres(&mut conn, epoch, jobs, outbox).await?;
        db.check("committed")?;
        return Ok(taken);
    }
    let mut tx = db.begin().await?;
    let taken = accept(&mut tx, epoch, jobs, outbox).await?;
    tx.commit().await?;
    Ok(taken)
}

const POSTGRES: &str = "
    -- accept
    WITH input AS MATERIALIZED (
        SELECT * FROM UNNEST(
            $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bytea[], $11::bytea[], $12::bytea[], $13::text[], $14::bytea[],
            $15::bytea[], $16::bigint[], $17::bytea[], $18::text[], $19::bigint[], $20::bigint[],
            $21::text[], $22::bytea[], $23::bytea[], $24::text[], $25::bigint[], $26::uuid[],
            $27::bigint[], $28::text[], $29::text[], $30::bytea[], $31::bytea[], $32::text[]
        ) AS t (
            id, tenant, channel, test_mode, accepted_at, send_at,
            purge_day, wrapped_key, personal, payload, trace, print,
            payload_mac, leased, recipient_index, number, transaction_day, amount_minor,
            currency, counterparty_index, counterparty, counterparty_code, evidence_year, event,
            at, kind, code, leaf, detail, detail_key
        )
    ),
    fresh AS (
        -- In the order of the key, so that two batches never wait for each other.
        INSERT INTO dedupe (print, payload_mac, job_id)
        SELECT print, payload_mac, id FROM input ORDER BY print
        ON CONFLICT (print) DO NOTHING
        RETURNING job_id
    ),
    new_job AS (
        INSERT INTO jobs (id, tenant, channel, stage, test_mode, accepted_at, send_at, stage_at,
                          purge_day, wrapped_key, personal, payload, trace)
        SELECT id, tenant, channel, $2, test_mode, accepted_at, send_at, accepted_at,
               purge_day, wrapped_key, personal, payload, trace
        FROM input WHERE (id IN (SELECT job_id FROM fresh)) IS TRUE
    ),
    new_work AS (
        INSERT INTO work (job_id, tenant, step, run_at, attempt, crashes, first_try_at, lease_epoch)
        SELECT id, tenant, 'seal', send_at, leased, 0,
               CASE leased WHEN 1 THEN accepted_at END, CASE leased WHEN 1 THEN $1::uuid END
        FROM input WHERE (id IN (SELECT job_id FROM fresh)) IS TRUE
    ),
    new_evidence AS (
        INSERT INTO evidence (job_id, tenant, channel, recipient_index, number, transaction_day,
                              amount_minor, currency, counterparty_index, counterparty,
                              counterparty_code, evidence_year)
        SELECT id, tenant, channel, recipient_index, number, transaction_day, amount_minor,
               currency, counterparty_index, counterparty, counterparty_code, evidence_year
        FROM input WHERE (id IN (SELECT job_id FROM fresh)) IS TRUE
    ),
    new_event AS (
        INSERT INTO audit_events (id, tenant, job_id, at, kind, code, leaf, detail, detail_key)
        SELECT event, tenant, id, at, kind, code, leaf, detail, detail_key
        FROM input WHERE (id IN (SELECT job_id FROM fresh)) IS TRUE
    ),
    new_outbox AS (
        INSERT INTO outbox (id, routing_key, sealed)
        SELECT o.id, o.routing_key, o.sealed
        FROM UNNEST($33::uuid[], $34::uuid[], $35::text[], $36::bytea[])
            AS o (id, job_id, routing_key, sealed)
        WHERE o.job_id IS NULL OR o.job_id IN (SELECT job_id FROM fresh)
    )
    SELECT job_id FROM fresh
";
const KNOWN: &str = "
    -- accept: known
    SELECT d.print, d.payload_mac, d.job_id FROM dedupe d WHERE d.print = ANY($1::bytea[])
";

/// What is known of a key: the payload's MAC and the delivery.
type Known = HashMap<[u8; 16], ([u8; 32], JobId)>;

async fn on_postgres(
    conn: &mut PgConnection,
    epoch: Epoch,
    jobs: &[NewJob],
    outbox: &[OutboxRow],
) -> Result<Vec<Taken>, StoreError> {
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let rows = bind_all(epoch, jobs, outbox).all(&mut *conn).await.doing(ACT)?;
    if rows.len() == jobs.len() {
        return Ok(vec![Taken::Fresh; jobs.len()]);
    }
    // Some keys were taken already, perhaps by a batch that ours waited for:
    // its commit is visible to the next statement. So are the keys that this
    // batch took, and those that it brought twice.
    let prints: Vec<&[u8]> = jobs.iter().map(|job| job.dedupe_print.as_slice()).collect();
    let mut known = Known::with_capacity(jobs.len());
    for row in &sqlx::query(KNOWN).bind(prints).all(conn).await.doing(ACT)? {
        let job = JobId(row.uuid("job_id")?);
        known.insert(row.array("print")?, (row.array("payload_mac")?, job));
    }
    jobs.iter().map(|job| taken(job, known.get(&job.dedupe_print))).collect()
}

type PgQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_all<'q>(epoch: Epoch, jobs: &'q [NewJob], outbox: &'q [OutboxRow]) -> PgQuery<'q> {
    let evidence = || jobs.iter().map(|job| &job.evidence);
    let events = EventColumns::of(jobs.iter().map(|job| &job.event));
    let outbox = OutboxColumns::of(outbox);
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.id.0).collect();
    sqlx::query(POSTGRES)
        .bind(epoch.0)
        .bind(Stage::Accepted.word())
        .bind(ids)
        .bind(jobs.iter().map(|job| job.tenant.as_str()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.channel.word()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| i64::from(job.test_mode)).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.accepted_at.timestamp_micros()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.send_at.timestamp_micros()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.purge_day).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.wrapped_key.as_slice()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.personal.as_slice()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.payload.as_slice()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.trace.as_deref()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.dedupe_print.as_slice()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.payload_mac.as_slice()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| i64::from(job.lease)).collect::<Vec<_>>())
        .bind(evidence().map(|row| row.recipient_index.as_slice()).collect::<Vec<_>>())
        .bind(evidence().map(|row| row.number.as_deref()).collect::<Vec<_>>())
        .bind(evidence().map(|row| row.transaction_day).collect::<Vec<_>>())
        .bind(evidence().map(|row| row.amount_minor).collect::<Vec<_>>())
        .bind(evidence().map(|row| row.currency.as_deref()).collect::<Vec<_>>())
        .bind(
            evidence()
                .map(|row| row.counterparty_index.as_ref().map(<[u8; 16]>::as_slice))
                .collect::<Vec<_>>(),
        )
        .bind(evidence().map(|row| row.counterparty.as_deref()).collect::<Vec<_>>())
        .bind(evidence().map(|row| row.counterparty_code.as_deref()).collect::<Vec<_>>())
        .bind(evidence().map(|row| row.evidence_year).collect::<Vec<_>>())
        .bind(events.id)
        .bind_told(events.told)
        .bind(outbox.id)
        .bind(outbox.job)
        .bind(outbox.routing_key)
        .bind(outbox.sealed)
}

pub(super) fn taken(job: &NewJob, known: Option<&([u8; 32], JobId)>) -> Result<Taken, StoreError> {
    match known {
        Some((mac, id)) if *mac == job.payload_mac && *id == job.id => Ok(Taken::Fresh),
        Some((mac, id)) if *mac == job.payload_mac => Ok(Taken::Same { job: *id }),
        Some((_, id)) => Ok(Taken::Conflict { job: *id }),
        // The key was there a moment ago and is not any more.
        None => Err(StoreError::Busy { act: ACT, source: None }),
    }
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] =
    &[postgres("accept", POSTGRES), postgres("accept: known", KNOWN)];

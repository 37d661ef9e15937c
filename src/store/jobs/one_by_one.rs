//! Acceptance on SQLite: the same rows, one after the other in one transaction.

use sqlx::SqliteConnection;

use super::accept::{ACT, NewJob, Taken, taken};
use crate::{
    domain::{
        ids::{Epoch, JobId},
        stage::Stage,
    },
    store::{
        StoreError,
        cells::Cells as _,
        error::Doing as _,
        ledger,
        outbox::OutboxRow,
        run::{Change as _, Rows as _},
        statements::{Statement, both, sqlite},
    },
};

const INSERT_DEDUPE: &str = "
    -- accept: dedupe
    INSERT INTO dedupe (print, payload_mac, job_id) VALUES ($1, $2, $3)
    ON CONFLICT (print) DO NOTHING
";
const KNOWN_ONE: &str = "
    -- accept: known
    SELECT d.payload_mac, d.job_id FROM dedupe d WHERE d.print = $1
";
const INSERT_JOB: &str = "
    -- accept: job
    INSERT INTO jobs (id, tenant, channel, stage, test_mode, accepted_at, send_at, stage_at,
                      purge_day, wrapped_key, personal, payload, trace)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $8, $9, $10, $11, $12)
";
const INSERT_WORK: &str = "
    -- accept: work
    INSERT INTO work (job_id, tenant, step, run_at, attempt, crashes, first_try_at, lease_epoch)
    VALUES ($1, $2, 'seal', $3, $4, 0, $5, $6)
";
const INSERT_EVIDENCE: &str = "
    -- accept: evidence
    INSERT INTO evidence (job_id, tenant, channel, recipient_index, number, transaction_day,
                          amount_minor, currency, counterparty_index, counterparty,
                          counterparty_code, evidence_year)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
";
const INSERT_OUTBOX: &str = "
    -- accept: outbox
    INSERT INTO outbox (id, routing_key, sealed) VALUES ($1, $2, $3)
";

pub(super) async fn on_sqlite(
    conn: &mut SqliteConnection,
    epoch: Epoch,
    jobs: &[NewJob],
    outbox: &[OutboxRow],
) -> Result<Vec<Taken>, StoreError> {
    let mut answers = Vec::with_capacity(jobs.len());
    let mut fresh = Vec::with_capacity(jobs.len());
    for job in jobs {
        let inserted = sqlx::query(INSERT_DEDUPE)
            .bind(job.dedupe_print.as_slice())
            .bind(job.payload_mac.as_slice())
            .bind(job.id.0)
            .run(&mut *conn)
            .await
            .doing(ACT)?;
        if inserted == 1 {
            insert_one(conn, epoch, job).await.doing(ACT)?;
            fresh.push(job.id);
            answers.push(Taken::Fresh);
            continue;
        }
        let known = sqlx::query(KNOWN_ONE)
            .bind(job.dedupe_print.as_slice())
            .optional(&mut *conn)
            .await
            .doing(ACT)?
            .map(|row| Ok::<_, StoreError>((row.array("payload_mac")?, JobId(row.uuid("job_id")?))))
            .transpose()?;
        answers.push(taken(job, known.as_ref())?);
    }
    for row in outbox.iter().filter(|row| row.job.is_none_or(|job| fresh.contains(&job))) {
        sqlx::query(INSERT_OUTBOX)
            .bind(row.id)
            .bind(row.routing_key.as_str())
            .bind(row.sealed.as_slice())
            .run(&mut *conn)
            .await
            .doing(ACT)?;
    }
    Ok(answers)
}

async fn insert_one(
    conn: &mut SqliteConnection,
    epoch: Epoch,
    job: &NewJob,
) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_JOB)
        .bind(job.id.0)
        .bind(job.tenant.as_str())
        .bind(job.channel.word())
        .bind(Stage::Accepted.word())
        .bind(i64::from(job.test_mode))
        .bind(job.accepted_at.timestamp_micros())
        .bind(job.send_at.timestamp_micros())
        .bind(job.purge_day)
        .bind(job.wrapped_key.as_slice())
        .bind(job.personal.as_slice())
        .bind(job.payload.as_slice())
        .bind(job.trace.as_deref())
        .run(&mut *conn)
        .await?;
    sqlx::query(INSERT_WORK)
        .bind(job.id.0)
        .bind(job.tenant.as_str())
        .bind(job.send_at.timestamp_micros())
        .bind(i64::from(job.lease))
        .bind(job.lease.then(|| job.accepted_at.timestamp_micros()))
        .bind(job.lease.then_some(epoch.0))
        .run(&mut *conn)
        .await?;
    let evidence = &job.evidence;
    sqlx::query(INSERT_EVIDENCE)
        .bind(job.id.0)
        .bind(job.tenant.as_str())
        .bind(job.channel.word())
        .bind(evidence.recipient_index.as_slice())
        .bind(evidence.number.as_deref())
        .bind(evidence.transaction_day)
        .bind(evidence.amount_minor)
        .bind(evidence.currency.as_deref())
        .bind(evidence.counterparty_index.as_ref().map(<[u8; 16]>::as_slice))
        .bind(evidence.counterparty.as_deref())
        .bind(evidence.counterparty_code.as_deref())
        .bind(evidence.evidence_year)
        .run(&mut *conn)
        .await?;
    ledger::append_one(conn, &job.event).await
}

/// The statements of this file.
pub(in crate::store) const STATEMENTS: &[Statement] = &[
    sqlite("accept: known", KNOWN_ONE),
    both("accept: dedupe", INSERT_DEDUPE),
    both("accept: job", INSERT_JOB),
    both("accept: work", INSERT_WORK),
    both("accept: evidence", INSERT_EVIDENCE),
    both("accept: outbox", INSERT_OUTBOX),
];

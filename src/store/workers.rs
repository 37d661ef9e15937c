//! Who is alive, and whose leases are dead.
//!
//! A worker is one life of one process: its epoch is drawn at the start and
//! never used again, so a lease of an epoch that is dead, stopped or unknown
//! can be taken back without asking how old it is.

use chrono::{DateTime, Utc};

use super::{
    StoreError, Tx,
    cells::Cells,
    error::Doing as _,
    execute,
    run::Rows as _,
    statements::{Statement, both},
    with_conn,
    work::{Step, step_of},
};
use crate::domain::ids::{Epoch, JobId, TenantId};

/// A worker on the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// This life of the process.
    pub epoch: Epoch,
    /// The host's name.
    pub host: String,
    /// The kernel's boot id.
    pub boot_id: String,
    /// What it does, as words with commas between.
    pub roles: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Until when it counts as alive without another heartbeat.
    pub alive_until: DateTime<Utc>,
    /// When it stopped of its own will.
    pub stopped_at: Option<DateTime<Utc>>,
    /// The prints of the master keys it was given, with commas between.
    pub masters: String,
}

const REGISTER: &str = "
    -- register
    INSERT INTO workers (epoch, host, boot_id, roles, started_at, alive_until, stopped_at, masters)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
";

/// Puts a worker on the books, before it leases anything.
pub async fn register(tx: &mut Tx, worker: &WorkerRow) -> Result<(), StoreError> {
    execute!(
        tx,
        "register a worker",
        REGISTER,
        worker.epoch.0,
        worker.host.as_str(),
        worker.boot_id.as_str(),
        worker.roles.as_str(),
        worker.started_at.timestamp_micros(),
        worker.alive_until.timestamp_micros(),
        super::cells::micros(worker.stopped_at),
        worker.masters.as_str()
    )
    .map(drop)
}

const HEARTBEAT: &str = "
    -- heartbeat
    UPDATE workers SET alive_until = $1 WHERE epoch = $2 AND stopped_at IS NULL
";

/// Says that the worker is alive. False when it was declared dead: its leases
/// may have been taken already, and it has to start again under a new epoch.
/// A clock that jumped ends nobody; only [`declare_dead`] does.
pub async fn heartbeat(
    tx: &mut Tx,
    epoch: Epoch,
    alive_until: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let rows =
        execute!(tx, "write a heartbeat", HEARTBEAT, alive_until.timestamp_micros(), epoch.0)?;
    Ok(rows == 1)
}

const STOPPED: &str = "
    -- stopped
    UPDATE workers SET stopped_at = $1 WHERE epoch = $2 AND stopped_at IS NULL
";

/// The worker ends of its own will; what it still holds is free at once.
pub async fn stopped(tx: &mut Tx, epoch: Epoch, now: DateTime<Utc>) -> Result<(), StoreError> {
    execute!(tx, "sign a worker off", STOPPED, now.timestamp_micros(), epoch.0).map(drop)
}

/// A row that a dead epoch holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLease {
    /// The delivery.
    pub job: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The dead epoch.
    pub epoch: Epoch,
    /// Where it ran, if it was ever on the books.
    pub host: Option<String>,
    /// Under which boot, if it was ever on the books.
    pub boot_id: Option<String>,
    /// When it was last known to be alive, if it was ever on the books.
    pub alive_until: Option<DateTime<Utc>>,
    /// What it was doing.
    pub step: Step,
    /// Since when the mail may have left.
    pub sending_since: Option<DateTime<Utc>>,
    /// How many workers died holding it before.
    pub crashes: i64,
}

const DEAD_LEASES: &str = "
    -- dead_leases
    SELECT w.job_id, w.tenant, w.lease_epoch, k.host, k.boot_id, k.alive_until, w.step,
           w.sending_since, w.crashes
    FROM work w LEFT JOIN workers k ON k.epoch = w.lease_epoch
    WHERE w.lease_epoch IS NOT NULL
      AND (k.epoch IS NULL OR k.stopped_at IS NOT NULL)
    ORDER BY w.lease_epoch, w.job_id
    LIMIT $1
";

/// Rows leased by epochs that are dead: stopped, declared dead, or unknown.
pub async fn dead_leases(tx: &mut Tx, limit: i64) -> Result<Vec<DeadLease>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(DEAD_LEASES)
        .bind(limit)
        .all(conn)
        .await
        .doing("look for dead leases")?
        .iter()
        .map(|row| {
            Ok(DeadLease {
                job: JobId(row.uuid("job_id")?),
                tenant: row.tenant("tenant")?,
                epoch: Epoch(row.uuid("lease_epoch")?),
                host: row.text_opt("host")?,
                boot_id: row.text_opt("boot_id")?,
                alive_until: row.time_opt("alive_until")?,
                step: step_of(row)?,
                sending_since: row.time_opt("sending_since")?,
                crashes: row.int("crashes")?,
            })
        })
        .collect())
}

const DECLARE_DEAD: &str = "
    -- declare_dead
    UPDATE workers SET stopped_at = $1
    WHERE stopped_at IS NULL AND alive_until < $1 AND epoch <> $2
";

/// Declares every worker dead that has been silent past its lease; `mine` is
/// the one that asks and evidently lives. From here on none of them can renew
/// its lease, so that what it held can be taken.
pub async fn declare_dead(tx: &mut Tx, mine: Epoch, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let rows = execute!(tx, "declare workers dead", DECLARE_DEAD, now.timestamp_micros(), mine.0)?;
    Ok(rows)
}

const RELEASE_DEAD: &str = "
    -- release_dead
    UPDATE work
    SET lease_epoch = NULL, sending_since = NULL, crashes = crashes + $4, run_at = $1
    WHERE job_id = $2 AND lease_epoch = $3
";

/// Takes a row back from a dead epoch; it is due at `run_at`, and one crash
/// older when it is a `suspect`: it was being worked on when its worker died.
/// Only for a row whose mail has certainly not left. False when somebody else
/// was first.
pub async fn release_dead(
    tx: &mut Tx,
    job: JobId,
    dead_epoch: Epoch,
    run_at: DateTime<Utc>,
    suspect: bool,
) -> Result<bool, StoreError> {
    let rows = execute!(
        tx,
        "take a dead lease back",
        RELEASE_DEAD,
        run_at.timestamp_micros(),
        job.0,
        dead_epoch.0,
        i64::from(suspect)
    )?;
    Ok(rows == 1)
}

const LIVE: &str = "
    -- live_workers
    SELECT k.epoch, k.host, k.boot_id, k.roles, k.started_at, k.alive_until, k.stopped_at,
           k.masters
    FROM workers k WHERE k.stopped_at IS NULL AND k.alive_until >= $1
    ORDER BY k.epoch
";

/// The workers that are alive, oldest first.
pub async fn live_workers(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<WorkerRow>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(LIVE)
        .bind(now.timestamp_micros())
        .all(conn)
        .await
        .doing("list workers")?
        .iter()
        .map(worker_row)
        .collect())
}

fn worker_row(row: &impl Cells) -> Result<WorkerRow, StoreError> {
    Ok(WorkerRow {
        epoch: Epoch(row.uuid("epoch")?),
        host: row.text("host")?,
        boot_id: row.text("boot_id")?,
        roles: row.text("roles")?,
        started_at: row.time("started_at")?,
        alive_until: row.time("alive_until")?,
        stopped_at: row.time_opt("stopped_at")?,
        masters: row.text("masters")?,
    })
}

const DEAD: &str = "
    -- dead_epochs
    SELECT k.epoch FROM workers k WHERE k.stopped_at IS NOT NULL OR k.alive_until < $1
    ORDER BY k.epoch
";

/// The epochs on the books that live no more.
pub async fn dead_epochs(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Epoch>, StoreError> {
    let ids = with_conn!(tx, |conn| sqlx::query(DEAD).bind(now.timestamp_micros()).ids(conn).await)
        .doing("list dead workers")?;
    Ok(ids.into_iter().map(Epoch).collect())
}

const FORGET: &str = "
    -- forget
    DELETE FROM workers
    WHERE alive_until < $1
      AND NOT EXISTS (SELECT 1 FROM work w WHERE w.lease_epoch = workers.epoch)
      AND NOT EXISTS (SELECT 1 FROM segments s
                      WHERE s.epoch = workers.epoch AND s.closed_at IS NULL)
";

/// Strikes workers off the books that died before `before` and left nothing.
pub async fn forget(tx: &mut Tx, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute!(tx, "forget dead workers", FORGET, before.timestamp_micros())?)
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("workers::register", REGISTER),
    both("workers::heartbeat", HEARTBEAT),
    both("workers::stopped", STOPPED),
    both("workers::dead_leases", DEAD_LEASES),
    both("workers::declare_dead", DECLARE_DEAD),
    both("workers::release_dead", RELEASE_DEAD),
    both("workers::live_workers", LIVE),
    both("workers::dead_epochs", DEAD),
    both("workers::forget", FORGET),
];

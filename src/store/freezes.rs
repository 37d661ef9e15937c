//! Frozen: nothing opens and nothing flows, until it is lifted.
//!
//! A freeze is not a revocation. The links stay as they are and count nothing
//! while it lasts; retention still destroys on the day. Freezing what is
//! frozen changes nothing and writes nothing.

use chrono::{DateTime, Utc};

use super::{
    StoreError, Tx,
    error::Doing as _,
    execute,
    ledger::{self, EventRow},
    run::Rows as _,
    statements::{Statement, both},
    with_conn, work,
};
use crate::domain::ids::{JobId, TenantId};

/// What became of a wish to freeze or to lift a freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreezeAnswer {
    /// It is so from now on.
    Done,
    /// It was so before; nothing was written.
    Already,
    /// Its document is destroyed; there is nothing left to freeze.
    Purged,
    /// The tenant has no such delivery.
    NoSuchJob,
}

const FREEZE_JOB: &str = "
    -- freeze_job
    UPDATE jobs SET frozen_at = $1 WHERE id = $2 AND frozen_at IS NULL AND purged_at IS NULL
";
const THAW_JOB: &str = "
    -- unfreeze_job
    UPDATE jobs SET frozen_at = NULL WHERE id = $1 AND frozen_at IS NOT NULL
";

/// Freezes a delivery, or lifts its freeze, with the event that says so.
pub async fn job(
    tx: &mut Tx,
    job: JobId,
    freeze: bool,
    event: EventRow,
) -> Result<FreezeAnswer, StoreError> {
    let Some((row, _)) = work::lock_both(tx, job).await? else {
        return Ok(FreezeAnswer::NoSuchJob);
    };
    if row.tenant != event.tenant {
        return Ok(FreezeAnswer::NoSuchJob);
    }
    if row.purged_at.is_some() {
        return Ok(FreezeAnswer::Purged);
    }
    let changed = if freeze {
        execute!(tx, "freeze a job", FREEZE_JOB, event.at.timestamp_micros(), job.0)?
    } else {
        execute!(tx, "lift a job's freeze", THAW_JOB, job.0)?
    };
    record(tx, changed, event).await
}

const FREEZE_TENANT: &str = "
    -- freeze_tenant
    INSERT INTO frozen_tenants (tenant, frozen_at) VALUES ($1, $2) ON CONFLICT (tenant) DO NOTHING
";
const THAW_TENANT: &str = "
    -- unfreeze_tenant
    DELETE FROM frozen_tenants WHERE tenant = $1
";

/// Freezes everything of the event's tenant, or lifts that freeze. Deliveries
/// that are frozen by themselves stay so.
pub async fn tenant(
    tx: &mut Tx,
    freeze: bool,
    event: EventRow,
) -> Result<FreezeAnswer, StoreError> {
    let tenant = event.tenant.clone();
    let changed = if freeze {
        let at = event.at.timestamp_micros();
        execute!(tx, "freeze a tenant", FREEZE_TENANT, tenant.as_str(), at)?
    } else {
        execute!(tx, "lift a tenant's freeze", THAW_TENANT, tenant.as_str())?
    };
    record(tx, changed, event).await
}

async fn record(tx: &mut Tx, changed: u64, event: EventRow) -> Result<FreezeAnswer, StoreError> {
    if changed == 0 {
        return Ok(FreezeAnswer::Already);
    }
    ledger::append(tx, &[event]).await?;
    Ok(FreezeAnswer::Done)
}

const SINCE_JOB: &str = "
    -- frozen_since: job
    SELECT j.frozen_at AS since FROM jobs j WHERE j.id = $1
";
const SINCE_TENANT: &str = "
    -- frozen_since: tenant
    SELECT f.frozen_at AS since FROM frozen_tenants f WHERE f.tenant = $1
";

/// Since when a delivery is frozen by itself, and since when its tenant is.
pub async fn since(
    tx: &mut Tx,
    job: JobId,
    tenant: &TenantId,
) -> Result<(Option<DateTime<Utc>>, Option<DateTime<Utc>>), StoreError> {
    use super::cells::Cells as _;
    let act = "ask since when something is frozen";
    with_conn!(tx, |conn| {
        let own = sqlx::query(SINCE_JOB).bind(job.0).optional(&mut *conn).await.doing(act)?;
        let all =
            sqlx::query(SINCE_TENANT).bind(tenant.as_str()).optional(conn).await.doing(act)?;
        let own = own.map(|row| row.time_opt("since")).transpose()?.flatten();
        let all = all.map(|row| row.time("since")).transpose()?;
        Ok((own, all))
    })
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("freezes::job freeze", FREEZE_JOB),
    both("freezes::job unfreeze", THAW_JOB),
    both("freezes::tenant freeze", FREEZE_TENANT),
    both("freezes::tenant unfreeze", THAW_TENANT),
    both("freezes::since job", SINCE_JOB),
    both("freezes::since tenant", SINCE_TENANT),
];

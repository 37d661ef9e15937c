//! Bytes are reserved, and the access is in the log, before they leave.
//!
//! PostgreSQL does it for many in one statement and one round trip. It takes
//! the locks of a recall in its order, the delivery and then the link, so one of
//! the two is first: a row that somebody else changed meanwhile is looked at
//! again as it stands then. Only the freeze of a whole tenant is seen as it was
//! when the statement began: a stream's looks find it, at the latest after 256 KiB
//! or a second.
//!
//! A row that somebody else holds at this moment is waited for or passed over.
//! Many pass over it, so that they never wait for one that hangs, nor in a ring
//! with others; who was passed over asks again alone, and waits.

use std::collections::HashSet;

use super::Way;
use crate::{
    domain::ids::{Epoch, EventId, JobId},
    store::{
        Db, StoreError,
        error::Doing as _,
        execute,
        ledger::{self, BindTold as _, EventColumns, EventRow},
        run::Rows as _,
    },
};

const ACT: &str = "reserve bytes of a document";

/// Bytes that are about to leave through a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHandout {
    /// The access in the log; its id becomes the row's, and the link must serve
    /// at its instant.
    pub event: EventRow,
    /// The delivery.
    pub job: JobId,
    /// The link's day of issue: days since 1970-01-01.
    pub day: i64,
    /// The link's print.
    pub print: [u8; 32],
    /// The process that answers for it.
    pub epoch: Epoch,
    /// How it leaves.
    pub way: Way,
    /// The session's label.
    pub session: String,
    /// The first byte.
    pub from_byte: i64,
    /// The byte after the last.
    pub to_byte: i64,
}

/// What becomes of a reservation whose delivery or link somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It waits. For one at a time: many could wait for each other.
    WaitFor,
    /// It is not made.
    PassOver,
}

pub(super) const SQLITE: &str = "
    -- reserve
    INSERT INTO handouts (job_id, id, tenant, epoch, way, receiver, at, from_byte, to_byte)
    SELECT j.id, $1, j.tenant, $2, $3, $4, $5, $6, $7
    FROM links l JOIN jobs j ON j.id = l.job_id
    WHERE l.day = $8 AND l.print = $9 AND l.job_id = $10 AND l.revoked_at IS NULL
      AND l.expires_at > $5 AND j.purged_at IS NULL AND j.frozen_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM frozen_tenants f WHERE f.tenant = j.tenant)
";
macro_rules! reserve_sql {
    ($name:literal, $held:literal) => {
        concat!(
            "-- ",
            $name,
            "
    WITH asked AS MATERIALIZED (
        SELECT * FROM UNNEST(
            $1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::text[],
            $7::bytea[], $8::bytea[], $9::text[], $10::uuid[], $11::text[], $12::text[],
            $13::bigint[], $14::bigint[], $15::bigint[], $16::bytea[]
        ) AS t (
            id, tenant, job, at, kind, code, leaf, detail, detail_key, epoch, way, receiver,
            from_byte, to_byte, day, print
        )
    ),
    held AS MATERIALIZED (
        SELECT j.id, j.tenant
        FROM (SELECT DISTINCT a.job FROM asked a) a JOIN jobs j ON j.id = a.job
        WHERE j.purged_at IS NULL AND j.frozen_at IS NULL
        FOR UPDATE OF j",
            $held,
            "
    ),
    serving AS MATERIALIZED (
        SELECT h.id, h.tenant, l.day, l.print, l.expires_at
        FROM (SELECT DISTINCT a.job, a.day, a.print FROM asked a) a
        JOIN held h ON h.id = a.job
        JOIN links l ON l.day = a.day AND l.print = a.print AND l.job_id = h.id
        WHERE l.revoked_at IS NULL
        FOR UPDATE OF l",
            $held,
            "
    ),
    reserved AS (
        INSERT INTO handouts (job_id, id, tenant, epoch, way, receiver, at, from_byte, to_byte)
        SELECT s.id, a.id, s.tenant, a.epoch, a.way, a.receiver, a.at, a.from_byte, a.to_byte
        FROM asked a JOIN serving s ON s.id = a.job AND s.day = a.day AND s.print = a.print
        WHERE s.expires_at > a.at
          AND NOT EXISTS (SELECT 1 FROM frozen_tenants f WHERE f.tenant = s.tenant)
        RETURNING id
    ),
    logged AS (
        INSERT INTO audit_events (id, tenant, job_id, at, kind, code, leaf, detail, detail_key)
        SELECT a.id, a.tenant, a.job, a.at, a.kind, a.code, a.leaf, a.detail, a.detail_key
        FROM asked a JOIN reserved r ON r.id = a.id
    )
    SELECT id FROM reserved"
        )
    };
}
pub(super) const POSTGRES: &str = reserve_sql!("reserve", "");
pub(super) const POSTGRES_FREE: &str = reserve_sql!("reserve: what is free", " SKIP LOCKED");

/// Reserves bytes that are about to leave, writes each access into the log and
/// commits; gives the events of those that were reserved. Of the others nothing
/// is written: their link does not serve any more at the event's instant, or
/// somebody holds it and it was to be passed over. Not a byte may leave before.
pub async fn reserve(
    db: &Db,
    new: &[&NewHandout],
    held: Held,
) -> Result<HashSet<EventId>, StoreError> {
    let Db::Postgres(pg) = db else { return reserve_on_sqlite(db, new).await };
    let events = EventColumns::of(new.iter().map(|one| &one.event));
    let sql = match held {
        Held::WaitFor => POSTGRES,
        Held::PassOver => POSTGRES_FREE,
    };
    db.check("begin")?;
    let mut conn = pg.acquire().await.doing(ACT)?;
    db.check("commit")?;
    let reserved = sqlx::query(sql)
        .bind(events.id)
        .bind(events.tenant)
        .bind(new.iter().map(|one| one.job.0).collect::<Vec<_>>())
        .bind_told(events.told)
        .bind(new.iter().map(|one| one.epoch.0).collect::<Vec<_>>())
        .bind(new.iter().map(|one| one.way.word()).collect::<Vec<_>>())
        .bind(new.iter().map(|one| one.session.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|one| one.from_byte).collect::<Vec<_>>())
        .bind(new.iter().map(|one| one.to_byte).collect::<Vec<_>>())
        .bind(new.iter().map(|one| one.day).collect::<Vec<_>>())
        .bind(new.iter().map(|one| one.print.as_slice()).collect::<Vec<_>>())
        .ids(&mut *conn)
        .await
        .doing(ACT)?;
    db.check("committed")?;
    Ok(reserved.into_iter().map(EventId).collect())
}

/// Whoever writes on SQLite is alone: there is nobody to wait for.
async fn reserve_on_sqlite(db: &Db, new: &[&NewHandout]) -> Result<HashSet<EventId>, StoreError> {
    let mut reserved = HashSet::new();
    let mut events = Vec::with_capacity(new.len());
    let mut tx = db.begin().await?;
    for one in new {
        let rows = execute!(
            &mut tx,
            ACT,
            SQLITE,
            one.event.id.0,
            one.epoch.0,
            one.way.word(),
            one.session.as_str(),
            one.event.at.timestamp_micros(),
            one.from_byte,
            one.to_byte,
            one.day,
            one.print.as_slice(),
            one.job.0
        )?;
        if rows == 1 {
            reserved.insert(one.event.id);
            events.push(one.event.clone());
        }
    }
    ledger::append(&mut tx, &events).await?;
    tx.commit().await?;
    Ok(reserved)
}

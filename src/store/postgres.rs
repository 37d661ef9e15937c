//! Connections to a PostgreSQL server.

use std::{
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Postgres, Transaction,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

use super::{DbOptions, Fuses, SETTINGS_POSTGRES, StoreError, error::Doing as _, run::Running};

/// Connections that come back and are rolled back after one beginning was
/// abandoned: the one in question comes back among the first.
const CLEANED: u32 = 64;

/// Outside of a transaction it does nothing.
const ROLLBACK: &str = "
    -- rollback
    ROLLBACK
";

/// Connections to a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PgDb {
    pub(crate) pool: PgPool,
    pub(super) fuse: Fuses,
    /// Connections that are still to be rolled back when they come back.
    abandoned: Arc<AtomicU32>,
}

/// Notes that nobody waits any more for a transaction to begin.
struct Watch<'a> {
    abandoned: &'a AtomicU32,
    over: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.abandoned.store(CLEANED, Ordering::Release);
        }
    }
}

impl PgDb {
    /// A connection for a statement that commits by itself.
    pub(crate) fn acquire(&self) -> Running<'_, PoolConnection<Postgres>> {
        Box::pin(self.pool.acquire())
    }

    /// Begins a transaction. Whoever gives up waiting for the answer leaves a
    /// connection whose server may have begun one, which `sqlx` does not know; it
    /// would go to the next caller as it is.
    pub(super) fn begin(
        &self,
        statement: &'static str,
    ) -> Running<'_, Transaction<'static, Postgres>> {
        Box::pin(async move {
            let mut begun = std::pin::pin!(self.pool.begin_with(statement));
            // Dropped before what it watches: the note is there when the connection
            // comes back.
            let mut watch = Watch { abandoned: &self.abandoned, over: false };
            let begun = begun.as_mut().await;
            watch.over = true;
            begun
        })
    }

    pub(super) async fn open(url: &str, options: DbOptions) -> Result<Self, StoreError> {
        let bad = |source| StoreError::BadUrl { source: Some(source) };
        let connect = PgConnectOptions::from_str(url).map_err(bad)?.application_name("kakitome");
        let timeout = options.statement_timeout.as_millis().to_string();
        let abandoned = Arc::new(AtomicU32::new(0));
        let returned = Arc::clone(&abandoned);
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .acquire_timeout(Duration::from_secs(10))
            // A ping before each use would double the round trips of a commit
            // that is one statement; a stale connection is one transient error.
            .test_before_acquire(false)
            .after_connect(move |conn, _| {
                let timeout = timeout.clone();
                Box::pin(async move {
                    sqlx::query(SETTINGS_POSTGRES).bind(timeout).execute(conn).await?;
                    Ok(())
                })
            })
            .after_release(move |conn, _| {
                let clean = returned
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
                Box::pin(async move {
                    if clean.is_ok() {
                        sqlx::query(ROLLBACK).execute(conn).await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(connect)
            .await
            .doing("open the database")?;
        Ok(Self { pool, fuse: Fuses::default(), abandoned })
    }
}

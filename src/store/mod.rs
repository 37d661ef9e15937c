//! Rows in, values out: the only room that knows there is SQL.
//!
//! One text per statement serves SQLite and PostgreSQL; `with_conn!` expands
//! its body once per driver, so both are type-checked and nothing is boxed.
//! The few statements that carry many jobs at once are one common table
//! expression over `UNNEST` on PostgreSQL, sent in autocommit (one round trip,
//! commit included), and a loop in one transaction on SQLite.
//!
//! Guards stand in the statement, never before it. Where a stage has to be
//! looked at first, the row is locked first: the work row, then the job's,
//! always in this order. Which stage follows is asked of `Stage::after`; no
//! statement decides it.
//!
//! Refuses to run on a schema that a later program has written.

use std::{fmt, str::FromStr as _, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::{
    Connection as _, Postgres, Sqlite, SqliteConnection, Transaction,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};

pub mod account;
mod cells;
pub mod checkpoints;
pub mod code_mails;
pub mod dossier;
mod error;
pub mod factors;
pub mod freezes;
pub mod handouts;
pub mod jobs;
pub mod keyring;
pub mod keys;
pub mod ledger;
pub mod links;
mod migrations;
mod months;
pub mod outbox;
pub mod postal;
mod postgres;
pub mod reminders;
pub mod retention;
mod run;
pub mod statements;
#[cfg(test)]
pub(crate) mod trial;
pub mod uploads;
pub mod work;
pub mod workers;

pub use error::StoreError;
pub use migrations::Migrated;

use error::Doing as _;
pub use postgres::PgDb;
use run::{Rows as _, Running};

/// A database, whichever the operator chose. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// One file beside the program: the default, for one host.
    Sqlite(SqliteDb),
    /// A server, for many workers.
    Postgres(PgDb),
}

/// Connections to an SQLite file: one that writes, some that read.
#[derive(Clone, Debug)]
pub struct SqliteDb {
    pub(crate) writer: SqlitePool,
    pub(crate) reader: SqlitePool,
    fuse: Fuses,
}

/// Bounds of a database's connections.
#[derive(Clone, Copy, Debug)]
pub struct DbOptions {
    /// The most connections that are open at once; SQLite uses them for
    /// reading and has one more that writes. A caller waits for a free one,
    /// at most ten seconds, and is then told [`StoreError::Unreachable`].
    pub max_connections: u32,
    /// The longest a statement may run before the server ends it, which is
    /// [`StoreError::Busy`]; on SQLite, the longest wait for the file's lock.
    pub statement_timeout: Duration,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self { max_connections: 8, statement_timeout: Duration::from_secs(30) }
    }
}

/// A transaction on either database; rolled back when dropped.
#[derive(Debug)]
pub enum Tx {
    /// See [`Db::Sqlite`].
    Sqlite(SqliteTx),
    /// See [`Db::Postgres`].
    Postgres(PgTx),
}

/// A transaction on SQLite.
#[derive(Debug)]
pub struct SqliteTx {
    pub(crate) inner: Transaction<'static, Sqlite>,
    fuse: Fuses,
}

/// A transaction on PostgreSQL.
#[derive(Debug)]
pub struct PgTx {
    pub(crate) inner: Transaction<'static, Postgres>,
    fuse: Fuses,
}

/// Runs `$body` on the connection inside a [`Tx`], whichever kind it is.
macro_rules! with_conn {
    ($tx:expr, |$conn:ident| $body:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(tx) => {
                let $conn = &mut *tx.inner;
                $body
            }
            $crate::store::Tx::Postgres(tx) => {
                let $conn = &mut *tx.inner;
                $body
            }
        }
    };
}
pub(crate) use with_conn;

/// Runs a statement with its binds and counts the rows that it changed.
macro_rules! execute {
    ($tx:expr, $act:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::store::error::Doing::doing(
            $crate::store::with_conn!(&mut *$tx, |conn| {
                $crate::store::run::Change::run(sqlx::query($sql)$(.bind($bind))*, conn).await
            }),
            $act,
        )
    };
}
pub(crate) use execute;

/// Breaks the database where a test wants it broken.
///
/// It is asked at three points of every writing transaction: `begin`, `commit`
/// (nothing is durable yet) and `committed` (everything is, but the caller
/// will not know).
pub trait Fuse: Send + Sync + fmt::Debug {
    /// Whether work may go on past `point`.
    fn check(&self, point: &'static str) -> Result<(), Blown>;
}

/// The fuse says no.
#[derive(Clone, Copy, Debug)]
pub struct Blown;

#[derive(Clone, Debug, Default)]
struct Fuses(Option<Arc<dyn Fuse>>);

impl Fuses {
    fn check(&self, point: &'static str) -> Result<(), StoreError> {
        match &self.0 {
            Some(fuse) => fuse.check(point).map_err(|Blown| StoreError::Fuse { point }),
            None => Ok(()),
        }
    }
}

const WITNESS_SQLITE: &str = "
    -- witness_time
    SELECT CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)
";
const WITNESS_POSTGRES: &str = "
    -- witness_time
    SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)
";
// A plan is made once for a connection: planning over the months' partitions
// costs more than running. One that was made while a table was empty must be
// right when it is full, so none may read a table from end to end.
const SETTINGS_POSTGRES: &str = "
    -- settings
    SELECT set_config('statement_timeout', $1, false),
           set_config('idle_in_transaction_session_timeout', '60000', false),
           set_config('plan_cache_mode', 'force_generic_plan', false),
           set_config('enable_seqscan', 'off', false),
           set_config('client_min_messages', 'error', false),
           set_config('jit', 'off', false)
";

impl Db {
    /// Connects to the database named by `url` (`sqlite:PATH`,
    /// `sqlite::memory:` or `postgres://…`, TLS as the address says). Does not
    /// touch its schema.
    ///
    /// `sqlite::memory:` has one connection for everything, so a task must end
    /// its transaction before it begins the next.
    pub async fn open(url: &str, options: DbOptions) -> Result<Self, StoreError> {
        Self::connect(url, options).await
    }

    fn connect(url: &str, options: DbOptions) -> BoxFuture<'_, Result<Self, StoreError>> {
        Box::pin(async move { Self::choose(url, options).await })
    }

    async fn choose(url: &str, options: DbOptions) -> Result<Self, StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Ok(Self::Postgres(PgDb::open(url, options).await?))
        } else if url.starts_with("sqlite:") {
            Ok(Self::Sqlite(SqliteDb::open(url, options).await?))
        } else {
            Err(StoreError::BadUrl { source: None })
        }
    }

    /// Asks `fuse` before and after each commit from now on; for tests.
    #[must_use]
    pub fn with_fuse(mut self, fuse: Arc<dyn Fuse>) -> Self {
        let (Self::Sqlite(SqliteDb { fuse: slot, .. }) | Self::Postgres(PgDb { fuse: slot, .. })) =
            &mut self;
        *slot = Fuses(Some(fuse));
        self
    }

    /// Whether several hosts may work on this database.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Begins a transaction that writes.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let act = "begin a transaction";
        self.check("begin")?;
        Ok(match self {
            // IMMEDIATE takes the write lock now; a later upgrade could fail.
            Self::Sqlite(db) => Tx::Sqlite(SqliteTx {
                inner: db.begin("BEGIN IMMEDIATE").await.doing(act)?,
                fuse: db.fuse.clone(),
            }),
            Self::Postgres(db) => Tx::Postgres(PgTx {
                inner: db.begin("BEGIN").await.doing(act)?,
                fuse: db.fuse.clone(),
            }),
        })
    }

    /// Begins a transaction that reads; a write in it fails.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        let act = "begin a reading transaction";
        self.check("read")?;
        Ok(match self {
            Self::Sqlite(db) => {
                Tx::Sqlite(SqliteTx { inner: db.read().await.doing(act)?, fuse: Fuses::default() })
            }
            Self::Postgres(db) => Tx::Postgres(PgTx {
                inner: db.begin("BEGIN READ ONLY").await.doing(act)?,
                fuse: Fuses::default(),
            }),
        })
    }

    /// The database's own clock: the witness that our own is not far off.
    pub async fn witness_time(&self) -> Result<DateTime<Utc>, StoreError> {
        let act = "ask the database for the time";
        let micros: i64 = match self {
            Self::Sqlite(db) => {
                let mut tx = db.read().await.doing(act)?;
                sqlx::query(WITNESS_SQLITE).number(&mut *tx).await
            }
            Self::Postgres(db) => {
                let mut conn = db.acquire().await.doing(act)?;
                sqlx::query(WITNESS_POSTGRES).number(&mut *conn).await
            }
        }
        .doing(act)?;
        cells::instant("clock", micros)
    }

    /// Closes every connection; what is in flight is rolled back.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(db) => {
                db.reader.close().await;
                db.writer.close().await;
            }
            Self::Postgres(db) => db.pool.close().await,
        }
    }

    /// Asks the fuse, for statements that commit by themselves.
    fn check(&self, point: &'static str) -> Result<(), StoreError> {
        let (Self::Sqlite(SqliteDb { fuse, .. }) | Self::Postgres(PgDb { fuse, .. })) = self;
        fuse.check(point)
    }
}

impl SqliteDb {
    /// Begins a transaction on the connection that writes.
    fn begin(&self, statement: &'static str) -> Running<'_, Transaction<'static, Sqlite>> {
        Box::pin(self.writer.begin_with(statement))
    }

    /// Begins a transaction on a connection that reads.
    fn read(&self) -> Running<'_, Transaction<'static, Sqlite>> {
        Box::pin(self.reader.begin_with("BEGIN"))
    }

    async fn open(url: &str, options: DbOptions) -> Result<Self, StoreError> {
        let bad = |source| StoreError::BadUrl { source: Some(source) };
        let connect = SqliteConnectOptions::from_str(url).map_err(bad)?;
        let connect = connect
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(options.statement_timeout)
            .foreign_keys(true)
            .pragma("secure_delete", "ON");
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(Duration::from_secs(10))
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .before_acquire(|conn, _| Box::pin(async move { Ok(is_whole(conn)) }))
        };
        let act = "open the database";
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        let maker = if in_memory { None } else { Some(make_file(&connect).await.doing(act)?) };
        let writer = pool().max_connections(1).connect_with(connect.clone()).await.doing(act)?;
        drop(maker);
        let reader = if in_memory {
            writer.clone()
        } else {
            pool()
                .max_connections(options.max_connections.max(1))
                .connect_lazy_with(connect.pragma("query_only", "ON"))
        };
        Ok(Self { writer, reader, fuse: Fuses::default() })
    }
}

/// Makes the file, if it is new. That flushes the disk several times, and a
/// disk under load takes longer for each than a pool would wait for all; what
/// the pool opens while this connection is there flushes nothing.
pub(in crate::store) fn make_file(options: &SqliteConnectOptions) -> Running<'_, SqliteConnection> {
    Box::pin(SqliteConnection::connect_with(options))
}

/// Whether a connection of the pool can begin a transaction. When the disk is
/// full SQLite itself rolls back, the driver's own rollback then fails, and the
/// driver counts a transaction for ever that is none: such a connection is
/// closed, and another one made.
pub(in crate::store) fn is_whole(connection: &SqliteConnection) -> bool {
    !connection.is_in_transaction()
}

impl Tx {
    /// Makes the changes of this transaction durable.
    pub async fn commit(self) -> Result<(), StoreError> {
        let act = "commit";
        let fuse = match &self {
            Self::Sqlite(tx) => tx.fuse.clone(),
            Self::Postgres(tx) => tx.fuse.clone(),
        };
        fuse.check("commit")?;
        let committed: Running<'static, ()> = match self {
            Self::Sqlite(tx) => Box::pin(tx.inner.commit()),
            Self::Postgres(tx) => Box::pin(tx.inner.commit()),
        };
        committed.await.doing(act)?;
        fuse.check("committed")
    }
}

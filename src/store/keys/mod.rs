//! The rows of the key store: wrapped keys, and the tombstones of dead ones.
//!
//! This is a database of its own, never a schema beside the data: keys must
//! not share a write-ahead log or a backup with what they open. In one process
//! it is an SQLite file; many workers share a PostgreSQL cluster.
//!
//! A row comes into being once, whoever else tries at the same time, and is
//! never deleted. Destruction happens in an order that survives a crash
//! anywhere: the row is marked and its wrapped bytes go in one transaction;
//! then the bytes are driven out of the files; only then does the row say
//! "destroyed". A row that is marked but does not say so is not destroyed yet
//! and will be listed again.
//!
//! It refuses to call a key destroyed while the database's own log may still
//! hold it (SQLite), or its table file does (PostgreSQL, whose log and backups
//! expire by the operator's settings; docs/FORMATS.md says what that means).

use std::{os::unix::fs::OpenOptionsExt, path::Path, str::FromStr, time::Duration};

use sqlx::{
    Row, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};

use super::keyring::name::{KeyName, Kind};

/// A row of the key store.
pub(super) struct KeyRow {
    /// The version of the tenant key or master key it is wrapped under.
    pub(super) parent: i64,
    /// Gone once the key is to be destroyed.
    pub(super) wrapped: Option<Vec<u8>>,
    /// Microseconds since 1970.
    pub(super) created_at: i64,
    /// Microseconds since 1970.
    pub(super) destroyed_at: Option<i64>,
}

/// A key that is offered to the store.
pub(super) struct NewKey<'a> {
    /// The version of its parent.
    pub(super) parent: i64,
    /// The key, wrapped under its parent.
    pub(super) wrapped: &'a [u8],
    /// The newest version of the master key that its maker knows of; the row
    /// is refused where there is a newer one. `i64::MAX` where the parent is
    /// not the master.
    pub(super) master: i64,
}

/// Whether what was destroyed has left the database's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It has.
    Yes,
    /// Someone is reading, so that the log could not be emptied.
    NotYet,
}

/// A pool of connections to the key store.
#[derive(Clone, Debug)]
pub(super) enum KeyDb {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs `$body` with the pool, whichever kind it is.
macro_rules! on_pool {
    ($db:expr, |$pool:ident| $body:expr) => {
        match $db {
            KeyDb::Sqlite($pool) => $body,
            KeyDb::Postgres($pool) => $body,
        }
    };
}

mod versions;

const FIND: &str = "
    -- keys: find
    SELECT parent, wrapped, created_at, destroyed_at
    FROM keys
    WHERE kind = $1 AND tenant = $2 AND service = $3 AND number = $4
";

const INSERT: &str = "
    -- keys: insert
    INSERT INTO keys (kind, tenant, service, number, parent, wrapped, created_at)
    SELECT $1, $2, $3, $4, $5, $6, $7
    WHERE NOT EXISTS (SELECT 1 FROM keys k WHERE k.kind = 'probe' AND k.number > $8)
    ON CONFLICT (kind, tenant, service, number) DO NOTHING
";

const LIVE_BEFORE: &str = "
    -- keys: not yet destroyed, below a number
    SELECT tenant, service, number
    FROM keys
    WHERE kind = $1 AND number < $2 AND destroyed_at IS NULL
    ORDER BY number, tenant, service
    LIMIT $3
";

const BURY_UNBORN: &str = "
    -- keys: a tombstone for a key that never was, so that it never will be
    INSERT INTO keys (kind, tenant, service, number, parent, created_at, to_destroy_at)
    VALUES ($1, $2, $3, $4, 0, $5, $5)
    ON CONFLICT (kind, tenant, service, number) DO NOTHING
";

const OVERWRITE: &str = "
    -- keys: overwrite in place
    UPDATE keys
    SET wrapped = $5
    WHERE kind = $1 AND tenant = $2 AND service = $3 AND number = $4
        AND wrapped IS NOT NULL
";

const CONDEMN: &str = "
    -- keys: mark and empty
    UPDATE keys
    SET to_destroy_at = coalesce(to_destroy_at, $5), wrapped = NULL
    WHERE kind = $1 AND tenant = $2 AND service = $3 AND number = $4
        AND destroyed_at IS NULL
";

const DESTROYED: &str = "
    -- keys: destroyed
    UPDATE keys
    SET destroyed_at = $5
    WHERE kind = $1 AND tenant = $2 AND service = $3 AND number = $4
        AND destroyed_at IS NULL AND to_destroy_at IS NOT NULL AND wrapped IS NULL
";

/// `VACUUM FULL` would carry a dead row along for as long as anyone has an old
/// snapshot; a column that is computed anew is rewritten from living rows only.
const REWRITE: &str = "
    -- keys: rewrite the table
    ALTER TABLE keys
    ALTER COLUMN wrapped TYPE BYTEA USING substring(wrapped FROM 1)
";

const COUNT: &str = "
    -- keys: count
    SELECT kind, count(wrapped), count(to_destroy_at) - count(destroyed_at), count(destroyed_at)
    FROM keys
    GROUP BY kind
    ORDER BY kind
";

const SQLITE_SCHEMA: &str = include_str!("../../../migrations/keys/sqlite/0001_keys.sql");
const POSTGRES_SCHEMA: &str = include_str!("../../../migrations/keys/postgres/0001_keys.sql");

/// How long a wrapped key of 32 bytes is.
const WRAPPED_KEY: usize = 32 + crate::crypto::wrap::OVERHEAD;

/// A rollback without a transaction is no news.
const MUTE: &str = "
    -- mute
    SET client_min_messages = 'error'
";
/// Outside of a transaction it does nothing.
const ROLLBACK: &str = "
    -- rollback
    ROLLBACK
";

impl KeyDb {
    /// Opens the key store at `url` and brings its schema up to date.
    pub(super) async fn open(url: &str) -> Result<Self, sqlx::Error> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url)?.application_name("kakitome keys");
            let pool = PgPoolOptions::new()
                .max_connections(4)
                .acquire_timeout(Duration::from_secs(10))
                // Whoever gives up waiting for a transaction to begin leaves a
                // connection inside one, and `sqlx` does not know. Keys are asked
                // for seldom: each connection is cleaned when it comes back.
                .after_connect(|conn, _| {
                    Box::pin(async move { sqlx::query(MUTE).execute(conn).await.map(drop) })
                })
                .after_release(|conn, _| {
                    Box::pin(async move {
                        sqlx::query(ROLLBACK).execute(conn).await?;
                        Ok(true)
                    })
                })
                .connect_with(options)
                .await?;
            migrator(POSTGRES_SCHEMA).run(&pool).await?;
            return Ok(Self::Postgres(pool));
        }
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(2))
            // What is deleted or replaced is overwritten with zeros.
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY");
        // Two processes that start at once take turns, and the file belongs
        // to nobody else from its first byte.
        let _turn = if url.contains(":memory:") || url.contains("mode=memory") {
            None
        } else {
            let turn = take_turn(options.get_filename()).await?;
            Some((turn, super::make_file(&options).await?))
        };
        // One connection: it is asked seldom, and a reader of our own must not
        // keep the log from being emptied.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(10))
            .before_acquire(|conn, _| Box::pin(async move { Ok(super::is_whole(conn)) }))
            .connect_with(options)
            .await?;
        migrator(SQLITE_SCHEMA).run(&pool).await?;
        Ok(Self::Sqlite(pool))
    }

    pub(super) async fn find(&self, name: &KeyName) -> Result<Option<KeyRow>, sqlx::Error> {
        on_pool!(self, |pool| {
            let row = sqlx::query(FIND)
                .bind(name.kind.word())
                .bind(name.tenant_word())
                .bind(name.service_word())
                .bind(name.number)
                .fetch_optional(pool)
                .await?;
            row.map(|row| {
                Ok(KeyRow {
                    parent: row.try_get(0)?,
                    wrapped: row.try_get(1)?,
                    created_at: row.try_get(2)?,
                    destroyed_at: row.try_get(3)?,
                })
            })
            .transpose()
        })
    }

    /// Writes a new key's row; does nothing when there is one already, or when
    /// the store has a newer master key than its maker knew.
    pub(super) async fn insert(
        &self,
        name: &KeyName,
        row: NewKey<'_>,
        now: i64,
    ) -> Result<(), sqlx::Error> {
        on_pool!(self, |pool| sqlx::query(INSERT)
            .bind(name.kind.word())
            .bind(name.tenant_word())
            .bind(name.service_word())
            .bind(name.number)
            .bind(row.parent)
            .bind(row.wrapped)
            .bind(now)
            .bind(row.master)
            .execute(pool)
            .await
            .map(drop))
    }

    /// Names of keys of a kind that are below `number` and not destroyed,
    /// lowest first.
    pub(super) async fn live_before(
        &self,
        kind: Kind,
        number: i64,
        limit: i64,
    ) -> Result<Vec<KeyName>, sqlx::Error> {
        let rows: Vec<(String, String, i64)> = on_pool!(self, |pool| sqlx::query_as(LIVE_BEFORE)
            .bind(kind.word())
            .bind(number)
            .bind(limit)
            .fetch_all(pool)
            .await?);
        rows.into_iter()
            .map(|(tenant, service, number)| {
                KeyName::from_words(kind, &tenant, &service, number).ok_or_else(unknown)
            })
            .collect()
    }

    /// Takes the wrapped bytes out of the rows and marks them; a key that
    /// never was gets its mark too. Twice is once.
    pub(super) async fn condemn(&self, names: &[KeyName], now: i64) -> Result<(), sqlx::Error> {
        macro_rules! run {
            ($tx:expr, $sql:expr, $name:expr, $value:expr) => {
                sqlx::query($sql)
                    .bind($name.kind.word())
                    .bind($name.tenant_word())
                    .bind($name.service_word())
                    .bind($name.number)
                    .bind($value)
                    .execute(&mut *$tx)
                    .await?
            };
        }
        let zeros = vec![0_u8; WRAPPED_KEY];
        on_pool!(self, |pool| {
            let mut tx = pool.begin().await?;
            for name in names {
                run!(tx, BURY_UNBORN, name, now);
                // A value of equal length is written over the old one where it
                // stands; emptying alone could leave a copy in the page.
                run!(tx, OVERWRITE, name, &zeros);
                run!(tx, CONDEMN, name, now);
            }
            tx.commit().await
        })
    }

    /// Drives what was taken out of rows out of the database's files: SQLite's
    /// log is written back and cut to nothing; PostgreSQL's table is rewritten
    /// and the old file emptied.
    pub(super) async fn settle(&self) -> Result<Settled, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => {
                let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(pool).await?;
                let busy: i64 = row.try_get(0)?;
                Ok(if busy == 0 { Settled::Yes } else { Settled::NotYet })
            }
            Self::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                // Not behind a backup that holds the table for an hour.
                sqlx::query("SET lock_timeout = '5s'").execute(&mut *connection).await?;
                let rewritten = sqlx::query(REWRITE).execute(&mut *connection).await;
                sqlx::query("RESET lock_timeout").execute(&mut *connection).await?;
                match rewritten {
                    Ok(_) => Ok(Settled::Yes),
                    Err(sqlx::Error::Database(error))
                        if error.code().as_deref() == Some("55P03") =>
                    {
                        Ok(Settled::NotYet)
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Writes down that condemned keys are destroyed. Twice is once.
    pub(super) async fn destroyed(&self, names: &[KeyName], now: i64) -> Result<(), sqlx::Error> {
        on_pool!(self, |pool| {
            let mut tx = pool.begin().await?;
            for name in names {
                sqlx::query(DESTROYED)
                    .bind(name.kind.word())
                    .bind(name.tenant_word())
                    .bind(name.service_word())
                    .bind(name.number)
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await
        })
    }

    /// For each kind of key: live, condemned, destroyed.
    pub(super) async fn counts(&self) -> Result<Vec<(String, i64, i64, i64)>, sqlx::Error> {
        on_pool!(self, |pool| sqlx::query_as(COUNT).fetch_all(pool).await)
    }

    pub(super) async fn close(&self) {
        on_pool!(self, |pool| pool.close().await);
    }
}

fn unknown() -> sqlx::Error {
    sqlx::Error::Decode("unknown kind, tenant or service".into())
}

fn migrator(sql: &'static str) -> Migrator {
    let first = Migration::new(1, "keys".into(), MigrationType::Simple, sql.into_sql_str(), false);
    Migrator::with_migrations(vec![first])
}

/// Creates the file for its owner only, and waits for whoever is opening it.
async fn take_turn(path: &Path) -> Result<std::fs::File, sqlx::Error> {
    let path = path.to_owned();
    let mut lock = path.clone().into_os_string();
    lock.push(".lock");
    tokio::task::spawn_blocking(move || {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        drop(options.open(&path)?);
        let turn = options.open(lock)?;
        turn.lock()?;
        Ok(turn)
    })
    .await
    .map_err(|_| sqlx::Error::WorkerCrashed)?
}

//! The schema, embedded: each migration is written twice and stands here once,
//! both sides beside each other, so that one without the other does not compile.

use std::borrow::Cow;

use futures::future::BoxFuture;
use sqlx::{
    SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{Db, StoreError, error::Doing as _, run::Running};

struct Step {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! steps {
    ($($version:literal $name:literal)*) => {
        const STEPS: &[Step] = &[$(Step {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        },)*];
    };
}
steps! {
    1 "0001_office"
    2 "0002_uploads"
    3 "0003_handouts"
    4 "0004_factors"
    5 "0005_masters"
    6 "0006_reminders"
    7 "0007_no_leaders"
}

/// What a run of the migrations did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The migrations that were applied just now, in order.
    pub applied: Vec<i64>,
}

fn migrator(text: impl Fn(&Step) -> &'static str) -> Migrator {
    let migrations = STEPS.iter().map(|step| {
        let sql = text(step).into_sql_str();
        Migration::new(step.version, Cow::Borrowed(step.name), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

const HAS_LEDGER_SQLITE: &str =
    "SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
const HAS_LEDGER_POSTGRES: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";

impl Db {
    /// Brings the schema up to date; harmless when it is, and safe when
    /// several processes start at once. Refuses a database that a later
    /// program has migrated.
    pub async fn migrate(&self) -> Result<Migrated, StoreError> {
        let applied = self.pending_migrations().await?;
        self.run_migrator().await.map_err(|error| {
            if let MigrateError::VersionMissing(version) = error {
                StoreError::TooNew { version }
            } else {
                StoreError::Migration { source: Box::new(error) }
            }
        })?;
        Ok(Migrated { applied })
    }

    fn run_migrator(&self) -> BoxFuture<'_, Result<(), MigrateError>> {
        Box::pin(async move {
            match self {
                Self::Sqlite(db) => migrator(|step| step.sqlite).run(&db.writer).await,
                Self::Postgres(db) => migrator(|step| step.postgres).run(&db.pool).await,
            }
        })
    }

    /// The migrations that [`Db::migrate`] would apply; changes nothing.
    pub async fn pending_migrations(&self) -> Result<Vec<i64>, StoreError> {
        let act = "read which migrations were applied";
        let known = self.applied_migrations().await.doing(act)?;
        let ours: Vec<i64> = STEPS.iter().map(|step| step.version).collect();
        if let Some(&version) = known.iter().find(|version| !ours.contains(version)) {
            return Err(StoreError::TooNew { version });
        }
        Ok(ours.into_iter().filter(|version| !known.contains(version)).collect())
    }

    fn applied_migrations(&self) -> Running<'_, Vec<i64>> {
        Box::pin(async move { self.read_applied().await })
    }

    async fn read_applied(&self) -> Result<Vec<i64>, sqlx::Error> {
        match self {
            Self::Sqlite(db) => {
                let has: i64 = sqlx::query_scalar(HAS_LEDGER_SQLITE).fetch_one(&db.writer).await?;
                if has == 0 {
                    Ok(vec![])
                } else {
                    sqlx::query_scalar(APPLIED).fetch_all(&db.writer).await
                }
            }
            Self::Postgres(db) => {
                let has: bool = sqlx::query_scalar(HAS_LEDGER_POSTGRES).fetch_one(&db.pool).await?;
                if has { sqlx::query_scalar(APPLIED).fetch_all(&db.pool).await } else { Ok(vec![]) }
            }
        }
    }
}

//! Databases for tests, one per test, on both kinds. Those of PostgreSQL are
//! made in the server that `KAKITOME_TEST_POSTGRES` names.

#![expect(clippy::print_stdout, reason = "a test that was not tried says so")]

use tempfile::TempDir;

use super::{
    Db, DbOptions,
    outbox::{Announce, News, OutboxRow},
};
use crate::{crypto::CryptoError, entropy::Entropy};

/// A database of its own, with the schema in place, and where it is.
pub(crate) struct Trial {
    pub(crate) db: Db,
    /// Holds the files of the test; removed when dropped.
    pub(crate) folder: TempDir,
}

impl Trial {
    pub(crate) async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite:{}", folder.path().join("office.db").display());
        Self::open(url, folder).await
    }

    /// None where no server is named.
    #[expect(clippy::disallowed_methods, reason = "a test's setting")]
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("KAKITOME_TEST_POSTGRES") else {
            println!("NOT RUN: KAKITOME_TEST_POSTGRES names no server");
            return None;
        };
        let entropy = Entropy::from_os().unwrap();
        let name = format!("kk_office_{:x}", u128::from_be_bytes(entropy.array().unwrap()));
        let admin = sqlx::PgPool::connect(&format!("{server}/postgres")).await.unwrap();
        let mut create = sqlx::QueryBuilder::<sqlx::Postgres>::new("CREATE DATABASE ");
        create.push(&name);
        create.build().persistent(false).execute(&admin).await.unwrap();
        admin.close().await;
        Some(Self::open(format!("{server}/{name}"), TempDir::new().unwrap()).await)
    }

    async fn open(url: String, folder: TempDir) -> Self {
        let options = DbOptions { max_connections: 4, ..DbOptions::default() };
        let db = Db::open(&url, options).await.unwrap();
        db.migrate().await.unwrap();
        Self { db, folder }
    }
}

/// Tells nobody.
pub(crate) struct Quiet;

impl Announce for Quiet {
    fn announce(&self, _: &News<'_>) -> Result<Option<OutboxRow>, CryptoError> {
        Ok(None)
    }
}

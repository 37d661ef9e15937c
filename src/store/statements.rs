//! Every statement of this room, by name.
//!
//! The compiler cannot check SQL for two databases. [`Db::prepare_all`] can:
//! tests run it on both, and `kakitome check` on the operator's own.

use sqlx::{Executor as _, SqlSafeStr as _};

use super::{Db, StoreError, error::Doing as _};

/// A statement and where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// The function that runs it.
    pub name: &'static str,
    /// Its text on SQLite, if it runs there.
    pub sqlite: Option<&'static str>,
    /// Its text on PostgreSQL, if it runs there.
    pub postgres: Option<&'static str>,
}

/// One text for both.
pub(super) const fn both(name: &'static str, text: &'static str) -> Statement {
    Statement { name, sqlite: Some(text), postgres: Some(text) }
}

/// Two texts for one act.
pub(super) const fn each(
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
) -> Statement {
    Statement { name, sqlite: Some(sqlite), postgres: Some(postgres) }
}

/// A text for SQLite alone.
pub(super) const fn sqlite(name: &'static str, text: &'static str) -> Statement {
    Statement { name, sqlite: Some(text), postgres: None }
}

/// A text for PostgreSQL alone.
pub(super) const fn postgres(name: &'static str, text: &'static str) -> Statement {
    Statement { name, sqlite: None, postgres: Some(text) }
}

/// Every fixed statement; searches are put together from fixed parts.
pub fn all() -> Vec<Statement> {
    [
        super::months::STATEMENTS,
        super::jobs::STATEMENTS,
        super::jobs::accept::STATEMENTS,
        super::jobs::one_by_one::STATEMENTS,
        super::ledger::STATEMENTS,
        super::work::STATEMENTS,
        super::work::claim::STATEMENTS,
        super::work::seal::STATEMENTS,
        super::work::mark::STATEMENTS,
        super::work::dispatch::STATEMENTS,
        super::work::moves::STATEMENTS,
        super::work::person::STATEMENTS,
        super::work::reissue::STATEMENTS,
        super::workers::STATEMENTS,
        super::links::STATEMENTS,
        super::factors::STATEMENTS,
        super::code_mails::STATEMENTS,
        super::reminders::STATEMENTS,
        super::reminders::send::STATEMENTS,
        super::outbox::STATEMENTS,
        super::retention::STATEMENTS,
        super::retention::segments::STATEMENTS,
        super::retention::months::STATEMENTS,
        super::retention::exceptions::STATEMENTS,
        super::postal::STATEMENTS,
        super::postal::batches::STATEMENTS,
        super::postal::withdraw::STATEMENTS,
        super::checkpoints::STATEMENTS,
        super::account::STATEMENTS,
        super::handouts::STATEMENTS,
        super::freezes::STATEMENTS,
        super::uploads::STATEMENTS,
        super::uploads::end::STATEMENTS,
    ]
    .concat()
}

impl Db {
    /// Prepares every statement without running one, and says how many there
    /// are: a schema that does not fit this program is found out here.
    pub async fn prepare_all(&self) -> Result<usize, StoreError> {
        let mut count: usize = 0;
        for statement in all() {
            let text = match self {
                Self::Sqlite(_) => statement.sqlite,
                Self::Postgres(_) => statement.postgres,
            };
            let Some(text) = text else { continue };
            let text = text.into_sql_str();
            match self {
                Self::Sqlite(db) => db.writer.prepare(text).await.map(drop),
                Self::Postgres(db) => db.pool.prepare(text).await.map(drop),
            }
            .doing(statement.name)?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }
}

//! Why the database did not do what it was asked.

use crate::domain::stage::IllegalMove;

/// Why a statement or a transaction came to nothing.
///
/// After [`StoreError::Unreachable`] at a commit nobody knows whether it
/// happened; every statement of this room may therefore be repeated.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no connection, it broke, or the pool had none to give in time.
    #[error("the database cannot be reached to {act}")]
    Unreachable {
        /// What was to be done.
        act: &'static str,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// The database gave up for the sake of others: a deadlock, a lock held
    /// too long, a statement time-out, too many connections. Try again.
    #[error("the database is too busy to {act}")]
    Busy {
        /// What was to be done.
        act: &'static str,
        /// What the driver says, where it was the driver.
        source: Option<sqlx::Error>,
    },
    /// A stored value is not one that this program writes.
    #[error("the stored value of {column} is not {expected}")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// What should have been there.
        expected: &'static str,
    },
    /// The database refused the statement: a bug, a full disk or a constraint.
    #[error("the database failed to {act}")]
    Failed {
        /// What was to be done.
        act: &'static str,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// The caller asked for what the stage table does not know.
    #[error("a row was to make a move that does not exist")]
    Illegal {
        /// The move.
        #[from]
        source: IllegalMove,
    },
    /// The address in the configuration is none of a database we speak to.
    #[error("a database address starts with sqlite: or postgres:// and must parse")]
    BadUrl {
        /// What the driver says, where it was the driver.
        source: Option<sqlx::Error>,
    },
    /// The database was migrated by a later program; this one must not touch it.
    #[error("the database has migration {version}, which this program does not know")]
    TooNew {
        /// The unknown migration.
        version: i64,
    },
    /// A migration failed or was changed after it had been applied.
    #[error("the schema could not be brought up to date")]
    Migration {
        /// What the migrator says.
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// A test blew this point's fuse.
    #[error("the fuse at {point} is blown")]
    Fuse {
        /// Where.
        point: &'static str,
    },
}

impl StoreError {
    /// Whether the same act may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Fuse { .. } => true,
            Self::Corrupt { .. }
            | Self::Failed { .. }
            | Self::Illegal { .. }
            | Self::BadUrl { .. }
            | Self::TooNew { .. }
            | Self::Migration { .. } => false,
        }
    }

    /// Sorts what the driver says.
    pub(crate) fn of(act: &'static str, source: sqlx::Error) -> Self {
        if is_busy(&source) {
            Self::Busy { act, source: Some(source) }
        } else if is_unreachable(&source) {
            Self::Unreachable { act, source }
        } else {
            Self::Failed { act, source }
        }
    }
}

/// Names the act that a driver's error interrupted.
pub(crate) trait Doing<T> {
    /// Turns the driver's error into ours.
    fn doing(self, act: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, act: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::of(act, source))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the driver's enum is open")]
fn is_unreachable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Class 08: connection; 57P01 to 57P03: the server stops or starts.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P0"))
        }
        _ => false,
    }
}

/// PostgreSQL's five-character codes, SQLite's (extended) result codes.
fn is_busy(error: &sqlx::Error) -> bool {
    let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else {
        return false;
    };
    // Serialisation, deadlock, lock not available, time-out, too many clients.
    let postgres = ["40001", "40P01", "55P03", "57014", "53300"];
    // SQLITE_BUSY and SQLITE_LOCKED with their extensions.
    let sqlite = |code: i64| matches!(code & 0xff, 5 | 6);
    postgres.contains(&code.as_ref()) || (code.len() < 5 && code.parse().is_ok_and(sqlite))
}

/// The text of an error with everything beneath it, for the test that no
/// message repeats its source.
#[cfg(test)]
pub(crate) fn chain(error: &StoreError) -> Vec<String> {
    use std::error::Error as _;
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_never_repeats_its_source() {
        let error = StoreError::of("count an open", sqlx::Error::PoolTimedOut);
        let texts = chain(&error);
        assert_eq!(texts.len(), 2, "the source is in the chain");
        assert!(!texts[0].contains(&texts[1]), "and not in the message");
        assert!(error.is_transient(), "a pool that is empty now has a connection later");
    }
}

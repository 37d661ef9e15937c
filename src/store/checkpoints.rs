//! Small signed notes by name: the last checkpoint of each tree, the witness.

use chrono::{DateTime, Utc};

use super::{
    StoreError, Tx,
    cells::Cells as _,
    error::Doing as _,
    execute,
    run::Rows as _,
    statements::{Statement, both},
    with_conn,
};

/// A note, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// The note.
    pub value: String,
}

const GET: &str = "
    -- get
    SELECT c.at, c.value FROM checkpoints c WHERE c.name = $1
";

/// The note of this name.
pub async fn get(tx: &mut Tx, name: &str) -> Result<Option<Checkpoint>, StoreError> {
    with_conn!(tx, |conn| sqlx::query(GET)
        .bind(name)
        .optional(conn)
        .await
        .doing("read a checkpoint")?
        .map(|row| Ok(Checkpoint { at: row.time("at")?, value: row.text("value")? }))
        .transpose())
}

const SET: &str = "
    -- set
    INSERT INTO checkpoints (name, at, value) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET at = EXCLUDED.at, value = EXCLUDED.value
";

/// Writes the note of this name over the one before.
pub async fn set(
    tx: &mut Tx,
    name: &str,
    at: DateTime<Utc>,
    value: &str,
) -> Result<(), StoreError> {
    execute!(tx, "write a checkpoint", SET, name, at.timestamp_micros(), value).map(drop)
}

const FIRST: &str = "
    -- checkpoints::first
    INSERT INTO checkpoints (name, at, value) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO NOTHING
";

/// Writes the first note of this name; `false`, and nothing is written, where
/// there is one.
pub async fn first(
    tx: &mut Tx,
    name: &str,
    at: DateTime<Utc>,
    value: &str,
) -> Result<bool, StoreError> {
    let act = "write a first checkpoint";
    Ok(execute!(tx, act, FIRST, name, at.timestamp_micros(), value)? == 1)
}

const EXCHANGE: &str = "
    -- checkpoints::exchange
    UPDATE checkpoints SET at = $3, value = $4 WHERE name = $1 AND value = $2
";

/// Writes the note of this name over the one that was read before, if that
/// still stands; `false`, and nothing is written, where it does not.
pub async fn exchange(
    tx: &mut Tx,
    name: &str,
    read: Option<&str>,
    at: DateTime<Utc>,
    value: &str,
) -> Result<bool, StoreError> {
    let Some(read) = read else { return first(tx, name, at, value).await };
    let act = "exchange a checkpoint";
    Ok(execute!(tx, act, EXCHANGE, name, read, at.timestamp_micros(), value)? == 1)
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("checkpoints::get", GET),
    both("checkpoints::set", SET),
    both("checkpoints::first", FIRST),
    both("checkpoints::exchange", EXCHANGE),
];

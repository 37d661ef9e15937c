//! Runs a bound statement.
//!
//! Why not the driver's own methods: they are generic, and the body of an
//! `async fn` is compiled in whatever crate awaits it, so each test binary and
//! the program would compile both drivers anew. Here each future is boxed by
//! a function that is not generic and is compiled once, with this room.

use futures::future::BoxFuture;
use sqlx::{
    Postgres, Row as _, Sqlite,
    postgres::{PgArguments, PgConnection, PgRow},
    query::Query,
    sqlite::{SqliteArguments, SqliteConnection, SqliteRow},
};
use uuid::Uuid;

/// The future of a statement.
pub(crate) type Running<'c, T> = BoxFuture<'c, Result<T, sqlx::Error>>;

/// A statement that gives rows.
pub(crate) trait Rows<'q, Conn> {
    /// A row.
    type Out;
    /// Every row.
    fn all<'c>(self, conn: &'c mut Conn) -> Running<'c, Vec<Self::Out>>
    where
        'q: 'c;
    /// The first row, if there is one.
    fn optional<'c>(self, conn: &'c mut Conn) -> Running<'c, Option<Self::Out>>
    where
        'q: 'c;
    /// The first row, which must be there.
    fn one<'c>(self, conn: &'c mut Conn) -> Running<'c, Self::Out>
    where
        'q: 'c;
    /// The first column of every row, an id.
    fn ids<'c>(self, conn: &'c mut Conn) -> Running<'c, Vec<Uuid>>
    where
        'q: 'c;
    /// The first column of the first row, a number; the row must be there.
    fn number<'c>(self, conn: &'c mut Conn) -> Running<'c, i64>
    where
        'q: 'c;
}

/// A statement that changes rows.
pub(crate) trait Change<'q, Conn> {
    /// How many rows it changed.
    fn run<'c>(self, conn: &'c mut Conn) -> Running<'c, u64>
    where
        'q: 'c;
}

macro_rules! rows {
    ($($conn:ty, $query:ty => $out:ty;)*) => {$(
        impl<'q> Rows<'q, $conn> for $query {
            type Out = $out;
            fn all<'c>(self, conn: &'c mut $conn) -> Running<'c, Vec<$out>> where 'q: 'c {
                Box::pin(async move { self.fetch_all(conn).await })
            }
            fn optional<'c>(self, conn: &'c mut $conn) -> Running<'c, Option<$out>> where 'q: 'c {
                Box::pin(async move { self.fetch_optional(conn).await })
            }
            fn one<'c>(self, conn: &'c mut $conn) -> Running<'c, $out> where 'q: 'c {
                Box::pin(async move { self.fetch_one(conn).await })
            }
            fn ids<'c>(self, conn: &'c mut $conn) -> Running<'c, Vec<Uuid>> where 'q: 'c {
                Box::pin(async move {
                    self.fetch_all(conn).await?.iter().map(|row| row.try_get(0)).collect()
                })
            }
            fn number<'c>(self, conn: &'c mut $conn) -> Running<'c, i64> where 'q: 'c {
                Box::pin(async move { self.fetch_one(conn).await?.try_get(0) })
            }
        }
    )*};
}
rows! {
    SqliteConnection, Query<'q, Sqlite, SqliteArguments> => SqliteRow;
    PgConnection, Query<'q, Postgres, PgArguments> => PgRow;
}

macro_rules! changes {
    ($($conn:ty, $query:ty;)*) => {$(
        impl<'q> Change<'q, $conn> for $query {
            fn run<'c>(self, conn: &'c mut $conn) -> Running<'c, u64> where 'q: 'c {
                Box::pin(async move { self.execute(conn).await.map(|done| done.rows_affected()) })
            }
        }
    )*};
}
changes! {
    SqliteConnection, Query<'q, Sqlite, SqliteArguments>;
    PgConnection, Query<'q, Postgres, PgArguments>;
}

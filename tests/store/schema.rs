use kakitome::store::{Db, DbOptions, StoreError, statements};
use sqlx::Connection as _;

use crate::harness::{Office, contract};

contract! {
    /// The compiler cannot check SQL for two databases; the databases can.
    async fn every_statement_prepares(office: &Office) {
        let count = office.db.prepare_all().await.unwrap();
        assert!(count > 60, "{count} statements");
    }

    async fn migrations_run_once(office: &Office) {
        assert_eq!(office.db.pending_migrations().await.unwrap(), Vec::<i64>::new(), "up to date");
        assert!(office.db.migrate().await.unwrap().applied.is_empty(), "nothing twice");
        office.db.ensure_months(office.now()).await.unwrap();
    }

    async fn the_database_tells_the_time(office: &Office) {
        let told = office.db.witness_time().await.unwrap();
        let ours = sqlx::types::Uuid::now_v7().get_timestamp().unwrap().to_unix().0;
        let ours = i64::try_from(ours).unwrap();
        assert!((told.timestamp() - ours).abs() < 60, "{told} is not the time");
    }

    async fn a_reader_cannot_write(office: &Office) {
        let job = office.job("acme", "1");
        let mut tx = office.db.read().await.unwrap();
        let refused = kakitome::store::jobs::accept(&mut tx, office.epoch, &[job], &[]).await;
        assert!(matches!(refused, Err(StoreError::Failed { .. })), "{refused:?}");
    }
}

/// Tables, columns and nullability, as both databases see them.
async fn columns_of(office: &Office) -> Vec<(String, String, bool)> {
    if office.db.is_shared() {
        let mut conn = sqlx::PgConnection::connect(&office.url).await.unwrap();
        sqlx::query_as(
            "SELECT c.table_name::text, c.column_name::text, c.is_nullable = 'NO'
             FROM information_schema.columns c
             WHERE c.table_schema = 'public' AND c.table_name NOT LIKE '\\_sqlx%'
               AND c.table_name !~ '_[0-9]{6}$'
             ORDER BY c.table_name::text COLLATE \"C\", c.column_name::text COLLATE \"C\"",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap()
    } else {
        let mut conn = sqlx::SqliteConnection::connect(&office.url).await.unwrap();
        sqlx::query_as(
            "SELECT m.name, c.name, c.\"notnull\" FROM sqlite_schema m, pragma_table_info(m.name) c
             WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY 1, 2",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap()
    }
}

async fn indexes_of(office: &Office) -> Vec<String> {
    if office.db.is_shared() {
        let mut conn = sqlx::PgConnection::connect(&office.url).await.unwrap();
        sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'public' AND NOT i.indisprimary AND t.relname !~ '_[0-9]{6}$'
             ORDER BY c.relname::text COLLATE \"C\"",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap()
    } else {
        let mut conn = sqlx::SqliteConnection::connect(&office.url).await.unwrap();
        sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn both_schemas_are_the_same() {
    let Some(postgres) = Office::postgres().await else { return };
    let sqlite = Office::sqlite().await;
    assert_eq!(columns_of(&sqlite).await, columns_of(&postgres).await, "tables and columns");
    assert_eq!(indexes_of(&sqlite).await, indexes_of(&postgres).await, "indexes");
}

#[tokio::test]
async fn every_migration_file_is_embedded() {
    for side in ["sqlite", "postgres"] {
        let mut count = 0;
        for entry in std::fs::read_dir(format!("migrations/{side}")).unwrap() {
            assert!(entry.unwrap().path().extension().is_some_and(|e| e == "sql"), "only SQL");
            count += 1;
        }
        let fresh = Db::open("sqlite::memory:", DbOptions::default()).await.unwrap();
        let pending = fresh.pending_migrations().await.unwrap();
        assert_eq!(pending.len(), count, "a file of {side} is not in the list");
    }
}

contract! {
    async fn a_later_programs_database_is_refused(office: &Office) {
        let insert = "INSERT INTO _sqlx_migrations
                      (version, description, success, checksum, execution_time)
                      VALUES (9999, 'from the future', TRUE, '', 0)";
        if office.db.is_shared() {
            let mut conn = sqlx::PgConnection::connect(&office.url).await.unwrap();
            sqlx::query(insert).execute(&mut conn).await.unwrap();
        } else {
            let mut conn = sqlx::SqliteConnection::connect(&office.url).await.unwrap();
            sqlx::query(insert).execute(&mut conn).await.unwrap();
        }
        let refused = office.db.migrate().await;
        assert!(matches!(refused, Err(StoreError::TooNew { version: 9999 })), "{refused:?}");
    }
}

#[test]
fn every_statement_begins_with_its_name() {
    for statement in statements::all() {
        for text in [statement.sqlite, statement.postgres].into_iter().flatten() {
            assert!(text.trim_start().starts_with("-- "), "{} is nameless", statement.name);
        }
    }
}

#[tokio::test]
async fn an_unknown_address_is_refused() {
    for url in ["mysql://localhost/office", "office.db", "postgres://[::1"] {
        let refused = Db::open(url, DbOptions::default()).await;
        assert!(matches!(refused, Err(StoreError::BadUrl { .. })), "{url}");
    }
}

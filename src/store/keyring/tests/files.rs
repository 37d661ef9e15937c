//! What the store's files hold of a destroyed key, and who may read them.

use super::*;

on_both! {
    ; no_table_file_holds_a_destroyed_key
}

#[tokio::test]
async fn no_file_holds_a_destroyed_key() {
    let office = Office::sqlite();
    let (acme, ring) = (tenant("acme"), office.ring().await);
    let mut canaries = Vec::new();
    for number in 0..300 {
        ring.day_key(&acme, Service::Mail, number).await.unwrap();
        let bytes = wrapped(&ring, &day("acme", number)).await;
        canaries.push((number, bytes));
    }
    assert!(office.files_hold(&canaries[0].1[13..]), "before, the scan finds it");
    // Every third, out of order, so that pages are split, merged and reused.
    let doomed: Vec<_> = (0..300).rev().filter(|number| number % 3 == 0).collect();
    for chunk in doomed.chunks(7) {
        let days: Vec<_> = chunk.iter().map(|at| (acme.clone(), Service::Mail, *at)).collect();
        ring.destroy_days(&days).await.unwrap();
    }
    let files: Vec<Vec<u8>> = fs::read_dir(office.folder.path())
        .unwrap()
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    for (number, bytes) in &canaries {
        let secret = &bytes[13..];
        let left = files
            .iter()
            .any(|file| holds(file, &secret[..16]) || holds(file, &secret[secret.len() - 16..]));
        assert_eq!(left, number % 3 != 0, "key {number}: destroyed is gone, live is there");
    }
}

const PAGE: &str = "SELECT get_raw_page('keys', 0)";

async fn no_table_file_holds_a_destroyed_key(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring().await);
    ring.day_key(&acme, Service::Mail, TODAY).await.unwrap();
    ring.day_key(&acme, Service::Mail, TODAY + 1).await.unwrap();
    let doomed = wrapped(&ring, &day("acme", TODAY)).await[13..].to_vec();
    let living = wrapped(&ring, &day("acme", TODAY + 1)).await[13..].to_vec();
    let pool = sqlx::PgPool::connect(&office.url).await.unwrap();
    sqlx::query("CREATE EXTENSION pageinspect").execute(&pool).await.unwrap();
    let one = async |sql: &'static str| -> Vec<u8> {
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    let path: String =
        sqlx::query_scalar("SELECT pg_relation_filepath('keys')").fetch_one(&pool).await.unwrap();
    let before = one(PAGE).await;
    assert!(holds(&before, &doomed) && holds(&before, &living), "before, the page holds both");

    // Someone with an old snapshot, as a backup has.
    let mut backup = pool.begin().await.unwrap();
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *backup)
        .await
        .unwrap();
    sqlx::query("SELECT count(*) FROM pg_class").fetch_one(&mut *backup).await.unwrap();

    ring.destroy_day(&acme, Service::Mail, TODAY).await.unwrap();
    let after = one(PAGE).await;
    assert!(holds(&after, &living), "afterwards the page holds the living");
    assert!(!holds(&after, &doomed), "and not the destroyed, dead row or not");
    let size = "SELECT coalesce((SELECT size FROM pg_stat_file($1, true)), 0)";
    let left: i64 = sqlx::query_scalar(size).bind(path).fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0, "the old file is empty or gone");
    backup.rollback().await.unwrap();
}

#[tokio::test]
async fn a_key_is_not_called_destroyed_while_someone_reads_the_log() {
    let office = Office::sqlite();
    let (acme, ring) = (tenant("acme"), office.ring().await);
    ring.day_key(&acme, Service::Mail, TODAY).await.unwrap();
    let secret = wrapped(&ring, &day("acme", TODAY)).await[13..].to_vec();
    let reader = sqlx::SqlitePool::connect(&office.url).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM keys").fetch_one(&mut *reading).await.unwrap();
    let early = ring.destroy_day(&acme, Service::Mail, TODAY).await;
    assert!(matches!(early, Err(KeyError::StillInLog)), "the log could not be emptied");
    assert!(office.files_hold(&secret), "and indeed it still holds the key");
    let served = ring.day_key(&acme, Service::Mail, TODAY).await;
    assert!(matches!(served, Err(KeyError::Destroyed)), "but the key is not served");
    reading.rollback().await.unwrap();
    ring.destroy_day(&acme, Service::Mail, TODAY).await.unwrap();
    assert!(!office.files_hold(&secret), "asked again, it is gone");
}

/// `keys destroy tenant` was interrupted so and told the log twice.
#[tokio::test]
async fn an_interrupted_destruction_is_known_to_have_begun() {
    let office = Office::sqlite();
    let (acme, ring) = (tenant("acme"), office.ring().await);
    ring.day_key(&acme, Service::Mail, TODAY).await.unwrap();
    let begun = ring.is_tenant_key_condemned(&acme, Service::Mail).await.unwrap();
    assert!(!begun, "nobody has asked");
    let reader = sqlx::SqlitePool::connect(&office.url).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM keys").fetch_one(&mut *reading).await.unwrap();
    let early = ring.destroy_tenant_key(&acme, Service::Mail).await;
    assert!(matches!(early, Err(KeyError::StillInLog)), "the log could not be emptied");
    let begun = ring.is_tenant_key_condemned(&acme, Service::Mail).await.unwrap();
    assert!(begun, "it has begun, and is not told again");
    reading.rollback().await.unwrap();
    ring.destroy_tenant_key(&acme, Service::Mail).await.unwrap();
}

#[tokio::test]
async fn the_store_is_closed_to_others() {
    let office = Office::sqlite();
    let _ring = office.ring().await;
    for file in fs::read_dir(office.folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{} is for its owner only", file.path().display());
    }
}

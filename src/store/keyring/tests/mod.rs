//! The same claims on both databases. The PostgreSQL half runs where
//! `KAKITOME_TEST_POSTGRES` names a server (`tests/run` always does), and says
//! so where it does not.

mod destroyed;
mod files;
mod rotate;

use std::{fs, os::unix::fs::PermissionsExt};

use futures::future::join_all;
use zeroize::Zeroizing;

use super::*;
use crate::{
    clock::{Clock, HandClock},
    crypto::{LinkToken, format_tests::Vector},
};

/// Day 20,779 is 22 November 2026.
const TODAY: i64 = 20_779;

struct Office {
    url: String,
    clock: Arc<HandClock>,
    folder: tempfile::TempDir,
}

impl Office {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("keys.db").display());
        Self { url, clock: noon(), folder }
    }

    async fn postgres(server: &str) -> Self {
        let entropy = Entropy::from_os().unwrap();
        let name = format!("kk_keys_{:x}", u128::from_be_bytes(entropy.array().unwrap()));
        let admin = sqlx::PgPool::connect(&format!("{server}/postgres")).await.unwrap();
        // A database cannot be named by a parameter; this name is ours.
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&admin).await.unwrap();
        admin.close().await;
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("{server}/{name}"), clock: noon(), folder }
    }

    async fn ring(&self) -> KeyRing {
        self.ring_with(7).await.unwrap()
    }

    async fn ring_with(&self, master: u8) -> Result<KeyRing, KeyError> {
        let master = MasterKey::from_bytes(Zeroizing::new(vec![master; 32])).unwrap();
        KeyRing::open(&self.url, master, self.clock.clone(), Entropy::from_os().unwrap()).await
    }

    fn wait(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// Whether any file of the store holds these bytes.
    fn files_hold(&self, needle: &[u8]) -> bool {
        let files = fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| fs::read(file.unwrap().path()).unwrap()).any(|bytes| holds(&bytes, needle))
    }
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn noon() -> Arc<HandClock> {
    let start = DateTime::from_timestamp(TODAY * 86_400 + 43_200, 0).unwrap();
    Arc::new(HandClock::starting_at(start))
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn day(tenant_name: &str, number: i64) -> KeyName {
    KeyName::of_service(Kind::Day, &tenant(tenant_name), Service::Mail, number)
}

async fn wrapped(ring: &KeyRing, name: &KeyName) -> Vec<u8> {
    ring.0.db.find(name).await.unwrap().unwrap().wrapped.unwrap()
}

/// Changes rows behind the ring's back; `$1` is tomorrow.
async fn tamper(ring: &KeyRing, sql: &'static str) {
    let rows = match &ring.0.db {
        KeyDb::Sqlite(pool) => {
            sqlx::query(sql).bind(TODAY + 1).execute(pool).await.unwrap().rows_affected()
        }
        KeyDb::Postgres(pool) => {
            sqlx::query(sql).bind(TODAY + 1).execute(pool).await.unwrap().rows_affected()
        }
    };
    assert!(rows > 0, "something was changed");
}

/// Makes a test of each claim on each database, and of those behind the
/// semicolon on PostgreSQL alone.
macro_rules! on_both {
    ($($claim:ident)*; $($postgres:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(super::Office::sqlite()).await;
            })*
        }
        on_both!(@postgres $($claim)* $($postgres)*);
    };
    (@postgres $($claim:ident)*) => {
        mod postgres {
            $(#[tokio::test]
            #[expect(clippy::disallowed_methods, reason = "a test's setting")]
            async fn $claim() {
                match std::env::var("KAKITOME_TEST_POSTGRES") {
                    Ok(server) => super::$claim(super::Office::postgres(&server).await).await,
                    Err(_) => println!("NOT RUN: KAKITOME_TEST_POSTGRES names no server"),
                }
            })*
        }
    };
}

use on_both;

on_both! {
    many_may_open_a_new_store_at_once
    a_key_is_made_once_whoever_asks_at_the_same_time
    keys_outlive_the_process_and_never_meet
    a_key_for_reading_is_never_made
    rows_cannot_be_exchanged
    another_master_key_is_refused
    only_what_is_due_is_listed
    links_outlive_a_rotation_and_die_with_their_keys
    a_new_pair_of_link_keys_waits_before_it_mints
    sealing_pairs_are_stable_and_the_tenants_own
    the_status_counts_what_lives_and_what_died;
}

async fn many_may_open_a_new_store_at_once(office: Office) {
    let opened = join_all((0..6).map(|_| office.ring_with(7))).await;
    let rings: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    let keys = join_all(rings.iter().map(KeyRing::dedupe_key)).await;
    let first = keys[0].as_ref().unwrap();
    let same = |key: &Result<Arc<Key>, KeyError>| key.as_ref().unwrap().expose() == first.expose();
    assert!(keys.iter().all(same), "and share its keys");
}

async fn a_key_is_made_once_whoever_asks_at_the_same_time(office: Office) {
    let (one, two) = (office.ring().await, office.ring().await);
    let acme = tenant("acme");
    let asked = (0..40).map(|at| {
        let ring = if at % 2 == 0 { &one } else { &two };
        ring.day_key(&acme, Service::Mail, TODAY + 30)
    });
    let keys: Vec<_> = join_all(asked).await.into_iter().map(Result::unwrap).collect();
    assert!(keys.iter().all(|key| key.expose() == keys[0].expose()), "all hold one key");
}

async fn keys_outlive_the_process_and_never_meet(office: Office) {
    let read = async |ring: &KeyRing| {
        let (acme, other) = (tenant("acme"), tenant("other"));
        let all = [
            ring.day_key(&acme, Service::Mail, 1).await,
            ring.day_key(&acme, Service::Postal, 1).await,
            ring.day_key(&acme, Service::Mail, 2).await,
            ring.day_key(&other, Service::Mail, 1).await,
            ring.mail_key(1).await,
            ring.mail_key(2).await,
            ring.dedupe_key().await,
            ring.outbox_key().await,
            ring.page_key().await,
            ring.verp_key().await,
            ring.index_key(&acme).await,
            ring.index_key(&other).await,
            ring.evidence_key(&acme, 2026).await,
            ring.evidence_key(&acme, 2027).await,
            ring.access_key(&acme, 2026).await,
        ];
        all.map(|key| *key.unwrap().expose())
    };
    let ring = office.ring().await;
    let first = read(&ring).await;
    ring.close().await;
    for (at, key) in first.iter().enumerate() {
        assert!(!first[..at].contains(key), "key {at} equals an earlier one");
    }
    assert_eq!(read(&office.ring().await).await, first, "the same keys after a restart");
}

async fn a_key_for_reading_is_never_made(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring().await);
    let day = ring.existing_day_key(&acme, Service::Mail, TODAY).await;
    assert!(matches!(day, Err(KeyError::Unknown)), "no day key");
    let mail = ring.existing_mail_key(4).await;
    assert!(matches!(mail, Err(KeyError::Unknown)), "no mail key");
    let made = ring.day_key(&acme, Service::Mail, TODAY).await.unwrap();
    let read = ring.existing_day_key(&acme, Service::Mail, TODAY).await.unwrap();
    assert_eq!(made.expose(), read.expose(), "once made it is read");
}

const EXCHANGE: &str = "
    UPDATE keys
    SET number = CASE number WHEN $1 THEN $1 + 1000 ELSE $1 END
    WHERE kind = 'day'
";
const BACK: &str = "UPDATE keys SET number = $1 + 1 WHERE number = $1 + 1000";
const REPARENT: &str = "UPDATE keys SET parent = 0 WHERE kind = 'day' AND number = $1";

async fn rows_cannot_be_exchanged(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring().await);
    for number in [TODAY + 1, TODAY + 2] {
        ring.day_key(&acme, Service::Mail, number).await.unwrap();
    }
    tamper(&ring, EXCHANGE).await;
    tamper(&ring, BACK).await;
    let ring = office.ring().await;
    for number in [TODAY + 1, TODAY + 2] {
        let read = ring.day_key(&acme, Service::Mail, number).await;
        assert!(matches!(read, Err(KeyError::Broken)), "another day's key does not open here");
    }
    tamper(&ring, REPARENT).await;
    let read = ring.day_key(&acme, Service::Mail, TODAY + 1).await;
    assert!(matches!(read, Err(KeyError::Broken)), "nor under another parent");
}

async fn another_master_key_is_refused(office: Office) {
    office.ring().await.close().await;
    let refused = office.ring_with(8).await.err();
    assert!(matches!(refused, Some(KeyError::WrongMaster)), "before anything is made with it");
    assert!(office.ring_with(7).await.is_ok(), "the right one still opens");
}

async fn only_what_is_due_is_listed(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring().await);
    for number in [TODAY + 1, TODAY, TODAY - 2, TODAY - 1] {
        ring.day_key(&acme, Service::Postal, number).await.unwrap();
        ring.mail_key(number).await.unwrap();
        ring.access_key(&acme, number).await.unwrap();
        ring.evidence_key(&acme, number).await.unwrap();
    }
    ring.destroy_day(&acme, Service::Postal, TODAY - 1).await.unwrap();
    let due = ring.undestroyed_days_before(TODAY, 10).await.unwrap();
    assert_eq!(due, [(acme.clone(), Service::Postal, TODAY - 2)], "before today, and alive");
    let all = ring.undestroyed_days_before(i64::MAX, 2).await.unwrap();
    assert_eq!(all.len(), 2, "no more than asked for");
    let hours = ring.live_mail_hours_before(TODAY).await.unwrap();
    assert_eq!(hours, [TODAY - 2, TODAY - 1], "earliest first");
    ring.destroy_mail_hours(&hours).await.unwrap();
    let hours = ring.live_mail_hours_before(TODAY + 9).await.unwrap();
    assert_eq!(hours, [TODAY, TODAY + 1], "a batch is destroyed at once");
    let months = ring.live_access_months_before(TODAY - 1).await.unwrap();
    assert_eq!(months, [(acme.clone(), TODAY - 2)], "access months");
    let years = ring.live_evidence_years_before(TODAY - 1).await.unwrap();
    assert_eq!(years, [(acme, TODAY - 2)], "evidence years");
}

async fn links_outlive_a_rotation_and_die_with_their_keys(office: Office) {
    let (ring, entropy) = (office.ring().await, Entropy::from_os().unwrap());
    let keys = ring.link_keys().await.unwrap();
    let token = LinkToken::mint(&keys, office.clock.now(), &entropy).unwrap();
    let lookup = token.lookup(&keys).unwrap();
    let first = keys.minting();
    let refused = ring.destroy_link_keys(first).await;
    assert!(matches!(refused, Err(KeyError::StillMinting)), "not while it mints");

    let second = ring.rotate_link_keys().await.unwrap();
    office.wait(301);
    let keys = office.ring().await.link_keys().await.unwrap();
    assert_eq!((keys.minting(), second.id), (2, 2), "the second pair mints");
    let parsed = LinkToken::parse(&token.text(), &keys).unwrap();
    assert_eq!(parsed.lookup(&keys), Ok(lookup), "the old link leads where it led");

    ring.destroy_link_keys(first).await.unwrap();
    let keys = ring.link_keys().await.unwrap();
    assert!(LinkToken::parse(&token.text(), &keys).is_err(), "until its keys are destroyed");
    assert_eq!(ring.rotate_link_keys().await.unwrap().id, 3, "ids are not used again");
}

async fn a_new_pair_of_link_keys_waits_before_it_mints(office: Office) {
    let (ring, other) = (office.ring().await, office.ring().await);
    let before = other.link_keys().await.unwrap();
    let new = ring.rotate_link_keys().await.unwrap();
    assert_eq!(ring.rotate_link_keys().await.unwrap(), new, "asked twice, one new pair");
    assert_eq!(ring.link_keys().await.unwrap().minting(), before.minting(), "not at once");
    office.wait(61);
    let known: Vec<u8> = other.link_keys().await.unwrap().key_ids().collect();
    assert_eq!(known, [1, 2], "within a minute every process knows it");
    office.wait(240);
    assert_eq!(ring.link_keys().await.unwrap().minting(), 2, "then it mints");
}

async fn sealing_pairs_are_stable_and_the_tenants_own(office: Office) {
    let (acme, other, ring) = (tenant("acme"), tenant("other"), office.ring().await);
    let public = ring.sealing_pair(&acme).await.unwrap().public();
    assert_ne!(public, ring.sealing_pair(&other).await.unwrap().public(), "another tenant's");
    assert_ne!(public, ring.office_pair().await.unwrap().public(), "the office's");
    let again = office.ring().await.sealing_pair(&acme).await.unwrap().public();
    assert_eq!(again, public, "the same after a restart");
}

async fn the_status_counts_what_lives_and_what_died(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring().await);
    for number in 0..3 {
        ring.day_key(&acme, Service::Mail, number).await.unwrap();
    }
    ring.destroy_day(&acme, Service::Mail, 0).await.unwrap();
    ring.0.db.condemn(&[day("acme", 1)], 1).await.unwrap();
    let status = ring.status().await.unwrap();
    let days = status.kinds.iter().find(|count| count.kind == "day").unwrap();
    assert_eq!((days.live, days.condemned, days.destroyed), (1, 1, 1), "one of each");
    assert_eq!((status.minting, status.links), (1, vec![1]), "and the links' keys");
}

#[test]
fn both_schemas_are_the_same_schema() {
    let sqlite = include_str!("../../../../migrations/keys/sqlite/0001_keys.sql");
    let postgres = include_str!("../../../../migrations/keys/postgres/0001_keys.sql");
    assert!(sqlite.contains("BLOB") && postgres.contains("BYTEA"), "each has its word for bytes");
    assert_eq!(sqlite.replace("BLOB,", "BYTEA,"), postgres, "and that is all that differs");
}

#[test]
fn the_wrapped_key_is_as_documented() {
    let v = Vector::named("key");
    assert_eq!(v.text("kind"), Kind::Day.word(), "kind");
    assert_eq!(v.text("service"), Service::Mail.word(), "service");
    let name = day(v.text("tenant"), i64::from_be_bytes(v.array("number")));
    let place = place(&name, i64::from_be_bytes(v.array("parent")));
    let key = wrap::unwrap_key(&v.key("parent_key"), &place, v.bytes("wrapped")).unwrap();
    assert_eq!(key.expose(), v.bytes("plain"), "the key");
}

//! Keys that no document waits for.

use super::*;
use crate::store::keyring::KeyError;

on_both! { "2026-01-31T03:00:00Z" =>
    access_keys_die_when_their_month_is_over
    evidence_keys_die_after_their_years
    link_keys_die_with_their_last_link
    another_key_s_death_is_made_good_from_any_point
}

/// Months since 1970 of January 2026.
const JANUARY: i64 = 56 * 12;

async fn access_keys_die_when_their_month_is_over(office: Office) {
    let acme = tenant("tokyo");
    office.keys.access_key(&acme, JANUARY).await.unwrap();
    office.keys.access_key(&acme, JANUARY + 1).await.unwrap();
    office.set(at("2026-01-31T23:59:59Z")).await;
    assert_eq!(run(&retention(&office)).await.other_keys, 0, "its month is not over");
    office.set(at("2026-02-01T00:00:00Z")).await;
    assert_eq!(run(&retention(&office)).await.other_keys, 1, "now it is");
    let gone = office.keys.access_key(&acme, JANUARY).await;
    assert!(matches!(gone, Err(KeyError::Destroyed)), "destroyed");
    assert!(office.keys.access_key(&acme, JANUARY + 1).await.is_ok(), "the next one lives");
    assert_eq!(office.logged(Kind::KeyDestroyed).await.len(), 1, "and the log names it");
    assert_eq!(run(&retention(&office)).await, Done::default(), "twice is once");
}

async fn evidence_keys_die_after_their_years(office: Office) {
    let acme = tenant("tokyo");
    for year in [2013, 2014, 2026] {
        office.keys.evidence_key(&acme, year).await.unwrap();
    }
    assert_eq!(run(&retention(&office)).await.other_keys, 1, "twelve years after 2013");
    let gone = office.keys.evidence_key(&acme, 2013).await;
    assert!(matches!(gone, Err(KeyError::Destroyed)), "destroyed");
    for year in [2014, 2026] {
        assert!(office.keys.evidence_key(&acme, year).await.is_ok(), "{year} is kept");
    }
    assert_eq!(office.logged(Kind::KeyDestroyed).await.len(), 1, "and the log names it");
}

async fn link_keys_die_with_their_last_link(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    office.sent(&order).await;
    office.keys.rotate_link_keys().await.unwrap();
    for days in 0..40 {
        let mut tx = office.db.read().await.unwrap();
        let today = office.now().timestamp().div_euclid(86_400);
        let alive = crate::store::links::any_alive(&mut tx, today, office.now()).await.unwrap();
        drop(tx);
        let done = run(&retention(&office)).await;
        let ids: Vec<u8> = office.keys.link_keys().await.unwrap().key_ids().collect();
        if done.other_keys > 0 {
            assert!(!alive && days > 7, "after its last link, on day {days}");
            assert_eq!(ids, [2], "the old pair is dead");
            return;
        }
        assert_eq!(ids, [1, 2], "day {days}: it lives while a link of it does");
        office.wait(TimeDelta::days(1)).await;
    }
    panic!("the old pair of link keys never dies");
}

async fn another_key_s_death_is_made_good_from_any_point(office: Office) {
    let acme = tenant("tokyo");
    office.set(at("2026-03-01T00:00:00Z")).await;
    for step in 0.. {
        let month = JANUARY - step;
        office.keys.access_key(&acme, month).await.unwrap();
        let before = office.logged(Kind::KeyDestroyed).await.len();
        let fuse = FailsAt::the(step);
        let died = retention_on(&office, office.db_with(fuse.clone())).tick().await.is_err();
        run(&retention(&office)).await;
        let gone = office.keys.access_key(&acme, month).await;
        assert!(matches!(gone, Err(KeyError::Destroyed)), "step {step}: destroyed");
        let told = office.logged(Kind::KeyDestroyed).await.len();
        assert_eq!(told, before + 1, "step {step}: on record once");
        if !died {
            assert!(step > 5, "all durable steps were rehearsed, not only {step}");
            return;
        }
    }
}

//! What goes after the documents: mail keys, segments, months.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::{is_purged, retention, run};
use crate::{
    domain::log::Kind,
    retention::judge,
    store::{
        keyring::hours,
        work::{CancelAnswer, Next},
    },
    trial::{Office, on_both},
};

on_both! { "2026-01-31T03:00:00Z" =>
    a_mail_key_lives_until_its_last_mail_is_settled
    a_segment_goes_with_its_last_document
    a_cancelled_job_dies_with_its_first_possible_day
    a_spent_month_leaves_the_books
}

async fn a_mail_key_lives_until_its_last_mail_is_settled(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let hour = hours::mail_hour(office.now());
    let sent = office.accept(&order).await;
    office.seal(&order, sent, Next::SendNow).await;
    let waiting = office.accept(&order).await;
    office.seal(&order, waiting, Next::SendNow).await;
    office.dispatch(&order, sent).await;
    let retention = retention(&office);
    office.wait(TimeDelta::hours(5)).await;
    assert_eq!(run(&retention).await.mail_keys, 0, "one mail may still be sent");
    assert!(office.keys.existing_mail_key(hour).await.is_ok(), "with the same bytes");
    office.dispatch(&order, waiting).await;
    assert_eq!(run(&retention).await.mail_keys, 1, "settled");
    assert!(office.keys.existing_mail_key(hour).await.is_err(), "the link is in no file of ours");
    // The running hour's key is never touched.
    let now = hours::mail_hour(office.now());
    office.keys.mail_key(now).await.unwrap();
    assert_eq!(run(&retention).await.mail_keys, 0, "the running hour");
}

async fn a_segment_goes_with_its_last_document(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let early = office.accept(&order).await;
    let segment = office.seal(&order, early, Next::SendNow).await;
    let late = office.accept(&order).await;
    assert_eq!(office.seal(&order, late, Next::SendNow).await, segment, "beside each other");
    let first = office.dispatch(&order, early).await;
    office.wait(TimeDelta::days(3)).await;
    let second = office.dispatch(&order, late).await;
    office.set(first).await;
    run(&retention(&office)).await;
    let row = office.job(late).await;
    assert!(office.document(&row).await.is_some(), "the neighbour's bytes stand");
    office.set(second).await;
    let done = run(&retention(&office)).await;
    assert_eq!(done.segments, 1, "{done:?}");
    assert!(office.blobs.list().await.unwrap().is_empty(), "no bytes are left");
    assert_eq!(office.logged(Kind::SegmentDestroyed).await.len(), 1, "on record");
}

async fn a_cancelled_job_dies_with_its_first_possible_day(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let id = office.accept(&order).await;
    assert_eq!(office.cancel(id).await, CancelAnswer::Cancelled, "cancelled");
    let row = office.job(id).await;
    let day = judge::day_begins(row.purge_day, Tz::Asia__Tokyo).unwrap();
    office.set(day - TimeDelta::microseconds(1)).await;
    run(&retention(&office)).await;
    assert!(!is_purged(&office, id).await, "not before");
    office.set(day).await;
    run(&retention(&office)).await;
    assert!(is_purged(&office, id).await, "not after");
    assert!(office.delivery_key(&row).await.is_none(), "an old row opens nothing");
}

async fn a_spent_month_leaves_the_books(office: Office) {
    let id = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    let retention = retention(&office);
    office.set(office.job(id).await.purge_at.unwrap()).await;
    run(&retention).await;
    office.wait(TimeDelta::days(960)).await;
    let kept = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    run(&retention).await;
    assert!(is_purged(&office, id).await, "for a while its row says what became of it");
    office.wait(TimeDelta::days(50)).await;
    let done = run(&retention).await;
    assert!(office.find(id).await.is_none(), "everything in January is purged: {done:?}");
    assert!(office.find(kept).await.is_some(), "the others stand");
    let kinds: BTreeSet<Kind> = office.log(id).await.into_iter().collect();
    assert!(kinds.contains(&Kind::Purged), "the log stays");
}

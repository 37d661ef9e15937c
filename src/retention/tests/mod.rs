//! What dies, when, and in which order; on both databases.
#![expect(clippy::arithmetic_side_effects, reason = "tests count days and hours")]

mod exact;
mod others;
mod remains;
mod segments;
mod words;

use chrono_tz::Tz;

use super::*;
use crate::{
    domain::{ids::JobId, log::Kind, stage::Stage},
    store::{Fuse, jobs, trial::Quiet, work::Next},
    trial::{FailsAt, Office, Order, at, on_both, tenant},
};

on_both! { "2026-01-31T03:00:00Z" =>
    a_document_dies_at_the_first_instant_of_its_day_in_every_zone
    a_tick_that_dies_anywhere_is_made_good_by_the_next
    twice_is_once
    what_is_unsent_moves_on_and_its_neighbours_die
    what_is_too_old_to_be_sent_is_ended
    what_is_being_sent_is_left_alone
    a_broken_neighbour_holds_the_key_but_not_the_day
}

/// Each tenant is named after its zone.
fn zone_of(tenant: &TenantId) -> Tz {
    match tenant.as_str() {
        "newyork" => Tz::America__New_York,
        "kiritimati" => Tz::Pacific__Kiritimati,
        "cairo" => Tz::Africa__Cairo,
        _ => Tz::Asia__Tokyo,
    }
}

fn settings() -> RetentionSettings {
    RetentionSettings {
        clock_tolerance: TimeDelta::hours(1),
        batch: 3,
        undispatched_min: TimeDelta::days(30),
        rows_kept: TimeDelta::days(1_000),
        dedupe_kept: TimeDelta::days(1_500),
        evidence_years: 12,
        segment_grace: TimeDelta::hours(24),
        office: tenant("office"),
        rules: Arc::new(|tenant| TenantRules { zone: zone_of(tenant), ..TenantRules::default() }),
    }
}

/// Retention of this office, on these books.
fn retention_on(office: &Office, db: Db) -> Retention {
    let retention = Retention::new(RetentionParts {
        db,
        keys: office.keys.clone(),
        blobs: office.blobs.clone(),
        clock: office.clock.clone(),
        entropy: office.entropy.clone(),
        scribe: office.scribe.clone(),
        witness: Arc::new(Believer::of(office.clock.clone())),
        announce: Arc::new(Quiet),
        settings: settings(),
    });
    // A new life with a good clock, however long the last one is ago.
    let (ours, theirs) = (office.now(), office.now());
    let look = witness::Look { ours, theirs, steady: std::time::Duration::ZERO };
    retention.with_memory(|memory| memory.vouched(look));
    retention
}

fn retention(office: &Office) -> Retention {
    retention_on(office, office.db.clone())
}

/// Ticks until there is nothing left to do.
async fn run(retention: &Retention) -> Done {
    let mut sum = Done::default();
    for _ in 0..50 {
        match retention.tick().await.unwrap() {
            Tick::Worked(done) => {
                sum.day_keys += done.day_keys;
                sum.mail_keys += done.mail_keys;
                sum.other_keys += done.other_keys;
                sum.moved += done.moved;
                sum.purged += done.purged;
                sum.never_dispatched += done.never_dispatched;
                sum.segments += done.segments;
                sum.orphans += done.orphans;
                sum.months += done.months;
                sum.doubtful = sum.doubtful.max(done.doubtful);
            }
            Tick::Idle => return sum,
            Tick::Held { apart } => panic!("held by {apart}"),
        }
    }
    panic!("retention never comes to rest");
}

async fn is_purged(office: &Office, id: JobId) -> bool {
    office.job(id).await.stage == Stage::Purged
}

async fn a_document_dies_at_the_first_instant_of_its_day_in_every_zone(office: Office) {
    let retention = retention(&office);
    let mut jobs = Vec::new();
    for name in ["tokyo", "newyork", "kiritimati", "cairo"] {
        let order = office.mail(name, zone_of(&tenant(name)));
        let id = office.sent(&order).await;
        let row = office.job(id).await;
        assert!(office.document(&row).await.is_some(), "{name}: it can be read");
        jobs.push((row.purge_at.unwrap(), id, row));
    }
    jobs.sort_by_key(|(due, ..)| *due);
    for index in 0..jobs.len() {
        let due = jobs[index].0;
        office.set(due - TimeDelta::microseconds(1)).await;
        run(&retention).await;
        for (later, id, row) in &jobs[index..] {
            assert!(!is_purged(&office, *id).await, "{later}: not before its day");
            assert!(office.document(row).await.is_some(), "{later}: still readable");
        }
        office.set(due).await;
        run(&retention).await;
        for (past, id, backup) in jobs.iter().filter(|(past, ..)| *past <= due) {
            assert!(is_purged(&office, *id).await, "{past}: on its day");
            assert!(office.document(backup).await.is_none(), "{past}: an old row opens nothing");
        }
    }
}

/// What must hold after any crash: a row that says purged has no living key,
/// and no bytes go before their key.
async fn nothing_is_half_dead(office: &Office, backups: &[jobs::JobRow], step: i64) {
    for backup in backups {
        let row = office.job(backup.id).await;
        let key_lives = office.delivery_key(backup).await.is_some();
        if row.stage == Stage::Purged {
            assert!(!key_lives, "step {step}: the key dies before the row");
            assert!(row.wrapped_key.is_none() && row.personal.is_none(), "step {step}: cleared");
        }
        if key_lives {
            assert!(
                office.document(backup).await.is_some(),
                "step {step}: no bytes before the key"
            );
        }
    }
}

async fn a_tick_that_dies_anywhere_is_made_good_by_the_next(office: Office) {
    for step in 0.. {
        let mut backups = Vec::new();
        for name in ["tokyo", "newyork"] {
            for _ in 0..2 {
                let order = office.mail(name, zone_of(&tenant(name)));
                backups.push(office.job(office.sent(&order).await).await);
            }
        }
        let parked = office.accept(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
        office.park(parked).await;
        office.wait(TimeDelta::days(29)).await;
        office.wait(TimeDelta::days(4)).await;
        let before = (
            office.logged(Kind::Purged).await.len(),
            office.logged(Kind::KeyDestroyed).await.len(),
        );

        let fuse = FailsAt::the(step);
        let dying = retention_on(&office, office.db_with(fuse.clone()));
        let died = dying.tick().await.is_err();
        assert_eq!(died, fuse.blew(), "step {step}: the tick reports its failure");
        nothing_is_half_dead(&office, &backups, step).await;

        run(&retention(&office)).await;
        nothing_is_half_dead(&office, &backups, step).await;
        for backup in &backups {
            assert!(is_purged(&office, backup.id).await, "step {step}: finished");
            let purged = office.log(backup.id).await.into_iter().filter(|k| *k == Kind::Purged);
            assert_eq!(purged.count(), 1, "step {step}: on record once");
        }
        let never = office.log(parked).await;
        assert!(never.contains(&Kind::NeverDispatched), "step {step}: {never:?}");
        assert_eq!(office.logged(Kind::Purged).await.len() - before.0, 4, "step {step}");
        // Two day keys and one mail key; the parked job's later key remains.
        let keys = office.logged(Kind::KeyDestroyed).await.len() - before.1;
        assert!((3..=5).contains(&keys), "step {step}: every key is on record, {keys}");
        if !died {
            assert!(step > 10, "all durable steps were rehearsed, not only {step}");
            return;
        }
    }
}

async fn twice_is_once(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let id = office.sent(&order).await;
    office.set(office.job(id).await.purge_at.unwrap()).await;
    let first = run(&retention(&office)).await;
    assert_eq!((first.purged, first.day_keys, first.mail_keys), (1, 1, 1), "once: {first:?}");
    assert_eq!(retention(&office).tick().await.unwrap(), Tick::Idle, "nothing is left");
    office.wait(TimeDelta::days(2)).await;
    let rest = run(&retention(&office)).await;
    assert_eq!(rest, Done::default(), "and nothing comes back");
    assert_eq!(office.logged(Kind::Purged).await.len(), 1, "one line in the log");
}

async fn what_is_unsent_moves_on_and_its_neighbours_die(office: Office) {
    office.set(at("2026-02-01T03:00:00Z")).await;
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let sent = office.sent(&order).await;
    let backup = office.job(sent).await;
    let waiting = office.accept(&order).await;
    office.seal(&order, waiting, Next::SendNow).await;
    office.park(waiting).await;
    assert_eq!(backup.purge_day, office.job(waiting).await.purge_day, "under one key");

    office.set(backup.purge_at.unwrap()).await;
    let done = run(&retention(&office)).await;
    assert_eq!((done.moved, done.purged, done.day_keys), (1, 1, 1), "{done:?}");
    assert!(office.document(&backup).await.is_none(), "the neighbour is dead");
    let row = office.job(waiting).await;
    assert!(row.purge_day > backup.purge_day, "moved to a later key");
    assert!(office.document(&row).await.is_some(), "and still readable");
    // Sent after all, its clock starts, and it dies on its own day.
    let due = office.dispatch(&order, waiting).await;
    office.set(due).await;
    run(&retention(&office)).await;
    assert!(is_purged(&office, waiting).await, "on its own day");
}

async fn what_is_too_old_to_be_sent_is_ended(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let parked = office.accept(&order).await;
    office.park(parked).await;
    let leased = office.accept(&order).await;
    let later = Order { send_at: office.now() + TimeDelta::days(9), ..order };
    let young = office.accept(&later).await;
    office.wait(TimeDelta::days(30) - TimeDelta::microseconds(1)).await;
    run(&retention(&office)).await;
    assert!(!is_purged(&office, parked).await, "not before the thirty days are over");
    office.wait(TimeDelta::microseconds(1)).await;
    let done = run(&retention(&office)).await;
    assert_eq!((done.purged, done.never_dispatched), (2, 2), "{done:?}");
    for id in [parked, leased] {
        let row = office.job(id).await;
        assert_eq!(row.stage, Stage::Purged, "ended");
        assert_eq!(row.reason.as_deref(), Some("never_dispatched"), "with the reason");
        assert!(office.log(id).await.contains(&Kind::NeverDispatched), "on record");
    }
    assert!(!is_purged(&office, young).await, "the one with a later time waits on");
}

async fn what_is_being_sent_is_left_alone(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let id = office.accept(&order).await;
    office.seal(&order, id, Next::SendNow).await;
    office.wait(TimeDelta::days(300)).await;
    let done = run(&retention(&office)).await;
    assert_eq!(done.purged, 0, "its mail may be leaving: {done:?}");
    assert!(office.document(&office.job(id).await).await.is_some(), "and its key lives");
    let due = office.dispatch(&order, id).await;
    office.set(due).await;
    run(&retention(&office)).await;
    assert!(is_purged(&office, id).await, "once it is sent it dies on its day");
}

async fn a_broken_neighbour_holds_the_key_but_not_the_day(office: Office) {
    office.set(at("2026-02-01T03:00:00Z")).await;
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let sent = office.sent(&order).await;
    let backup = office.job(sent).await;
    let broken = office.accept(&order).await;
    office.park(broken).await;
    // Its wrap is another row's: it opens nowhere.
    let mut tx = office.db.begin().await.unwrap();
    let wrapped = backup.wrapped_key.clone().unwrap();
    let day = backup.purge_day;
    let moved = crate::store::retention::rewrap(&mut tx, broken, day, day + 1, &wrapped);
    assert!(moved.await.unwrap(), "a broken wrap on the books");
    tx.commit().await.unwrap();
    let neighbour = Order { tenant: tenant("tokyo"), ..office.mail("tokyo", Tz::Asia__Tokyo) };
    office.wait(TimeDelta::days(1)).await;
    let second = office.sent(&neighbour).await;
    let due = office.job(second).await.purge_at.unwrap();
    assert_eq!(office.job(second).await.purge_day, day + 1, "under the broken one's key");

    office.set(due).await;
    let done = run(&retention(&office)).await;
    assert!(is_purged(&office, second).await, "the neighbour's row dies on its day");
    assert!(done.doubtful >= 1, "a person has to look: {done:?}");
    assert!(!is_purged(&office, broken).await, "the broken one is neither guessed nor destroyed");
    // A month after its time it is ended like everything unsent.
    office.wait(TimeDelta::days(30)).await;
    run(&retention(&office)).await;
    assert!(is_purged(&office, broken).await, "in the end it goes, too");
}

#[test]
fn a_fuse_is_only_for_tests() {
    let fuse = FailsAt::the(0);
    assert!(fuse.check("begin").is_err() && fuse.check("begin").is_ok(), "it blows once");
    assert!(fuse.blew(), "and says so");
}

//! What dies, when, and in which order; on both databases.
#![expect(clippy::arithmetic_side_effects, reason = "tests count days and hours")]

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use super::*;
use crate::{
    clock::Clock as _,
    domain::{log::Kind, stage::Stage},
    store::{
        Fuse, jobs,
        work::{CancelAnswer, Next},
    },
    trial::{FailsAt, Office, at, nobody, on_both, tenant},
};

on_both! { "2026-01-31T03:00:00Z" =>
    a_document_dies_at_the_first_instant_of_its_day_in_every_zone
    a_tick_that_dies_anywhere_is_made_good_by_the_next
    twice_is_once
    the_purged_are_exactly_the_due
    what_is_unsent_moves_on_and_its_neighbours_die
    what_is_too_old_to_be_sent_is_ended
    what_is_being_sent_is_left_alone
    a_broken_neighbour_holds_the_key_but_not_the_day
    a_sent_document_without_a_date_is_kept_and_listed
    a_mail_key_lives_until_its_last_mail_is_settled
    a_segment_goes_with_its_last_document
    bytes_that_nobody_knows_are_destroyed_when_they_are_old
    a_clock_that_jumps_holds_everything
    a_plan_says_what_the_tick_will_do
    an_explanation_names_the_days
    a_cancelled_job_dies_with_its_first_possible_day
    a_spent_month_leaves_the_books
}

/// Tells nobody.
struct Quiet;

impl Announce for Quiet {
    fn announce(&self, _news: &News<'_>) -> Result<Option<OutboxRow>, CryptoError> {
        Ok(None)
    }
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
                sum.moved += done.moved;
                sum.purged += done.purged;
                sum.never_dispatched += done.never_dispatched;
                sum.segments += done.segments;
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
            assert!(office.document(backup).await.is_some(), "step {step}: no bytes before the key");
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
        let before = (office.logged(Kind::Purged).await.len(), office.logged(Kind::KeyDestroyed).await.len());

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

/// Purged exactly what an independent reading of the rule says is due.
async fn the_purged_are_exactly_the_due(office: Office) {
    let seed = office.entropy.array::<8>().unwrap();
    let mut chance = chance_from(u64::from_le_bytes(seed));
    let names = ["tokyo", "newyork", "kiritimati", "cairo"];
    let mut expected: BTreeMap<JobId, Option<DateTime<Utc>>> = BTreeMap::new();
    for _ in 0..40 {
        office.wait(TimeDelta::minutes(i64::from(chance.next_u32() % 3_000))).await;
        let name = names[usize::try_from(chance.next_u32() % 4).unwrap()];
        let zone = zone_of(&tenant(name));
        let order = office.mail(name, zone);
        let id = office.accept(&order).await;
        let too_old = order.send_at + TimeDelta::days(30);
        let due = match chance.next_u32() % 5 {
            0 => {
                office.park(id).await;
                Some(too_old)
            }
            1 => {
                assert_eq!(office.cancel(id).await, CancelAnswer::Cancelled, "cancelled");
                let first = RetentionRule::of(order.send_at, zone);
                Some(first)
            }
            2 => {
                office.seal(&order, id, Next::SendNow).await;
                // Still on its way: nobody may touch it.
                None
            }
            _ => {
                office.seal(&order, id, Next::SendNow).await;
                Some(office.dispatch(&order, id).await)
            }
        };
        expected.insert(id, due);
    }
    let retention = retention(&office);
    for _ in 0..40 {
        office.wait(TimeDelta::minutes(i64::from(chance.next_u32() % 2_000))).await;
        run(&retention).await;
        let now = office.now();
        for (id, due) in &expected {
            let should = due.is_some_and(|due| due <= now);
            let is = is_purged(&office, *id).await;
            assert_eq!(is, should, "seed {seed:?}: {id} due {due:?}, now {now}");
        }
    }
}

/// The rule, read again: the day after the same day of the next month, or
/// after its last day.
struct RetentionRule;

impl RetentionRule {
    fn of(sent: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        use chrono::{Datelike as _, TimeZone as _};
        let day = sent.with_timezone(&zone).date_naive();
        let last_of_month = day.succ_opt().unwrap().day() == 1;
        let (year, month) =
            if day.month() == 12 { (day.year() + 1, 1) } else { (day.year(), day.month() + 1) };
        let length = (28..=31)
            .rev()
            .find(|d| chrono::NaiveDate::from_ymd_opt(year, month, *d).is_some())
            .unwrap();
        let kept = if last_of_month { length } else { day.day().min(length) };
        let gone = chrono::NaiveDate::from_ymd_opt(year, month, kept).unwrap().succ_opt().unwrap();
        let midnight = gone.and_hms_opt(0, 0, 0).unwrap();
        zone.from_local_datetime(&midnight).latest().unwrap().with_timezone(&Utc)
    }
}

/// Chance from a seed, so that a failure can be replayed.
fn chance_from(seed: u64) -> SplitMix {
    SplitMix(seed)
}

struct SplitMix(u64);

impl SplitMix {
    fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) >> 32).unwrap()
    }
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

async fn a_sent_document_without_a_date_is_kept_and_listed(office: Office) {
    // A letter that its partner accepted and never posted, of which the
    // silence was not noticed either.
    let order = office.letter("tokyo");
    let id = office.accept(&order).await;
    let next = Next::HandOver { run_at: office.now(), partner: "nobody".to_owned() };
    office.seal(&order, id, next).await;
    accepted_by_partner(&office, id).await;
    let row = office.job(id).await;
    assert_eq!((row.stage, row.purge_at), (Stage::Dispatched, None), "dispatched, without a clock");
    office.wait(TimeDelta::days(90)).await;
    let retention = retention(&office);
    let done = run(&retention).await;
    assert_eq!(done.purged, 0, "an unknown date is never a reason to destroy");
    assert!(office.document(&office.job(id).await).await.is_some(), "its key was moved");
    let explained = retention.explain(None, id).await.unwrap().unwrap();
    assert_eq!(explained.held_by, None, "its new key's day has not come");
    let key_day = explained.key_day.unwrap();
    office.set(key_day.and_hms_opt(0, 0, 0).unwrap().and_utc()).await;
    let explained = retention.explain(None, id).await.unwrap().unwrap();
    assert_eq!(explained.held_by, Some("unknown_date"), "listed for a person");
}

async fn accepted_by_partner(office: &Office, id: JobId) {
    use crate::store::postal::{self, Answer, BatchRow};
    let now = office.now();
    let mut tx = office.db.begin().await.unwrap();
    let leased = postal::ready_pieces(&mut tx, office.epoch, "nobody", now, 10).await.unwrap();
    assert_eq!(leased.len(), 1, "the letter is ready");
    let batch = BatchRow {
        id: crate::domain::ids::BatchId(office.entropy.id(now).unwrap()),
        partner: "nobody".to_owned(),
        cutoff_at: now,
        made_at: now,
        handed_at: None,
        piece_count: 1,
    };
    postal::make_batch(&mut tx, office.epoch, &batch, &[id]).await.unwrap();
    let silent = now + TimeDelta::days(1_000);
    postal::batch_handed(&mut tx, batch.id, now, silent).await.unwrap();
    let owner = tenant("tokyo");
    let draft = crate::store::ledger::EventDraft::of_job(
        &owner,
        id,
        now,
        Kind::Dispatched,
        crate::domain::log::Actor::Partner,
    );
    let event = office.scribe.event(draft).unwrap();
    postal::piece_answer(&mut tx, id, &Answer::Accepted { at: now }, None, event, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_mail_key_lives_until_its_last_mail_is_settled(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let hour = office.now().timestamp().div_euclid(3_600);
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
    let now = office.now().timestamp().div_euclid(3_600);
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

async fn bytes_that_nobody_knows_are_destroyed_when_they_are_old(office: Office) {
    // Written, but the commit never came.
    office.blobs.append(office.now(), vec![b"sealed".to_vec()]).await.unwrap();
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    office.wait(TimeDelta::hours(20)).await;
    run(&retention(&office)).await;
    assert_eq!(office.blobs.list().await.unwrap().len(), 1, "its commit may still be coming");
    office.wait(TimeDelta::days(2)).await;
    let id = office.accept(&order).await;
    office.seal(&order, id, Next::SendNow).await;
    run(&retention(&office)).await;
    assert_eq!(office.blobs.list().await.unwrap().len(), 1, "the orphan is gone");
    let row = office.job(id).await;
    assert!(office.document(&row).await.is_some(), "the known one stands");
}

async fn a_clock_that_jumps_holds_everything(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let id = office.sent(&order).await;
    // The witness is a second clock that nobody sets.
    let truth = Arc::new(crate::clock::HandClock::starting_at(office.now()));
    let believer = || -> Arc<dyn Witness> { Arc::new(Believer::of(truth.clone())) };
    let mut retention = retention(&office);
    retention.witness = believer();
    assert!(!matches!(retention.tick().await.unwrap(), Tick::Held { .. }), "clocks agree");
    office.wait(TimeDelta::days(40)).await;
    for _ in 0..3 {
        let tick = retention.tick().await.unwrap();
        assert_eq!(tick, Tick::Held { apart: TimeDelta::days(40) }, "held");
    }
    assert!(!is_purged(&office, id).await, "nothing was destroyed");
    assert!(office.document(&office.job(id).await).await.is_some(), "nothing at all");
    assert_eq!(office.logged(Kind::ClockHeld).await.len(), 1, "said once");
    let plan = retention.plan(office.now()).await.unwrap();
    assert_eq!(plan.held_seconds, Some(40 * 86_400), "the plan says so");
    // Another life of the process does not say it again.
    let mut restarted = retention_on(&office, office.db.clone());
    restarted.witness = believer();
    restarted.with_memory(|memory| *memory = witness::Memory::default());
    assert!(matches!(restarted.tick().await.unwrap(), Tick::Held { .. }), "still held");
    assert_eq!(office.logged(Kind::ClockHeld).await.len(), 1, "still once");
    // The clock comes back.
    office.set(truth.now()).await;
    assert_eq!(run(&retention).await.purged, 0, "nothing was due");
    assert_eq!(office.logged(Kind::ClockReleased).await.len(), 1, "the end is on record");
}

async fn a_plan_says_what_the_tick_will_do(office: Office) {
    office.set(at("2026-02-01T03:00:00Z")).await;
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let sent = office.sent(&order).await;
    let waiting = office.accept(&order).await;
    office.park(waiting).await;
    let cancelled = office.accept(&order).await;
    assert_eq!(office.cancel(cancelled).await, CancelAnswer::Cancelled, "cancelled");
    let retention = retention(&office);
    let early = retention.plan(office.now()).await.unwrap();
    assert!(early.days.is_empty(), "nothing is due: {early}");
    let due = office.job(sent).await.purge_at.unwrap();
    office.set(due).await;
    let plan = retention.plan(due).await.unwrap();
    let day = &plan.days[0];
    let counts = (day.due, day.ended, day.never_dispatched, day.moved, day.destroys_key);
    assert_eq!(counts, (1, 1, 0, 1, true), "{plan:?}");
    assert_eq!(plan.days.len(), 1, "one tenant, one day");
    assert!(!is_purged(&office, sent).await, "a plan changes nothing");
    assert!(plan.to_string().contains("tokyo mail 2026-03-02: key dies"), "for people: {plan}");
    let done = run(&retention).await;
    assert_eq!((done.purged, done.moved, done.day_keys), (2, 1, 1), "just that: {done:?}");
    assert!(retention.plan(due).await.unwrap().days.is_empty(), "and then nothing");
}

async fn an_explanation_names_the_days(office: Office) {
    office.set(at("2026-02-28T03:00:00Z")).await;
    let id = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    let retention = retention(&office);
    let explained = retention.explain(None, id).await.unwrap().unwrap();
    assert_eq!(explained.dispatched_on, chrono::NaiveDate::from_ymd_opt(2026, 2, 28), "sent");
    assert_eq!(explained.last_kept_day, chrono::NaiveDate::from_ymd_opt(2026, 3, 31), "kept");
    assert_eq!(explained.purge_at, Some(at("2026-03-31T15:00:00Z")), "destroyed");
    let text = explained.to_string();
    for line in ["kept through    2026-03-31", "key dies on     2026-04-01", "articles 140"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(serde_json::to_value(&explained).unwrap()["purge_at"].is_string(), "for machines");
    assert_eq!(retention.explain(None, nobody()).await.unwrap(), None, "no such delivery");
    let stranger = retention.explain(Some(&tenant("newyork")), id).await.unwrap();
    assert_eq!(stranger, None, "not for another tenant");
    let unsent = office.accept(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    let unsent = retention.explain(None, unsent).await.unwrap().unwrap();
    assert_eq!(unsent.too_old_at, Some(office.now() + TimeDelta::days(30)), "ended unsent");
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
    office.wait(TimeDelta::days(990)).await;
    let kept = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    run(&retention).await;
    assert!(is_purged(&office, id).await, "for a while its row says what became of it");
    office.wait(TimeDelta::days(20)).await;
    let done = run(&retention).await;
    assert!(office.find(id).await.is_none(), "everything in January is purged: {done:?}");
    assert!(office.find(kept).await.is_some(), "the others stand");
    let kinds: BTreeSet<Kind> = office.log(id).await.into_iter().collect();
    assert!(kinds.contains(&Kind::Purged), "the log stays");
}

use crate::trial::Order;

#[test]
fn a_fuse_is_only_for_tests() {
    let fuse = FailsAt::the(0);
    assert!(fuse.check("begin").is_err() && fuse.check("begin").is_ok(), "it blows once");
    assert!(fuse.blew(), "and says so");
}

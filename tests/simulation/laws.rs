//! What must hold at the end of every life.

use std::collections::BTreeMap;

use kakitome::{
    domain::{
        ids::JobId,
        log::{Kind, Leaf},
        stage::Stage,
    },
    store::{jobs, ledger, retention},
};

use crate::{
    life::{Process, Told, at_rest},
    world::World,
};

/// Laws 1, 2 and 4.
pub(crate) async fn nothing_lost_nothing_twice(
    world: &World,
    process: &Process,
    known: &BTreeMap<String, JobId>,
    told: &mut Told,
) {
    let seed = world.seed;
    let taken = world.relay.taken.lock().unwrap().clone();
    told.mails += taken.values().map(|mails| mails.len() as u64).sum::<u64>();
    for (key, job) in known {
        let mut tx = process.office.db.read().await.unwrap();
        let row = jobs::get(&mut tx, None, *job).await.unwrap();
        let row = row.unwrap_or_else(|| panic!("seed {seed}: {key} was acked and is lost"));
        assert!(at_rest(row.stage), "seed {seed}: {key} hangs in {}", row.stage.word());
        let mails = taken.get(job).map_or(0, Vec::len);
        assert!(mails <= 1, "seed {seed}: {key} went out {mails} times");
        match row.stage {
            Stage::Dispatched => assert_eq!(mails, 1, "seed {seed}: {key} says it was sent"),
            Stage::Ambiguous => told.ambiguous += 1,
            Stage::Parked => {
                told.parked += 1;
                assert_eq!(mails, 0, "seed {seed}: {key} is parked, and was sent");
            }
            Stage::Cancelled => {
                told.cancelled += 1;
                assert_eq!(mails, 0, "seed {seed}: {key} was cancelled, and was sent");
            }
            Stage::Undeliverable => assert_eq!(mails, 0, "seed {seed}: {key} was refused"),
            other => panic!("seed {seed}: {key} rests in {}", other.word()),
        }
        let events = ledger::of_job(&mut tx, None, *job).await.unwrap();
        let kinds: Vec<Kind> = events.iter().map(|event| event.row.kind).collect();
        let last = match row.stage {
            Stage::Dispatched => Kind::Dispatched,
            Stage::Ambiguous => Kind::Ambiguous,
            Stage::Parked => Kind::Parked,
            Stage::Cancelled => Kind::Cancelled,
            _ => Kind::Undeliverable,
        };
        let of = |kind| kinds.iter().filter(|one| **one == kind).count();
        assert_eq!(of(Kind::Accepted), 1, "seed {seed}: {key} was accepted once: {kinds:?}");
        assert_eq!(of(last), 1, "seed {seed}: {key} came to rest once: {kinds:?}");
        assert!(of(Kind::Sealed) <= 1, "seed {seed}: {key} was sealed once: {kinds:?}");
        for event in &events {
            let leaf = Leaf::decode(&event.row.leaf).unwrap();
            assert_eq!(leaf.kind, event.row.kind, "seed {seed}: leaf and row agree");
            assert_eq!(leaf.at, event.row.at, "seed {seed}: leaf and row agree");
            assert_eq!(leaf.job, Some(*job), "seed {seed}: leaf and row agree");
        }
    }
    for job in taken.keys() {
        assert!(
            known.values().any(|one| one == job) || exists(process, *job).await,
            "seed {seed}: a mail went out for a job that is on no book"
        );
    }
}

async fn exists(process: &Process, job: JobId) -> bool {
    let mut tx = process.office.db.read().await.unwrap();
    jobs::get(&mut tx, None, job).await.unwrap().is_some()
}

/// Laws 3 and 5: seventy days later nothing is left but the log.
pub(crate) async fn dead_on_the_day(
    world: &World,
    process: &Process,
    known: &BTreeMap<String, JobId>,
) {
    let seed = world.seed;
    let office = &process.office;
    for (key, job) in known {
        let mut tx = office.db.read().await.unwrap();
        // A month's rows go when all in it are purged; the log stays.
        if let Some(row) = jobs::get(&mut tx, None, *job).await.unwrap() {
            assert_eq!(row.stage, Stage::Purged, "seed {seed}: {key} is not purged");
            let left = row.wrapped_key.is_some() || row.personal.is_some() || row.payload.is_some();
            assert!(!left, "seed {seed}: {key} is purged and still there");
            let purged = row.purged_at.unwrap();
            if let Some(due) = row.purge_at {
                assert!(purged >= due, "seed {seed}: {key} was purged before its time");
            }
        }
        let events = ledger::of_job(&mut tx, None, *job).await.unwrap();
        let purges = events
            .iter()
            .filter(|e| matches!(e.row.kind, Kind::Purged | Kind::NeverDispatched))
            .count();
        assert_eq!(purges, 1, "seed {seed}: {key} was purged once");
    }
    let on_disk = office.blobs.list().await.unwrap();
    let mut tx = office.db.read().await.unwrap();
    let known = retention::known_segments(&mut tx, None).await.unwrap();
    for segment in known {
        assert!(segment.live == 0, "seed {seed}: a segment counts documents that are gone");
    }
    drop(tx);
    // What is left is the open segment of this process, if any.
    assert!(on_disk.len() <= 1, "seed {seed}: {} segments are left", on_disk.len());
}

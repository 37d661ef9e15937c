//! The store of sealed bytes against the books.

use super::*;
use crate::domain::{
    ids::SegmentId,
    log::{Fact, Leaf, Name},
};

on_both! { "2026-01-31T03:00:00Z" =>
    bytes_that_nobody_knows_are_destroyed_when_they_are_old
    orphans_are_finished_after_a_death
    two_processes_tell_of_an_orphan_once_and_lose_none
    what_is_missing_is_told_and_nothing_is_forgotten
    a_store_of_other_books_keeps_what_we_do_not_know
    a_store_whose_owner_has_not_marked_it_yet_is_not_taken
    an_orphan_that_cannot_be_destroyed_stops_nothing_else
    a_store_that_lost_its_mark_is_marked_again_and_one_that_lacks_something_is_not
    the_place_of_a_volume_that_is_not_mounted_is_never_marked
    a_death_while_a_store_is_marked_leaves_it_open
    new_books_write_nothing_into_a_store_of_others
    a_round_that_failed_is_made_again_soon
}

/// Written, but the commit never came.
async fn orphan(office: &Office) -> SegmentId {
    // Another process, whose segment is not ours.
    let folder = office.blobs_folder();
    let blobs = Blobs::files(folder, 1 << 20, office.entropy.clone()).unwrap();
    blobs.append(office.now(), vec![b"sealed".to_vec()]).await.unwrap().segment
}

/// The facts of destroyed segments on record.
async fn destroyed(office: &Office) -> Vec<Vec<(Name, Fact)>> {
    let leaves = office.leaves(Kind::SegmentDestroyed).await;
    leaves.iter().map(|leaf| Leaf::decode(leaf).unwrap().facts).collect()
}

async fn bytes_that_nobody_knows_are_destroyed_when_they_are_old(office: Office) {
    let unknown = orphan(&office).await;
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    office.wait(TimeDelta::hours(20)).await;
    let retention = retention(&office);
    run(&retention).await;
    assert_eq!(office.blobs.list().await.unwrap(), [unknown], "its commit may still be coming");
    office.wait(TimeDelta::days(2)).await;
    let id = office.accept(&order).await;
    office.seal(&order, id, Next::SendNow).await;
    let done = run(&retention).await;
    assert_eq!((done.orphans, done.segments), (1, 0), "{done:?}");
    let left = office.blobs.list().await.unwrap();
    assert!(left.len() == 1 && left[0] != unknown, "the orphan is gone");
    let row = office.job(id).await;
    assert!(office.document(&row).await.is_some(), "the known one stands");
    let facts = [
        ("orphan".into(), Fact::Int(1)),
        ("segment".into(), Fact::Bytes(unknown.0.as_bytes().to_vec())),
    ];
    assert_eq!(destroyed(&office).await, [facts], "on record, and why");
    assert_eq!(retention.missing_segments(), Some(0), "nothing is missing");
}

async fn orphans_are_finished_after_a_death(office: Office) {
    // The first tick marks the store.
    run(&retention(&office)).await;
    for step in 0.. {
        let unknown = orphan(&office).await;
        office.wait(TimeDelta::days(3)).await;
        let fuse = FailsAt::the(step);
        let died = retention_on(&office, office.db_with(fuse.clone())).tick().await.is_err();
        let (left, told) = (office.blobs.list().await.unwrap(), destroyed(&office).await.len());
        assert!(left == [unknown] || left.is_empty(), "step {step}: whole or gone");
        assert!(usize::try_from(step).unwrap() >= told || left.is_empty(), "told when gone");
        run(&retention(&office)).await;
        assert!(office.blobs.list().await.unwrap().is_empty(), "step {step}: gone");
        let told = destroyed(&office).await.len();
        assert_eq!(told, usize::try_from(step).unwrap() + 1, "step {step}: on record once");
        if !died {
            assert!(step > 5, "all durable steps were rehearsed, not only {step}");
            return;
        }
    }
}

/// Each of two sees what the other one did a moment ago, or not yet.
async fn two_processes_tell_of_an_orphan_once_and_lose_none(office: Office) {
    let (ours, theirs) = (retention(&office), retention(&office));
    run(&ours).await;
    let one = orphan(&office).await;
    office.wait(TimeDelta::days(3)).await;
    let now = office.now();
    let mut done = Done::default();

    // What was found before another one destroyed it is not noted any more.
    let late = theirs.look_for_orphans(now).await.unwrap().unwrap();
    let found = ours.look_for_orphans(now).await.unwrap().unwrap();
    assert!(ours.note_orphans(&found, now).await.unwrap(), "noted");
    assert!(!theirs.note_orphans(&late, now).await.unwrap(), "once");
    ours.finish_orphans(now, &mut done).await.unwrap();
    assert!(!theirs.note_orphans(&late, now).await.unwrap(), "nor after its end");
    assert_eq!(destroyed(&office).await.len(), 1, "on record once");

    // What is noted and not finished is not written over.
    let two = orphan(&office).await;
    office.wait(TimeDelta::days(3)).await;
    let now = office.now();
    let found = ours.look_for_orphans(now).await.unwrap().unwrap();
    assert!(ours.note_orphans(&found, now).await.unwrap(), "noted; then its process dies");
    office.blobs.destroy(two).await.unwrap();
    let three = orphan(&office).await;
    office.wait(TimeDelta::days(3)).await;
    let now = office.now();
    assert!(theirs.look_for_orphans(now).await.unwrap().is_none(), "first things first");
    run(&theirs).await;
    office.wait(TimeDelta::hours(2)).await;
    run(&theirs).await;
    let told = destroyed(&office).await;
    assert_eq!(told.len(), 3, "each is on record");

    // Both finish the same note at once.
    for _ in 0..8 {
        orphan(&office).await;
    }
    office.wait(TimeDelta::days(3)).await;
    let now = office.now();
    let found = ours.look_for_orphans(now).await.unwrap().unwrap();
    assert!(ours.note_orphans(&found, now).await.unwrap(), "noted");
    let (mut here, mut there) = (Done::default(), Done::default());
    let both =
        futures::join!(ours.finish_orphans(now, &mut here), theirs.finish_orphans(now, &mut there));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    assert_eq!(here.orphans + there.orphans, 8, "one of them counts them");
    let mut told: Vec<Fact> =
        destroyed(&office).await.into_iter().map(|mut facts| facts.remove(1).1).collect();
    assert_eq!(told.len(), 11, "each is on record");
    for segment in [one, two, three] {
        assert!(told.contains(&Fact::Bytes(segment.0.as_bytes().to_vec())), "this one too");
    }
    told.sort_by_key(|fact| format!("{fact:?}"));
    told.dedup();
    assert_eq!(told.len(), 11, "once");
}

async fn what_is_missing_is_told_and_nothing_is_forgotten(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let id = office.sent(&order).await;
    let segment = office.job(id).await.segment.unwrap();
    let retention = retention(&office);
    run(&retention).await;
    assert_eq!(retention.missing_segments(), Some(0), "nothing is missing");
    let file = office.blobs_folder().join(format!("{segment}.kks"));
    let aside = office.blobs_folder().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    let found = compare(&office.db, &office.blobs).await.unwrap();
    assert_eq!(
        found,
        Compared { missing: vec![segment], unknown: Vec::new(), some_known: false },
        "which"
    );
    office.wait(TimeDelta::hours(2)).await;
    run(&retention).await;
    assert_eq!(retention.missing_segments(), Some(1), "told");
    assert!(!is_purged(&office, id).await, "its row stays as it is");
    assert!(office.delivery_key(&office.job(id).await).await.is_some(), "and its key");
    std::fs::rename(&aside, &file).unwrap();
    office.wait(TimeDelta::hours(2)).await;
    run(&retention).await;
    assert_eq!(retention.missing_segments(), Some(0), "the volume was mounted");
    assert!(office.document(&office.job(id).await).await.is_some(), "and all is well");
    assert!(destroyed(&office).await.is_empty(), "nothing was destroyed");
}

async fn a_store_of_other_books_keeps_what_we_do_not_know(office: Office) {
    office.blobs.set_mark("another0ffice").await.unwrap();
    let theirs = orphan(&office).await;
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let ours = office.sent(&order).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Theirs, "known");
    office.wait(TimeDelta::days(3)).await;
    let done = run(&retention(&office)).await;
    assert_eq!(done.orphans, 0, "{done:?}");
    office.set(office.job(ours).await.purge_at.unwrap()).await;
    run(&retention(&office)).await;
    assert!(is_purged(&office, ours).await, "what is ours goes on its day");
    assert_eq!(office.blobs.list().await.unwrap(), [theirs], "what is not ours stays");
    assert_eq!(office.blobs.mark().await.unwrap().as_deref(), Some("another0ffice"), "theirs");
}

/// Another office's store, full, without a mark: our books know nothing in it.
async fn a_store_whose_owner_has_not_marked_it_yet_is_not_taken(office: Office) {
    let theirs = orphan(&office).await;
    office.wait(TimeDelta::days(3)).await;
    for _ in 0..2 {
        let done = run(&retention(&office)).await;
        assert_eq!(done.orphans, 0, "{done:?}");
        office.wait(TimeDelta::hours(2)).await;
    }
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Nobodys, "not marked");
    assert_eq!(office.blobs.list().await.unwrap(), [theirs], "not touched");
    // Something of ours lies there as well: it is ours, from the next round on.
    office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    run(&retention(&office)).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Ours, "marked");
    assert!(office.blobs.list().await.unwrap().contains(&theirs), "not in the round that marks");
    office.wait(TimeDelta::hours(2)).await;
    let done = run(&retention(&office)).await;
    assert_eq!(done.orphans, 1, "{done:?}");
}

async fn an_orphan_that_cannot_be_destroyed_stops_nothing_else(office: Office) {
    run(&retention(&office)).await;
    let (stuck, loose) = (orphan(&office).await, orphan(&office).await);
    office.wait(TimeDelta::days(3)).await;
    // A folder of this name is not opened for writing, whoever asks.
    let path = office.blobs_folder().join(format!("{stuck}.kks"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let id = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    let retention = retention(&office);
    assert!(retention.tick().await.is_err(), "it is told");
    assert_eq!(destroyed(&office).await.len(), 1, "the other one is gone, on record");
    assert!(!office.blobs.list().await.unwrap().contains(&loose), "indeed");
    office.set(office.job(id).await.purge_at.unwrap()).await;
    assert!(retention.tick().await.is_err(), "still");
    assert!(is_purged(&office, id).await, "and what is due goes");
    std::fs::remove_dir(&path).unwrap();
    run(&retention).await;
    assert_eq!(destroyed(&office).await.len(), 3, "with its segment, and the stuck one");
}

async fn a_store_that_lost_its_mark_is_marked_again_and_one_that_lacks_something_is_not(
    office: Office,
) {
    let id = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    run(&retention(&office)).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Ours, "marked");
    let first = office.blobs.mark().await.unwrap();
    let mark = office.blobs_folder().join("office.mark");
    std::fs::remove_file(&mark).unwrap();
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Bare, "seen");
    run(&retention(&office)).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Ours, "marked again");
    assert_eq!(office.blobs.mark().await.unwrap(), first, "as before");

    // Another volume, with something in it, in the place of ours.
    let segment = office.job(id).await.segment.unwrap();
    std::fs::remove_file(office.blobs_folder().join(format!("{segment}.kks"))).unwrap();
    std::fs::remove_file(&mark).unwrap();
    let theirs = orphan(&office).await;
    office.wait(TimeDelta::days(3)).await;
    let done = run(&retention(&office)).await;
    assert_eq!(done.orphans, 0, "{done:?}");
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Bare, "not marked");
    assert_eq!(office.blobs.list().await.unwrap(), [theirs], "and not touched");
}

/// Nothing is missing in it, because nothing is kept at the moment.
async fn the_place_of_a_volume_that_is_not_mounted_is_never_marked(office: Office) {
    let retention = retention(&office);
    run(&retention).await;
    assert!(office.blobs.expects_mark(), "from here on it is looked for");
    let (folder, aside) = (office.blobs_folder(), office.folder("aside"));
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::create_dir(&folder).unwrap();
    for _ in 0..3 {
        office.wait(TimeDelta::hours(2)).await;
        run(&retention).await;
        assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Bare, "not marked");
    }
    let refused = office.blobs.append(office.now(), vec![b"sealed".to_vec()]).await;
    assert!(matches!(refused, Err(BlobError::NotOurs)), "nothing is begun there");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    office.wait(TimeDelta::hours(2)).await;
    run(&retention).await;
    let id = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    assert!(office.document(&office.job(id).await).await.is_some(), "mounted, and all is well");
}

async fn a_death_while_a_store_is_marked_leaves_it_open(office: Office) {
    let retention = retention(&office);
    let drawn = retention.drawn_mark(office.now()).await.unwrap();
    let again = retention.drawn_mark(office.now()).await.unwrap();
    assert_eq!(drawn, again, "the first counts");
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Nobodys, "drawn");
    expect_mark(&office.db, &office.blobs).await.unwrap();
    assert!(!office.blobs.expects_mark(), "nothing is asked for that was never there");
    office.blobs.set_mark(&drawn).await.unwrap();
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Nobodys, "and set");
    office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    run(&retention).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Ours, "and on the books");
    assert_eq!(mark_of_books(&office.db).await.unwrap(), Some(drawn), "the same one");
}

/// A trial that is set up in the bucket of an office: its owner would destroy as
/// orphans what it seals there.
async fn new_books_write_nothing_into_a_store_of_others(office: Office) {
    office.blobs.set_mark("0a1b2c").await.unwrap();
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Theirs, "not ours");
    expect_mark(&office.db, &office.blobs).await.unwrap();
    let refused = office.blobs.append(office.now(), vec![b"sealed".to_vec()]).await;
    assert!(matches!(refused, Err(BlobError::NotOurs)), "nothing is begun there");
    assert!(office.blobs.list().await.unwrap().is_empty(), "nor left");
}

async fn a_round_that_failed_is_made_again_soon(office: Office) {
    let retention = retention(&office);
    office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    let (folder, aside) = (office.blobs_folder(), office.folder("aside"));
    std::fs::rename(&folder, &aside).unwrap();
    assert!(retention.tick().await.is_err(), "its store is away");
    std::fs::rename(&aside, &folder).unwrap();
    run(&retention).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Nobodys, "not at once");
    office.wait(TimeDelta::minutes(5)).await;
    run(&retention).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Ours, "nor after an hour");
}

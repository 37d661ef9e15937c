//! The store of sealed bytes against the books.

use super::*;
use crate::domain::{
    ids::SegmentId,
    log::{Fact, Leaf, Name},
};

on_both! { "2026-01-31T03:00:00Z" =>
    bytes_that_nobody_knows_are_destroyed_when_they_are_old
    orphans_are_finished_after_a_death
    what_is_missing_is_told_and_nothing_is_forgotten
    a_store_of_other_books_keeps_what_we_do_not_know
    a_store_whose_owner_has_not_marked_it_yet_is_not_taken
    an_orphan_that_cannot_be_destroyed_stops_nothing_else
    an_emptied_store_is_marked_again_and_one_that_lacks_something_is_not
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

async fn an_emptied_store_is_marked_again_and_one_that_lacks_something_is_not(office: Office) {
    run(&retention(&office)).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Ours, "marked");
    let mark = office.blobs_folder().join("office.mark");
    std::fs::remove_file(&mark).unwrap();
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Bare, "seen");
    run(&retention(&office)).await;
    assert_eq!(whose(&office.db, &office.blobs).await.unwrap(), Whose::Ours, "marked again");

    // Another volume, with something in it, in the place of ours.
    let id = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
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

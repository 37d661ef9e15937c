//! The mark of a store.

use super::*;

/// A life that died between its two names leaves the other one behind; the
/// next life may have the same process id, in a container always.
#[tokio::test]
async fn a_mark_is_not_written_over_through_what_a_dead_process_left() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = files(folder.path(), 1 << 20);
    blobs.set_mark("0a1b2c").await.unwrap();
    let mark = folder.path().join("office.mark");
    let left = folder.path().join(format!("office.mark.{}", std::process::id()));
    fs::hard_link(&mark, &left).unwrap();
    blobs.set_mark("ffffff").await.unwrap();
    assert_eq!(blobs.mark().await.unwrap().as_deref(), Some("0a1b2c"), "the first stays");
    fs::remove_file(&mark).unwrap();
    fs::remove_file(&left).unwrap();
    File::create(&left).unwrap();
    let readonly = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    fs::set_permissions(&left, readonly).unwrap();
    blobs.set_mark("0a1b2c").await.unwrap();
    assert_eq!(blobs.mark().await.unwrap().as_deref(), Some("0a1b2c"), "nor is it hindered");
}

#[tokio::test]
async fn of_many_who_mark_at_once_one_wins_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let stores: Vec<_> = (0..16).map(|_| files(folder.path(), 1 << 20)).collect();
    let marks: Vec<_> = (0..16).map(|at| format!("{at:032x}")).collect();
    let all = stores.iter().zip(&marks).map(|(blobs, mark)| blobs.set_mark(mark));
    for set in join_all(all).await {
        set.unwrap();
    }
    let won = stores[0].mark().await.unwrap().unwrap();
    assert!(marks.contains(&won), "one of them, whole: {won}");
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["office.mark"], "and nothing is left over");
}

pub(super) async fn a_store_without_the_mark_of_the_books_takes_nothing(blobs: Blobs) {
    let append = async || blobs.append(noon(), vec![piece(1, 100)]).await;
    blobs.expect_mark("0a1b2c");
    for _ in 0..2 {
        let refused = append().await.unwrap_err();
        assert!(matches!(refused, BlobError::NotOurs) && refused.may_pass(), "{refused:?}");
        assert!(refused.to_string().contains("mount its volume"), "it says what to do: {refused}");
    }
    let told = Some("the store is not the one that the books know");
    assert_eq!(blobs.fares(Act::Write).trouble, told, "told");
    assert!(blobs.list().await.unwrap().is_empty(), "nothing was left there");
    blobs.set_mark("0a1b2c").await.unwrap();
    let kept = append().await.unwrap();
    assert_eq!(read_all(&blobs, &kept.places[0]).await.unwrap(), piece(1, 100), "it is there");
    assert_eq!(blobs.fares(Act::Write).trouble, None, "over");
    // Whatever is said later: the mark of the books never changes.
    blobs.expect_mark("ffffff");
    blobs.append(noon() + TimeDelta::days(1), vec![piece(1, 9)]).await.unwrap();
}

pub(super) async fn a_store_with_the_mark_of_other_books_takes_nothing(blobs: Blobs) {
    blobs.set_mark("ffffff").await.unwrap();
    let kept = blobs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    blobs.expect_mark("0a1b2c");
    let refused = blobs.append(noon() + TimeDelta::days(1), vec![piece(2, 100)]).await;
    assert!(matches!(refused, Err(BlobError::NotOurs)), "{refused:?}");
    assert_eq!(blobs.list().await.unwrap(), [kept.segment], "no segment was begun");
    let elsewhere = SegmentId(entropy().id(noon()).unwrap());
    let destroyed = blobs.destroy(elsewhere).await;
    assert!(matches!(destroyed, Err(BlobError::NotOurs)), "not there is not gone: {destroyed:?}");
}

/// The folder of a volume that is not mounted: there, and empty.
#[tokio::test]
async fn the_place_of_a_volume_is_not_the_volume() {
    let place = tempfile::tempdir().unwrap();
    let (folder, aside) = (place.path().join("segments"), place.path().join("aside"));
    let blobs = files(&folder, 1 << 20);
    blobs.set_mark("0a1b2c").await.unwrap();
    blobs.expect_mark("0a1b2c");
    let kept = blobs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    let next_day = noon() + TimeDelta::days(1);
    fs::rename(&folder, &aside).unwrap();
    fs::create_dir(&folder).unwrap();
    let append = blobs.append(next_day, vec![piece(2, 100)]).await;
    assert!(matches!(append, Err(BlobError::NotOurs)), "no segment is begun: {append:?}");
    let read = read_all(&blobs, &kept.places[0]).await;
    assert!(matches!(read, Err(BlobError::NotOurs)), "what is not there is not gone: {read:?}");
    let destroyed = blobs.destroy(kept.segment).await;
    assert!(matches!(destroyed, Err(BlobError::NotOurs)), "nor destroyed: {destroyed:?}");
    for act in [Act::Write, Act::Read, Act::Destroy] {
        assert!(blobs.fares(act).trouble.is_some(), "{}: told", act.word());
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "the disk below holds nothing");
    fs::remove_dir(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    blobs.append(next_day, vec![piece(2, 100)]).await.unwrap();
    assert_eq!(read_all(&blobs, &kept.places[0]).await.unwrap(), piece(1, 100), "all is well");
    blobs.destroy(kept.segment).await.unwrap();
    blobs.destroy(kept.segment).await.unwrap();
    let read = read_all(&blobs, &kept.places[0]).await;
    assert!(matches!(read, Err(BlobError::Gone)), "this is destroyed: {read:?}");
}

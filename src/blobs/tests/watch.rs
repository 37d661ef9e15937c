//! What is told of a store that fails.

use super::{super::Act, *};

fn broken(blobs: &Blobs, folder: &Path) -> PathBuf {
    assert!(blobs.fares(Act::Write).trouble.is_none(), "all is well to begin with");
    let aside = folder.with_extension("aside");
    fs::rename(folder, &aside).unwrap();
    // A file where the folder was: nothing below it can be opened.
    File::create(folder).unwrap();
    aside
}

fn mended(folder: &Path, aside: &Path) {
    fs::remove_file(folder).unwrap();
    fs::rename(aside, folder).unwrap();
}

#[tokio::test]
async fn each_act_has_its_own_trouble_until_it_works_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("segments");
    let blobs = files(&folder, 10_000);
    let kept = blobs.append(noon(), vec![piece(1, 9_000)]).await.unwrap();
    let aside = broken(&blobs, &folder);
    for count in 1..=3 {
        let read = read_all(&blobs, &kept.places[0]).await;
        assert!(matches!(read, Err(BlobError::Disk { .. })), "not gone: {read:?}");
        assert_eq!(blobs.fares(Act::Read).trouble, Some("the disk fails"), "told");
        assert_eq!(blobs.fares(Act::Read).failures, count, "and counted");
        assert_eq!(blobs.fares(Act::Write).trouble, None, "nobody has written yet");
    }
    let append = blobs.append(noon(), vec![piece(1, 9_000)]).await;
    assert!(append.is_err_and(|error| error.may_pass()), "it may pass");
    assert_eq!(blobs.fares(Act::Write).trouble, Some("the disk fails"), "now it is known");
    mended(&folder, &aside);
    assert_eq!(read_all(&blobs, &kept.places[0]).await.unwrap(), piece(1, 9_000), "read");
    assert_eq!(blobs.fares(Act::Read).trouble, None, "over");
    assert_eq!(blobs.fares(Act::Write).trouble, Some("the disk fails"), "not for the other");
    blobs.append(noon(), vec![piece(1, 9_000)]).await.unwrap();
    assert_eq!(blobs.fares(Act::Write).trouble, None, "over");
    assert_eq!(blobs.fares(Act::Write).failures, 1, "what was counted stays");
}

#[tokio::test]
async fn trouble_that_nobody_meets_again_is_not_told_for_ever() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("segments");
    let blobs = files(&folder, 10_000);
    let kept = blobs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    let _aside = broken(&blobs, &folder);
    for _ in 0..4 {
        assert!(read_all(&blobs, &kept.places[0]).await.is_err(), "it fails");
        for _ in 0..5 {
            blobs.look();
            assert!(blobs.fares(Act::Read).trouble.is_some(), "it was met a moment ago");
        }
    }
    blobs.look();
    blobs.look();
    assert_eq!(blobs.fares(Act::Read).trouble, None, "nobody knows any more");
    assert_eq!(blobs.fares(Act::Read).failures, 4, "but it is counted");
}

#[tokio::test]
async fn what_is_gone_is_damage_and_no_trouble_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = files(folder.path(), 10_000);
    let kept = blobs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    blobs.destroy(kept.segment).await.unwrap();
    assert!(matches!(read_all(&blobs, &kept.places[0]).await, Err(BlobError::Gone)), "gone");
    let fares = blobs.fares(Act::Read);
    assert_eq!((fares.trouble, fares.failures), (None, 1), "counted, and nothing to wait for");
}

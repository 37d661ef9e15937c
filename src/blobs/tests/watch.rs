//! What is told of a store that fails.

use std::io;

use tracing_subscriber::fmt::MakeWriter;

use super::{super::Act, *};

/// What was told, line by line.
#[derive(Clone, Default)]
struct Told(Arc<std::sync::Mutex<Vec<u8>>>);

impl io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Told {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Told {
    fn count(&self, words: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(words)).count()
    }
}

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

/// The rounds list once an hour; between two of them there are many looks.
#[tokio::test]
async fn what_fails_once_an_hour_is_told_once_and_its_end_once() {
    let told = Told::default();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(told.clone()).finish();
    let _log = tracing::subscriber::set_default(log);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("segments");
    let blobs = files(&folder, 10_000);
    let kept = blobs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    for trouble in 1..=2 {
        let aside = broken(&blobs, &folder);
        for hour in 1..=3 {
            assert!(blobs.list().await.is_err(), "it fails");
            assert!(read_all(&blobs, &kept.places[0]).await.is_err(), "and so does a reader");
            for _ in 0..360 {
                blobs.look();
            }
            assert_eq!(blobs.fares(Act::List).trouble, Some("the disk fails"), "until the next");
            assert_eq!(blobs.fares(Act::Read).trouble, None, "no reader came again");
            assert_eq!(told.count("segments cannot be listed"), trouble, "hour {hour}");
            assert_eq!(told.count("sealed bytes cannot be read"), trouble, "hour {hour}");
            assert_eq!(told.count("again"), (trouble - 1) * 2, "nothing works yet");
        }
        mended(&folder, &aside);
        for _ in 0..2 {
            blobs.list().await.unwrap();
            read_all(&blobs, &kept.places[0]).await.unwrap();
        }
        assert_eq!(blobs.fares(Act::List).trouble, None, "over");
        assert_eq!(told.count("segments can be listed again"), trouble, "told, once");
        assert_eq!(told.count("sealed bytes can be read again"), trouble, "told, once");
    }
}

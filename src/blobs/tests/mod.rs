//! The same claims for files, for objects in memory and for objects on a server
//! that speaks S3; and each kind's own.
#![expect(clippy::arithmetic_side_effects, reason = "test lengths are small")]

use std::{
    collections::HashSet,
    fs::{self, File},
    path::Path,
};

use chrono::TimeDelta;
use futures::future::join_all;
use object_store::{ObjectStoreExt, memory::InMemory};

use super::*;

mod mark;
use mark::{
    a_store_with_the_mark_of_other_books_takes_nothing,
    a_store_without_the_mark_of_the_books_takes_nothing,
};
mod s3;
#[path = "../../../tests/services/s3.rs"]
mod server;
mod watch;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_348_800, 0).unwrap()
}

fn entropy() -> Entropy {
    Entropy::from_os().unwrap()
}

fn files(folder: &Path, limit: u64) -> Blobs {
    Blobs::files(folder, limit, entropy()).unwrap()
}

fn objects() -> Blobs {
    Blobs::objects(Arc::new(InMemory::new()), "kakitome/segments", entropy())
}

/// A piece that no other call gives.
fn piece(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((seed * 31 + at * 7 + at / 251) % 251).unwrap()).collect()
}

async fn read_all(blobs: &Blobs, place: &Place) -> Result<Bytes, BlobError> {
    blobs.read(place, 0..place.len).await
}

fn path(folder: &Path, segment: SegmentId) -> PathBuf {
    folder.join(file_name(segment))
}

async fn pieces_come_back_whole_and_in_ranges(blobs: Blobs) {
    let batch: Vec<_> = [1_000, 0, 70_000, 1].iter().map(|len| piece(*len, *len)).collect();
    let kept = blobs.append(noon(), batch.clone()).await.unwrap();
    assert!(kept.fresh, "the first batch opens a segment");
    assert_eq!(kept.places.len(), 4, "a place for each piece");
    for (place, piece) in kept.places.iter().zip(&batch) {
        assert_eq!(place.segment, kept.segment, "a batch lies in one segment");
        assert_eq!(read_all(&blobs, place).await.unwrap(), *piece, "the whole piece");
    }
    let long = kept.places[2];
    for range in [0..1, 69_999..70_000, 12_345..54_321, 5..5] {
        let read = blobs.read(&long, range.clone()).await.unwrap();
        let wanted = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert_eq!(read, batch[2][wanted], "{range:?}");
    }
}

async fn ranges_outside_a_place_are_refused(blobs: Blobs) {
    let kept = blobs.append(noon(), vec![piece(1, 100), piece(2, 100)]).await.unwrap();
    let place = kept.places[0];
    #[expect(clippy::reversed_empty_ranges, reason = "this is what is refused")]
    for range in [0..101, 101..101, 7..6, 0..u64::MAX, u64::MAX..u64::MAX] {
        let read = blobs.read(&place, range.clone()).await;
        assert!(matches!(read, Err(BlobError::OutOfRange)), "{range:?} reaches a neighbour");
    }
    for (offset, len) in [(0, 10), (23, 10), (u64::MAX, 10), (24, u64::MAX)] {
        let read = blobs.read(&Place { offset, len, ..place }, 0..1).await;
        assert!(matches!(read, Err(BlobError::OutOfRange)), "a place at {offset}, {len} long");
    }
    let beyond = Place { offset: 1 << 40, ..place };
    assert!(blobs.read(&beyond, 0..1).await.is_err(), "a place beyond the end");
    let across = Place { offset: 200, len: 1_000, ..place };
    let read = blobs.read(&across, 0..1_000).await;
    assert!(matches!(read, Err(BlobError::Torn)), "a place across the end");
}

async fn what_is_destroyed_is_gone_and_twice_is_once(blobs: Blobs) {
    let kept = blobs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    let later = blobs.append(noon() + TimeDelta::days(1), vec![piece(2, 100)]).await.unwrap();
    assert_ne!(kept.segment, later.segment, "each day has its own");
    assert_eq!(blobs.list().await.unwrap(), [kept.segment, later.segment], "oldest first");
    blobs.destroy(kept.segment).await.unwrap();
    blobs.destroy(kept.segment).await.unwrap();
    let read = read_all(&blobs, &kept.places[0]).await;
    assert!(matches!(read, Err(BlobError::Gone)), "destroyed");
    assert_eq!(
        read_all(&blobs, &later.places[0]).await.unwrap(),
        piece(2, 100),
        "not its neighbour"
    );
    assert_eq!(blobs.list().await.unwrap(), [later.segment], "and off the list");
    blobs.destroy(later.segment).await.unwrap();
    let again = blobs.append(noon() + TimeDelta::days(1), vec![piece(3, 9)]).await.unwrap();
    assert!(again.fresh, "an open segment that was destroyed is not written again");
    assert_eq!(read_all(&blobs, &again.places[0]).await.unwrap(), piece(3, 9), "the next is good");
}

async fn concurrent_appends_never_overlap(blobs: Blobs) {
    let append = async |at: usize| {
        let batch: Vec<_> = (0..=at % 4).map(|n| piece(at * 10 + n, 500 + at)).collect();
        (batch.clone(), blobs.append(noon(), batch).await.unwrap())
    };
    let all = join_all((0..200).map(append)).await;
    let mut places = HashSet::new();
    for (batch, kept) in &all {
        for (place, piece) in kept.places.iter().zip(batch) {
            assert!(places.insert(*place), "a place given twice");
            assert_eq!(read_all(&blobs, place).await.unwrap(), *piece, "nobody wrote over it");
        }
    }
}

async fn an_empty_batch_is_refused(blobs: Blobs) {
    let kept = blobs.append(noon(), Vec::new()).await;
    assert!(matches!(kept, Err(BlobError::Empty)), "nothing to keep");
    assert!(blobs.list().await.unwrap().is_empty(), "and no segment for it");
}

async fn a_mark_is_set_once_and_is_no_segment(blobs: Blobs) {
    assert_eq!(blobs.mark().await.unwrap(), None, "nobody's yet");
    blobs.set_mark("0a1b2c").await.unwrap();
    blobs.set_mark("ffffff").await.unwrap();
    assert_eq!(blobs.mark().await.unwrap().as_deref(), Some("0a1b2c"), "the first stays");
    assert!(blobs.list().await.unwrap().is_empty(), "it is no segment");
}

/// Makes a test of each claim for each kind of storage.
macro_rules! on_each {
    ($($claim:ident)*) => {
        mod in_files {
            $(#[tokio::test]
            async fn $claim() {
                let folder = tempfile::tempdir().unwrap();
                super::$claim(super::files(folder.path(), 1 << 20)).await;
            })*
        }
        mod in_objects {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(super::objects()).await;
            })*
        }
        mod in_s3 {
            $(#[tokio::test]
            async fn $claim() {
                let Some(server) = super::server::OwnS3::start() else { return };
                super::$claim(super::s3::blobs(&server)).await;
            })*
        }
    };
}

on_each! {
    pieces_come_back_whole_and_in_ranges
    ranges_outside_a_place_are_refused
    what_is_destroyed_is_gone_and_twice_is_once
    concurrent_appends_never_overlap
    an_empty_batch_is_refused
    a_mark_is_set_once_and_is_no_segment
    a_store_without_the_mark_of_the_books_takes_nothing
    a_store_with_the_mark_of_other_books_takes_nothing
}

#[tokio::test]
async fn a_days_batches_share_a_segment_until_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = files(folder.path(), 10_000);
    let append = async |length| blobs.append(noon(), vec![piece(1, length)]).await.unwrap();
    let (first, second) = (append(4_000).await, append(5_900).await);
    assert_eq!(first.segment, second.segment, "as long as there is room");
    assert_eq!((first.fresh, second.fresh), (true, false), "opened once");
    let third = append(77).await;
    assert_ne!(third.segment, second.segment, "a full one is closed");
    let large = append(50_000).await;
    assert!(large.fresh, "what is larger than a segment has one to itself");
    let next = append(10).await;
    assert_ne!(next.segment, large.segment, "and nobody joins it");
    for segment in blobs.list().await.unwrap() {
        let size = fs::metadata(path(folder.path(), segment)).unwrap().len();
        assert!(size <= 10_000 || segment == large.segment, "{size} is above the limit");
    }
}

#[tokio::test]
async fn a_segment_begins_with_its_magic_and_id_and_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    let kept = files(&inner, 1 << 20).append(noon(), vec![piece(1, 5)]).await.unwrap();
    let bytes = fs::read(path(&inner, kept.segment)).unwrap();
    assert_eq!(&bytes[..8], b"kkseg\r\n\x01", "magic and version");
    assert_eq!(&bytes[8..24], kept.segment.0.as_bytes(), "id");
    assert_eq!(&bytes[24..], piece(1, 5), "and then the pieces");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path(&inner, kept.segment)), 0o600, "the file");
    assert_eq!(mode(&inner), 0o700, "the folder");
}

#[test]
fn the_header_is_as_documented() {
    let example = crate::crypto::format_tests::Vector::named("segment");
    let id = SegmentId(uuid::Uuid::from_bytes(example.array("id")));
    assert_eq!(header(id), example.bytes("header"), "magic and id");
}

#[tokio::test]
async fn a_restart_leaves_what_a_crash_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let before = files(folder.path(), 1 << 20).append(noon(), vec![piece(1, 100)]).await.unwrap();
    // The crash: a torn batch at the end, and a segment without its header.
    let torn = path(folder.path(), before.segment);
    let mut bytes = fs::read(&torn).unwrap();
    bytes.extend(piece(2, 33));
    fs::write(&torn, &bytes).unwrap();
    let unborn = SegmentId(entropy().id(noon()).unwrap());
    File::create(path(folder.path(), unborn)).unwrap();

    let blobs = files(folder.path(), 1 << 20);
    let after = blobs.append(noon(), vec![piece(3, 50)]).await.unwrap();
    assert_ne!(after.segment, before.segment, "a restart opens a new segment");
    assert_eq!(fs::read(&torn).unwrap(), bytes, "and appends to no old one");
    assert_eq!(read_all(&blobs, &before.places[0]).await.unwrap(), piece(1, 100), "old is good");
    assert_eq!(read_all(&blobs, &after.places[0]).await.unwrap(), piece(3, 50), "new is good");
    assert!(blobs.list().await.unwrap().contains(&unborn), "leftovers are listed");
    blobs.destroy(unborn).await.unwrap();
    assert!(!blobs.list().await.unwrap().contains(&unborn), "and can be removed");
}

#[tokio::test]
async fn a_truncated_segment_is_torn_and_never_shorter() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = files(folder.path(), 1 << 20);
    let kept = blobs.append(noon(), vec![piece(1, 100), piece(2, 100)]).await.unwrap();
    let file = fs::OpenOptions::new().write(true).open(path(folder.path(), kept.segment)).unwrap();
    file.set_len(200).unwrap();
    let read = read_all(&blobs, &kept.places[1]).await;
    assert!(matches!(read, Err(BlobError::Torn)), "the cut piece");
    assert_eq!(read_all(&blobs, &kept.places[0]).await.unwrap(), piece(1, 100), "the whole one");
}

#[tokio::test]
async fn a_failed_write_promises_nothing_and_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = files(folder.path(), 1 << 20);
    let before = blobs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    let Kept::Files(files) = &blobs.kept else { panic!("these are files") };
    // From here on the open file refuses to be written.
    let deaf = File::open(path(folder.path(), before.segment)).unwrap();
    files.pen.lock().await.open.as_mut().unwrap().file = deaf;
    let failed = join_all((0..5).map(|at| blobs.append(noon(), vec![piece(at, 50)]))).await;
    let errors = failed.iter().filter(|kept| kept.is_err()).count();
    assert!(errors >= 1, "whoever shared the failed write is told");
    for (at, kept) in failed.into_iter().enumerate() {
        if let Ok(kept) = kept {
            assert_ne!(kept.segment, before.segment, "a failed segment is given up");
            assert_eq!(read_all(&blobs, &kept.places[0]).await.unwrap(), piece(at, 50), "kept");
        }
    }
    assert_eq!(read_all(&blobs, &before.places[0]).await.unwrap(), piece(1, 100), "still there");
    let after = blobs.append(noon(), vec![piece(2, 100)]).await.unwrap();
    assert_ne!(after.segment, before.segment, "the next batch has a new segment");
}

/// Runs itself again under a limit of 64 KiB per file, which fails writes
/// half-way, as a full disk does.
#[tokio::test]
async fn a_full_disk_promises_nothing_and_gives_the_room_back() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize);
    if limit.current != Some(65_536) {
        let this = std::env::current_exe().unwrap();
        let name = "blobs::tests::a_full_disk_promises_nothing_and_gives_the_room_back";
        let script = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
        let child = std::process::Command::new("bash")
            .args(["-c", script, "bash"])
            .arg(this)
            .args(["--exact", name, "--test-threads", "1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "under the limit: {said}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let blobs = files(folder.path(), 1 << 20);
    let size = |segment| fs::metadata(path(folder.path(), segment)).map(|meta| meta.len());
    let first = blobs.append(noon(), vec![piece(1, 40_000)]).await.unwrap();
    let second = blobs.append(noon(), vec![piece(2, 40_000)]).await;
    assert!(matches!(second, Err(BlobError::Full)), "no room for the second");
    assert_eq!(size(first.segment).unwrap(), 40_024, "the half that was written is given back");
    let third = blobs.append(noon(), vec![piece(3, 40_000)]).await.unwrap();
    assert_ne!(third.segment, first.segment, "the next one has a new segment");
    let fourth = blobs.append(noon() + TimeDelta::days(1), vec![piece(4, 70_000)]).await;
    assert!(matches!(fourth, Err(BlobError::Full)), "nor for a first that is too large");
    assert_eq!(blobs.list().await.unwrap().len(), 2, "of which nothing is left");
    assert_eq!(read_all(&blobs, &first.places[0]).await.unwrap(), piece(1, 40_000), "whole");
    assert_eq!(read_all(&blobs, &third.places[0]).await.unwrap(), piece(3, 40_000), "whole");
}

#[tokio::test]
async fn a_segment_that_another_process_writes_is_not_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (files(folder.path(), 1 << 20), files(folder.path(), 1 << 20));
    let kept = theirs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    let refused = ours.destroy(kept.segment).await;
    assert!(matches!(refused, Err(BlobError::InUse)), "they may be appending this moment");
    assert_eq!(read_all(&ours, &kept.places[0]).await.unwrap(), piece(1, 100), "still there");
    drop(theirs);
    // Their writing thread may hold the file a moment longer.
    while let Err(BlobError::InUse) = ours.destroy(kept.segment).await {
        tokio::task::yield_now().await;
    }
    assert!(ours.list().await.unwrap().is_empty(), "once they let go it goes");
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_locked_pen() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = files(folder.path(), 1 << 20);
    for at in 0..50 {
        // Polled once: the batch is in the queue or in the writer's hands.
        let mut gone = Box::pin(blobs.append(noon(), vec![piece(at, 1_000)]));
        let waiting = futures::poll!(&mut gone).is_pending();
        assert!(waiting, "nothing is durable at once");
        drop(gone);
    }
    let kept = blobs.append(noon(), vec![piece(99, 100)]).await.unwrap();
    assert_eq!(read_all(&blobs, &kept.places[0]).await.unwrap(), piece(99, 100), "and goes on");
}

#[tokio::test]
async fn other_names_in_the_folder_are_none_of_our_business() {
    let folder = tempfile::tempdir().unwrap();
    let id = SegmentId(entropy().id(noon()).unwrap());
    for name in [
        "notes.txt".to_owned(),
        ".kks".to_owned(),
        "x.kks".to_owned(),
        format!("{id}.kks~"),
        format!("{}.kks", id.to_string().to_uppercase()),
        format!("{}.kks", id.0.simple()),
    ] {
        File::create(folder.path().join(name)).unwrap();
    }
    assert!(files(folder.path(), 1).list().await.unwrap().is_empty(), "none of these is a segment");
}

#[tokio::test]
async fn objects_and_files_have_the_same_bytes_inside() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let blobs = Blobs::objects(Arc::clone(&store), "p", entropy());
    let kept = blobs.append(noon(), vec![piece(1, 5)]).await.unwrap();
    let at = object_store::path::Path::from(format!("p/{}.kks", kept.segment));
    let object = store.get(&at).await.unwrap().bytes().await.unwrap();
    assert_eq!(object, [header(kept.segment), piece(1, 5)].concat(), "header and pieces");
}

//! Full disks: real ones, of a few hundred kilobytes, in a mount namespace of the
//! test's own; and, where none may be made, a limit to the size of files, which
//! fails writes half-way in the same manner.
//!
//! Each journey runs itself again as a child that has such a disk.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use kakitome::{
    app::catcher::Script,
    domain::ids::TenantId,
    domain::{log::Kind, stage::Stage},
    intake::desk::Incoming,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::{Books, EMAIL, World, job, postgres_is_there};

/// The folder of the child's disk; `limit` where there is a limit only.
const VARIABLE: &str = "KAKITOME_TEST_SMALL_DISK";
const LIMIT: &str = "limit";
/// Files may be this large, while the disk is full.
const FILE_BYTES_MAX: u64 = 16 << 10;

enum Disk {
    Mounted(PathBuf),
    Limited,
}

impl Disk {
    /// The child's; none in the parent.
    #[expect(clippy::disallowed_methods, reason = "the parent says it so")]
    fn of_child() -> Option<Self> {
        let folder = std::env::var(VARIABLE).ok()?;
        Some(if folder == LIMIT { Self::Limited } else { Self::Mounted(folder.into()) })
    }

    fn fill(&self) {
        match self {
            Self::Mounted(folder) => {
                let mut filler = std::fs::File::create(folder.join("filler")).unwrap();
                let mut chunk = 64 << 10;
                while chunk > 0 {
                    if filler.write_all(&vec![0; chunk]).is_err() {
                        chunk /= 2;
                    }
                }
            }
            Self::Limited => limit(Some(FILE_BYTES_MAX)),
        }
    }

    fn make_room(&self) {
        match self {
            Self::Mounted(folder) => std::fs::remove_file(folder.join("filler")).unwrap(),
            Self::Limited => limit(None),
        }
    }
}

fn limit(current: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

/// Runs a test of this file again on a disk of this size.
fn again(name: &str, kilobytes: u32) {
    let folder = tempfile::tempdir().unwrap();
    let mount = format!(
        "mount -t tmpfs -o size={kilobytes}k,mode=700 none '{}' && exec \"$@\"",
        folder.path().display()
    );
    let may = Command::new("unshare").args(["-rm", "true"]).output();
    if !may.is_ok_and(|done| done.status.success()) {
        println!("a small disk was not tried: no namespace may be made here");
        return;
    }
    let mut child = Command::new("unshare");
    child.args(["-rm", "bash", "-c", &mount, "bash"]);
    ends_well(child, name, folder.path());
}

fn again_limited(name: &str) {
    let mut child = Command::new("bash");
    // Without the signal a write that is too long fails, as on a full disk.
    child.args(["-c", "trap '' XFSZ; exec \"$@\"", "bash"]);
    ends_well(child, name, Path::new(LIMIT));
}

fn ends_well(mut child: Command, name: &str, folder: &Path) {
    let child = child
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("small_disk::{name}"), "--nocapture"])
        .env(VARIABLE, folder)
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && out.contains("1 passed"), "the child: {out}\n{err}");
}

/// Everything that is logged from here on.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Of the whole process, which runs one test.
    fn begin() -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        let logger = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        logger.init();
        lines
    }

    fn with(&self, words: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(words)).count()
    }
}

/// Jobs that come in while the disk is full go out when there is room.
async fn full(books: Books, disk: Disk) {
    let lines = Lines::begin();
    let folder = match &disk {
        Disk::Mounted(folder) => Some(folder.join("segments")),
        Disk::Limited => None,
    };
    let world = World::with(books, Script::default(), |config| {
        config.blobs.dir = folder.unwrap_or_else(|| config.blobs.dir.clone());
    })
    .await;
    let mut office = world.start().await;
    let early = office.enqueue(&job(EMAIL, "full/0")).await;
    office.run().await;
    assert_eq!(office.stage(early).await, Stage::Dispatched, "there is room for one");

    disk.fill();
    let mut waiting = Vec::new();
    for number in 1..=6 {
        waiting.push(office.enqueue(&job(EMAIL, &format!("full/{number}"))).await);
    }
    let faults = office.struggle(5).await;
    assert!(faults.len() >= 5, "it is tried again and again: {faults:?}");
    for fault in &faults {
        assert_eq!(fault, "commit: the disk is full", "and nothing else fails");
    }
    for id in &waiting {
        assert_eq!(office.stage(*id).await, Stage::Accepted, "it waits on the books");
    }
    assert_eq!(office.mails().len(), 1, "nothing goes out that is not kept");
    assert_eq!(lines.with("sealed bytes cannot be written"), 1, "one line says so");
    assert_eq!(lines.with("can be written again"), 0, "and it stays so");
    let told = office.readiness("segments-write").await;
    assert_eq!(told, (true, Some("the disk is full".into())), "whoever asks is told");
    assert!(office.counts("kakitome_segments_failing{act=\"write\"} 1").await, "a gauge");
    let open = office.open_link(&office.newest_link()).await;
    assert!(open.status == 200 && open.body.starts_with(b"%PDF-"), "what is there is served");
    let pdf = open.body;
    let upload = office.ask("acme", "POST", "/v1/uploads", Some(pdf.clone())).await;
    assert_eq!(upload.status, 503, "an upload is asked to come back: {}", upload.text());

    disk.make_room();
    office.after(TimeDelta::minutes(1)).await;
    for id in &waiting {
        assert_eq!(office.stage(*id).await, Stage::Dispatched, "it goes out");
        let sent = office.log(*id).await.into_iter().filter(|kind| *kind == Kind::Dispatched);
        assert_eq!(sent.count(), 1, "once");
    }
    assert_eq!(office.mails().len(), 7, "each mail once");
    assert_eq!(lines.with("sealed bytes can be written again"), 1, "one line says that too");
    assert_eq!(office.readiness("segments-write").await, (true, None), "all is well");
    office.upload(&pdf).await;
    office.inspect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_on_sqlite() {
    match Disk::of_child() {
        Some(disk) => full(Books::Sqlite, disk).await,
        None => again("a_full_disk_loses_nothing_on_sqlite", 1_024),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_on_postgres() {
    match Disk::of_child() {
        Some(disk) => full(Books::Postgres, disk).await,
        None if postgres_is_there() => again("a_full_disk_loses_nothing_on_postgres", 1_024),
        None => {}
    }
}

/// The books' own files would meet the limit on SQLite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_to_the_size_of_files_loses_nothing() {
    match Disk::of_child() {
        Some(disk) => full(Books::Postgres, disk).await,
        None if postgres_is_there() => again_limited("a_limit_to_the_size_of_files_loses_nothing"),
        None => {}
    }
}

/// The books and the keys themselves have no room: nothing is taken that is not written down.
async fn full_books(disk: Disk) {
    let Disk::Mounted(folder) = &disk else { panic!("a disk of its own") };
    let world = World::with(Books::Sqlite, Script::default(), |config| {
        config.database.url = format!("sqlite:{}", folder.join("office.db").display());
        config.keys.url = format!("sqlite:{}", folder.join("keys.db").display());
    })
    .await;
    let mut office = world.start().await;
    let early = office.enqueue(&job(EMAIL, "books/0")).await;
    disk.fill();
    let incoming = |key: &str| Incoming {
        tenant: Ok(TenantId::parse("acme").unwrap()),
        body: serde_json::to_vec(&job(EMAIL, key)).unwrap(),
        sealed: false,
        flaw: None,
        trace: None,
    };
    let mut refused = 0;
    for number in 1..=40 {
        let taken = office.desk.take(vec![incoming(&format!("books/{number}"))]).await;
        refused += usize::from(taken.is_err());
    }
    assert!(refused > 0, "sooner or later nothing is taken any more");
    let faults = office.struggle(3).await;
    assert!(!faults.is_empty(), "and nothing moves that must be written down");

    disk.make_room();
    // What could not be given back is given back now, and rests a moment.
    office.run().await;
    office.after(TimeDelta::minutes(1)).await;
    assert_eq!(office.stage(early).await, Stage::Dispatched, "it goes on");
    for number in 1..=40 {
        // Whether it was taken before or not, it is taken once.
        drop(office.desk.take(vec![incoming(&format!("books/{number}"))]).await.unwrap());
    }
    office.run().await;
    let mut bodies: Vec<_> = office.mails().iter().map(|mail| mail.bytes.to_vec()).collect();
    assert_eq!(bodies.len(), 41, "each mail");
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 41, "once");
    office.inspect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_books_take_nothing_that_is_not_written_down() {
    match Disk::of_child() {
        Some(disk) => full_books(disk).await,
        None => again("full_books_take_nothing_that_is_not_written_down", 8_192),
    }
}

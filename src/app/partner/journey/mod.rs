//! Letters on their whole way, with the simulated partner at its end; on both
//! databases.
#![expect(clippy::arithmetic_side_effects, reason = "tests count small things")]

mod crashes;
mod limits;
mod words;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Asia::Tokyo;
use futures::future::BoxFuture;

use super::{tests::pdf, *};
use crate::{
    blobs::{Blobs, Place},
    crypto::{
        delivery::{DeliveryKey, artifact_aad},
        stream,
    },
    dispatch::postal::{
        Answers, CsvEncoding, FileDrop, FileDropOptions, HandOver, OpenFault, OpenPiece,
        OpenedPiece, PieceId, PostRoom, PostSettings, PostalError, PrintOptions, RoomError, Tick,
    },
    domain::{
        calendar::retention::{RetentionClock, start_of_day},
        ids::{Epoch, JobId},
        log::Kind,
        personal::Personal,
        stage::Stage,
    },
    store::{
        Db,
        jobs::JobRow,
        keyring::{KeyRing, Service},
        trial::Quiet,
        work::Next,
    },
    trial::{Office as Trial, Order, at, on_both},
};

// 15:00 in Tokyo on a Friday.
const CUT_OFF: &str = "2026-11-20T06:00:00Z";

on_both! { "2026-11-20T01:00:00Z" =>
    a_letter_is_handed_over_at_the_cut_off_and_dies_by_its_posting_date
}

/// Opens letters as the app does.
struct Opener {
    keys: KeyRing,
    blobs: Blobs,
}

impl Opener {
    async fn read(&self, job: &JobRow) -> Option<OpenedPiece> {
        let day = self.keys.existing_day_key(&job.tenant, Service::Postal, job.purge_day).await;
        let (day, wrapped) = (day.ok()?, job.wrapped_key.as_ref()?);
        let key = DeliveryKey::unwrap(&day, &job.tenant, job.id, wrapped).ok()?;
        let number = |n: Option<i64>| u64::try_from(n?).ok();
        let (offset, len) = (number(job.artifact_offset)?, number(job.artifact_len)?);
        let place = Place { segment: job.segment?, offset, len };
        let sealed = self.blobs.read(&place, 0..len).await.ok()?;
        let aad = artifact_aad(&job.tenant, job.id);
        let pdf = stream::open(&key.artifact_key(), &aad, &sealed).ok()?;
        let personal = key.open_personal(job.id, job.personal.as_ref()?).ok()?;
        Some(OpenedPiece { pdf, personal: Personal::from_bytes(&personal).ok()? })
    }
}

impl OpenPiece for Opener {
    fn open<'a>(&'a self, job: &'a JobRow) -> BoxFuture<'a, Result<OpenedPiece, OpenFault>> {
        Box::pin(async { self.read(job).await.ok_or(OpenFault::Unreadable) })
    }
}

/// Our post room and the partner's, at one folder.
struct Post {
    office: Trial,
    drop: FileDrop,
    theirs: PrintPartner,
    root: PathBuf,
}

impl Post {
    fn open(office: Trial, csv: CsvEncoding, days: &[Day]) -> Self {
        let root = office.folder("partner");
        let drop = FileDrop::open(FileDropOptions {
            name: "simulator".to_owned(),
            root: root.clone(),
            may_carry_correspondence: true,
            csv,
            wrapping: None,
        })
        .unwrap();
        let script = Script::of(days.iter().copied());
        let theirs = PrintPartner::open(&root, office.clock.clone(), Tokyo, script).unwrap();
        Self { office, drop, theirs, root }
    }

    fn room(&self) -> Arc<PostRoom> {
        self.room_with(self.office.db.clone(), self.drop.clone(), self.office.epoch)
    }

    fn room_with(&self, db: Db, drop: FileDrop, epoch: Epoch) -> Arc<PostRoom> {
        let office = &self.office;
        Arc::new(PostRoom {
            partner: Arc::new(drop),
            db,
            keys: office.keys.clone(),
            clock: office.clock.clone(),
            entropy: office.entropy.clone(),
            epoch,
            scribe: office.scribe.clone(),
            opener: Arc::new(Opener { keys: office.keys.clone(), blobs: office.blobs.clone() }),
            announce: Arc::new(Quiet),
            settings: PostSettings {
                clock: RetentionClock::ONE_MONTH,
                zone_of: Arc::new(|_| Tokyo),
                options: PrintOptions::default(),
                silent_after: TimeDelta::days(7),
                batch_pieces_max: 50,
                batch_bytes_max: 1 << 20,
            },
        })
    }

    fn order(&self) -> Order {
        Order { pdf: pdf(2), pages: 2, ..self.office.letter("acme") }
    }

    /// A letter that is sealed and waits for the next cut-off.
    async fn letter(&self, order: &Order) -> JobId {
        self.letter_for(order, at(CUT_OFF)).await
    }

    async fn letter_for(&self, order: &Order, run_at: DateTime<Utc>) -> JobId {
        let id = self.office.accept(order).await;
        let next = Next::HandOver { run_at, partner: "simulator".to_owned() };
        self.office.seal(order, id, next).await;
        id
    }

    async fn hand_over(&self) -> Tick {
        HandOver(self.room()).tick().await.unwrap()
    }

    /// The partner looks, and we hear what it says.
    async fn hear(&self) -> Tick {
        self.theirs.tick().await.unwrap();
        Answers(self.room()).tick().await.unwrap()
    }

    async fn after_cut_off(&self) {
        self.office.set(at(CUT_OFF) + TimeDelta::seconds(1)).await;
    }

    async fn wait_hours(&self, hours: i64) {
        self.office.wait(TimeDelta::hours(hours)).await;
    }

    async fn stage(&self, id: JobId) -> Stage {
        self.office.job(id).await.stage
    }

    async fn count(&self, id: JobId, kind: Kind) -> usize {
        self.office.log(id).await.into_iter().filter(|known| *known == kind).count()
    }

    /// How often each letter was printed.
    fn printed(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for printed in self.theirs.printed() {
            *count.entry(printed.piece).or_default() += 1;
        }
        count
    }

    fn times_printed(&self, id: JobId) -> usize {
        self.printed().get(PieceId::of(id).as_str()).copied().unwrap_or(0)
    }

    /// Whether any document lies in the folder both sides see.
    fn documents_lie_about(&self) -> bool {
        fs::read_dir(self.root.join("out")).unwrap().next().is_some()
    }

    fn rejected(&self) -> Vec<String> {
        let mut codes = Vec::new();
        for entry in fs::read_dir(self.root.join("in/rejected")).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(".error.json") {
                codes.push(fs::read_to_string(path).unwrap());
            }
        }
        codes.sort();
        codes
    }
}

fn purge_of(day: &str) -> DateTime<Utc> {
    let day: NaiveDate = day.parse().unwrap();
    RetentionClock::ONE_MONTH.purge(start_of_day(Tokyo, day).unwrap(), Tokyo).unwrap().purge_at
}

async fn a_letter_is_handed_over_at_the_cut_off_and_dies_by_its_posting_date(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let id = post.letter(&post.order()).await;
    assert_eq!(post.hand_over().await, Tick::Idle, "in the morning");
    post.office.set(at(CUT_OFF)).await;
    assert_eq!(post.hand_over().await, Tick::Idle, "15:00:00 still belongs to the batch");
    post.after_cut_off().await;
    assert_eq!(post.hand_over().await, Tick::Worked(1), "15:00:01");
    assert_eq!(post.hand_over().await, Tick::Idle, "twice is once");
    assert_eq!(post.count(id, Kind::HandedOver).await, 1, "with the receipt on record");
    assert_eq!(post.stage(id).await, Stage::Sealed, "not dispatched before the partner says so");

    assert_eq!(post.hear().await, Tick::Worked(1), "accepted");
    let row = post.office.job(id).await;
    assert_eq!((row.stage, row.purge_at), (Stage::Dispatched, None), "dispatched; no clock yet");
    assert!(!post.documents_lie_about(), "the folder is emptied when acknowledged");

    post.wait_hours(18).await;
    assert_eq!(post.hear().await, Tick::Worked(1), "posted");
    let row = post.office.job(id).await;
    assert_eq!(row.purge_at, Some(purge_of("2026-11-21")), "by the day it was posted");
    assert!(post.office.document(&row).await.is_some(), "readable until then");
    assert_eq!(post.hear().await, Tick::Idle, "nothing more is said");
    assert_eq!(post.times_printed(id), 1, "printed once");
}

#[test]
fn an_error_of_the_room_never_repeats_its_source() {
    use std::error::Error as _;
    let error = RoomError::from(PostalError::Rehearsed("here"));
    let source = error.source().unwrap().to_string();
    assert!(!error.to_string().contains(&source), "{error} / {source}");
}

//! Letters on their whole way, with the simulated partner at its end; on both
//! databases.
#![expect(clippy::arithmetic_side_effects, reason = "tests count small things")]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use chrono::NaiveDate;
use chrono_tz::Asia::Tokyo;
use futures::future::BoxFuture;

use super::{tests::pdf, *};
use crate::{
    blobs::{Blobs, Place},
    crypto::{
        CryptoError,
        delivery::{DeliveryKey, artifact_aad},
        stream,
    },
    dispatch::postal::{
        self, Answers, CsvEncoding, FileDrop, FileDropOptions, HandOver, OpenFault, OpenPiece,
        OpenedPiece, PieceId, PostRoom, PostSettings, PostalError, PrintOptions, RoomError, Silent,
        Tick,
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
        outbox::OutboxRow,
        work::{CancelAnswer, Next},
        workers::{self, WorkerRow},
    },
    trial::{FailsAt, Office as Trial, Order, at, on_both},
};

// 15:00 in Tokyo on a Friday.
const CUT_OFF: &str = "2026-11-20T06:00:00Z";

on_both! { "2026-11-20T01:00:00Z" =>
    a_letter_is_handed_over_at_the_cut_off_and_dies_by_its_posting_date
    a_hand_over_that_dies_anywhere_prints_every_letter_once
    a_folder_that_dies_anywhere_prints_every_letter_once
    an_answer_that_dies_anywhere_is_put_on_the_books_once
    a_refused_letter_is_parked_and_the_others_go
    a_silent_partner_starts_the_clock_at_the_hand_over
    a_mute_partner_finds_nothing_after_a_week
    words_said_twice_or_in_the_wrong_order_count_once
    half_written_answers_lose_nothing
    a_returned_letter_has_a_clock_of_its_own
    one_bad_address_holds_up_no_other_letter
    a_letter_that_does_not_open_holds_up_no_other
    what_a_partner_cannot_know_is_not_believed
    a_flood_of_letters_goes_in_several_batches
    a_letter_can_be_cancelled_until_it_is_in_a_batch
    a_batch_of_a_living_worker_is_left_alone_and_that_of_a_dead_one_adopted
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

struct Quiet;

impl postal::Announce for Quiet {
    fn announce(&self, _news: &postal::News<'_>) -> Result<Option<OutboxRow>, CryptoError> {
        Ok(None)
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

/// The rest of the way after a crash: hand over, hear, post, hear.
async fn to_the_end(post: &Post) {
    post.hand_over().await;
    post.hear().await;
    post.wait_hours(18).await;
    post.hear().await;
}

async fn a_hand_over_that_dies_anywhere_prints_every_letter_once(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    for step in 0.. {
        let run_at = post.office.now();
        let order = post.order();
        let letters = [post.letter_for(&order, run_at).await, post.letter_for(&order, run_at).await];
        post.office.wait(TimeDelta::seconds(1)).await;
        let fuse = FailsAt::the(step);
        let db = post.office.db_with(fuse.clone());
        let room = post.room_with(db, post.drop.clone(), post.office.epoch);
        let died = HandOver(room).tick().await.is_err();
        assert_eq!(died, fuse.blew(), "step {step}: the tick reports its failure");
        // The partner may look at any time, also in the middle.
        if step % 2 == 0 {
            post.hear().await;
        }
        to_the_end(&post).await;
        for id in letters {
            assert_eq!(post.times_printed(id), 1, "step {step}: printed once");
            assert_eq!(post.stage(id).await, Stage::Dispatched, "step {step}: dispatched");
            assert!(post.office.job(id).await.purge_at.is_some(), "step {step}: its clock runs");
            assert!(post.count(id, Kind::HandedOver).await <= 1, "step {step}: on record once");
            assert_eq!(post.count(id, Kind::Posted).await, 1, "step {step}: posted once");
        }
        assert!(!post.documents_lie_about(), "step {step}: the folder is empty");
        if !died {
            assert!(step >= 6, "every commit was rehearsed, not only {step}");
            return;
        }
    }
}

async fn a_folder_that_dies_anywhere_prints_every_letter_once(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    for step in 0.. {
        let run_at = post.office.now();
        let id = post.letter_for(&post.order(), run_at).await;
        post.office.wait(TimeDelta::seconds(1)).await;
        let left = AtomicUsize::new(step);
        let drop = post.drop.rehearsing(move |name| {
            let left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            left.map(|_| ()).map_err(|_| PostalError::Rehearsed(name))
        });
        let room = post.room_with(post.office.db.clone(), drop, post.office.epoch);
        let died = HandOver(Arc::clone(&room)).tick().await.is_err();
        post.theirs.tick().await.unwrap();
        let deaf = Answers(room).tick().await.is_err();
        to_the_end(&post).await;
        assert_eq!(post.times_printed(id), 1, "step {step}: printed once");
        assert_eq!(post.stage(id).await, Stage::Dispatched, "step {step}: dispatched");
        assert_eq!(post.count(id, Kind::Dispatched).await, 1, "step {step}: on record once");
        assert_eq!(post.count(id, Kind::Posted).await, 1, "step {step}: posted once");
        assert!(!post.documents_lie_about(), "step {step}: the folder is empty");
        if !died && !deaf {
            assert!(step >= 12, "every step of the folder was rehearsed, not only {step}");
            return;
        }
    }
}

async fn an_answer_that_dies_anywhere_is_put_on_the_books_once(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    for step in 0.. {
        let run_at = post.office.now();
        let order = post.order();
        let letters = [post.letter_for(&order, run_at).await, post.letter_for(&order, run_at).await];
        post.office.wait(TimeDelta::seconds(1)).await;
        post.hand_over().await;
        post.theirs.tick().await.unwrap();
        let fuse = FailsAt::the(step);
        let db = post.office.db_with(fuse.clone());
        let room = post.room_with(db, post.drop.clone(), post.office.epoch);
        let died = Answers(room).tick().await.is_err();
        assert_eq!(died, fuse.blew(), "step {step}: the tick reports its failure");
        to_the_end(&post).await;
        for id in letters {
            assert_eq!(post.stage(id).await, Stage::Dispatched, "step {step}: dispatched");
            assert_eq!(post.count(id, Kind::Dispatched).await, 1, "step {step}: on record once");
            assert_eq!(post.count(id, Kind::Posted).await, 1, "step {step}: posted once");
        }
        if !died {
            assert!(step >= 4, "every commit was rehearsed, not only {step}");
            return;
        }
    }
}

async fn a_refused_letter_is_parked_and_the_others_go(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::RejectsOne]);
    let order = post.order();
    let letters = [post.letter(&order).await, post.letter(&order).await];
    post.after_cut_off().await;
    post.hand_over().await;
    post.hear().await;
    let first = post.office.job(letters[0]).await;
    assert_eq!(first.stage, Stage::Parked, "the refused one needs a person");
    assert_eq!(first.reason.as_deref(), Some("partner_rejected"), "with the reason");
    assert_eq!(post.count(letters[0], Kind::PartnerRejected).await, 1, "on record");
    assert_eq!(post.stage(letters[1]).await, Stage::Dispatched, "the other one goes");
    assert!(!post.documents_lie_about(), "an answer for each: the folder is emptied");
}

async fn a_silent_partner_starts_the_clock_at_the_hand_over(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Silent]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    post.hand_over().await;
    post.hear().await;
    let silent = Silent(post.room());
    post.office.wait(TimeDelta::days(7) - TimeDelta::microseconds(1)).await;
    assert_eq!(silent.tick().await.unwrap(), Tick::Idle, "a week is a week");
    post.office.wait(TimeDelta::microseconds(1)).await;
    assert_eq!(silent.tick().await.unwrap(), Tick::Worked(1), "now it is silent");
    assert_eq!(silent.tick().await.unwrap(), Tick::Idle, "noticed once");
    let row = post.office.job(id).await;
    assert_eq!(row.purge_at, Some(purge_of("2026-11-20")), "from the hand-over");
    assert_eq!(row.stage, Stage::Dispatched, "the partner has taken it, after all");
    assert_eq!(post.count(id, Kind::Parked).await, 1, "a person is told");
    assert!(post.office.document(&row).await.is_some(), "it can be read until then");
}

async fn a_mute_partner_finds_nothing_after_a_week(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Mute]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    post.hand_over().await;
    post.hear().await;
    assert!(post.documents_lie_about(), "not taken yet");
    post.office.wait(TimeDelta::days(7)).await;
    assert_eq!(Silent(post.room()).tick().await.unwrap(), Tick::Worked(1), "noticed");
    let row = post.office.job(id).await;
    assert_eq!((row.stage, row.reason.as_deref()), (Stage::Parked, Some("partner_silent")), "parked");
    assert_eq!(row.purge_at, Some(purge_of("2026-11-20")), "the clock runs all the same");
    assert!(!post.documents_lie_about(), "no plain document outlives the week");
}

async fn words_said_twice_or_in_the_wrong_order_count_once(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Twice, Day::OutOfOrder]);
    for _ in 0..2 {
        let run_at = post.office.now();
        let id = post.letter_for(&post.order(), run_at).await;
        post.office.wait(TimeDelta::seconds(1)).await;
        post.hand_over().await;
        post.hear().await;
        assert_eq!(post.stage(id).await, Stage::Dispatched, "dispatched by the first word");
        post.wait_hours(18).await;
        post.hear().await;
        assert_eq!(post.stage(id).await, Stage::Dispatched, "moved by nothing that follows");
        assert_eq!(post.count(id, Kind::Posted).await, 1, "posted once");
        assert!(post.count(id, Kind::Dispatched).await <= 1, "accepted at most once");
        assert!(post.office.job(id).await.purge_at.is_some(), "the clock runs");
        assert_eq!(post.times_printed(id), 1, "printed once");
    }
    assert!(post.rejected().is_empty(), "late words are no errors");
}

async fn half_written_answers_lose_nothing(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::HalfWritten, Day::Broken]);
    for day in [Day::HalfWritten, Day::Broken] {
        let run_at = post.office.now();
        let id = post.letter_for(&post.order(), run_at).await;
        post.office.wait(TimeDelta::seconds(1)).await;
        post.hand_over().await;
        post.hear().await;
        assert_eq!(post.stage(id).await, Stage::Sealed, "{day:?}: half a word is none");
        post.hear().await;
        assert_eq!(post.stage(id).await, Stage::Dispatched, "{day:?}: the whole one counts");
        post.wait_hours(18).await;
        post.hear().await;
        post.hear().await;
        assert_eq!(post.count(id, Kind::Posted).await, 1, "{day:?}: posted");
    }
    assert!(!post.rejected().is_empty(), "what was broken is kept for a person");
}

async fn a_returned_letter_has_a_clock_of_its_own(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Returns]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    post.hand_over().await;
    post.hear().await;
    post.wait_hours(18).await;
    post.hear().await;
    assert_eq!(post.office.job(id).await.purge_at, Some(purge_of("2026-11-21")), "posted");
    post.office.wait(TimeDelta::days(10)).await;
    post.hear().await;
    let row = post.office.job(id).await;
    assert_eq!(row.stage, Stage::Undeliverable, "it came back");
    assert_eq!(row.reason.as_deref(), Some("letter_returned"), "with the reason");
    assert_eq!(row.purge_at, Some(purge_of("2026-12-01")), "a month from its processing");
    assert_eq!(post.count(id, Kind::Returned).await, 1, "on record");
    assert!(post.office.document(&row).await.is_some(), "its key moved with its clock");
    assert_eq!(post.times_printed(id), 1, "never resent by itself");
}

async fn one_bad_address_holds_up_no_other_letter(office: Trial) {
    let post = Post::open(office, CsvEncoding::Cp932, &[]);
    let good = post.letter(&post.order()).await;
    let bad = Order { address: "東京都港区𠮷野1".to_owned(), ..post.order() };
    let bad = post.letter(&bad).await;
    post.after_cut_off().await;
    assert_eq!(post.hand_over().await, Tick::Worked(1), "one goes");
    post.hear().await;
    assert_eq!(post.stage(good).await, Stage::Dispatched, "the good one");
    let row = post.office.job(bad).await;
    assert_eq!((row.stage, row.reason.as_deref()), (Stage::Parked, Some("cp932_unmappable")), "bad");
    assert_eq!(post.count(bad, Kind::Parked).await, 1, "on record");
    assert_eq!(post.times_printed(bad), 0, "and never with a question mark");
}

async fn a_letter_that_does_not_open_holds_up_no_other(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let good = post.letter(&post.order()).await;
    // Its pages were counted, but its bytes are not what was sealed.
    let order = post.order();
    let broken = post.letter(&order).await;
    let row = post.office.job(broken).await;
    let mut tx = post.office.db.begin().await.unwrap();
    let day = row.purge_day;
    let rewrap = crate::store::retention::rewrap(&mut tx, broken, day, day + 1, b"nonsense");
    assert!(rewrap.await.unwrap(), "a broken wrap on the books");
    tx.commit().await.unwrap();
    post.after_cut_off().await;
    assert_eq!(post.hand_over().await, Tick::Worked(1), "one goes");
    let row = post.office.job(broken).await;
    let parked = (Stage::Parked, Some("payload_unreadable"));
    assert_eq!((row.stage, row.reason.as_deref()), parked, "the other needs a person");
    post.hear().await;
    assert_eq!(post.stage(good).await, Stage::Dispatched, "and holds up nobody");
}

async fn what_a_partner_cannot_know_is_not_believed(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Mute]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    post.hand_over().await;
    let marker = fs::read_dir(post.root.join("sent")).unwrap().next().unwrap().unwrap();
    let batch = marker.file_name().into_string().unwrap();
    let piece = PieceId::of(id);
    let stranger = PieceId::of(crate::trial::nobody());
    let other = "01982a2e-7c00-7000-8000-0000000000ff";
    let csv = format!(
        "batch,piece,answer,date\n\
         {batch},{piece},posted,2099-01-01\n\
         {batch},{piece},posted,2020-01-01\n\
         {batch},{piece},returned,2031-01-01\n\
         {batch},{stranger},accepted,\n\
         {other},{piece},accepted,\n"
    );
    fs::write(post.root.join("in/lies.csv"), csv).unwrap();
    fs::write(post.root.join("in/lies.csv.done"), b"").unwrap();
    assert_eq!(post.hear().await, Tick::Idle, "nothing moves");
    let row = post.office.job(id).await;
    assert_eq!((row.stage, row.purge_at), (Stage::Sealed, None), "not a bit");
    let rejected = post.rejected();
    assert_eq!(rejected.len(), 1, "kept for a person");
    for (row, code) in [
        (1, "implausible_date"),
        (2, "implausible_date"),
        (3, "implausible_date"),
        (4, "unknown_piece"),
        (5, "unknown_piece"),
    ] {
        let fault = format!(r#"{{"row":{row},"code":"{code}"}}"#);
        assert!(rejected[0].contains(&fault), "{fault} in {}", rejected[0]);
    }
    assert!(post.documents_lie_about(), "lies empty no folder");
}

async fn a_flood_of_letters_goes_in_several_batches(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let order = post.order();
    let mut letters = Vec::new();
    for _ in 0..7 {
        letters.push(post.letter(&order).await);
    }
    let late = post.letter_for(&order, at(CUT_OFF) + TimeDelta::days(3)).await;
    post.after_cut_off().await;
    let mut room = Arc::into_inner(post.room()).unwrap();
    room.settings.batch_pieces_max = 5;
    room.settings.batch_bytes_max = u64::try_from(order.pdf.len()).unwrap() * 3;
    let hand_over = HandOver(Arc::new(room));
    let mut sizes = Vec::new();
    while let Tick::Worked(size) = hand_over.tick().await.unwrap() {
        sizes.push(size);
    }
    assert_eq!(sizes, [3, 3, 1], "by bytes and by count");
    post.hear().await;
    for id in &letters {
        assert_eq!(post.times_printed(*id), 1, "each letter once");
        assert_eq!(post.stage(*id).await, Stage::Dispatched, "each letter");
    }
    assert_eq!(post.stage(late).await, Stage::Sealed, "the one for Monday waits");
    assert_eq!(fs::read_dir(post.root.join("sent")).unwrap().count(), 3, "three batches");
}

async fn a_letter_can_be_cancelled_until_it_is_in_a_batch(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let order = post.order();
    let (stays, goes) = (post.letter(&order).await, post.letter(&order).await);
    assert_eq!(post.office.cancel(stays).await, CancelAnswer::Cancelled, "before the cut-off");
    post.after_cut_off().await;
    // The batch is on the books, and then the power fails.
    let fuse = FailsAt::the(3);
    let room = post.room_with(post.office.db_with(fuse), post.drop.clone(), post.office.epoch);
    assert!(HandOver(room).tick().await.is_err(), "dies before the receipt");
    assert_eq!(post.office.cancel(goes).await, CancelAnswer::Sending, "it may be leaving");
    to_the_end(&post).await;
    assert_eq!(post.times_printed(stays), 0, "the cancelled one is not printed");
    assert_eq!(post.times_printed(goes), 1, "the other one is");
}

async fn a_batch_of_a_living_worker_is_left_alone_and_that_of_a_dead_one_adopted(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    let now = post.office.now();
    let worker = WorkerRow {
        epoch: post.office.epoch,
        host: "here".to_owned(),
        boot_id: "boot".to_owned(),
        roles: "work".to_owned(),
        started_at: now,
        alive_until: now + TimeDelta::minutes(1),
        stopped_at: None,
    };
    let mut tx = post.office.db.begin().await.unwrap();
    workers::register(&mut tx, &worker).await.unwrap();
    tx.commit().await.unwrap();
    let fuse = FailsAt::the(3);
    let room = post.room_with(post.office.db_with(fuse), post.drop.clone(), post.office.epoch);
    assert!(HandOver(room).tick().await.is_err(), "dies before the receipt");

    let epoch = Epoch(post.office.entropy.id(now).unwrap());
    let other = HandOver(post.room_with(post.office.db.clone(), post.drop.clone(), epoch));
    assert_eq!(other.tick().await.unwrap(), Tick::Idle, "its maker may be at it");
    post.office.wait(TimeDelta::minutes(2)).await;
    assert_eq!(other.tick().await.unwrap(), Tick::Worked(1), "its maker is dead");
    post.hear().await;
    assert_eq!(post.times_printed(id), 1, "printed once");
    assert_eq!(post.stage(id).await, Stage::Dispatched, "by the other worker");
}

#[test]
fn an_error_of_the_room_never_repeats_its_source() {
    use std::error::Error as _;
    let error = RoomError::from(PostalError::Rehearsed("here"));
    let source = error.source().unwrap().to_string();
    assert!(!error.to_string().contains(&source), "{error} / {source}");
}

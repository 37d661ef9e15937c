//! The simulator, fed by the real adapter.
#![expect(clippy::arithmetic_side_effects, reason = "tests count small things")]

use std::sync::Arc;

use chrono_tz::Asia::Tokyo;
use lopdf::{Document, Object, dictionary};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    clock::{Clock as _, HandClock},
    dispatch::postal::{
        Batch, CsvEncoding, FileDrop, FileDropOptions, Inbox, Partner as _, Piece, PieceId,
        PostalLines, PrintOptions, Said,
    },
    domain::ids::{BatchId, JobId},
};

struct Desk {
    dir: TempDir,
    clock: Arc<HandClock>,
    ours: FileDrop,
    theirs: PrintPartner,
    batches: u128,
}

pub(super) fn pdf(pages: usize) -> Vec<u8> {
    let mut document = Document::with_version("1.7");
    let root = document.new_object_id();
    let kids: Vec<Object> = (0..pages)
        .map(|_| {
            let page = dictionary! {
                "Type" => "Page", "Parent" => root,
                "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
            };
            document.add_object(page).into()
        })
        .collect();
    let count = i64::try_from(pages).unwrap();
    let tree = dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count };
    document.objects.insert(root, Object::Dictionary(tree));
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => root });
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn letter(number: u128, pages: usize, claimed: u32) -> Piece {
    let job = JobId(Uuid::from_u128(number));
    let pdf = pdf(pages);
    Piece {
        id: PieceId::of(job),
        job,
        sha256: sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&pdf))
            .into(),
        pdf: crate::domain::plain::Plain::new(pdf),
        pages: claimed,
        address: PostalLines {
            postal_code: "100-0001".to_owned(),
            lines: vec!["東京都千代田区千代田1-1".to_owned(), "桔梗 御中".to_owned()],
        },
        options: PrintOptions::default(),
    }
}

impl Desk {
    fn with(days: impl IntoIterator<Item = Day>) -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(HandClock::starting_at("2026-11-20T06:00:00Z".parse().unwrap()));
        let ours = FileDrop::open(FileDropOptions {
            name: "simulator".to_owned(),
            root: dir.path().to_owned(),
            may_carry_correspondence: true,
            csv: CsvEncoding::Utf8,
            wrapping: None,
        })
        .unwrap();
        let theirs =
            PrintPartner::open(dir.path(), clock.clone(), Tokyo, Script::of(days)).unwrap();
        Self { dir, clock, ours, theirs, batches: 0 }
    }

    async fn hand_over(&mut self, pieces: Vec<Piece>) -> Batch {
        self.batches += 1;
        let now = self.clock.as_ref().now();
        let id = BatchId(Uuid::from_u128(self.batches));
        let batch = Batch { id, partner: "simulator".to_owned(), cutoff_at: now, made_at: now };
        self.ours.hand_over(&batch, pieces.into()).await.unwrap();
        batch
    }

    /// One look of the partner, then everything it said, acknowledged.
    async fn hear(&self) -> Inbox {
        self.theirs.tick().await.unwrap();
        let inbox = self.ours.answers().await.unwrap();
        for file in &inbox.files {
            self.ours.acknowledge(file).await.unwrap();
        }
        inbox
    }

    async fn said(&self) -> Vec<Said> {
        let inbox = self.hear().await;
        inbox.files.into_iter().flat_map(|file| file.rows).map(|row| row.said).collect()
    }

    fn later(&self) {
        self.clock.advance(TimeDelta::hours(18));
    }
}

const fn posted(day: &str) -> impl Fn() -> Said {
    move || Said::Posted { on: day.parse().unwrap() }
}

#[tokio::test]
async fn a_good_batch_is_accepted_and_then_posted() {
    let mut desk = Desk::with([]);
    desk.hand_over(vec![letter(1, 2, 2), letter(2, 1, 1)]).await;
    assert_eq!(desk.said().await, [Said::Accepted, Said::Accepted], "at once");
    assert!(desk.said().await.is_empty(), "and only once");
    desk.later();
    // 15:00 + 18 h in Tokyo is the next morning.
    let on = posted("2026-11-21");
    assert_eq!(desk.said().await, [on(), on()], "the day it says is Tokyo's");
    assert_eq!(desk.theirs.printed().len(), 2, "both were printed");
}

#[tokio::test]
async fn what_differs_from_its_manifest_is_refused() {
    let mut desk = Desk::with([]);
    let mut forged = letter(2, 1, 1);
    forged.sha256 = [0; 32];
    let mut garbled = letter(3, 1, 1);
    garbled.pdf = crate::domain::plain::Plain::new(b"no pdf".to_vec());
    garbled.sha256 =
        sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(b"no pdf")).into();
    desk.hand_over(vec![letter(1, 2, 3), forged, garbled, letter(4, 1, 1)]).await;
    let said = desk.said().await;
    let reasons: Vec<_> = said
        .iter()
        .map(|said| match said {
            Said::Rejected { reason } => reason.as_str(),
            Said::Accepted | Said::Posted { .. } | Said::Returned { .. } => "accepted",
        })
        .collect();
    assert_eq!(reasons, ["page_count", "hash_mismatch", "unreadable_pdf", "accepted"], "each");
    desk.later();
    assert_eq!(desk.said().await.len(), 1, "only what was printed is posted");
}

#[tokio::test]
async fn an_unmarked_batch_is_not_touched() {
    let mut desk = Desk::with([]);
    let batch = desk.hand_over(vec![letter(1, 1, 1)]).await;
    fs::remove_file(desk.dir.path().join(format!("out/{}.done", batch.id))).unwrap();
    assert_eq!(desk.theirs.tick().await.unwrap(), PartnerTick::default(), "not ready");
}

#[tokio::test]
async fn every_bad_day_is_bad_in_its_own_way() {
    let days = [Day::RejectsOne, Day::Silent, Day::Mute, Day::Twice, Day::Returns];
    let mut desk = Desk::with(days);
    let mut heard = Vec::new();
    for _ in days {
        let number = desk.batches * 2 + 1;
        desk.hand_over(vec![letter(number, 1, 1), letter(number + 1, 1, 1)]).await;
        let at_once = desk.said().await.len();
        desk.later();
        let later = desk.said().await.len();
        heard.push((at_once, later));
    }
    assert_eq!(heard, [(2, 1), (2, 0), (0, 0), (4, 4), (2, 2)], "answers per day");
    desk.clock.advance(TimeDelta::days(10));
    let back = desk.said().await;
    assert!(matches!(&back[..], [Said::Returned { .. }]), "one letter comes back: {back:?}");
}

#[tokio::test]
async fn out_of_order_means_posted_before_accepted() {
    let mut desk = Desk::with([Day::OutOfOrder]);
    desk.hand_over(vec![letter(1, 1, 1)]).await;
    assert!(matches!(desk.said().await[..], [Said::Posted { .. }]), "posted first");
    desk.later();
    assert_eq!(desk.said().await, [Said::Accepted], "accepted afterwards");
}

#[tokio::test]
async fn half_a_file_is_ignored_until_it_is_marked() {
    let mut desk = Desk::with([Day::HalfWritten]);
    desk.hand_over(vec![letter(1, 1, 1)]).await;
    let first = desk.hear().await;
    assert!(first.files.is_empty() && first.refused.is_empty(), "nothing to see yet");
    assert_eq!(desk.said().await, [Said::Accepted], "now it is whole");
}

#[tokio::test]
async fn half_a_file_with_a_marker_is_put_aside_and_the_next_one_counts() {
    let mut desk = Desk::with([Day::Broken]);
    desk.hand_over(vec![letter(1, 1, 1)]).await;
    assert_eq!(desk.hear().await.refused.len(), 1, "half a JSON file is none");
    assert_eq!(desk.said().await, [Said::Accepted], "the whole one");
    assert!(desk.said().await.is_empty(), "that was all");
}

#[tokio::test]
async fn a_restarted_partner_prints_nothing_twice() {
    let mut desk = Desk::with([]);
    desk.hand_over(vec![letter(1, 1, 1)]).await;
    desk.said().await;
    desk.theirs =
        PrintPartner::open(desk.dir.path(), desk.clock.clone(), Tokyo, Script::default()).unwrap();
    assert_eq!(desk.theirs.tick().await.unwrap(), PartnerTick::default(), "it knows the batch");
    assert_eq!(desk.theirs.printed().len(), 1, "printed once");
    desk.later();
    assert_eq!(desk.said().await.len(), 1, "and still says when it was posted");
}

//! The folder between us and a print partner, broken at every step and fed
//! with everything that a partner's machine could leave in it.
#![expect(clippy::arithmetic_side_effects, reason = "tests count small things")]

mod answers;
mod manifest;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;
use uuid::Uuid;

use super::*;

const BATCH: &str = "01982a2e-7c00-7000-8000-0000000000b1";

struct Hatch {
    dir: TempDir,
    drop: FileDrop,
}

impl Hatch {
    fn new() -> Self {
        Self::with(CsvEncoding::Utf8, None)
    }

    fn with(csv: CsvEncoding, wrapping: Option<Arc<dyn Wrapping>>) -> Self {
        let dir = TempDir::new().unwrap();
        let drop = FileDrop::open(FileDropOptions {
            name: "nexdrop".to_owned(),
            root: dir.path().join("partner"),
            may_carry_correspondence: true,
            csv,
            wrapping,
        })
        .unwrap();
        Self { dir, drop }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("partner").join(path)
    }

    fn stands(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// The partner leaves an answer file with its marker.
    fn answer(&self, name: &str, bytes: &[u8]) {
        fs::write(self.at("in").join(name), bytes).unwrap();
        fs::write(self.at("in").join(format!("{name}.done")), b"").unwrap();
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.at(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn batch() -> Batch {
    Batch {
        id: BATCH.parse().unwrap(),
        partner: "nexdrop".to_owned(),
        cutoff_at: "2026-11-20T06:00:00Z".parse().unwrap(),
        made_at: "2026-11-20T06:00:01Z".parse().unwrap(),
    }
}

fn address(lines: &[&str]) -> PostalLines {
    PostalLines {
        postal_code: "100-0001".to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn piece(number: u128, address: PostalLines) -> Piece {
    let job = JobId(Uuid::from_u128(0x0198_2a2e_7c00_7000_8000_0000_0000_0000 + number));
    let pdf = format!("%PDF-1.7 letter {number}").into_bytes();
    let sha256 = Sha256::digest(&pdf).into();
    let id = PieceId::of(job);
    let options = PrintOptions { duplex: true, colour: false };
    Piece { id, job, pdf: Plain::new(pdf), pages: 2, sha256, address, options }
}

fn pieces() -> Arc<[Piece]> {
    Arc::from(vec![
        piece(1, address(&["東京都千代田区千代田1-1", "株式会社 桔梗 御中"])),
        piece(2, address(&["北海道札幌市中央区大通西2", "山田 花子 様"])),
    ])
}

/// What the partner would find: nothing, or all of it.
fn seen_by_partner(hatch: &Hatch, pieces: &[Piece]) -> bool {
    if !hatch.stands(&format!("out/{BATCH}.done")) {
        return false;
    }
    for piece in pieces {
        let pdf = fs::read(hatch.at(&format!("out/{BATCH}/{}.pdf", piece.id))).unwrap();
        assert_eq!(pdf, *piece.pdf, "a marked batch holds whole PDFs");
    }
    let json = fs::read(hatch.at(&format!("out/{BATCH}/manifest.json"))).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["pieces"].as_array().unwrap().len(), pieces.len(), "the manifest names all");
    assert!(hatch.stands(&format!("out/{BATCH}/manifest.csv")), "both manifests are there");
    true
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_nothing_or_a_whole_batch() {
    for step in 0.. {
        let hatch = Hatch::new();
        let left = AtomicUsize::new(step);
        let dying = hatch.drop.rehearsing(move |name| {
            match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
                Ok(_) => Ok(()),
                Err(_) => Err(PostalError::Rehearsed(name)),
            }
        });
        let died = dying.hand_over(&batch(), pieces()).await.is_err();
        let visible = seen_by_partner(&hatch, &pieces());
        assert_eq!(visible, hatch.drop.knows(&batch()).await.unwrap(), "step {step}: knows");

        // The next life finishes the job, and removes what was half-made.
        hatch.drop.tidy().await.unwrap();
        let receipt = hatch.drop.hand_over(&batch(), pieces()).await.unwrap();
        assert_eq!(receipt.repeated, visible, "step {step}: handed over exactly once");
        assert!(seen_by_partner(&hatch, &pieces()), "step {step}: the batch is whole");
        assert_eq!(hatch.names("out"), [BATCH.to_owned(), format!("{BATCH}.done")], "step {step}");
        if !died {
            assert!(step > 8, "every durable step was rehearsed, not only {step}");
            return;
        }
    }
}

#[tokio::test]
async fn the_done_marker_is_the_last_thing_and_follows_our_receipt() {
    let hatch = Hatch::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, root) = (Arc::clone(&seen), hatch.at(""));
    let watching = hatch.drop.rehearsing(move |name| {
        let stands = |path: String| root.join(path).exists();
        log.lock().unwrap().push((
            name,
            stands(format!("out/{BATCH}")),
            stands(format!("sent/{BATCH}")),
            stands(format!("out/{BATCH}.done")),
        ));
        Ok(())
    });
    watching.hand_over(&batch(), pieces()).await.unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            ("clear", false, false, false),
            ("folder", false, false, false),
            ("pdf", false, false, false),
            ("pdf", false, false, false),
            ("manifest.json", false, false, false),
            ("manifest.csv", false, false, false),
            ("sync", false, false, false),
            ("rename", false, false, false),
            ("receipt", true, false, false),
            ("done", true, true, false),
            ("after done", true, true, true),
        ],
        "files, sync, rename, receipt, marker"
    );
}

#[tokio::test]
async fn a_batch_the_partner_took_away_is_not_laid_out_again() {
    let hatch = Hatch::new();
    hatch.drop.hand_over(&batch(), pieces()).await.unwrap();
    fs::remove_dir_all(hatch.at(&format!("out/{BATCH}"))).unwrap();
    fs::remove_file(hatch.at(&format!("out/{BATCH}.done"))).unwrap();
    assert!(hatch.drop.knows(&batch()).await.unwrap(), "our receipt remembers");
    let again = hatch.drop.hand_over(&batch(), pieces()).await.unwrap();
    assert!(again.repeated, "the same batch twice is one hand-over");
    assert!(hatch.names("out").is_empty(), "and lays out nothing");
}

#[tokio::test]
async fn an_emptied_batch_leaves_no_document_and_stays_known() {
    for step in 0..3 {
        let hatch = Hatch::new();
        hatch.drop.hand_over(&batch(), pieces()).await.unwrap();
        let left = AtomicUsize::new(step);
        let dying = hatch.drop.rehearsing(move |name| {
            match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
                Ok(_) => Ok(()),
                Err(_) => Err(PostalError::Rehearsed(name)),
            }
        });
        assert_eq!(dying.empty(&batch().id).await.is_ok(), step == 2, "dies at step {step}");
        hatch.drop.empty(&batch().id).await.unwrap();
        hatch.drop.empty(&batch().id).await.unwrap();
        assert!(hatch.names("out").is_empty(), "nothing of the batch is left");
        assert!(hatch.drop.knows(&batch()).await.unwrap(), "it is still known");
    }
}

#[tokio::test]
async fn only_our_account_may_read_a_hand_over() {
    let hatch = Hatch::new();
    hatch.drop.hand_over(&batch(), pieces()).await.unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for folder in ["out", "in", "sent", "in/done", "in/rejected", &format!("out/{BATCH}")] {
        assert_eq!(mode(hatch.at(folder)), 0o700, "{folder}");
    }
    for entry in fs::read_dir(hatch.at(&format!("out/{BATCH}"))).unwrap() {
        assert_eq!(mode(entry.unwrap().path()), 0o600, "every file of the batch");
    }
    assert_eq!(mode(hatch.at(&format!("out/{BATCH}.done"))), 0o600, "the marker");
}

#[tokio::test]
async fn left_over_folders_are_tidied_and_whole_ones_are_not() {
    let hatch = Hatch::new();
    hatch.drop.hand_over(&batch(), pieces()).await.unwrap();
    fs::create_dir(hatch.at("out/x.tmp")).unwrap();
    fs::write(hatch.at("out/x.tmp/letter.pdf"), b"half").unwrap();
    fs::write(hatch.at("out/y.done.tmp"), b"").unwrap();
    assert_eq!(hatch.drop.tidy().await.unwrap(), 2, "two left-overs");
    assert!(seen_by_partner(&hatch, &pieces()), "the batch stands");
    assert_eq!(hatch.drop.tidy().await.unwrap(), 0, "twice is once");
}

#[tokio::test]
async fn nobody_tidies_while_a_batch_is_laid_out() {
    let hatch = Hatch::new();
    let other = hatch.drop.clone();
    let watching = hatch.drop.rehearsing(move |name| {
        if name == "rename" {
            // Another worker comes by in the middle.
            let tidied =
                std::thread::scope(|scope| scope.spawn(|| other.tidy_now()).join().unwrap());
            assert_eq!(tidied.unwrap(), 0, "it leaves the batch alone");
        }
        Ok(())
    });
    watching.hand_over(&batch(), pieces()).await.unwrap();
    assert!(seen_by_partner(&hatch, &pieces()), "the batch is whole");
}

#[derive(Debug)]
struct Mirrored;

impl Wrapping for Mirrored {
    fn ending(&self) -> &'static str {
        ".mirrored"
    }
    fn wrap(&self, plain: &[u8]) -> Result<Vec<u8>, PostalError> {
        Ok(plain.iter().map(|byte| !byte).collect())
    }
}

#[tokio::test]
async fn a_partner_who_can_decrypt_gets_no_plain_byte() {
    let hatch = Hatch::with(CsvEncoding::Utf8, Some(Arc::new(Mirrored)));
    hatch.drop.hand_over(&batch(), pieces()).await.unwrap();
    let folder = format!("out/{BATCH}");
    for name in hatch.names(&folder) {
        assert!(name.ends_with(".mirrored"), "{name} says that it is wrapped");
        let bytes = fs::read(hatch.at(&folder).join(&name)).unwrap();
        let plain: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        let head = String::from_utf8_lossy(&plain).into_owned();
        assert!(
            head.starts_with("%PDF") || head.starts_with('{') || head.starts_with('\u{feff}'),
            "{name} unwraps to what was meant"
        );
    }
}

#[test]
fn nothing_of_a_letter_is_printed_by_mistake() {
    let piece = piece(1, address(&["SECRET-CANARY"]));
    let shown = format!("{piece:?} {:?}", piece.address);
    assert!(!shown.contains("CANARY") && !shown.contains("PDF"), "{shown}");
}

#[test]
fn the_partner_trait_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<dyn Partner>>();
    assert!(Path::new(BATCH).is_relative(), "a batch id is a plain file name");
}

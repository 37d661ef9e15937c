//! The folder between us and a print partner, broken at every step and fed
//! with everything that a partner's machine could leave in it.
#![expect(clippy::arithmetic_side_effects, reason = "tests count small things")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;
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
    Piece { id, job, pdf: Zeroizing::new(pdf), pages: 2, sha256, address, options }
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
            let tidied = std::thread::scope(|scope| {
                scope.spawn(|| other.tidy_now()).join().unwrap()
            });
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

fn csv_rows(bytes: &[u8]) -> Vec<Vec<String>> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(bytes)
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

#[test]
fn both_manifests_say_the_same() {
    let pieces = pieces();
    let name = |piece: &Piece| format!("{}.pdf", piece.id);
    let csv = manifest::csv(&batch(), &pieces, CsvEncoding::Utf8, name).unwrap();
    assert!(csv.starts_with(b"\xef\xbb\xbf"), "a spreadsheet believes UTF-8 only with the mark");
    let rows = csv_rows(&csv[3..]);
    let json: serde_json::Value =
        serde_json::from_slice(&manifest::json(&batch(), &pieces, name).unwrap()).unwrap();
    assert_eq!(json["version"], MANIFEST_VERSION, "versioned");
    assert_eq!(json["cutoff_at"], "2026-11-20T06:00:00Z", "the cut-off");
    for (row, (said, piece)) in
        rows[1..].iter().zip(json["pieces"].as_array().unwrap().iter().zip(pieces.iter()))
    {
        assert_eq!(row[0], BATCH, "batch");
        assert_eq!(row[1], piece.id.as_str(), "piece");
        assert_eq!(said["piece"], piece.id.as_str(), "piece");
        assert_eq!(row[2], said["file"], "file");
        assert_eq!((row[3].as_str(), &said["pages"]), ("2", &serde_json::json!(2)), "pages");
        assert_eq!(row[4], said["sha256"], "hash");
        assert_eq!(row[4], manifest::hex(&piece.sha256), "hash");
        assert_eq!((row[5].as_str(), row[6].as_str()), ("yes", "no"), "options");
        assert_eq!(row[7], said["postal_code"], "postal code");
        assert_eq!(said["address"][0], row[8], "address");
        assert_eq!(said["address"][1], row[9], "address");
        assert_eq!(row.len(), 8 + ADDRESS_LINES_MAX, "all rows have the columns of the head");
    }
}

#[test]
fn a_spreadsheet_runs_no_cell_of_a_manifest() {
    let nasty = ["=1+1", "+81", "-2", "@SUM(A1)", "＝cmd", "plain", "a\r\nb", "\t=x"];
    let pieces = [piece(1, address(&nasty))];
    let csv = manifest::csv(&batch(), &pieces, CsvEncoding::Utf8, |_| "f".to_owned()).unwrap();
    let rows = csv_rows(&csv[3..]);
    assert_eq!(
        rows[1][8..],
        ["'=1+1", "'+81", "'-2", "'@SUM(A1)", "'＝cmd", "plain", "ab", "'=x"],
        "disarmed, and one line stays one line"
    );
}

#[test]
fn what_cp932_lacks_is_named_and_never_replaced() {
    let missing = |text: &str| match manifest::check(&address(&[text]), CsvEncoding::Cp932) {
        Err(PieceFault::Unmappable(Unmappable(chars))) => chars.into_iter().collect::<String>(),
        other => format!("{other:?}"),
    };
    assert_eq!(missing("𠮷田 ㋿"), "㋿𠮷", "both are named, once each");
    assert_eq!(missing("葛\u{e0100}飾"), "\u{e0100}", "a variant is not its base form");
    let fault = manifest::check(&address(&["𠮷"]), CsvEncoding::Cp932).unwrap_err();
    assert_eq!(fault.to_string(), "not in CP932: U+20BB7", "code points, not text");
    // All of these exist, the wave dash by agreement.
    let fine = "髙﨑①㈱～－−ﾊﾟ〜";
    assert!(manifest::check(&address(&[fine]), CsvEncoding::Cp932).is_ok(), "Windows has them");
    assert!(manifest::check(&address(&["𠮷"]), CsvEncoding::Utf8).is_ok(), "UTF-8 has all");

    let pieces = [piece(1, address(&[fine]))];
    let csv = manifest::csv(&batch(), &pieces, CsvEncoding::Cp932, |_| "f".to_owned()).unwrap();
    let (text, _, bad) = encoding_rs::SHIFT_JIS.decode(&csv);
    assert!(!bad, "it is CP932");
    assert!(text.contains("髙﨑①㈱～－－ﾊﾟ～"), "and says what was meant: {text}");
    assert!(csv.windows(2).any(|pair| pair == [0xfb, 0xfc]), "髙 is fbfc");
    let refused =
        manifest::csv(&batch(), &[piece(1, address(&["𠮷"]))], CsvEncoding::Cp932, |_| {
            "f".to_owned()
        });
    assert!(matches!(refused, Err(PostalError::Piece(_))), "no manifest with a question mark");
}

#[test]
fn an_address_of_nine_lines_is_refused() {
    let nine = address(&["x"; 9]);
    assert_eq!(manifest::check(&nine, CsvEncoding::Utf8), Err(PieceFault::TooManyLines), "nine");
    assert!(manifest::check(&address(&["x"; 8]), CsvEncoding::Utf8).is_ok(), "eight");
}

#[test]
fn a_piece_id_survives_being_copied_by_hand() {
    let job = JobId(Uuid::from_u128(7));
    let id = PieceId::of(job);
    assert_eq!(id, PieceId::of(job), "the same after every restart");
    assert_eq!(id.as_str().len(), 13, "thirteen characters");
    assert_eq!(PieceId::parse(id.as_str()), Some(id.clone()), "it comes back");
    let spoilt: String = id.as_str().to_lowercase().replace('0', "o").replace('1', "l");
    let (head, tail) = spoilt.split_at(5);
    assert_eq!(PieceId::parse(&format!("{head}-{tail}")), Some(id), "misread letters, hyphens");
    for bad in ["", "ABC", "ABCDEFGHJKMNPQ", "ABCDEFGHJKMNU", "ABCDEFGHJKMN!", "ａBCDEFGHJKMNP"] {
        assert_eq!(PieceId::parse(bad), None, "{bad}");
    }
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..5_000_u128 {
        assert!(seen.insert(PieceId::of(JobId(Uuid::from_u128(number)))), "all differ");
    }
}

fn said(piece: &PieceId, rest: &str) -> String {
    format!(r#"{{"version":1,"batch":"{BATCH}","answers":[{{"piece":"{piece}",{rest}}}]}}"#)
}

#[tokio::test]
async fn an_answer_counts_only_with_its_marker_and_is_filed_once() {
    let hatch = Hatch::new();
    let id = PieceId::of(JobId(Uuid::from_u128(7)));
    let text = said(&id, r#""answer":"accepted""#);
    // Half-written: no marker yet.
    fs::write(hatch.at("in/1.json"), &text.as_bytes()[..20]).unwrap();
    assert!(hatch.drop.answers().await.unwrap().files.is_empty(), "the partner is still writing");
    hatch.answer("1.json", text.as_bytes());
    let inbox = hatch.drop.answers().await.unwrap();
    let expected =
        AnswerRow { number: 1, batch: BATCH.parse().unwrap(), piece: id, said: Said::Accepted };
    assert_eq!(inbox.files[0].rows, [expected], "read");
    // Not acknowledged: it comes again.
    assert_eq!(hatch.drop.answers().await.unwrap().files, inbox.files, "again");
    // Acknowledged, with a crash at each step.
    for step in 0..2 {
        let left = AtomicUsize::new(step);
        let dying = hatch.drop.rehearsing(move |name| {
            match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
                Ok(_) => Ok(()),
                Err(_) => Err(PostalError::Rehearsed(name)),
            }
        });
        assert!(dying.acknowledge(&inbox.files[0]).await.is_err(), "dies at {step}");
    }
    assert!(hatch.drop.answers().await.unwrap().files.is_empty(), "filed, marker removed");
    assert_eq!(hatch.names("in"), ["done", "rejected"], "nothing is left lying about");
    assert_eq!(hatch.names("in/done"), ["1.json"], "kept");
    // The same name a second time overwrites nothing.
    hatch.answer("1.json", text.as_bytes());
    let again = hatch.drop.answers().await.unwrap();
    hatch.drop.acknowledge(&again.files[0]).await.unwrap();
    assert_eq!(hatch.names("in/done"), ["1.json", "1.json.1"], "both are kept");
}

#[tokio::test]
async fn hostile_files_are_put_aside_with_a_code_and_nothing_else_happens() {
    let hatch = Hatch::new();
    let deep = "[".repeat(200_000);
    let rows = format!("batch,piece,answer\n{}", "x,y,z\n".repeat(ANSWER_ROWS_MAX + 1));
    let files: [(&str, &[u8], &str); 12] = [
        ("a.json", b"{\"version\":1,\"batch\":\"x\",\"answ", "not_json"),
        ("b.json", b"", "not_json"),
        ("c.json", b"\xff\xfe\x00", "not_json"),
        ("d.json", deep.as_bytes(), "not_json"),
        ("e.json", b"{\"version\":2,\"batch\":\"x\",\"answers\":[]}", "unknown_version"),
        ("f.json", b"{\"version\":1,\"batch\":\"x\",\"answers\":[]}", "empty"),
        ("g.csv", b"", "not_csv"),
        ("h.csv", b"a,b,c\n1,2,3\n", "not_csv"),
        ("i.csv", b"batch,piece,answer\n", "empty"),
        ("j.csv", rows.as_bytes(), "too_many_rows"),
        ("k.exe", b"MZ", "unknown_kind"),
        ("l", b"no ending", "unknown_kind"),
    ];
    for (name, bytes, _) in files {
        hatch.answer(name, bytes);
    }
    hatch.answer("m.json", &vec![b' '; ANSWER_BYTES_MAX + 1]);
    std::os::unix::fs::symlink("/etc/passwd", hatch.at("in/n.json")).unwrap();
    fs::write(hatch.at("in/n.json.done"), b"").unwrap();
    fs::create_dir(hatch.at("in/o.json")).unwrap();
    fs::write(hatch.at("in/o.json.done"), b"").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        hatch.at("in/p.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    fs::create_dir(hatch.at("in/p.json.done")).unwrap();

    let inbox = hatch.drop.answers().await.unwrap();
    assert!(inbox.files.is_empty(), "none of them says anything");
    assert_eq!(inbox.refused.len(), 16, "each is counted");
    assert_eq!(hatch.names("in"), ["done", "rejected"], "and none is looked at again");
    let code = |name: &str| {
        let text = fs::read(hatch.at(&format!("in/rejected/{name}.error.json"))).unwrap();
        let why: serde_json::Value = serde_json::from_slice(&text).unwrap();
        why["code"].as_str().unwrap().to_owned()
    };
    for (name, bytes, expected) in files {
        assert_eq!(code(name), expected, "{name}");
        assert_eq!(fs::read(hatch.at(&format!("in/rejected/{name}"))).unwrap(), bytes, "kept");
    }
    assert_eq!(code("m.json"), "too_large", "longer than it may be");
    for name in ["n.json", "o.json", "p.json"] {
        assert_eq!(code(name), "not_a_file", "{name}");
    }
}

#[tokio::test]
async fn one_bad_row_spoils_no_good_one() {
    let hatch = Hatch::new();
    let id = PieceId::of(JobId(Uuid::from_u128(7)));
    let csv = format!(
        "Batch,Piece,Answer,Date,Reason\r\n\
         {BATCH},{id},posted,2026-11-24,\r\n\
         nonsense,{id},posted,2026-11-24,\r\n\
         {BATCH},{id},posted,24/11/2026,\r\n\
         {BATCH},{id},posted,+2026-1-24,\r\n\
         {BATCH},?,accepted,,\r\n\
         {BATCH},{id},burnt,,\r\n\
         {BATCH}\r\n\
         {BATCH},{id},returned,2026-12-03,moved\r\n\
         {BATCH},{id},rejected,,\"Yamada Hanako, unknown here\"\r\n"
    );
    hatch.answer("rows.csv", csv.as_bytes());
    let inbox = hatch.drop.answers().await.unwrap();
    let file = &inbox.files[0];
    let on = |text: &str| text.parse().unwrap();
    let moved = PartnerWord::of(Some("moved"));
    let said: Vec<&Said> = file.rows.iter().map(|row| &row.said).collect();
    assert_eq!(
        said,
        [
            &Said::Posted { on: on("2026-11-24") },
            &Said::Returned { on: on("2026-12-03"), reason: moved },
            &Said::Rejected { reason: PartnerWord::of(None) },
        ],
        "the good ones, and no word of the free text"
    );
    let faults: Vec<_> = file.faults.iter().map(|fault| (fault.number, fault.code)).collect();
    assert_eq!(
        faults,
        [
            (2, "bad_batch"),
            (3, "bad_date"),
            (4, "bad_date"),
            (5, "bad_piece"),
            (6, "bad_answer"),
            (7, "bad_piece")
        ],
        "each with its number"
    );
    hatch.drop.acknowledge(file).await.unwrap();
    assert_eq!(hatch.names("in/rejected"), ["rows.csv", "rows.csv.error.json"], "for a person");
    let why = fs::read_to_string(hatch.at("in/rejected/rows.csv.error.json")).unwrap();
    assert!(why.contains(r#"{"row":2,"code":"bad_batch"}"#), "which rows: {why}");
}

#[tokio::test]
async fn a_flood_of_answers_is_taken_up_in_portions() {
    let hatch = Hatch::new();
    let id = PieceId::of(JobId(Uuid::from_u128(7)));
    for number in 0..100 {
        hatch.answer(&format!("{number:03}.json"), said(&id, r#""answer":"accepted""#).as_bytes());
    }
    let inbox = hatch.drop.answers().await.unwrap();
    assert_eq!(inbox.files.len(), 64, "a portion");
    assert_eq!(inbox.files[0].name, "000.json", "the oldest name first");
    for file in &inbox.files {
        hatch.drop.acknowledge(file).await.unwrap();
    }
    assert_eq!(hatch.drop.answers().await.unwrap().files.len(), 36, "and the rest");
}

#[test]
fn nothing_of_a_letter_is_printed_by_mistake() {
    let piece = piece(1, address(&["SECRET-CANARY"]));
    let shown = format!("{piece:?} {:?}", piece.address);
    assert!(!shown.contains("CANARY") && !shown.contains("PDF"), "{shown}");
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a.json".to_owned()), Just("a.csv".to_owned()), ".{0,20}"]
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(name in any_name(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(answers::read(&name, &bytes));
    }

    #[test]
    fn no_answer_row_makes_the_reader_panic(cells in prop::collection::vec(".{0,40}", 5..50)) {
        let text = format!("batch,piece,answer,date,reason\n{}", cells.chunks(5).map(|row| row.join(",")).collect::<Vec<_>>().join("\n"));
        drop(answers::read("a.csv", text.as_bytes()));
        let json = serde_json::json!({"version": 1, "batch": cells[0], "answers": [{"piece": cells[1], "answer": cells[2], "date": cells[3], "reason": cells[4]}]});
        let file = answers::read("a.json", json.to_string().as_bytes()).unwrap();
        prop_assert!(file.rows.len() + file.faults.len() == 1, "one row, one way or the other");
    }
}

#[test]
fn the_partner_trait_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<dyn Partner>>();
    assert!(Path::new(BATCH).is_relative(), "a batch id is a plain file name");
}

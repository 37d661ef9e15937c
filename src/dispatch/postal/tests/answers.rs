//! Everything that a partner's machine could leave in the folder.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use proptest::prelude::*;
use uuid::Uuid;

use super::{BATCH, Hatch};
use crate::{
    dispatch::postal::{
        ANSWER_BYTES_MAX, ANSWER_ROWS_MAX, AnswerRow, Partner as _, PartnerWord, PieceId,
        PostalError, Said, answers,
    },
    domain::ids::JobId,
};

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

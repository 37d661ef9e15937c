//! The lists that travel with a batch, and the ids in them.

use uuid::Uuid;

use super::{BATCH, address, batch, piece, pieces};
use crate::{
    dispatch::postal::{
        ADDRESS_LINES_MAX, CsvEncoding, MANIFEST_VERSION, Piece, PieceFault, PieceId, PostalError,
        Unmappable, manifest,
    },
    domain::ids::JobId,
};

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

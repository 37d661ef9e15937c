//! Looking into PDFs in a process that can be lost: whatever the file does, the
//! answer is a word and the caller lives.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use kakitome::{
    app::pdf_child::{Allowance, ChildCheck},
    domain::pdf::{PdfFacts, PdfFlaw},
    intake::inside::{PdfCheck as _, Unchecked},
    render::PdfLimits,
};
use lopdf::{Document, Stream, dictionary};

const PATIENCE: Duration = Duration::from_secs(60);

fn children() -> ChildCheck {
    ChildCheck::of(env!("CARGO_BIN_EXE_kakitome").into(), PdfLimits::default())
}

/// One page, and what `more` adds.
fn pdf(more: impl FnOnce(&mut Document)) -> Vec<u8> {
    let mut document = Document::with_version("1.7");
    let pages = document.new_object_id();
    let page = document.add_object(dictionary! {
        "Type" => "Page", "Parent" => pages,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    });
    let tree = dictionary! { "Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1 };
    document.objects.insert(pages, tree.into());
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    more(&mut document);
    let mut pdf = Vec::new();
    document.save_to(&mut pdf).unwrap();
    pdf
}

async fn is_well(children: &ChildCheck) {
    let facts = children.check(&pdf(|_| ()), PATIENCE).await;
    assert_eq!(facts, Ok(PdfFacts { pages: 1, a4: true }), "the next one is none the worse");
}

#[tokio::test]
async fn a_sound_pdf_has_facts_and_a_bad_one_a_reason() {
    let children = children();
    is_well(&children).await;
    let script = pdf(|document| {
        document.add_object(dictionary! { "S" => "JavaScript", "JS" => "app.alert(1)" });
    });
    let cases: [(&[u8], PdfFlaw); 4] = [
        (&script, PdfFlaw::Javascript),
        (b"", PdfFlaw::NotPdf),
        (b"%PDF-1.7", PdfFlaw::Damaged),
        (&vec![b' '; (20 << 20) + 1], PdfFlaw::TooLarge),
    ];
    for (bytes, flaw) in cases {
        let answer = children.check(bytes, PATIENCE).await;
        assert_eq!(answer, Err(Unchecked::Flawed(flaw)), "{} bytes", bytes.len());
    }
}

/// Many small objects, far larger in memory than in the file.
fn heavy() -> Vec<u8> {
    pdf(|document| {
        for _ in 0..60_000 {
            document.add_object(vec![lopdf::Object::Null; 40]);
        }
    })
}

#[tokio::test]
async fn a_child_that_wants_too_much_memory_dies_alone() {
    fn little(_: usize) -> Allowance {
        Allowance { memory: 192 << 20, cpu_seconds: 60, patience: PATIENCE }
    }
    let heavy = heavy();
    let little = children().with_allowance(little);
    let answer = little.check(&heavy, PATIENCE).await;
    assert_eq!(answer, Err(Unchecked::Flawed(PdfFlaw::TooHeavy)), "{} bytes", heavy.len());
    is_well(&little).await;
    // The same file within the allowance of its size.
    let answer = children().check(&heavy, PATIENCE).await;
    assert_eq!(answer, Ok(PdfFacts { pages: 1, a4: true }), "heavy, but not too heavy");
}

#[tokio::test]
async fn a_child_that_takes_too_long_is_killed() {
    fn brief(_: usize) -> Allowance {
        Allowance { memory: 1 << 30, cpu_seconds: 60, patience: Duration::from_millis(1) }
    }
    let started = Instant::now();
    let answer = children().with_allowance(brief).check(&heavy(), PATIENCE).await;
    assert_eq!(answer, Err(Unchecked::Flawed(PdfFlaw::TooSlow)), "killed");
    assert!(started.elapsed() < Duration::from_secs(30), "at once");
    is_well(&children()).await;
}

#[tokio::test]
async fn bombs_are_defused() {
    use std::io::Write as _;
    let zip = |bytes: &[u8]| {
        let mut zip = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap()
    };
    let folded = zip(&zip(&vec![0; 100 << 20]));
    let bomb = pdf(|document| {
        for _ in 0..200 {
            let filters: Vec<lopdf::Object> = vec!["FlateDecode".into(), "FlateDecode".into()];
            let dictionary = dictionary! { "Filter" => filters };
            document.add_object(Stream::new(dictionary, folded.clone()));
        }
    });
    let answer = children().check(&bomb, PATIENCE).await;
    assert_eq!(answer, Err(Unchecked::Flawed(PdfFlaw::UnpacksTooLarge)), "20 GB in a file");
    let mut brackets = b"%PDF-1.7\n1 0 obj\n".to_vec();
    brackets.extend(vec![b'['; 4 << 20]);
    brackets.extend(b"\nendobj\nxref\n0 2\n0000000000 65535 f \n0000000009 00000 n \ntrailer<</Size 2/Root 1 0 R>>\n");
    let at = brackets.windows(4).rposition(|window| window == b"xref").unwrap();
    brackets.extend(format!("startxref\n{at}\n%%EOF").into_bytes());
    let answer = children().check(&brackets, PATIENCE).await;
    assert!(matches!(answer, Err(Unchecked::Flawed(_))), "four million brackets: {answer:?}");
    is_well(&children()).await;
}

#[tokio::test]
async fn many_at_once_wait_their_turn_and_some_are_told_not_now() {
    let children = children();
    let sound = pdf(|_| ());
    let all = futures::future::join_all((0..20).map(|_| children.check(&sound, PATIENCE))).await;
    assert!(all.iter().all(Result::is_ok), "all have their turn");
    let heavy = heavy();
    let all =
        futures::future::join_all((0..8).map(|_| children.check(&heavy, Duration::ZERO))).await;
    assert!(all.contains(&Err(Unchecked::NotNow)), "no patience, no turn: {all:?}");
}

#[tokio::test]
async fn without_a_program_there_is_no_verdict() {
    let none = ChildCheck::of("/nonexistent".into(), PdfLimits::default());
    assert_eq!(none.check(&pdf(|_| ()), PATIENCE).await, Err(Unchecked::NotNow), "not a refusal");
    // A program that answers something else.
    let other = ChildCheck::of("/bin/true".into(), PdfLimits::default());
    assert_eq!(other.check(&pdf(|_| ()), PATIENCE).await, Err(Unchecked::NotNow), "nor this");
}

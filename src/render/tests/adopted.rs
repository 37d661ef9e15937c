use lopdf::{Object, ObjectId, Stream};

use super::*;
use crate::domain::pdf::{PdfFacts, PdfFlaw};

fn check(pdf: &[u8]) -> Result<PdfFacts, PdfFlaw> {
    check_pdf(pdf, PdfLimits::default())
}

fn saved(mut document: Document) -> Vec<u8> {
    let mut pdf = Vec::new();
    document.save_to(&mut pdf).unwrap();
    pdf
}

/// A document of one page, changed.
fn changed(change: impl FnOnce(&mut Document, ObjectId)) -> Vec<u8> {
    let mut document = Document::load_mem(&minimal(&[])).unwrap();
    let page = document.page_iter().next().unwrap();
    change(&mut document, page);
    saved(document)
}

fn on_page(key: &'static str, value: Object) -> Vec<u8> {
    changed(|document, page| document.get_dictionary_mut(page).unwrap().set(key, value))
}

#[test]
fn bytes_are_the_senders_own() {
    let pdf = minimal(&[]);
    let rendered = adopt(&pdf, None).unwrap();
    assert_eq!(*rendered.pdf, pdf, "not a byte differs");
    assert_eq!((rendered.pages, rendered.template.as_str()), (1, "pdf"), "what it is");
}

#[test]
fn our_own_documents_may_be_brought() {
    for lines_count in [12, 300] {
        let rendered = render(&lines(lines_count)).unwrap();
        let facts = check(&rendered.pdf).unwrap();
        assert_eq!(facts, PdfFacts { pages: rendered.pages, a4: true }, "{lines_count} lines");
    }
}

#[test]
fn pdfs_that_act_by_themselves_are_refused() {
    let action = |kind: &str| -> Object { dictionary! { "S" => kind }.into() };
    let script: Object = dictionary! { "S" => "JavaScript", "JS" => "x" }.into();
    let cases = [
        ("OpenAction", script.clone(), PdfFlaw::Javascript),
        ("OpenAction", action("Launch"), PdfFlaw::Action),
        ("OpenAction", action("URI"), PdfFlaw::Action),
        ("AA", dictionary! {}.into(), PdfFlaw::Action),
        ("A", action("GoToR"), PdfFlaw::Action),
        ("A", action("Thread"), PdfFlaw::Action),
        ("Next", vec![action("Trans")].into(), PdfFlaw::Action),
        ("Names", dictionary! { "EmbeddedFiles" => dictionary! {} }.into(), PdfFlaw::EmbeddedFile),
        ("Names", dictionary! { "JavaScript" => dictionary! {} }.into(), PdfFlaw::Javascript),
        ("X", dictionary! { "Type" => "Filespec", "EF" => 1 }.into(), PdfFlaw::EmbeddedFile),
        ("AcroForm", dictionary! { "XFA" => vec![] }.into(), PdfFlaw::Xfa),
        (
            "X",
            vec![dictionary! { "Subtype" => "FileAttachment" }.into()].into(),
            PdfFlaw::EmbeddedFile,
        ),
        ("X", action("SubmitForm"), PdfFlaw::Action),
    ];
    for (key, value, flaw) in cases {
        assert_eq!(check(&minimal(&[(key, value.clone())])), Err(flaw), "{key} {value:?}");
    }
    let place: Object = vec![Object::Null].into();
    assert!(check(&minimal(&[("OpenAction", place)])).is_ok(), "a place to open at");
    let link = dictionary! { "Subtype" => "Link", "A" => action("URI") };
    assert!(check(&minimal(&[("X", link.into())])).is_ok(), "a link to the web");
}

#[test]
fn what_hides_in_an_object_stream_is_found() {
    let packed = |kind: &str| {
        let mut document = Document::load_mem(&minimal(&[])).unwrap();
        let action = document.add_object(dictionary! { "S" => kind, "D" => "x" });
        document.catalog_mut().unwrap().set("OpenAction", action);
        let options = lopdf::SaveOptions::builder().use_object_streams(true).use_xref_streams(true);
        let mut pdf = Vec::new();
        document.save_with_options(&mut pdf, options.build()).unwrap();
        assert!(String::from_utf8_lossy(&pdf).contains("ObjStm"), "it is packed");
        pdf
    };
    assert_eq!(check(&packed("JavaScript")), Err(PdfFlaw::Javascript), "refused");
    assert!(check(&packed("GoTo")).is_ok(), "going to a page is harmless");
}

#[test]
fn what_an_older_revision_did_counts() {
    let mut pdf = minimal(&[("OpenAction", dictionary! { "S" => "JavaScript" }.into())]);
    let update = lopdf::IncrementalDocument::load_mem(&pdf);
    let mut update = lopdf::IncrementalDocument::create_from(pdf.clone(), update.unwrap());
    let root = update.get_prev_documents().trailer.get(b"Root").unwrap().as_reference().unwrap();
    update.opt_clone_object_to_new_document(root).unwrap();
    update.new_document.get_dictionary_mut(root).unwrap().remove(b"OpenAction");
    pdf.clear();
    update.save_to(&mut pdf).unwrap();
    let newest = Document::load_mem(&pdf).unwrap();
    assert!(!newest.catalog().unwrap().has(b"OpenAction"), "the newest revision is clean");
    assert_eq!(check(&pdf), Err(PdfFlaw::Javascript), "the file is not");
}

#[test]
fn an_object_that_is_named_and_cannot_be_read_is_damage() {
    let pdf = minimal(&[("X", dictionary! { "Key" => "Value" }.into())]);
    let at = pdf.windows(4).position(|window| window == b"/Key").unwrap();
    let mut torn = pdf.clone();
    // Readers differ in what they make of this.
    torn[at - 2..at + 4].copy_from_slice(b"((((((");
    assert_eq!(check(&torn), Err(PdfFlaw::Damaged), "left out, not overlooked");
}

#[test]
fn what_is_no_pdf_or_too_large_is_refused() {
    for junk in [&b""[..], b"GIF89a", b"MZ%PDF-1.7", &[0xff; 4096]] {
        assert_eq!(check(junk), Err(PdfFlaw::NotPdf), "{} bytes", junk.len());
    }
    for torn in [&b"%PDF-1.7"[..], b"%PDF-1.7\n%%EOF", b"%PDF-1.7\nstartxref\n9\n%%EOF"] {
        assert_eq!(check(torn), Err(PdfFlaw::Damaged), "{}", torn.escape_ascii());
    }
    let pdf = minimal(&[]);
    let small = PdfLimits { max_bytes: 100, ..PdfLimits::default() };
    assert_eq!(check_pdf(&pdf, small), Err(PdfFlaw::TooLarge), "bytes");
    let rendered = render(&lines(100)).unwrap();
    let few = PdfLimits { max_pages: rendered.pages, ..PdfLimits::default() };
    assert!(check_pdf(&rendered.pdf, few).is_ok(), "as many as allowed");
    let few = PdfLimits { max_pages: rendered.pages - 1, ..PdfLimits::default() };
    assert_eq!(check_pdf(&rendered.pdf, few), Err(PdfFlaw::TooManyPages), "one too many");
    let most = PdfFacts { pages: super::super::MAX_PAGES, a4: true };
    let error = RENDERER.adopt(rendered.pdf, most, Some(&address())).unwrap_err();
    assert_eq!(error.code(), "too_many_pages", "the address page counts");
}

#[test]
fn pages_have_a_size_that_can_be_printed() {
    let sized =
        |sides: [i64; 4]| check(&on_page("MediaBox", sides.map(Object::from).to_vec().into()));
    assert_eq!(sized([0, 0, 842, 595]), Ok(PdfFacts { pages: 1, a4: true }), "A4 lying");
    assert_eq!(sized([10, 10, 605, 852]), Ok(PdfFacts { pages: 1, a4: true }), "A4 elsewhere");
    assert_eq!(sized([0, 0, 612, 792]), Ok(PdfFacts { pages: 1, a4: false }), "US Letter");
    assert_eq!(sized([0, 0, 2384, 3370]), Ok(PdfFacts { pages: 1, a4: false }), "A0");
    for wrong in [[0, 0, 0, 842], [0, 0, 50, 842], [0, 0, 595, 14_400]] {
        assert_eq!(sized(wrong), Err(PdfFlaw::PageSize), "{wrong:?}");
    }
    assert_eq!(check(&on_page("MediaBox", Object::Null)), Err(PdfFlaw::Damaged), "no size");
    let crop: Object = vec![600.into(), 0.into(), 700.into(), 800.into()].into();
    assert_eq!(check(&on_page("CropBox", crop)), Err(PdfFlaw::PageSize), "nothing is seen");
    assert_eq!(check(&on_page("UserUnit", 10.into())), Err(PdfFlaw::PageSize), "in other units");
    let tail = changed(|document, page| {
        let tree = document.get_dictionary(page).unwrap().get(b"Parent").unwrap().as_reference();
        let tree = document.get_dictionary_mut(tree.unwrap()).unwrap();
        tree.set("Kids", vec![page.into(), page.into()]);
    });
    assert_eq!(check(&tail), Err(PdfFlaw::Damaged), "a page twice");
    let cycle = changed(|document, page| {
        let tree = document.get_dictionary(page).unwrap().get(b"Parent").unwrap().as_reference();
        let tree = tree.unwrap();
        document.get_dictionary_mut(tree).unwrap().set("Kids", vec![tree.into(), page.into()]);
    });
    assert_ne!(check(&cycle), Ok(PdfFacts { pages: 2, a4: true }), "a tree in its own crown");
    let none = changed(|document, page| {
        let tree = document.get_dictionary(page).unwrap().get(b"Parent").unwrap().as_reference();
        document.get_dictionary_mut(tree.unwrap()).unwrap().set("Kids", Vec::<Object>::new());
    });
    assert_eq!(check(&none), Err(PdfFlaw::NoPages), "no page");
}

#[test]
fn fonts_that_are_drawn_must_be_in_the_file() {
    let helvetica =
        || dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica" };
    let resources = |font: Object| dictionary! { "Font" => dictionary! { "F1" => font } };
    let plain = on_page("Resources", resources(helvetica().into()).into());
    assert_eq!(check(&plain), Err(PdfFlaw::FontNotEmbedded), "a standard font");
    let nameless = dictionary! { "Subtype" => "TrueType" };
    let plain = on_page("Resources", resources(nameless.into()).into());
    assert_eq!(check(&plain), Err(PdfFlaw::FontNotEmbedded), "a font that says nothing of itself");
    let in_a_form = changed(|document, page| {
        let dictionary =
            dictionary! { "Subtype" => "Form", "Resources" => resources(helvetica().into()) };
        let form = document.add_object(Stream::new(dictionary, vec![]));
        let forms = dictionary! { "XObject" => dictionary! { "P" => form } };
        document.get_dictionary_mut(page).unwrap().set("Resources", forms);
    });
    assert_eq!(check(&in_a_form), Err(PdfFlaw::FontNotEmbedded), "in a form");
    let embedded = changed(|document, page| {
        let program = document.add_object(Stream::new(dictionary! {}, vec![1]));
        let mut font = helvetica();
        font.set("FontDescriptor", dictionary! { "FontFile3" => program });
        document.get_dictionary_mut(page).unwrap().set("Resources", resources(font.into()));
    });
    assert!(check(&embedded).is_ok(), "in the file");
    let unused =
        minimal(&[("AcroForm", dictionary! { "DR" => resources(helvetica().into()) }.into())]);
    assert!(check(&unused).is_ok(), "a font that nothing draws with");
    let type3 = dictionary! { "Type" => "Font", "Subtype" => "Type3" };
    assert!(check(&on_page("Resources", resources(type3.into()).into())).is_ok(), "drawings");
}

#[test]
fn nothing_is_fetched_from_elsewhere() {
    for key in ["F", "Ref", "OPI"] {
        let pdf = changed(|document, _| {
            let mut dictionary = dictionary! { "Subtype" => "Form" };
            dictionary.set(key, Object::string_literal("http://example.invalid/x"));
            document.add_object(Stream::new(dictionary, vec![1]));
        });
        assert_eq!(check(&pdf), Err(PdfFlaw::ExternalStream), "{key}");
    }
}

#[test]
fn bombs_are_counted_not_kept() {
    use std::io::Write as _;
    let zip = |bytes: &[u8]| {
        let mut zip = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap()
    };
    let bomb = |filter: Object, content: Vec<u8>, times: usize| {
        changed(|document, _| {
            for _ in 0..times {
                let dictionary = dictionary! { "Filter" => filter.clone() };
                document.add_object(Stream::new(dictionary, content.clone()));
            }
        })
    };
    let flate = || Object::from("FlateDecode");
    let large = zip(&vec![b'x'; 60 << 20]);
    assert!(check(&bomb(flate(), large.clone(), 1)).is_ok(), "60 MiB may be");
    assert_eq!(check(&bomb(flate(), large.clone(), 9)), Err(PdfFlaw::UnpacksTooLarge), "540 not");
    let nested: Object = vec![flate(), flate()].into();
    let folded = zip(&zip(&vec![b'x'; 100 << 20]));
    assert!(folded.len() < 10_000, "small outside");
    let folded = bomb(nested, folded, 6);
    assert_eq!(check(&folded), Err(PdfFlaw::UnpacksTooLarge), "a bomb in a bomb");
    let many: Object = vec![flate(); 5].into();
    assert_eq!(check(&bomb(many, vec![1], 1)), Err(PdfFlaw::TooComplex), "a chain of filters");
    let image = changed(|document, _| {
        let dictionary =
            dictionary! { "Width" => 65_535, "Height" => 65_535, "Filter" => "JBIG2Decode" };
        document.add_object(Stream::new(dictionary, vec![1]));
    });
    assert_eq!(check(&image), Err(PdfFlaw::UnpacksTooLarge), "four thousand million pixels");
}

#[test]
fn deep_nesting_ends_at_a_limit() {
    let mut deep = Object::Null;
    for _ in 0..70 {
        deep = vec![deep].into();
    }
    let flaw = check(&minimal(&[("X", deep)])).unwrap_err();
    assert!(matches!(flaw, PdfFlaw::TooComplex | PdfFlaw::Damaged), "{flaw}");
    let mut pdf = b"%PDF-1.7\n1 0 obj\n".to_vec();
    pdf.extend(vec![b'['; 1 << 20]);
    assert!(check(&pdf).is_err(), "a million brackets");
}

#[test]
fn an_encrypted_pdf_is_refused() {
    let mut document = Document::load_mem(&minimal(&[])).unwrap();
    document.trailer.set("ID", vec![Object::string_literal("a"), Object::string_literal("a")]);
    for password in ["", "secret"] {
        let mut document = document.clone();
        let version = lopdf::EncryptionVersion::V2 {
            document: &document,
            owner_password: "owner",
            user_password: password,
            key_length: 128,
            permissions: lopdf::Permissions::all(),
        };
        let state = lopdf::EncryptionState::try_from(version).unwrap();
        document.encrypt(&state).unwrap();
        assert_eq!(check(&saved(document)), Err(PdfFlaw::Encrypted), "password {password:?}");
    }
}

#[test]
fn the_address_page_goes_in_front_and_every_page_gets_its_mark() {
    let original = render(&lines(60)).unwrap();
    let rendered = adopt(&original.pdf, Some(&address())).unwrap();
    let (before, after) = (text(&original.pdf), text(&rendered.pdf));
    assert_eq!(rendered.pages, original.pages + 1, "one page more");
    assert!(after[0].contains("530-0001"), "the address comes first");
    assert_eq!(after[1..], before[..], "then the sender's pages");
    // Text extraction does not look into forms, so look at the operators.
    let document = Document::load_mem(&rendered.pdf).unwrap();
    for (number, page) in document.get_pages().into_iter().skip(1) {
        let content = document.get_and_decode_page_content(page).unwrap().operations;
        let last: Vec<&str> =
            content.iter().rev().take(4).map(|operation| operation.operator.as_str()).collect();
        assert_eq!(last, ["Q", "Do", "q", "Q"], "page {number} is drawn over at its end");
        let (resources, _) = document.get_page_resources(page).unwrap();
        let forms = resources.unwrap().get(b"XObject").unwrap().as_dict().unwrap();
        let form = document.dereference(forms.get(b"KakitomePiece").unwrap()).unwrap().1;
        let text = form.as_stream().unwrap().decompressed_content().unwrap();
        assert!(
            String::from_utf8_lossy(&text).to_uppercase().contains("TJ"),
            "page {number} has its mark"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A real document with some bytes changed, left out or doubled: facts or a
    /// flaw, and what passes can be opened again behind an address page.
    #[test]
    fn mutated_documents_have_facts_or_a_flaw(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u8..4, any::<u8>()), 1..12),
    ) {
        static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| render(&lines(3)).unwrap().pdf.to_vec());
        let mut pdf = WHOLE.clone();
        for (at, act, byte) in edits {
            let at = at.index(pdf.len());
            match act {
                0 => pdf[at] = byte,
                1 => { pdf.remove(at); }
                2 => pdf.insert(at, byte),
                _ => { let from = at.saturating_sub(usize::from(byte)); let copy = pdf[from..at].to_vec(); pdf.splice(at..at, copy); }
            }
        }
        let facts = check_pdf(&pdf, PdfLimits::default());
        if let Ok(facts) = facts {
            prop_assert!(facts.pages >= 1, "pages");
            let front = address();
            let taken = RENDERER.adopt(crate::domain::plain::Plain::new(pdf), facts, Some(&front));
            prop_assert!(taken.is_ok() || matches!(taken, Err(RenderError::BadPdf(_))), "a code");
        }
    }
}

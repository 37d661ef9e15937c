use super::*;

fn adopt(pdf: &[u8]) -> Result<Rendered, RenderError> {
    RENDERER.adopt(pdf, None, PdfLimits::default())
}

#[test]
fn bytes_are_the_senders_own() {
    let pdf = minimal(&[]);
    let rendered = adopt(&pdf).unwrap();
    assert_eq!(*rendered.pdf, pdf, "not a byte differs");
    assert_eq!((rendered.pages, rendered.template.as_str()), (1, "pdf"), "what it is");
}

#[test]
fn pdfs_that_act_by_themselves_are_refused() {
    let action = |kind: &str| -> lopdf::Object { dictionary! { "S" => kind, "JS" => "x" }.into() };
    let cases = [
        ("OpenAction", action("JavaScript")),
        ("OpenAction", dictionary! { "S" => "Launch" }.into()),
        ("OpenAction", dictionary! { "S" => "URI" }.into()),
        ("AA", dictionary! {}.into()),
        ("Names", dictionary! { "EmbeddedFiles" => dictionary! {} }.into()),
        ("Names", dictionary! { "JavaScript" => dictionary! {} }.into()),
        ("AcroForm", dictionary! { "XFA" => vec![] }.into()),
        ("X", vec![dictionary! { "Subtype" => "FileAttachment" }.into()].into()),
        ("X", dictionary! { "S" => "SubmitForm" }.into()),
    ];
    for (key, value) in cases {
        let error = adopt(&minimal(&[(key, value.clone())])).unwrap_err();
        assert_eq!(error.code(), "bad_pdf", "{key} {value:?}");
    }
    let place: lopdf::Object = vec![lopdf::Object::Null].into();
    assert!(adopt(&minimal(&[("OpenAction", place)])).is_ok(), "a place to open at");
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
    assert_eq!(adopt(&packed("JavaScript")).unwrap_err().code(), "bad_pdf", "refused");
    assert!(adopt(&packed("GoTo")).is_ok(), "going to a page is harmless");
}

#[test]
fn what_is_no_pdf_or_too_large_is_refused() {
    for junk in [&b""[..], b"%PDF-1.7", b"GIF89a", b"%PDF-1.7\n%%EOF", &[0xff; 4096]] {
        assert_eq!(adopt(junk).unwrap_err().code(), "bad_pdf", "{} bytes", junk.len());
    }
    let pdf = minimal(&[]);
    let small = PdfLimits { max_bytes: 100, ..PdfLimits::default() };
    assert_eq!(RENDERER.adopt(&pdf, None, small).unwrap_err().code(), "too_large", "bytes");
    let rendered = render(&lines(100)).unwrap();
    let few = PdfLimits { max_pages: rendered.pages, ..PdfLimits::default() };
    assert!(RENDERER.adopt(&rendered.pdf, None, few).is_ok(), "as many as allowed");
    let error = RENDERER.adopt(&rendered.pdf, Some(&address()), few).unwrap_err();
    assert_eq!(error.code(), "too_many_pages", "the address page counts");
}

#[test]
fn an_encrypted_pdf_is_refused() {
    let mut document = Document::load_mem(&minimal(&[])).unwrap();
    document
        .trailer
        .set("ID", vec![lopdf::Object::string_literal("a"), lopdf::Object::string_literal("a")]);
    let version = lopdf::EncryptionVersion::V2 {
        document: &document,
        owner_password: "owner",
        user_password: "",
        key_length: 128,
        permissions: lopdf::Permissions::all(),
    };
    let state = lopdf::EncryptionState::try_from(version).unwrap();
    document.encrypt(&state).unwrap();
    let mut pdf = Vec::new();
    document.save_to(&mut pdf).unwrap();
    assert_eq!(adopt(&pdf).unwrap_err().code(), "bad_pdf", "even with an empty password");
}

#[test]
fn the_address_page_goes_in_front_and_every_page_gets_its_mark() {
    let original = render(&lines(60)).unwrap();
    let rendered = RENDERER.adopt(&original.pdf, Some(&address()), PdfLimits::default()).unwrap();
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

//! The claims of the renderer as a whole. Text is read back out of the PDF with
//! `lopdf`, through the `ToUnicode` maps, as a viewer would.

mod address_page;
mod adopted;
mod bombs;
mod layout_properties;
mod mutations;
mod rare_names;
mod reading;
mod told;
mod documents;
mod features;
mod fields;
mod manual;
mod operator_templates;
mod parts;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use lopdf::{Document, dictionary};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    AddressPage, Order, PdfLimits, Profile, RenderError, Rendered, Renderer, TemplateBundle,
    check_pdf,
};
use crate::domain::{document::facts, locale::Locale};

use reading::places;
pub(in crate::render) use reading::sample_pages;

static RENDERER: LazyLock<Renderer> = LazyLock::new(|| Renderer::bundled().unwrap());

fn sample() -> Value {
    serde_json::from_str(include_str!("../../../templates/documents/invoice/sample.json")).unwrap()
}

fn render(data: &Value) -> Result<Rendered, RenderError> {
    let order = Order {
        template: "invoice",
        locale: Locale::Ja,
        data,
        title: "請求書 INV-2026-1121",
        address_page: None,
        profile: Profile::Plain,
        attach_data: false,
    };
    RENDERER.render(&order)
}

/// Checks a finished PDF and takes it over, as the office does.
fn adopt(pdf: &[u8], front: Option<&AddressPage>) -> Result<Rendered, RenderError> {
    let facts = check_pdf(pdf, PdfLimits::default()).map_err(RenderError::BadPdf)?;
    RENDERER.adopt(crate::domain::plain::Plain::new(pdf.to_vec()), facts, front)
}

fn address() -> AddressPage {
    AddressPage {
        postal_code: "530-0001".into(),
        address_lines: vec!["大阪府大阪市北区梅田3-1-3".into(), "梅田スカイタワー 22階".into()],
        name_lines: vec!["株式会社𠮷野物産".into(), "総務部 購買課 御中".into()],
        sender_lines: vec!["株式会社かきとめ製作所".into()],
        piece_id: "KT-7F3Q-000042".into(),
    }
}

/// All text of all pages without white space, and each page's own.
fn text(pdf: &[u8]) -> Vec<String> {
    let document = Document::load_mem(pdf).unwrap();
    let pages = document.get_pages();
    pages
        .keys()
        .map(|page| document.extract_text(&[*page]).unwrap().split_whitespace().collect())
        .collect()
}

fn lines(count: usize) -> Value {
    let mut data = sample();
    let lines: Vec<Value> = (0..count)
        .map(
            |index| json!({"name": format!("行番{index:04}番行"), "amount": "1", "tax_rate": "10"}),
        )
        .collect();
    data["lines"] = json!(lines);
    data
}

/// Every string in a value that should be readable on the page.
fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn the_same_order_gives_the_same_bytes_on_any_thread() {
    let data = sample();
    let front = address();
    let once = || {
        let order = Order {
            template: "invoice",
            locale: Locale::Ja,
            data: &data,
            title: "題",
            address_page: Some(&front),
            profile: Profile::Plain,
            attach_data: false,
        };
        RENDERER.render(&order).unwrap().pdf
    };
    let first = once();
    assert_eq!(*first, *once(), "again");
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(once)).collect();
        for thread in threads {
            assert_eq!(*thread.join().unwrap(), *first, "on another thread");
        }
    });
    let adopted = || adopt(&first, Some(&front)).unwrap().pdf;
    assert_eq!(*adopted(), *adopted(), "in front of a finished PDF");
}

#[test]
fn every_field_can_be_read_in_the_pdf() {
    let data = sample();
    let rendered = render(&data).unwrap();
    assert_eq!(rendered.pages, 1, "twelve lines are one page");
    let page = text(&rendered.pdf).concat();
    let mut names = vec!["990,372".to_owned(), "83,240".into(), "5,178".into(), "請求書".into()];
    for field in ["issuer", "recipient", "payment", "notes", "subject", "number"] {
        strings(&data[field], &mut names);
    }
    for line in data["lines"].as_array().unwrap() {
        strings(&line["name"], &mut names);
        strings(&line["note"], &mut names);
    }
    for name in names.iter().filter(|name| *name != "corporation") {
        let plain: String = name.split_whitespace().collect();
        assert!(page.contains(&plain), "{name} is not on the page: {page}");
    }
}

#[test]
fn the_sum_is_that_of_the_evidence() {
    let data = sample();
    let data = data.as_object().unwrap();
    let known = facts("invoice", data).unwrap();
    assert_eq!(known.amount.unwrap().to_string(), "990372", "the amount");
    assert_eq!(known.number.as_deref(), Some("INV-2026-1121"), "the number");
    assert_eq!(known.date.unwrap().to_string(), "2026-11-21", "the date");
    assert_eq!(known.counterparty.as_deref(), Some("株式会社𠮷野物産"), "the counterparty");
    assert!(facts("letter", data).is_none(), "a letter has no facts");
}

#[test]
fn a_character_without_a_glyph_is_named_and_nothing_is_printed() {
    let mut data = sample();
    data["subject"] = json!("ภาษาไทย");
    let error = render(&data).unwrap_err();
    assert_eq!(error.code(), "glyph_missing", "{error}");
    assert!(error.to_string().contains("U+0E20"), "{error}");
    assert!(!error.to_string().contains('ภ'), "the text itself is not repeated");
    data["subject"] = json!("a\u{202e}b");
    assert_eq!(render(&data).unwrap_err().code(), "glyph_missing", "a bidi override");
}

#[test]
fn data_must_fit_the_schema() {
    type Spoil = fn(&mut Value);
    let cases: [(&str, Spoil); 9] = [
        ("issuer.name", |data| data["issuer"]["name"] = Value::Null),
        ("number", |data| {
            data.as_object_mut().unwrap().remove("number");
        }),
        ("lines[3].amout", |data| data["lines"][3]["amout"] = json!("1")),
        ("lines[0].unit_price", |data| data["lines"][0]["unit_price"] = json!(100)),
        ("issue_date", |data| data["issue_date"] = json!("2026-02-30")),
        ("issuer.registration_number", |data| {
            data["issuer"]["registration_number"] = json!("T1234567890123");
        }),
        ("subject", |data| data["subject"] = json!("a\u{0}b")),
        ("notes", |data| data["notes"] = json!("a\u{fffe}b")),
        ("?", |data| data["<script>alert(1)</script>"] = json!("1")),
    ];
    for (field, spoil) in cases {
        let mut data = sample();
        spoil(&mut data);
        match render(&data) {
            Err(RenderError::BadDocumentData { field: named, .. }) => {
                assert_eq!(named, field, "the field");
            }
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn sums_that_contradict_the_lines_are_never_printed() {
    let mut data = sample();
    data["totals"] = json!({"total": "990371"});
    let error = render(&data).unwrap_err();
    assert_eq!(error.code(), "total_mismatch", "{error}");
    data["totals"] = json!({"total": "990372", "tax": "88418", "net": "901954"});
    assert!(render(&data).is_ok(), "the right sums");
}

#[test]
fn an_honorific_stands_once() {
    let mut data = sample();
    data["recipient"] = json!({"name": "見本商店 御中"});
    let page = text(&render(&data).unwrap().pdf).concat();
    assert_eq!(page.matches("御中").count(), 1, "{page}");
    data["recipient"] = json!({"name": "見本商店", "person": "山田"});
    let page = text(&render(&data).unwrap().pdf).concat();
    assert!(page.contains("山田様") && !page.contains("御中"), "the person has it: {page}");
}

#[test]
fn markup_in_data_is_text() {
    let mut data = sample();
    data["subject"] = json!("</p><script>alert(1)</script>{{ 7 * 7 }}&amp;");
    let page = text(&render(&data).unwrap().pdf).concat();
    assert!(page.contains("</p><script>alert(1)</script>{{7*7}}&amp;"), "{page}");
}

#[test]
fn the_head_of_a_table_is_on_every_page_it_reaches() {
    let rendered = render(&lines(200)).unwrap();
    let pages = text(&rendered.pdf);
    assert!(pages.len() > 4, "several pages");
    for (number, page) in (1..).zip(&pages).filter(|(_, page)| page.contains("番行")) {
        assert_eq!(page.matches("品目").count(), 1, "page {number} has the head once");
    }
    assert!(pages.last().unwrap().contains(&format!("{0}/{0}", pages.len())), "page x of y");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn pagination_loses_no_row_and_keeps_their_order(count in 1usize..160, names in proptest::collection::vec("[a-z漢字かな、。 ]{1,120}", 1..6)) {
        let mut data = lines(count);
        for (index, name) in names.iter().enumerate().take(count) {
            data["lines"][index]["note"] = json!(format!("注{name}"));
        }
        let pages = text(&render(&data).unwrap().pdf).concat();
        let mut from = 0;
        for index in 0..count {
            let row = format!("行番{index:04}番行");
            prop_assert_eq!(pages.matches(&row).count(), 1, "row {}", index);
            let at = pages.find(&row).unwrap();
            prop_assert!(at >= from, "row {} is in its place", index);
            from = at;
        }
    }
}

#[test]
fn a_cell_of_a_hundred_kilobytes_is_broken_over_pages() {
    let started = Instant::now();
    let mut data = lines(3);
    data["lines"][1]["name"] = json!("Z".repeat(100_000));
    let rendered = render(&data).unwrap();
    let pages = text(&rendered.pdf).concat();
    assert_eq!(pages.matches('Z').count(), 100_000, "every letter is there");
    assert!(rendered.pages > 10, "{} pages", rendered.pages);
    assert!(started.elapsed() < Duration::from_secs(20), "in bounded time");
}

#[test]
fn five_thousand_rows_render_and_more_are_refused() {
    let started = Instant::now();
    let rendered = render(&lines(5_000)).unwrap();
    assert!((100..=500).contains(&rendered.pages), "{} pages", rendered.pages);
    assert_eq!(render(&lines(5_001)).unwrap_err().code(), "bad_document_data", "too many lines");
    assert!(started.elapsed() < Duration::from_secs(20), "in bounded time");
}

#[test]
fn a_document_has_at_most_five_hundred_pages() {
    let mut data = lines(5_000);
    for line in data["lines"].as_array_mut().unwrap() {
        line["note"] = json!("長い注記".repeat(60));
    }
    assert!(
        matches!(
            render(&data),
            Err(RenderError::TooManyPages { .. } | RenderError::TooLarge { .. })
        ),
        "refused"
    );
}

#[test]
fn an_unknown_template_has_its_own_code() {
    let order = Order {
        template: "nothing",
        locale: Locale::En,
        data: &Value::Null,
        title: "",
        address_page: None,
        profile: Profile::Plain,
        attach_data: false,
    };
    assert_eq!(RENDERER.render(&order).unwrap_err().code(), "no_template", "refused");
    assert!(!RENDERER.has_template("nothing") && RENDERER.has_template("letter"), "told apart");
    assert_eq!(
        RENDERER.template_names(),
        [
            "delivery-note",
            "dunning-letter",
            "invoice",
            "letter",
            "payment-notice",
            "quotation",
            "receipt",
            "return-invoice",
            "simplified-invoice",
        ],
        "all"
    );
}

/// A PDF of one empty page with more entries in its catalogue.
fn minimal(more: &[(&str, lopdf::Object)]) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let pages = document.new_object_id();
    let page = document.add_object(dictionary! {
        "Type" => "Page", "Parent" => pages,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    });
    let tree = dictionary! { "Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1 };
    document.objects.insert(pages, tree.into());
    let mut catalog = dictionary! { "Type" => "Catalog", "Pages" => pages };
    for (key, value) in more {
        catalog.set(*key, value.clone());
    }
    let catalog = document.add_object(catalog);
    document.trailer.set("Root", catalog);
    let mut out = Vec::new();
    document.save_to(&mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn hostile_text_renders_or_has_a_code(text in any::<String>(), note in "\\PC{0,300}") {
        let mut data = sample();
        data["subject"] = json!(text);
        data["lines"][0]["note"] = json!(note);
        if let Err(error) = render(&data) {
            prop_assert!(matches!(error.code(), "glyph_missing" | "bad_document_data"), "{}", error);
        }
    }

    #[test]
    fn hostile_pdfs_never_panic(mut pdf in Just(minimal(&[])), edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20)) {
        for (at, byte) in edits {
            let at = at.index(pdf.len());
            pdf[at] = byte;
        }
        for front in [None, Some(address())] {
            if let Err(error) = adopt(&pdf, front.as_ref()) {
                prop_assert!(matches!(error.code(), "bad_pdf" | "too_many_pages"), "{}", error);
            }
        }
    }
}

#[test]
fn every_bundled_sample_renders_in_every_language() {
    for (name, template) in &RENDERER.templates {
        for data in &template.samples {
            for locale in [Locale::Ja, Locale::En] {
                let order = Order {
                    template: name,
                    locale,
                    data,
                    title: "sample",
                    address_page: None,
                    profile: Profile::Plain,
                    attach_data: false,
                };
                let rendered = RENDERER.render(&order).unwrap();
                assert!(rendered.pages >= 1, "{name} {locale:?} has a page");
            }
        }
    }
}

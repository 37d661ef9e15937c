//! The claims of the bundled documents: every field can be read, and what the
//! rules of their kind say is on the page.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::*;
use crate::domain::document::Kind;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("templates/documents").join(name)
}

fn json_of(name: &str, file: &str) -> Value {
    serde_json::from_slice(&fs::read(folder(name).join(file)).unwrap()).unwrap()
}

/// The samples of a template, by their names.
fn samples(name: &str) -> Vec<String> {
    let files = fs::read_dir(folder(name)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|file| file.starts_with("sample")).collect()
}

fn made(template: &str, locale: Locale, data: &Value) -> Result<Rendered, RenderError> {
    RENDERER.render(&Order {
        template,
        locale,
        data,
        title: "",
        address_page: None,
        profile: Profile::Plain,
        attach_data: false,
    })
}

fn attempt(template: &str, locale: Locale, data: &Value) -> Result<String, RenderError> {
    Ok(text(&made(template, locale, data)?.pdf).concat())
}

/// What stands on the pages, without white space.
fn page(template: &str, locale: Locale, data: &Value) -> String {
    attempt(template, locale, data).unwrap()
}

/// The texts of the data that are printed as they are: all strings but those
/// that are chosen from a list, computed with, or dates. Registration numbers
/// are printed in their plain form, honorifics in Japanese only.
fn printed(schema: &Value, root: &Value, data: &Value, out: &mut Vec<String>) {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return printed(root.pointer(&target[1..]).unwrap(), root, data, out);
    }
    match data {
        Value::Object(fields) => {
            for (name, value) in fields {
                if !matches!(name.as_str(), "registration_number" | "honorific" | "totals") {
                    printed(&schema["properties"][name], root, value, out);
                }
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| printed(&schema["items"], root, item, out));
        }
        Value::String(text) if schema.get("format").is_none() && schema.get("enum").is_none() => {
            out.push(text.split_whitespace().collect());
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

#[test]
fn every_field_of_every_sample_can_be_read_in_every_language() {
    for kind in Kind::ALL {
        let name = kind.word();
        let schema = json_of(name, "data.schema.json");
        let names = samples(name);
        assert!(names.iter().any(|sample| sample == "sample.en.json"), "{name} in English");
        for sample in names {
            let data = json_of(name, &sample);
            let mut fields = Vec::new();
            printed(&schema, &schema, &data, &mut fields);
            assert!(fields.len() > 5, "{name}/{sample} has texts");
            for locale in [Locale::Ja, Locale::En] {
                let page = page(name, locale, &data);
                for field in &fields {
                    // The opening of a dunning letter is ours in Japanese.
                    let ours = kind == Kind::DunningLetter
                        && locale == Locale::Ja
                        && data["salutation"].as_str().is_some_and(|text| {
                            text.split_whitespace().collect::<String>() == *field
                        });
                    assert!(ours || page.contains(field), "{name}/{sample} {locale:?}: {field}");
                }
            }
        }
    }
}

/// The dates of the data: each must be on the page in one of its forms.
fn dates(data: &Value, out: &mut Vec<chrono::NaiveDate>) {
    let mut all = Vec::new();
    strings(data, &mut all);
    let days = all.iter().filter(|text| text.len() == 10);
    out.extend(days.flat_map(|text| text.parse::<chrono::NaiveDate>()));
}

#[test]
fn every_date_of_every_sample_can_be_read_in_every_language() {
    use chrono::Datelike as _;
    for kind in Kind::ALL {
        for sample in samples(kind.word()) {
            let data = json_of(kind.word(), &sample);
            let mut all = Vec::new();
            dates(&data, &mut all);
            assert!(!all.is_empty(), "{kind:?} has a date");
            for locale in [Locale::Ja, Locale::En] {
                let page = page(kind.word(), locale, &data);
                for date in &all {
                    let (year, month, day) = (date.year(), date.month(), date.day());
                    let forms = match locale {
                        Locale::Ja => [
                            format!("{year}年{month}月{day}日"),
                            format!("{year}/{month:02}/{day:02}"),
                            crate::domain::calendar::era::long(*date),
                        ],
                        Locale::En => ["%-d%B%Y", "%-d%b%Y", "%-d%B%Y"]
                            .map(|form| date.format(form).to_string()),
                    };
                    let there = forms.iter().any(|form| page.contains(form));
                    assert!(there, "{kind:?} {sample} {locale:?}: {date}");
                }
            }
        }
    }
}

#[test]
fn every_sample_comes_to_the_sum_that_is_kept_as_evidence() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Letter) {
        for sample in samples(kind.word()) {
            let data = json_of(kind.word(), &sample);
            let known = facts(kind.word(), data.as_object().unwrap()).unwrap();
            let Some(amount) = known.amount else {
                assert_eq!(sample, "sample.bare.json", "{kind:?} has no amount");
                continue;
            };
            let decimals = usize::from(known.currency.unwrap().has_decimals()) * 2;
            let digits: String = page(kind.word(), Locale::En, &data)
                .chars()
                .filter(|character| !matches!(character, ',' | '.'))
                .collect();
            let minor = amount.hundredths().unsigned_abs() / if decimals == 0 { 100 } else { 1 };
            assert!(digits.contains(&minor.to_string()), "{kind:?} {sample}: {amount}");
        }
    }
}

#[test]
fn samples_and_schemas_are_documentation() {
    fn described(schema: &Value, path: &str) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let says = |key: &str| field.get(key).is_some();
            assert!(says("description") || says("$ref"), "{path} has no description");
            described(field, &path);
            described(&field["items"], &path);
        }
        for (name, field) in schema["$defs"].as_object().into_iter().flatten() {
            assert!(field.get("description").is_some(), "{path}#{name} has no description");
            described(field, path);
        }
    }
    for kind in Kind::ALL {
        let name = kind.word();
        let schema = json_of(name, "data.schema.json");
        assert!(schema.get("description").is_some(), "{name} is described");
        described(&schema, name);
        let standard = jsonschema::validator_for(&schema).unwrap();
        let mut shown = BTreeSet::new();
        for sample in samples(name) {
            let data = json_of(name, &sample);
            assert!(standard.is_valid(&data), "{name}/{sample} fits the standard reading");
            shown.extend(data.as_object().unwrap().keys().cloned());
        }
        assert!(shown.len() > 5, "{name} shows its fields");
    }
}

#[test]
fn all_documents_share_one_look() {
    let house = fs::read_to_string(folder("parts").join("house.css")).unwrap();
    for kind in Kind::ALL {
        let style = &RENDERER.templates[kind.word()].style;
        assert!(style.starts_with(&house), "{kind:?} looks like the house");
    }
}

#[test]
fn templates_do_nothing_whose_memory_has_no_bound() {
    for kind in Kind::ALL {
        let html = RENDERER.templates[kind.word()].source();
        for word in ["{% macro", "endset", "~", "namespace", "range(", "{% include", "{% import"] {
            assert!(!html.contains(word), "{kind:?} says {word}");
        }
        let tags = html.split("{{").skip(1).chain(html.split("{%").skip(1));
        for tag in tags {
            let tag = tag.split(['}', '%']).next().unwrap();
            assert!(!tag.contains('*') || tag.contains('"'), "{kind:?} multiplies: {tag}");
        }
    }
}

#[test]
fn a_name_is_printed_as_it_was_written() {
    for row in include_str!("../../../tests/vectors/name_normalisation.tsv").lines().skip(1) {
        let name = row.split('\t').next().unwrap();
        let mut data = sample();
        data["recipient"] = json!({"name": format!("始{name}終")});
        match attempt("invoice", Locale::Ja, &data) {
            // Neither NFC nor NFKC: 神 (U+FA19) does not become 神 (U+795E).
            Ok(page) => assert!(page.contains(&format!("始{name}終")), "{row}: {page}"),
            Err(error) => assert_eq!(error.code(), "glyph_missing", "{row}"),
        }
    }
}

fn registered(mut data: Value, number: Option<&str>) -> Value {
    match number {
        Some(number) => data["issuer"]["registration_number"] = json!(number),
        None => {
            data["issuer"].as_object_mut().unwrap().remove("registration_number");
        }
    }
    data
}

#[test]
fn only_registered_issuers_write_qualified_documents() {
    for name in ["invoice", "simplified-invoice", "return-invoice"] {
        let data = json_of(name, "sample.json");
        let qualified = page(name, Locale::Ja, &data);
        assert!(
            qualified.contains("適格") && qualified.contains("登録番号T"),
            "{name} is qualified"
        );
        let plain = page(name, Locale::Ja, &registered(data.clone(), None));
        assert!(!plain.contains("適格") && !plain.contains("登録番号"), "{name} is plain: {plain}");
        let plain = page(name, Locale::En, &registered(data.clone(), None));
        assert!(!plain.contains("ualified") && !plain.contains("Registration"), "{name} is plain");
        let error = attempt(name, Locale::Ja, &registered(data, Some("T1234567890123")));
        let error = error.unwrap_err();
        assert_eq!(error.code(), "bad_document_data", "the check digit of a corporation");
        assert!(!error.to_string().contains("1234567890123"), "the number is not repeated");
    }
}

#[test]
fn the_legend_names_the_rate_that_held() {
    let data = sample();
    let page_of = |data: &Value| page("invoice", Locale::Ja, data);
    assert!(page_of(&data).contains("※は軽減税率対象（8%）"), "the mark is explained");
    assert!(page("invoice", Locale::En, &data).contains("*reducedtaxrate(8%)"), "in English");
    let mut plain = data.clone();
    plain["lines"] = json!([{"name": "机", "amount": "100", "tax_rate": "10"}]);
    let text = page_of(&plain);
    assert!(!text.contains('※') && !text.contains("8%"), "no mark, no legend, no row: {text}");
    let mut old = plain.clone();
    old["supply_period"] = json!({"from": "2019-09-01", "to": "2019-09-30"});
    let error = attempt("invoice", Locale::Ja, &old).unwrap_err();
    assert_eq!(error.code(), "bad_document_data", "10% before its day");
    assert!(error.to_string().contains("lines[0].tax_rate"), "{error}");
}

#[test]
fn a_foreign_invoice_shows_its_tax_in_yen() {
    let data = json_of("invoice", "sample.eur.json");
    for locale in [Locale::Ja, Locale::En] {
        let text = page("invoice", locale, &data);
        for wanted in ["€6,446.88", "¥92,300", "¥2,322", "162.35", "0.145", "1,850.00"] {
            assert!(text.contains(wanted), "{locale:?}: {wanted} in {text}");
        }
    }
    let mut without = data;
    without.as_object_mut().unwrap().remove("exchange_rate");
    let error = attempt("invoice", Locale::En, &without).unwrap_err();
    assert!(error.to_string().contains("exchange_rate"), "{error}");
}

#[test]
fn a_long_invoice_carries_its_sum_from_page_to_page() {
    let data = json_of("invoice", "sample.long.json");
    let pages = text(&made("invoice", Locale::Ja, &data).unwrap().pdf);
    assert!(pages.len() > 2, "sixty lines are some pages");
    let sum_after = |page: &String, words: &str| {
        let rest = page.split(words).nth(1)?;
        let digits = rest.chars().take_while(|one| one.is_ascii_digit() || *one == ',');
        Some(digits.collect::<String>())
    };
    for pair in pages.windows(2) {
        let out = sum_after(&pair[0], "次頁へ繰越").unwrap();
        // Where the first line begins with a digit, it follows the sum at once.
        let into = sum_after(&pair[1], "前頁より繰越").unwrap();
        assert!(out.len() > 5 && into.starts_with(&out), "{out} is carried, not {into}");
    }
    let (first, last) = (&pages[0], &pages[pages.len() - 1]);
    assert!(!first.contains("前頁より繰越"), "nothing comes before the first page");
    assert!(!last.contains("次頁へ繰越"), "nothing goes on after the last");
    let short = page("invoice", Locale::Ja, &sample());
    assert!(!short.contains("繰越"), "one page carries nothing");
}

#[test]
fn the_english_invoice_may_be_on_letter_paper() {
    let data = json_of("invoice", "sample.usd.json");
    for (locale, width) in [(Locale::En, 612.0), (Locale::Ja, 595.276)] {
        let document = Document::load_mem(&made("invoice", locale, &data).unwrap().pdf).unwrap();
        for id in document.get_pages().into_values() {
            let page = document.get_dictionary(id).unwrap();
            let media = page.get(b"MediaBox").unwrap().as_array().unwrap();
            assert!((media[2].as_float().unwrap() - width).abs() < 0.5, "{locale:?}");
        }
    }
}

#[test]
fn a_receipt_has_room_for_the_stamp_on_paper_only() {
    let paper = json_of("receipt", "sample.paper.json");
    let text = page("receipt", Locale::Ja, &paper);
    assert!(text.contains("収入印紙¥200"), "room for the stamp: {text}");
    let mut mail = paper.clone();
    mail["medium"] = json!("electronic");
    let text = page("receipt", Locale::Ja, &mail);
    assert!(text.contains("収入印紙は不要") && !text.contains("収入印紙¥"), "none by mail: {text}");
    let mut small = paper.clone();
    small["lines"] = json!([{"name": "珈琲", "amount": "49999", "tax_rate": "10"}]);
    small["prices"] = json!("tax_exclusive");
    assert!(!page("receipt", Locale::Ja, &small).contains("印紙"), "nothing below 50,000 yen");
    let mut approved = paper;
    approved["stamp_approved_by"] = json!("麹町税務署");
    let text = page("receipt", Locale::Ja, &approved);
    assert!(text.contains("印紙税申告納付につき麹町税務署承認済"), "by declaration: {text}");
}

#[test]
fn stated_sums_are_compared_in_every_kind() {
    for (name, field) in [
        ("invoice", "totals"),
        ("simplified-invoice", "totals"),
        ("return-invoice", "totals"),
        ("receipt", "totals"),
        ("quotation", "totals"),
        ("delivery-note", "totals"),
        ("payment-notice", "totals"),
        ("dunning-letter", "total"),
    ] {
        let mut data = json_of(name, "sample.json");
        data[field] = if field == "total" { json!("1") } else { json!({"total": "1"}) };
        let error = attempt(name, Locale::Ja, &data).unwrap_err();
        assert_eq!(error.code(), "total_mismatch", "{name}: {error}");
    }
}

#[test]
fn an_amount_of_fifteen_digits_and_a_name_of_a_hundred_letters_fit() {
    let mut data = sample();
    let name = "独立行政法人国際特殊製造設備機械要素技術総合研究開発支援機構".repeat(3);
    data["recipient"]["name"] = json!(name);
    data["lines"] = json!([
        {"name": "設備", "quantity": "900", "unit_price": "999999999999", "tax_rate": "10"},
    ]);
    for locale in [Locale::Ja, Locale::En] {
        let text = page("invoice", locale, &data);
        assert!(text.contains("¥989,999,999,999,010"), "{locale:?}: the sum in {text}");
        assert!(text.contains(&name), "{locale:?}: the name");
    }
}

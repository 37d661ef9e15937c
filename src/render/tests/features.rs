//! What stylesheets and elements promise, each by a small template of its own.
//! Places are read back out of the finished PDF.

use super::*;

const SCHEMA: &str = r#"{"type": "object", "additionalProperties": false, "properties": {}}"#;

fn with(html: &str, css: &str, files: &[(&str, &[u8])]) -> Result<Renderer, RenderError> {
    let mut all: Vec<(String, Vec<u8>)> = [
        ("template.html", html),
        ("style.css", css),
        ("data.schema.json", SCHEMA),
        ("sample.json", "{}"),
    ]
    .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
    .into();
    all.extend(files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())));
    Renderer::bundled()
        .unwrap()
        .with_templates(vec![TemplateBundle { name: "t".into(), files: all }])
}

fn made_as(renderer: &Renderer, profile: Profile) -> Rendered {
    let order = Order {
        template: "t",
        locale: Locale::Ja,
        data: &json!({}),
        title: "題",
        address_page: None,
        profile,
        attach_data: profile == Profile::Archive,
    };
    renderer.render(&order).unwrap()
}

fn made(html: &str, css: &str) -> Rendered {
    made_as(&with(html, css, &[]).unwrap(), Profile::Plain)
}

fn page(body: &str) -> String {
    format!("<html lang=\"ja\"><body>{body}</body></html>")
}

/// Every run of text of a page: x, the distance of its baseline from the upper
/// edge, and its first letter's code.
fn runs(pdf: &[u8], number: u32) -> Vec<(f32, f32)> {
    let document = Document::load_mem(pdf).unwrap();
    let id = document.get_pages()[&number];
    let height = document.get_dictionary(id).unwrap().get(b"MediaBox").unwrap().as_array().unwrap()
        [3]
    .as_float()
    .unwrap();
    places(pdf, number).into_iter().map(|(_, x, y)| (x, height - y)).collect()
}

fn near(a: f32, b: f32, what: &str) {
    assert!((a - b).abs() < 0.06, "{what}: {a} is not {b}");
}

const PLAIN: &str =
    "@page { size: 400pt 300pt; margin: 20pt } html { font-size: 10pt; line-height: 20pt }";

#[test]
fn absolute_boxes_stand_where_they_say() {
    let css = format!(
        "{PLAIN} .box {{ position: relative; width: 200pt; height: 100pt }} \
         .a {{ position: absolute; left: 30pt; top: 40pt }} .b {{ position: absolute; right: 0; bottom: 0; width: 50pt }} \
         .c {{ position: absolute; left: 0; top: 0 }}"
    );
    let body = "<div class=\"box\"><div class=\"a\">あ</div><div class=\"b\">い</div></div><p>う</p><div class=\"c\">え</div>";
    let runs = runs(&made(&page(body), &css).pdf, 1);
    let base = runs.iter().map(|(_, y)| *y).fold(f32::INFINITY, f32::min) - 20.0;
    let has =
        |x: f32, y: f32| runs.iter().any(|at| (at.0 - x).abs() < 0.06 && (at.1 - y).abs() < 0.06);
    assert!(has(50.0, 60.0 + base), "from the left and the top: {runs:?}");
    assert!(has(170.0, 100.0 + base), "from the right and the bottom: {runs:?}");
    assert!(has(20.0, 120.0 + base), "the flow goes on below: {runs:?}");
    assert!(has(20.0, 20.0 + base), "without an ancestor against the page: {runs:?}");
}

#[test]
fn flex_lays_out_rows_and_columns() {
    let css = format!(
        "{PLAIN} .row {{ display: flex; gap: 10pt; width: 300pt }} .row div {{ flex: 1 }} .w {{ flex-wrap: wrap }} \
         .w div {{ width: 140pt; flex: none }} .col {{ display: flex; flex-direction: column; justify-content: flex-end; height: 60pt }}"
    );
    let body = "<div class=\"row\"><div>あ</div><div>い</div><div>う</div></div><div class=\"row w\"><div>え</div><div>お</div><div>か</div></div><div class=\"col\"><div>き</div></div>";
    let runs = runs(&made(&page(body), &css).pdf, 1);
    let third = (300.0 - 20.0) / 3.0;
    near(runs[1].0, 20.0 + third + 10.0, "the second of three equal parts");
    near(runs[4].0 - runs[3].0, 150.0, "beside each other");
    near(runs[5].1 - runs[3].1, 30.0, "the third wraps, with the gap between rows");
    near(runs[6].1 - runs[5].1, 60.0, "at the end of its column");
}

#[test]
fn a_table_fits_its_content_unless_it_is_fixed() {
    let css =
        format!("{PLAIN} td {{ padding: 0 4pt 0 0 }} .f {{ width: 300pt; table-layout: fixed }}");
    let table = |class: &str| {
        format!(
            "<table class=\"{class}\"><tbody><tr><td>あいう</td><td>え</td></tr></tbody></table>"
        )
    };
    let auto = runs(&made(&page(&table("a")), &css).pdf, 1);
    assert!(
        (34.0..35.0).contains(&(auto[1].0 - auto[0].0)),
        "three letters and their padding wide: {auto:?}"
    );
    let fixed = runs(&made(&page(&table("f")), &css).pdf, 1);
    near(fixed[1].0 - fixed[0].0, 150.0, "half of the table");
}

#[test]
fn sums_are_carried_over_the_edge_of_a_page() {
    let rows: String =
        (1..=40).map(|n| format!("<tr data-amount=\"{}\"><td>行{n}</td></tr>", n * 100)).collect();
    let body = format!(
        "<table><thead><tr><th>頭</th></tr><tr data-carry=\"in\"><td>前頁繰越<kakitome-carry></kakitome-carry>円</td></tr></thead>\
         <tbody>{rows}</tbody><tfoot><tr data-carry=\"out\"><td>次頁繰越<kakitome-carry></kakitome-carry>円</td></tr><tr><td>足</td></tr></tfoot></table>"
    );
    let pages = text(&made(&page(&body), PLAIN).pdf);
    assert!(pages.len() > 3, "several pages");
    let mut carried = 0;
    for (number, page) in pages.iter().enumerate() {
        assert_eq!(page.matches('頭').count(), 1, "the head on page {number}: {page}");
        assert_eq!(page.matches('足').count(), 1, "the foot on page {number}: {page}");
        let last = number + 1 == pages.len();
        assert_eq!(page.contains("前頁繰越"), number > 0, "brought forward on page {number}");
        assert_eq!(page.contains("次頁繰越"), !last, "carried forward on page {number}");
        if number > 0 {
            assert!(page.contains(&format!("前頁繰越{}円", grouped(carried))), "{carried}: {page}");
        }
        carried += (1..=40)
            .filter(|n| {
                page.contains(&format!("行{n}行"))
                    || page.ends_with(&format!("行{n}"))
                    || rows_of(page).contains(n)
            })
            .map(|n| n * 100)
            .sum::<u64>();
        if !last {
            assert!(page.contains(&format!("次頁繰越{}円", grouped(carried))), "{carried}: {page}");
        }
    }
    assert_eq!(carried, 82_000, "every row counts once");
}

fn rows_of(page: &str) -> Vec<u64> {
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    page.split('行').skip(1).filter_map(|part| digits(part).parse().ok()).collect()
}

fn grouped(number: u64) -> String {
    super::super::filters::grouped(&number.to_string())
}

#[test]
fn named_pages_and_first_pages_have_their_own_paper() {
    let css = "@page { margin: 20mm } @page letter { size: letter } @page :first { margin-top: 60mm; @top-left { content: \"first\" } } body { page: letter } p { break-before: page }";
    let rendered = made(&page("<p>一</p><p>二</p>"), css);
    let document = Document::load_mem(&rendered.pdf).unwrap();
    for id in document.get_pages().into_values() {
        let media =
            document.get_dictionary(id).unwrap().get(b"MediaBox").unwrap().as_array().unwrap();
        near(media[2].as_float().unwrap(), 612.0, "as wide as a letter");
    }
    let pages = text(&rendered.pdf);
    assert_eq!(pages.len(), 2, "{pages:?}");
    assert!(pages[0].contains("first") && !pages[1].contains("first"), "{pages:?}");
    let lower = runs(&rendered.pdf, 1)[0].1 - runs(&rendered.pdf, 2)[0].1;
    near(lower, 40.0 * 72.0 / 25.4, "the first page begins lower");
}

#[test]
fn pictures_codes_and_links_are_in_the_file() {
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><rect width='40' height='20' fill='red'/></svg>";
    let body = "<p><img src=\"logo.svg\" alt=\"印\"> <a href=\"https://example.jp/\">頁</a> <a href=\"#z\">下</a></p>\
                <kakitome-qr value=\"https://example.jp/\"></kakitome-qr><kakitome-barcode postcode=\"100-0013\" address=\"1-3-2-503\"></kakitome-barcode><p id=\"z\">末</p>";
    let renderer = with(&page(body), PLAIN, &[("logo.svg", svg)]).unwrap();
    let rendered = made_as(&renderer, Profile::Plain);
    let document = Document::load_mem(&rendered.pdf).unwrap();
    let content = document.get_and_decode_page_content(document.get_pages()[&1]).unwrap();
    assert_eq!(
        content.operations.iter().filter(|one| one.operator == "Do").count(),
        1,
        "one picture"
    );
    assert!(
        content.operations.iter().filter(|one| one.operator == "re").count() > 150,
        "bars and modules"
    );
    let links = document.objects.values().filter_map(|object| object.as_dict().ok());
    let links: Vec<_> = links
        .filter(|one| {
            one.get(b"Subtype").is_ok_and(|kind| kind.as_name().is_ok_and(|name| name == b"Link"))
        })
        .collect();
    assert_eq!(links.len(), 2, "two links");
    assert!(
        links.iter().any(|link| link.has(b"A")) && links.iter().any(|link| link.has(b"Dest")),
        "out and within"
    );
    for bad in ["", "javascript:alert(1)", "file:///etc/passwd", "//example.jp", "#"] {
        let body = page(&format!("<p><a href=\"{bad}\">x</a></p>"));
        assert!(with(&body, PLAIN, &[]).is_err(), "{bad} is no target");
    }
    let picture = |html: &str| with(&page(html), PLAIN, &[("logo.svg", svg)]);
    assert!(picture("<img src=\"none.png\" alt=\"\">").is_err(), "a missing picture");
    assert!(picture("<img src=\"logo.svg\">").is_err(), "a picture that says nothing");
    assert!(picture("<img src=\"logo.svg\" alt=\"\">").is_ok(), "a picture that shows nothing");
}

#[test]
fn an_archived_document_is_tagged_and_says_what_it_is() {
    let body = "<h1>題</h1><p>文<a href=\"https://example.jp/\">頁</a>終</p><ul><li>一</li></ul><table><thead><tr><th>頭</th><th></th></tr></thead><tbody><tr><td>体</td><td></td></tr></tbody></table>";
    let rendered = made_as(&with(&page(body), PLAIN, &[]).unwrap(), Profile::Archive);
    let document = Document::load_mem(&rendered.pdf).unwrap();
    let catalog = document.catalog().unwrap();
    for key in ["StructTreeRoot", "MarkInfo", "OutputIntents", "Metadata", "Lang", "AF", "Names"] {
        assert!(catalog.has(key.as_bytes()), "the catalogue has {key}");
    }
    let kinds: Vec<String> = document
        .objects
        .values()
        .filter_map(|object| object.as_dict().ok())
        .filter_map(|one| one.get(b"S").ok()?.as_name().ok())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    for kind in
        ["Document", "H1", "P", "Link", "L", "LI", "LBody", "Table", "THead", "TR", "TH", "TD"]
    {
        assert!(kinds.iter().any(|known| known == kind), "{kind} is among {kinds:?}");
    }
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "TD").count(),
        2,
        "an empty cell keeps its place"
    );
    let metadata =
        document.get_object(catalog.get(b"Metadata").unwrap().as_reference().unwrap()).unwrap();
    let xmp = String::from_utf8_lossy(&metadata.as_stream().unwrap().content).into_owned();
    assert!(xmp.contains("<pdfaid:part>3</pdfaid:part>"), "{xmp}");
    assert!(
        !made(&page(body), PLAIN).pdf.windows(14).any(|bytes| bytes == b"StructTreeRoot"),
        "plain is untagged"
    );
}

#[test]
fn letters_are_kerned_and_scripts_kept_apart() {
    let widths = |css: &str, text: &str| {
        let css = format!("{PLAIN} .r {{ display: flex; gap: 5pt }} {css}");
        let body = page(&format!("<div class=\"r\"><span>{text}</span><span>|</span></div>"));
        let runs = runs(&made(&body, &css).pdf, 1);
        runs[runs.len() - 1].0 - runs[0].0
    };
    let kerned = widths("", "AVAVAV");
    let apart = widths("span { font-kerning: none }", "AVAVAV");
    assert!(kerned < apart - 0.5, "{kerned} is narrower than {apart}");
    let spaced = widths("span { text-autospace: normal }", "第3回AI会議");
    let close = widths("", "第3回AI会議");
    near(spaced - close, 10.0, "four quarters of an em");
}

#[test]
fn a_template_of_one_language_says_so_at_its_head() {
    let head = "{% set locale = \"en\" %}{% set ja = false %}\n";
    let body = "<p>{{ \"2026-11-21\"|date }} {{ 123456|money(\"USD\") }} {{ \"和\" if ja else \"E\" }}</p>";
    let read = text(&made(&format!("{head}{}", page(body)), PLAIN).pdf).concat();
    assert!(read.contains("21November2026$1,234.56E"), "{read}");
}

#[test]
fn variables_hold_in_the_margins_of_a_page() {
    let css = ":root {\n--edge: 20mm;\n--ink: #345;\n}\n\
               @page { margin: var(--edge); @top-left { content: \"x\"; color: var(--ink) } }";
    assert!(text(&made(&page("<p>y</p>"), css).pdf).concat().contains('x'), "understood");
}

#[test]
fn text_can_be_written_in_capitals() {
    let css = format!("{PLAIN} h4 {{ text-transform: uppercase }} span {{ text-transform: none }}");
    let read = text(&made(&page("<h4>Total due 合計 <span>net</span></h4>"), &css).pdf).concat();
    assert!(read.contains("TOTALDUE合計net"), "{read}");
}

#[test]
fn sides_of_a_border_have_widths_and_colours_of_their_own() {
    let css = "p { border: 1pt solid red; border-width: 2pt 3pt; border-left-width: 4pt; border-top-color: blue }";
    let sheet = super::super::css::Sheet::parse(css, &[]).unwrap();
    let tree = super::super::dom::Tree::parse("<html><p>x</p></html>").unwrap();
    let styles = super::super::css::cascade::Styles::of(&tree, &sheet);
    let style = styles.style(1);
    assert!(style.border.iter().eq(&[2.0, 3.0, 2.0, 4.0]), "{:?}", style.border);
    assert_ne!(style.border_color[0], style.border_color[1], "blue above, red beside");
}

#[test]
fn boxes_on_a_line_are_printed_once_and_in_their_place() {
    let css = format!(
        "{PLAIN} .b {{ display: inline-block; padding: 0 3pt; border: 1pt solid red; margin: 5pt 2pt }}"
    );
    let body = page("<p>前<span class=\"b\">中<span class=\"b\">奥</span></span>後</p><p>下</p>");
    let rendered = made(&body, &css);
    let read = text(&rendered.pdf).concat();
    for word in ["前", "中", "奥", "後", "下"] {
        assert_eq!(read.matches(word).count(), 1, "{word}: {read}");
    }
    let runs = runs(&rendered.pdf, 1);
    let (last, below) = (runs.iter().map(|at| at.0).fold(0.0, f32::max), runs[runs.len() - 1].1);
    near(last, 20.0 + 10.0 + 6.0 + 10.0 + 6.0 + 10.0 + 6.0 + 6.0, "the letters and two boxes");
    near(below - runs[0].1, 20.0 + 2.0 * (1.0 + 5.0), "one border and margin below the line");
    let error = with(&page("<p><span>x</span></p>"), "span { position: relative; top: 1pt }", &[]);
    assert!(error.is_err(), "what is not honoured is refused");
}

#[test]
fn a_page_says_in_its_margin_what_it_names_first_or_else_what_was_named_last() {
    let css = format!(
        "{PLAIN} @page {{ @top-left {{ content: \"[\" string(chapter) \"]\" }} }} h2 {{ string-set: chapter content() }} .n {{ break-before: page }}"
    );
    let body =
        "<p>零</p><h2 class=\"n\">一</h2><h2>二</h2><p class=\"n\">続</p><h2 class=\"n\">三</h2>";
    let pages = text(&made(&page(body), &css).pdf);
    for (page, said) in pages.iter().zip(["[]", "[一]", "[二]", "[三]"]) {
        assert!(page.contains(said), "{said} is on {page}");
    }
    assert_eq!(pages.len(), 4, "{pages:?}");
}

#[test]
fn marks_that_do_not_compose_are_placed_and_read_back() {
    let rendered = made(&page("<p>か゚き゚ x̄</p>"), PLAIN);
    let read = text(&rendered.pdf).concat();
    assert!(read.contains("か゚き゚"), "{read}");
}

#[test]
fn hostile_layouts_end_in_an_error_or_a_page() {
    let deep = format!("{}x{}", "<div class=\"f\">".repeat(30), "</div>".repeat(30));
    let wide =
        format!("<table><tbody><tr>{}</tr></tbody></table>", "<td>長い文字列</td>".repeat(200));
    let cases = [
        (page(&deep), ".f { display: flex }"),
        (page(&wide), "table { width: 10pt }"),
        (page("<p>長い文</p>"), "p { width: 0 }"),
        (page("<p>長い文</p>"), "p { font-size: 900pt }"),
        (page("<p>長い文</p>"), "p { height: 9999pt; background: red }"),
        (page("<p>長い文</p>"), "p { position: absolute; left: -9999pt; width: 1pt }"),
        (
            page("<div class=\"f\"><p>a</p></div>"),
            ".f { display: flex; flex-direction: column } p { flex: 1 1 0 }",
        ),
        (page("<p>長い文</p>"), "p { padding: 5000pt }"),
        (
            page(
                "<table><thead><tr><th>x</th></tr></thead><tbody><tr><td>y</td></tr></tbody></table>",
            ),
            "th { height: 2000pt }",
        ),
        (
            page("<p><span>a</span></p>"),
            "span { display: inline-block; width: 5000pt; height: 3000pt; border: 1pt solid red }",
        ),
    ];
    for (html, css) in cases {
        let started = Instant::now();
        match with(&html, css, &[]) {
            Ok(renderer) => assert!(made_as(&renderer, Profile::Archive).pages <= 500, "{css}"),
            Err(error) => assert!(
                matches!(error.code(), "template_failed" | "too_many_pages" | "too_large"),
                "{css}: {error}"
            ),
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{css}: in bounded time");
    }
}

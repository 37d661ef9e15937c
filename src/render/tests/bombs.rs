//! What once took memory or time without bound, each by a document of its own.
//! The times are generous: they tell seconds from hours on any machine.

use super::*;
use crate::render::{
    assets::Assets,
    css::{Sheet, cascade::Styles},
    dom::Tree,
    finish::{self, About},
    font::FontSet,
    layout::Layout,
    paint,
};
use std::sync::Arc;

static FONTS: LazyLock<Arc<FontSet>> = LazyLock::new(|| Arc::new(FontSet::bundled().unwrap()));

/// Makes a document of HTML, and says how long it took.
fn made(html: &str, css: &str) -> (Result<crate::domain::plain::Plain, RenderError>, Duration) {
    let started = Instant::now();
    let document = || {
        let sheet = Sheet::parse(css, &FONTS.families())?;
        let tree = Tree::parse(html)?;
        sheet.check_size(tree.nodes.len())?;
        let styles = Styles::of(&tree, &sheet);
        let assets = Assets::default();
        let mut layout = Layout::new(&FONTS, &assets, &tree, &styles);
        let pages = crate::render::lay_out(&mut layout, &sheet)?;
        layout.check()?;
        let about = About { title: "", language: "ja", archive: false, attachment: None };
        let drawn = paint::draw(&pages, &layout, false);
        finish::finish(drawn, &pages, &layout, &about)
    };
    (document(), started.elapsed())
}

fn soon(took: Duration, what: &str) {
    assert!(took < Duration::from_secs(20), "{what} took {took:?}");
}

const TINY: &str = "@page { size: A4; margin: 5mm } html { font-size: 2pt; line-height: 2pt }";

fn page(body: &str) -> String {
    format!("<html lang=\"ja\"><body>{body}</body></html>")
}

#[test]
fn a_list_of_thirty_thousand_items_is_numbered_in_one_walk() {
    let css = format!("{TINY} ol {{ padding-left: 20pt }}");
    let (pdf, took) = made(&page(&format!("<ol>{}</ol>", "<li>a</li>".repeat(30_000))), &css);
    let pages = text(&pdf.unwrap());
    assert!(pages.last().unwrap().contains("30000."), "the last number");
    soon(took, "the list");
}

#[test]
fn ten_thousand_links_into_the_document_find_their_places() {
    let mut body = String::new();
    for number in 0..10_000 {
        body.push_str(&format!("<p id=\"p{number}\"><a href=\"#p{}\">x</a></p>", 9_999 - number));
    }
    let (pdf, took) = made(&page(&body), TINY);
    let document = Document::load_mem(&pdf.unwrap()).unwrap();
    let targets = document
        .objects
        .values()
        .filter_map(|one| one.as_dict().ok())
        .filter(|one| one.has(b"Dest"))
        .count();
    assert_eq!(targets, 10_000, "every link leads somewhere");
    soon(took, "the links");
}

#[test]
fn a_link_of_many_lines_says_an_excerpt_in_each() {
    let body = format!("<p><a href=\"https://example.com/\">{}</a></p>", "長い文章".repeat(40_000));
    let (pdf, took) = made(&page(&body), TINY);
    let document = Document::load_mem(&pdf.unwrap()).unwrap();
    let said =
        document.objects.values().filter_map(|one| one.as_dict().ok()?.get(b"Contents").ok());
    let longest = said.filter_map(|one| Some(one.as_str().ok()?.len())).max().unwrap();
    assert!(longest < 1_000, "two hundred characters and not {longest} bytes");
    soon(took, "the link");
}

#[test]
fn a_margin_repeats_an_excerpt_of_a_long_string() {
    let css = "@page { size: A4; margin: 20mm; @top-left { content: string(t) } } h1 { string-set: t content(); font-size: 4pt }";
    let body = format!("<h1>{}</h1>", "題".repeat(100_000));
    let (pdf, took) = made(&page(&body), css);
    assert!(pdf.is_ok(), "made");
    soon(took, "the margins");
}

#[test]
fn boxes_measured_within_boxes_come_to_an_end() {
    let css = format!("{TINY} .f {{ display: flex; flex-wrap: wrap }} .f div {{ flex: 1 }}");
    let inner = "<div>ab 漢字</div>".repeat(2_000);
    let body = format!("{}{inner}{}", "<div class=\"f\">".repeat(10), "</div>".repeat(10));
    let (made_flex, took) = made(&page(&body), &css);
    assert!(
        made_flex.map_or_else(|error| error.code() == "template_failed", |_| true),
        "an error or a page"
    );
    soon(took, "nested flex");
    let cells = format!("<table>{}", "<tr><td>ab 漢字</td></tr>".repeat(900)) + "</table>";
    let body = format!("{}{cells}{}", "<table><tr><td>".repeat(8), "</td></tr></table>".repeat(8));
    let (made_tables, took) = made(&page(&body), TINY);
    assert!(
        made_tables.map_or_else(|error| error.code() == "template_failed", |_| true),
        "an error or a page"
    );
    soon(took, "nested tables");
}

#[test]
fn qr_codes_by_the_thousand_are_refused() {
    let code = format!("<kakitome-qr value=\"{}\"></kakitome-qr>", "x".repeat(500));
    let (made_codes, took) = made(&page(&code.repeat(5_000)), TINY);
    assert_eq!(made_codes.unwrap_err().code(), "template_failed", "refused");
    soon(took, "the codes");
}

#[test]
fn boxes_that_overlap_like_tiles_are_cut_or_refused() {
    let mut css = format!(
        "{TINY} .r {{ position: relative; height: 3000pt }} .r div {{ position: absolute }}"
    );
    let mut body = String::from("<div class=\"r\">");
    for number in 0..2_000 {
        css.push_str(&format!(".t{number} {{ top: {}pt }}\n", f64::from(number) * 1.4));
        body.push_str(&format!("<div class=\"t{number}\">a</div>"));
    }
    body.push_str("</div>");
    let (tiles, took) = made(&page(&body), &css);
    assert!(
        tiles.map_or_else(|error| error.code() == "template_failed", |_| true),
        "an error or pages"
    );
    soon(took, "the tiles");
}

#[test]
fn a_long_selector_is_not_tried_in_every_combination() {
    let css = format!("{TINY} .none {} p {{ color: #f00 }}", "div ".repeat(20));
    let body = format!("{}<p>a</p>{}", "<div>".repeat(40), "</div>".repeat(40));
    let (pdf, took) = made(&page(&body), &css);
    assert!(pdf.is_ok(), "nothing is wrong with it");
    soon(took, "the selector");
    let rules = format!("{TINY} {}", "p { color: #f00 }".repeat(30_000));
    let (refused, took) = made(&page(&"<p>a</p>".repeat(10_000)), &rules);
    assert_eq!(refused.unwrap_err().code(), "template_failed", "rules times elements");
    soon(took, "the rules");
}

#[test]
fn selectors_with_children_and_descendants_still_fit() {
    // The nearest `div` has no `section` above it as its parent; the next one has.
    let css = format!("{TINY} section > div p {{ position: absolute; left: 100pt }}");
    let body = "<section><div><div><p>a</p></div></div></section>";
    let (_, x, _) = places(&made(&page(body), &css).0.unwrap(), 1)[0];
    assert!(x > 100.0, "matched: {x}");
}

#[test]
fn expressions_as_deep_as_they_are_long_are_refused() {
    let chains = [
        format!("{{{{ 1{} }}}}", "+1".repeat(100_000)),
        format!("{{{{ d{} }}}}", ".a".repeat(100_000)),
        format!("{{{{ d{} }}}}", "|upper".repeat(100_000)),
        format!("{{{{ d{} }}}}", "[0]".repeat(100_000)),
        format!("{{{{ {}d }}}}", "not ".repeat(100_000)),
        format!("{{{{ {}d{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{{% if d %}}{}{{% endif %}}", "{% elif d %}".repeat(50_000)),
        format!("{}{}", "{% if d %}".repeat(50_000), "{% endif %}".repeat(50_000)),
    ];
    for source in chains {
        let bundle = TemplateBundle {
            name: "t".into(),
            files: [
                ("template.html", &*source),
                ("style.css", ""),
                ("data.schema.json", "{\"type\": \"object\"}"),
                ("sample.json", "{}"),
            ]
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
            .into(),
        };
        let error = RENDERER.try_out(&bundle).unwrap_err();
        assert_eq!(error.code(), "template_failed", "{error}");
    }
}

#[test]
fn svg_that_grows_when_it_is_resolved_is_refused() {
    let svg = |inner: &str| {
        format!("<svg xmlns='http://www.w3.org/2000/svg' width='4' height='4'>{inner}</svg>")
            .into_bytes()
    };
    let mut laughs = String::from("<defs><path id='l0' d='M0 0h1v1z'/>");
    for level in 1..30 {
        let below = level - 1;
        laughs.push_str(&format!(
            "<g id='l{level}'>{}</g>",
            format!("<use href='#l{below}'/>").repeat(2)
        ));
    }
    laughs.push_str("</defs><use href='#l29'/>");
    let path = format!(
        "<defs><path id='p' d='M0 0{}'/></defs>{}",
        "h1v1".repeat(100_000),
        "<use href='#p'/>".repeat(1_000)
    );
    let marker =
        "<marker id='m'><path d='M0 0h1'/></marker><path marker-mid='url(#m)' d='M0 0h1v1'/>";
    let deep = format!("{}{}", "<g>".repeat(5_000), "</g>".repeat(5_000));
    let circle = "<g id='a'><use href='#a'/></g>";
    for (what, inner) in [
        ("laughs", &*laughs),
        ("path", &path),
        ("marker", marker),
        ("deep", &deep),
        ("circle", circle),
    ] {
        let started = Instant::now();
        assert!(Assets::default().add("a.svg", &svg(inner)).is_err(), "{what} is refused");
        soon(started.elapsed(), what);
    }
    let twice = "<defs><path id='p' d='M0 0h1v1z'/></defs><use href='#p'/><use href='#p' x='2'/>";
    assert!(Assets::default().add("a.svg", &svg(twice)).is_ok(), "using a part twice is fine");
}

#[test]
fn a_round_box_over_two_pages_ends_at_the_foot_of_the_first() {
    let css = "@page { size: 300pt 200pt; margin: 10pt } p { border: 1pt solid #000; border-radius: 5pt; background: #eee }";
    let (pdf, _) = made(&page(&format!("<p>{}</p>", "あ".repeat(600))), css);
    let document = Document::load_mem(&pdf.unwrap()).unwrap();
    assert!(document.get_pages().len() > 1, "it goes on");
    for id in document.get_pages().values() {
        let content = document.get_and_decode_page_content(*id).unwrap();
        let corners = content.operations.iter().filter(|one| one.operator == "c");
        let lowest = corners.map(|one| one.operands[5].as_float().unwrap()).fold(200.0, f32::min);
        assert!(lowest >= 9.9, "within the margins: {lowest}");
    }
}

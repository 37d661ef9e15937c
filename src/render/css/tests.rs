use super::{Sheet, cascade::Styles, style::Display, value::Rgb};
use crate::render::{dom::Tree, error::RenderError};

const FAMILIES: [&str; 2] = ["Noto Sans JP", "BIZ UDPGothic"];

fn parse(css: &str) -> Result<Sheet, RenderError> {
    Sheet::parse(css, &FAMILIES.map(str::to_owned))
}

fn refused(css: &str) -> (String, Option<u32>) {
    match parse(css) {
        Err(RenderError::TemplateFailed { what, at, .. }) => (what, at.map(|at| at.line)),
        other => panic!("{css:?} was not refused: {other:?}"),
    }
}

fn style_of<T>(
    css: &str,
    html: &str,
    tag: crate::render::dom::Tag,
    get: impl Fn(&super::style::Style) -> T,
) -> Vec<T> {
    let sheet = parse(css).unwrap();
    let tree = Tree::parse(html).unwrap();
    let styles = Styles::of(&tree, &sheet);
    (0..tree.nodes.len() as u32)
        .filter(|node| tree.node(*node).tag == Some(tag))
        .map(|node| get(styles.style(node)))
        .collect()
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    let cases = [
        ("p { color: red }\np {\n  float: left;\n}", "unknown property", 3),
        ("p { margin: 3vw }", "unknown unit", 1),
        ("\n\np { display: grid }", "unknown word", 3),
        ("p:hover { color: red }", "unknown pseudo-class", 1),
        ("p::before { color: red }", "no pseudo-elements", 1),
        ("\nblink { color: red }", "unknown element", 2),
        ("p[lang] { color: red }", "selector", 1),
        ("p + p { color: red }", "selector", 1),
        ("@page", "@page takes a name", 1),
        ("p { }\n@page lett", "@page takes a name", 2),
        ("@page :x", "only pseudo-class of @page", 1),
        ("@font-face", "a block `{ … }` is expected", 1),
        ("@font-face x (", "a block `{ … }` is expected", 1),
        ("p", "a selector and a block", 1),
        ("@media print { p { color: red } }", "unknown @-rule", 1),
        ("@import url(https://example.invalid/x.css);", "names a part", 1),
        ("p { background: url(x.png) }", "colour", 1),
        ("p { color: rgba(0, 0, 0, 0.5) }", "colour", 1),
        ("p { color: red !important }", "more follows", 1),
        ("p { color: red blue }", "more follows", 1),
        ("p { width: var(--missing) }", "custom property", 1),
        ("@page {\n  size: foolscap;\n}", "size of paper", 2),
        ("@font-face { font-family: X; src: url(https://example.invalid/x.ttf) }", "folder", 1),
        ("p { font-family: Arial }", "unknown family", 1),
        ("p { width: -3pt }", "negative", 1),
        ("p { height: 50% }", "nothing to refer to", 1),
        ("@page { @left-top { content: \"x\" } }", "margin box", 1),
        ("p { color: red", "", 0),
    ];
    for (css, what, line) in cases {
        if line == 0 {
            // CSS closes open blocks at the end of the file; so do we.
            assert!(parse(css).is_ok(), "{css:?}");
            continue;
        }
        let (said, at) = refused(css);
        assert!(said.contains(what), "{css:?}: {said:?} does not say {what:?}");
        assert_eq!(at, Some(line), "{css:?}: the line");
    }
}

#[test]
fn a_sheet_must_leave_room_for_text() {
    for css in
        ["@page { size: 60mm 60mm; margin: 25mm }", "@page { size: 0 0 }", "@page { size: 9000mm }"]
    {
        assert!(refused(css).0.contains("left of the sheet"), "{css}");
    }
    let unset =
        "p { string-set: title content() }\n@page { @top-left { content: 'x' string(titel) } }";
    let told = parse(unset).unwrap().unset[0].to_string();
    assert!(told.contains("style.css:2:34: no `string-set` names `titel`; `title`"), "{told}");
    let differing = "@page { margin: 20mm } @page :first { margin: 20mm 30mm }";
    assert!(refused(differing).0.contains(":first"), "the first page is as wide as the others");
    let sheet =
        parse("@page letter { size: letter landscape } @page :first { margin-top: 40mm }").unwrap();
    let paper = sheet.pages.paper(Some("letter")).unwrap();
    assert_eq!((paper.rest.width, paper.rest.height), (792.0, 612.0), "turned");
    assert!(paper.first.margin[0] > paper.rest.margin[0], "the first page begins lower");
    assert!(sheet.pages.paper(Some("legal")).is_err(), "an unknown name");
}

#[test]
fn the_more_specific_rule_wins_and_then_the_later_one() {
    use crate::render::dom::Tag;
    let css =
        ".a { color: #010101 } p { color: #020202 } #x { color: #030303 } .a { color: #040404 }";
    let html = "<html><p class=\"a\">1</p><p class=\"b\">2</p><p id=\"x\" class=\"a\">3</p></html>";
    let colors = style_of(css, html, Tag::P, |style| style.color);
    assert_eq!(colors, [Rgb(4, 4, 4), Rgb(2, 2, 2), Rgb(3, 3, 3)], "by class, by tag, by id");
}

#[test]
fn selectors_see_parents_ancestors_and_places() {
    use crate::render::dom::Tag;
    let css = "
        div > p { color: #010101 }
        div p { letter-spacing: 1pt }
        p:first-child { font-weight: 700 }
        p:last-child { display: none }
        p:nth-child(2n) { background: #020202 }";
    let html =
        "<html><div><p>1</p><p>2</p><section><p>3</p></section><p>4</p></div><p>5</p></html>";
    let seen = style_of(css, html, Tag::P, |style| {
        (
            style.color == Rgb(1, 1, 1),
            style.letter_spacing > 0.5,
            style.bold,
            style.display == Display::None,
            style.background.is_some(),
        )
    });
    let expected = [
        (true, true, true, false, false),
        (true, true, false, false, true),
        (false, true, true, true, false),
        (true, true, false, true, true),
        (false, false, false, true, true),
    ];
    assert_eq!(seen, expected, "child, descendant, first, last, even");
}

#[test]
fn lengths_inherit_as_points_and_em_follows_the_element() {
    use crate::render::dom::Tag;
    let css = ":root {\n --gap: 2em;\n}\nhtml { font-size: 10pt } div { font-size: 200% } p { margin: var(--gap) 1rem 10mm 12px }";
    let html = "<html><div><p>1</p></div></html>";
    let [top, right, bottom, left] = style_of(css, html, Tag::P, |style| style.margin)[0];
    assert!((top - 40.0).abs() < 0.01, "2em of 20pt, not {top}");
    assert!((right - 10.0).abs() < 0.01, "the root's size, not {right}");
    assert!((bottom - 28.346).abs() < 0.01, "10mm, not {bottom}");
    assert!((left - 9.0).abs() < 0.01, "12px, not {left}");
}

#[test]
fn variables_stand_in_a_rule_for_the_root() {
    use crate::render::dom::Tag;
    let color = |css: &str| style_of(css, "<html><p>1</p></html>", Tag::P, |style| style.color);
    for css in [
        ":root { --x: #010203 } p { color: var(--x) }",
        "p { color: var(--x) } /* 1 */ :root /* 2 */ {--x:#040506;--x: #010203}",
        "/* :root { --x: red } */ :root { color: red; ; --y: #010203; --x: var(--y); }\np { color: var( --x ) }",
        "@page { margin: 20mm } :root { --X: red; --x: #010203 } p { color: var(--x) }",
        ":root { --x: #010203; --none: a(b;c) \"};\" } p { color: var(--x) }",
        ":root { --x: #010203;\n/*\n--x: red;\n*/ } p { color: var(--x) }",
    ] {
        assert_eq!(color(css), [Rgb(1, 2, 3)], "{css}");
    }
    for (css, says, line) in [
        (
            "p { color: red }\np { --x: red }",
            "`--x`: unknown property; a custom property stands in `:root`",
            2,
        ),
        (":root, p { --x: red }", "a custom property stands in `:root`", 1),
        (":root { --x: red }\np { color: var(--X) }", "did you mean `--x`?", 2),
        (":root {\n --y: var(--x);\n --x: red }", "unknown custom property `--x`", 2),
        (":root { --x: var(--x) }", "unknown custom property", 1),
        (":root { --x; --y: red } p { color: var(--y) }", "a colon is expected", 1),
        (":root { --x: 1pt\n --y: red; }", "is a `;` missing before `--y`?", 1),
        (":root { --x: 1pt 2pt 3 }\np { width: var(--x) }", "more follows the value", 2),
    ] {
        let (said, at) = refused(css);
        assert!(said.contains(says), "{css}: {said}");
        assert_eq!(at, Some(line), "{css}: {said}");
    }
    let many: String = (0..1_001).map(|one| format!("--a{one}: 1pt;")).collect();
    assert!(refused(&format!(":root {{ {many} }}")).0.contains("more than 1,000"), "bounded");
}

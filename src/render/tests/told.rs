//! What an author is told: the place in the template's own source, the element, and
//! what to do. Never a value of the data.

use super::*;
use crate::render::{Trial, css, css::Sheet, template::Template};

pub(super) const SCHEMA: &str = r#"{"type": "object", "additionalProperties": false,
  "properties": {"name": {"type": "string"}, "note": {"type": "string"}, "more": {"type": "string"},
    "lines": {"type": "array", "items": {"type": "object", "additionalProperties": false,
      "properties": {"label": {"type": "string"}, "count": {"type": "integer"},
        "more": {"type": "string"}}}}}}"#;
/// What must not be in any message.
const CANARY: &str = "canary 4711";

pub(super) fn bundle(html: &str, css: &str, schema: &str) -> TemplateBundle {
    let sample =
        format!(r#"{{"name": "{CANARY}", "lines": [{{"label": "{CANARY}", "count": 2}}]}}"#);
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='4' height='4'><rect width='4' height='4'/></svg>";
    let files = [
        ("template.html", html),
        ("style.css", css),
        ("data.schema.json", schema),
        ("sample.json", &*sample),
        ("logo.svg", svg),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    TemplateBundle { name: "note".into(), files: files.into() }
}

/// The one error of a template, as `FILE:LINE:COLUMN: WHAT`.
pub(super) fn said(bundle: &TemplateBundle) -> String {
    let data: Value =
        serde_json::from_slice(&bundle.files.iter().find(|one| one.0 == "sample.json").unwrap().1)
            .unwrap();
    let made =
        RENDERER.try_out(bundle).and_then(|trial: Trial<'_>| trial.render(&data, Locale::Ja, ""));
    let error = made.err().unwrap_or_else(|| panic!("nothing is wrong"));
    let said = error.to_string();
    assert!(!said.contains("canary"), "the data are quoted: {said}");
    said.strip_prefix("template failed: ").unwrap_or(&said).to_owned()
}

fn of_html(html: &str, css: &str) -> String {
    said(&bundle(html, css, SCHEMA))
}

/// A body behind a line of its own, so that it is on the third.
pub(super) fn body(inner: &str) -> String {
    format!(
        "<html><head><title>{{{{ title }}}}</title></head>\n<body>{{{{ d.name }}}}\n{inner}\n</body></html>"
    )
}

#[test]
fn wrong_html_is_shown_where_the_template_says_it() {
    let rows = "{% for line in d.lines %}\n<p>{{ line.label }}</p>\n{% endfor %}\n";
    for (inner, says) in [
        (
            "<div class=\"total\">\n<p>1</div>".to_owned(),
            "template.html:4:5: end tag closes another element: `p` of line 4 is still open",
        ),
        (
            format!("{rows}<div class=\"total\"><p>1</p>"),
            "template.html:7:1: end tag closes another element: `div.total` of line 6 is still open",
        ),
        (
            format!("{rows}<img class=\"logo\" src=\"logo.svg\">"),
            "template.html:6:1: `img.logo`: an `img` says in `alt` what it shows; empty if nothing",
        ),
        (
            "<img src=\"https://a.example/x.png\" alt=\"\">".to_owned(),
            "template.html:3:1: `img`: `src` names no picture",
        ),
        (
            "<p><li>1</li></p>".to_owned(),
            "template.html:3:4: `li`: an item stands directly in `ul` or `ol`",
        ),
        (
            "<a class=\"to\" href=\"#nowhere\">1</a>".to_owned(),
            "template.html:3:1: `a.to`: `href` leads to an `id` that no element has",
        ),
        (
            "<link rel=\"stylesheet\" href=\"house.css\">".to_owned(),
            "template.html:3:1: `link`: the stylesheet is always `style.css`",
        ),
        (
            "<p>\n<kakitome-carry></kakitome-carry></p>".to_owned(),
            "template.html:4:1: `kakitome-carry`: a sum so far stands in a row with `data-carry`",
        ),
        (
            "<table><tbody><tr><td><kakitome-carry></kakitome-carry></td></tr></tbody></table>"
                .to_owned(),
            "a sum so far stands in a row",
        ),
        (
            "<table><thead><tr data-carry=\"x\"><td><kakitome-carry decimals=\"two\"></kakitome-carry></td></tr></thead></table>"
                .to_owned(),
            "`kakitome-carry`: `decimals` is a number from 0 to 6",
        ),
        (
            "<kakitome-qr value=\"{{ d.note }}\"></kakitome-qr>".replace("d.note", "d.note or ''"),
            "template.html:3:1: `kakitome-qr`: `value` holds 1 to 600 bytes; leave the element out",
        ),
        (
            "<table><tbody><tr>\nx</tr></tbody></table>".to_owned(),
            "text outside of a table's cells",
        ),
        ("<p colspan=\"0\">1</p>".to_owned(), "template.html:3:13: `p`: colspan must be 1 to 100"),
        ("<p>1</p id=\"x\">".to_owned(), "template.html:3:13: stray attribute"),
    ] {
        let told = of_html(&body(&inner), "");
        assert!(told.contains(says), "{inner}\n  {told}\n  {says}");
    }
    let open = of_html("<html>\n<body>{{ d.name }}\n<div class=\"a {{ d.name }}\">", "");
    assert_eq!(open, "template.html:3:1: `div.a`: never closed", "the innermost");
}

#[test]
fn a_style_that_is_not_honoured_names_its_element() {
    for (inner, css, says) in [
        (
            "<p><span class=\"box\">1</span></p>",
            ".box { padding: 1pt }",
            "template.html:3:4: `span.box`: an inline element has no box",
        ),
        (
            "<table class=\"a\"><tbody><tr><td>1</td></tr></tbody></table>",
            ".a { border: 1pt solid red }",
            "template.html:3:1: `table.a`: a table has no border at its sides",
        ),
        (
            "<table><tbody class=\"b\"><tr><td>1</td></tr></tbody></table>",
            ".b { background: red }",
            "template.html:3:8: `tbody.b`: thead, tbody and tfoot draw nothing",
        ),
        (
            "<table><tbody><tr><td class=\"c\">1</td></tr></tbody></table>",
            ".c { margin: 1pt }",
            "template.html:3:19: `td.c`: a cell has no margin; `padding` keeps it apart (by its style)",
        ),
        (
            "<table><tbody><tr class=\"c\"><td>1</td></tr></tbody></table>",
            ".c { padding: 1pt }",
            "template.html:3:15: `tr.c`: rows and their groups",
        ),
    ] {
        let told = of_html(&body(inner), css);
        assert!(told.contains(says), "{inner}\n  {told}\n  {says}");
    }
}

#[test]
fn an_error_of_minijinja_names_what_it_is_about() {
    for (inner, says) in [
        (
            "<p>{{ d.nmae }}</p>",
            "template.html:3:7: `d` has no field `nmae` in data.schema.json; did you mean `name`?",
        ),
        (
            "<p>{{ d.name }} {{ d.note }}</p>",
            "template.html:3:20: undefined value `d.note`; where data may lack it, ask first: `{% if d.note %}`",
        ),
        (
            "{% for line in d.lines %}\n<p>{{ line.lable }}</p>{% endfor %}",
            "template.html:4:7: `line` has no field `lable` in data.schema.json; did you mean `label`?",
        ),
        (
            "{% for line in d.lines %}\n<p>{{ line.label }}{{ line.more }}</p>{% endfor %}",
            "template.html:4:7: undefined value: one of `line.label`, `line.more`",
        ),
        (
            "{% for line in d.lines %}\n<p>{{ loop.index }}{{ line.count }}{{ line.label }}{{ line.coutn }}</p>{% endfor %}",
            "template.html:4:55: `line` has no field `coutn` in data.schema.json; did you mean `count`?",
        ),
        (
            "<p>電話 {{ d.company.phone }}</p>",
            "template.html:3:10: `d` has no field `company` in data.schema.json",
        ),
        ("<p>{{ d.note or d.more }}</p>", "undefined value `d.more`"),
        ("<p>{{ locael }}</p>", "undefined value `locael`; did you mean `locale`?"),
        ("<p>{{ d.note|date }}</p>", "template.html:3:7: undefined value `d.note`"),
        ("<p>{{ d.name|yen }}</p>", "template.html:3:14: `yen` takes whole yen, not another text"),
        (
            "<p>{{ 1 }}{{ d.name|date }}</p>",
            "template.html:3:21: `date` takes a date as YYYY-MM-DD, not another text",
        ),
        (
            "<p>{{ d.name|round }}</p>",
            "template.html:3:14: invalid operation: `round` cannot take its value",
        ),
        ("<p>{{ d.name - 1 }}</p>", "`-` cannot take its value"),
        (
            "{% if d.name %}\n<p>1</p>",
            "template.html:3:1: `{% if %}` is never closed by `{% endif %}`",
        ),
        (
            "<p>\n  {% for a in d.lines %}x{% if a %}1{% endfor %}</p>",
            "template.html:4:37: `{% endfor %}` stands where `{% endif %}` is expected, for the `{% if %}` of line 4",
        ),
        ("1{% endif %}", "template.html:3:2: `{% endif %}` closes nothing"),
        ("{{ d.name|dat }}", "unknown filter `dat`; did you mean `date`?"),
    ] {
        let told = of_html(&body(inner), "");
        assert!(told.contains(says), "{inner}\n  {told}\n  {says}");
    }
}

#[test]
fn a_schema_is_wrong_at_a_path() {
    let schema = |inner: &str| {
        format!(
            "{{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {{\n  \"total\": {inner}}}}}"
        )
    };
    for (inner, says) in [
        (
            "{\"type\": \"number\"}",
            "data.schema.json:2:13: `properties.total.type`: there are no fractions: `\"type\": \"integer\"`",
        ),
        (
            "{\"type\": \"strnig\"}",
            "data.schema.json:2:13: `properties.total.type`: unknown type `strnig`; `object`,",
        ),
        (
            "{\"type\": \"string\", \"maxLenght\": 3}",
            "`properties.total.maxLenght`: unknown keyword `maxLenght`; did you mean `maxLength`?",
        ),
        (
            "{\"type\": \"array\", \"items\": {\"type\": \"object\"}}",
            "`properties.total.items`: an object says `\"additionalProperties\": false`",
        ),
        ("{\"$ref\": \"#/$defs/x\"}", "`properties.total.$ref`: `$ref` names a place of this file"),
        ("{\"enum\": [\"a\"]}", "data.schema.json:2:3: `properties.total`: `type` is missing"),
    ] {
        let told = said(&bundle(&body(""), "", &schema(inner)));
        assert!(told.contains(says), "{inner}\n  {told}\n  {says}");
    }
    let defs = "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"a\": {\"$ref\": \"#/$defs/x\"}},\n\"$defs\": {\"x\": {\"type\": \"int\"}}}";
    let told = said(&bundle(&body(""), "", defs));
    assert!(told.starts_with("data.schema.json:2:17: `$defs.x.type`: unknown type"), "{told}");
}

#[test]
fn what_silently_would_be_missing_is_refused() {
    let mut with = bundle(&body(""), "", SCHEMA);
    let svg =
        "<svg xmlns='http://www.w3.org/2000/svg' width='4' height='4'>\n<text>ACME</text></svg>";
    with.files.push(("text.svg".into(), svg.into()));
    assert_eq!(said(&with), "text.svg:2:1: an SVG picture has no text; make it paths");
    let mut with = bundle(&body(""), "", SCHEMA);
    with.files.push(("img/".into(), Vec::new()));
    assert_eq!(said(&with), "img/: a folder: there are none in a template");
}

#[test]
fn all_that_is_wrong_with_a_stylesheet_is_told_at_once() {
    let css = "p { colr: red; magrin-top: 1pt; color: blue }\n.a + .b { colour: red }\n@media print { p { color: red } }\n\
               @page { size: A9; @top-middle { content: \"x\" } }\np { width: 6vw }\n@font-face { src: url(x.ttf); family: X }";
    let all = RENDERER.style_errors(&bundle(&body(""), css, SCHEMA));
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    let expected = [
        "style.css:1:5: `colr`: unknown property; did you mean `color`?",
        "style.css:1:16: `magrin-top`: unknown property; did you mean `margin-top`?",
        "style.css:2:1: `+` is not understood in a selector",
        "style.css:2:11: `colour`: unknown property; did you mean `color`?",
        "style.css:3:1: unknown @-rule `@media`; `@import`, `@page` and `@font-face` are known",
        "style.css:4:9: `size`: unknown size of paper `a9`; `a3`, `a4`,",
        "style.css:4:19: unknown margin box `top-middle`; `top-left`,",
        "style.css:5:5: `width`: unknown unit `vw`; pt, mm, cm, in, px, em and rem are known",
        "style.css:6:31: `family`: unknown property in @font-face",
        "style.css:6:11: @font-face: font-family and src are expected",
    ];
    for (told, says) in all.iter().zip(expected) {
        assert!(told.contains(says), "{told}\n  {says}");
    }
    assert_eq!(all.len(), expected.len(), "{all:#?}");
    let many = "p { a: b }\n".repeat(100);
    assert_eq!(RENDERER.style_errors(&bundle(&body(""), &many, SCHEMA)).len(), 20, "no more");
}

#[test]
fn a_word_of_a_stylesheet_is_quoted_with_what_is_known() {
    for (css, says) in [
        (
            "p { display: grid }",
            "`display`: unknown word `grid`; `block`, `inline`, `inline-block`, `flex` or `none` is expected",
        ),
        ("p { text-align: justify }", "unknown word `justify`; `start`,"),
        ("p { position: fixed }", "unknown word `fixed`; `static`, `relative` or `absolute`"),
        ("p { font-style: italic }", "unknown word `italic`; `normal` is expected"),
        ("p { font-weight: 600 }", "unknown weight `600`; `400`, `700`"),
        ("p { border: 3pt double red }", "`double` is not understood: a width"),
        ("p { border: thin solid red }", "`thin` is not understood: a width"),
        (
            "p { color: rgb(10 20 30) }",
            "an opaque colour is expected, not `rgb()`: `#rgb`, `#rrggbb` or a name",
        ),
        ("p { color: rde }", "not `rde`"),
        ("p { margin: 3 }", "a length has a unit, and `3` has none: pt, mm"),
        ("p { float: left }", "unknown property; `display: flex` puts boxes side by side"),
        ("p { --x: red }", "`--x`: unknown property; a custom property stands in `:root`"),
        ("p:hover { color: red }", "unknown pseudo-class `:hover`; `:first-child`"),
        ("p:not(.a) { color: red }", "unknown pseudo-class `:not()`"),
        ("p::before { color: red }", "`::before` is not understood: there are no pseudo-elements"),
        ("p[lang] { color: red }", "`[…]` is not understood in a selector"),
        (
            "secton { color: red }",
            "unknown element `secton` in a selector; did you mean `section`?",
        ),
        (
            "p { color: red !important }",
            "than is understood: `!important`; there is no `!important`",
        ),
        (
            "p { color: red\n margin: 0 }",
            "than is understood: `margin: 0`; is a `;` missing before it?",
        ),
        ("p { color: red\nb { margin: 0 } }", "`b { margin: 0 }`; is a `}` missing before it?"),
        (
            "p { color: red;\nb { margin: 0 } }",
            "a colon is expected after `b`; is a `}` missing before it?",
        ),
        (
            "p { font-family: \"Noto Sans\" }",
            "unknown family `Noto Sans`; known here are \"Noto Sans JP\", \"BIZ UDPGothic\"",
        ),
        (
            ":root {\n--ink: red;\n}\np { color: var(--inc) }",
            "unknown custom property `--inc`; did you mean `--ink`?",
        ),
        ("p { color: var(--x, red) }", "there are no fallbacks"),
    ] {
        let told = RENDERER.style_errors(&bundle(&body(""), css, SCHEMA));
        let told = told.first().unwrap_or_else(|| panic!("{css} passes")).to_string();
        assert!(told.contains(says), "{css}\n  {told}\n  {says}");
    }
}

#[test]
fn the_list_of_properties_to_choose_from_is_complete() {
    for name in css::names::PROPERTIES.split_ascii_whitespace() {
        let told = Sheet::parse(&format!("p {{ {name}: ~ }}"), &[]).unwrap_err().to_string();
        assert!(!told.contains("unknown property"), "{told}");
    }
    let page = include_str!("../../../docs/TEMPLATES.md");
    let rows =
        page.split("### Properties").nth(1).unwrap().split("\n\nThe examples").next().unwrap();
    let first =
        rows.lines().filter(|row| row.starts_with("| `")).map(|row| row.split('|').nth(1).unwrap());
    let names = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    assert_eq!(names.count(), css::names::PROPERTIES.split_ascii_whitespace().count());
}

#[test]
fn a_job_is_told_no_class_and_no_name() {
    let html = "<html><body><p class=\"{{ d.name }}\"><img src=\"logo.svg\"></p></body></html>";
    let template = Template::compile(&bundle(html, "", SCHEMA), &RENDERER.fonts).unwrap();
    let data = json!({"name": CANARY});
    let order = Order {
        template: "note",
        locale: Locale::Ja,
        data: &data,
        title: "",
        address_page: None,
        profile: Profile::Plain,
        attach_data: false,
    };
    let told = RENDERER.render_with(&template, &order).unwrap_err().to_string();
    assert!(told.contains("says in `alt`") && !told.contains("canary"), "{told}");
}

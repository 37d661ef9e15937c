//! Parts stand in their places, and every place is known.

use super::*;
use crate::render::{error::At, parts::Whole};

fn bundle(files: &[(&str, &str)]) -> TemplateBundle {
    let files = files.iter().map(|(file, text)| ((*file).to_owned(), text.as_bytes().to_vec()));
    TemplateBundle { name: "t".to_owned(), files: files.collect() }
}

fn whole(files: &[(&str, &str)]) -> Result<Whole, String> {
    Whole::template(&bundle(files)).map_err(|error| error.to_string())
}

const ROOT: &str = "<html>\n  {% include \"a.html\" %}\n<p>{% include 'b.html' %}</p>\n";

#[test]
fn parts_stand_in_their_places_and_every_place_is_known() {
    let files = [
        ("template.html", ROOT),
        ("a.html", "<b>é\n{% include \"b.html\" -%}\n</b>"),
        ("../parts/a.html", "not this one"),
        ("../parts/b.html", "<i>"),
    ];
    let whole = whole(&files).unwrap();
    assert_eq!(whole.text, "<html>\n<b>é\n<i></b><p><i></p>\n");
    let place = |what: &str, nth: usize| {
        let offset = whole.text.match_indices(what).nth(nth).unwrap().0;
        let (file, at) = whole.place(offset);
        format!("{file}:{at}")
    };
    assert_eq!(place("<html>", 0), "template.html:1:1");
    assert_eq!(place("<b>", 0), "a.html:1:1");
    assert_eq!(place("é", 0), "a.html:1:4");
    assert_eq!(place("<i>", 0), "../parts/b.html:1:1");
    assert_eq!(place("</b>", 0), "a.html:3:1");
    assert_eq!(place("<p>", 0), "template.html:3:1");
    assert_eq!(place("i>", 1), "../parts/b.html:1:2");
    assert_eq!(place("</p>", 0), "template.html:3:26");
    assert!(whole.has("../parts/b.html") && !whole.has("../parts/a.html"));
}

#[test]
fn an_error_of_a_line_is_told_in_the_file_that_the_line_is_from() {
    let root =
        "<html>\n  {% include \"a.html\" %}\n{% for x in y %}\n<p>{% include 'b.html' %}</p>\n";
    let files = [("template.html", root), ("a.html", "1\n{{ 2 }}\n3"), ("b.html", "{{ 4 }}")];
    let whole = whole(&files).unwrap();
    assert_eq!(whole.text, "<html>\n1\n{{ 2 }}\n3{% for x in y %}\n<p>{{ 4 }}</p>\n");
    let told =
        |at| whole.relocate(RenderError::template("template.html", "x", Some(at))).to_string();
    for (line, says) in
        [(2, "a.html:1:1:"), (3, "a.html:2:1:"), (4, "template.html:3:1:"), (5, "b.html:1:1:")]
    {
        let told = told(At::line(line));
        assert!(told.contains(&format!("failed: {says}")), "{told}");
    }
    let place = |line, column| told(At { line, column });
    assert!(place(4, 1).contains("failed: a.html:3:1"), "a column is believed: {}", place(4, 1));
    assert!(place(5, 1).contains("failed: template.html:4:1"), "{}", place(5, 1));
    assert!(place(5, 5).contains("failed: b.html:1:2"), "{}", place(5, 5));
    let other = RenderError::template("sample.json", "x", Some(At { line: 1, column: 1 }));
    assert!(whole.relocate(other).to_string().contains("sample.json:1:1"));
}

#[test]
fn white_space_around_a_part_goes_as_around_every_tag() {
    let of =
        |root: &str, part: &str| whole(&[("template.html", root), ("a.html", part)]).unwrap().text;
    let with = |root: &str| of(root, "書留\n");
    assert_eq!(with("社{% include \"a.html\" %}様"), "社書留様", "an editor's last line end");
    assert_eq!(of("社{% include \"a.html\" %}様", "書留\r\n"), "社書留様");
    assert_eq!(of("社{% include \"a.html\" %}様", "書\n\n"), "社書\n様", "one of them");
    assert_eq!(with("1\n\t {% include \"a.html\" %}\r\n2"), "1\n書留2", "alone on its line");
    assert_eq!(with("1 {%- include \"a.html\" -%}\n 2"), "1書留2");
    assert_eq!(with("1\n {%+ include \"a.html\" +%}\n2"), "1\n 書留\n2");
    assert_eq!(
        of("1{% include \"a.html\" %}2", "\u{feff}x"),
        "1x2",
        "a mark of the order of bytes"
    );
}

#[test]
fn white_space_between_two_parts_goes_once() {
    let root = "1 {%- include \"a.html\" -%}\n\n {%- include \"a.html\" -%}\n {% blink %}";
    let whole = whole(&[("template.html", root), ("a.html", "書留")]).unwrap();
    assert_eq!(whole.text, "1書留書留{% blink %}");
    let (_, alone) = &whole.files[0];
    assert_eq!(alone.find("{% blink"), root.find("{% blink"), "nothing else moves: {alone:?}");
    let place = whole.place(whole.text.find("{% blink").unwrap());
    assert_eq!(place, ("template.html", At { line: 4, column: 2 }));
}

#[test]
fn what_is_not_there_or_has_no_end_is_refused_where_it_is_asked_for() {
    let refused = |files: &[(&str, &str)]| whole(files).unwrap_err();
    let missing = refused(&[("template.html", "\n{% include \"sma.html\" %}"), ("sum.html", "")]);
    assert!(missing.contains("template.html:2:1: no part `sma.html`"), "{missing}");
    assert!(missing.contains("mean `sum.html`"), "{missing}");
    let outside = [
        "../parts/sum.html",
        "/etc/passwd",
        "../other/style.css",
        "template.html",
        "Sum.html",
        "sum.css",
    ];
    for outside in outside {
        let source = format!("{{% include \"{outside}\" %}}");
        let shared = ("../parts/sum.html", "");
        let said = refused(&[("template.html", &source), shared, ("sum.css", "")]);
        assert!(said.contains("no part") && said.contains("[a-z0-9_-]+.html"), "{said}");
    }
    let ring = [
        ("template.html", "{% include \"a.html\" %}"),
        ("a.html", "{% include \"b.html\" %}"),
        ("b.html", "x{% include \"a.html\" %}"),
    ];
    let said = refused(&ring);
    assert!(said.contains("b.html:1:2: `a.html` would stand within itself"), "{said}");
}

#[test]
fn parts_that_double_are_bounded() {
    let twice = |name: &str| format!("{{% include \"{name}\" %}}").repeat(2);
    let name = |step: usize| format!("p{step}.html");
    for last in [String::new(), "x".repeat((1 << 20) / 8)] {
        let mut files = vec![("template.html".to_owned(), twice(&name(0)))];
        files.extend((0..40).map(|step| (name(step), twice(&name(step + 1)))));
        files.push((name(40), last.clone()));
        let files: Vec<_> = files.iter().map(|(file, text)| (&**file, &**text)).collect();
        let said = whole(&files).unwrap_err();
        let limit = if last.is_empty() { "more than 500 times" } else { "larger than 1 MiB" };
        assert!(said.contains(limit), "{said}");
    }
}

#[test]
fn what_is_read_and_not_copied_counts_as_well() {
    let padded = format!("{{% include {}\"none.html\" %}}", " ".repeat(400_000));
    let root = "{% include \"pad.html\" %}".repeat(4);
    let files = [("template.html", &*root), ("pad.html", &padded), ("none.html", "")];
    let said = whole(&files).unwrap_err();
    assert!(said.contains("larger than 1 MiB with its parts"), "{said}");
    let css = "@import \"pad.css\";".repeat(4);
    let pad = format!("@import {}\"none.css\";", " ".repeat(400_000));
    let files = [("style.css", &*css), ("pad.css", &pad), ("none.css", "")];
    let said = Whole::style(&bundle(&files)).unwrap_err().to_string();
    assert!(said.contains("larger than 1 MiB with its parts"), "{said}");
}

#[test]
fn a_stylesheet_is_closed_at_its_end() {
    let said = |css: &str| {
        let files = [("style.css", "@import \"a.css\";\np { color: red }"), ("a.css", css)];
        Whole::style(&bundle(&files)).err().map(|error| error.to_string())
    };
    for (css, says) in [
        ("h1 { color: red }\n/* open", "a.css:2:1: a comment is never closed"),
        ("p { color: red;", "a.css:1:3: `{` is never closed"),
        ("p { color: red; }\n }", "a.css:2:2: `}` closes nothing"),
        ("@page { @bottom-left { content: counter(page } }", "a.css:1:40: `(` is never closed"),
        ("p { content: \"x\n\" }", "a.css:1:14: `\"` is never closed"),
        ("p { content: 'x", "a.css:1:14: `'` is never closed"),
    ] {
        let said = said(css).unwrap_or_else(|| panic!("{css} is taken"));
        assert!(said.contains(says), "{css}: {said}");
    }
    for css in ["/**/ /* } { \" */ p { }", "p { content: \"\\\"}\" }", "a\\{ { }", ""] {
        assert_eq!(said(css), None, "{css}");
    }
}

#[test]
fn a_place_in_a_stylesheet_is_the_one_that_an_editor_shows() {
    let css = format!("p {{ }}\n/* {} */ h2 {{ colr: red }}\rh3 {{ colr: red }}", "𠮷".repeat(20));
    let faults = RENDERER.style_errors(&bundle(&[("style.css", &css)]));
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("style.css:2:33: `colr`"), "{told:?}");
    assert!(told[1].contains("style.css:2:50: `colr`"), "{told:?}");
}

#[test]
fn a_stylesheet_imports_before_its_rules() {
    let css = "/* x */\n@import \"house.css\";\n@import \"b.css\";\np { color: red }\n";
    let late = "@import \"b.css\";";
    let files = [("style.css", css), ("../parts/house.css", "h1 { }"), ("b.css", late)];
    let said = Whole::style(&bundle(&files)).unwrap_err().to_string();
    assert!(said.contains("b.css:1:1: `b.css` would stand within itself"), "{said}");
    let css_of = |css: &str| {
        let faults = RENDERER.style_errors(&bundle(&[("style.css", css)]));
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let late_one = css_of("p { color: var(--ink); colr: red }\n@import \"b.css\";");
    assert_eq!(late_one.len(), 2, "what the part would have said is no news: {late_one:?}");
    assert!(late_one[0].contains("`colr`") && late_one[1].contains("before all rules"));
    let rules = format!("b {{ }}\n{late}");
    let files = [("style.css", css), ("../parts/house.css", "h1 { }"), ("b.css", &*rules)];
    let whole = Whole::style(&bundle(&files)).unwrap();
    let text = "/* x */\nh1 { }\nb { }\n@import \"b.css\";\np { color: red }\n";
    assert_eq!(whole.text, text, "what comes later is left, and refused by who reads it");
    let offset = whole.text.find("p {").unwrap();
    assert_eq!(whole.place(offset), ("style.css", At { line: 4, column: 1 }));
}

#[test]
fn what_is_wrong_in_a_part_is_shown_there() {
    let html = told::body("{% for line in d.lines %}\n  {% include \"row.html\" %}\n{% endfor %}");
    let row = "<p class=\"row\">{{ line.label }}</p>";
    let with = |part: &str, css: &str| {
        let mut all = told::bundle(&html, "@import \"row.css\";\np { color: red }", told::SCHEMA);
        for (file, text) in [("row.html", part), ("../parts/row.css", css)] {
            all.files.push((file.to_owned(), text.as_bytes().to_vec()));
        }
        all
    };
    let data: Value = serde_json::json!({"name": "a", "lines": [{"label": "b"}]});
    let trial = with(row, ".row { color: red }");
    let trial = RENDERER.try_out(&trial).unwrap();
    assert!(trial.render(&data, Locale::Ja, "").is_ok(), "as it is, it is sound");
    assert!(trial.style().starts_with(".row { color: red }"), "{}", trial.style());
    for (part, css, says) in [
        ("\n<p>{{ line.lable }}</p>", "", "row.html:2:7: `line` has no field `lable` in data"),
        ("{{ line.label|dat }}", "", "row.html:1:15: unknown filter `dat`"),
        ("1\n{% if line.label %}", "", "row.html:2:1: `{% if %}` is never closed"),
        (
            "{% include d.name %}",
            "",
            "row.html:1:4: what templates share is a part: `include` with its name in quotes",
        ),
        ("\n <blink>1</blink>", "", "row.html:2:2: unknown element `blink`"),
        ("<p>\n<li class=\"it\">1</li></p>", "", "row.html:2:1: `li.it`: an item stands directly"),
        (
            "<b class=\"row\">1</b>",
            ".row { padding: 1pt }",
            "row.html:1:1: `b.row`: an inline element",
        ),
        (
            "<div>\n<p>1</p>",
            "",
            "template.html:6:1: end tag closes another element: `div` of line 1 of row.html",
        ),
        (row, "\n .row { colr: red }", "../parts/row.css:2:9: `colr`: unknown property"),
        (
            row,
            ".row { }\n@import \"b.css\";",
            "../parts/row.css:2:1: `@import \"NAME.css\";` stands before",
        ),
    ] {
        let says_it = told::said(&with(part, css));
        assert!(says_it.contains(says), "{part} {css}\n  {says_it}\n  {says}");
    }
    let mut halves = with("<", "");
    halves.files[0].1 =
        b"<html><body>{% include \"row.html\" %}blink>1</blink></body></html>".to_vec();
    let says_it = told::said(&halves);
    assert!(says_it.contains("unknown element `blink`"), "what they come to is checked: {says_it}");
    let mut split = with("{", "");
    split.files[0].1 =
        b"<html><body>{% include \"row.html\" %}{ d.name ~ d.name }}</body></html>".to_vec();
    assert!(told::said(&split).contains("`~` is not understood"), "in the whole as well");
}

//! The rare-name sheet: every kanji of JIS X 0213 and the names that other
//! systems lose, set in the bundled fonts and read back code point for code point.

use super::*;

/// Names with characters beyond JIS X 0208, and with variation selectors.
const NAMES: &str = "髙 﨑 𠮷 濵 德 栁 葛\u{e0100} 辻\u{e0100}";

const SCHEMA: &str = r#"{"type": "object", "additionalProperties": false,
    "required": ["lines"], "properties": {"lines": {"type": "array", "items": {"type": "string"}}}}"#;

fn sheet(css: &str, lines: &[String]) -> Result<Rendered, RenderError> {
    let html = "<html lang=\"ja\"><body>{% for line in d.lines %}<p>{{ line }}</p>{% endfor %}</body></html>";
    let files = [
        ("template.html", html),
        ("style.css", css),
        ("data.schema.json", SCHEMA),
        ("sample.json", r#"{"lines": ["見本"]}"#),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into();
    let bundle = TemplateBundle { name: "names".into(), files };
    let trial = RENDERER.try_out(&bundle)?;
    trial.render(&json!({"lines": lines}), Locale::Ja, "氏名")
}

fn kanji() -> String {
    let all = include_str!("../../../tests/vectors/jisx0213_kanji.txt");
    all.lines().filter_map(|line| line.split_once('\t')).map(|(_, kanji)| kanji).collect()
}

fn code_points(text: &str) -> Vec<char> {
    text.chars().filter(|one| !one.is_whitespace()).collect()
}

/// What poppler reads, if it is installed.
fn pdftotext(pdf: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.pdf");
    std::fs::write(&file, pdf).unwrap();
    let run = std::process::Command::new("pdftotext").arg("-raw").arg(&file).arg("-").output();
    run.ok().map(|out| String::from_utf8(out.stdout).unwrap())
}

#[test]
fn every_kanji_of_jis_x_0213_is_drawn_and_copied_as_typed() {
    let kanji = kanji();
    // 10,050 kanji, and 仝, which the standard counts as a symbol.
    assert_eq!(kanji.chars().count(), 10_051, "all of them");
    let all: Vec<char> = kanji.chars().collect();
    let mut lines = vec![NAMES.to_owned()];
    lines.extend(all.chunks(40).map(|line| line.iter().collect::<String>()));
    let wanted = code_points(&lines.concat());
    let plain = "@page { size: A4; margin: 15mm } html { font-size: 11pt }";
    for css in [
        plain.to_owned(),
        format!("{plain} html {{ font-family: \"BIZ UDPGothic\"; font-weight: bold }}"),
    ] {
        let made = sheet(&css, &lines).unwrap();
        let read = code_points(&text(&made.pdf).concat());
        let wrong = wanted.iter().zip(&read).position(|(a, b)| a != b);
        assert_eq!((wrong, read.len()), (None, wanted.len()), "read by lopdf");
        if let Some(read) = pdftotext(&made.pdf) {
            let read = code_points(&read);
            let wrong = wanted.iter().zip(&read).position(|(a, b)| a != b);
            let at = wrong.map(|at| {
                (wanted[at].escape_unicode().to_string(), read[at].escape_unicode().to_string())
            });
            assert_eq!((at, read.len()), (None, wanted.len()), "read by poppler");
        }
    }
}

use super::*;

fn bundle(html: &str, css: &str, schema: &str) -> TemplateBundle {
    let files = [
        ("template.html", html),
        ("style.css", css),
        ("data.schema.json", schema),
        ("sample.json", r#"{"name": "x"}"#),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    TemplateBundle { name: "note".into(), files: files.into() }
}

const SCHEMA: &str = r#"{"type": "object", "additionalProperties": false,
    "properties": {"name": {"type": "string"}}, "required": ["name"]}"#;

/// The fonts without any template.
pub(super) fn empty() -> Renderer {
    Renderer {
        fonts: std::sync::Arc::clone(&RENDERER.fonts),
        templates: std::collections::BTreeMap::new(),
        version: String::new(),
    }
}

fn refused(html: &str, css: &str, schema: &str) -> (String, Option<u32>) {
    let renderer = empty();
    match renderer.with_templates(vec![bundle(html, css, schema)]) {
        Err(RenderError::TemplateFailed { what, at, .. }) => (what, at.map(|at| at.line)),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn are_checked_when_they_are_registered() {
    let good = "<html><body><p>{{ d.name }}</p></body></html>";
    let cases = [
        (
            "<html><body>\n<p>\n<marquee>x</marquee></p></body></html>",
            "",
            SCHEMA,
            "marquee",
            Some(3),
        ),
        (
            "<html><body>{% if false %}\n<p onclick=\"x\">x</p>{% endif %}</body></html>",
            "",
            SCHEMA,
            "onclick",
            Some(2),
        ),
        ("<html><body>\n<p>x</body></html>", "", SCHEMA, "closes another", Some(2)),
        ("<html><body>\n{{ d.nmae }}</body></html>", "", SCHEMA, "no field `nmae`", Some(2)),
        ("<html><body>\n{% if %}</body></html>", "", SCHEMA, "syntax", Some(2)),
        (good, "p {\n  colour: red;\n}", SCHEMA, "colour", Some(2)),
        (good, "", r#"{"type": "object", "properties": {}}"#, "additionalProperties", Some(1)),
        (good, "", r#"{"type": "string", "pattern": "x"}"#, "pattern", Some(1)),
        (
            "<html><body>{% for x in [1] %}{% include 'other' %}{% endfor %}</body></html>",
            "",
            SCHEMA,
            "no part `other`",
            Some(1),
        ),
    ];
    for (html, css, schema, says, at) in cases {
        let (what, line) = refused(html, css, schema);
        assert!(what.contains(says), "{what:?} does not say {says:?}");
        assert_eq!(line, at, "{what}");
    }
    let renderer = empty();
    let renderer = renderer.with_templates(vec![bundle(good, "p { color: red }", SCHEMA)]).unwrap();
    assert!(renderer.has_template("note"), "a good one is taken");
}

#[test]
fn cannot_run_or_grow_without_end() {
    let long = "x".repeat(3_000);
    let endless = format!(
        "<html><body>{{% for a in '{long}' %}}{{% for b in '{long}' %}}{{% for c in '{long}' %}}{{% endfor %}}{{% endfor %}}{{% endfor %}}</body></html>"
    );
    let (what, _) = refused(&endless, "", SCHEMA);
    assert!(what.contains("fuel"), "{what}");
    let huge = format!("<html><body>{{% for a in '{long}' %}}{long}{{% endfor %}}</body></html>");
    let renderer = empty();
    let error = renderer.with_templates(vec![bundle(&huge, "", SCHEMA)]).unwrap_err();
    assert_eq!(error.code(), "too_large", "{error}");
}

#[test]
fn bundled_samples_fit_the_standard_reading_of_their_schema() {
    for name in ["invoice", "letter"] {
        let folder = format!("{}/templates/documents/{name}", env!("CARGO_MANIFEST_DIR"));
        let read = |file: &str| -> Value {
            serde_json::from_slice(&std::fs::read(format!("{folder}/{file}")).unwrap()).unwrap()
        };
        let schema = jsonschema::validator_for(&read("data.schema.json")).unwrap();
        for sample in ["sample.json", "sample.en.json"] {
            assert!(schema.is_valid(&read(sample)), "{name}/{sample}");
        }
    }
}

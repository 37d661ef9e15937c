//! What a template asks of its data, against its schema.

use std::collections::BTreeSet;

use super::*;
use crate::{
    domain::document::{self, Kind},
    render::{fields, is_sample, parts::Whole, schema::Schema},
};

const SCHEMA: &str = r##"{"type": "object", "additionalProperties": false,
  "properties": {
    "kind": {"type": "string", "enum": ["cash", "card"]},
    "note": {"type": "string"},
    "party": {"$ref": "#/$defs/party"},
    "other": {"$ref": "#/$defs/party"},
    "rows": {"type": "array", "items": {"type": "object", "additionalProperties": false,
      "properties": {"cells": {"type": "array", "items": {"$ref": "#/$defs/party"}}}}},
    "lines": {"type": "array", "items": {"type": "object", "additionalProperties": false,
      "properties": {"label": {"type": "string"}, "count": {"type": "integer"},
        "of": {"$ref": "#/$defs/party"}}}}},
  "$defs": {"party": {"type": "object", "additionalProperties": false,
    "properties": {"name": {"type": "string"}}}}}"##;

/// What is said of a template and its parts.
fn said(files: &[(&str, &str)]) -> Option<String> {
    let files = files.iter().map(|(file, text)| ((*file).to_owned(), text.as_bytes().to_vec()));
    let bundle = TemplateBundle { name: "t".to_owned(), files: files.collect() };
    let schema = Schema::compile(SCHEMA.as_bytes()).unwrap();
    let error = fields::check(&Whole::template(&bundle).unwrap(), &schema, true).err()?.to_string();
    Some(error.strip_prefix("template failed: ").unwrap_or(&error).to_owned())
}

fn of(source: &str) -> Option<String> {
    said(&[("template.html", source)])
}

#[test]
fn what_the_schema_lacks_is_told_however_it_is_asked_for() {
    let no = |field: &str| format!("has no field `{field}` in data.schema.json");
    for (source, at, says) in [
        (
            "<p>\n{% if d.noet %}x{% endif %}",
            "2:7",
            "`d` has no field `noet` in data.schema.json; did you mean `note`?".to_owned(),
        ),
        ("{% if not d.noet %}x{% endif %}", "1:11", no("noet")),
        ("{% if d.note and d.noet %}x{% endif %}", "1:18", no("noet")),
        ("{{ d.noet or 'x' }}", "1:4", no("noet")),
        ("{{ d.noet|default('x') }}", "1:4", no("noet")),
        ("{{ 'x' if d.noet is defined else 'y' }}", "1:11", no("noet")),
        ("{% for line in d.linse %}x{% endfor %}", "1:16", no("linse")),
        (
            "{% for line in d.lines if line.cuont > 1 %}x{% endfor %}",
            "1:27",
            format!("`line` {}", no("cuont")),
        ),
        (
            "{% for line in d.lines or [] %}{% if line.lable %}x{% endif %}{% endfor %}",
            "1:38",
            no("lable"),
        ),
        (
            "{% for line in d.lines|sort(attribute='cuont')|reverse %}{% endfor %}",
            "1:16",
            format!("an item of `d.lines` {}", no("cuont")),
        ),
        ("{{ d.lines|sum(attribute='cuont') }}", "1:4", no("cuont")),
        ("{{ d.lines|sum('of.nam') }}", "1:4", no("nam")),
        ("{{ d.lines|selectattr('lable')|length }}", "1:4", no("lable")),
        ("{{ d.lines|sort(attribute='label, cuont')|length }}", "1:4", no("cuont")),
        ("{{ (d.lines|first).lable }}", "1:5", no("lable")),
        ("{{ d.lines[0].lable }}", "1:4", no("lable")),
        ("{{ d.lines[:2][0].of.nam }}", "1:4", no("nam")),
        ("{{ d['noet'] }}", "1:4", no("noet")),
        ("{% set by = d.party %}{{ by.nam }}", "1:26", format!("`by` {}", no("nam"))),
        ("{% with by = d.party %}{{ by.nam }}{% endwith %}", "1:27", no("nam")),
        (
            "{% for line in d.lines %}{% for deep in d.lines %}{{ line.of.nam }}{% endfor %}{% endfor %}",
            "1:54",
            no("nam"),
        ),
        (
            "{% if d.lines.label %}x{% endif %}",
            "1:7",
            "`d.lines` has no field `label`: it is a list".to_owned(),
        ),
        (
            "{% if d.note.year %}x{% endif %}",
            "1:7",
            "`d.note` has no field `year`: it is a text".to_owned(),
        ),
        (
            "{% if d.kind == 'csah' %}x{% endif %}",
            "1:7",
            "`d.kind` is never `csah`; `cash` or `card` is expected".to_owned(),
        ),
        (
            "{% if t.exmpt %}x{% endif %}",
            "1:7",
            "`t` has no field `exmpt`; did you mean `exempt`?".to_owned(),
        ),
        (
            "{% for rate in t.rates %}{{ rate.label.de }}{% endfor %}",
            "1:29",
            "`rate.label` has no field `de`".to_owned(),
        ),
        (
            "{% if d.kind in ['cash', 'csah'] %}x{% endif %}",
            "1:7",
            "`d.kind` is never `csah`".to_owned(),
        ),
        (
            "{% if d.kind not in ('csah',) %}x{% endif %}",
            "1:7",
            "`d.kind` is never `csah`".to_owned(),
        ),
        ("{% if d.kind is eq('csah') %}x{% endif %}", "1:7", "`d.kind` is never `csah`".to_owned()),
        (
            "{% if locale == 'jp' %}x{% endif %}",
            "1:7",
            "`locale` is never `jp`; `ja` or `en` is expected".to_owned(),
        ),
        (
            "{% for x in d.lines %}{{ loop.lsat }}{% endfor %}",
            "1:26",
            "`loop` has no field `lsat`; did you mean `last`?".to_owned(),
        ),
        ("{% if (d.party or d.other).nam %}x{% endif %}", "1:8", no("nam")),
        ("{% if d['note']['x'] %}x{% endif %}", "1:7", "has no field `x`: it is a text".to_owned()),
        ("{{ 'x' if 'bank' != d.kind }}", "1:21", "`d.kind` is never `bank`".to_owned()),
    ] {
        let said = of(source).unwrap_or_else(|| panic!("{source}: nothing is wrong"));
        let begins = format!("template.html:{at}: ");
        assert!(said.starts_with(&begins) && said.contains(&says), "{source}: {said}");
    }
}

#[test]
fn nothing_is_said_where_it_is_not_certain() {
    for source in [
        "{% if d.note %}{{ d.party.name }}{{ d.kind }}{% endif %}",
        "{{ t.rates[0].mark[locale] }}{{ t.total }}{{ loop.index }}{{ title }}{{ unknown.field }}",
        "{% for line in d.lines %}{{ loop.index }}{{ line.of.name }}{% else %}{{ d.note }}{% endfor %}",
        "{% for line in d.lines|selectattr('label')|sort(attribute='count') %}{{ line.label }}{% endfor %}",
        "{% for key, value in d.party|items %}{{ value.x }}{% endfor %}",
        "{% if d.note %}{% set x = d.party %}{% else %}{% set x = d.lines %}{% endif %}{{ x.name }}",
        "{% for x in d.lines %}{% if x %}{% set x = x.of %}{% endif %}{{ x.label }}{% endfor %}",
        "{% with x = d.party or d.other %}{{ x.name }}{% endwith %}",
        "{% with x = d.party or d.lines[0] %}{{ x.label }}{% endwith %}",
        "{% with x = d.party or d.note %}{{ x.foo }}{% endwith %}",
        "{% for d in d.lines %}{{ d.label }}{% endfor %}{{ d.note }}",
        "{% if d.kind == 'cash' or d.kind == d.note or d.note == 'x' %}{% endif %}",
        "{% if d.kind in ['cash'] %}{% endif %}{{ d.lines|map }}{% if 'x' in d.kind %}{% endif %}",
        "{% if d.kind|default('none') == 'none' or (d.kind or 'other') == 'other' %}{% endif %}",
        "{% set k = d.kind if d.kind else '' %}{% if k == '' %}{% endif %}",
        "{% for line in d.lines if d.kind|d('') != '' %}{% endfor %}",
        "{% if d.kind[:2] == 'ca' or d.kind|reverse == 'hsac' %}{% endif %}",
        "{% set p = d.party or {'name': 'x', 'anon': true} %}{% if p.anon %}{% endif %}",
        "{{ d.rows|selectattr('cells.0.name')|length }}",
        "{% set locale = 'de' %}{% if locale == 'de' %}{% endif %}",
    ] {
        assert_eq!(of(source), None, "{source}");
    }
}

#[test]
fn where_no_rules_compute_nothing_is_computed() {
    let schema = Schema::compile(SCHEMA.as_bytes()).unwrap();
    let files = vec![("template.html".to_owned(), b"{% if t.total %}x{% endif %}".to_vec())];
    let bundle = TemplateBundle { name: "t".to_owned(), files };
    let whole = Whole::template(&bundle).unwrap();
    let said = fields::check(&whole, &schema, false).unwrap_err().to_string();
    assert!(said.contains("`t` has no field `total`: rules compute it"), "{said}");
    assert!(fields::check(&whole, &schema, true).is_ok(), "they do");
    let empty = br#"{"type": "object", "additionalProperties": false, "properties": {}}"#;
    let files = vec![("template.html".to_owned(), b"{% if d.total %}x{% endif %}".to_vec())];
    let whole = Whole::template(&TemplateBundle { name: "t".to_owned(), files }).unwrap();
    let said = fields::check(&whole, &Schema::compile(empty).unwrap(), false).unwrap_err();
    assert!(said.to_string().ends_with("no field `total` in data.schema.json"), "{said}");
}

#[test]
fn a_shared_part_may_ask_for_what_only_some_templates_have() {
    let root = "{% set by = d.party %}\n{% include \"a.html\" %}";
    let part = "\n{% if d.noet or by.nam %}x{% endif %}";
    let files = |file| [("template.html", root), (file, part)];
    assert_eq!(said(&files("../parts/a.html")), None);
    let own = said(&files("a.html")).unwrap();
    assert!(own.starts_with("a.html:2:7: `d` has no field `noet`"), "{own}");
}

/// Without what is null: a template finds nothing there.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(map.map(|(name, value)| (name, without_null(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_null).collect()),
        other => other,
    }
}

fn names<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            found.insert(name);
            names(value, found);
        }),
        Value::Array(list) => list.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn what_rules_compute_is_what_the_schema_of_ours_says() {
    let schema = Schema::compile(fields::COMPUTED.as_bytes()).unwrap();
    let mut views = Vec::new();
    for bundle in Renderer::bundles() {
        let Some(kind) = Kind::of(&bundle.name) else { continue };
        for (file, text) in bundle.files.iter().filter(|(file, _)| is_sample(file)) {
            let data: Value = serde_json::from_slice(text).unwrap();
            let reading = document::read(kind, data.as_object().unwrap()).unwrap();
            assert_eq!(reading.is_some(), kind.has_rules(), "{} {file}", bundle.name);
            let Some(reading) = reading else { continue };
            let view = serde_json::to_value(reading.view).unwrap();
            schema.check(&without_null(view.clone())).unwrap();
            views.push(view);
        }
    }
    let mut found = BTreeSet::new();
    views.iter().for_each(|view| names(view, &mut found));
    assert_eq!(schema.names(), found, "no field is promised that there is not");
}

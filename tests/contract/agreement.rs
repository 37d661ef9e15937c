//! Schema and parser agree on thousands of spoilt jobs.

use std::collections::BTreeMap;

use jsonschema::Validator;
use kakitome::{
    domain::{
        job::{self, SendJob},
        refusal::{Refusal, Refused},
    },
    intake::parse::{ParseLimits, parse},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{examples, schema, take_in};

/// Codes that say more than a schema can.
const RULES: [Refusal; 10] = [
    Refusal::BadText,
    Refusal::BadAmount,
    Refusal::BadAddress,
    Refusal::BadPostalAddress,
    Refusal::BadOption,
    Refusal::NoTemplate,
    Refusal::BadPdf,
    Refusal::TypeNotAllowed,
    Refusal::EvidenceMismatch,
    Refusal::WrongTenant,
];

/// Fields whose pattern lets pass what no calendar has.
const DATES: [&str; 2] = ["send_at", "evidence.date"];

/// Texts that a spoilt field may hold, one a line; `\u` and the like as in JSON.
const TEXTS: &str = include_str!("texts.txt");

/// What a spoilt field may hold.
fn pool() -> Vec<Value> {
    let mut pool: Vec<Value> =
        TEXTS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lengths = [50, 51, 60, 61, 64, 65, 100, 101, 120, 121, 128, 129, 200, 201, 255];
    pool.extend(lengths.map(|n| json!("a".repeat(n))));
    pool.extend([51, 61, 101, 201].map(|n| json!("書".repeat(n))));
    pool.extend([json!(null), json!(true), json!([]), json!({}), json!([1])]);
    pool.extend([json!({"a": {"b": [null]}}), json!(1.5), json!(1.0), json!(1e300)]);
    pool.extend(
        [0, 1, -1, 1000, 1001, 999_999_999_999_999, 1_000_000_000_000_000].map(|n: i64| json!(n)),
    );
    pool.push(json!(u64::MAX));
    pool
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    if let Value::Object(map) = value {
        for (key, value) in map {
            places(value, &format!("{here}/{key}"), found);
        }
    }
    if let Value::Array(items) = value {
        for (n, item) in items.iter().enumerate() {
            places(item, &format!("{here}/{n}"), found);
        }
    }
}

#[derive(Clone, Debug)]
struct Spoil {
    place: prop::sample::Index,
    act: u8,
    other: prop::sample::Index,
}

fn spoil(value: &mut Value, spoil: &Spoil, pool: &[Value]) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let place = spoil.place.get(&all).clone();
    let fresh = spoil.other.get(pool).clone();
    let elsewhere = value.pointer(spoil.other.get(&all).as_str()).cloned().unwrap();
    let parent = place.rsplit_once('/').map(|(parent, name)| (parent.to_owned(), name.to_owned()));
    match (spoil.act, parent) {
        (0, Some((parent, name))) => {
            if let Some(map) = value.pointer_mut(&parent).and_then(Value::as_object_mut) {
                map.shift_remove(&name);
            }
        }
        (1, _) => *value.pointer_mut(&place).unwrap() = elsewhere,
        (2, _) => {
            if let Some(map) = value.pointer_mut(&place).and_then(Value::as_object_mut) {
                map.insert((*spoil.other.get(&NAMES)).to_owned(), fresh);
            }
        }
        _ => *value.pointer_mut(&place).unwrap() = fresh,
    }
}

/// Names of fields that chance adds where they may or may not belong.
const NAMES: [&str; 19] = [
    "pdf",
    "upload",
    "base64",
    "template",
    "data",
    "filename",
    "email",
    "link",
    "send_at",
    "tenant",
    "unknown",
    "evidence",
    "reference",
    "person",
    "address",
    "amount",
    "currency",
    "line2",
    "country",
];

fn spoils() -> impl Strategy<Value = Vec<Spoil>> {
    let one = (any::<prop::sample::Index>(), 0_u8..5, any::<prop::sample::Index>())
        .prop_map(|(place, act, other)| Spoil { place, act, other });
    prop::collection::vec(one, 1..4)
}

/// Whether a refusal's path is a place that the schema describes.
fn is_in_schema(schema: &Value, path: &str) -> bool {
    let mut here = schema;
    for name in path.split('.') {
        while let Some(target) = here.get("$ref").and_then(Value::as_str) {
            here = schema.pointer(target.trim_start_matches('#')).unwrap();
        }
        match here.pointer(&format!("/properties/{name}")) {
            Some(next) => here = next,
            None => return false,
        }
    }
    true
}

/// Holds the readers against each other, and tells the refusal, if it was one.
fn agree(
    validator: &Validator,
    schema: &Value,
    value: &Value,
) -> Result<Option<Refusal>, TestCaseError> {
    let body = serde_json::to_vec(value).unwrap();
    let in_schema = validator.is_valid(value);
    if let Ok(job) = parse(&body, &ParseLimits::default()) {
        let canonical = job.canonical();
        let derived: SendJob = serde_json::from_value(value.clone())
            .map_err(|fault| TestCaseError::fail(format!("the derived reader says {fault}")))?;
        prop_assert!(derived == job, "two readers, two jobs");
        let mut back: SendJob = serde_json::from_slice(&canonical).unwrap();
        prop_assert_eq!(back.canonical(), canonical);
        back.tenant.clone_from(&job.tenant);
        prop_assert!(back == job, "the canonical bytes hold the whole job");
    }
    match take_in(&body) {
        Ok(_) => {
            prop_assert!(in_schema, "accepted, but not by the schema");
            Ok(None)
        }
        Err(Refused { refusal, path, .. }) => {
            let a_rule = RULES.contains(&refusal)
                || (refusal == Refusal::BadField && path.is_some_and(|path| DATES.contains(&path)));
            prop_assert!(
                !in_schema || a_rule,
                "the schema allows what is {} at {:?}",
                refusal,
                path
            );
            prop_assert!(
                path.is_none_or(|path| is_in_schema(schema, path)),
                "{:?} is no field",
                path
            );
            Ok(Some(refusal))
        }
    }
}

#[test]
fn schema_and_parser_agree_on_spoilt_jobs() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let pool = pool();
    let jobs: Vec<Value> = examples("examples")
        .iter()
        .map(|(_, body)| serde_json::from_slice(body).unwrap())
        .collect();
    let strategy = (any::<prop::sample::Index>(), spoils());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(4_000));
    let outcome = runner.run(&strategy, |(which, spoils)| {
        let mut value = which.get(&jobs).clone();
        for one in &spoils {
            spoil(&mut value, one, &pool);
        }
        agree(&validator, &schema, &value).map(drop)
    });
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
}

/// Every field with every value of the pool: what chance might leave out.
#[test]
fn schema_and_parser_agree_on_every_field_alone() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut seen: BTreeMap<Option<Refusal>, usize> = BTreeMap::new();
    for (name, body) in examples("examples") {
        let original: Value = serde_json::from_slice(&body).unwrap();
        let mut all = Vec::new();
        places(&original, "", &mut all);
        for place in all.iter().filter(|place| !place.starts_with("/document/data/")) {
            for fresh in pool() {
                let mut value = original.clone();
                *value.pointer_mut(place).unwrap() = fresh.clone();
                match agree(&validator, &schema, &value) {
                    Ok(refusal) => *seen.entry(refusal).or_default() += 1,
                    Err(fault) => panic!("{name}{place} = {fresh}: {fault}"),
                }
            }
        }
    }
    for refusal in RULES {
        assert!(
            seen.contains_key(&Some(refusal)),
            "{refusal} was never met: the pool is too small"
        );
    }
    let of_shape = [Refusal::BadField, Refusal::MissingField, Refusal::UnknownField];
    assert!(of_shape.iter().all(|refusal| seen.contains_key(&Some(*refusal))), "faults of shape");
    assert!(seen.get(&None).is_some_and(|accepted| *accepted > 500), "good values are among them");
}

#[test]
fn lengths_stand_in_the_schema_as_in_the_code() {
    let schema = schema();
    let expected = [
        ("/properties/reference", job::REFERENCE_CHARS_MAX),
        ("/$defs/document/properties/filename", job::FILENAME_CHARS_MAX),
        ("/$defs/recipient/properties/name", job::NAME_CHARS_MAX),
        ("/$defs/recipient/properties/person", job::PERSON_CHARS_MAX),
        ("/$defs/recipient/properties/email", job::EMAIL_OCTETS_MAX),
        ("/$defs/address/properties/city", job::ADDRESS_LINE_CHARS_MAX),
        ("/$defs/address/properties/line1", job::ADDRESS_LINE_CHARS_MAX),
        ("/$defs/address/properties/line2", job::ADDRESS_LINE_CHARS_MAX),
        ("/$defs/evidence/properties/number", job::NUMBER_CHARS_MAX),
        ("/$defs/evidence/properties/counterparty", job::NAME_CHARS_MAX),
        ("/$defs/evidence/properties/counterparty_code", job::NUMBER_CHARS_MAX),
    ];
    for (place, chars) in expected {
        let stated = schema.pointer(&format!("{place}/maxLength")).and_then(Value::as_u64);
        assert_eq!(stated, u64::try_from(chars).ok(), "{place}");
    }
    let key = schema.pointer("/properties/key/pattern").and_then(Value::as_str).unwrap();
    assert!(key.ends_with(&format!("{{1,{}}}$", job::KEY_CHARS_MAX)), "the key's length");
}

#[test]
fn the_schema_is_a_schema() {
    assert!(jsonschema::meta::is_valid(&schema()), "not a valid schema of draft 2020-12");
    // Every object of ours is closed; only the sender's own data is open.
    for (name, def) in schema().pointer("/$defs").and_then(Value::as_object).unwrap_or(&Map::new())
    {
        if name != "value" {
            assert_eq!(def.get("additionalProperties"), Some(&json!(false)), "{name} is open");
        }
    }
}

//! The public contract: examples, schema, parser, rules and error page say the
//! same thing.
//!
//! `KAKITOME_BLESS=1 cargo test --test contract` writes docs/ERRORS.md anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "contract/agreement.rs"]
mod agreement;
#[path = "contract/pages.rs"]
mod pages;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use kakitome::{
    domain::{
        checked::CheckedJob,
        document,
        evidence::DocumentFacts,
        ids::TenantId,
        job::{Document, SendJob},
        refusal::{Refusal, Refused},
    },
    intake::{
        check::{CheckContext, check},
        parse::{ParseLimits, parse},
    },
};
use serde_json::Value;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The files of a folder under docs, by name without `.json`.
fn examples(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(docs().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read(&path).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no examples in {folder}");
    found
}

fn schema() -> Value {
    serde_json::from_slice(&fs::read(docs().join("job-v1.schema.json")).unwrap()).unwrap()
}

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// What a document says about itself.
fn facts(job: &SendJob) -> Option<DocumentFacts> {
    let Document::Template { template, data, .. } = &job.document else { return None };
    document::facts(template, data)
}

/// What a message goes through on its way in.
fn take_in(body: &[u8]) -> Result<CheckedJob, Refused> {
    let job = parse(body, &ParseLimits::default())?;
    let tenant = TenantId::parse("acme").unwrap();
    let facts = facts(&job);
    let context = CheckContext {
        tenant: &tenant,
        legacy_jp_addresses: true,
        now: noon(),
        link_days_max: 31,
        has_template: &|name| matches!(name, "invoice" | "receipt"),
        facts: facts.as_ref(),
    };
    check(job, &context)
}

#[test]
fn every_good_example_passes_the_schema_and_the_rules() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (name, body) in examples("examples") {
        let value: Value = serde_json::from_slice(&body).unwrap();
        let faults: Vec<_> =
            validator.iter_errors(&value).map(|fault| fault.instance_path().to_string()).collect();
        assert!(faults.is_empty(), "{name}: the schema objects at {faults:?}");
        let checked = take_in(&body).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        let rests = serde_json::to_vec(&checked).unwrap();
        let mut again: CheckedJob = serde_json::from_slice(&rests).unwrap();
        assert_eq!(again.passcode, None, "{name}: a passcode does not rest");
        again.passcode.clone_from(&checked.passcode);
        assert!(again == checked, "{name}: a checked job must survive its rest");
        assert!(checked.filename.len() > 4, "{name}: the document has a name");
        assert!(checked.send_at >= noon(), "{name}: nothing is sent in the past");
    }
}

/// The data of the examples fit the templates that are installed.
#[test]
fn the_data_of_every_example_fits_its_template() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/documents");
    for (name, body) in examples("examples") {
        let job = parse(&body, &ParseLimits::default()).unwrap();
        let Document::Template { template, data, .. } = job.document else { continue };
        let Ok(schema) = fs::read(templates.join(template).join("data.schema.json")) else {
            continue;
        };
        let schema: Value = serde_json::from_slice(&schema).unwrap();
        let faults: Vec<_> = jsonschema::validator_for(&schema)
            .unwrap()
            .iter_errors(&Value::Object(data))
            .map(|fault| fault.instance_path().to_string())
            .collect();
        assert!(faults.is_empty(), "{name}: the template objects at {faults:?}");
    }
}

#[test]
fn every_refused_example_gets_exactly_its_code() {
    for (name, body) in examples("examples/refused") {
        let (code, _) = name.split_once("--").unwrap();
        let expected = Refusal::parse(code).unwrap_or_else(|| panic!("{name}: no such code"));
        match take_in(&body) {
            Ok(_) => panic!("{name} was accepted"),
            Err(refused) => assert_eq!(refused.refusal, expected, "{name}: {refused}"),
        }
    }
}

/// A new code needs an example, or a line here that says why it has none.
#[test]
fn every_code_is_shown_or_has_another_home() {
    let elsewhere = [
        // A file of more than a mebibyte: the test below.
        Refusal::TooLarge,
        // What wraps the body: the message's properties, its seal, its sender.
        Refusal::WrongType,
        Refusal::BadSealedBody,
        Refusal::NoTenant,
        // What is on our books and in our key store already.
        Refusal::IdConflict,
        Refusal::ServiceEnded,
        // Questions about jobs, over HTTP.
        Refusal::Unauthorized,
        Refusal::NotFound,
        Refusal::TooLate,
        // Uploads are on our books: tests/office.
        Refusal::NoUpload,
        Refusal::UploadInUse,
        Refusal::TooManyUploads,
        Refusal::TryLater,
    ];
    let shown: BTreeSet<Refusal> = examples("examples/refused")
        .iter()
        .filter_map(|(name, _)| Refusal::parse(name.split_once("--")?.0))
        .collect();
    for refusal in Refusal::ALL {
        let home = elsewhere.contains(refusal);
        assert!(shown.contains(refusal) != home, "{refusal}: one example or another home");
    }
}

#[test]
fn a_body_above_the_limit_is_refused_unread() {
    let mut body = vec![b'{'; (1 << 20) + 1];
    assert_eq!(take_in(&body), Err(Refusal::TooLarge.into()), "not even its braces are read");
    body.pop();
    assert_eq!(take_in(&body), Err(Refusal::BadJson.into()), "a mebibyte is read");
}

#[test]
fn a_job_is_the_same_job_in_any_order_and_with_or_without_its_tenant() {
    let (_, body) =
        examples("examples").into_iter().find(|(name, _)| name == "email-invoice").unwrap();
    let canonical = |value: &Value| {
        parse(&serde_json::to_vec(value).unwrap(), &ParseLimits::default()).unwrap().canonical()
    };
    let value: Value = serde_json::from_slice(&body).unwrap();
    let original = canonical(&value);

    let mut anonymous = value.clone();
    anonymous.as_object_mut().unwrap().shift_remove("tenant").unwrap();
    assert_eq!(canonical(&anonymous), original, "the tenant is not part of the job");

    assert_eq!(canonical(&turned_round(value.clone())), original, "nor is the order of keys");

    for pointer in ["/reference", "/document/data/notes", "/link/max_opens", "/recipient/person"] {
        let mut other = value.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        other.pointer_mut(parent).unwrap().as_object_mut().unwrap().shift_remove(name).unwrap();
        assert_ne!(canonical(&other), original, "{pointer} is part of the job");
    }
}

/// The same value with every object's keys in reverse order.
fn turned_round(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().rev().map(|(key, value)| (key, turned_round(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(turned_round).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[test]
fn nothing_of_a_job_shows_in_its_debug_form() {
    for (name, body) in examples("examples") {
        let job = parse(&body, &ParseLimits::default()).unwrap();
        let shown = format!("{job:?} {:?} {:?} {:?}", job.document, job.recipient, job.evidence);
        let checked = take_in(&body).unwrap();
        let shown = format!("{shown} {checked:?} {:?} {:?}", checked.recipient, checked.evidence);
        for secret in [
            "桔梗",
            "鶴岡",
            "sakura",
            "Sakura",
            "青葉",
            "118535",
            "docomo",
            "INV",
            "久茂地",
            "9000015",
        ] {
            assert!(!shown.contains(secret), "{name}: {secret} is in {shown}");
        }
    }
}

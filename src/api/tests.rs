//! docs/openapi.yaml says what the router does, no more and no less.

use std::collections::BTreeSet;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::IntoResponse as _,
};
use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::{announced, problem::WRONG_METHOD, routes};
use crate::domain::{job::Channel, pdf::PdfFlaw, refusal::Refusal, stage::Stage};

fn document() -> Value {
    serde_saphyr::from_str(include_str!("../../docs/openapi.yaml")).unwrap()
}

fn words(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn the_document_has_the_routers_paths() {
    let document = document();
    let paths: BTreeSet<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let router: BTreeSet<_> = routes().iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(paths, router, "a path is in one of the two only");
}

#[test]
fn the_document_has_every_code_stage_and_channel() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let mut codes: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    codes.insert(WRONG_METHOD);
    assert_eq!(words(&schemas["Problem"]["properties"]["code"]["enum"]), codes, "codes");
    let stages: BTreeSet<_> = Stage::ALL.iter().map(|stage| stage.word()).collect();
    assert_eq!(words(&schemas["Stage"]["enum"]), stages, "stages");
    let reasons: BTreeSet<_> = PdfFlaw::ALL.iter().map(|flaw| flaw.word()).collect();
    assert_eq!(words(&schemas["Problem"]["properties"]["reason"]["enum"]), reasons, "reasons");
    let channels = BTreeSet::from([Channel::Email.word(), Channel::Post.word()]);
    assert_eq!(words(&schemas["Job"]["properties"]["channel"]["enum"]), channels, "channels");
}

/// The statuses of an operation in the document.
fn statuses(operation: &Value) -> BTreeSet<u16> {
    let answers = operation["responses"].as_object().unwrap();
    answers.keys().map(|status| status.parse().unwrap()).collect()
}

#[test]
fn a_sender_can_be_told_every_refusal_of_a_job() {
    let document = document();
    let told = statuses(&document["paths"]["/v1/jobs"]["post"]);
    // What is not about a job that is being sent.
    let others =
        [Refusal::NotFound, Refusal::TooLate, Refusal::UploadInUse, Refusal::TooManyUploads];
    for refusal in Refusal::ALL.iter().filter(|refusal| !others.contains(refusal)) {
        assert!(told.contains(&refusal.http_status()), "{refusal} has no answer");
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = document();
    let mut seen = BTreeSet::new();
    collect(&document, &mut seen);
    assert!(seen.len() > 5, "the walk finds references");
    for reference in &seen {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference}"),
            None => assert_eq!(reference, "job-v1.schema.json", "the one file beside it"),
        }
    }
}

fn collect(value: &Value, seen: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                seen.insert(reference.clone());
            }
            map.values().for_each(|value| collect(value, seen));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A request of which nothing ever arrives but its head.
fn silent(headers: &[(&str, &str)]) -> Request {
    let body = Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
    let request = headers
        .iter()
        .fold(Request::post("/"), |request, (name, value)| request.header(*name, *value));
    request.body(body).unwrap()
}

/// Jobs and uploads are judged by the same rule, each by its own limit.
#[tokio::test]
async fn a_length_that_is_announced_is_judged_before_the_body() {
    for (headers, length) in [
        (&[("content-length", "100")][..], Some(100)),
        (&[("content-length", "100"), ("expect", "100-continue")], Some(100)),
        (&[("content-length", "-1")], None),
        (&[], None),
    ] {
        let (mut stream, said) = announced(silent(headers), 100).await.unwrap_or_else(|_| {
            panic!("{headers:?} is not too long");
        });
        assert_eq!(said, length, "{headers:?}");
        assert!(futures::poll!(stream.next()).is_pending(), "{headers:?}: nothing was read");
    }
    let long = &[("content-length", "101"), ("expect", "100-continue")];
    let answer = announced(silent(long), 100).await.expect_err("it is too long");
    assert_eq!(answer.into_response().status(), 413, "who waits is told at once");
    let mut request = silent(&[("content-length", "101")]);
    let body = stream::iter([Ok::<_, axum::Error>(Bytes::from_static(&[0; 101]))]);
    *request.body_mut() = Body::from_stream(body);
    let answer = announced(request, 100).await.expect_err("it is too long");
    assert_eq!(answer.into_response().status(), 413, "who sends is read on, and told");
}

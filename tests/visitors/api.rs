//! What senders can do over HTTP, and that tenants never meet.

use kakitome::domain::{log::Kind, refusal::Refusal};
use reqwest::Method;
use serde_json::Value;

use crate::{
    house::{ACME, House, OTHER},
    letters::Order,
    on_both,
};

on_both! {
    a_job_is_taken_and_its_place_is_told
    a_refusal_is_a_problem_that_repeats_nothing
    who_has_no_token_gets_nothing
    a_tenant_sees_its_own_jobs_only
    what_was_sent_is_not_taken_back
    what_cannot_be_told_is_not_taken_back
    wrong_methods_and_paths_are_problems
    the_answers_are_as_documented
}

async fn ask(
    house: &House,
    method: Method,
    path: &str,
    token: &str,
) -> (u16, reqwest::header::HeaderMap, Value) {
    let request = house.client.request(method, format!("{}{path}", house.api_url));
    answer(request.bearer_auth(token)).await
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, reqwest::header::HeaderMap, Value) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn post(house: &House, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    let request = house.client.post(format!("{}/v1/jobs", house.api_url)).body(body);
    request.bearer_auth(ACME).header("content-type", "application/json")
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn a_job_is_taken_and_its_place_is_told(house: House) {
    let (status, headers, body) =
        answer(post(&house, "\"new\"").header("traceparent", TRACE)).await;
    assert_eq!((status, body["state"].as_str()), (202, Some("accepted")), "on the books");
    let place = format!("/v1/jobs/{}", body["job"].as_str().unwrap());
    assert_eq!(headers["location"].to_str().unwrap(), place, "where to ask");
    let (status, _, body) = answer(post(&house, "\"again\"")).await;
    assert_eq!((status, body["state"].as_str()), (202, Some("duplicate")), "the same again");
    let odd = answer(post(&house, "\"new\"").header("traceparent", "00-x-y-z")).await;
    assert_eq!(odd.0, 422, "a trace that is none is not passed on");
}

async fn a_refusal_is_a_problem_that_repeats_nothing(house: House) {
    let (status, headers, body) = answer(post(&house, "\"canary-4711\"")).await;
    assert_eq!(status, 422, "refused");
    assert_eq!(headers["content-type"], "application/problem+json", "RFC 9457");
    assert_eq!(body["code"], "bad_field", "why");
    assert_eq!(body["field"], "recipient.email", "where");
    assert!(!body.to_string().contains("canary"), "nothing comes back");
    let large = answer(post(&house, vec![b' '; (1 << 20) + 1])).await;
    assert_eq!((large.0, large.2["code"].as_str()), (413, Some("too_large")), "announced length");
    let pieces =
        futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100_000])));
    let stream = reqwest::Body::wrap_stream(pieces);
    let endless = answer(post(&house, stream)).await;
    assert_eq!((endless.0, endless.2["code"].as_str()), (413, Some("too_large")), "unannounced");
    for media in ["text/plain", "application/xml", "application/json; charset=shift_jis", ""] {
        let request = house.client.post(format!("{}/v1/jobs", house.api_url)).body("\"new\"");
        let wrong = answer(request.bearer_auth(ACME).header("content-type", media)).await;
        assert_eq!((wrong.0, wrong.2["code"].as_str()), (415, Some("wrong_type")), "{media}");
    }
    let packed = answer(post(&house, "x").header("content-encoding", "gzip")).await;
    assert_eq!(packed.0, 415, "nothing is unpacked");
}

async fn who_has_no_token_gets_nothing(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let path = format!("/v1/jobs/{}", delivery.job);
    for (method, path) in [
        (Method::POST, "/v1/jobs".to_owned()),
        (Method::GET, path.clone()),
        (Method::POST, format!("{path}/cancel")),
    ] {
        let request = house.client.request(method.clone(), format!("{}{path}", house.api_url));
        let (status, headers, body) = answer(request).await;
        assert_eq!((status, body["code"].as_str()), (401, Some("unauthorized")), "{method} {path}");
        assert_eq!(headers["www-authenticate"], "Bearer", "how to");
        let wrong = ask(&house, method.clone(), &path, "x").await;
        assert_eq!(wrong.0, 401, "{method} {path} with a wrong token");
    }
}

async fn a_tenant_sees_its_own_jobs_only(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let path = format!("/v1/jobs/{}", delivery.job);
    let (status, _, body) = ask(&house, Method::GET, &path, ACME).await;
    assert_eq!(status, 200, "its own");
    assert_eq!(body["stage"], "dispatched", "where it stands");
    assert_eq!(body["link"]["expires_at"], "2026-12-05T03:00:00.000000Z", "until when");
    assert_eq!(body["link"]["max_opens"], 5, "how often");
    assert!(!body.to_string().contains("カナリア"), "nothing is unsealed");
    let nobodys = "/v1/jobs/01919999-0000-7000-8000-000000000001";
    let unknown = ask(&house, Method::GET, nobodys, ACME).await;
    for (method, path) in [(Method::GET, path.clone()), (Method::POST, format!("{path}/cancel"))] {
        let others = ask(&house, method.clone(), &path, OTHER).await;
        assert_eq!((others.0, &others.2), (404, &unknown.2), "{method} {path} of another tenant");
    }
    for spelling in [delivery.job.to_string().to_uppercase(), "x".into(), "%ff".into()] {
        let (status, _, body) =
            ask(&house, Method::GET, &format!("/v1/jobs/{spelling}"), ACME).await;
        assert_eq!((status, body["code"].as_str()), (404, Some("not_found")), "{spelling}");
    }
    assert_eq!(house.said(&delivery, Kind::Cancelled).await, 0, "nobody took it back");
}

async fn what_was_sent_is_not_taken_back(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let path = format!("/v1/jobs/{}/cancel", delivery.job);
    let (status, _, body) = ask(&house, Method::POST, &path, ACME).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("too_late")), "it has left");
    let waiting = house.accept_later(Order::default()).await;
    let path = format!("/v1/jobs/{waiting}/cancel");
    for time in ["first", "second"] {
        let (status, _, body) = ask(&house, Method::POST, &path, ACME).await;
        assert_eq!((status, body["stage"].as_str()), (200, Some("cancelled")), "{time}");
    }
    let (_, _, body) = ask(&house, Method::GET, &format!("/v1/jobs/{waiting}"), ACME).await;
    assert_eq!(body["stage"], "cancelled", "and it stays so");
    house.breaker.at(Some("begin"));
    let (status, headers, body) = ask(&house, Method::POST, &path, ACME).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("try_later")), "the books are closed");
    assert!(headers.contains_key("retry-after"), "when to come back");
}

async fn what_cannot_be_told_is_not_taken_back(house: House) {
    let waiting = house.accept_later(Order::default()).await;
    let path = format!("/v1/jobs/{waiting}");
    house.breaker.at(Some("announce"));
    let cancel = format!("{path}/cancel");
    let (status, _, body) = ask(&house, Method::POST, &cancel, ACME).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("try_later")), "no event, no change");
    let (_, _, body) = ask(&house, Method::GET, &path, ACME).await;
    assert_eq!(body["stage"], "accepted", "it still goes");
    house.breaker.at(None);
    let (status, _, body) = ask(&house, Method::POST, &cancel, ACME).await;
    assert_eq!((status, body["stage"].as_str()), (200, Some("cancelled")), "the second time");
}

async fn wrong_methods_and_paths_are_problems(house: House) {
    for (method, path, expected) in [
        (Method::GET, "/v1/jobs", 405),
        (Method::DELETE, "/v1/jobs/x", 405),
        (Method::GET, "/v1/jobs/x/cancel", 405),
        (Method::GET, "/", 404),
        (Method::GET, "/v1/jobs/x/y/z", 404),
        (Method::POST, "/v2/jobs", 404),
    ] {
        let (status, headers, body) = ask(&house, method.clone(), path, ACME).await;
        assert_eq!(status, expected, "{method} {path}");
        assert_eq!(headers["content-type"], "application/problem+json", "{method} {path}");
        assert_eq!(body["status"], expected, "{method} {path}");
        assert_eq!(headers.contains_key("allow"), expected == 405, "{method} {path}");
    }
    let answers = house.ear.answers.lock().unwrap().clone();
    let routes = ["/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/cancel", "other"];
    assert!(answers.iter().all(|(route, _)| routes.contains(route)), "patterns, never paths");
}

/// Every answer of this file has the shape that docs/openapi.yaml gives it.
async fn the_answers_are_as_documented(house: House) {
    let document: Value = serde_saphyr::from_str(include_str!("../../docs/openapi.yaml")).unwrap();
    let schema = |name: &str| {
        let mut schema = document["components"]["schemas"][name].clone();
        schema["components"] = document["components"].clone();
        jsonschema::validator_for(&schema).unwrap()
    };
    let delivery = house.deliver(Order::default()).await;
    let path = format!("/v1/jobs/{}", delivery.job);
    let shown = ask(&house, Method::GET, &path, ACME).await.2;
    let waiting = house.accept_later(Order::default()).await;
    let receipt = answer(post(&house, "\"again\"")).await.2;
    let standing = ask(&house, Method::POST, &format!("/v1/jobs/{waiting}/cancel"), ACME).await.2;
    let refused = answer(post(&house, "\"bad\"")).await.2;
    let unknown = ask(&house, Method::GET, "/", ACME).await.2;
    let method = ask(&house, Method::GET, "/v1/jobs", ACME).await.2;
    for (name, value) in [
        ("Job", &shown),
        ("Receipt", &receipt),
        ("Standing", &standing),
        ("Problem", &refused),
        ("Problem", &unknown),
        ("Problem", &method),
    ] {
        let faults: Vec<_> = schema(name).iter_errors(value).map(|e| e.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:?} in {value}");
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let documented = operations.get(method.as_str().to_lowercase()).is_some();
            let path = path.replace("{id}", &delivery.job.to_string());
            let status = ask(&house, method.clone(), &path, "no token").await.0;
            let expected = if documented { Refusal::Unauthorized.http_status() } else { 405 };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
}

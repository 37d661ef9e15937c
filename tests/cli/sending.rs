//! `kakitome enqueue` over HTTP, and `kakitome health`, against a counter of
//! our own.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use super::{Place, example, kakitome};

/// A server that answers in turn, and keeps what it was told.
struct Counter {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Counter {
    fn open(answers: Vec<(u16, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    reader.read_line(&mut head).unwrap();
                }
                let length = head
                    .to_lowercase()
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                    .unwrap_or(0);
                let mut sent = vec![0; length];
                reader.read_exact(&mut sent).unwrap();
                ears.lock().unwrap().push(head + &String::from_utf8(sent).unwrap());
                write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nRetry-After: 0\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        Self { url, heard }
    }
}

const TAKEN: &str = r#"{"job":"0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04","state":"accepted"}"#;
const KNOWN: &str = r#"{"job":"0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04","state":"duplicate"}"#;

fn minimal() -> String {
    let text = fs::read_to_string(example("minimal.json")).unwrap();
    let job: serde_json::Value = serde_json::from_str(&text).unwrap();
    job.to_string()
}

#[test]
fn a_file_with_a_broken_line_sends_nothing() {
    let place = Place::new("");
    let file = place.path("jobs.jsonl");
    fs::write(&file, format!("{}\n{{\"key\":\"CANARY\"}}\n\n{{]\n", minimal())).unwrap();
    let name = file.display().to_string();
    let run = place.run(&["enqueue", &name]).ends(3);
    assert_eq!(run.out, "line 2: missing_field (channel)\nline 4: bad_json\n", "which and why");
    assert!(run.err.contains("nothing was sent"), "{}", run.err);
    assert!(!run.out.contains("CANARY") && !run.err.contains("CANARY"), "nothing is repeated");
}

#[test]
fn jobs_go_to_the_counter_with_the_tenants_token() {
    let later = r#"{"code":"try_later"}"#;
    let counter = Counter::open(vec![(202, TAKEN), (503, later), (202, KNOWN)]);
    let place = Place::new("");
    // One after the other, so that the answers come in a known order.
    let mut codes = Vec::new();
    for _ in 0..2 {
        let name = example("minimal.json");
        codes.push(place.run(&["enqueue", "--url", &counter.url, "--json", &name]).ends(0));
    }
    assert_eq!(codes[0].lines()[0]["state"], "accepted", "{}", codes[0].out);
    assert_eq!(codes[1].lines()[0]["state"], "duplicate", "asked again after try_later");
    let heard = counter.heard.lock().unwrap();
    assert_eq!(heard.len(), 3, "three requests");
    for request in heard.iter() {
        assert!(request.starts_with("POST /v1/jobs HTTP/1.1"), "the path");
        let token = "authorization: Bearer 0123456789abcdef0123456789abcdef0123";
        assert!(request.contains(token), "the token");
        assert!(request.contains("INV-2026-000042"), "the job");
    }
}

#[test]
fn what_the_office_refuses_is_told_line_by_line() {
    let refused = r#"{"code":"id_conflict","title":"t","field":"key"}"#;
    let counter = Counter::open(vec![(409, refused)]);
    let place = Place::new("");
    let name = example("minimal.json");
    let run = place.run(&["enqueue", "--url", &counter.url, &name]).ends(3);
    assert_eq!(
        run.out, "line 1: id_conflict (key)\n0 accepted, 0 known already, 1 refused\n",
        "so"
    );
}

#[test]
fn a_pdf_is_uploaded_with_the_tenants_token() {
    let kept =
        r#"{"upload":"0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04","expires_at":"2026-11-22T00:00:00Z"}"#;
    let bad = r#"{"code":"bad_pdf","reason":"encrypted","title":"t"}"#;
    let counter = Counter::open(vec![(201, kept), (422, bad)]);
    let place = Place::new("");
    let file = place.path("contract.pdf");
    fs::write(&file, "%PDF-1.7 CANARY").unwrap();
    let name = file.display().to_string();
    let run = place.run(&["upload", "--url", &counter.url, &name]).ends(0);
    assert!(run.out.contains("0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04"), "the id: {}", run.out);
    let run = place.run(&["upload", "--url", &counter.url, &name]).ends(3);
    assert_eq!(run.out, "bad_pdf (encrypted)\n", "the code and the reason");
    let heard = counter.heard.lock().unwrap();
    assert!(heard[0].starts_with("POST /v1/uploads HTTP/1.1"), "the path");
    assert!(heard[0].contains("content-type: application/pdf"), "the type");
    assert!(heard[0].contains("Bearer 0123456789abcdef0123456789abcdef0123"), "the token");
    assert!(heard[0].ends_with("%PDF-1.7 CANARY"), "the file");
    drop(heard);
    let run = place.run(&["upload", "--url", "http://127.0.0.1:1", &name]).ends(1);
    assert!(run.err.contains("upload the file again"), "{}", run.err);
}

#[test]
fn a_counter_that_is_closed_is_a_failure_that_may_be_repeated() {
    let place = Place::new("");
    let name = example("minimal.json");
    let run = place.run(&["enqueue", "--url", "http://127.0.0.1:1", &name]).ends(1);
    assert!(run.err.contains("send the whole file again"), "{}", run.err);
}

#[test]
fn sealing_needs_a_broker() {
    let place = Place::new("");
    let run = place.run(&["enqueue", "--seal", &example("minimal.json")]).ends(2);
    assert!(run.err.contains("[broker]"), "{}", run.err);
}

#[test]
fn a_broker_user_without_a_tenant_is_named_before_anything_is_sent() {
    let place = Place::new("[broker]\nhost = \"127.0.0.1\"\nport = 1\n");
    let run = place.run(&["enqueue", &example("minimal.json")]).ends(2);
    assert!(run.err.contains("kakitome belongs to no tenant"), "{}", run.err);
}

#[test]
fn health_is_an_exit_code() {
    let ready = r#"{"ready":true,"checks":[{"name":"database","ready":true}]}"#;
    let counter = Counter::open(vec![(200, "alive\n"), (200, ready)]);
    let run = kakitome(&["health", "--url", &counter.url]).ends(0);
    assert_eq!(run.out, "database: ready\n", "each part by name");
    let away = r#"{"ready":false,"checks":[{"name":"database","ready":false,"why":"it is away"}]}"#;
    let counter = Counter::open(vec![(200, "alive\n"), (503, away)]);
    let run = kakitome(&["health", "--url", &counter.url]).ends(1);
    assert_eq!(run.out, "database: it is away\n", "and why not");
    let counter = Counter::open(vec![(200, "alive\n")]);
    kakitome(&["health", "--alive", "--url", &counter.url]).ends(0);
    let run = kakitome(&["health", "--url", "http://127.0.0.1:1"]).ends(1);
    assert!(run.err.contains("kakitome serve"), "it says what to do: {}", run.err);
}

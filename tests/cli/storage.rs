//! A server whose segments lie on S3-compatible storage, and what a check says
//! of it.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    Place, example, kakitome,
    keys::{Sending, ask, get, viewer},
    office::until,
    s3::{ACCESS_KEY, BUCKET, OwnS3, SECRET_KEY},
};

/// Puts the storage into a place's configuration.
fn on_s3(place: &Place, server: &OwnS3) {
    place.secret("s3.id", ACCESS_KEY);
    place.secret("s3.key", SECRET_KEY);
    edit(
        place,
        "[blobs]",
        &format!(
            "[blobs]\nkind = \"s3\"\nbucket = \"{BUCKET}\"\nprefix = \"acme/segments\"\n\
             endpoint = \"{}\"\nallow_http = true\ntimeout = \"2s\"\n\
             access_key = \"{}\"\nsecret_key = \"{}\"",
            server.endpoint(),
            place.at("s3.id"),
            place.at("s3.key"),
        ),
    );
}

fn edit(place: &Place, from: &str, to: &str) {
    let file = place.path("kakitome.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} is in the configuration");
    fs::write(&file, text.replacen(from, to, 1)).unwrap();
}

/// The findings of a check about these areas.
fn findings(place: &Place, areas: &[&str]) -> Vec<(String, String)> {
    let run = place.run(&["check", "--json"]);
    let word = |finding: &serde_json::Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let found = run.lines();
    let found = found.iter().filter(|one| areas.contains(&one["area"].as_str().unwrap()));
    found.map(|one| (word(one, "state"), format!("{} {}", one["what"], one["remedy"]))).collect()
}

#[test]
fn a_check_tells_whether_the_bucket_can_be_used() {
    let Some(server) = OwnS3::start() else { return };
    let place = Place::ready("");
    on_s3(&place, &server);
    let of_bucket = || {
        let mut found = findings(&place, &["blobs.bucket"]);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let (state, words) = of_bucket();
    assert!(state == "ok" && words.contains("written, read and removed"), "{words}");
    let stored = fs::read_dir(server.bucket().join("acme/segments")).unwrap().count();
    assert_eq!(stored, 0, "what was written to try it is gone again");
    let books = findings(&place, &["segments"]);
    assert!(books[0].0 == "ok" && books[0].1.contains("what the books say"), "{books:?}");

    place.secret("wrong", "wrong-secret-canary");
    edit(&place, "s3.key", "wrong");
    let (state, words) = of_bucket();
    assert_eq!(state, "problem", "{words}");
    assert!(words.contains("cannot write") && words.contains("SignatureDoesNotMatch"), "{words}");
    assert!(words.contains("blobs.secret_key"), "it says what to do: {words}");
    assert!(!words.contains("canary") && !words.contains(ACCESS_KEY), "and no secret: {words}");
    edit(&place, &place.at("wrong"), &place.at("s3.key"));

    server.kill();
    let (state, words) = of_bucket();
    assert!(state == "problem" && words.contains("cannot be reached"), "{words}");
    assert!(words.contains("blobs.endpoint"), "it says what to do: {words}");
    server.up();
    server.freeze();
    let (state, words) = of_bucket();
    assert!(state == "problem" && words.contains("does not answer in time"), "{words}");
    server.thaw();
    assert_eq!(of_bucket().0, "ok", "and all is well again");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let Some(server) = OwnS3::start() else { return };
    let place = Place::new("");
    on_s3(&place, &server);
    edit(&place, "allow_http = true", "allow_http = false");
    edit(&place, "acme/segments", "../acme");
    let key = format!("secret_key = \"{}\"", place.at("s3.key"));
    edit(&place, &key, "");
    let run = place.run(&["check"]).ends(2);
    for key in ["blobs.endpoint", "blobs.prefix", "blobs.access_key"] {
        assert!(run.err.contains(key), "it names {key}: {}", run.err);
    }
}

#[test]
fn what_the_store_lacks_or_does_not_own_is_found() {
    let Some(server) = OwnS3::start() else { return };
    let office = Sending::with(|office| on_s3(&office.place, &server));
    let served = office.serve();
    office.send("one");
    drop(served);
    let stored = server.bucket().join("acme/segments");
    let segment = segments(&stored).remove(0);
    fs::rename(&segment, segment.with_extension("aside")).unwrap();
    let found = findings(&office.place, &["segments"]);
    assert_eq!(found[0].0, "problem", "{found:?}");
    assert!(found[0].1.contains("1 segments with documents are missing"), "{found:?}");
    fs::rename(segment.with_extension("aside"), &segment).unwrap();
    assert_eq!(findings(&office.place, &["segments"])[0].0, "ok", "it was brought back");
    fs::write(stored.join("office.mark"), "another").unwrap();
    let found = findings(&office.place, &["segments"]);
    assert!(found[0].0 == "problem" && found[0].1.contains("other books"), "{found:?}");
    // A bucket, prefix or folder in which nothing lies yet.
    fs::remove_file(stored.join("office.mark")).unwrap();
    fs::rename(&segment, segment.with_extension("aside")).unwrap();
    let found = findings(&office.place, &["segments"]);
    assert!(found[0].0 == "problem" && found[0].1.contains("carries no mark"), "{found:?}");
    assert!(found[0].1.contains("mount its volume"), "it says what to do: {found:?}");
    let (_, rest) = found[0].1.split_once(", put ").unwrap();
    let (mark, rest) = rest.split_once(' ').unwrap();
    assert!(rest.starts_with("into office.mark"), "or how to begin anew: {found:?}");
    fs::write(stored.join("office.mark"), mark).unwrap();
    fs::rename(segment.with_extension("aside"), &segment).unwrap();
    assert_eq!(findings(&office.place, &["segments"])[0].0, "ok", "it is ours again");
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|end| end == "kks")).collect()
}

/// A new database of this name, where there is a server for it.
#[expect(clippy::disallowed_methods, reason = "tests are told where the services are")]
fn postgres(variable: &str) -> Option<String> {
    let server = std::env::var(variable).ok().filter(|url| url != "off")?;
    let name = format!("cli_{}", uuid::Uuid::now_v7().simple());
    let sql = format!("CREATE DATABASE {name}");
    let made = Command::new("psql").args([&format!("{server}/postgres"), "-qc", &sql]).status();
    assert!(made.unwrap().success(), "psql makes {name}");
    Some(format!("{server}/{name}"))
}

/// The real program on PostgreSQL books and S3: a mail, a link, ranges; then
/// the storage goes away and comes back.
#[test]
fn a_server_outlives_its_storage() {
    let Some(server) = OwnS3::start() else { return };
    let office = Sending::with(|office| {
        on_s3(&office.place, &server);
        let urls =
            [("office.db", "KAKITOME_TEST_POSTGRES"), ("keys.db", "KAKITOME_TEST_KEYS_POSTGRES")];
        for (file, variable) in urls {
            let folder = office.place.at(if file == "office.db" { "data" } else { "keys" });
            if let Some(url) = postgres(variable) {
                office.edit(&format!("sqlite:{folder}/{file}"), &url);
            }
        }
    });
    let _served = office.serve();
    let (job, link) = office.send("one");
    let place = viewer(office.gateway, &link).unwrap();
    let (status, _, whole) = get(office.gateway, &format!("{place}/file"));
    assert!(status == 200 && whole.starts_with(b"%PDF-"), "the link gives the PDF");
    let (status, head, part) = ask(
        office.gateway,
        &format!(
            "GET {place}/download HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nRange: bytes=1000-1999\r\n\
             Connection: close\r\n\r\n"
        ),
    );
    assert_eq!((status, &part[..]), (206, &whole[1_000..2_000]), "a range: {head}");

    server.kill();
    let mut waiting = Vec::new();
    let text = fs::read_to_string(example("minimal.json")).unwrap();
    for number in 0..4 {
        let file = office.place.at("job.json");
        let key = format!("\"key\": \"away-{number}\"");
        fs::write(&file, text.replacen("\"key\": \"1\"", &key, 1)).unwrap();
        let sent = office.place.run(&["enqueue", "--json", &file]).ends(0);
        waiting.push(sent.lines()[0]["job"].as_str().unwrap().to_owned());
    }
    let url = format!("http://127.0.0.1:{}", office.operations);
    let health = until_it_says(&url, "segments-write: the object storage is away");
    assert!(health.contains("database: ready"), "the rest is well: {health}");
    let (status, _, page) = get(office.gateway, &format!("{place}/file"));
    assert_eq!(status, 503, "a reader is asked to come back: {}", String::from_utf8_lossy(&page));

    server.up();
    for id in &waiting {
        until(&office.place, id, "dispatched");
        office.mails.recv_timeout(Duration::from_mins(1)).unwrap();
    }
    until_it_says(&url, "segments-write: ready");
    assert_eq!(get(office.gateway, &format!("{place}/file")).0, 200, "the reader is back");
    assert!(office.mails.recv_timeout(Duration::from_secs(1)).is_err(), "no mail came twice");
    let log = fs::read_to_string(office.place.path("serve.log")).unwrap();
    let said = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(said("sealed bytes cannot be written"), 1, "one line says it: {log}");
    assert_eq!(said("sealed bytes can be written again"), 1, "and one that it is over: {log}");
    assert!(!log.contains(SECRET_KEY) && !log.contains(ACCESS_KEY), "no secret in the log");
    assert_eq!(office.told("acme", "downloaded"), 3, "each access is on record: {job}");
    for file in segments(&server.bucket().join("acme/segments")) {
        let bytes = fs::read(&file).unwrap();
        for canary in [b"%PDF-".as_slice(), b"sakura@example.jp", "桔梗製作所".as_bytes()] {
            let found = bytes.windows(canary.len()).any(|window| window == canary);
            assert!(!found, "{} holds something readable", file.display());
        }
    }
}

/// Waits until `kakitome health` prints this line.
fn until_it_says(url: &str, line: &str) -> String {
    let started = Instant::now();
    loop {
        let run = kakitome(&["health", "--url", url]).ends(0);
        if run.out.lines().any(|found| found == line) {
            return run.out;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "it says: {}", run.out);
        std::thread::sleep(Duration::from_millis(50));
    }
}

//! A running office, asked by the person who runs it.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use super::{Place, Run, command, example, mode};

/// `kakitome serve`, ended with the test.
pub(super) struct Served(pub(super) Child);

impl Drop for Served {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        drop(self.0.wait());
    }
}

pub(super) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [_; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// An office whose one tenant is in test mode, open and ready.
fn open() -> (Place, Served) {
    let [gateway, api, operations] = free_ports();
    let place = Place::ready(&format!(
        "[listen]\ngateway = \"127.0.0.1:{gateway}\"\napi = \"127.0.0.1:{api}\"\n\
         operations = \"127.0.0.1:{operations}\"\n"
    ));
    let served = serve(&place, operations);
    (place, served)
}

/// Starts a server and waits until it is ready.
pub(super) fn serve(place: &Place, operations: u16) -> Served {
    let log = fs::File::create(place.path("serve.log")).unwrap();
    let config = place.at("kakitome.toml");
    let child = command(&["serve", "--config", &config]).stderr(log).stdout(Stdio::null()).spawn();
    let served = Served(child.unwrap());
    let url = format!("http://127.0.0.1:{operations}");
    let started = Instant::now();
    loop {
        let run = super::kakitome(&["health", "--url", &url]);
        if run.code == 0 {
            break;
        }
        let log = fs::read_to_string(place.path("serve.log")).unwrap();
        assert!(started.elapsed() < Duration::from_mins(2), "not ready: {} {log}", run.err);
        std::thread::sleep(Duration::from_millis(100));
    }
    served
}

/// Waits until a job stands at `stage`.
pub(super) fn until(place: &Place, job: &str, stage: &str) -> Run {
    let started = Instant::now();
    loop {
        let run = place.run(&["jobs", "show", job, "--json"]).ends(0);
        let shown: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        if shown["stage"] == stage {
            return run;
        }
        assert!(started.elapsed() < Duration::from_mins(2), "still at {}", shown["stage"]);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_person_follows_a_delivery_from_the_terminal() {
    let (place, _served) = open();
    let sent = place.run(&["enqueue", "--json", &example("minimal.json")]).ends(0);
    let job = sent.lines()[0]["job"].as_str().unwrap().to_owned();
    let again = place.run(&["enqueue", "--json", &example("minimal.json")]).ends(0);
    assert_eq!(again.lines()[0]["state"], "duplicate", "once is once");

    let shown = until(&place, &job, "dispatched");
    assert!(!shown.out.contains("sakura@example.jp"), "nobody is named: {}", shown.out);
    assert!(!shown.out.contains("桔梗製作所"), "no company either");
    let listed = place.run(&["jobs", "list", "--tenant", "acme", "--stage", "dispatched"]).ends(0);
    assert!(listed.out.contains(&job), "it is in the list: {}", listed.out);

    let revealed = place.run(&["jobs", "show", "--reveal", &job]).ends(0);
    assert!(revealed.out.contains("sakura@example.jp"), "on demand: {}", revealed.out);
    let looked = place.run(&["audit", "search", "--kind", "exported", "--json"]).ends(0).lines();
    assert_eq!(looked.len(), 1, "and the log knows");
    assert_eq!(looked[0]["job"], job, "whose data it was");

    found_in_the_log(&place, &job);
    let kept = place.run(&["retention", "explain", &job]).ends(0);
    assert!(kept.out.contains("1 calendar month"), "the rule: {}", kept.out);
    let plan = place.run(&["retention", "run", "--dry-run"]).ends(0);
    assert!(plan.out.contains("nothing is due"), "not yet: {}", plan.out);

    place.run(&["jobs", "retry", &job]).ends(3);
    let late = place.run(&["jobs", "cancel", &job]).ends(3);
    assert!(late.out.contains("recall"), "it says what helps: {}", late.out);
    frozen_and_lifted(&place, &job);
    let recalled = place.run(&["jobs", "recall", &job]).ends(0);
    let zero = "recalled; no content byte left this service; the link is dead since 20";
    assert!(recalled.out.contains(zero), "nobody read it: {}", recalled.out);
    let again = &place.run(&["jobs", "recall", "--json", &job]).ends(0).lines()[0];
    assert_eq!((&again["bytes_max"], &again["exact"]), (&0.into(), &true.into()), "{again}");
    assert!(again["what"].as_str().unwrap().starts_with("was recalled before"), "{again}");
    let since = again["dead_since"].as_str().unwrap();
    assert!(recalled.out.contains(since), "the same instant: {}", recalled.out);
    let shown = until(&place, &job, "recalled");
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["link"]["state"], "revoked", "the link opens no more");
}

/// By its link number, alone and with its whole tenant.
fn frozen_and_lifted(place: &Place, job: &str) {
    let state = || {
        let shown = place.run(&["jobs", "show", "--json", job]).ends(0);
        let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        let number = shown["link_number"].as_str().unwrap().to_owned();
        (shown["link"]["state"].as_str().unwrap().to_owned(), number)
    };
    let (good, number) = state();
    assert_eq!(good, "good until its end", "to begin with");
    for arguments in [["jobs", "freeze", &number], ["tenants", "freeze", "acme"]] {
        let (what, of_whom) = (arguments[0], arguments[2]);
        let run = place.run(&arguments).ends(0);
        assert!(run.out.contains("frozen; nothing of it opens"), "{}", run.out);
        let run = place.run(&arguments).ends(0);
        assert!(run.out.contains("was frozen before"), "twice is once: {}", run.out);
        assert_eq!(state().0, "frozen", "{what}");
        let run = place.run(&[what, "unfreeze", of_whom]).ends(0);
        assert!(run.out.contains("its freeze is lifted"), "{}", run.out);
        assert_eq!(state().0, good, "{what}");
    }
    let all = place.run(&["audit", "search", "--kind", "frozen", "--json"]).ends(0).lines();
    assert_eq!(all.len(), 2, "both are on record, once");
    let run = place.run(&["tenants", "freeze", "acmee"]).ends(1);
    assert!(run.err.contains("no such tenant"), "{}", run.err);
}

fn found_in_the_log(place: &Place, job: &str) {
    let search = |arguments: &[&str]| {
        let mut all = vec!["audit", "search", "--json"];
        all.extend(arguments);
        place.run(&all).ends(0).lines()
    };
    for question in [
        &["--number", "INV-2026-000042"][..],
        &["--recipient", "sakura@example.jp"],
        &["--counterparty", "桔梗製作所㈱"],
        &["--amount-min", "118535", "--amount-max", "118535"],
        &["--date-from", "2026-11-30", "--date-to", "2026-11-30"],
        &["--job", job],
    ] {
        let found = search(question);
        assert!(!found.is_empty(), "{question:?} finds the delivery");
        assert!(found.iter().all(|event| event["job"] == job), "{question:?} finds it alone");
        assert!(found.iter().all(|event| event.get("detail").is_none()), "and names nobody");
    }
    assert!(search(&["--number", "INV-2026-000043"]).is_empty(), "another number finds nothing");

    let file = place.path("log.csv");
    let name = file.display().to_string();
    place.run(&["audit", "export", "--job", job, "-o", &name]).ends(0);
    assert_eq!(mode(&file), 0o600, "an export belongs to its owner");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("sakura@example.jp"), "an export is opened");
    let exports = search(&["--kind", "exported"]);
    assert_eq!(exports.len(), 2, "and stands in the log");
}

#[test]
fn a_job_that_is_not_there_is_not_found() {
    let place = Place::ready("");
    let job = "0199f3c1-7a5e-7c01-8d3e-5b1f6f2a9c04";
    for arguments in [
        &["jobs", "show", job][..],
        &["jobs", "retry", job],
        &["jobs", "cancel", job],
        &["jobs", "recall", job],
        &["jobs", "freeze", job],
        &["jobs", "reissue", job],
        &["jobs", "show", "KT-1BKB-Y7ZJ-N704-V"],
        &["retention", "explain", job],
    ] {
        let run = place.run(arguments).ends(1);
        assert!(run.err.contains("no such job"), "{arguments:?}: {}", run.err);
    }
    let run = place.run(&["jobs", "show", "17"]).ends(2);
    assert!(run.err.contains("invalid value"), "an id is no number: {}", run.err);
}

#[test]
fn an_empty_office_has_nothing_to_tell() {
    let place = Place::ready("");
    assert_eq!(place.run(&["jobs", "list", "--json"]).ends(0).out, "", "no jobs");
    assert_eq!(place.run(&["audit", "search", "--json"]).ends(0).out, "", "no events");
    let run = place.run(&["retention", "run", "--json"]).ends(0);
    assert_eq!(run.lines()[0]["purged"], 0, "nothing was due");
    let run = place.run(&["audit", "search", "--kind", "flown"]).ends(2);
    assert!(run.err.contains("--kind"), "{}", run.err);
}

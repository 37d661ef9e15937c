//! What must not be told rests nowhere: files of both databases, the broker's,
//! ours, everything that is logged at its loudest, and every number we give out.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use lapin::{
    Connection, ConnectionProperties, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};

use crate::{
    books::holding,
    client::{browser, open},
    place::{Place, Process},
    services,
};

const PERSON: &str = "カナリア商店";
const ADDRESS: &str = "kanaria-91c4@example.jp";
const REFERENCE: &str = "極秘の台帳カナリア";
const FILE: &str = "hidden-canary-4d1f.pdf";
const TEXT: &str = "CANARY-LINE-88ab";
const AGENT: &str = "Canary-Agent-5c5c";

fn job(key: &str) -> serde_json::Value {
    let text = fs::read_to_string("docs/examples/email-invoice.json").unwrap();
    let mut job: serde_json::Value = serde_json::from_str(&text).unwrap();
    job["key"] = key.into();
    job["recipient"]["name"] = PERSON.into();
    job["recipient"]["email"] = ADDRESS.into();
    job["reference"] = REFERENCE.into();
    job["document"]["filename"] = FILE.into();
    job["document"]["data"]["lines"][0]["name"] = TEXT.into();
    job
}

/// A queue that keeps what the office tells, in the broker's files. Events name
/// the sender's own key and reference and no more.
async fn keep_events(place: &Place) {
    let address = format!("amqp://guest:guest@127.0.0.1:{}/%2f", place.broker.port());
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&address, properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let none = FieldTable::default;
    let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let (events, kind) = ("kakitome.events", ExchangeKind::Topic);
    channel.exchange_declare(events.into(), kind, passive, none()).await.unwrap();
    channel.queue_declare("told".into(), durable, none()).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind("told".into(), events.into(), "#".into(), bind, none()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}

fn send_sealed(place: &Place, key: &str) {
    let password = place.dir.path().join("acme.password");
    let _there_already = fs::remove_file(&password);
    fs::write(&password, "acme").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o400)).unwrap();
    // Outside of the folder that is looked through: a sender has its jobs in clear.
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("job.json");
    fs::write(&file, job(key).to_string()).unwrap();
    let mut enqueue = place.kakitome(&["enqueue", "--log", "trace", "--seal", "--tenant", "acme"]);
    enqueue.args(["--user", "acme", "--password-file"]).arg(&password).arg(&file);
    let done = enqueue.output().unwrap();
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "the broker has it: {words}");
    for canary in [PERSON, ADDRESS, REFERENCE, FILE, TEXT] {
        assert!(!words.contains(canary), "{canary} is told on the way");
    }
}

/// Fails for every file that holds one of these.
fn nothing_rests(place: &Place, needles: &[String], when: &str) {
    let keys = services::told("KAKITOME_TEST_KEYS_PG_DIR");
    for folder in [place.dir.path(), place.postgres.dir(), Path::new(keys.as_str())] {
        assert_eq!(holding(folder, needles), "", "something readable rests there {when}");
    }
    let of_ours: Vec<String> =
        needles.iter().filter(|needle| *needle != REFERENCE).cloned().collect();
    let found = holding(place.broker.dir(), &of_ours);
    assert_eq!(found, "", "something readable rests at the broker {when}");
}

#[tokio::test]
async fn nothing_readable_rests_or_is_told() {
    let mut place = Place::new();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    place.config.listen.gateway = free();
    place.config.listen.operations = free();
    place.config.office.public_url = format!("http://{}", place.config.listen.gateway);
    for tenant in place.config.tenants.values_mut() {
        tenant.events = vec!["*".to_owned()];
    }
    place.write_config();
    // The queues are made, and the office closes again: what is sent now waits.
    place.serve().stop();
    keep_events(&place).await;
    let mut needles: Vec<String> =
        [PERSON, ADDRESS, REFERENCE, FILE, TEXT, AGENT, "%PDF-"].map(str::to_owned).to_vec();
    send_sealed(&place, "canary-1");
    nothing_rests(&place, &needles, "while a sealed job waits at the broker");
    let reference = [REFERENCE.to_owned()];
    assert_eq!(holding(place.broker.dir(), &reference), "", "it is sealed with the rest");

    let process = place.serve_with(&["--log", "trace"]);
    place.until_taken(1);
    send_sealed(&place, "canary-2");
    place.until_taken(2);
    let links: Vec<String> = place.taken().into_iter().map(|mail| mail.link).collect();
    let http = browser();
    assert!(open(&http, &links[0]).await.starts_with(b"%PDF-"), "it opens");
    let spoiled = format!("{}A", &links[1][..links[1].len() - 1]);
    let guess = http.get(&spoiled).header("user-agent", AGENT).send().await.unwrap();
    assert_eq!(guess.status(), 404, "a spoiled link");
    let page = http.get(&links[1]).header("user-agent", AGENT).send().await.unwrap();
    assert_eq!(page.status(), 200, "the other's page");
    for link in &links {
        let (_, token) = link.split_once("/d/").unwrap();
        needles.push(token.to_owned());
    }
    let operations = place.config.listen.operations;
    let numbers = http.get(format!("http://{operations}/metrics")).send().await.unwrap();
    let numbers = numbers.text().await.unwrap();
    assert!(numbers.contains("kakitome_"), "there are numbers: {numbers}");
    stop_and_look(&place, process, &needles, &numbers);
}

fn stop_and_look(place: &Place, process: Process, needles: &[String], numbers: &str) {
    let told = process.log();
    assert!(told.contains("the office is open"), "its log is read");
    process.stop();
    for needle in needles {
        assert!(!told.contains(needle.as_str()), "{needle} is in the log");
        assert!(!numbers.contains(needle.as_str()), "{needle} is among the numbers");
    }
    let kept = place.broker.ctl(&["list_queues", "name", "messages"]);
    assert!(!kept.contains("told\t0"), "events lie at the broker: {kept}");
    nothing_rests(place, needles, "after everything was sent and opened");
}

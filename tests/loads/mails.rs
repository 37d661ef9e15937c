//! Mails: from a client in another language to the recipient's copy.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use crate::{
    client::{browser, open},
    place::Place,
    services::postgres::ask,
    size,
};

#[tokio::test]
async fn a_python_client_sends_and_every_link_opens() {
    let jobs = size(200, 1_000);
    let mut place = Place::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    place.config.listen.gateway = port;
    place.config.office.public_url = format!("http://{port}");
    place.write_config();
    let process = place.serve();
    let published = place.publish_mails(jobs, "python").done();
    assert_eq!(published.len(), jobs, "the broker confirmed each");
    let bad = place.publishes("acme", &["--bad"]).done();
    assert!(bad.len() >= 20, "{} refused examples", bad.len());
    place.until_taken(jobs);

    let http = browser();
    let links: Vec<String> = place.taken().into_iter().map(|mail| mail.link).collect();
    let opened: BTreeSet<String> = futures::stream::iter(&links)
        .map(async |link| {
            let bytes = open(&http, link).await;
            assert!(bytes.starts_with(b"%PDF-"), "a PDF comes");
            data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes))
        })
        .buffer_unordered(8)
        .collect()
        .await;
    assert_eq!(opened.len(), jobs, "every link opens a document of its own");
    let sealed = ask(&place.config.database.url, "SELECT encode(pdf_sha256, 'hex') FROM jobs");
    assert_eq!(opened, sealed.lines().map(str::to_owned).collect(), "the one that was sealed");

    let dead = place.python("tests/loads/dead_letters.py");
    assert_eq!(dead.lines().count(), bad.len(), "every bad message lies there: {dead}");
    for line in dead.lines() {
        let (name, code) = line.split_once(' ').unwrap();
        assert!(name.starts_with(&format!("{code}--")), "{name} has the code {code}");
    }
    process.stop();
    let told = place.inspect(jobs);
    assert_eq!(told.at("opened"), jobs, "{told:?}");
}

#[test]
fn three_processes_send_each_mail_once() {
    let jobs = size(600, 10_000);
    let mut place = Place::new();
    let processes = [place.serve(), place.serve(), place.serve()];
    let clients = [place.publish_mails(jobs / 2, "a"), place.publish_mails(jobs / 2, "b")];
    for client in clients {
        client.done();
    }
    place.until_taken(jobs);
    let told = place.inspect(jobs);
    assert_eq!(told.at("dispatched"), jobs, "{told:?}");
    let hands = ask(&place.config.database.url, "SELECT count(DISTINCT epoch) FROM segments");
    assert_eq!(hands.trim(), "3", "all three did their part");
    for process in processes {
        process.stop();
    }
}

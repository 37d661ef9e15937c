//! Letters: from the queue to the partner's folder, each once. The office runs
//! in this process, because its cut-off needs a clock that can be set.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use kakitome::{
    app::{
        build::{self, Parts},
        catcher::{Catcher, CatcherSettings},
        run,
    },
    clock::HandClock,
    config::Role,
    entropy::Entropy,
};
use sha2::{Digest as _, Sha256};

use crate::{place::Place, services::postgres::ask, until};

const LETTERS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_lie_in_the_partners_folder_once_each() {
    let place = tokio::task::spawn_blocking(Place::new).await.unwrap();
    let post = place.dir.path().join("post");
    // A Friday in Tokyo, two hours before the cut-off.
    let clock = Arc::new(HandClock::starting_at("2026-11-20T04:00:00Z".parse().unwrap()));
    let mut parts = Parts::new(clock.clone(), Entropy::from_os().unwrap());
    parts.roles = vec![Role::Intake, Role::Work];
    let office = build::open(place.config.clone(), parts).await.unwrap();
    let carriers = run::carriers(&office).unwrap();
    let catcher = Catcher::new(CatcherSettings::default(), clock.clone());
    let running = run::start(office, carriers, Box::new(catcher.carrier()), run::Doors::default())
        .await
        .unwrap();
    let place = tokio::task::spawn_blocking(move || {
        let count = LETTERS.to_string();
        let letters = ["--count", &count, "--keys", "letter", "--example", "post-invoice"];
        let twice = [place.publishes("acme", &letters), place.publishes("acme", &letters)];
        for client in twice {
            assert_eq!(client.done().len(), LETTERS, "the broker confirmed each");
        }
        let waiting = "SELECT count(*) FROM pieces WHERE batch IS NULL";
        until("every letter to wait for the cut-off", || {
            let count = ask(&place.config.database.url, waiting);
            (count.trim() == LETTERS.to_string()).then_some(())
        });
        assert_eq!(batches(&post).len(), 0, "nothing lies with the partner yet");
        clock.set("2026-11-20T06:00:01Z".parse().unwrap());
        let pieces = until("every letter to lie there", || {
            let pieces: Vec<Piece> = batches(&post).iter().flat_map(|one| pieces(one)).collect();
            (pieces.len() >= LETTERS).then_some(pieces)
        });
        inspect(&place, &pieces);
        place
    })
    .await
    .unwrap();
    running.stop().await.unwrap();
    tokio::task::spawn_blocking(move || drop(place)).await.unwrap();
}

/// The batches that the partner may take: those with a marker.
fn batches(post: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(post.join("out")).into_iter().flatten().flatten();
    let paths = files.map(|entry| entry.path());
    let marked = paths.filter(|path| path.extension().is_some_and(|one| one == "done"));
    marked.map(|path| path.with_extension("")).collect()
}

#[derive(serde::Deserialize)]
struct Manifest {
    pieces: Vec<Listed>,
}

#[derive(serde::Deserialize)]
struct Listed {
    piece: String,
    file: String,
    pages: usize,
    sha256: String,
}

struct Piece {
    listed: Listed,
    bytes: Vec<u8>,
}

fn pieces(batch: &Path) -> Vec<Piece> {
    let manifest = fs::read(batch.join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    let read = |listed: Listed| {
        let bytes = fs::read(batch.join(&listed.file)).unwrap();
        Piece { listed, bytes }
    };
    manifest.pieces.into_iter().map(read).collect()
}

fn inspect(place: &Place, pieces: &[Piece]) {
    assert_eq!(pieces.len(), LETTERS, "none twice");
    let mut names = BTreeSet::new();
    let mut digests = BTreeSet::new();
    for Piece { listed, bytes } in pieces {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
        assert_eq!(digest, listed.sha256, "the manifest names the bytes");
        let pages = lopdf::Document::load_mem(bytes).unwrap().get_pages().len();
        assert_eq!(pages, listed.pages, "and counts the pages");
        assert!(pages >= 2, "the address page and the document");
        names.insert(&listed.piece);
        digests.insert(digest);
    }
    assert_eq!(names.len(), LETTERS, "every piece has a name of its own");
    assert_eq!(digests.len(), LETTERS, "and is a letter of its own");
    let url = &place.config.database.url;
    assert_eq!(ask(url, "SELECT count(*) FROM jobs").trim(), LETTERS.to_string(), "each once");
    let handed =
        "SELECT count(*), count(DISTINCT job_id) FROM audit_events WHERE kind = 'handed_over'";
    until("the log to say so", || (ask(url, handed).trim() == "100|100").then_some(()));
}

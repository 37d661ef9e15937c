//! The document: on record first, whole or not at all, and gone when it is.

use chrono::TimeDelta;
use kakitome::domain::log::{Fact, Kind, Leaf};

use crate::{
    house::House,
    letters::{Delivery, Order, pdf},
    on_both,
};

on_both! {
    the_document_arrives_as_it_was_sealed
    nothing_leaves_before_it_is_on_record
    parts_are_served_one_at_a_time
    a_changed_document_is_not_served
    a_document_that_goes_is_gone_at_once
    a_session_ends_after_half_an_hour
    a_head_is_no_access
    the_end_of_a_download_is_noted
}

async fn the_document_arrives_as_it_was_sealed(house: House) {
    for length in [0, 1, 70_000, 3_000_000] {
        let delivery = house.deliver(Order { pdf: pdf(length), ..Order::default() }).await;
        let session = house.open(&delivery).await;
        for (path, way) in [("file", "inline"), ("download", "attachment")] {
            let response = house.get(&format!("{session}/{path}")).await;
            assert_eq!(response.status(), 200, "{path} of {length} bytes");
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("content-type"), "application/pdf", "a PDF");
            assert_eq!(header("content-length"), length.to_string(), "announced");
            assert_eq!(header("accept-ranges"), "bytes", "can go on");
            assert_eq!(
                header("content-disposition"),
                format!(
                    "{way}; filename=\"document.pdf\"; \
                     filename*=UTF-8''%E8%AB%8B%E6%B1%82%E6%9B%B8%202026-11.pdf"
                ),
                "its name"
            );
            assert!(header("etag").starts_with('"'), "a strong validator");
            let bytes = response.bytes().await.unwrap();
            assert!(bytes == delivery.pdf, "the very bytes of {length}");
        }
        assert_eq!(house.said(&delivery, Kind::Downloaded).await, 2, "each is an event");
        assert_eq!(house.link(&delivery).await.opens, 1, "and none is an open");
    }
}

async fn nothing_leaves_before_it_is_on_record(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let session = house.open(&delivery).await;
    for point in ["begin", "commit", "committed"] {
        house.breaker.at(Some(point));
        let response = house.get(&format!("{session}/file")).await;
        assert_eq!(response.status(), 503, "fails at {point}");
        let body = response.bytes().await.unwrap();
        assert!(!contains(&body, b"%PDF"), "not a byte at {point}");
    }
    house.breaker.at(None);
    assert_eq!(house.get(&format!("{session}/file")).await.status(), 200, "and then it works");
    assert_eq!(house.said(&delivery, Kind::Downloaded).await, 2, "the lost answer, and this one");
}

async fn parts_are_served_one_at_a_time(house: House) {
    let delivery = house.deliver(Order { pdf: pdf(3_000_000), ..Order::default() }).await;
    let session = house.open(&delivery).await;
    let ask = async |range: &str| {
        let request = house.client.get(format!("{}{session}/file", house.url));
        request.header("range", range).send().await.unwrap()
    };
    for (range, from, to) in [
        ("bytes=0-0", 0_usize, 1_usize),
        ("bytes=65490-65600", 65_490, 65_601),
        ("bytes=1000000-2999999", 1_000_000, 3_000_000),
        ("bytes=-5", 2_999_995, 3_000_000),
        ("bytes=2999999-", 2_999_999, 3_000_000),
    ] {
        let response = ask(range).await;
        assert_eq!(response.status(), 206, "{range}");
        let expected = format!("bytes {from}-{}/3000000", to - 1);
        assert_eq!(response.headers()["content-range"].to_str().unwrap(), expected, "{range}");
        let body = response.bytes().await.unwrap();
        assert!(body == delivery.pdf[from..to], "{range}");
    }
    let log = house.log(&delivery).await;
    let leaf = Leaf::decode(&log.last().unwrap().row.leaf).unwrap();
    let fact = |name: &str| leaf.facts.iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert_eq!(fact("from_byte"), Fact::Int(2_999_999), "the log says which part");
    let many = ask("bytes=0-0,5-9").await;
    assert_eq!(many.status(), 200, "many ranges are the whole");
    assert_eq!(many.bytes().await.unwrap().len(), 3_000_000, "all of it");
    let none = ask("bytes=3000000-").await;
    assert_eq!(none.status(), 416, "there is no such byte");
    assert_eq!(none.headers()["content-range"].to_str().unwrap(), "bytes */3000000", "how many");
    let etag = ask("bytes=0-0").await.headers()["etag"].clone();
    let request = house.client.get(format!("{}{session}/file", house.url));
    let resumed = request.header("range", "bytes=5-6").header("if-range", etag).send().await;
    assert_eq!(resumed.unwrap().status(), 206, "the same document goes on");
}

async fn a_changed_document_is_not_served(house: House) {
    // The first, the middle and the last sealed segment, header and tags.
    for (length, at) in
        [(100_000, 30), (100_000, 41), (100_000, 70_000), (100_000, 100_071), (900_000, 500_000)]
    {
        let delivery = house.deliver(Order { pdf: pdf(length), ..Order::default() }).await;
        let session = house.open(&delivery).await;
        flip(&house, &delivery, at).await;
        let response = house.get(&format!("{session}/file")).await;
        assert_eq!(response.status(), 500, "byte {at} of {length}");
        let body = response.bytes().await.unwrap();
        assert!(!contains(&body, b"%PDF"), "not a byte of it");
        house.get(&format!("{session}/download")).await;
        house.gateway.flush().await.unwrap();
        assert_eq!(house.said(&delivery, Kind::Downloaded).await, 0, "nothing was handed out");
        assert_eq!(why_not(&house, &delivery).await, (2, "damaged".into()), "and on record");
    }
    // Behind the first window the answer has begun.
    let delivery = house.deliver(Order { pdf: pdf(3_000_000), ..Order::default() }).await;
    let session = house.open(&delivery).await;
    flip(&house, &delivery, 2_500_000).await;
    let response = house.get(&format!("{session}/file")).await;
    assert_eq!(response.status(), 200, "it begins");
    assert!(response.bytes().await.is_err(), "and ends short");
    house.gateway.flush().await.unwrap();
    assert_eq!(why_not(&house, &delivery).await, (1, "damaged".into()), "that is on record");
}

/// What the only row that tells of a document not given says.
async fn why_not(house: &House, delivery: &Delivery) -> (i64, Fact) {
    let log = house.log(delivery).await;
    let mut rows = log.iter().filter(|event| event.row.kind == Kind::NotServed);
    let leaf = Leaf::decode(&rows.next().expect("a row").row.leaf).unwrap();
    assert!(rows.next().is_none(), "one row a minute");
    let fact = |name: &str| leaf.facts.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let Fact::Int(count) = fact("count") else { panic!("a number") };
    (count, fact("why"))
}

/// Flips a bit of a sealed document on disk.
async fn flip(house: &House, delivery: &Delivery, at: i64) {
    let mut tx = house.db.read().await.unwrap();
    let row = kakitome::store::jobs::get(&mut tx, None, delivery.job).await.unwrap().unwrap();
    drop(tx);
    let file = find(house.folder.path(), &row.segment.unwrap().to_string());
    let mut bytes = std::fs::read(&file).unwrap();
    let at = usize::try_from(row.artifact_offset.unwrap() + at).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
}

fn find(folder: &std::path::Path, part: &str) -> std::path::PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains(part) {
                return path;
            }
        }
    }
    panic!("no file of this segment");
}

async fn a_document_that_goes_is_gone_at_once(house: House) {
    let recalled = house.deliver(Order::default()).await;
    let purged = house.deliver(Order::default()).await;
    let (first, second) = (house.open(&recalled).await, house.open(&purged).await);
    house.recall(&recalled).await;
    house.purge(&purged).await;
    for session in [first, second] {
        for path in ["", "/file", "/download"] {
            let response = house.get(&format!("{session}{path}")).await;
            assert_eq!(response.status(), 410, "{path} is gone");
        }
    }
}

async fn a_session_ends_after_half_an_hour(house: House) {
    let delivery = house.deliver(Order { max_opens: 1, ..Order::default() }).await;
    let session = house.open(&delivery).await;
    house.clock.advance(TimeDelta::minutes(29));
    assert_eq!(house.get(&format!("{session}/file")).await.status(), 200, "used up, and open");
    house.clock.advance(TimeDelta::minutes(1));
    for path in ["", "/file", "/download"] {
        let response = house.get(&format!("{session}{path}")).await;
        assert_eq!(response.status(), 410, "{path} has timed out");
    }
    let mut forged = session.clone().into_bytes();
    let last = forged.len() - 20;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    assert_eq!(house.get(&forged).await.status(), 404, "a forged session is nothing of ours");
}

async fn a_head_is_no_access(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let session = house.open(&delivery).await;
    let url = format!("{}{session}/file", house.url);
    let response = house.client.head(url).send().await.unwrap();
    assert_eq!(response.status(), 200, "it is there");
    assert_eq!(response.headers()["content-length"], "100000", "and this long");
    assert_eq!(house.said(&delivery, Kind::Downloaded).await, 0, "nobody saw it");
}

async fn the_end_of_a_download_is_noted(house: House) {
    let delivery = house.deliver(Order { pdf: pdf(2_500_000), ..Order::default() }).await;
    let session = house.open(&delivery).await;
    let response = house.get(&format!("{session}/download")).await;
    assert_eq!(response.bytes().await.unwrap().len(), 2_500_000, "to the end");
    house.gateway.flush().await.unwrap();
    assert_eq!(house.said(&delivery, Kind::DownloadEnded).await, 1, "and it is noted");
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

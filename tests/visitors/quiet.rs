//! What must not be told is told nowhere: no log line, no row, no file.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock},
};

use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _};

use crate::{house::House, letters::Order, on_both};

on_both! {
    neither_token_nor_name_is_told_anywhere
}

/// Everything that any test of this program logged, at every level.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Heard {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn listen() -> &'static Heard {
    static HEARD: OnceLock<Heard> = OnceLock::new();
    HEARD.get_or_init(|| {
        let heard = Heard::default();
        // The client of the tests stands for a browser; what it logs is not ours.
        let ours = Targets::new()
            .with_default(tracing::Level::TRACE)
            .with_target("reqwest", tracing::level_filters::LevelFilter::OFF)
            .with_target("hyper_util::client", tracing::level_filters::LevelFilter::OFF);
        let lines = tracing_subscriber::fmt::layer().with_writer(heard.clone()).with_ansi(false);
        let all = tracing_subscriber::registry().with(ours).with(lines);
        tracing::subscriber::set_global_default(all).unwrap();
        heard
    })
}

async fn neither_token_nor_name_is_told_anywhere(house: House) {
    let heard = listen();
    let delivery = house.deliver(Order::default()).await;
    let nonce = house.nonce(&delivery).await;
    // Everything that can go well, and everything that can go wrong.
    house.get(&format!("/d/{}x", delivery.token)).await;
    house.breaker.at(Some("commit"));
    assert_eq!(house.press(&delivery, &nonce).await.status(), 503, "a failure that is logged");
    house.breaker.at(None);
    let session = house.open(&delivery).await;
    house.breaker.at(Some("begin"));
    let failed = house.get(&format!("{session}/file")).await;
    assert_eq!(failed.status(), 503, "another failure that is logged");
    house.breaker.at(None);
    let agent = house.client.get(format!("{}{session}/file", house.url));
    let agent = agent.header("user-agent", "Canary-Agent-4711").send().await.unwrap();
    assert_eq!(agent.bytes().await.unwrap(), delivery.pdf, "and a success");
    house.gateway.flush().await.unwrap();
    let session = session.strip_prefix("/v/").unwrap();

    let canaries = [
        delivery.token.as_str(),
        session,
        nonce.as_str(),
        "カナリア",
        "canary@example.jp",
        "Canary-Agent-4711",
        "請求書 2026-11",
    ];
    let log = heard.0.lock().unwrap().clone();
    let told = String::from_utf8_lossy(&log);
    assert!(told.contains("a visitor was not served"), "the log is heard at all");
    for canary in canaries {
        assert!(!told.contains(canary), "{canary} is in the log");
    }
    let mut folders = vec![house.folder.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for canary in
                canaries.iter().map(|canary| canary.as_bytes()).chain([&delivery.pdf[..64]])
            {
                let found = bytes.windows(canary.len()).any(|window| window == canary);
                assert!(!found, "a canary rests in {}", path.display());
            }
        }
    }
    assert!(files >= 2, "the walk finds files");
}

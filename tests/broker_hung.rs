//! A broker that takes connections and says nothing. A binary of its own,
//! because it counts the threads of its process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use kakitome::broker::{BrokerError, BrokerSettings, Publisher};
use secrecy::SecretString;
use tokio::{io::AsyncReadExt, net::TcpListener};

/// Threads in which the AMQP library drives a connection.
fn driving() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.unwrap().path().join("comm")).unwrap_or_default()
    };
    threads.map(name).filter(|name| name.starts_with("lapin")).count()
}

#[tokio::test]
async fn a_mute_broker_costs_a_time_out_and_no_thread() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut settings = BrokerSettings::new("127.0.0.1", port, "guest", SecretString::from("guest"));
    settings.connect_timeout = Duration::from_millis(300);
    for round in 0..5 {
        let (error, peer) = tokio::join!(Publisher::connect(&settings), listener.accept());
        let error = error.unwrap_err();
        assert!(matches!(error, BrokerError::Timeout { .. }), "round {round}: {error:?}");
        // The greeting, and then the end.
        let mut heard = vec![];
        peer.unwrap().0.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, *b"AMQP\0\0\x09\x01", "round {round}");
    }
    for _ in 0..100 {
        if driving() == 0 {
            return;
        }
        let tick = tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>());
        assert!(tick.await.is_err(), "pending stays pending");
    }
    panic!("{} connections are still driven", driving());
}

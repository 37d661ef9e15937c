//! The broker room against a real RabbitMQ; run through `tests/with-services`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

#[path = "broker/own.rs"]
mod own;
mod services;
#[path = "broker/trust.rs"]
mod trust;

use std::{path::Path, sync::Mutex, time::Duration};

use kakitome::{
    broker::{
        BrokerError, BrokerSettings, Confirm, Consumer, Declare, Exchange, MUTED_LOG_TARGETS,
        Message, Names, Outgoing, Publisher, Session, Supervised, check,
    },
    entropy::Entropy,
};
use lapin::{options as opt, types::FieldTable};
use secrecy::SecretString;
use services::rabbitmq::{shared_dir, shared_port};

const KEY: &str = "job.send";

/// Settings for the shared broker, with names of this test's own.
fn settings(test: &str) -> BrokerSettings {
    let mut settings =
        BrokerSettings::new("127.0.0.1", shared_port(), "guest", SecretString::from("guest"));
    let own = |part: &str| format!("{test}.{}.{part}", std::process::id());
    settings.names = Names {
        exchange: own("exchange"),
        jobs_queue: own("jobs"),
        job_key: KEY.to_owned(),
        dead_exchange: own("dead-exchange"),
        dead_queue: own("dead"),
        events_exchange: own("events"),
    };
    settings.declare = Declare::Create;
    test.clone_into(&mut settings.connection_name);
    settings
}

/// What an operator does beside us: a channel without any of our care.
async fn operator(port: u16) -> (lapin::Connection, lapin::Channel) {
    let uri = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
    let connection = lapin::Connection::connect(&uri, Default::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

fn job(text: &str) -> Outgoing {
    Outgoing::new(Exchange::Jobs, KEY, text.as_bytes().to_vec())
}

fn jobs(from: usize, to: usize) -> Vec<Outgoing> {
    (from..to).map(|n| job(&format!("job {n}"))).collect()
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|m| String::from_utf8(m.body.clone()).unwrap()).collect()
}

async fn publish(settings: &BrokerSettings, items: &[Outgoing]) {
    let mut publisher = Publisher::connect(settings).await.unwrap();
    let confirms = publisher.publish_all(items).await.unwrap();
    assert!(confirms.iter().all(|c| *c == Confirm::Stored), "{confirms:?}");
    publisher.close().await.unwrap();
}

async fn take(consumer: &mut Consumer, count: usize) -> Vec<Message> {
    let mut messages = vec![];
    while messages.len() < count {
        let wanted = count - messages.len();
        let batch =
            tokio::time::timeout(Duration::from_secs(20), consumer.next_batch(wanted, usize::MAX));
        messages.extend(batch.await.expect("messages arrive").unwrap());
    }
    messages
}

/// Waits until the queue has `ready` messages and nobody listens any more.
async fn settled(settings: &BrokerSettings, ready: u32) {
    let mut seen = None;
    for _ in 0..100 {
        let report = check(settings).await.unwrap();
        let jobs = format!("queue `{}`", settings.names.jobs_queue);
        let found = report.found.into_iter().find(|f| f.what == jobs).unwrap();
        if found.messages == Some(ready) && found.consumers == Some(0) {
            return;
        }
        seen = Some(found);
        pause(Duration::from_millis(100)).await;
    }
    panic!("the queue did not settle at {ready} messages: {seen:?}");
}

async fn pause(time: Duration) {
    let elapsed = tokio::time::timeout(time, std::future::pending::<()>()).await;
    assert!(elapsed.is_err(), "pending stays pending");
}

#[tokio::test]
async fn what_create_makes_passive_finds() {
    let mut settings = settings("create");
    for round in 0..2 {
        let consumer = Consumer::connect(&settings).await;
        consumer.unwrap_or_else(|e| panic!("round {round}: {e}")).close().await.unwrap();
    }
    settings.declare = Declare::Passive;
    Consumer::connect(&settings).await.unwrap().close().await.unwrap();
    Publisher::connect(&settings).await.unwrap().close().await.unwrap();
    let report = check(&settings).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.found.len(), 5, "{:?}", report.found);
}

#[tokio::test]
async fn passive_says_what_is_missing_and_what_to_do() {
    let mut settings = settings("missing");
    settings.declare = Declare::Passive;
    let error = Consumer::connect(&settings).await.unwrap_err();
    assert!(matches!(error, BrokerError::Missing { .. }), "{error:?}");
    assert!(error.needs_a_person(), "nobody else can create it");
    let words = error.to_string();
    assert!(words.contains(&settings.names.dead_exchange), "{words}");
    assert!(words.contains(r#"set `declare = "create"`"#), "{words}");
    let report = check(&settings).await.unwrap();
    assert_eq!(report.problems.len(), 5, "each part is looked for: {report:?}");
}

#[tokio::test]
async fn a_queue_with_other_properties_is_named() {
    let settings = settings("mismatch");
    let (connection, channel) = operator(settings.port).await;
    channel
        .queue_declare(
            settings.names.jobs_queue.as_str().into(),
            opt::QueueDeclareOptions { durable: true, ..Default::default() },
            FieldTable::default(),
        )
        .await
        .unwrap();
    let error = Consumer::connect(&settings).await.unwrap_err();
    assert!(matches!(error, BrokerError::Mismatch { .. }), "{error:?}");
    assert!(error.to_string().contains(&settings.names.jobs_queue), "{error}");
    connection.close(200, "bye".into()).await.unwrap();
}

#[tokio::test]
async fn one_acknowledgement_settles_a_batch() {
    let settings = settings("batch");
    publish(&settings, &jobs(0, 100)).await;
    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let messages = take(&mut consumer, 100).await;
    assert_eq!(texts(&messages)[..2], ["job 0", "job 1"], "in order");
    assert!(messages.iter().all(|m| !m.redelivered), "for the first time");
    consumer.ack_through(&messages[99]).await.unwrap();
    consumer.close().await.unwrap();
    settled(&settings, 0).await;
}

#[tokio::test]
async fn a_batch_keeps_its_bounds() {
    let settings = settings("bounds");
    publish(&settings, &jobs(0, 40)).await;
    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let first = take(&mut consumer, 1).await;
    // The rest has been pushed ahead by now, or soon is.
    let few = consumer.next_batch(3, usize::MAX).await.unwrap();
    assert!((1..=3).contains(&few.len()), "{} messages", few.len());
    let small = consumer.next_batch(100, 1).await.unwrap();
    assert_eq!(small.len(), 1, "one message already exceeds one byte");
    assert_eq!(texts(&first), ["job 0"], "in order");
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_back() {
    let settings = settings("redelivery");
    publish(&settings, &jobs(0, 5)).await;
    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let messages = take(&mut consumer, 5).await;
    consumer.ack_through(&messages[2]).await.unwrap();
    // An acknowledgement goes out without an answer; an answer to anything
    // later shows that it has arrived.
    consumer.pause().await.unwrap();
    drop(consumer);

    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let again = take(&mut consumer, 2).await;
    assert_eq!(texts(&again), ["job 3", "job 4"], "the two that were left");
    assert!(again.iter().all(|m| m.redelivered), "and says so");
    let error = consumer.ack_through(&messages[4]).await.unwrap_err();
    assert!(matches!(error, BrokerError::Stale), "of another session: {error:?}");
    consumer.ack_through(&again[1]).await.unwrap();
    consumer.close().await.unwrap();
    settled(&settings, 0).await;
}

#[tokio::test]
async fn a_pause_neither_loses_nor_acknowledges_unread() {
    let settings = settings("pause");
    publish(&settings, &jobs(0, 50)).await;
    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let mut messages = take(&mut consumer, 1).await;
    consumer.pause().await.unwrap();
    assert!(consumer.is_paused(), "it says so");
    publish(&settings, &jobs(50, 60)).await;
    // What was pushed ahead still comes, the new ten do not.
    let quiet = Duration::from_millis(500);
    while let Ok(batch) = tokio::time::timeout(quiet, consumer.next_batch(7, usize::MAX)).await {
        messages.extend(batch.unwrap());
    }
    assert!(messages.len() <= 50, "{} messages while paused", messages.len());
    consumer.resume().await.unwrap();
    messages.extend(take(&mut consumer, 60 - messages.len()).await);
    let all: Vec<String> = (0..60).map(|n| format!("job {n}")).collect();
    assert_eq!(texts(&messages), all, "each once, in order");
    consumer.ack_through(&messages[59]).await.unwrap();
    consumer.close().await.unwrap();
    settled(&settings, 0).await;
}

#[tokio::test]
async fn a_paused_consumer_notices_that_its_queue_is_gone_on_resuming() {
    let settings = settings("deleted");
    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let (connection, channel) = operator(settings.port).await;
    let queue = settings.names.jobs_queue.as_str();
    channel.queue_delete(queue.into(), opt::QueueDeleteOptions::default()).await.unwrap();
    let error = consumer.next_batch(1, 1).await.unwrap_err();
    assert!(matches!(error, BrokerError::Cancelled { .. }), "{error:?}");
    assert!(error.to_string().contains(queue), "{error}");
    connection.close(200, "bye".into()).await.unwrap();
}

#[tokio::test]
async fn an_unroutable_job_is_told_and_an_unheard_event_is_not() {
    let settings = settings("unroutable");
    let mut publisher = Publisher::connect(&settings).await.unwrap();
    let mut items = jobs(0, 20);
    items.insert(7, Outgoing::new(Exchange::Jobs, "job.sned", b"lost".to_vec()));
    items.push(Outgoing::new(Exchange::Events, "delivery.sealed.acme", b"{}".to_vec()));
    items.push(Outgoing::new(Exchange::Dead, "job.refused", b"sealed".to_vec()));
    let confirms = publisher.publish_all(&items).await.unwrap();
    for (n, confirm) in confirms.iter().enumerate() {
        let wanted = if n == 7 { Confirm::Unroutable } else { Confirm::Stored };
        assert_eq!(*confirm, wanted, "item {n}");
    }
    settled(&settings, 20).await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_the_rest_is_stored() {
    let settings = settings("full");
    let mut publisher = Publisher::connect(&settings).await.unwrap();
    let (connection, channel) = operator(settings.port).await;
    let full = format!("{}.full", settings.names.events_exchange);
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), lapin::types::AMQPValue::LongInt(1));
    arguments
        .insert("x-overflow".into(), lapin::types::AMQPValue::LongString("reject-publish".into()));
    let options = opt::QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare(full.as_str().into(), options, arguments).await.unwrap();
    channel
        .queue_bind(
            full.as_str().into(),
            settings.names.events_exchange.as_str().into(),
            "delivery.*.acme".into(),
            opt::QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let event = |tenant: &str| {
        Outgoing::new(Exchange::Events, &format!("delivery.sealed.{tenant}"), b"{}".to_vec())
    };
    assert_eq!(publisher.publish_all(&[event("acme")]).await.unwrap(), [Confirm::Stored], "room");
    let confirms = publisher.publish_all(&[event("globex"), event("acme"), event("globex")]).await;
    let wanted = [Confirm::Stored, Confirm::Refused, Confirm::Stored];
    assert_eq!(confirms.unwrap(), wanted, "one full queue stops nobody else");
    connection.close(200, "bye".into()).await.unwrap();
}

#[tokio::test]
async fn the_broker_vouches_for_the_user_id() {
    let settings = settings("user");
    let mut publisher = Publisher::connect(&settings).await.unwrap();
    let mut item = job("mine");
    item.user_id = Some("guest".to_owned());
    item.kind = Some("kakitome.job.v1".to_owned());
    publisher.publish_all(std::slice::from_ref(&item)).await.unwrap();
    item.user_id = Some("acme".to_owned());
    let error = publisher.publish_all(&[item]).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");

    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let messages = take(&mut consumer, 1).await;
    assert_eq!(messages[0].user_id.as_deref(), Some("guest"), "the account");
    assert_eq!(messages[0].kind.as_deref(), Some("kakitome.job.v1"), "the type");
    consumer.ack_through(&messages[0]).await.unwrap();
    consumer.close().await.unwrap();
    settled(&settings, 0).await;
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_body_reaches_the_log_even_at_the_finest_level() {
    use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt};
    let muted: Targets = MUTED_LOG_TARGETS.join(",").parse().unwrap();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(|| Log)
        .with_filter(muted.with_default(tracing::Level::TRACE));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let settings = settings("log");
    let mut publisher = Publisher::connect(&settings).await.unwrap();
    let mut lost = Outgoing::new(Exchange::Jobs, "job.sned", b"CANARY-17".to_vec());
    lost.message_id = Some("CANARY-18".to_owned());
    assert_eq!(publisher.publish_all(&[lost]).await.unwrap(), [Confirm::Unroutable], "returned");
    tracing::info!("the log works");
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log works"), "{log}");
    let body = format!("{:?}", b"CANARY-17");
    for canary in ["CANARY", body.trim_matches(['[', ']'])] {
        assert!(!log.contains(canary), "found {canary} in {log}");
    }
}

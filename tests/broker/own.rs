//! Brokers of a test's own: killed, short of memory, hanging, with few rights.

use super::{services::rabbitmq::OwnBroker, *};

fn own_settings(broker: &OwnBroker, user: &str) -> BrokerSettings {
    let mut settings =
        BrokerSettings::new("127.0.0.1", broker.port(), user, SecretString::from(user));
    settings.declare = Declare::Create;
    settings.publish_timeout = Duration::from_secs(5);
    settings
}

/// What `app` does: asks for the session until there is one.
async fn session<S: Session>(supervised: &mut Supervised<S>) -> &mut S {
    for _ in 0..60 {
        match supervised.session().await {
            Ok(_) => break,
            Err(outage) => {
                assert!(outage.retry_after <= Duration::from_secs(30), "{outage:?}");
                pause(outage.retry_after.min(Duration::from_millis(500))).await;
            }
        }
    }
    supervised.session().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_nothing_and_the_sessions_come_back() {
    let broker = OwnBroker::start();
    let settings = own_settings(&broker, "guest");
    let entropy = Entropy::from_seed_number(1);
    let mut consuming = Supervised::<Consumer>::new(settings.clone(), entropy.clone());
    let mut publishing = Supervised::<Publisher>::new(settings.clone(), entropy);
    let link = consuming.link();
    assert!(!link.is_connected(), "nothing is opened unasked");
    session(&mut publishing).await;
    broker.settle();
    session(&mut publishing).await.publish_all(&jobs(0, 20)).await.unwrap();
    let consumer = session(&mut consuming).await;
    let before = take(consumer, 5).await;
    assert!(link.is_connected(), "{link:?}");

    broker.kill();
    let fault = loop {
        let batch = consumer.next_batch(100, usize::MAX);
        match tokio::time::timeout(Duration::from_secs(60), batch).await.expect("it is noticed") {
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, BrokerError::Lost { .. }), "{fault:?}");
    consuming.lost(fault);
    assert!(!link.is_connected(), "{link:?}");
    let fault = publishing.session().await.map(|_| ()).expect_err("the broker is gone").error;
    assert!(matches!(fault, BrokerError::Unreachable { .. }), "{fault:?}");

    broker.up();
    let consumer = session(&mut consuming).await;
    let error = consumer.ack_through(&before[4]).await.unwrap_err();
    assert!(matches!(error, BrokerError::Stale), "{error:?}");
    consuming.lost(error);
    let consumer = session(&mut consuming).await;
    let after = take(consumer, 20).await;
    let mut found = texts(&after);
    found.sort_unstable();
    let mut all: Vec<String> = (0..20).map(|n| format!("job {n}")).collect();
    all.sort_unstable();
    assert_eq!(found, all, "every job, once");
    consumer.ack_through(&after[19]).await.unwrap();
    session(&mut publishing).await.publish_all(&jobs(20, 21)).await.unwrap();
    let last = take(consumer, 1).await;
    consumer.ack_through(&last[0]).await.unwrap();
    let counts = link.counts();
    assert_eq!((counts.opened, counts.lost), (2, 1), "a stale message costs none: {counts:?}");
    consuming.close().await.unwrap();
    publishing.close().await.unwrap();
    settled(&settings, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_blocks_publishing_but_not_acknowledging() {
    let broker = OwnBroker::start();
    let mut settings = own_settings(&broker, "guest");
    settings.publish_timeout = Duration::from_secs(2);
    let entropy = Entropy::from_seed_number(2);
    let mut publishing = Supervised::<Publisher>::new(settings.clone(), entropy);
    session(&mut publishing).await.publish_all(&jobs(0, 10)).await.unwrap();
    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let messages = take(&mut consumer, 10).await;

    broker.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"]);
    let publisher = session(&mut publishing).await;
    let error = loop {
        // The alarm takes a moment to be raised.
        match publisher.publish_all(&jobs(10, 11)).await {
            Ok(_) => pause(Duration::from_millis(50)).await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BrokerError::Blocked { .. }), "{error:?}");
    let link = publishing.link();
    assert!(link.is_blocked(), "{link:?}");
    consumer.ack_through(&messages[9]).await.unwrap();
    publishing.lost(error);
    assert!(!link.is_blocked(), "there is no connection to be blocked");

    broker.ctl(&["set_vm_memory_high_watermark", "absolute", "512MB"]);
    session(&mut publishing).await.publish_all(&jobs(11, 12)).await.unwrap();
    // The acknowledged ten are gone for good, whatever happens to the session.
    drop(consumer);
    let mut consumer = Consumer::connect(&settings).await.unwrap();
    let rest = texts(&take(&mut consumer, 1).await);
    assert!(rest.iter().all(|text| text == "job 10" || text == "job 11"), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_broker_is_noticed() {
    let broker = OwnBroker::start();
    let mut settings = own_settings(&broker, "guest");
    settings.publish_timeout = Duration::from_secs(1);
    settings.heartbeat = Duration::from_secs(1);
    let mut publisher = Publisher::connect(&settings).await.unwrap();
    let mut consumer = Consumer::connect(&settings).await.unwrap();
    broker.signal("STOP");
    let error = publisher.publish_all(&jobs(0, 1)).await.unwrap_err();
    assert!(matches!(error, BrokerError::Timeout { .. }), "{error:?}");
    let silence = tokio::time::timeout(Duration::from_secs(20), consumer.next_batch(1, 1)).await;
    let error = silence.expect("heartbeats are missed").unwrap_err();
    assert!(matches!(error, BrokerError::Lost { .. }), "{error:?}");
    broker.signal("CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_can_do_their_work_and_no_more() {
    let broker = OwnBroker::start();
    let created = Publisher::connect(&own_settings(&broker, "guest")).await.unwrap();
    created.close().await.unwrap();

    let mut application = own_settings(&broker, "acme");
    application.declare = Declare::Passive;
    let error = Consumer::connect(&application).await.unwrap_err();
    assert!(matches!(error, BrokerError::NoPermission { .. }), "reads no jobs: {error:?}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/application.py");
    let done = std::process::Command::new(services::python())
        .arg(script)
        .arg(broker.port().to_string())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    // The worker only looks for the topology, and publishes no jobs.
    let mut worker = own_settings(&broker, "worker");
    let error = Consumer::connect(&worker).await.unwrap_err();
    assert!(matches!(error, BrokerError::NoPermission { .. }), "creates nothing: {error:?}");
    worker.declare = Declare::Passive;
    let mut consumer = Consumer::connect(&worker).await.unwrap();
    let messages = take(&mut consumer, 1).await;
    assert_eq!(messages[0].user_id.as_deref(), Some("acme"), "the broker vouches for it");
    let mut publisher = Publisher::connect(&worker).await.unwrap();
    let outgoing = [
        Outgoing::new(Exchange::Dead, "job.refused", b"sealed".to_vec()),
        Outgoing::new(Exchange::Events, "delivery.rejected.acme", b"{}".to_vec()),
    ];
    assert_eq!(publisher.publish_all(&outgoing).await.unwrap(), [Confirm::Stored; 2], "both");
    consumer.ack_through(&messages[0]).await.unwrap();
    let error = publisher.publish_all(&jobs(0, 1)).await.unwrap_err();
    assert!(matches!(error, BrokerError::NoPermission { .. }), "{error:?}");
}

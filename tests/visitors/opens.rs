//! One is one: a link that opens once, and a thousand who press.

use futures::{StreamExt as _, stream};
use kakitome::domain::log::Kind;

use crate::{
    house::{House, postgres_url},
    letters::Order,
    on_both,
};

/// How many press, and how many of them at the same time.
const PRESSES: usize = 1_000;
const AT_ONCE: usize = 250;

on_both! {
    a_thousand_press_and_one_opens
}

async fn a_thousand_press_and_one_opens(house: House) {
    let delivery = house.deliver(Order { max_opens: 1, ..Order::default() }).await;
    let nonce = house.nonce(&delivery).await;
    let presses = stream::iter(0..PRESSES).map(|_| house.press(&delivery, &nonce));
    let answers: Vec<_> = presses
        .buffer_unordered(AT_ONCE)
        .map(|response| response.status().as_u16())
        .collect()
        .await;
    judge(&answers, house.press(&delivery, &nonce).await.status().as_u16());
    assert_eq!(house.link(&delivery).await.opens, 1, "one is counted");
    assert_eq!(house.said(&delivery, Kind::Opened).await, 1, "one is on record");
}

/// Three processes, one database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_let_one_in() {
    let Some(url) = postgres_url() else { return };
    let house = House::on(url, tempfile::tempdir().unwrap()).await;
    let gateways = [house.neighbour().await, house.neighbour().await, house.neighbour().await];
    let delivery = house.deliver(Order { max_opens: 1, ..Order::default() }).await;
    let nonce = house.nonce(&delivery).await;
    let presses = stream::iter(0..PRESSES)
        .map(|n| gateways[n % gateways.len()].press(&house, &delivery, &nonce));
    let answers: Vec<_> = presses.buffer_unordered(AT_ONCE).collect().await;
    judge(&answers, gateways[0].press(&house, &delivery, &nonce).await);
    assert_eq!(house.link(&delivery).await.opens, 1, "one is counted");
    assert_eq!(house.said(&delivery, Kind::Opened).await, 1, "one is on record");
}

/// One got in. A busy database may turn someone away; nobody is let in for it.
fn judge(answers: &[u16], after: u16) {
    let count = |status: u16| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!(answers.len(), PRESSES, "everybody was answered");
    assert_eq!(count(303) + count(410) + count(503), PRESSES, "no other answers");
    assert_eq!(count(303), 1, "exactly one got in; {} were turned away", count(503));
    assert_eq!(after, 410, "and nobody after");
}

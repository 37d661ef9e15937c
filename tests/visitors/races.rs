//! A referee between readers and gateways, and everything at once.
//!
//! In each round a document is read by some, badly or well, through a proxy
//! that counts, while it is taken back. Whatever the order, the answer of the
//! recall holds: not more came out than it says, and after a zero nothing.
//!
//! A failure prints its seed; `KAKITOME_TEST_SEED` begins with another one,
//! `KAKITOME_TEST_LONG=1` plays thousands of rounds.

use std::sync::Arc;

use chrono::TimeDelta;
use kakitome::clock::Clock as _;
use tokio_util::sync::CancellationToken;

use crate::{
    house::House,
    letters::{Delivery, Order, pdf},
    on_both,
    proxy::{Manner, Neighbour, Proxy, fetch},
};

on_both! {
    no_race_contradicts_the_answer
}

/// Rounds of an ordinary run, and of a long one.
const ROUNDS: (u64, u64) = (300, 5_000);
const SIZES: [usize; 5] = [1, 60_000, 300_000, 1_500_000, 5_000_000];

/// A small generator: the rounds of a seed are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most as u64).unwrap()
    }

    fn of<T: Clone>(&mut self, several: &[T]) -> T {
        several[self.below(several.len())].clone()
    }
}

/// What comes before the recall.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    Revoked,
    Frozen,
    FrozenAndLifted,
    Expired,
    OpenedAgain,
}

/// One reader of a round.
#[derive(Clone, Copy, Debug)]
struct Reader {
    gateway: usize,
    manner: Manner,
    from: Option<usize>,
    save: bool,
}

impl Reader {
    /// Bytes of the document that it takes in any case: more come out only as
    /// far as the system's buffers reach.
    fn takes(&self, size: usize) -> u64 {
        let asked = size - self.from.unwrap_or(0);
        let taken = match self.manner {
            Manner::Patient => asked,
            Manner::HangsUp(at) | Manner::Stalls(at) => at.min(asked),
        };
        taken as u64
    }
}

/// A round, as its seed has it.
#[derive(Debug)]
struct Round {
    size: usize,
    readers: Vec<Reader>,
    before: Before,
    /// How much has come out when it is taken back.
    at: u64,
}

impl Round {
    fn of(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let size = dice.of(&SIZES);
        let readers = (0..dice.of(&[0, 1, 1, 2, 3])).map(|_| {
            let at = dice.below(size + size / 4 + 1);
            let manner = dice.of(&[Manner::Patient, Manner::HangsUp(at), Manner::Stalls(at)]);
            let from = dice.below(3) == 0 && size > 1;
            Reader {
                gateway: dice.below(2),
                manner,
                from: from.then(|| dice.below(size - 1)),
                save: dice.below(2) == 0,
            }
        });
        let readers = readers.collect();
        let before = dice.of(&[
            Before::Nothing,
            Before::Nothing,
            Before::Revoked,
            Before::Frozen,
            Before::FrozenAndLifted,
            Before::Expired,
            Before::OpenedAgain,
        ]);
        let at = dice.of(&[0, 1, dice_far(size, seed), dice_far(size, !seed)]);
        Self { size, readers, before, at }
    }
}

fn dice_far(size: usize, seed: u64) -> u64 {
    Dice(!seed).below(size + 1) as u64
}

#[expect(clippy::disallowed_methods, reason = "a test's setting")]
fn seeds() -> std::ops::Range<u64> {
    let long = std::env::var("KAKITOME_TEST_LONG").is_ok_and(|word| word == "1");
    let first = std::env::var("KAKITOME_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let first: u64 = first.unwrap_or(1);
    first..first + if long { ROUNDS.1 } else { ROUNDS.0 }
}

async fn no_race_contradicts_the_answer(house: House) {
    let gateways = [house.neighbour().await, house.neighbour().await];
    let proxies =
        [Proxy::before(gateways[0].address).await, Proxy::before(gateways[1].address).await];
    let documents: Vec<_> = SIZES.iter().map(|size| pdf(*size)).collect();
    let (mut zeros, mut parts) = (0, 0);
    for seed in seeds() {
        let round = Round::of(seed);
        let at = SIZES.iter().position(|size| *size == round.size).unwrap();
        let order = Order { pdf: documents[at].clone(), ..Order::default() };
        house.db.ensure_months(house.clock.now()).await.unwrap();
        let delivery = house.deliver(order).await;
        let answer = play(&house, &gateways, &proxies, &delivery, &round, seed).await;
        zeros += usize::from(answer == 0);
        parts += usize::from(answer > 0);
    }
    assert!(zeros > 0 && parts > 0, "both answers were given: {zeros} and {parts}");
    eprintln!("{zeros} rounds ended with nothing out, {parts} with something");
}

/// Plays a round and judges it; answers how many bytes the recall named.
async fn play(
    house: &House,
    gateways: &[Neighbour; 2],
    proxies: &[Proxy; 2],
    delivery: &Delivery,
    round: &Round,
    seed: u64,
) -> i64 {
    let session = house.open(delivery).await;
    let told = || format!("seed {seed}: {round:?}");
    let start: u64 = proxies.iter().map(|proxy| proxy.seen.bytes()).sum();
    let out = || proxies.iter().map(|proxy| proxy.seen.bytes()).sum::<u64>() - start;
    let go_on = Arc::new(CancellationToken::new());
    let reading = futures::future::join_all(round.readers.iter().map(|reader| {
        let way = if reader.save { "download" } else { "file" };
        let path = format!("{session}/{way}");
        let range = reader.from.map(|from| format!("range: bytes={from}-\r\n")).unwrap_or_default();
        let (proxy, host) = (&proxies[reader.gateway], gateways[reader.gateway].address);
        proxy.expect();
        let go_on = Arc::clone(&go_on);
        async move { fetch(proxy.address, host, &path, &range, reader.manner, &go_on).await }
    }));
    let acting = async {
        let first = proxies[0].seen.bytes();
        let second = proxies[1].seen.bytes();
        if let Some(reader) = round.readers.first() {
            let before = if reader.gateway == 0 { first } else { second };
            let surely = reader.takes(round.size);
            proxies[reader.gateway].seen.until(before + round.at.min(surely)).await;
        }
        let answer = take_back(house, delivery, round.before).await;
        for gateway in gateways {
            gateway.gateway.look().await;
        }
        go_on.cancel();
        answer
    };
    let (got, answer) = futures::join!(reading, acting);
    for proxy in proxies {
        proxy.seen.idle().await;
    }
    let came_out = i64::try_from(out()).unwrap();
    let got = i64::try_from(got.into_iter().sum::<u64>()).unwrap();
    assert!(got <= came_out, "the referee saw less than arrived; {}", told());
    assert!(came_out <= answer, "{came_out} came out, the answer was {answer}; {}", told());
    while house.account(delivery).await.runs() {
        for gateway in gateways {
            gateway.gateway.flush().await.unwrap();
        }
    }
    let last = house.account(delivery).await;
    assert!(last.is_exact(), "nobody died; {}", told());
    assert!(last.bytes_max() <= answer, "an answer only becomes smaller; {}", told());
    assert!(came_out <= last.bytes_max(), "{came_out} of {}; {}", last.bytes_max(), told());
    let dead = last.dead_since.unwrap();
    let late = last.left.iter().filter(|left| left.handout.at > dead).count();
    assert_eq!(late, 0, "nothing left after the link was dead; {}", told());
    answer
}

/// Takes the delivery back in the way of the round; the bytes of its answer.
async fn take_back(house: &House, delivery: &Delivery, before: Before) -> i64 {
    match before {
        Before::Nothing => {}
        Before::Revoked => house.revoke(delivery).await,
        Before::Frozen => drop(house.freeze(delivery, true).await),
        Before::FrozenAndLifted => {
            house.freeze(delivery, true).await;
            house.freeze(delivery, false).await;
        }
        Before::Expired => house.clock.advance(TimeDelta::days(14)),
        Before::OpenedAgain => drop(house.open(delivery).await),
    }
    house.recall_and_ask(delivery).await.bytes_max()
}

//! Recalled, revoked, frozen, expired, destroyed: what has left is accounted
//! for, and nothing more leaves.

use chrono::TimeDelta;
use kakitome::{
    clock::Clock as _,
    domain::{
        crockford::{LinkNumber, session_label},
        ids::Epoch,
        log::{Actor, Fact, Kind, Leaf},
    },
    store::{
        account::{self, Account},
        freezes::{self, FreezeAnswer},
        handouts::{self, Handout, Held, NewHandout, Way},
        jobs, links,
        work::{self, RecallAnswer},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    house::House,
    letters::{Delivery, Order, pdf},
    on_both,
    proxy::{Manner, Neighbour, Proxy, fetch},
};

on_both! {
    a_download_is_reserved_and_counted
    who_hangs_up_at_ninety_percent_is_accounted
    a_recall_before_any_download_answers_zero_and_stays_true
    a_stream_that_runs_ends_when_it_is_taken_back
    a_crash_leaves_the_upper_bound
    what_is_frozen_opens_again
    a_frozen_tenant_is_frozen_whole_and_alone
    the_pages_name_the_delivery_for_support
}

const MIB: usize = 1 << 20;

impl House {
    /// The account of a delivery.
    pub(crate) async fn account(&self, delivery: &Delivery) -> Account {
        let mut tx = self.db.read().await.unwrap();
        account::of_job(&mut tx, delivery.job).await.unwrap()
    }

    /// Takes a document back and reads the answer at once.
    pub(crate) async fn recall_and_ask(&self, delivery: &Delivery) -> Account {
        let mut tx = self.db.begin().await.unwrap();
        work::hold(&mut tx, delivery.job).await.unwrap();
        let event = self.told(&delivery.tenant, delivery.job, Kind::Recalled, Actor::Operator);
        let recalled = work::recall(&mut tx, delivery.job, self.clock.now(), event, &[]).await;
        assert_eq!(recalled.unwrap(), RecallAnswer::Recalled, "recalled");
        tx.commit().await.unwrap();
        self.account(delivery).await
    }

    /// Freezes a delivery, or lifts its freeze.
    pub(crate) async fn freeze(&self, delivery: &Delivery, freeze: bool) -> FreezeAnswer {
        let kind = if freeze { Kind::Frozen } else { Kind::Unfrozen };
        let event = self.told(&delivery.tenant, delivery.job, kind, Actor::Operator);
        let mut tx = self.db.begin().await.unwrap();
        let answer = freezes::job(&mut tx, delivery.job, freeze, event).await.unwrap();
        tx.commit().await.unwrap();
        answer
    }

    /// Freezes everything of a delivery's tenant, or lifts that freeze.
    async fn freeze_tenant(&self, delivery: &Delivery, freeze: bool) -> FreezeAnswer {
        let kind = if freeze { Kind::Frozen } else { Kind::Unfrozen };
        let mut event = self.told(&delivery.tenant, delivery.job, kind, Actor::Operator);
        event.job = None;
        let mut tx = self.db.begin().await.unwrap();
        let answer = freezes::tenant(&mut tx, freeze, event).await.unwrap();
        tx.commit().await.unwrap();
        answer
    }

    /// Revokes a delivery's link, without a recall.
    pub(crate) async fn revoke(&self, delivery: &Delivery) {
        let mut tx = self.db.begin().await.unwrap();
        links::revoke_of_job(&mut tx, delivery.job, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
}

async fn a_download_is_reserved_and_counted(house: House) {
    let delivery = house.deliver(Order { pdf: pdf(2_500_000), ..Order::default() }).await;
    let session = house.open(&delivery).await;
    let whole = house.get(&format!("{session}/download")).await;
    assert_eq!(whole.bytes().await.unwrap().len(), 2_500_000, "to the end");
    let running = house.account(&delivery).await;
    assert!(running.runs() && !running.is_exact(), "its end is not written down yet");
    assert_eq!(running.bytes_max(), 2_500_000, "what was reserved");
    let part = house.client.get(format!("{}{session}/file", house.url));
    let part = part.header("range", "bytes=100-299").send().await.unwrap();
    assert_eq!(part.bytes().await.unwrap().len(), 200, "a part");
    assert_eq!(house.gateway.flush().await.unwrap(), 3, "a page and two ends");

    let account = house.account(&delivery).await;
    assert!(account.is_exact() && !account.runs(), "ended");
    let rows: Vec<&Handout> = account.left.iter().map(|left| &left.handout).collect();
    let told = |row: &Handout| (row.way, row.from_byte, row.to_byte, row.taken);
    assert_eq!(told(rows[0]), (Way::Save, 0, 2_500_000, Some(2_500_000)), "the whole");
    assert_eq!(told(rows[1]), (Way::View, 100, 300, Some(200)), "the part");
    assert_eq!(account.bytes_max(), 2_500_200, "each counts");

    let log = house.log(&delivery).await;
    let opened = log.iter().find(|event| event.row.kind == Kind::Opened).unwrap();
    let label = session_label(opened.row.id);
    for left in &account.left {
        assert_eq!(left.handout.receiver, label, "the session of that open");
        assert_eq!(left.opened_at, Some(opened.row.at), "and when it was");
        let event = log.iter().find(|event| event.row.id.0 == left.handout.id).unwrap();
        assert_eq!(event.row.kind, Kind::Downloaded, "the row is the event's");
        let leaf = Leaf::decode(&event.row.leaf).unwrap();
        let session = leaf.facts.iter().find(|(name, _)| name == "session").unwrap().1.clone();
        assert_eq!(session, Fact::Text(label.clone()), "and the log names the session");
    }
    let ended = log.iter().filter(|event| event.row.kind == Kind::DownloadEnded);
    let bytes = ended.map(|event| {
        let leaf = Leaf::decode(&event.row.leaf).unwrap();
        leaf.facts.iter().find(|(name, _)| name == "bytes").unwrap().1.clone()
    });
    let bytes: Vec<_> = bytes.collect();
    assert_eq!(bytes, [Fact::Int(2_500_000), Fact::Int(200)], "the ends say how much");
    assert_eq!(house.gateway.flush().await.unwrap(), 0, "once");
}

async fn who_hangs_up_at_ninety_percent_is_accounted(house: House) {
    let near = house.neighbour().await;
    let delivery = house.deliver(Order { pdf: pdf(24 * MIB), ..Order::default() }).await;
    let session = house.open(&delivery).await;
    let (path, never) = (format!("{session}/file"), CancellationToken::new());
    let ninety = 24 * MIB / 10 * 9;
    let proxy = Proxy::before(near.address).await;
    proxy.expect();
    let manner = Manner::HangsUp(ninety);
    let got = fetch(proxy.address, near.address, &path, "", manner, &never).await;
    assert!(got >= ninety as u64, "most of it");
    proxy.seen.idle().await;
    while house.account(&delivery).await.runs() {
        near.gateway.flush().await.unwrap();
    }
    let account = house.account(&delivery).await;
    let taken = account.left[0].handout.taken.unwrap();
    let came_out = i64::try_from(proxy.seen.bytes()).unwrap();
    assert!(i64::try_from(got).unwrap() <= came_out, "the reader got {got} of {came_out}");
    assert!(came_out <= taken, "{came_out} came out, {taken} are accounted");
    assert!(taken <= 24 << 20, "and not more than there is");
    assert!(account.is_exact(), "known");
}

async fn a_recall_before_any_download_answers_zero_and_stays_true(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let session = house.open(&delivery).await;
    let url = format!("{}{session}/file", house.url);
    assert_eq!(house.client.head(url).send().await.unwrap().status(), 200, "it is there");
    house.clock.advance(TimeDelta::seconds(7));
    let answer = house.recall_and_ask(&delivery).await;
    assert!(answer.is_zero() && answer.is_exact(), "looking at it is not having it");
    assert_eq!(answer.dead_since, Some(house.clock.now()), "since now");
    for path in [format!("{session}/file"), format!("{session}/download"), session] {
        assert_eq!(house.get(&path).await.status(), 410, "gone");
    }
    house.gateway.flush().await.unwrap();
    assert_eq!(house.account(&delivery).await, answer, "and it stays so");
    assert_eq!(house.said(&delivery, Kind::Downloaded).await, 0, "nothing is on record");
}

/// What can happen to a document while it is being read.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Recalled,
    Revoked,
    Frozen,
    TenantFrozen,
    Expired,
    Purged,
}

async fn a_stream_that_runs_ends_when_it_is_taken_back(house: House) {
    let near = house.neighbour().await;
    for blow in [
        Blow::Recalled,
        Blow::Revoked,
        Blow::Frozen,
        Blow::TenantFrozen,
        Blow::Purged,
        Blow::Expired,
    ] {
        for stalls in [true, false] {
            ends(&house, &near, blow, stalls).await;
        }
    }
}

/// A reader that has stopped reading is cut off by the look of every second;
/// one that reads on meets the look before the next quarter of a MiB.
async fn ends(house: &House, near: &Neighbour, blow: Blow, stalls: bool) {
    let delivery = house.deliver(Order { pdf: pdf(24 * MIB), ..Order::default() }).await;
    let session = house.open(&delivery).await;
    let (path, go_on) = (format!("{session}/file"), CancellationToken::new());
    let proxy = Proxy::before(near.address).await;
    proxy.expect();
    let reading = fetch(proxy.address, near.address, &path, "", Manner::Stalls(100_000), &go_on);
    let acting = async {
        proxy.seen.until(100_000).await;
        strike(house, &delivery, blow, true).await;
        if stalls {
            near.gateway.look().await;
        }
        go_on.cancel();
    };
    let (got, ()) = futures::join!(reading, acting);
    proxy.seen.idle().await;
    assert!(got < 24 << 20, "{blow:?}: it ended at {got}");
    while house.account(&delivery).await.runs() {
        near.gateway.flush().await.unwrap();
    }
    let (account, seen) = (house.account(&delivery).await, proxy.seen.bytes());
    assert!(account.is_exact(), "{blow:?}: its end is known");
    assert!(i64::try_from(seen).unwrap() <= account.bytes_max(), "{blow:?}: {seen} came out");
    assert!(account.bytes_max() < 24 << 20, "{blow:?}: and the rest did not");
    assert_eq!(house.get(&path).await.status(), 410, "{blow:?}: nothing more");
    strike(house, &delivery, blow, false).await;
}

async fn strike(house: &House, delivery: &Delivery, blow: Blow, strikes: bool) {
    match (blow, strikes) {
        (Blow::Recalled, true) => house.recall(delivery).await,
        (Blow::Revoked, true) => house.revoke(delivery).await,
        (Blow::Frozen, true) => drop(house.freeze(delivery, true).await),
        (Blow::TenantFrozen, _) => drop(house.freeze_tenant(delivery, strikes).await),
        (Blow::Expired, true) => house.clock.advance(TimeDelta::days(14)),
        (Blow::Purged, true) => house.purge(delivery).await,
        (_, false) => {}
    }
}

async fn a_crash_leaves_the_upper_bound(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let (day, print) = {
        let mut tx = house.db.read().await.unwrap();
        links::of_job(&mut tx, delivery.job).await.unwrap().remove(0)
    };
    let now = house.clock.now();
    let event = || house.told(&delivery.tenant, delivery.job, Kind::Downloaded, Actor::Recipient);
    let new = NewHandout {
        event: event(),
        job: delivery.job,
        day,
        print: print.as_slice().try_into().unwrap(),
        epoch: Epoch(house.entropy.id(now).unwrap()),
        way: Way::Save,
        session: "K7Q2-9XMF".to_owned(),
        from_byte: 1_000,
        to_byte: 100_000,
    };
    let reserve = async |new: &NewHandout| {
        !handouts::reserve(&house.db, &[new], Held::WaitFor).await.unwrap().is_empty()
    };
    assert!(reserve(&new).await, "reserved");
    let answer = house.recall_and_ask(&delivery).await;
    assert!(answer.runs() && !answer.is_zero(), "nobody knows yet");
    assert_eq!(house.gateway.settle().await.unwrap(), 1, "its process is dead");
    assert_eq!(house.gateway.settle().await.unwrap(), 0, "once");
    let account = house.account(&delivery).await;
    assert!(!account.runs() && !account.is_exact(), "nobody will ever know");
    assert_eq!(account.bytes_max(), 99_000, "so what was reserved stands");
    assert_eq!(house.said(&delivery, Kind::OutcomeUnknown).await, 1, "and the log says so");
    // The dead come back to life: what they know is better.
    let id = kakitome::domain::ids::EventId(account.left[0].handout.id);
    let end = |taken| [handouts::Ended { id, job: delivery.job, taken, at: now }];
    let mut tx = house.db.begin().await.unwrap();
    let completed = handouts::ended(&mut tx, &end(7)).await.unwrap();
    assert!(completed.contains(&id), "it was paused");
    assert!(handouts::ended(&mut tx, &end(9)).await.unwrap().is_empty(), "once");
    tx.commit().await.unwrap();
    assert_eq!(house.account(&delivery).await.bytes_max(), 7, "and counts");
    let again = NewHandout { event: event(), ..new };
    assert!(!reserve(&again).await, "recalled is recalled");
}

async fn what_is_frozen_opens_again(house: House) {
    let delivery = house.deliver(Order { max_opens: 2, ..Order::default() }).await;
    let dead = house.deliver(Order::default()).await;
    house.recall(&dead).await;
    let session = house.open(&delivery).await;
    let nonce = house.nonce(&delivery).await;
    assert_eq!(house.freeze(&delivery, true).await, FreezeAnswer::Done, "frozen");
    assert_eq!(house.freeze(&delivery, true).await, FreezeAnswer::Already, "twice is once");
    let page = async |one: &Delivery| {
        let response = house.get(&format!("/d/{}", one.token)).await;
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (frozen, recalled) = (page(&delivery).await, page(&dead).await);
    assert_eq!(frozen, recalled, "one page for all that is dead");
    assert_eq!(frozen.0, 410, "gone, for now");
    assert_eq!(house.press(&delivery, &nonce).await.status(), 410, "no button helps");
    for path in ["", "/file", "/download"] {
        assert_eq!(house.get(&format!("{session}{path}")).await.status(), 410, "{path}");
    }
    assert_eq!(house.link(&delivery).await.opens, 1, "nothing counted");
    assert_eq!(house.freeze(&delivery, false).await, FreezeAnswer::Done, "lifted");
    assert_eq!(house.freeze(&delivery, false).await, FreezeAnswer::Already, "twice is once");
    let file = house.get(&format!("{session}/file")).await;
    assert_eq!(file.bytes().await.unwrap(), delivery.pdf, "the session lives on");
    assert_eq!(house.press(&delivery, &nonce).await.status(), 303, "and the link opens");
    for kind in [Kind::Frozen, Kind::Unfrozen] {
        assert_eq!(house.said(&delivery, kind).await, 1, "{kind} is on record");
    }
    house.freeze(&delivery, true).await;
    house.purge(&delivery).await;
    assert_eq!(house.freeze(&delivery, false).await, FreezeAnswer::Purged, "its day came");
}

async fn a_frozen_tenant_is_frozen_whole_and_alone(house: House) {
    let ours = house.deliver(Order::default()).await;
    let other = house.deliver(Order { tenant: "other", ..Order::default() }).await;
    let (mine, theirs) = (house.open(&ours).await, house.open(&other).await);
    assert_eq!(house.freeze_tenant(&ours, true).await, FreezeAnswer::Done, "frozen");
    assert_eq!(house.freeze_tenant(&ours, true).await, FreezeAnswer::Already, "twice is once");
    let later = house.deliver(Order::default()).await;
    let statuses = async |paths: [String; 4]| {
        let mut statuses = Vec::new();
        for path in paths {
            statuses.push(house.get(&path).await.status().as_u16());
        }
        statuses
    };
    let paths = || {
        let link = format!("/d/{}", ours.token);
        let next = format!("/d/{}", later.token);
        [format!("{mine}/file"), link, next, format!("{theirs}/file")]
    };
    assert_eq!(statuses(paths()).await, [410, 410, 410, 200], "all of it, and nobody else's");
    house.freeze(&later, true).await;
    assert_eq!(house.freeze_tenant(&ours, false).await, FreezeAnswer::Done, "lifted");
    assert_eq!(statuses(paths()).await, [200, 200, 410, 200], "its own freeze stays");
}

async fn the_pages_name_the_delivery_for_support(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let number = LinkNumber::of(delivery.job).to_string();
    let link = format!("/d/{}", delivery.token);
    assert!(house.get(&link).await.text().await.unwrap().contains(&number), "the link's page");
    let session = house.open(&delivery).await;
    assert!(house.get(&session).await.text().await.unwrap().contains(&number), "the viewer");
    let mut tx = house.db.read().await.unwrap();
    let read_out = number.to_lowercase().replace('-', " ");
    let found = jobs::numbered(&mut tx, read_out.parse().unwrap()).await.unwrap();
    assert_eq!(found, [delivery.job], "found again");
    drop(tx);
    house.recall(&delivery).await;
    let gone = house.get(&link).await.text().await.unwrap();
    assert!(!gone.contains("KT-"), "a dead link says no more than that it is dead");
}

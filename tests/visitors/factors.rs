//! Second factors: what a code and a passcode let in, and how often they may be
//! tried.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use kakitome::{
    domain::{event::EventKind, log::Kind, stage::Stage},
    store::{
        code_mails, dossier,
        factors::{self, FactorRow},
        jobs, links,
    },
};

use crate::{
    house::House,
    letters::{Delivery, Factor, Order},
    on_both,
};

on_both! {
    a_code_opens_once_and_the_log_says_verified
    only_a_seal_and_a_mac_of_a_code_rest
    codes_are_few_and_far_between
    a_code_dies_by_wrong_tries_and_by_age
    a_passcode_opens_and_wrong_ones_wait
    twenty_wrong_ones_lock_the_link_for_good
    a_thousand_wrong_codes_at_once_are_five_tries
    a_thousand_wrong_passcodes_at_once_are_five_tries
    a_slip_of_the_finger_is_not_a_try
    only_a_press_leads_to_the_question
    nothing_is_tried_that_cannot_be_written
    what_was_tried_goes_with_the_document
}

fn order(factor: Factor) -> Order {
    Order { factor: Some(factor), ..Order::default() }
}

impl House {
    /// Presses the button and gives the ticket of the question.
    pub(crate) async fn ticket(&self, delivery: &Delivery) -> String {
        let nonce = self.nonce(delivery).await;
        let response = self.press(delivery, &nonce).await;
        assert_eq!(response.status(), 303, "the button works");
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let ticket = location.strip_prefix("/c/").expect("to the question");
        ticket.split('?').next().unwrap().to_owned()
    }

    /// Answers the question.
    pub(crate) async fn say(&self, ticket: &str, answer: &str) -> reqwest::Response {
        let answer = answer.replace(' ', "+");
        let fields = [("ticket", ticket), ("answer", answer.as_str()), ("lang", "en")];
        let headers = [("origin", self.url.as_str()), ("sec-fetch-site", "same-origin")];
        self.form_to("/c", &fields, &headers).await
    }

    /// Asks for another code.
    async fn again(&self, ticket: &str) {
        let fields = [("ticket", ticket), ("lang", "en")];
        let response = self.form_to("/c/new", &fields, &[("origin", &self.url)]).await;
        assert_eq!(response.status(), 303, "back to the question");
    }

    /// The code that waits to be mailed.
    pub(crate) async fn code(&self, delivery: &Delivery) -> String {
        let mut tx = self.db.read().await.unwrap();
        let due = code_mails::due(&mut tx, DateTime::<Utc>::MAX_UTC, 100).await.unwrap();
        let mail = due.into_iter().find(|mail| mail.job == delivery.job).expect("a code waits");
        let row = jobs::get(&mut tx, None, delivery.job).await.unwrap().unwrap();
        drop(tx);
        let key = dossier::delivery_key(&self.keys, &row).await.unwrap();
        key.open_code(delivery.job, &mail.sealed).unwrap().to_string()
    }

    /// How the second factor of a delivery stands.
    pub(crate) async fn factor(&self, delivery: &Delivery) -> FactorRow {
        let mut tx = self.db.read().await.unwrap();
        let (day, print) = links::of_job(&mut tx, delivery.job).await.unwrap().remove(0);
        let link = kakitome::crypto::Lookup { day, print: print.try_into().unwrap() };
        factors::find(&mut tx, &link).await.unwrap()
    }

    async fn stage(&self, delivery: &Delivery) -> (Stage, Option<String>) {
        let mut tx = self.db.read().await.unwrap();
        let row = jobs::get(&mut tx, None, delivery.job).await.unwrap().unwrap();
        (row.stage, row.reason)
    }

    fn heard(&self) -> Vec<(EventKind, Option<&'static str>)> {
        self.ear.told.lock().unwrap().clone()
    }
}

fn wrong(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:08}", (number + 1) % 100_000_000)
}

async fn a_code_opens_once_and_the_log_says_verified(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    let ticket = house.ticket(&delivery).await;
    assert_eq!(house.link(&delivery).await.opens, 0, "a press alone opens nothing");
    let page = house.get(&format!("/c/{ticket}?lang=en")).await;
    assert_eq!(page.status(), 200, "the question");
    let page = page.text().await.unwrap();
    assert!(page.contains("c•••@e•••.jp"), "where the code went");
    assert!(!page.contains(&delivery.token), "the token has left the address");
    assert!(!page.contains("canary") && !page.contains("請求書"), "nobody and nothing is named");
    let code = house.code(&delivery).await;
    let refused = house.say(&ticket, &wrong(&code)).await;
    assert_eq!(refused.status(), 403, "another code");
    assert!(refused.text().await.unwrap().contains("4 tries left"), "and how many are left");
    let spaced = format!("{} {}", &code[..4], &code[4..]);
    let opened = house.say(&ticket, &spaced).await;
    assert_eq!(opened.status(), 303, "the right one");
    let location = opened.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(house.get(&location).await.status(), 200, "the document's page");
    assert_eq!(house.link(&delivery).await.opens, 1, "counted");
    assert_eq!(house.said(&delivery, Kind::OpenedVerified).await, 1, "on record");
    assert_eq!(house.said(&delivery, Kind::Opened).await, 0, "and told apart");
    assert_eq!(house.heard(), [(EventKind::OpenedVerified, None)], "so is the sender");
    assert_eq!(house.stage(&delivery).await.0, Stage::Opened, "the stage says so");
    assert_eq!(house.factor(&delivery).await.tries, 1, "the right try is taken back");
    assert_eq!(house.say(&ticket, &code).await.status(), 403, "a code opens once");
    assert_eq!(house.link(&delivery).await.opens, 1, "and no more");
}

async fn only_a_seal_and_a_mac_of_a_code_rest(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    house.ticket(&delivery).await;
    let code = house.code(&delivery).await;
    let row = house.factor(&delivery).await;
    let holds = |bytes: &[u8]| bytes.windows(8).any(|window| window == code.as_bytes());
    assert!(!holds(&row.code_mac.unwrap()), "a MAC");
    for event in house.log(&delivery).await {
        assert!(!holds(&event.row.leaf), "nothing in the log");
    }
    let files = std::fs::read_dir(house.folder.path()).unwrap();
    for file in files.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        assert!(!holds(&std::fs::read(&file).unwrap()), "{} holds the code", file.display());
    }
}

async fn codes_are_few_and_far_between(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    let drawn = async || house.said(&delivery, Kind::CodeDrawn).await;
    let nonce = house.nonce(&delivery).await;
    join_all((0..50).map(|_| house.press(&delivery, &nonce))).await;
    assert_eq!(drawn().await, 1, "fifty robots draw one code");
    let ticket = house.ticket(&delivery).await;
    let first = house.code(&delivery).await;
    house.again(&ticket).await;
    assert_eq!(drawn().await, 1, "not within a minute");
    house.clock.advance(TimeDelta::seconds(61));
    house.again(&ticket).await;
    assert_eq!(drawn().await, 2, "but then");
    let second = house.code(&delivery).await;
    assert_eq!(house.say(&ticket, &first).await.status(), 403, "the newer one holds");
    house.clock.advance(TimeDelta::seconds(61));
    house.again(&ticket).await;
    house.clock.advance(TimeDelta::minutes(11));
    house.again(&ticket).await;
    assert_eq!(drawn().await, 3, "three a day");
    let page = house.get(&format!("/c/{ticket}?lang=en")).await.text().await.unwrap();
    assert!(page.contains("Please try again tomorrow"), "and the page says so");
    assert_ne!(first, second, "each is another");
    // It was noon in Tokyo; the tenant's next day begins at 15:00 UTC.
    house.clock.advance(TimeDelta::hours(12));
    house.ticket(&delivery).await;
    assert_eq!(drawn().await, 4, "tomorrow there are new ones");
}

async fn a_code_dies_by_wrong_tries_and_by_age(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    let ticket = house.ticket(&delivery).await;
    let code = house.code(&delivery).await;
    for _ in 0..5 {
        assert_eq!(house.say(&ticket, &wrong(&code)).await.status(), 403, "wrong");
    }
    assert_eq!(house.say(&ticket, &code).await.status(), 403, "right, and too late");
    house.clock.advance(TimeDelta::minutes(2));
    house.again(&ticket).await;
    let code = house.code(&delivery).await;
    house.clock.advance(TimeDelta::minutes(10));
    assert_eq!(house.say(&ticket, &code).await.status(), 403, "ten minutes old");
    assert_eq!(house.link(&delivery).await.opens, 0, "nothing was opened");
    assert_eq!(house.said(&delivery, Kind::FactorTried).await, 5, "what was compared is on record");
}

async fn a_passcode_opens_and_wrong_ones_wait(house: House) {
    let delivery = house.deliver(order(Factor::Passcode("さくら123"))).await;
    let ticket = house.ticket(&delivery).await;
    assert_eq!(house.said(&delivery, Kind::CodeDrawn).await, 0, "no code is drawn for it");
    assert_eq!(house.say(&ticket, "さくら１２３").await.status(), 303, "as people mean it");
    assert_eq!(house.said(&delivery, Kind::OpenedVerified).await, 1, "on record");
    for _ in 0..5 {
        assert_eq!(house.say(&ticket, "さくら124").await.status(), 403, "wrong");
    }
    let closed = house.say(&ticket, "さくら123").await;
    assert_eq!(closed.status(), 429, "not even the right one");
    assert!(closed.text().await.unwrap().contains("12:15"), "and until when");
    assert_eq!(house.link(&delivery).await.opens, 1, "nothing was opened");
    house.clock.advance(TimeDelta::minutes(15));
    let ticket = house.ticket(&delivery).await;
    assert_eq!(house.say(&ticket, "さくら123").await.status(), 303, "a quarter of an hour later");
    assert_eq!(house.factor(&delivery).await.tries, 5, "wrong ones stay counted");
}

async fn twenty_wrong_ones_lock_the_link_for_good(house: House) {
    let delivery = house.deliver(order(Factor::Passcode("さくら123"))).await;
    let session = {
        let ticket = house.ticket(&delivery).await;
        let opened = house.say(&ticket, "さくら123").await;
        opened.headers()["location"].to_str().unwrap().to_owned()
    };
    let mut statuses = BTreeSet::new();
    for _ in 0..4 {
        let ticket = house.ticket(&delivery).await;
        for _ in 0..5 {
            statuses.insert(house.say(&ticket, "wrong-one").await.status().as_u16());
        }
        house.clock.advance(TimeDelta::minutes(5));
        assert_ne!(house.get(&session).await.status(), 500, "never our fault");
        house.clock.advance(TimeDelta::minutes(10));
    }
    assert_eq!(statuses, BTreeSet::from([403, 410]), "wrong, and at last gone");
    assert_eq!(house.get(&format!("/d/{}", delivery.token)).await.status(), 410, "locked");
    assert!(house.link(&delivery).await.revoked_at.is_some(), "revoked");
    assert!(house.factor(&delivery).await.locked_at.is_some(), "and why");
    assert_eq!(house.said(&delivery, Kind::FactorLocked).await, 1, "on record, once");
    let locked = (EventKind::Undeliverable, Some("factor_locked"));
    assert_eq!(house.heard().last(), Some(&locked), "the sender is told");
    assert_eq!(house.stage(&delivery).await.0, Stage::Opened, "what was opened stays opened");
    // One that was never opened counts as not delivered.
    let other = house.deliver(order(Factor::Passcode("さくら123"))).await;
    let mut ticket = String::new();
    for _ in 0..4 {
        ticket = house.ticket(&other).await;
        for _ in 0..5 {
            house.say(&ticket, "wrong-one").await;
        }
        house.clock.advance(TimeDelta::minutes(15));
    }
    assert_eq!(house.say(&ticket, "さくら123").await.status(), 410, "right, after the lock");
    assert_eq!(house.link(&other).await.opens, 0, "opens nothing");
    let expected = (Stage::Undeliverable, Some("factor_locked".to_owned()));
    assert_eq!(house.stage(&other).await, expected, "and the stage says why");
}

async fn a_thousand_wrong_codes_at_once_are_five_tries(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    let ticket = house.ticket(&delivery).await;
    let code = house.code(&delivery).await;
    let bad = wrong(&code);
    let answers = join_all((0..1_000).map(|_| house.say(&ticket, &bad))).await;
    for answer in &answers {
        let status = answer.status().as_u16();
        assert!([403, 410, 503].contains(&status), "{status}: nobody is let in");
    }
    while house.factor(&delivery).await.code_tries < 5 {
        house.say(&ticket, &bad).await;
    }
    assert_eq!(house.say(&ticket, &code).await.status(), 403, "the right one is too late");
    let row = house.factor(&delivery).await;
    assert_eq!((row.code_tries, row.tries), (5, 5), "exactly five were compared");
    assert_eq!(house.said(&delivery, Kind::FactorTried).await, 5, "and are on record");
    assert_eq!(house.link(&delivery).await.opens, 0, "none opened");
}

async fn a_thousand_wrong_passcodes_at_once_are_five_tries(house: House) {
    let delivery = house.deliver(order(Factor::Passcode("さくら123"))).await;
    let ticket = house.ticket(&delivery).await;
    let answers = join_all((0..1_000).map(|_| house.say(&ticket, "wrong-one"))).await;
    for answer in &answers {
        let status = answer.status().as_u16();
        assert!([403, 429, 503].contains(&status), "{status}: nobody is let in");
    }
    while house.factor(&delivery).await.window_tries < 5 {
        house.say(&ticket, "wrong-one").await;
    }
    assert_eq!(house.say(&ticket, "さくら123").await.status(), 429, "the right one must wait");
    let row = house.factor(&delivery).await;
    assert_eq!((row.window_tries, row.tries), (5, 5), "exactly five were compared");
    assert_eq!(house.said(&delivery, Kind::FactorTried).await, 5, "and are on record");
    assert_eq!(house.link(&delivery).await.opens, 0, "none opened");
}

async fn a_slip_of_the_finger_is_not_a_try(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    let ticket = house.ticket(&delivery).await;
    for slip in ["", "1234567", "123456789", "abcdefgh", "%E4%B8%80"] {
        assert_eq!(house.say(&ticket, slip).await.status(), 422, "{slip:?}");
    }
    let other = house.deliver(order(Factor::Passcode("さくら123"))).await;
    let empty = house.ticket(&other).await;
    assert_eq!(house.say(&empty, " ").await.status(), 422, "nothing");
    for delivery in [&delivery, &other] {
        assert_eq!(house.factor(delivery).await.tries, 0, "nothing was counted");
        assert_eq!(house.said(delivery, Kind::FactorTried).await, 0, "nor compared");
    }
}

async fn only_a_press_leads_to_the_question(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    let plain = house.deliver(Order::default()).await;
    let ticket = house.ticket(&delivery).await;
    let session = house.open(&plain).await.replace("/v/", "");
    let before = house.log(&delivery).await.len();
    for _ in 0..20 {
        assert_eq!(house.get(&format!("/c/{ticket}")).await.status(), 200, "looking");
    }
    assert_eq!(house.log(&delivery).await.len(), before, "changes nothing");
    assert_eq!(house.factor(&delivery).await.tries, 0, "and counts nothing");
    let mut spoilt = ticket.clone();
    spoilt.replace_range(9..10, if &ticket[9..10] == "A" { "B" } else { "A" });
    let missing = house.get("/d/x").await.text().await.unwrap();
    for foreign in [spoilt.as_str(), session.as_str(), "x", &delivery.token] {
        let response = house.get(&format!("/c/{foreign}")).await;
        assert_eq!(response.status(), 404, "{foreign}");
        assert_eq!(response.text().await.unwrap(), missing, "the page of a wrong link");
        assert_eq!(house.say(foreign, "12345678").await.status(), 404, "and for the form");
    }
    assert_eq!(house.get(&format!("/v/{ticket}")).await.status(), 404, "it is no session");
    assert_eq!(house.get(&format!("/v/{ticket}/file")).await.status(), 404, "nor a document");
    let fields = [("ticket", ticket.as_str()), ("answer", "12345678")];
    for path in ["/c", "/c/new"] {
        let cross = house.form_to(path, &fields, &[("origin", "https://evil.example")]).await;
        assert_eq!(cross.status(), 403, "a form of another site");
        assert_eq!(house.get(path).await.status(), 404, "a form's address is no page");
    }
    assert_eq!(house.factor(&delivery).await.tries, 0, "none of these was a try");
    house.clock.advance(TimeDelta::minutes(31));
    assert_eq!(house.get(&format!("/c/{ticket}")).await.status(), 410, "half an hour later");
    assert_eq!(house.say(&ticket, "12345678").await.status(), 410, "also for the form");
}

async fn nothing_is_tried_that_cannot_be_written(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    let ticket = house.ticket(&delivery).await;
    let code = house.code(&delivery).await;
    for point in ["begin", "commit"] {
        house.breaker.at(Some(point));
        let response = house.say(&ticket, &code).await;
        assert_eq!(response.status(), 503, "fails at {point}");
        let page = response.text().await.unwrap();
        assert!(page.contains("E-"), "with a number to ask by");
    }
    house.breaker.at(None);
    assert_eq!(house.factor(&delivery).await.tries, 0, "nothing was counted");
    house.breaker.at(Some("announce"));
    assert_eq!(house.say(&ticket, &code).await.status(), 503, "the open cannot be told");
    house.breaker.at(None);
    assert_eq!(house.link(&delivery).await.opens, 0, "so it did not happen");
    assert_eq!(house.say(&ticket, &code).await.status(), 303, "and the code holds still");
}

async fn what_was_tried_goes_with_the_document(house: House) {
    let delivery = house.deliver(order(Factor::Code)).await;
    let ticket = house.ticket(&delivery).await;
    house.say(&ticket, &wrong(&house.code(&delivery).await)).await;
    assert_eq!(house.factor(&delivery).await.tries, 1, "a row");
    house.purge(&delivery).await;
    assert_eq!(house.factor(&delivery).await, FactorRow::default(), "is gone");
    let mut tx = house.db.read().await.unwrap();
    let due = code_mails::due(&mut tx, DateTime::<Utc>::MAX_UTC, 100).await.unwrap();
    assert!(due.is_empty(), "and so is the code");
    drop(tx);
    assert_eq!(house.say(&ticket, "12345678").await.status(), 410, "the question too");
    assert_eq!(house.factor(&delivery).await, FactorRow::default(), "and nothing comes back");
}

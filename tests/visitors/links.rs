//! A link's page changes nothing, and only a person's press opens it.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use chrono::TimeDelta;
use futures::future::join_all;
use kakitome::{
    clock::Clock,
    crypto::{Key, LinkKeys, LinkToken},
    domain::{locale::Locale, log::Kind, stage::Stage},
    entropy::Entropy,
    store::jobs,
};

use crate::{house::House, letters::Order, on_both};

on_both! {
    what_is_not_ours_gets_one_and_the_same_page
    a_dead_link_gets_one_and_the_same_page_whatever_it_died_of
    looking_changes_nothing_but_a_tally
    a_press_opens_counts_and_hides_the_token
    five_opens_are_five_however_many_press_at_once
    nothing_is_shown_when_the_open_cannot_be_written
    only_our_own_fresh_page_can_open
    only_requests_for_our_host_are_answered
    guesses_are_one_row_a_minute_and_block
    what_could_not_be_noted_is_noted_later
    every_page_carries_every_header
    the_page_speaks_its_readers_language
    a_name_cannot_break_out_of_the_page
}

fn key(byte: u8) -> Arc<Key> {
    Arc::new(Key::take(&mut [byte; 32]))
}

/// Status, headers without the date, and body.
async fn whole(response: reqwest::Response) -> (u16, BTreeSet<(String, String)>, String) {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    (status, headers, response.text().await.unwrap())
}

async fn what_is_not_ours_gets_one_and_the_same_page(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let foreign_keys = LinkKeys::new(1, key(1), key(2));
    let entropy = Entropy::from_os().unwrap();
    let unknown = LinkToken::mint(&foreign_keys, house.clock.now(), &entropy).unwrap();
    let mut bad_tag = delivery.token.clone().into_bytes();
    bad_tag[40] = if bad_tag[40] == b'A' { b'B' } else { b'A' };
    let bad_tag = String::from_utf8(bad_tag).unwrap();
    let expected = whole(house.get("/d/x").await).await;
    assert_eq!(expected.0, 404, "not found");
    for path in [
        format!("/d/{}", unknown.text().as_str()),
        format!("/d/{bad_tag}"),
        format!("/d/{}", &delivery.token[1..]),
        format!("/d/{}/", delivery.token),
        format!("/d/{}A", delivery.token),
        "/d/%00%ff".to_owned(),
        format!("/d/{}", "A".repeat(48)),
        "/d/".to_owned(),
        "/".to_owned(),
        "/v/x".to_owned(),
        "/v/x/file".to_owned(),
        "/o".to_owned(),
        "/admin/../d".to_owned(),
        "/assets/style.css".to_owned(),
    ] {
        assert_eq!(whole(house.get(&path).await).await, expected, "{path}");
    }
    for method in ["DELETE", "PUT", "OPTIONS", "PATCH", "TRACE"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/d/{}", house.url, delivery.token);
        let response = house.client.request(method.clone(), url).send().await.unwrap();
        assert_eq!(whole(response).await, expected, "{method}");
    }
    // The form, with a token that is not ours, says the same.
    let fields = [("token", bad_tag.as_str()), ("nonce", "x")];
    let answer = whole(house.form(&fields, &[("origin", &house.url)]).await).await;
    assert_eq!(answer, expected, "nor does the form tell");
}

async fn a_dead_link_gets_one_and_the_same_page_whatever_it_died_of(house: House) {
    let used_up = house.deliver(Order { max_opens: 1, ..Order::default() }).await;
    let recalled = house.deliver(Order::default()).await;
    let purged = house.deliver(Order::default()).await;
    let expired = house.deliver(Order::default()).await;
    house.open(&used_up).await;
    house.recall(&recalled).await;
    house.purge(&purged).await;
    // A genuine token without a row: its month was dropped.
    let link_keys = house.keys.link_keys().await.unwrap();
    let forgotten = LinkToken::mint(&link_keys, house.clock.now(), &house.entropy).unwrap();
    let forgotten = forgotten.text().to_string();
    let expected = whole(house.get(&format!("/d/{forgotten}")).await).await;
    assert_eq!(expected.0, 410, "gone");
    house.clock.advance(TimeDelta::days(13));
    let alive = house.get(&format!("/d/{}", expired.token)).await;
    assert_eq!(alive.status(), 200, "the fourteenth day still counts");
    house.clock.advance(TimeDelta::days(1));
    let press = async |token: &str| {
        let fields = [("token", token), ("nonce", "x")];
        whole(house.form(&fields, &[("origin", &house.url)]).await).await
    };
    let after_form = press(&forgotten).await;
    assert_eq!(after_form.0, 410, "gone");
    for token in [&used_up.token, &recalled.token, &purged.token, &expired.token, &forgotten] {
        let answer = whole(house.get(&format!("/d/{token}")).await).await;
        assert_eq!(answer, expected, "one page for every end");
        assert_eq!(press(token).await, after_form, "and for the form");
    }
    // The answer to a form has no address that could be asked for in another
    // language: it led to the page of a wrong link.
    assert!(expected.2.contains("href=\"?lang=en\""), "the page has another language");
    assert!(!after_form.2.contains("?lang="), "the answer to a form has not");
    assert!(after_form.2.contains("<h1"), "and is a page all the same");
    let page = expected.2;
    assert!(!page.contains("ひかり") && !page.contains("請求書"), "nobody and nothing is named");
}

async fn looking_changes_nothing_but_a_tally(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let before = house.log(&delivery).await;
    let url = format!("{}/d/{}", house.url, delivery.token);
    for _ in 0..20 {
        assert_eq!(house.client.get(&url).send().await.unwrap().status(), 200, "a page");
        let head = house.client.head(&url).send().await.unwrap();
        assert_eq!(head.status(), 200, "the same without a body");
        let ahead = house.client.get(&url).header("sec-purpose", "prefetch;prerender");
        assert_eq!(ahead.send().await.unwrap().status(), 503, "nobody asked for that");
    }
    assert_eq!(house.link(&delivery).await.opens, 0, "nothing was opened");
    assert_eq!(house.log(&delivery).await.len(), before.len(), "nothing is written at once");
    assert_eq!(house.gateway.flush().await.unwrap(), 2, "a row for each method and minute");
    let log = house.log(&delivery).await;
    let mut heads = 0;
    for fetched in log.iter().rev().take(2) {
        assert_eq!(fetched.row.kind, Kind::PageFetched, "the tally");
        let leaf = kakitome::domain::log::Leaf::decode(&fetched.row.leaf).unwrap();
        let fact = |wanted: &str| leaf.facts.iter().find(|(name, _)| name == wanted).unwrap();
        assert_eq!(fact("count").1, kakitome::domain::log::Fact::Int(20), "prefetch is none");
        let labels = format!("{:?}", fact("labels").1);
        heads += usize::from(labels.contains("head"));
        assert!(labels.contains("burst"), "twenty in a minute: {labels}");
    }
    assert_eq!(heads, 1, "HEAD is told apart");
    assert_eq!(house.gateway.flush().await.unwrap(), 0, "written once");
    let mut tx = house.db.read().await.unwrap();
    let row = jobs::get(&mut tx, None, delivery.job).await.unwrap().unwrap();
    assert_eq!(row.stage, Stage::Dispatched, "and the stage stays");
}

async fn a_press_opens_counts_and_hides_the_token(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let nonce = house.nonce(&delivery).await;
    let response = house.press(&delivery, &nonce).await;
    assert_eq!(response.status(), 303, "on to the document");
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with("/v/") && location.ends_with("?lang=en"), "{location}");
    assert!(!location.contains(&delivery.token), "the token leaves the address");
    let page = house.get(&location).await;
    assert_eq!(page.status(), 200, "the document's page");
    let page = page.text().await.unwrap();
    assert!(!page.contains(&delivery.token), "nor is it in the page");
    assert!(
        page.contains("請求書 2026年11月分") && page.contains("請求書 2026-11.pdf"),
        "what it is"
    );
    assert_eq!(house.link(&delivery).await.opens, 1, "counted");
    assert_eq!(house.said(&delivery, Kind::Opened).await, 1, "on record");
    let nonce = house.nonce(&delivery).await;
    assert_eq!(house.press(&delivery, &nonce).await.status(), 303, "again");
    assert_eq!(house.said(&delivery, Kind::Opened).await, 2, "each open is an event");
    assert_eq!(house.ear.first_opens.load(Ordering::SeqCst), 1, "the sender hears of the first");
    let mut tx = house.db.read().await.unwrap();
    let row = jobs::get(&mut tx, None, delivery.job).await.unwrap().unwrap();
    assert_eq!(row.stage, Stage::Opened, "the stage says so");
}

async fn five_opens_are_five_however_many_press_at_once(house: House) {
    let delivery = house.deliver(Order { max_opens: 5, ..Order::default() }).await;
    let nonce = house.nonce(&delivery).await;
    let answers = join_all((0..200).map(|_| house.press(&delivery, &nonce))).await;
    let count = |status: u16| answers.iter().filter(|a| a.status() == status).count();
    // A busy database may turn someone away; nobody is let in for that.
    assert_eq!(count(303) + count(410) + count(503), 200, "no other answers");
    let mut opened = count(303);
    while house.link(&delivery).await.opens < 5 {
        opened += usize::from(house.press(&delivery, &nonce).await.status() == 303);
    }
    assert_eq!(house.press(&delivery, &nonce).await.status(), 410, "used up");
    assert_eq!(opened, 5, "exactly five got in");
    assert_eq!(house.link(&delivery).await.opens, 5, "exactly five are counted");
    assert_eq!(house.said(&delivery, Kind::Opened).await, 5, "exactly five are on record");
}

async fn nothing_is_shown_when_the_open_cannot_be_written(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let nonce = house.nonce(&delivery).await;
    for point in ["begin", "commit"] {
        house.breaker.at(Some(point));
        let response = house.press(&delivery, &nonce).await;
        assert_eq!(response.status(), 503, "fails at {point}");
        assert!(response.headers().contains_key("retry-after"), "come back");
        assert!(!response.headers().contains_key("location"), "no session at {point}");
    }
    house.breaker.at(None);
    assert_eq!(house.link(&delivery).await.opens, 0, "nothing was counted");
    assert_eq!(house.said(&delivery, Kind::Opened).await, 0, "nothing is claimed");
    // After a commit whose answer was lost it is counted, and still not shown.
    house.breaker.at(Some("committed"));
    assert_eq!(house.press(&delivery, &nonce).await.status(), 503, "we do not know");
    house.breaker.at(None);
    let (opens, said) =
        (house.link(&delivery).await.opens, house.said(&delivery, Kind::Opened).await);
    assert_eq!((opens, said), (1, 1), "count and record agree");
    assert_eq!(house.press(&delivery, &nonce).await.status(), 303, "and then it works again");
}

async fn only_our_own_fresh_page_can_open(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let other = house.deliver(Order::default()).await;
    let nonce = house.nonce(&delivery).await;
    let ours = house.url.clone();
    let fields = [("token", delivery.token.as_str()), ("nonce", nonce.as_str())];
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", ours.as_str()), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
    ] {
        assert_eq!(house.form(&fields, headers).await.status(), 403, "{headers:?}");
    }
    let others = house.nonce(&other).await;
    for bad in ["", "AAAA", others.as_str()] {
        let response = house.press(&delivery, bad).await;
        assert_eq!(response.status(), 403, "nonce {bad:?}");
        let page = response.text().await.unwrap();
        assert!(page.contains("name=\"nonce\""), "the form is offered again");
    }
    for body in ["", "token=x", "nonce=x", "token=a&token=b&nonce=c", "%ff%fe", "{}"] {
        let request = house.client.post(format!("{ours}/o")).header("origin", &ours);
        let form = "application/x-www-form-urlencoded";
        let response = request.header("content-type", form).body(body).send().await.unwrap();
        assert_eq!(response.status(), 400, "{body:?}");
    }
    let long = format!("token={}&nonce=x", "a".repeat(10_000));
    let request = house.client.post(format!("{ours}/o")).header("origin", &ours);
    let form = "application/x-www-form-urlencoded";
    let response = request.header("content-type", form).body(long).send().await.unwrap();
    assert_eq!(response.status(), 400, "too long a form");
    house.clock.advance(TimeDelta::minutes(31));
    assert_eq!(house.press(&delivery, &nonce).await.status(), 403, "an old page");
    assert_eq!(house.link(&delivery).await.opens, 0, "none of these opened");
    let fresh = house.nonce(&delivery).await;
    let fields = [("token", delivery.token.as_str()), ("nonce", fresh.as_str())];
    assert_eq!(house.form(&fields, &[]).await.status(), 303, "a program that is no browser");
}

async fn only_requests_for_our_host_are_answered(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let url = format!("{}/d/{}", house.url, delivery.token);
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1"] {
        let response = house.client.get(&url).header("host", host).send().await.unwrap();
        assert_eq!(response.status(), 421, "{host}");
    }
    let heavy = house.client.get(&url).header("x-junk", "a".repeat(20_000)).send().await.unwrap();
    assert_eq!(heavy.status(), 431, "too heavy");
    house.gateway.flush().await.unwrap();
    assert_eq!(house.said(&delivery, Kind::PageFetched).await, 0, "and nothing is noted");
}

async fn guesses_are_one_row_a_minute_and_block(house: House) {
    for _ in 0..50 {
        house.get("/d/AAAA").await;
    }
    let url = format!("{}/d/AAAA", house.url);
    let far = house.client.get(url).header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
    assert_eq!(far.status(), 404, "a guess from elsewhere, through our proxy");
    assert_eq!(house.ear.guesses.load(Ordering::SeqCst), 51, "all are counted");
    assert_eq!(house.gateway.flush().await.unwrap(), 2, "one row a block");
}

async fn what_could_not_be_noted_is_noted_later(house: House) {
    let delivery = house.deliver(Order::default()).await;
    house.get(&format!("/d/{}", delivery.token)).await;
    house.breaker.at(Some("commit"));
    assert!(house.gateway.flush().await.is_err(), "the books are closed");
    house.breaker.at(None);
    assert_eq!(house.gateway.flush().await.unwrap(), 1, "nothing was lost");
    assert_eq!(house.said(&delivery, Kind::PageFetched).await, 1, "and nothing is double");
}

const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
                           form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const DOCUMENT_POLICY: &str = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; \
                               base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async fn every_page_carries_every_header(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let session = house.open(&delivery).await;
    let style = house.get("/d/x").await.text().await.unwrap().replace("&#x2f;", "/");
    let style = style.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    for path in [
        "/d/x".to_owned(),
        format!("/d/{}", delivery.token),
        session.clone(),
        format!("{session}/file"),
        format!("{session}/download"),
        style.to_owned(),
    ] {
        let response = house.get(&path).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let is_file = path.ends_with("/file") || path.ends_with("/download");
        let policy = if is_file { DOCUMENT_POLICY } else { PAGE_POLICY };
        assert_eq!(header("content-security-policy"), policy, "{path}");
        assert_eq!(header("referrer-policy"), "strict-origin", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-robots-tag"), "noindex, nofollow, noarchive, nosnippet", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(header("strict-transport-security"), "max-age=63072000", "{path}");
        assert!(header("permissions-policy").contains("camera=()"), "{path}");
        let caching = header("cache-control");
        let expected =
            if path == style { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(caching, expected, "{path}");
        assert!(!response.headers().contains_key("set-cookie"), "no cookie: {path}");
    }
}

async fn the_page_speaks_its_readers_language(house: House) {
    let japanese = house.deliver(Order::default()).await;
    let english = house.deliver(Order { locale: Locale::En, ..Order::default() }).await;
    let page = async |token: &str, query: &str, accept: Option<&str>| {
        let mut request = house.client.get(format!("{}/d/{token}{query}", house.url));
        if let Some(accept) = accept {
            request = request.header("accept-language", accept);
        }
        request.send().await.unwrap().text().await.unwrap()
    };
    let is_english =
        |page: &str| page.contains("lang=\"en\"") && page.contains("Open the document");
    let is_japanese = |page: &str| page.contains("lang=\"ja\"") && page.contains("文書を開く");
    assert!(is_japanese(&page(&japanese.token, "", None).await), "the delivery's language");
    assert!(is_english(&page(&english.token, "", None).await), "the delivery's language");
    assert!(is_english(&page(&japanese.token, "", Some("en-GB")).await), "the browser's");
    assert!(is_japanese(&page(&english.token, "?lang=ja", Some("en")).await), "the person's");
    let page = page(&japanese.token, "", None).await;
    assert!(
        page.contains("2026年12月5日(土) <span class=\"clock\">12:00</span>"),
        "the day ends there"
    );
    assert!(page.contains("日本時間(JST, UTC+09:00)"), "and in which zone");
    assert!(
        !page.contains("請求書") && !page.contains("カナリア"),
        "title and recipient come later"
    );
}

async fn a_name_cannot_break_out_of_the_page(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let page = house.get(&format!("/d/{}", delivery.token)).await.text().await.unwrap();
    assert!(page.contains("ひかり&lt;商事&gt;"), "the tenant's name is text");
    assert!(!page.contains("<商事>"), "never markup");
}

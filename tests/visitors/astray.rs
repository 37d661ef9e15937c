//! Links that reached the wrong person, and what a reader learns of other
//! readers.

use kakitome::{
    domain::{event::EventKind, log::Kind, stage::Stage},
    store::jobs,
};

use crate::{
    house::House,
    letters::{Delivery, Order},
    on_both,
};

on_both! {
    whoever_got_a_link_by_mistake_can_say_so
    nothing_is_revoked_by_looking_or_by_half
    a_reader_sees_when_the_document_was_opened
    without_cookies_nobody_is_told_apart
}

async fn told(house: &House, delivery: &Delivery, nonce: &str, sure: bool) -> reqwest::Response {
    let mut fields = vec![("token", delivery.token.as_str()), ("nonce", nonce), ("lang", "en")];
    if sure {
        fields.push(("sure", "yes"));
    }
    house.form_to("/n", &fields, &[("origin", &house.url)]).await
}

async fn whoever_got_a_link_by_mistake_can_say_so(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let session = house.open(&delivery).await;
    let other = house.deliver(Order::default()).await;
    for delivery in [&delivery, &other] {
        let nonce = house.nonce(delivery).await;
        let page = house.get(&format!("/d/{}?lang=en", delivery.token)).await.text().await.unwrap();
        assert!(page.contains("This was not meant for me"), "there is a way to say so");
        let response = told(&house, delivery, &nonce, true).await;
        assert_eq!(response.status(), 303, "thank you");
        let thanks = response.headers()["location"].to_str().unwrap();
        assert_eq!(thanks, "/thanks?lang=en", "an address without a token");
        let page = house.get(thanks).await;
        assert_eq!(page.status(), 200, "thanks");
        assert!(page.text().await.unwrap().contains("Thank you"), "in words");
        // Twice is once.
        assert_eq!(told(&house, delivery, &nonce, true).await.status(), 303, "thank you again");
        assert_eq!(house.said(delivery, Kind::NotMine).await, 1, "on record once");
        assert!(house.link(delivery).await.revoked_at.is_some(), "the link is dead");
        let gone = house.get(&format!("/d/{}", delivery.token)).await;
        assert_eq!(gone.status(), 410, "for everybody");
    }
    assert_eq!(house.get(&session).await.status(), 410, "an opened page ends as well");
    assert_eq!(house.get(&format!("{session}/file")).await.status(), 410, "and gives nothing");
    let told = house.ear.told.lock().unwrap().clone();
    let expected = (EventKind::Undeliverable, Some("not_mine"));
    assert_eq!(told, [(EventKind::Opened, None), expected, expected], "the sender learns of each");
    let mut tx = house.db.read().await.unwrap();
    let opened = jobs::get(&mut tx, None, delivery.job).await.unwrap().unwrap();
    assert_eq!(opened.stage, Stage::Opened, "what was opened stays opened");
    let unopened = jobs::get(&mut tx, None, other.job).await.unwrap().unwrap();
    assert_eq!(unopened.stage, Stage::Undeliverable, "the other was not delivered");
    assert_eq!(unopened.reason.as_deref(), Some("not_mine"), "and why");
}

async fn nothing_is_revoked_by_looking_or_by_half(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let nonce = house.nonce(&delivery).await;
    let page = house.get(&format!("/n/{}", delivery.token)).await;
    assert_eq!(page.status(), 200, "it asks once more");
    assert_eq!(told(&house, &delivery, &nonce, false).await.status(), 403, "without the tick");
    assert_eq!(told(&house, &delivery, "AAAA", true).await.status(), 403, "without our page");
    let fields = [("token", delivery.token.as_str()), ("nonce", nonce.as_str()), ("sure", "yes")];
    let cross = house.form_to("/n", &fields, &[("origin", "https://evil.example")]).await;
    assert_eq!(cross.status(), 403, "a form of another site");
    let missing = house.get("/d/x").await.text().await.unwrap();
    let guess = house.get("/n/x").await;
    assert_eq!(guess.status(), 404, "a guess");
    assert_eq!(guess.text().await.unwrap(), missing, "gets the page of a wrong link");
    assert!(house.link(&delivery).await.revoked_at.is_none(), "nothing happened");
    house.breaker.at(Some("commit"));
    assert_eq!(told(&house, &delivery, &nonce, true).await.status(), 503, "not on record");
    house.breaker.at(None);
    assert!(house.link(&delivery).await.revoked_at.is_none(), "so it did not happen");
    assert_eq!(house.said(&delivery, Kind::NotMine).await, 0, "and is not claimed");
}

/// Opens as a browser that keeps its cookie; gives the session and the cookie.
async fn opens(house: &House, delivery: &Delivery, cookie: Option<&str>) -> (String, String) {
    let nonce = house.nonce(delivery).await;
    let fields = [("token", delivery.token.as_str()), ("nonce", nonce.as_str())];
    let mut headers = vec![("origin", house.url.as_str())];
    headers.extend(cookie.map(|cookie| ("cookie", cookie)));
    let response = house.form(&fields, &headers).await;
    assert_eq!(response.status(), 303, "the button works");
    let line = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    (location, line.split(';').next().unwrap().to_owned())
}

async fn page(house: &House, session: &str, cookie: Option<&str>) -> String {
    let session = session.split('?').next().unwrap();
    let mut request = house.client.get(format!("{}{session}?lang=en", house.url));
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    request.send().await.unwrap().text().await.unwrap()
}

/// Who opened, newest first, as the page says.
fn history(page: &str) -> Vec<&str> {
    let rows = page.split("<span class=\"who\">").skip(1);
    rows.map(|row| row.split('<').next().unwrap()).collect()
}

async fn a_reader_sees_when_the_document_was_opened(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let (_, phone) = opens(&house, &delivery, None).await;
    house.clock.advance(chrono::TimeDelta::hours(20));
    let (session, desk) = opens(&house, &delivery, None).await;
    assert_ne!(phone, desk, "two browsers");
    let seen = page(&house, &session, Some(&desk)).await;
    assert_eq!(history(&seen), ["from this device", "from another device"], "newest first");
    assert!(seen.contains("Sunday, 22 November 2026, <span class=\"clock\">08:00"), "and when");
    let (session, again) = opens(&house, &delivery, Some(&phone)).await;
    assert_eq!(again, phone, "a browser stays itself");
    let seen = page(&house, &session, Some(&phone)).await;
    let expected = ["from this device", "from another device", "from this device"];
    assert_eq!(history(&seen), expected, "as the phone sees it");
    // The cookie itself is nowhere; another tenant's print is another.
    let value = phone.split('=').nth(1).unwrap();
    for event in house.log(&delivery).await {
        let holds = |bytes: &[u8]| bytes.windows(value.len()).any(|w| w == value.as_bytes());
        assert!(!holds(&event.row.leaf), "not in the log");
        assert!(!event.row.detail.as_deref().is_some_and(holds), "nor in its detail");
    }
}

async fn without_cookies_nobody_is_told_apart(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let (session, cookie) = opens(&house, &delivery, None).await;
    let seen = page(&house, &session, None).await;
    assert_eq!(history(&seen), ["from a device we cannot tell"], "no cookie");
    let forged = cookie.replace('=', "=A");
    let seen = page(&house, &session, Some(&forged)).await;
    assert_eq!(history(&seen), ["from a device we cannot tell"], "a forged cookie is none");
    assert_eq!(
        house.get(&format!("/d/{}", delivery.token)).await.headers().get("set-cookie"),
        None,
        "looking sets none"
    );
}

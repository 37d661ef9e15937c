//! Who got what, when, who opened it, and is it gone?

use chrono::TimeDelta;
use kakitome::{
    audit::{DetailState, Format, Page, Query, Reader},
    clock::Clock as _,
    store::keyring::Service,
};

use crate::{
    house::{House, tenant},
    letters::Order,
    on_both,
};

on_both! {
    a_delivery_is_found_by_everything_the_law_asks_for
    what_was_destroyed_says_so_and_the_rest_stays
    pages_join_without_gap_or_repeat
    an_export_is_on_record_and_complete
}

fn reader(house: &House) -> Reader {
    Reader {
        db: house.db.clone(),
        keys: house.keys.clone(),
        clock: house.clock.clone(),
        scribe: house.scribe.clone(),
    }
}

async fn find(house: &House, pairs: &[(&str, &str)]) -> Page {
    let all = [("tenant", "acme")].into_iter().chain(pairs.iter().copied());
    reader(house).search(&Query::parse(all).unwrap()).await.unwrap()
}

async fn a_delivery_is_found_by_everything_the_law_asks_for(house: House) {
    let delivery = house.deliver(Order { number: "INV-42", ..Order::default() }).await;
    let other = house.deliver(Order { number: "INV-43", ..Order::default() }).await;
    house.deliver(Order { tenant: "other", number: "INV-42", ..Order::default() }).await;
    house.open(&delivery).await;
    let job = delivery.job.to_string();
    for pairs in [
        &[("number", "INV-42")][..],
        &[("job", job.as_str())],
        &[("number", "INV-42"), ("date-from", "2026-11-21"), ("date-to", "2026-11-21")],
        &[("number", "INV-42"), ("amount-min", "118535"), ("amount-max", "118535")],
        &[("number", "INV-42"), ("counterparty", "カナリア")],
        &[("number", "INV-42"), ("recipient", "canary@EXAMPLE.jp")],
        &[("number", "INV-42"), ("currency", "JPY"), ("from", "2026-11-21"), ("to", "2026-11-22")],
    ] {
        let page = find(&house, pairs).await;
        assert_eq!(page.lines.len(), 4, "{pairs:?}");
        assert!(page.lines.iter().all(|line| line.job == Some(delivery.job)), "{pairs:?}");
        let kinds: Vec<_> = page.lines.iter().map(|line| line.kind).collect();
        assert_eq!(kinds, ["accepted", "sealed", "dispatched", "opened"], "{pairs:?}");
    }
    for pairs in [
        &[("amount-min", "118535.01")][..],
        &[("date-from", "2026-11-22")],
        &[("recipient", "nobody@example.jp")],
        &[("counterparty", "カナリヤ")],
        &[("number", "INV-4")],
        &[("currency", "USD")],
    ] {
        assert_eq!(find(&house, pairs).await.lines, [], "{pairs:?}");
    }
    let both = find(&house, &[("amount-max", "118535"), ("kind", "accepted")]).await;
    let jobs: Vec<_> = both.lines.iter().map(|line| line.job.unwrap()).collect();
    assert_eq!(jobs, [delivery.job, other.job], "both of this tenant, none of the other's");
    let accepted = &both.lines[0];
    assert_eq!(accepted.detail_state, DetailState::Open, "the key is there");
    let detail = ("recipient_name".to_owned(), "株式会社カナリア".to_owned());
    assert_eq!(accepted.detail, [detail], "who got it");
    let evidence = accepted.evidence.as_ref().unwrap();
    assert_eq!(evidence.amount.as_deref(), Some("118535"), "for how much");
    assert_eq!(evidence.date.as_deref(), Some("2026-11-21"), "when");
    assert_eq!(evidence.counterparty.as_deref(), Some("カナリア"), "with whom");
    let opened = find(&house, &[("kind", "opened")]).await.lines.remove(0);
    assert_eq!(opened.actor, "recipient", "who opened it");
    assert!(opened.detail.contains(&("address".into(), "127.0.0.0/24".into())), "from where");
}

async fn what_was_destroyed_says_so_and_the_rest_stays(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let now = house.clock.now();
    house.purge(&delivery).await;
    let day = now.timestamp().div_euclid(86_400) + 31;
    house.keys.destroy_day(&tenant("acme"), Service::Mail, day).await.unwrap();
    let page = find(&house, &[("number", "INV-1")]).await;
    let accepted = &page.lines[0];
    assert_eq!(accepted.detail_state, DetailState::Destroyed, "nobody can read it any more");
    assert_eq!(accepted.detail, [], "and nothing is shown");
    let evidence = accepted.evidence.as_ref().unwrap();
    assert_eq!(evidence.counterparty.as_deref(), Some("カナリア"), "the evidence lives on");
    assert_eq!(page.lines.last().unwrap().kind, "purged", "and it is on record that it is gone");
    house.keys.destroy_evidence_year(&tenant("acme"), 2026).await.unwrap();
    let page = find(&house, &[("number", "INV-1")]).await;
    let evidence = page.lines[0].evidence.as_ref().unwrap();
    assert_eq!(evidence.counterparty.as_deref(), Some("destroyed"), "until its years are over");
}

async fn pages_join_without_gap_or_repeat(house: House) {
    for _ in 0..5 {
        house.deliver(Order::default()).await;
    }
    let whole = find(&house, &[]).await;
    assert_eq!((whole.lines.len(), whole.next), (15, None), "three events each");
    let mut joined = Vec::new();
    let mut after = String::new();
    loop {
        let mut pairs = vec![("limit", "4")];
        if !after.is_empty() {
            pairs.push(("after", after.as_str()));
        }
        let page = find(&house, &pairs).await;
        joined.extend(page.lines);
        match page.next {
            Some(next) => after = next.to_string(),
            None => break,
        }
    }
    assert!(joined == whole.lines, "the same lines in the same order");
}

async fn an_export_is_on_record_and_complete(house: House) {
    for _ in 0..3 {
        house.deliver(Order::default()).await;
    }
    house.clock.advance(TimeDelta::seconds(1));
    let query = Query::of(tenant("acme"));
    let mut csv = Vec::new();
    let lines = reader(&house).export(&query, Format::Csv, &mut csv).await.unwrap();
    assert_eq!(lines, 10, "nine events, and the export itself");
    let text = String::from_utf8(csv).unwrap();
    assert!(text.starts_with('\u{feff}'), "for spreadsheet programs");
    let mut rows = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let kinds: Vec<_> = rows.records().map(|row| row.unwrap()[3].to_owned()).collect();
    assert_eq!(kinds.last().unwrap(), "exported", "whoever exports is on record first");
    house.breaker.at(Some("commit"));
    let mut nothing = Vec::new();
    let refused = reader(&house).export(&query, Format::JsonLines, &mut nothing).await;
    assert!(refused.is_err() && nothing.is_empty(), "without a record not a line");
}

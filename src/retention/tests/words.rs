//! What retention says: plans, explanations, holds, and what a person has to
//! look at.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;

use super::{is_purged, retention, retention_on, run};
use crate::{
    clock::{Clock as _, HandClock},
    domain::{
        ids::{BatchId, JobId},
        log::{Actor, Kind},
        stage::Stage,
    },
    retention::{Believer, Tick, Witness, witness},
    store::{
        ledger::EventDraft,
        postal::{self, Answer, BatchRow},
        work::{CancelAnswer, Next},
    },
    trial::{Office, at, nobody, on_both, tenant},
};

on_both! { "2026-01-31T03:00:00Z" =>
    a_sent_document_without_a_date_is_kept_and_listed
    a_clock_that_jumps_holds_everything
    a_plan_says_what_the_tick_will_do
    an_explanation_names_the_days
}

async fn a_sent_document_without_a_date_is_kept_and_listed(office: Office) {
    // A letter that its partner accepted and never posted, of which the
    // silence was not noticed either.
    let order = office.letter("tokyo");
    let id = office.accept(&order).await;
    let next = Next::HandOver { run_at: office.now(), partner: "nobody".to_owned() };
    office.seal(&order, id, next).await;
    accepted_by_partner(&office, id).await;
    let row = office.job(id).await;
    assert_eq!((row.stage, row.purge_at), (Stage::Dispatched, None), "dispatched, without a clock");
    office.wait(TimeDelta::days(90)).await;
    let retention = retention(&office);
    let done = run(&retention).await;
    assert_eq!(done.purged, 0, "an unknown date is never a reason to destroy");
    assert!(office.document(&office.job(id).await).await.is_some(), "its key was moved");
    let explained = retention.explain(None, id).await.unwrap().unwrap();
    assert_eq!(explained.held_by, None, "its new key's day has not come");
    let key_day = explained.key_day.unwrap();
    office.set(key_day.and_hms_opt(0, 0, 0).unwrap().and_utc()).await;
    let explained = retention.explain(None, id).await.unwrap().unwrap();
    assert_eq!(explained.held_by, Some("unknown_date"), "listed for a person");
}

async fn accepted_by_partner(office: &Office, id: JobId) {
    let now = office.now();
    let mut tx = office.db.begin().await.unwrap();
    let leased = postal::ready_pieces(&mut tx, office.epoch, "nobody", now, 10).await.unwrap();
    assert_eq!(leased.len(), 1, "the letter is ready");
    let batch = BatchRow {
        id: BatchId(office.entropy.id(now).unwrap()),
        partner: "nobody".to_owned(),
        cutoff_at: now,
        made_at: now,
        handed_at: None,
        piece_count: 1,
    };
    postal::make_batch(&mut tx, office.epoch, &batch, &[id]).await.unwrap();
    let silent = now + TimeDelta::days(1_000);
    postal::batch_handed(&mut tx, batch.id, now, silent).await.unwrap();
    let owner = tenant("tokyo");
    let draft = EventDraft::of_job(&owner, id, now, Kind::Dispatched, Actor::Partner);
    let event = office.scribe.event(draft).unwrap();
    postal::piece_answer(&mut tx, id, &Answer::Accepted { at: now }, None, event, &[])
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn a_clock_that_jumps_holds_everything(office: Office) {
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let id = office.sent(&order).await;
    // The witness is a second clock that nobody sets.
    let truth = Arc::new(HandClock::starting_at(office.now()));
    let believer = || -> Arc<dyn Witness> { Arc::new(Believer::of(truth.clone())) };
    let mut retention = retention(&office);
    retention.witness = believer();
    assert!(!matches!(retention.tick().await.unwrap(), Tick::Held { .. }), "clocks agree");
    office.wait(TimeDelta::days(40)).await;
    for _ in 0..3 {
        let tick = retention.tick().await.unwrap();
        assert_eq!(tick, Tick::Held { apart: TimeDelta::days(40) }, "held");
    }
    assert!(!is_purged(&office, id).await, "nothing was destroyed");
    assert!(office.document(&office.job(id).await).await.is_some(), "nothing at all");
    assert_eq!(office.logged(Kind::ClockHeld).await.len(), 1, "said once");
    let plan = retention.plan(office.now()).await.unwrap();
    assert_eq!(plan.held_seconds, Some(40 * 86_400), "the plan says so");
    // Another life of the process does not say it again.
    let mut restarted = retention_on(&office, office.db.clone());
    restarted.witness = believer();
    restarted.with_memory(|memory| *memory = witness::Memory::default());
    assert!(matches!(restarted.tick().await.unwrap(), Tick::Held { .. }), "still held");
    assert_eq!(office.logged(Kind::ClockHeld).await.len(), 1, "still once");
    // The clock comes back.
    office.set(truth.now()).await;
    assert_eq!(run(&retention).await.purged, 0, "nothing was due");
    assert_eq!(office.logged(Kind::ClockReleased).await.len(), 1, "the end is on record");
}

async fn a_plan_says_what_the_tick_will_do(office: Office) {
    office.set(at("2026-02-01T03:00:00Z")).await;
    let order = office.mail("tokyo", Tz::Asia__Tokyo);
    let sent = office.sent(&order).await;
    let waiting = office.accept(&order).await;
    office.park(waiting).await;
    let cancelled = office.accept(&order).await;
    assert_eq!(office.cancel(cancelled).await, CancelAnswer::Cancelled, "cancelled");
    let retention = retention(&office);
    let early = retention.plan(office.now()).await.unwrap();
    assert!(early.days.is_empty(), "nothing is due: {early}");
    let due = office.job(sent).await.purge_at.unwrap();
    office.set(due).await;
    let plan = retention.plan(due).await.unwrap();
    let day = &plan.days[0];
    let counts = (day.due, day.ended, day.never_dispatched, day.moved, day.destroys_key);
    assert_eq!(counts, (1, 1, 0, 1, true), "{plan:?}");
    assert_eq!(plan.days.len(), 1, "one tenant, one day");
    assert!(!is_purged(&office, sent).await, "a plan changes nothing");
    assert!(plan.to_string().contains("tokyo mail 2026-03-02: key dies"), "for people: {plan}");
    let done = run(&retention).await;
    assert_eq!((done.purged, done.moved, done.day_keys), (2, 1, 1), "just that: {done:?}");
    assert!(retention.plan(due).await.unwrap().days.is_empty(), "and then nothing");
}

async fn an_explanation_names_the_days(office: Office) {
    office.set(at("2026-02-28T03:00:00Z")).await;
    let id = office.sent(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    let retention = retention(&office);
    let explained = retention.explain(None, id).await.unwrap().unwrap();
    assert_eq!(explained.dispatched_on, NaiveDate::from_ymd_opt(2026, 2, 28), "sent");
    assert_eq!(explained.last_kept_day, NaiveDate::from_ymd_opt(2026, 3, 31), "kept");
    assert_eq!(explained.purge_at, Some(at("2026-03-31T15:00:00Z")), "destroyed");
    let text = explained.to_string();
    for line in ["kept through    2026-03-31", "key dies on     2026-04-01", "articles 140"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(serde_json::to_value(&explained).unwrap()["purge_at"].is_string(), "for machines");
    assert_eq!(retention.explain(None, nobody()).await.unwrap(), None, "no such delivery");
    let stranger = retention.explain(Some(&tenant("newyork")), id).await.unwrap();
    assert_eq!(stranger, None, "not for another tenant");
    let unsent = office.accept(&office.mail("tokyo", Tz::Asia__Tokyo)).await;
    let unsent = retention.explain(None, unsent).await.unwrap().unwrap();
    assert_eq!(unsent.too_old_at, Some(office.now() + TimeDelta::days(30)), "ended unsent");
}

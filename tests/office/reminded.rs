//! What journeys of reminders do and ask.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kakitome::{
    app::catcher::{Act, Catcher, Rule, Script},
    clock::Clock as _,
    dispatch::email::Verb,
    domain::{
        ids::{JobId, TenantId},
        log::{Actor, Kind},
    },
    store::{
        freezes,
        ledger::{self, EventDraft},
        reminders::{self, State},
        work::{self, RecallAnswer, ReissueAnswer},
    },
};
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::harness::{EMAIL, TestOffice, job};

/// The world begins at noon of Friday, 20 November 2026; Monday is a holiday.
pub(crate) fn tuesday_morning() -> DateTime<Utc> {
    "2026-11-24T08:00:00+09:00".parse().unwrap()
}

pub(crate) fn wednesday_morning() -> DateTime<Utc> {
    tuesday_morning() + TimeDelta::days(1)
}

/// A job that asks for a reminder on the next working day.
pub(crate) fn reminding(key: &str) -> Value {
    let mut job = job(EMAIL, key);
    job["link"] = json!({"expires_in": "14d", "max_opens": 1, "reminder": {"after_days": 1}});
    job
}

impl TestOffice<'_> {
    pub(crate) async fn at(&mut self, instant: DateTime<Utc>) {
        self.world.clock.set(instant);
        self.run().await;
    }

    pub(crate) async fn reminder(&self, job: JobId) -> Option<reminders::Shown> {
        let mut tx = self.office.db.read().await.unwrap();
        reminders::of_job(&mut tx, job).await.unwrap()
    }

    pub(crate) async fn state_of(&self, job: JobId) -> State {
        self.reminder(job).await.expect("it has one").state
    }

    pub(crate) async fn told(&self, job: JobId, kind: Kind) -> usize {
        self.log(job).await.iter().filter(|said| **said == kind).count()
    }

    pub(crate) async fn code_of(&self, job: JobId, kind: Kind) -> Option<String> {
        let mut tx = self.office.db.read().await.unwrap();
        let events = ledger::of_job(&mut tx, None, job).await.unwrap();
        events.into_iter().find(|event| event.row.kind == kind).and_then(|event| event.row.code)
    }

    fn draft(&self, job: JobId, kind: Kind) -> ledger::EventRow {
        let tenant = TenantId::parse("acme").unwrap();
        let draft = EventDraft::of_job(&tenant, job, self.world.clock.now(), kind, Actor::Operator);
        self.office.scribe.event(draft).unwrap()
    }

    pub(crate) async fn frozen(&self, job: JobId, freeze: bool) {
        let event = self.draft(job, if freeze { Kind::Frozen } else { Kind::Unfrozen });
        let mut tx = self.office.db.begin().await.unwrap();
        freezes::job(&mut tx, job, freeze, event).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn taken_back(&self, job: JobId) {
        let (now, event) = (self.world.clock.now(), self.draft(job, Kind::Recalled));
        let mut tx = self.office.db.begin().await.unwrap();
        let answer = work::recall(&mut tx, job, now, event, &[]).await.unwrap();
        assert_eq!(answer, RecallAnswer::Recalled, "recalled");
        tx.commit().await.unwrap();
    }

    pub(crate) async fn issued_again(&self, job: JobId) {
        let (now, event) = (self.world.clock.now(), self.draft(job, Kind::Reissued));
        let mut tx = self.office.db.begin().await.unwrap();
        let answer = work::reissue(&mut tx, job, now, 7 * 86_400, event).await.unwrap();
        assert_eq!(answer, ReissueAnswer::Asked, "asked");
        tx.commit().await.unwrap();
    }

    /// Lets one step tick.
    pub(crate) async fn tick(&mut self, name: &str) {
        for service in self.services.iter_mut().filter(|service| service.name() == name) {
            service.tick().await.unwrap();
        }
    }

    /// Lets every step tick a few times; being too busy is no failure.
    pub(crate) async fn try_all(&mut self) {
        for _ in 0..4 {
            for service in &mut self.services {
                drop(service.tick().await);
            }
        }
    }

    /// The links in the mails, oldest first.
    pub(crate) fn links(&self) -> Vec<String> {
        let links = |mail: &_| Catcher::links_of(mail).into_iter().find(|one| one.contains("/d/"));
        self.mails().iter().map(|mail| links(mail).expect("a mail holds a link")).collect()
    }
}

/// A relay that does its duty `first` times, and then something else.
pub(crate) fn then(first: u32, at: Verb, act: Act, times: u32) -> Script {
    let duty = Act::Late(Duration::ZERO);
    Script::new(vec![
        Rule { at, recipient: None, act: duty, times: first },
        Rule { at, recipient: None, act, times },
    ])
}

pub(crate) fn text_of(mail: &[u8]) -> (String, String) {
    let read = MessageParser::default().parse(mail).unwrap();
    (read.subject().unwrap().to_owned(), read.body_text(0).unwrap().into_owned())
}

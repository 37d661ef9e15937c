//! Journeys of links that are issued again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use kakitome::{
    app::catcher::{Act, Rule, Script},
    clock::Clock as _,
    dispatch::email::Verb,
    domain::{
        ids::JobId,
        log::{Actor, Kind},
        stage::Stage,
    },
    store::{
        ledger::EventDraft,
        work::{self, RecallAnswer, ReissueAnswer},
    },
};

use crate::dies_here::NthTime;
use crate::harness::{EMAIL, TestOffice, World, in_the_future, job, journeys, renderer};

const WEEK_SECONDS: i64 = 7 * 86_400;

impl TestOffice<'_> {
    /// What an operator does with `kakitome jobs reissue`.
    async fn reissue(&self, job: JobId) -> ReissueAnswer {
        let row = self.row(job).await;
        let now = self.world.clock.now();
        let draft = EventDraft::of_job(&row.tenant, job, now, Kind::Reissued, Actor::Operator);
        let event = self.office.scribe.event(draft).unwrap();
        let mut tx = self.office.db.begin().await.unwrap();
        let answer = work::reissue(&mut tx, job, now, WEEK_SECONDS, event).await.unwrap();
        tx.commit().await.unwrap();
        answer
    }

    async fn recalled(&self, job: JobId) {
        let row = self.row(job).await;
        let now = self.world.clock.now();
        let draft = EventDraft::of_job(&row.tenant, job, now, Kind::Recalled, Actor::Operator);
        let event = self.office.scribe.event(draft).unwrap();
        let mut tx = self.office.db.begin().await.unwrap();
        let answer = work::recall(&mut tx, job, now, event, &[]).await.unwrap();
        assert_eq!(answer, RecallAnswer::Recalled, "recalled");
        tx.commit().await.unwrap();
    }

    async fn said(&self, job: JobId, kind: Kind) -> usize {
        self.log(job).await.iter().filter(|said| **said == kind).count()
    }
}

/// A relay that does its duty once, and then something else.
fn then(at: Verb, act: Act, times: u32) -> Script {
    let duty = Act::Late(Duration::ZERO);
    Script::new(vec![
        Rule { at, recipient: None, act: duty, times: 1 },
        Rule { at, recipient: None, act, times },
    ])
}

fn message_id(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail).into_owned();
    text.lines().find(|line| line.starts_with("Message-ID:")).unwrap().to_owned()
}

journeys! {
    /// The old link dies at once, the new one opens, and the day stays.
    async fn a_link_is_issued_again(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "again/1")).await;
        office.run().await;
        let old = office.newest_link();
        assert_eq!(office.open_link(&old).await.status, 200, "the first one opens");
        let before = office.row(id).await;
        office.after(TimeDelta::days(2)).await;
        assert_eq!(office.reissue(id).await, ReissueAnswer::Asked, "asked");
        assert_eq!(office.open_link(&old).await.status, 410, "dead at once");
        assert_eq!(office.reissue(id).await, ReissueAnswer::UnderWay, "twice is once");
        office.run().await;
        let mails = office.mails();
        assert_eq!(mails.len(), 2, "one mail more");
        assert_eq!(mails[0].envelope_to, mails[1].envelope_to, "to the recorded address");
        assert_ne!(message_id(&mails[0].bytes), message_id(&mails[1].bytes), "a mail of its own");
        let new = office.newest_link();
        assert_ne!(old, new, "with a link of its own");
        assert_eq!(office.open_link(&old).await.status, 410, "the old one stays dead");
        let file = office.open_link(&new).await;
        assert!(file.status == 200 && file.body.starts_with(b"%PDF-"), "the same document");
        let after = office.row(id).await;
        assert_eq!(
            (after.stage, after.purge_at, after.purge_day),
            (before.stage, before.purge_at, before.purge_day),
            "where it stood, and not a day longer"
        );
        let log = office.log(id).await;
        assert_eq!(log.iter().filter(|kind| **kind == Kind::Reissued).count(), 1, "{log:?}");
        assert_eq!(log.iter().filter(|kind| **kind == Kind::Dispatched).count(), 2, "{log:?}");
        office.inspect().await;

        assert_eq!(office.reissue(id).await, ReissueAnswer::Asked, "and again");
        office.run().await;
        let third = office.newest_link();
        assert_eq!(office.open_link(&new).await.status, 410, "each ends the one before");
        assert_eq!(office.open_link(&third).await.status, 200, "and opens");
        office.inspect().await;

        world.clock.set("2026-12-20T15:00:00Z".parse().unwrap());
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Purged, "on the day it promised");
        assert_eq!(office.open_link(&third).await.status, 410, "the last one too");
        assert_eq!(office.reissue(id).await, ReissueAnswer::Refused(Stage::Purged), "no more");
        office.inspect().await;
    }

    /// A mail that is deferred goes out later, byte for byte.
    async fn a_deferred_mail_with_a_new_link_is_tried_again(books: Books) {
        let script = then(Verb::Rcpt, Act::Say("451 4.7.1 later".into()), 1);
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "again/2")).await;
        office.run().await;
        office.reissue(id).await;
        office.run().await;
        assert_eq!(office.mails().len(), 1, "deferred");
        assert_eq!(office.stage(id).await, Stage::Dispatched, "the delivery stands where it stood");
        office.inspect().await;
        office.after(TimeDelta::minutes(7)).await;
        assert_eq!(office.mails().len(), 2, "and then taken");
        assert_eq!(office.said(id, Kind::AttemptFailed).await, 1, "on record");
        assert_eq!(office.open_link(&office.newest_link()).await.status, 200, "it opens");
        office.inspect().await;
    }

    /// A lost reply is honest, and never a second mail by itself.
    async fn a_lost_reply_to_a_new_link_is_on_record(books: Books) {
        let script = then(Verb::Body, Act::KeepAndHangUp, 9);
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "again/3")).await;
        office.run().await;
        let before = office.row(id).await;
        office.reissue(id).await;
        office.run().await;
        office.after(TimeDelta::days(3)).await;
        assert_eq!(office.mails().len(), 2, "once");
        assert_eq!(office.said(id, Kind::Ambiguous).await, 1, "nobody knows, and the log says so");
        let after = office.row(id).await;
        assert_eq!((after.stage, after.purge_at), (before.stage, before.purge_at), "as it stood");
        assert_eq!(office.open_link(&office.newest_link()).await.status, 200, "what may have arrived opens");
        office.inspect().await;
    }

    /// A relay that refuses is a person's business.
    async fn a_refused_mail_with_a_new_link_is_told(books: Books) {
        let script = then(Verb::Body, Act::Say("554 5.7.1 no".into()), 9);
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "again/4")).await;
        office.run().await;
        office.reissue(id).await;
        office.run().await;
        let row = office.row(id).await;
        assert_eq!(row.stage, Stage::Dispatched, "the first one was taken");
        assert!(row.reason.is_some(), "and a person is told of the second");
        assert_eq!(office.said(id, Kind::Parked).await, 1, "on record");
        office.inspect().await;
    }

    async fn what_was_taken_back_is_not_issued_again(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let mut later = job(EMAIL, "again/5");
        later["send_at"] = in_the_future(&world, 2).into();
        let waits = office.enqueue(&later).await;
        let id = office.enqueue(&job(EMAIL, "again/6")).await;
        office.run().await;
        assert_eq!(office.reissue(waits).await, ReissueAnswer::Refused(Stage::Accepted), "unsent");
        assert_eq!(office.reissue(id).await, ReissueAnswer::Asked, "asked");
        office.recalled(id).await;
        office.run().await;
        assert_eq!(office.mails().len(), 1, "the recall was faster");
        assert_eq!(office.reissue(id).await, ReissueAnswer::Refused(Stage::Recalled), "and final");
        office.inspect().await;
    }

    /// Wherever a process dies between the wish and the relay's answer, the next
    /// one ends it: one mail with one living link, or nobody knows and it is not
    /// sent again.
    async fn a_link_issued_again_survives_the_death_of_its_process(books: Books) {
        let world = World::new(books).await;
        for steps in 0..60 {
            let fuse = Arc::new(NthTime(AtomicUsize::new(usize::MAX)));
            let mut office = world.start_with(Some(fuse.clone()), renderer()).await;
            let id = office.enqueue(&job(EMAIL, &format!("again/dies/{steps}"))).await;
            office.run().await;
            let (old, before) = (office.newest_link(), office.mails().len());
            assert_eq!(office.reissue(id).await, ReissueAnswer::Asked, "asked");
            fuse.0.store(steps, Ordering::SeqCst);
            office.falter(["feed", "carry", "finish"]).await;
            let died = fuse.0.load(Ordering::SeqCst) == 0;
            drop(office);

            let mut next = world.start().await;
            next.run().await;
            next.after(TimeDelta::minutes(20)).await;
            next.after(TimeDelta::minutes(20)).await;
            let sent = next.said(id, Kind::Dispatched).await == 2;
            let unknown = next.said(id, Kind::Ambiguous).await == 1;
            assert!(sent != unknown, "{steps}: {:?}", next.log(id).await);
            assert_eq!(next.said(id, Kind::Reissued).await, 1, "{steps}: asked once");
            assert_eq!(next.stage(id).await, Stage::Dispatched, "{steps}: where it stood");
            let mails = next.mails();
            let arrived = mails.len() - before;
            assert!(arrived == 1 || (unknown && arrived == 0), "{steps}: {arrived} mails");
            let mut ids: Vec<_> = mails.iter().map(|mail| message_id(&mail.bytes)).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), mails.len(), "{steps}: no mail twice");
            assert_eq!(next.open_link(&old).await.status, 410, "{steps}: the old one is dead");
            if arrived == 1 {
                let opened = next.open_link(&next.newest_link()).await;
                assert_eq!(opened.status, 200, "{steps}: what arrived opens");
            }
            next.inspect().await;
            if !died {
                assert!(steps > 6, "there were points to die at: {steps}");
                return;
            }
        }
        panic!("the new link never comes to its end");
    }
}

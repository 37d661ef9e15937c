//! Journeys of links that nobody opened.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::TimeDelta;
use kakitome::{
    app::catcher::{Act, Script},
    clock::Clock as _,
    dispatch::email::Verb,
    domain::{log::Kind, stage::Stage},
    store::{
        reminders::{self, State},
        work::{self, Step},
    },
};
use mail_parser::MessageParser;
use serde_json::json;

use crate::{
    dies_here::NthTime,
    harness::{World, journeys, renderer},
    reminded::{reminding, text_of, then, tuesday_morning, wednesday_morning},
};

journeys! {
    /// On the morning that was asked for, once, with a link that is the same.
    async fn a_link_that_nobody_opened_is_brought_to_mind(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&reminding("mind/1")).await;
        office.run().await;
        assert_eq!(office.state_of(id).await, State::Planned, "planned");
        office.at(tuesday_morning() - TimeDelta::seconds(1)).await;
        assert_eq!(office.mails().len(), 1, "not before");
        office.inspect().await;
        let before = office.row(id).await;

        office.at(tuesday_morning()).await;
        let mails = office.mails();
        assert_eq!(mails.len(), 2, "one mail more");
        assert_eq!(mails[0].envelope_to, mails[1].envelope_to, "to the same address");
        let (subject, text) = text_of(&mails[1].bytes);
        assert!(subject.contains("未開封"), "it says what it is: {subject}");
        for words in ["2026年11月20日", "2026年12月4日", "まだ開かれていません", "KT-"] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        let first = MessageParser::default().parse(mails[0].bytes.as_slice()).unwrap();
        let second = MessageParser::default().parse(mails[1].bytes.as_slice()).unwrap();
        assert_eq!(second.in_reply_to().as_text(), first.message_id(), "below the first mail");
        assert_ne!(second.message_id(), first.message_id(), "and a mail of its own");
        assert_eq!(office.state_of(id).await, State::Sent, "on the books");
        assert_eq!(office.told(id, Kind::Reminded).await, 1, "and in the log");
        let after = office.row(id).await;
        assert_eq!(
            (after.stage, after.dispatched_at, after.purge_at),
            (before.stage, before.dispatched_at, before.purge_at),
            "the delivery stands where it stood, and not a day longer"
        );
        office.inspect().await;
        for days in 1..9 {
            office.at(tuesday_morning() + TimeDelta::days(days)).await;
        }
        assert_eq!(office.mails().len(), 2, "once is enough");

        // Two mails, one link: what the one opens the other has opened.
        let links = office.links();
        assert_ne!(links[0], links[1], "each mail has a token of its own");
        for link in &links {
            let page = office.get(link.strip_prefix("http://localhost").unwrap()).await;
            assert_eq!(page.status, 200, "both lead to the page");
        }
        let file = office.open_link(&links[1]).await;
        assert!(file.status == 200 && file.body.starts_with(b"%PDF-"), "it opens");
        for link in &links {
            assert_eq!(office.open_link(link).await.status, 410, "once means once");
        }
        assert_eq!(office.told(id, Kind::Opened).await, 1, "one open");
        office.inspect().await;

        world.clock.set("2026-12-20T15:00:00Z".parse().unwrap());
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Purged, "on the day it promised");
        assert_eq!(office.reminder(id).await, None, "and the plan with it");
        assert_eq!(office.open_link(&links[1]).await.status, 410, "gone");
        office.inspect().await;
    }

    /// Whatever ended the wait, nobody is reminded of it.
    async fn what_needs_no_reminder_gets_none(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let opened = office.enqueue(&reminding("mind/2")).await;
        office.run().await;
        assert_eq!(office.open_link(&office.newest_link()).await.status, 200, "opened");
        let recalled = office.enqueue(&reminding("mind/3")).await;
        let mut short = reminding("mind/4");
        short["link"]["expires_in"] = "3d".into();
        let short = office.enqueue(&short).await;
        let mut late = reminding("mind/5");
        late["link"]["reminder"] = json!({"before_expiry_days": 50});
        let late = office.enqueue(&late).await;
        office.run().await;
        office.taken_back(recalled).await;
        office.at(wednesday_morning()).await;
        assert_eq!(office.mails().len(), 4, "the first mails, and no more");
        assert_eq!(office.state_of(opened).await, State::NotNeeded, "it was opened");
        assert_eq!(office.state_of(recalled).await, State::NotNeeded, "it was taken back");
        for id in [short, late] {
            assert_eq!(office.state_of(id).await, State::TooLate, "nothing could be done any more");
            let code = office.code_of(id, Kind::NotReminded).await;
            assert_eq!(code.as_deref(), Some("reminder_too_late"), "and the sender is told");
        }
        office.inspect().await;
    }

    /// The marker decides, and a person who is faster than it.
    async fn who_opens_it_a_moment_before_is_not_reminded(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let waiting = office.enqueue(&reminding("mind/6")).await;
        office.run().await;
        let first = office.newest_link();
        let held = office.enqueue(&reminding("mind/7")).await;
        office.run().await;
        let second = office.newest_link();
        world.clock.set(tuesday_morning());
        office.tick("remind").await;
        // Work is made of both; one of them is in a worker's hands.
        let now = world.clock.now();
        let mut tx = office.office.db.begin().await.unwrap();
        let mut row = work::lock(&mut tx, held).await.unwrap().expect("there is work");
        let steps = [Step::Remind];
        let epoch = office.office.epoch;
        let mine = work::claim(&mut tx, epoch, now, &steps, 9, 9, &mut String::new()).await.unwrap();
        assert_eq!(mine.len(), 2, "both are due");
        let back = work::give_back(&mut tx, epoch, &[waiting], None).await.unwrap();
        assert_eq!(back, 1, "one waits");
        row = work::lock(&mut tx, row.job).await.unwrap().unwrap();
        assert_eq!(row.lease, Some(epoch), "one is held");
        tx.commit().await.unwrap();
        for link in [&first, &second] {
            assert_eq!(office.open_link(link).await.status, 200, "both are opened");
        }
        let left = reminders::leave_now(&office.office.db, epoch, now, &[held]).await.unwrap();
        assert!(left.is_empty(), "it stays");
        office.run().await;
        office.after(TimeDelta::minutes(20)).await;
        assert_eq!(office.mails().len(), 2, "nobody is reminded");
        for id in [waiting, held] {
            assert_eq!(office.state_of(id).await, State::NotNeeded, "and that is the end of it");
        }
        office.inspect().await;
    }

    /// A freeze is not an end; it is waited for.
    async fn a_frozen_delivery_is_reminded_of_later(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&reminding("mind/8")).await;
        let over = office.enqueue(&reminding("mind/9")).await;
        office.run().await;
        office.frozen(id, true).await;
        office.frozen(over, true).await;
        office.at(tuesday_morning()).await;
        assert_eq!(office.mails().len(), 2, "nothing leaves while it lasts");
        office.frozen(id, false).await;
        office.after(TimeDelta::hours(3)).await;
        assert_eq!(office.mails().len(), 2, "nor at some hour of the day");
        office.at(wednesday_morning()).await;
        assert_eq!(office.state_of(id).await, State::Sent, "but in the morning");
        for day in 2..14 {
            office.at(tuesday_morning() + TimeDelta::days(day)).await;
        }
        assert_eq!(office.state_of(over).await, State::TooLate, "if there is one in time");
        assert_eq!(office.mails().len(), 3, "one reminder");
        office.inspect().await;
    }

    /// A reminder that is put off goes out later, byte for byte.
    async fn a_deferred_reminder_is_tried_again(books: Books) {
        let script = then(1, Verb::Body, Act::Say("451 4.7.1 later".into()), 1);
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&reminding("mind/10")).await;
        office.run().await;
        office.at(tuesday_morning()).await;
        assert_eq!(office.mails().len(), 1, "put off");
        assert_eq!(office.state_of(id).await, State::Planned, "not settled");
        assert_eq!(office.told(id, Kind::AttemptFailed).await, 1, "on record");
        office.inspect().await;
        let sealed = {
            let mut tx = office.office.db.read().await.unwrap();
            reminders::mail_of(&mut tx, id).await.unwrap().unwrap().sealed
        };
        assert!(sealed.is_some(), "the mail rests sealed");
        office.after(TimeDelta::minutes(2)).await;
        assert_eq!(office.mails().len(), 2, "and then taken");
        let date = text_header(&office.mails()[1].bytes, "Date");
        assert!(date.contains("23:00:00"), "the bytes that were composed first: {date}");
        assert_eq!(office.state_of(id).await, State::Sent, "settled");
        assert_eq!(office.open_link(&office.newest_link()).await.status, 200, "it opens");
        office.inspect().await;
    }

    /// Nobody knows whether it arrived: it is told, and not sent again.
    async fn a_reminder_whose_reply_was_lost_is_not_sent_again(books: Books) {
        let script = then(1, Verb::Body, Act::KeepAndHangUp, 1);
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&reminding("mind/11")).await;
        office.run().await;
        office.at(tuesday_morning()).await;
        assert_eq!(office.state_of(id).await, State::Unknown, "nobody knows");
        let code = office.code_of(id, Kind::NotReminded).await;
        assert_eq!(code.as_deref(), Some("reply_lost"), "the sender is told so");
        let row = office.row(id).await;
        assert_eq!((row.stage, row.reason), (Stage::Dispatched, None), "the delivery stands");
        let known = office.mails().len();
        office.after(TimeDelta::days(2)).await;
        assert_eq!(office.mails().len(), known, "never again");
        office.inspect().await;
    }

    /// A refusal is the reminder's, not the delivery's.
    async fn a_refused_reminder_leaves_the_delivery_alone(books: Books) {
        let script = then(1, Verb::Rcpt, Act::Say("550 5.1.1 nobody".into()), 9);
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&reminding("mind/12")).await;
        office.run().await;
        office.at(tuesday_morning()).await;
        assert_eq!(office.state_of(id).await, State::Failed, "refused");
        let code = office.code_of(id, Kind::NotReminded).await;
        assert_eq!(code.as_deref(), Some("address_rejected"), "and why");
        let row = office.row(id).await;
        assert_eq!((row.stage, row.reason), (Stage::Dispatched, None), "the delivery stands");
        assert_eq!(office.open_link(&office.newest_link()).await.status, 200, "its link opens");
        office.inspect().await;
    }

    /// A link that is issued again is another; the days count from its mail.
    async fn a_link_issued_again_is_what_is_brought_to_mind(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&reminding("mind/13")).await;
        office.run().await;
        office.at(tuesday_morning() - TimeDelta::hours(12)).await;
        office.issued_again(id).await;
        office.run().await;
        office.at(tuesday_morning() + TimeDelta::hours(2)).await;
        // It was Monday, a holiday, when it was issued.
        assert_eq!(office.mails().len(), 3, "the first, the second, the reminder");
        let links = office.links();
        assert_eq!(office.open_link(&links[0]).await.status, 410, "the old link is dead");
        let page = office.get(links[1].strip_prefix("http://localhost").unwrap()).await;
        assert_eq!(page.status, 200, "the new one lives");
        let file = office.open_link(&links[2]).await;
        assert_eq!(file.status, 200, "and so does its twin");
        assert_eq!(office.open_link(&links[1]).await.status, 410, "they are one");
        office.inspect().await;
    }

    /// However many are due, mails with documents do not stand behind them all.
    async fn reminders_are_a_trickle(books: Books) {
        let world = World::with(books, Script::default(), |config| {
            config.work.in_flight = 1_000;
            config.work.in_flight_per_tenant = 1_000;
        }).await;
        let mut office = world.start().await;
        for n in 0..200 {
            office.enqueue(&reminding(&format!("many/{n}"))).await;
        }
        office.run().await;
        assert_eq!(office.mails().len(), 200, "the first mails");
        world.clock.set(tuesday_morning());
        for _ in 0..40 {
            office.tick("remind").await;
        }
        let waiting = office.office.queues.letters.len();
        assert_eq!(waiting, 64, "no more than these stand before the next mail");
        office.run().await;
        assert_eq!(office.mails().len(), 400, "and all of them leave");
        office.inspect().await;
    }

    /// Three processes look at the same books: each link is brought to mind once.
    async fn three_processes_send_one_reminder(books: Books) {
        let world = World::new(books).await;
        let mut friday = world.start().await;
        let mut ids = vec![];
        for n in 0..30 {
            ids.push(friday.enqueue(&reminding(&format!("three/{n}"))).await);
        }
        friday.run().await;
        assert_eq!(friday.mails().len(), 30, "the first mails");
        drop(friday);
        world.clock.set(tuesday_morning());
        let (mut one, mut two, mut three) =
            (world.start().await, world.start().await, world.start().await);
        for _ in 0..3 {
            tokio::join!(one.try_all(), two.try_all(), three.try_all());
        }
        one.run().await;
        two.run().await;
        three.run().await;
        assert_eq!(one.mails().len(), 60, "one reminder each");
        for id in ids {
            assert_eq!(one.told(id, Kind::Reminded).await, 1, "told once");
            assert_eq!(one.state_of(id).await, State::Sent, "settled");
        }
        one.inspect().await;
    }

    /// Wherever a process dies while it reminds, the next one ends it: the
    /// reminder is sent once, or nobody knows and it is not sent again.
    async fn a_reminder_survives_the_death_of_its_process(books: Books) {
        let world = World::new(books).await;
        let mut jobs = vec![];
        for steps in 0..40 {
            let fuse = Arc::new(NthTime(AtomicUsize::new(usize::MAX)));
            let mut office = world.start_with(Some(fuse.clone()), renderer()).await;
            world.clock.set(tuesday_morning() - TimeDelta::days(4) + TimeDelta::seconds(steps));
            let id = office.enqueue(&reminding(&format!("dies/{steps}"))).await;
            office.run().await;
            jobs.push(id);
            // The last mail of this job stands in this process's own journal.
            world.clock.set(tuesday_morning());
            fuse.0.store(usize::try_from(steps).unwrap(), Ordering::SeqCst);
            office.falter(["remind", "carry", "finish"]).await;
            let died = fuse.0.load(Ordering::SeqCst) == 0;
            drop(office);
            let mut next = world.start().await;
            next.run().await;
            next.after(TimeDelta::minutes(20)).await;
            next.after(TimeDelta::minutes(20)).await;
            let state = next.state_of(id).await;
            assert!(matches!(state, State::Sent | State::Unknown), "{steps}: {state:?}");
            let mine = next.told(id, Kind::Reminded).await + next.told(id, Kind::NotReminded).await;
            assert_eq!(mine, 1, "{steps}: told once");
            let arrived = next.mails().len();
            next.inspect().await;
            if state == State::Sent {
                assert_eq!(arrived, 2 * jobs.len(), "{steps}: two mails each, no more, no fewer");
            }
            if !died {
                assert!(steps > 6, "there were points to die at: {steps}");
                return;
            }
        }
        panic!("the reminder never comes to its end");
    }
}

fn text_header(mail: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(mail).into_owned();
    text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
}

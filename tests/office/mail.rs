//! Journeys of mails.

use chrono::TimeDelta;
use kakitome::{
    app::catcher::{Act, Rule, Script},
    dispatch::email::Verb,
    domain::{log::Kind, stage::Stage},
    intake::desk::Verdict,
};
use sha2::{Digest as _, Sha256};

use crate::harness::{Books, EMAIL, World, in_the_future, job, journeys};

fn twice(at: Verb, words: &str) -> Script {
    Script::new(vec![Rule { at, recipient: None, act: Act::Say(words.into()), times: 2 }])
}

journeys! {
    /// Queue, PDF, sealed artifact, mail, link, open, log, purge: all of it.
    async fn a_mail_goes_the_whole_way(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "way/1")).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "the relay has it");
        assert_eq!(office.mails().len(), 1, "one mail");
        let link = office.newest_link();
        let file = office.open_link(&link).await;
        assert_eq!(file.status, 200, "the link opens");
        assert!(file.body.starts_with(b"%PDF-"), "and gives the PDF");
        let row = office.row(id).await;
        assert_eq!(row.pdf_sha256.unwrap(), <[u8; 32]>::from(Sha256::digest(&file.body)), "as sealed");
        assert_eq!(row.stage, Stage::Opened, "the books know");
        office.run().await;
        let log = office.log(id).await;
        let way = [Kind::Accepted, Kind::Sealed, Kind::Dispatched];
        assert_eq!(log[..3], way, "the log tells the way: {log:?}");
        assert!(log.contains(&Kind::Opened) && log.contains(&Kind::Downloaded), "{log:?}");
        office.inspect().await;

        // 20 November is kept through 20 December, in Tokyo.
        world.clock.set("2026-12-20T14:59:59Z".parse().unwrap());
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Opened, "not a second before its time");
        assert_eq!(office.open_link(&link).await.status, 410, "but the link has expired");
        world.clock.set("2026-12-20T15:00:00Z".parse().unwrap());
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Purged, "and then at once");
        assert_eq!(office.open_link(&link).await.status, 410, "the link stays dead");
        office.inspect().await;
    }

    /// The same key and payload twice is one mail; another payload is refused.
    async fn one_key_is_one_mail(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let first = job(EMAIL, "twice/1");
        let id = office.enqueue(&first).await;
        assert!(
            matches!(office.offer("acme", &first).await, Verdict::Duplicate { job } if job == id),
            "the same job again is a duplicate"
        );
        office.run().await;
        assert!(
            matches!(office.offer("acme", &first).await, Verdict::Duplicate { job } if job == id),
            "also after it went out"
        );
        let mut other = first.clone();
        other["reference"] = "another".into();
        let verdict = office.offer("acme", &other).await;
        assert!(
            matches!(&verdict, Verdict::Refused { refused } if refused.refusal.code() == "id_conflict"),
            "{verdict:?}"
        );
        // Another tenant's key is another key.
        office.enqueue_for("other", &first).await;
        office.run().await;
        assert_eq!(office.mails().len(), 2, "one mail for each tenant");
        let log = office.log(id).await;
        assert_eq!(log.iter().filter(|k| **k == Kind::Duplicate).count(), 2, "{log:?}");
        assert!(log.contains(&Kind::Conflict), "{log:?}");
        office.inspect().await;
    }

    /// A reply lost after the dot is ambiguous, and stays one mail.
    async fn a_lost_reply_is_never_sent_again(books: Books) {
        let script = Script::always(Verb::Body, Act::KeepAndHangUp);
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "lost/1")).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Ambiguous, "nobody knows");
        office.after(TimeDelta::days(3)).await;
        assert_eq!(office.mails().len(), 1, "the relay had taken it, and once is enough");
        let file = office.open_link(&office.newest_link()).await;
        assert_eq!(file.status, 200, "what may have arrived opens");
        assert_eq!(office.stage(id).await, Stage::Opened, "and an open settles it");
        office.inspect().await;
    }

    /// A deferred mail climbs the ladder with the same bytes.
    async fn a_deferral_is_tried_again_byte_for_byte(books: Books) {
        let script = twice(Verb::Rcpt, "451 4.7.1 later");
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "later/1")).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Sealed, "deferred");
        office.after(TimeDelta::seconds(75)).await;
        assert_eq!(office.mails().len(), 0, "deferred again");
        office.after(TimeDelta::minutes(7)).await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "and then taken");
        let log = office.log(id).await;
        let failed = log.iter().filter(|kind| **kind == Kind::AttemptFailed).count();
        assert_eq!(failed, 2, "each attempt is in the log: {log:?}");
        assert_eq!(log.iter().filter(|kind| **kind == Kind::Sealed).count(), 1, "sealed once");
        let link = office.newest_link();
        assert_eq!(office.open_link(&link).await.status, 200, "with the link of the first try");
        office.inspect().await;
    }

    /// A mailbox that does not exist ends the journey with a reason.
    async fn a_refused_address_is_undeliverable(books: Books) {
        let script = Script::always(Verb::Rcpt, Act::Say("550 5.1.1 nobody".into()));
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "refused/1")).await;
        office.run().await;
        let row = office.row(id).await;
        assert_eq!(row.stage, Stage::Undeliverable, "for good");
        assert_eq!(row.reason.as_deref(), Some("address_rejected"), "with its reason");
        office.inspect().await;
    }

    /// A job for tomorrow waits on the books, whoever starts again meanwhile.
    async fn a_scheduled_mail_waits_for_its_time(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let mut later = job(EMAIL, "scheduled/1");
        later["send_at"] = in_the_future(&world, 2).into();
        let id = office.enqueue(&later).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Accepted, "not before its time");
        office.inspect().await;
        drop(office);
        let mut office = world.start().await;
        office.after(TimeDelta::days(2)).await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "but then");
        office.inspect().await;
    }
}

use chrono::TimeDelta;
use kakitome::{
    domain::{ids::BatchId, log::Kind},
    store::{
        Db,
        account::{self, Account},
        handouts::{self, Held, NewHandout, Way},
        jobs::NewJob,
        links,
        postal::{self, BatchRow},
        retention::{self, PurgeJob},
        work,
    },
};

use sqlx::{Connection as _, PgConnection};

use crate::harness::{Office, contract};

impl Office {
    async fn account(&self, job: &NewJob) -> Account {
        self.read(async |tx| account::of_job(tx, job.id).await).await
    }

    /// Letters in a batch that is about to be handed over.
    async fn batched(&self, count: usize) -> (Vec<NewJob>, BatchRow) {
        let jobs: Vec<_> = (0..count).map(|n| self.letter("acme", &n.to_string())).collect();
        self.accept(&jobs).await;
        let now = self.now();
        let sealed: Vec<_> = jobs.iter().map(|job| self.sealed_letter(job, now)).collect();
        work::seal_now(&self.db, self.epoch, now, self.segment(), &sealed, &[]).await.unwrap();
        let ready = self
            .write(async |tx| postal::ready_pieces(tx, self.epoch, "press", now, 100).await)
            .await;
        let ids: Vec<_> = ready.iter().map(|leased| leased.job.id).collect();
        let batch = BatchRow {
            id: BatchId(self.entropy.id(now).unwrap()),
            partner: "press".to_owned(),
            cutoff_at: now,
            made_at: now,
            handed_at: None,
            piece_count: 0,
        };
        self.write(async |tx| postal::make_batch(tx, self.epoch, &batch, &ids).await).await;
        (jobs, batch)
    }

    async fn reserve(&self, job: &NewJob, bytes: i64) -> bool {
        let new = self.handout(job, bytes);
        let reserved = handouts::reserve(&self.db, &[&new], Held::WaitFor).await.unwrap();
        reserved.contains(&new.event.id)
    }

    fn handout(&self, job: &NewJob, bytes: i64) -> NewHandout {
        let link = self.link(job);
        NewHandout {
            event: self.event_of(job, Kind::Downloaded),
            job: job.id,
            day: link.day,
            print: link.print.as_slice().try_into().unwrap(),
            epoch: self.epoch,
            way: Way::View,
            session: "K7Q2-9XMF".to_owned(),
            from_byte: 0,
            to_byte: bytes,
        }
    }
}

contract! {
    /// As when a stream is dropped while it asks: months are made all the same.
    async fn who_gives_up_asking_leaves_nothing_open(office: &Office) {
        let job = office.deliver("acme", "1").await;
        let (link, now) = (office.link(&job), office.now());
        for patience in 1..60 {
            let asking = handouts::serves(&office.db, link.day, &link.print, now);
            let mut asking = std::pin::pin!(asking);
            for _ in 0..patience {
                if futures::poll!(asking.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let later = now + TimeDelta::days(400);
        office.db.ensure_months(later).await.expect("no lock is left behind");
        let serves = handouts::serves(&office.db, link.day, &link.print, now).await;
        assert!(serves.unwrap(), "and the books answer");
    }

    /// What is handed to a partner has left, and is reserved before.
    async fn a_letter_counts_from_its_batch(office: &Office) {
        let (jobs, batch) = office.batched(2).await;
        for job in &jobs {
            let account = office.account(job).await;
            assert!(account.runs() && account.dead_since.is_none(), "on its way, without a link");
            assert_eq!(account.bytes_max(), 39_000, "all of it, at the most");
            assert_eq!(account.left[0].handout.way, Way::Partner, "to the partner");
            assert_eq!(account.left[0].handout.receiver, "press", "by name");
        }
        let event = office.event_of(&jobs[1], Kind::Parked);
        let (epoch, second) = (office.epoch, jobs[1].id);
        let parked = office
            .write(async |tx| {
                postal::withdraw(tx, epoch, second, "payload_unreadable", event.clone(), &[]).await
            })
            .await;
        assert!(parked, "one of them is withdrawn");
        let (now, silent) = (office.now(), office.now() + TimeDelta::days(7));
        office.write(async |tx| postal::batch_handed(tx, batch.id, now, silent).await).await;
        let handed = office.account(&jobs[0]).await;
        assert!(handed.is_exact() && !handed.runs(), "the partner has it");
        assert_eq!(handed.bytes_max(), 39_000, "whole");
        let withdrawn = office.account(&jobs[1]).await;
        assert!(!withdrawn.is_exact() && !withdrawn.runs(), "an attempt may have begun");
        assert_eq!(withdrawn.bytes_max(), 39_000, "so the bound stands");
    }

    async fn a_letter_that_was_never_batched_left_nothing(office: &Office) {
        let job = office.letter("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        assert!(office.account(&job).await.is_zero(), "no row, no byte");
    }

    async fn a_link_that_serves_no_more_reserves_nothing(office: &Office) {
        let (frozen, revoked, purged, expired) = (
            office.deliver("acme", "1").await,
            office.deliver("acme", "2").await,
            office.deliver("acme", "3").await,
            office.deliver("acme", "4").await,
        );
        for job in [&frozen, &revoked, &purged, &expired] {
            assert!(office.reserve(job, 10).await, "while it serves");
        }
        let now = office.now();
        let event = office.event_of(&frozen, Kind::Frozen);
        office
            .write(async |tx| {
                kakitome::store::freezes::job(tx, frozen.id, true, event.clone()).await
            })
            .await;
        office.write(async |tx| links::revoke_of_job(tx, revoked.id, now).await).await;
        let gone = PurgeJob {
            id: purged.id, reason: None, event: office.event_of(&purged, Kind::Purged),
        };
        office.write(async |tx| retention::purge(tx, now, std::slice::from_ref(&gone), &[]).await).await;
        for job in [&frozen, &revoked, &purged] {
            assert!(!office.reserve(job, 10).await, "not any more");
        }
        office.clock.advance(TimeDelta::days(14));
        assert!(!office.reserve(&expired, 10).await, "at its end");
        for job in [&frozen, &revoked, &purged, &expired] {
            assert_eq!(office.account(job).await.bytes_max(), 10, "and no row is left of it");
            let downloads = office.kinds(job.id).await;
            let downloads = downloads.iter().filter(|kind| **kind == Kind::Downloaded).count();
            assert_eq!(downloads, 1, "nor an event");
        }
    }

    async fn many_reserve_together_each_by_itself(office: &Office) {
        let (one, other) = (office.deliver("acme", "1").await, office.deliver("bravo", "2").await);
        let dead = office.deliver("acme", "3").await;
        let now = office.now();
        office.write(async |tx| links::revoke_of_job(tx, dead.id, now).await).await;
        let (first, second) = (office.handout(&one, 10), office.handout(&other, 20));
        let (again, late) = (office.handout(&one, 30), office.handout(&dead, 40));
        let foreign = NewHandout { job: other.id, ..office.handout(&one, 50) };
        let all = [&first, &second, &again, &late, &foreign];
        let reserved = handouts::reserve(&office.db, &all, Held::PassOver).await.unwrap();
        let ids = [first.event.id, second.event.id, again.event.id];
        assert_eq!(reserved, ids.into_iter().collect(), "who is served, one link twice");
        let left = |job| async move {
            let account = office.account(job).await;
            let bytes = account.left.iter().map(|left| left.handout.bytes_max());
            let downloads = office.kinds(job.id).await;
            let downloads = downloads.iter().filter(|kind| **kind == Kind::Downloaded).count();
            assert_eq!(downloads, account.left.len(), "an event each");
            bytes.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(left(&one).await, [10, 30].into(), "each its own bytes");
        assert_eq!(left(&other).await, [20].into(), "and its own delivery");
        assert_eq!(left(&dead).await, [].into(), "of the dead nothing");
        let twice = handouts::reserve(&office.db, &[&first], Held::WaitFor).await;
        twice.expect_err("an access is on record once");
    }

    /// As when a recall hangs: whoever shares a statement with its link does not.
    async fn a_delivery_that_somebody_holds_is_passed_over(office: &Office) {
        // Whoever writes on SQLite is alone.
        let Db::Postgres(_) = office.db else { return };
        let (free, held) = (office.deliver("acme", "1").await, office.deliver("acme", "2").await);
        let (first, second) = (office.handout(&free, 10), office.handout(&held, 20));
        let (now, mut holder) = (office.now(), office.db.begin().await.unwrap());
        links::revoke_of_job(&mut holder, held.id, now).await.unwrap();
        let all = [&second, &first];
        let reserved = handouts::reserve(&office.db, &all, Held::PassOver).await.unwrap();
        assert_eq!(reserved, [first.event.id].into(), "the others do not wait");
        let let_go = async {
            let mut conn = PgConnection::connect(&office.url).await.unwrap();
            let waits = "SELECT COUNT(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
            while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut conn).await.unwrap() == 0 {}
            holder.commit().await.unwrap();
        };
        let alone = [&second];
        let waits = handouts::reserve(&office.db, &alone, Held::WaitFor);
        let (reserved, ()) = futures::join!(waits, let_go);
        assert!(reserved.unwrap().is_empty(), "alone it waits, and sees what became of the link");
        assert!(office.account(&held).await.is_zero(), "not a byte");
    }

    /// What left goes off the books with its delivery's month.
    async fn a_month_takes_its_handouts_along(office: &Office) {
        let job = office.deliver("acme", "1").await;
        assert!(office.reserve(&job, 10).await, "something left");
        let item = PurgeJob {
            id: job.id, reason: None, event: office.event_of(&job, Kind::Purged),
        };
        let now = office.now();
        office.write(async |tx| retention::purge(tx, now, std::slice::from_ref(&item), &[]).await).await;
        assert_eq!(office.account(&job).await.bytes_max(), 10, "its row says so for a while");
        let label = now.format("%Y%m").to_string();
        assert!(office.write(async |tx| retention::drop_month(tx, &label).await).await, "dropped");
        assert!(office.account(&job).await.is_zero(), "forgotten");
    }
}

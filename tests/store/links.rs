use std::sync::Arc;

use chrono::TimeDelta;
use kakitome::{
    crypto::Lookup,
    domain::{log::Kind, stage::Stage},
    store::{
        Blown, Fuse, StoreError,
        jobs::{self, Taken},
        links,
        retention::{self, PurgeJob},
        work,
    },
};

use crate::harness::{Office, contract};

contract! {
    async fn five_is_five_however_many_try(office: &Office) {
        let job = office.deliver("acme", "1").await;
        let link = office.link(&job);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..640 {
            let (db, print, now) = (office.db.clone(), link.print.clone(), office.now());
            tasks.spawn(async move {
                let mut tx = db.begin().await.unwrap();
                let counted = links::count_open(&mut tx, link.day, &print, now).await.unwrap();
                tx.commit().await.unwrap();
                counted
            });
        }
        let counted = tasks.join_all().await.into_iter().filter(|counted| *counted).count();
        assert_eq!(counted, 5, "exactly as many as allowed");
        let row = office.read(async |tx| links::find(tx, link.day, &link.print).await).await;
        assert_eq!(row.unwrap().link.opens, 5, "and as many are counted");
    }

    async fn many_are_found_each_in_its_place(office: &Office) {
        let (one, other) = (office.deliver("acme", "1").await, office.deliver("bravo", "2").await);
        let at = |job| {
            let link = office.link(job);
            Lookup { day: link.day, print: link.print.as_slice().try_into().unwrap() }
        };
        let nobodys = Lookup { day: at(&one).day, print: [9; 32] };
        let another_day = Lookup { day: at(&one).day + 1, ..at(&one) };
        let asked = [nobodys, at(&other), at(&one), another_day, at(&other), nobodys];
        let found = links::look_many(&office.db, &asked).await.unwrap();
        let jobs: Vec<_> = found.iter().map(|found| Some(found.as_ref()?.job.id)).collect();
        let (first, second) = (Some(one.id), Some(other.id));
        assert_eq!(jobs, [None, second, first, None, second, None], "twice asked is twice found");
        for (asked, found) in asked.iter().zip(found) {
            let alone = links::look(&office.db, asked.day, &asked.print).await.unwrap();
            assert_eq!(found, alone, "as it is found alone");
        }
        assert_eq!(links::look_many(&office.db, &[]).await.unwrap(), [], "nobody asked");
    }

    async fn who_gives_up_waiting_for_a_transaction_leaves_none_open(office: &Office) {
        let job = office.deliver("acme", "1").await;
        let link = office.link(&job);
        for patience in 1..40 {
            // As when a visitor hangs up: asked so often, and then no more.
            let mut reading = std::pin::pin!(office.db.read());
            for _ in 0..patience {
                if futures::poll!(reading.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..20 {
            let mut tx = office.db.begin().await.unwrap();
            links::count_open(&mut tx, link.day, &link.print, office.now()).await.unwrap();
            tx.commit().await.unwrap();
        }
        let row = office.read(async |tx| links::find(tx, link.day, &link.print).await).await;
        assert_eq!(row.unwrap().link.opens, 5, "every write was one");
    }

    async fn a_dead_link_does_not_open(office: &Office) {
        let now = office.now();
        let opens = async |job: &jobs::NewJob, at| {
            let link = office.link(job);
            office.write(async |tx| links::count_open(tx, link.day, &link.print, at).await).await
        };
        let expired = office.deliver("acme", "1").await;
        assert!(opens(&expired, now + TimeDelta::days(13)).await, "in its time");
        assert!(!opens(&expired, now + TimeDelta::days(14)).await, "not at its end");
        let revoked = office.deliver("acme", "2").await;
        let alive = office.write(async |tx| links::revoke_of_job(tx, revoked.id, now).await).await;
        assert_eq!(alive, 1, "revoked");
        assert!(!opens(&revoked, now).await, "dead");
        let purged = office.deliver("acme", "3").await;
        let item = PurgeJob {
            id: purged.id, reason: None, event: office.event_of(&purged, Kind::Purged),
        };
        office.write(async |tx| retention::purge(tx, now, std::slice::from_ref(&item), &[]).await).await;
        assert!(!opens(&purged, now).await, "gone");
        let link = office.link(&purged);
        let row = office.read(async |tx| links::find(tx, link.day, &link.print).await).await;
        assert!(row.is_some_and(|row| row.link.purged), "and known to be gone");
        let none = office.read(async |tx| links::find(tx, link.day, &[0; 32]).await).await;
        assert!(none.is_none(), "an unknown print is no link");
    }

    async fn opens_are_counted_as_events_not_states(office: &Office) {
        let job = office.deliver("acme", "1").await;
        for at in [1, 2] {
            office.clock.advance(TimeDelta::seconds(at));
            let (event, now) = (office.event_of(&job, Kind::Opened), office.now());
            let stage = office
                .write(async |tx| links::opened(tx, job.id, now, event.clone(), &[]).await)
                .await;
            assert_eq!(stage, Some(Stage::Opened), "opened");
        }
        let row = office.row(job.id).await;
        assert_eq!(row.stage_at, office.now() - TimeDelta::seconds(2), "the first time counts");
        let kinds = office.kinds(job.id).await;
        assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Opened).count(), 2, "two events");
    }

    /// An open proves that the mail arrived, so it is not sent again.
    async fn an_open_ends_a_pending_retry(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        office.seal(&[&job]).await;
        let now = office.now();
        office
            .write(async |tx| work::retry_later(tx, office.epoch, job.id, now, None).await)
            .await;
        let event = office.event_of(&job, Kind::Opened);
        office.write(async |tx| links::opened(tx, job.id, now, event.clone(), &[]).await).await;
        assert!(office.work(job.id).await.is_none(), "nothing is left to send");
    }

    /// Opens and recalls lock the same rows; neither may be a deadlock.
    async fn opening_and_recalling_at_once_never_block_each_other(office: &Office) {
        for n in 0..20 {
            let job = office.deliver("acme", &n.to_string()).await;
            let (link, now) = (office.link(&job), office.now());
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..3 {
                let (db, print, id) = (office.db.clone(), link.print.clone(), job.id);
                let event = office.event_of(&job, Kind::Opened);
                tasks.spawn(async move {
                    let mut tx = db.begin().await?;
                    if links::count_open(&mut tx, link.day, &print, now).await? {
                        links::opened(&mut tx, id, now, event, &[]).await?;
                    }
                    tx.commit().await
                });
            }
            let (db, id, event) = (office.db.clone(), job.id, office.event_of(&job, Kind::Recalled));
            tasks.spawn(async move {
                let mut tx = db.begin().await?;
                work::recall(&mut tx, id, now, event, &[]).await?;
                tx.commit().await
            });
            for done in tasks.join_all().await {
                done.unwrap();
            }
            assert_eq!(office.row(job.id).await.stage, Stage::Recalled, "recalled");
        }
    }

    /// A blown fuse before the commit leaves nothing, one after it everything.
    async fn a_commit_is_all_or_nothing(office: &Office) {
        for (point, there) in [("begin", false), ("commit", false), ("committed", true)] {
            let job = office.leased("acme", point);
            let db = office.db.clone().with_fuse(Arc::new(At(point)));
            let broken = jobs::accept_now(&db, office.epoch, std::slice::from_ref(&job), &[]).await;
            assert!(matches!(broken, Err(StoreError::Fuse { .. })), "blown at {point}");
            let row = office.read(async |tx| jobs::get(tx, None, job.id).await).await;
            assert_eq!(row.is_some(), there, "{point}");
            let again = office.accept(std::slice::from_ref(&job)).await;
            assert_eq!(again, [Taken::Fresh], "and trying again is right in any case");
        }
    }
}

#[derive(Debug)]
struct At(&'static str);

impl Fuse for At {
    fn check(&self, point: &'static str) -> Result<(), Blown> {
        if point == self.0 { Err(Blown) } else { Ok(()) }
    }
}

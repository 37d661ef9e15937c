use chrono::TimeDelta;
use kakitome::{
    domain::ids::Epoch,
    store::{
        checkpoints,
        workers::{self, WorkerRow},
    },
};

use crate::harness::{Office, contract};

impl Office {
    fn worker(&self, epoch: Epoch) -> WorkerRow {
        WorkerRow {
            epoch,
            host: "host-1".to_owned(),
            boot_id: "boot-1".to_owned(),
            roles: "seal,send".to_owned(),
            started_at: self.now(),
            alive_until: self.now() + TimeDelta::seconds(30),
            stopped_at: None,
            masters: "0123456789abcdef".to_owned(),
        }
    }

    async fn register(&self, epoch: Epoch) {
        let row = self.worker(epoch);
        self.write(async |tx| workers::register(tx, &row).await).await;
    }
}

contract! {
    async fn a_silent_workers_leases_are_taken_back(office: &Office) {
        office.register(office.epoch).await;
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        let judge = office.another_epoch();
        let dead = async || {
            let now = office.now();
            office.write(async |tx| workers::declare_dead(tx, judge, now).await).await;
            office.read(async |tx| workers::dead_leases(tx, 10).await).await
        };
        assert!(dead().await.is_empty(), "it lives");
        office.clock.advance(TimeDelta::seconds(20));
        let beat = async || {
            let until = office.now() + TimeDelta::seconds(30);
            office.write(async |tx| workers::heartbeat(tx, office.epoch, until).await).await
        };
        assert!(beat().await, "and says so");
        office.clock.advance(TimeDelta::seconds(20));
        assert!(dead().await.is_empty(), "a heartbeat is good for its time");
        office.clock.advance(TimeDelta::seconds(11));
        let found = dead().await;
        assert_eq!(found.len(), 1, "it fell silent");
        assert_eq!((found[0].job, found[0].epoch), (job.id, office.epoch), "holding this");
        assert_eq!(found[0].boot_id.as_deref(), Some("boot-1"), "under this boot");
        assert!(!beat().await, "it is too late to come back");
        let live = office.read(async |tx| workers::live_workers(tx, office.now()).await).await;
        assert!(live.is_empty(), "nobody lives");
        let release = async || {
            let now = office.now();
            office
                .write(async |tx| {
                    workers::release_dead(tx, job.id, office.epoch, now, true).await
                })
                .await
        };
        assert!(release().await, "taken back");
        assert!(!release().await, "by one");
        let row = office.work(job.id).await.unwrap();
        assert_eq!((row.lease, row.crashes), (None, 1), "free, and a crash older");
        let long_after = office.now() + TimeDelta::days(1);
        let forgotten = office.write(async |tx| workers::forget(tx, long_after).await).await;
        assert_eq!(forgotten, 1, "it left nothing behind");
    }

    async fn who_stops_or_is_unknown_holds_nothing(office: &Office) {
        office.register(office.epoch).await;
        let mine = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&mine)).await;
        let ghost = office.another_epoch();
        let theirs = office.leased("acme", "2");
        kakitome::store::jobs::accept_now(&office.db, ghost, std::slice::from_ref(&theirs), &[])
            .await
            .unwrap();
        let dead = async || office.read(async |tx| workers::dead_leases(tx, 10).await).await;
        let found = dead().await;
        assert_eq!(found.len(), 1, "an unknown epoch is dead");
        assert_eq!((found[0].job, found[0].host.clone()), (theirs.id, None), "nobody knows it");
        let now = office.now();
        office.write(async |tx| workers::stopped(tx, office.epoch, now).await).await;
        assert_eq!(dead().await.len(), 2, "so is a stopped one");
        let epochs = office.read(async |tx| workers::dead_epochs(tx, now).await).await;
        assert_eq!(epochs, [office.epoch], "which is on the books");
    }

    async fn a_note_is_written_over(office: &Office) {
        let now = office.now();
        for value in ["one", "two"] {
            office.write(async |tx| checkpoints::set(tx, "witness", now, value).await).await;
        }
        let note = office.read(async |tx| checkpoints::get(tx, "witness").await).await.unwrap();
        assert_eq!((note.at, note.value.as_str()), (now, "two"), "the last one stands");
        let exchange = async |read: Option<&str>, value: &str| {
            office
                .write(async |tx| checkpoints::exchange(tx, "witness", read, now, value).await)
                .await
        };
        assert!(!exchange(None, "x").await, "it is not the first");
        assert!(!exchange(Some("one"), "x").await, "nor what was read before");
        assert!(exchange(Some("two"), "three").await, "it is what was read");
        assert!(!exchange(Some("two"), "x").await, "once");
        let none = office.read(async |tx| checkpoints::get(tx, "nobody").await).await;
        assert!(none.is_none(), "and no other");
    }
}

//! Journeys of keys that are replaced or destroyed under living documents.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use kakitome::{
    app::key_change::KeyChange,
    domain::{ids::TenantId, log::Kind, stage::Stage},
    intake::desk::Verdict,
    store::{
        Db,
        keyring::{KeyError, Service},
        ledger::{self, Search},
    },
};

use crate::dies_here::NthTime;
use crate::harness::{EMAIL, TestOffice, World, job, journeys};

/// Destroys a key as a person does: again, while somebody reads the key store.
async fn asked_again(change: &KeyChange, tenant: &TenantId, service: Service) -> DateTime<Utc> {
    for _ in 0..500 {
        match change.destroy_tenant(tenant, service).await {
            Ok(at) => return at,
            Err(error) => {
                let why = error.downcast_ref::<KeyError>();
                assert!(matches!(why, Some(KeyError::StillInLog)), "{error:#}");
                tokio::task::yield_now().await;
            }
        }
    }
    panic!("the key store is read for ever");
}

impl TestOffice<'_> {
    /// What `kakitome keys` changes keys with.
    fn key_change(&self, db: Db) -> KeyChange {
        KeyChange {
            db,
            keys: self.office.keys.clone(),
            scribe: self.office.scribe.clone(),
            clock: self.office.clock.clone(),
        }
    }

    /// How often the log says that a key of a tenant was destroyed.
    async fn destructions(&self, tenant: &TenantId) -> usize {
        let mut tx = self.office.db.read().await.unwrap();
        let search = Search {
            tenant: Some(tenant.clone()),
            kind: Some(Kind::KeyDestroyed),
            limit: 50,
            ..Search::default()
        };
        ledger::search(&mut tx, &search).await.unwrap().len()
    }
}

/// The key id in a link: the first byte of its token.
fn key_id(link: &str) -> u8 {
    let token = link.rsplit('/').next().unwrap();
    data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap()[0]
}

journeys! {
    /// Links sent before a rotation open until they expire, then their keys
    /// die; links sent after it name the new keys.
    async fn links_outlive_the_rotation_of_their_keys(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        office.enqueue(&job(EMAIL, "before")).await;
        office.run().await;
        let before = office.newest_link();
        office.office.keys.rotate_link_keys().await.unwrap();
        office.after(TimeDelta::minutes(6)).await;
        office.enqueue(&job(EMAIL, "after")).await;
        office.run().await;
        let after = office.newest_link();
        assert_eq!((key_id(&before), key_id(&after)), (1, 2), "the link names its keys");
        for link in [&before, &after] {
            assert_eq!(office.open_link(link).await.status, 200, "both open");
        }
        for _ in 0..40 {
            office.after(TimeDelta::days(1)).await;
        }
        let good: Vec<u8> = office.office.keys.link_keys().await.unwrap().key_ids().collect();
        assert_eq!(good, [2], "the old keys died with their last link");
        assert_eq!(office.open_link(&after).await.status, 410, "a link of living keys is gone");
        assert_eq!(office.open_link(&before).await.status, 404, "one of dead keys is unknown");
        office.inspect().await;
    }

    /// A tenant leaves: the documents are gone at once, and nobody else's.
    async fn a_destroyed_service_answers_that_it_is_gone(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "leaves")).await;
        office.run().await;
        let link = office.newest_link();
        assert_eq!(office.open_link(&link).await.status, 200, "it opens");
        let acme = TenantId::parse("acme").unwrap();
        office.office.keys.destroy_tenant_key(&acme, Service::Mail).await.unwrap();
        office.after(TimeDelta::seconds(61)).await;
        assert_eq!(office.open_link(&link).await.status, 410, "gone within a minute");
        match office.offer("acme", &job(EMAIL, "too-late")).await {
            Verdict::Refused { refused } => {
                assert_eq!(refused.refusal.code(), "service_ended", "it is told so, once");
            }
            other => panic!("a job of a service that has ended: {other:?}"),
        }
        office.enqueue_for("other", &job(EMAIL, "neighbour")).await;
        for _ in 0..40 {
            office.after(TimeDelta::days(1)).await;
        }
        assert_eq!(office.stage(id).await, Stage::Purged, "its rows are cleared on their day");
        office.inspect().await;
    }

    /// Whoever destroys a tenant's key dies at each thing said to the books; asked
    /// again, it goes on, and the log has it once.
    async fn a_destruction_that_is_interrupted_is_on_record_once(books: Books) {
        let world = World::new(books).await;
        let office = world.start().await;
        let service = Service::Mail;
        for steps in 0..20 {
            let tenant = TenantId::parse(&format!("leaver-{steps}")).unwrap();
            office.office.keys.day_key(&tenant, service, 20_800).await.unwrap();
            let fuse = Arc::new(NthTime(AtomicUsize::new(steps)));
            let change = office.key_change(office.office.db.clone().with_fuse(fuse.clone()));
            let died = change.destroy_tenant(&tenant, service).await.is_err()
                && fuse.0.load(Ordering::SeqCst) == 0;
            let change = office.key_change(office.office.db.clone());
            let at = asked_again(&change, &tenant, service).await;
            let again = change.destroy_tenant(&tenant, service).await.unwrap();
            assert_eq!(at, again, "{steps}: twice is once");
            assert_eq!(office.destructions(&tenant).await, 1, "{steps}: once");
            let key = office.office.keys.day_key(&tenant, service, 20_801).await;
            assert!(key.is_err(), "{steps}: nothing is sealed for it any more");
            if !died {
                assert!(steps >= 3, "there were places to die at: {steps}");
                return;
            }
        }
        panic!("it never comes to its end");
    }
}

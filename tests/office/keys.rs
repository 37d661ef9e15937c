//! Journeys of keys that are replaced or destroyed under living documents.

use chrono::TimeDelta;
use kakitome::{
    domain::{ids::TenantId, stage::Stage},
    intake::desk::Verdict,
    store::keyring::Service,
};

use crate::harness::{EMAIL, World, job, journeys};

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
}

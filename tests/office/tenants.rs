//! Tenants never meet, and share the press fairly.

use axum::{body::Body, http::Request};
use kakitome::{app::catcher::Script, config::Config, domain::stage::Stage, intake::desk::Verdict};

use crate::harness::{EMAIL, World, answer, job, journeys};

fn small(config: &mut Config) {
    config.work.in_flight = 32;
    config.work.in_flight_per_tenant = 16;
    config.work.render_chunk = 2;
}

journeys! {
    /// One tenant's many jobs do not delay another one's only job.
    async fn a_big_tenant_does_not_delay_a_small_one(books: Books) {
        let world = World::with(books, Script::default(), small).await;
        let mut office = world.start().await;
        for n in 0..120 {
            office.enqueue(&job(EMAIL, &format!("bulk/{n}"))).await;
        }
        let only = office.enqueue_for("other", &job(EMAIL, "only/1")).await;
        // A handful of rounds of every step: far from enough for 120.
        for _ in 0..6 {
            for service in &mut office.services {
                service.tick().await.unwrap();
            }
        }
        assert_eq!(office.stage(only).await, Stage::Dispatched, "the small one is through");
        assert!(office.mails().len() < 90, "while the big one still waits");
        office.run().await;
        assert_eq!(office.mails().len(), 121, "and in the end everybody is");
        office.inspect().await;
    }

    /// A tenant in test mode: everything runs, nothing leaves the house.
    async fn test_mode_stays_in_the_house(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue_for("trial", &job(EMAIL, "trial/1")).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "it was carried");
        assert_eq!(world.catcher.connections(), 0, "but over no connection");
        assert_eq!(office.mails().len(), 1, "into the catcher");
        office.inspect().await;
    }

    /// Another tenant's job is not there, whatever is asked of it.
    async fn another_tenants_job_is_not_there(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "mine/1")).await;
        office.run().await;
        for (tenant, status) in [("acme", 200), ("other", 404)] {
            let token = format!("Bearer {tenant}-token-0123456789-0123456789-0123456789");
            let request = Request::get(format!("/v1/jobs/{id}"))
                .header("authorization", token)
                .body(Body::empty())
                .unwrap();
            let seen = answer(office.api.clone(), request).await;
            assert_eq!(seen.status, status, "{tenant} asks");
        }
        let mut foreign = job(EMAIL, "mine/2");
        foreign["tenant"] = "other".into();
        let verdict = office.offer("acme", &foreign).await;
        assert!(
            matches!(&verdict, Verdict::Refused { refused } if refused.refusal.code() == "wrong_tenant"),
            "{verdict:?}"
        );
        office.inspect().await;
    }
}

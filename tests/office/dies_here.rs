//! The process dies at every point at which it speaks to the database, and
//! another one takes over: each durable step may die here and may run twice.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::TimeDelta;
use kakitome::{
    domain::stage::Stage,
    store::{Blown, Fuse},
};

use crate::harness::{EMAIL, LETTER, World, job, journeys, renderer};

/// Blows at the n-th thing, and stays blown.
#[derive(Debug)]
pub(crate) struct NthTime(pub(crate) AtomicUsize);

impl Fuse for NthTime {
    fn check(&self, _: &'static str) -> Result<(), Blown> {
        let left = self.0.load(Ordering::SeqCst);
        if left == 0 {
            return Err(Blown);
        }
        self.0.store(left - 1, Ordering::SeqCst);
        Ok(())
    }
}

async fn one_life(world: &World, steps: usize) -> bool {
    let fuse = Arc::new(NthTime(AtomicUsize::new(usize::MAX)));
    let mut office = world.start_with(Some(fuse.clone()), renderer()).await;
    fuse.0.store(steps, Ordering::SeqCst);
    for sample in [EMAIL, LETTER] {
        let key = format!("dies/{steps}/{}", sample.len());
        let incoming = kakitome::intake::desk::Incoming {
            tenant: Ok(kakitome::domain::ids::TenantId::parse("acme").unwrap()),
            body: serde_json::to_vec(&job(sample, &key)).unwrap(),
            sealed: false,
            flaw: None,
            trace: None,
        };
        if office.desk.take(vec![incoming]).await.is_err() {
            return true;
        }
    }
    for _ in 0..3 {
        for service in &mut office.services {
            if service.tick().await.is_err() && fuse.0.load(Ordering::SeqCst) == 0 {
                return true;
            }
        }
    }
    fuse.0.load(Ordering::SeqCst) == 0
}

journeys! {
    /// Wherever the process dies, the next one brings both jobs home, once.
    async fn wherever_it_dies_the_next_one_goes_on(books: Books) {
        let world = World::new(books).await;
        // Every point takes minutes; that is for `tests/run --long`.
        let long = std::env::var_os("KAKITOME_TEST_LONG").is_some();
        let stride = if long { 1 } else { 7 };
        let mut steps = 0;
        loop {
            let died = one_life(&world, steps).await;
            steps += stride;
            if !died {
                break;
            }
            assert!(steps < 2_000, "the office never comes to its end");
        }
        assert!(steps > 20, "there were points to die at: {steps}");
        let mut office = world.start().await;
        office.run().await;
        office.after(TimeDelta::minutes(20)).await;
        office.after(TimeDelta::hours(4)).await;
        office.run().await;
        let mut tx = office.office.db.read().await.unwrap();
        let filter = kakitome::store::jobs::JobFilter { limit: 1000, ..Default::default() };
        let rows = kakitome::store::jobs::list(&mut tx, &filter).await.unwrap();
        drop(tx);
        for row in &rows {
            let at_rest = matches!(row.stage, Stage::Dispatched | Stage::Ambiguous);
            assert!(at_rest, "{} hangs in {}: {:?}", row.id, row.stage.word(), row.reason);
        }
        let sent = rows.iter().filter(|row| row.channel.word() == "email").count();
        let mut bodies: Vec<_> = office.mails().iter().map(|mail| mail.bytes.to_vec()).collect();
        let arrived = bodies.len();
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len(), arrived, "no mail came twice");
        assert!(arrived <= sent, "no mail without a job");
        office.inspect().await;
    }
}

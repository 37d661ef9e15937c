//! Journeys of letters on paper.

use chrono::TimeDelta;
use kakitome::domain::{log::Kind, stage::Stage};

use crate::harness::{Books, LETTER, World, files_below, job, journeys};

journeys! {
    /// A letter waits for the cut-off, goes to the partner once, is posted,
    /// and is kept one month after that.
    async fn a_letter_goes_the_whole_way(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(LETTER, "letter/1")).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Sealed, "it waits for 15:00");
        let out = world.dir.path().join("post/out");
        assert!(files_below(&out).is_empty(), "nothing lies with the partner yet");
        world.clock.set("2026-11-20T06:00:01Z".parse().unwrap());
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "the partner took it");
        let pdfs = files_below(&out).into_iter().filter(|f| f.extension().is_some_and(|e| e == "pdf"));
        assert_eq!(pdfs.count(), 0, "the hand-over was emptied when it was acknowledged");
        for _ in 0..8 {
            office.after(TimeDelta::hours(12)).await;
        }
        let log = office.log(id).await;
        for kind in [Kind::HandedOver, Kind::Dispatched, Kind::Posted] {
            let times = log.iter().filter(|one| **one == kind).count();
            assert_eq!(times, 1, "{} once: {log:?}", kind.word());
        }
        let due = office.row(id).await.purge_at.expect("the clock runs from the posting");
        world.clock.set(due - TimeDelta::seconds(1));
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "not a second before");
        world.clock.set(due);
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Purged, "and then at once");
        office.inspect().await;
    }
}

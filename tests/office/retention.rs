//! Dead on the day.

use chrono::TimeDelta;
use kakitome::{
    app::catcher::{Act, Script},
    dispatch::email::Verb,
    domain::{log::Kind, stage::Stage},
};

use crate::harness::{Books, EMAIL, World, job, journeys};

journeys! {
    /// The end of February is kept through the end of March: the legal month.
    async fn the_month_is_the_legal_one(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        world.clock.set("2027-02-28T03:00:00Z".parse().unwrap());
        office.run().await;
        let id = office.enqueue(&job(EMAIL, "february/1")).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "sent on 28 February");
        world.clock.set("2027-03-31T14:59:59Z".parse().unwrap());
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "kept through 31 March");
        world.clock.set("2027-03-31T15:00:00Z".parse().unwrap());
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Purged, "and not longer");
        office.inspect().await;
    }

    /// A job that could never be sent is destroyed at its greatest age.
    async fn what_was_never_sent_is_destroyed_too(books: Books) {
        let script = Script::always(Verb::Mail, Act::Say("550 5.7.1 not you".into()));
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "never/1")).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Parked, "the relay refuses us");
        office.after(TimeDelta::days(29)).await;
        assert_eq!(office.stage(id).await, Stage::Parked, "a person may still look");
        office.after(TimeDelta::days(10)).await;
        let log = office.log(id).await;
        let ends = log.iter().filter(|kind| **kind == Kind::NeverDispatched).count();
        assert_eq!(ends, 1, "but not for ever, and the log says so: {log:?}");
        assert!(office.find(id).await.is_none_or(|row| row.wrapped_key.is_none()), "nothing is left");
        office.inspect().await;
    }
}

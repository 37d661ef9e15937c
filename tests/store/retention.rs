use chrono::{DateTime, TimeDelta, Utc};
use kakitome::{
    domain::{ids::JobId, log::Kind, stage::Stage},
    store::{
        jobs::{self, NewJob, Taken},
        retention::{self, PurgeJob},
        work,
    },
};
use sqlx::Connection as _;

use crate::harness::{Office, contract};

impl Office {
    fn purge_item(&self, job: &NewJob) -> PurgeJob {
        PurgeJob { id: job.id, reason: None, event: self.event_of(job, Kind::Purged) }
    }

    async fn purge(&self, jobs: &[&NewJob]) -> Vec<JobId> {
        let items: Vec<_> = jobs.iter().map(|job| self.purge_item(job)).collect();
        let notes: Vec<_> = jobs.iter().map(|job| self.note(job)).collect();
        let now = self.now();
        self.write(async |tx| retention::purge(tx, now, &items, &notes).await).await
    }
}

contract! {
    async fn purging_leaves_nothing_that_was_sealed(office: &Office) {
        let jobs = [office.leased("acme", "1"), office.leased("acme", "2")];
        office.accept(&jobs).await;
        let segment = office.seal(&[&jobs[0], &jobs[1]]).await;
        office.clock.advance(TimeDelta::days(31));
        assert_eq!(office.purge(&[&jobs[0]]).await, [jobs[0].id], "purged");
        let row = office.row(jobs[0].id).await;
        assert_eq!((row.stage, row.purged_at), (Stage::Purged, Some(office.now())), "now");
        let sealed = [row.wrapped_key, row.personal, row.payload];
        assert!(sealed.iter().all(Option::is_none), "no key, no name, no payload");
        let places = [row.artifact_offset, row.artifact_len, row.mail_offset, row.mail_len];
        assert!(places.iter().all(Option::is_none) && row.segment.is_none(), "and no place");
        assert!(office.work(jobs[0].id).await.is_none(), "nothing is left to do");
        let known = office.read(async |tx| retention::known_segments(tx, None).await).await;
        assert_eq!((known[0].id, known[0].live, known[0].sealed_count), (segment, 1, 2), "one left");

        assert!(office.purge(&[&jobs[0]]).await.is_empty(), "twice is once");
        assert_eq!(office.purge(&[&jobs[0], &jobs[1]]).await, [jobs[1].id], "each by itself");
        let known = office.read(async |tx| retention::known_segments(tx, None).await).await;
        assert_eq!(known[0].live, 0, "and counted once");
        let kinds = office.kinds(jobs[0].id).await;
        assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Purged).count(), 1, "and logged once");
    }

    async fn only_what_is_due_is_due(office: &Office) {
        let sent = office.deliver("acme", "1").await;
        let waiting = office.leased("acme", "2");
        office.accept(std::slice::from_ref(&waiting)).await;
        let due = async |day, now| {
            office.read(async |tx| retention::due(tx, day, now, 100).await).await
        };
        let now = office.now();
        assert!(due(20_799, now).await.is_empty(), "not the day before");
        let first = due(20_800, now).await;
        assert_eq!(first.len(), 1, "the one whose clock never started lies under the first day");
        assert_eq!((first[0].id, first[0].purge_at), (waiting.id, None), "and says so");
        assert!(first[0].has_work && !first[0].sending, "it is still to be done");
        assert_eq!(due(20_809, now).await.len(), 1, "the other's hour has not come");
        let both = due(20_809, now + TimeDelta::days(31)).await;
        assert_eq!(both.len(), 2, "now it has");
        assert_eq!((both[1].id, both[1].stage), (sent.id, Stage::Dispatched), "earliest day first");
        let on_day = office
            .read(async |tx| retention::unsettled_on_day(tx, &sent.tenant, 20_809).await)
            .await;
        assert_eq!(on_day, [sent.id], "what the day's key still opens");
    }

    async fn a_key_moves_to_a_later_day_only(office: &Office) {
        let job = office.job("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        let rewrap = async |from, to| {
            office
                .write(async |tx| retention::rewrap(tx, job.id, from, to, &[9; 60]).await)
                .await
        };
        assert!(!rewrap(20_800, 20_800).await, "not to the same day");
        assert!(!rewrap(20_800, 20_799).await, "not to an earlier one");
        assert!(!rewrap(20_801, 20_805).await, "not from another");
        assert!(rewrap(20_800, 20_805).await, "to a later one");
        assert!(!rewrap(20_800, 20_810).await, "and from there only");
        let row = office.row(job.id).await;
        assert_eq!(row.purge_day, 20_805, "that is its day");
        assert_eq!(row.wrapped_key.as_deref(), Some(&[9; 60][..]), "and its key");
        office.purge(&[&job]).await;
        assert!(!rewrap(20_805, 20_900).await, "what is gone stays gone");
    }

    async fn an_empty_segment_is_destroyed_once_closed(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        let segment = office.seal(&[&job]).await;
        let grace = TimeDelta::minutes(10);
        let empty = async || {
            let now = office.now();
            office.read(async |tx| retention::empty_segments(tx, now, grace).await).await
        };
        office.clock.advance(TimeDelta::hours(1));
        assert!(empty().await.is_empty(), "something lives in it");
        let early = office
            .write(async |tx| retention::segment_destroyed(tx, segment, office.now()).await)
            .await;
        assert!(!early, "so it cannot have been destroyed");
        office.purge(&[&job]).await;
        assert_eq!(empty().await, [segment], "its epoch is unknown, so it is closed");
        let gone = office
            .write(async |tx| retention::segment_destroyed(tx, segment, office.now()).await)
            .await;
        assert!(gone, "destroyed");
        assert!(empty().await.is_empty(), "once");
        let known = office.read(async |tx| retention::known_segments(tx, None).await).await;
        assert!(known.is_empty(), "and it is on no list");
    }

    async fn unsettled_mails_keep_their_hours_key(office: &Office) {
        let jobs: Vec<_> = (0..3).map(|n| office.leased("acme", &n.to_string())).collect();
        office.accept(&jobs).await;
        office.seal(&jobs.iter().collect::<Vec<_>>()).await;
        let unsettled = async || {
            office
                .read(async |tx| retention::unsettled_on_mail_hour(tx, 498_684).await)
                .await
        };
        assert_eq!(unsettled().await, 3, "all are to be sent");
        let sent = [office.dispatched(&jobs[0])];
        work::dispatched_now(&office.db, office.epoch, &sent, &[]).await.unwrap();
        let event = office.event_of(&jobs[1], Kind::Parked);
        office
            .write(async |tx| work::park(tx, None, jobs[1].id, "x", event.clone(), &[]).await)
            .await;
        assert_eq!(unsettled().await, 2, "one was; the parked one may be");
        let at = office.now() + TimeDelta::days(1);
        let old = office.read(async |tx| retention::old_undispatched(tx, at, 10).await).await;
        assert_eq!(old, [jobs[1].id, jobs[2].id], "and neither has left");
    }

    /// A whole month is purged, and leaves the books.
    async fn a_spent_month_is_dropped(office: &Office) {
        let (old, young) = (office.deliver("acme", "old").await, TimeDelta::days(40));
        let month = office.now().format("%Y%m").to_string();
        office.clock.advance(young);
        office.db.ensure_months(office.now()).await.unwrap();
        let new = office.deliver("acme", "new").await;
        let spent = async || {
            let now = office.now();
            let all: Vec<String> =
                office.read(async |tx| retention::droppable_months(tx, now).await).await;
            all.into_iter().filter(|label| *label == month).collect::<Vec<_>>()
        };
        let drop = async || {
            office.write(async |tx| retention::drop_month(tx, &month).await).await
        };
        assert!(spent().await.is_empty(), "a document of it lives");
        assert!(!drop().await, "so it cannot be dropped");
        office.purge(&[&old]).await;
        assert_eq!(spent().await, [month.clone()], "now it is spent");
        assert!(drop().await, "dropped");
        let gone = office.read(async |tx| jobs::get(tx, None, old.id).await).await;
        assert!(gone.is_none(), "off the books");
        assert_eq!(office.row(new.id).await.stage, Stage::Dispatched, "the other stays");
        assert!(office.kinds(old.id).await.contains(&Kind::Purged), "and so does the log");
        let again = office.job("acme", "old");
        let known = office.accept(std::slice::from_ref(&again)).await;
        assert_eq!(known, [Taken::Same { job: old.id }], "its key is known for its time");
        let forget = async |before: DateTime<Utc>| {
            let (mut cursor, mut count) = (vec![], 0);
            loop {
                count += office
                    .write(async |tx| retention::forget_keys(tx, before, &mut cursor, 1).await)
                    .await;
                if cursor.is_empty() {
                    return count;
                }
            }
        };
        assert_eq!(forget(old.accepted_at).await, 0, "not yet");
        let later = office.now() + TimeDelta::days(1);
        assert_eq!(forget(later).await, 1, "the old one's; the other is on the books");
        assert_eq!(office.accept(&[again]).await, [Taken::Fresh], "then it is forgotten");
    }

    async fn months_are_made_ahead(office: &Office) {
        for days in [0, 30, 60] {
            let at = office.now() + TimeDelta::days(days);
            let hand = kakitome::clock::HandClock::starting_at(at);
            let job = {
                use kakitome::clock::Clock as _;
                let mut job = office.leased("acme", &days.to_string());
                job.id = JobId(office.entropy.id(hand.now()).unwrap());
                job.event = office.event(&job.tenant, job.id, Kind::Accepted);
                job
            };
            assert_eq!(office.accept(&[job]).await, [Taken::Fresh], "{days} days ahead");
        }
        if office.db.is_shared() {
            let mut conn = sqlx::PgConnection::connect(&office.url).await.unwrap();
            let parts: Vec<String> = sqlx::query_scalar(
                "SELECT DISTINCT tableoid::regclass::text FROM jobs ORDER BY 1",
            )
            .fetch_all(&mut conn)
            .await
            .unwrap();
            assert_eq!(parts, ["jobs_202611", "jobs_202612", "jobs_202701"], "each in its month");
            let empty: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM ONLY jobs")
                .fetch_one(&mut conn)
                .await
                .unwrap();
            assert_eq!(empty, 0, "and none elsewhere");
        }
    }
}

use kakitome::{
    domain::{log::Kind, stage::Stage},
    store::{
        jobs::{self, JobFilter, NewJob, Taken},
        outbox,
        work::Step,
    },
};

use crate::harness::{Office, contract};

contract! {
    async fn a_batch_is_on_the_books_with_all_that_belongs_to_it(office: &Office) {
        let fresh: Vec<_> = (0..50).map(|n| office.leased("acme", &n.to_string())).collect();
        let notes: Vec<_> = fresh.iter().map(|job| office.note(job)).collect();
        let taken = jobs::accept_now(&office.db, office.epoch, &fresh, &notes).await.unwrap();
        assert_eq!(taken, vec![Taken::Fresh; 50], "all of them are new");
        for job in &fresh {
            let row = office.row(job.id).await;
            assert_eq!(row.stage, Stage::Accepted, "accepted");
            assert_eq!(row.payload.as_deref(), Some(job.payload.as_slice()), "its payload");
            let work = office.work(job.id).await.unwrap();
            assert_eq!(work.lease, Some(office.epoch), "leased at once");
            assert_eq!((work.step, work.attempt, work.crashes), (Step::Seal, 1, 0), "first try");
            assert_eq!(office.kinds(job.id).await, [Kind::Accepted], "one event");
        }
        assert_eq!(office.read(async |tx| outbox::depth(tx).await).await, 50, "one note each");
    }

    async fn the_same_job_twice_is_one_delivery(office: &Office) {
        let first = office.job("acme", "1");
        assert_eq!(office.accept(std::slice::from_ref(&first)).await, [Taken::Fresh], "new");
        let again = office.job("acme", "1");
        assert_ne!(again.id, first.id, "the sender's retry is a message of its own");
        let notes = [office.note(&again)];
        let taken = jobs::accept_now(&office.db, office.epoch, std::slice::from_ref(&again), &notes);
        assert_eq!(taken.await.unwrap(), [Taken::Same { job: first.id }], "known");
        let gone = office.read(async |tx| jobs::get(tx, None, again.id).await).await;
        assert!(gone.is_none(), "and nothing was written for it");
        assert!(office.work(again.id).await.is_none(), "nor is there work");
        assert_eq!(office.read(async |tx| outbox::depth(tx).await).await, 0, "nor an event");
        let other = NewJob { payload_mac: [9; 32], ..office.job("acme", "1") };
        assert_eq!(office.accept(&[other]).await, [Taken::Conflict { job: first.id }], "conflict");
        let stranger = office.job("other", "1");
        assert_eq!(office.accept(&[stranger]).await, [Taken::Fresh], "another tenant's key");
        let found = office.read(async |tx| jobs::by_print(tx, &first.dedupe_print).await).await;
        assert_eq!(found, Some(first.id), "found by its print");
    }

    async fn one_batch_may_bring_a_job_twice(office: &Office) {
        let first = office.job("acme", "1");
        let same = office.job("acme", "1");
        let other = NewJob { payload_mac: [9; 32], ..office.job("acme", "1") };
        let alone = office.job("acme", "2");
        let batch = [first.clone(), same, alone, other];
        let taken = office.accept(&batch).await;
        assert_eq!(
            taken,
            [
                Taken::Fresh,
                Taken::Same { job: first.id },
                Taken::Fresh,
                Taken::Conflict { job: first.id }
            ],
            "the first of a kind wins"
        );
    }

    /// The answer of a commit can be lost; asking again must not make the
    /// sender's job a duplicate of itself.
    async fn accepting_the_same_batch_again_says_the_same(office: &Office) {
        let batch: Vec<_> = (0..5).map(|n| office.leased("acme", &n.to_string())).collect();
        assert_eq!(office.accept(&batch).await, [Taken::Fresh; 5], "new");
        assert_eq!(office.accept(&batch).await, [Taken::Fresh; 5], "still ours");
        assert_eq!(office.kinds(batch[0].id).await, [Kind::Accepted], "written once");
    }

    async fn eight_at_once_make_one_delivery(office: &Office) {
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..8_u32 {
            // Each brings the same keys in another order.
            let mut batch: Vec<_> = (0..40).map(|n| office.job("acme", &n.to_string())).collect();
            batch.rotate_left(usize::try_from(worker * 5).unwrap());
            let (db, epoch) = (office.db.clone(), office.epoch);
            tasks.spawn(async move {
                let taken = jobs::accept_now(&db, epoch, &batch, &[]).await.unwrap();
                batch.into_iter().zip(taken).collect::<Vec<_>>()
            });
        }
        let all: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        let fresh: Vec<_> =
            all.iter().filter(|(_, taken)| *taken == Taken::Fresh).map(|(job, _)| job.id).collect();
        assert_eq!(fresh.len(), 40, "each key has one delivery");
        for (_, taken) in &all {
            if let Taken::Same { job } = taken {
                assert!(fresh.contains(job), "and the others were told which");
            }
        }
        let filter = JobFilter { limit: 1_000, ..JobFilter::default() };
        let listed = office.read(async |tx| jobs::list(tx, &filter).await).await;
        assert_eq!(listed.len(), 40, "no more rows than that");
    }

    async fn lists_are_filtered_and_paged(office: &Office) {
        let batch: Vec<_> = (0..30).map(|n| office.job("acme", &n.to_string())).collect();
        office.accept(&batch).await;
        office.accept(&[office.job("other", "1")]).await;
        let tenant = Some(batch[0].tenant.clone());
        let mut filter =
            JobFilter { tenant, stage: Some(Stage::Accepted), limit: 12, ..JobFilter::default() };
        let mut seen = vec![];
        loop {
            let page = office.read(async |tx| jobs::list(tx, &filter).await).await;
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id);
            seen.extend(page.into_iter().map(|row| row.id));
        }
        seen.reverse();
        assert_eq!(seen, batch.iter().map(|job| job.id).collect::<Vec<_>>(), "newest first, all");
        for stage in Stage::ALL.into_iter().filter(|stage| *stage != Stage::Accepted) {
            let filter = JobFilter { stage: Some(stage), limit: 10, ..JobFilter::default() };
            let none = office.read(async |tx| jobs::list(tx, &filter).await).await;
            assert!(none.is_empty(), "nothing is {stage:?}");
        }
        let counts = office.read(async |tx| jobs::stage_counts(tx).await).await;
        assert_eq!(counts.len(), 1, "{counts:?}");
        assert_eq!((counts[0].0, counts[0].1), (Stage::Accepted, 31), "all wait to be sealed");
    }
}

#[tokio::test]
async fn hundreds_of_offices_fit_in_memory() {
    let mut offices = vec![];
    for _ in 0..200 {
        offices.push(Office::in_memory().await);
    }
    for office in &offices {
        let job = office.deliver("acme", "1").await;
        assert_eq!(office.row(job.id).await.stage, Stage::Dispatched, "each on its own");
    }
}

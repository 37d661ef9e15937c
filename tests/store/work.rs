use std::collections::HashSet;

use chrono::TimeDelta;
use kakitome::{
    domain::{ids::JobId, log::Kind, stage::Stage},
    store::{
        jobs::{NewJob, Taken},
        links, outbox,
        work::{self, CancelAnswer, DispatchedJob, Step},
        workers,
    },
};

use crate::harness::{Office, contract};

contract! {
    async fn leases_do_not_overlap(office: &Office) {
        let batch: Vec<_> = (0..400)
            .map(|n| office.job(&format!("t{}", n % 7), &n.to_string()))
            .collect();
        office.accept(&batch).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (db, epoch, now) = (office.db.clone(), office.another_epoch(), office.now());
            tasks.spawn(async move {
                let (mut mine, mut cursor) = (vec![], String::new());
                loop {
                    let mut tx = db.begin().await.unwrap();
                    let got = work::claim(&mut tx, epoch, now, &Step::ALL, 3, 11, &mut cursor);
                    let got = got.await.unwrap();
                    tx.commit().await.unwrap();
                    if got.is_empty() {
                        return mine;
                    }
                    assert!(got.len() <= 11, "no more than asked for");
                    mine.extend(got.into_iter().map(|leased| leased.job.id));
                }
            });
        }
        let all: Vec<JobId> = tasks.join_all().await.into_iter().flatten().collect();
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (400, 400), "each row has one holder");
        let depth = office.read(async |tx| work::depth(tx, office.now()).await).await;
        assert_eq!((depth.ready, depth.leased), (0, 400), "all of them are held");
    }

    /// Ten thousand rows of one tenant do not keep another's one waiting.
    async fn a_claim_is_fair(office: &Office) {
        let busy: Vec<_> = (0..10_000).map(|n| office.job("busy", &n.to_string())).collect();
        for batch in busy.chunks(1_000) {
            office.accept(batch).await;
        }
        office.accept(&[office.job("calm", "1"), office.job("small", "1")]).await;
        let (epoch, now) = (office.another_epoch(), office.now());
        let mut cursor = String::new();
        let mut tenants = vec![];
        for _ in 0..2 {
            let round = office
                .write(async |tx| {
                    work::claim(tx, epoch, now, &[Step::Seal], 8, 9, &mut cursor).await
                })
                .await;
            tenants.push(round.iter().map(|one| one.job.tenant.to_string()).collect::<Vec<_>>());
        }
        assert_eq!(tenants[0].iter().filter(|name| *name == "busy").count(), 8, "a fair share");
        assert_eq!(tenants[0].last().unwrap(), "calm", "and the next tenant's one");
        assert_eq!(tenants[1].iter().filter(|name| *name == "small").count(), 1, "then the third");
        assert_eq!(tenants[1].len(), 9, "and the first again");
    }

    async fn nothing_is_claimed_before_its_time_or_for_another_step(office: &Office) {
        let later = office.now() + TimeDelta::hours(1);
        let scheduled = NewJob { send_at: later, ..office.job("acme", "later") };
        office.accept(std::slice::from_ref(&scheduled)).await;
        assert!(office.claim(10).await.is_empty(), "not due");
        let depth = office.read(async |tx| work::depth(tx, office.now()).await).await;
        assert_eq!((depth.ready, depth.scheduled), (0, 1), "but scheduled");
        office.clock.set(later);
        let (epoch, mut cursor) = (office.another_epoch(), String::new());
        let none = office
            .write(async |tx| {
                work::claim(tx, epoch, later, &[Step::Send], 9, 9, &mut cursor).await
            })
            .await;
        assert!(none.is_empty(), "it is to be sealed, not sent");
        let got = office.claim(10).await;
        assert_eq!(got.len(), 1, "due now");
        assert_eq!((got[0].step, got[0].attempt), (Step::Seal, 1), "the first attempt");
        assert_eq!(got[0].first_try_at, Some(later), "begun now");
        assert_eq!(got[0].job.id, scheduled.id, "with its delivery");
    }

    async fn being_shut_down_is_not_an_attempt(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        let give = async |tx: &mut kakitome::store::Tx, at| work::give_back(tx, office.epoch, &[job.id], at).await;
        assert_eq!(office.write(async |tx| give(tx, None).await).await, 1, "it was mine");
        let row = office.work(job.id).await.unwrap();
        assert_eq!((row.lease, row.attempt), (None, 0), "free, and as if never begun");
        let again = office.write(async |tx| give(tx, None).await).await;
        assert_eq!(again, 0, "not mine any more");
    }

    async fn a_late_worker_changes_nothing(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        let now = office.now();
        let freed = office
            .write(async |tx| workers::release_dead(tx, job.id, office.epoch, now, true).await)
            .await;
        assert!(freed, "given up for dead");
        let other = office.claim(1).await;
        assert_eq!((other[0].attempt, other[0].crashes), (2, 1), "another one has it");

        let segment = office.segment();
        let sealed = [office.sealed(&job)];
        let note = [office.note(&job)];
        let held = work::seal_now(&office.db, office.epoch, now, segment, &sealed, &note).await;
        assert!(held.unwrap().is_empty(), "its sealing does not count");
        let marked = work::mark_sending_now(&office.db, office.epoch, now, &[job.id]).await;
        assert!(marked.unwrap().is_empty(), "nor its marker");
        let event = office.event_of(&job, Kind::AttemptFailed);
        let put_off = office
            .write(async |tx| {
                work::retry_later(tx, office.epoch, job.id, now, Some(event.clone())).await
            })
            .await;
        assert!(!put_off, "nor its retry");
        let event = office.event_of(&job, Kind::Parked);
        let parked = office
            .write(async |tx| {
                work::park(tx, Some(office.epoch), job.id, "x", event.clone(), &[]).await
            })
            .await;
        assert!(!parked, "nor its parking");
        assert_eq!(office.row(job.id).await.stage, Stage::Accepted, "the delivery is untouched");
        assert_eq!(office.kinds(job.id).await, [Kind::Accepted], "and nothing was logged");
        assert_eq!(office.read(async |tx| outbox::depth(tx).await).await, 0, "nor published");
        let link = office.link(&job);
        let found = office.read(async |tx| links::find(tx, link.day, &link.print).await).await;
        assert!(found.is_none(), "nor is there a link");
    }

    /// A 250 is a fact, whoever holds the row by now.
    async fn a_late_reply_is_written_down(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        office.seal(&[&job]).await;
        let now = office.now();
        office
            .write(async |tx| workers::release_dead(tx, job.id, office.epoch, now, true).await)
            .await;
        let mut cursor = String::new();
        let heir = office.another_epoch();
        office
            .write(async |tx| work::claim(tx, heir, now, &Step::ALL, 1, 1, &mut cursor).await)
            .await;
        let sent = [office.dispatched(&job)];
        let answer = work::dispatched_now(&office.db, office.epoch, &sent, &[]).await.unwrap();
        assert_eq!(answer, [(job.id, Stage::Dispatched)], "recorded");
        assert!(office.work(job.id).await.is_some(), "the heir's row is the heir's to end");
        let marked = work::mark_sending_now(&office.db, heir, now, &[job.id]).await.unwrap();
        assert!(marked.is_empty(), "who may not send again");
        assert!(office.work(job.id).await.is_none(), "and so it ends");
    }

    async fn a_letter_of_the_law_goes_all_the_way(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        let segment = office.segment();
        let sealed = [office.sealed(&job)];
        let notes = [office.note(&job)];
        let held =
            work::seal_now(&office.db, office.epoch, office.now(), segment, &sealed, &notes).await;
        assert_eq!(held.unwrap(), [job.id], "sealed");
        let row = office.row(job.id).await;
        assert_eq!((row.stage, row.segment), (Stage::Sealed, Some(segment)), "in its segment");
        assert_eq!((row.artifact_offset, row.mail_len), (Some(4_096), Some(2_000)), "at its place");
        assert_eq!(row.pdf_sha256, Some([6; 32]), "with its digest");
        let row = office.work(job.id).await.unwrap();
        assert_eq!((row.step, row.attempt), (Step::Send, 1), "to be sent");
        assert_eq!(row.sending_since, Some(office.now()), "the marker is set");
        office.clock.advance(TimeDelta::seconds(1));
        let sent = [office.dispatched(&job)];
        let more = [office.note(&job)];
        let stages = work::dispatched_now(&office.db, office.epoch, &sent, &more);
        assert_eq!(stages.await.unwrap(), [(job.id, Stage::Dispatched)], "sent");
        let row = office.row(job.id).await;
        assert_eq!(row.stage_at, office.now(), "now");
        assert_eq!(row.dispatched_at, Some(office.now()), "the clock starts");
        assert_eq!((row.purge_at, row.purge_day), (Some(sent[0].purge_at), 20_809), "and ends");
        assert_eq!(row.wrapped_key.as_deref(), Some(&[7; 60][..]), "under the later day's key");
        assert_eq!(row.payload, None, "the payload is not needed any more");
        assert!(office.work(job.id).await.is_none(), "the work is done");
        assert_eq!(
            office.kinds(job.id).await,
            [Kind::Accepted, Kind::Sealed, Kind::Dispatched],
            "all of it is on record"
        );
        let batch = office.write(async |tx| outbox::claim_batch(tx, 10).await).await;
        assert_eq!(batch.len(), 2, "and published");
        assert_eq!(batch[0].id, notes[0].id, "in order");
        assert_eq!(office.read(async |tx| outbox::depth(tx).await).await, 0, "once");
    }

    async fn a_reply_after_the_open_leaves_it_open(office: &Office) {
        let jobs = [office.leased("acme", "1"), office.leased("acme", "2")];
        office.accept(&jobs).await;
        office.seal(&[&jobs[0], &jobs[1]]).await;
        let event = office.event_of(&jobs[0], Kind::Opened);
        let now = office.now();
        let stage = office
            .write(async |tx| links::opened(tx, jobs[0].id, now, event.clone(), &[]).await)
            .await;
        assert_eq!(stage, Some(Stage::Opened), "opened before the 250 was read");
        let sent: Vec<_> = jobs.iter().map(|job| office.dispatched(job)).collect();
        let notes: Vec<_> = jobs.iter().map(|job| office.note(job)).collect();
        let mut stages =
            work::dispatched_now(&office.db, office.epoch, &sent, &notes).await.unwrap();
        stages.sort_by_key(|(id, _)| *id);
        assert_eq!(
            stages,
            [(jobs[0].id, Stage::Opened), (jobs[1].id, Stage::Dispatched)],
            "each where it belongs"
        );
        let row = office.row(jobs[0].id).await;
        assert_eq!(row.dispatched_at, Some(now), "the clock runs all the same");
        assert_eq!(row.purge_day, 20_809, "to the same end");
        assert!(office.work(jobs[0].id).await.is_none(), "the work is done");
        assert_eq!(office.read(async |tx| outbox::depth(tx).await).await, 2, "both are published");
    }

    /// A hold put on before the reply was read is not undone by it.
    async fn a_dispatch_never_moves_the_purge_day_back(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        office.seal(&[&job]).await;
        let held = office
            .write(async |tx| {
                kakitome::store::retention::rewrap(tx, job.id, 20_800, 30_000, &[8; 60]).await
            })
            .await;
        assert!(held, "kept longer");
        let sent = [office.dispatched(&job)];
        work::dispatched_now(&office.db, office.epoch, &sent, &[]).await.unwrap();
        let row = office.row(job.id).await;
        assert_eq!((row.stage, row.purge_day), (Stage::Dispatched, 30_000), "sent and still held");
        assert_eq!(row.wrapped_key.as_deref(), Some(&[8; 60][..]), "under the hold's key");
    }

    async fn cancelling_and_sealing_at_once_has_one_winner(office: &Office) {
        for n in 0..25 {
            let job = office.leased("acme", &n.to_string());
            office.accept(std::slice::from_ref(&job)).await;
            let now = office.now();
            let seal = {
                let (db, epoch, segment) = (office.db.clone(), office.epoch, office.segment());
                let sealed = [office.sealed(&job)];
                task(async move {
                    work::seal_now(&db, epoch, now, segment, &sealed, &[]).await.unwrap().len()
                })
            };
            let cancel = {
                let (db, id) = (office.db.clone(), job.id);
                let event = office.event_of(&job, Kind::Cancelled);
                task(async move {
                    let mut tx = db.begin().await.unwrap();
                    let answer = work::cancel(&mut tx, id, now, event, &[]).await.unwrap();
                    tx.commit().await.unwrap();
                    answer
                })
            };
            let (held, answer) = tokio::join!(seal, cancel);
            let stage = office.row(job.id).await.stage;
            match answer {
                CancelAnswer::Cancelled => {
                    assert_eq!((held, stage), (0, Stage::Cancelled), "never sealed");
                    assert!(office.work(job.id).await.is_none(), "nor to be sent");
                }
                CancelAnswer::Sending => assert_eq!((held, stage), (1, Stage::Sealed), "leaving"),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn a_retry_comes_later_and_a_bounce_ends_it(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        office.seal(&[&job]).await;
        let (now, later) = (office.now(), office.now() + TimeDelta::minutes(5));
        let event = office.event_of(&job, Kind::AttemptFailed);
        let put_off = office
            .write(async |tx| {
                work::retry_later(tx, office.epoch, job.id, later, Some(event.clone())).await
            })
            .await;
        assert!(put_off, "put off");
        let row = office.work(job.id).await.unwrap();
        assert_eq!((row.run_at, row.lease, row.sending_since), (later, None, None), "until later");
        assert!(office.claim(1).await.is_empty(), "not now");
        office.clock.set(later);
        let got = office.claim(1).await;
        assert_eq!((got[0].step, got[0].attempt), (Step::Send, 2), "the second attempt");
        let event = office.event_of(&job, Kind::Undeliverable);
        let ended = office
            .write(async |tx| {
                work::undeliverable(tx, job.id, "address_rejected", event.clone(), &[]).await
            })
            .await;
        assert!(ended, "refused for good");
        let row = office.row(job.id).await;
        assert_eq!(row.stage, Stage::Undeliverable, "it ends here");
        assert_eq!(row.reason.as_deref(), Some("address_rejected"), "for this reason");
        assert!(office.work(job.id).await.is_none(), "and is not tried again");
        assert!(now < later, "time passed");
    }

    /// The commit happened and its answer was lost: saying it again is harmless.
    async fn every_group_commit_may_be_said_twice(office: &Office) {
        let job = office.leased("acme", "1");
        for _ in 0..2 {
            assert_eq!(office.accept(std::slice::from_ref(&job)).await, [Taken::Fresh], "taken");
        }
        let (segment, now) = (office.segment(), office.now());
        let sealed = [office.sealed(&job)];
        let seal = async || {
            work::seal_now(&office.db, office.epoch, now, segment, &sealed, &[]).await.unwrap()
        };
        assert_eq!((seal().await.len(), seal().await.len()), (1, 0), "sealed once");
        let row = office.work(job.id).await.unwrap();
        assert_eq!(row.lease, Some(office.epoch), "and still mine");
        let sent = |event| [DispatchedJob { event, ..office.dispatched(&job) }];
        for _ in 0..2 {
            let sent = sent(office.event_of(&job, Kind::Dispatched));
            let stages =
                work::dispatched_now(&office.db, office.epoch, &sent, &[]).await.unwrap();
            assert_eq!(stages, [(job.id, Stage::Dispatched)], "dispatched");
        }
    }
}

/// Runs beside the others, and panics where it is awaited.
async fn task<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(future);
    tasks.join_next().await.unwrap().unwrap()
}

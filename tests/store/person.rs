use kakitome::{
    domain::{log::Kind, stage::Stage},
    store::{
        jobs, links,
        work::{self, CancelAnswer, RecallAnswer, Step},
    },
};

use crate::harness::{Office, contract};

contract! {
    async fn a_cancelled_job_is_not_sent(office: &Office) {
        let job = office.job("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        let now = office.now();
        let cancel = async |event| {
            office.write(async |tx| work::cancel(tx, job.id, now, event, &[]).await).await
        };
        let stranger = office.job("other", "1");
        let foreign = office.event(&stranger.tenant, job.id, Kind::Cancelled);
        assert_eq!(cancel(foreign).await, CancelAnswer::NoSuchJob, "another tenant sees nothing");
        let event = office.event_of(&job, Kind::Cancelled);
        assert_eq!(cancel(event).await, CancelAnswer::Cancelled, "cancelled");
        let event = office.event_of(&job, Kind::Cancelled);
        assert_eq!(cancel(event).await, CancelAnswer::AlreadyCancelled, "twice is once");
        assert!(office.claim(9).await.is_empty(), "nothing is left to do");
        let sent = office.deliver("acme", "2").await;
        let event = office.event_of(&sent, Kind::Cancelled);
        let late = office
            .write(async |tx| work::cancel(tx, sent.id, now, event.clone(), &[]).await)
            .await;
        assert_eq!(late, CancelAnswer::TooLate(Stage::Dispatched), "that one has left");
    }

    async fn a_recalled_document_opens_no_more(office: &Office) {
        let job = office.deliver("acme", "1").await;
        let now = office.now();
        let recall = async || {
            let event = office.event_of(&job, Kind::Recalled);
            office.write(async |tx| work::recall(tx, job.id, now, event.clone(), &[]).await).await
        };
        assert_eq!(recall().await, RecallAnswer::Recalled, "taken back");
        assert_eq!(recall().await, RecallAnswer::AlreadyRecalled, "twice is once");
        let link = office.link(&job);
        let opened = office
            .write(async |tx| links::count_open(tx, link.day, &link.print, now).await)
            .await;
        assert!(!opened, "its link is dead");
        let waiting = office.job("acme", "2");
        office.accept(std::slice::from_ref(&waiting)).await;
        let event = office.event_of(&waiting, Kind::Recalled);
        let early = office
            .write(async |tx| work::recall(tx, waiting.id, now, event.clone(), &[]).await)
            .await;
        assert_eq!(early, RecallAnswer::Refused(Stage::Accepted), "that is to be cancelled");
    }

    async fn a_parked_job_waits_for_a_person(office: &Office) {
        let jobs = [office.leased("acme", "1"), office.leased("acme", "2")];
        office.accept(&jobs).await;
        office.seal(&[&jobs[1]]).await;
        let now = office.now();
        for job in &jobs {
            let event = office.event_of(job, Kind::Parked);
            let parked = office
                .write(async |tx| {
                    work::park(tx, Some(office.epoch), job.id, "too_many", event.clone(), &[]).await
                })
                .await;
            assert!(parked, "parked");
            let row = office.row(job.id).await;
            assert_eq!(row.reason.as_deref(), Some("too_many"), "for a reason");
        }
        assert!(office.claim(9).await.is_empty(), "nobody tries by themselves");
        let counts = office.read(async |tx| jobs::stage_counts(tx).await).await;
        assert_eq!(counts, [(Stage::Parked, 2, Some(now))], "they are counted");
        for (job, stage, step) in
            [(&jobs[0], Stage::Accepted, Step::Seal), (&jobs[1], Stage::Sealed, Step::Send)]
        {
            let event = office.event_of(job, Kind::Retried);
            let again = office
                .write(async |tx| work::retry_by_person(tx, job.id, now, event.clone()).await)
                .await;
            assert_eq!(again, Some(stage), "what was sealed is kept");
            let row = office.work(job.id).await.unwrap();
            assert_eq!((row.step, row.attempt), (step, 0), "and goes on from there");
            assert_eq!(office.row(job.id).await.reason, None, "the reason is gone");
            let event = office.event_of(job, Kind::Retried);
            let twice = office
                .write(async |tx| work::retry_by_person(tx, job.id, now, event.clone()).await)
                .await;
            assert_eq!(twice, None, "it is not parked any more");
        }
    }

    async fn a_lost_reply_is_settled_once(office: &Office) {
        let job = office.leased("acme", "1");
        office.accept(std::slice::from_ref(&job)).await;
        office.seal(&[&job]).await;
        let now = office.now();
        let settle = async || {
            let event = office.event_of(&job, Kind::Ambiguous);
            office
                .write(async |tx| {
                    work::ambiguous(tx, job.id, now, now, 20_809, None, event.clone(), &[]).await
                })
                .await
        };
        assert!(settle().await, "settled");
        assert!(!settle().await, "by one");
        let row = office.row(job.id).await;
        assert_eq!((row.stage, row.purge_day), (Stage::Ambiguous, 20_809), "the clock runs");
        assert_eq!(row.reason.as_deref(), Some("reply_lost"), "for a person to look at");
        assert!(office.work(job.id).await.is_none(), "never resent by itself");
        let event = office.event_of(&job, Kind::Retried);
        let again = office
            .write(async |tx| work::retry_by_person(tx, job.id, now, event.clone()).await)
            .await;
        assert_eq!(again, Some(Stage::Sealed), "a person may send the same bytes again");
        let row = office.row(job.id).await;
        assert_eq!(row.mail_offset, Some(44_096), "they are still there");
    }
}

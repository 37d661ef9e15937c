use chrono::{NaiveDate, TimeDelta};
use kakitome::{
    domain::{ids::BatchId, log::Kind, stage::Stage},
    store::{
        jobs::NewJob,
        postal::{self, Answer, BatchRow, PieceClock, PieceState},
        work::{self, CancelAnswer},
        workers,
    },
};

use crate::harness::{Office, contract};

impl Office {
    /// Letters that wait for the partner's collection.
    async fn waiting_letters(&self, count: usize) -> Vec<NewJob> {
        let jobs: Vec<_> = (0..count).map(|n| self.letter("acme", &n.to_string())).collect();
        self.accept(&jobs).await;
        let now = self.now();
        let sealed: Vec<_> = jobs.iter().map(|job| self.sealed_letter(job, now)).collect();
        work::seal_now(&self.db, self.epoch, now, self.segment(), &sealed, &[]).await.unwrap();
        jobs
    }

    async fn batch(&self) -> BatchRow {
        let now = self.now();
        let ready = self
            .write(async |tx| postal::ready_pieces(tx, self.epoch, "press", now, 100).await)
            .await;
        let jobs: Vec<_> = ready.iter().map(|leased| leased.job.id).collect();
        let batch = BatchRow {
            id: BatchId(self.entropy.id(now).unwrap()),
            partner: "press".to_owned(),
            cutoff_at: now,
            made_at: now,
            handed_at: None,
            piece_count: 0,
        };
        let members =
            self.write(async |tx| postal::make_batch(tx, self.epoch, &batch, &jobs).await).await;
        assert_eq!(members.len(), jobs.len(), "all of mine are in it");
        batch
    }

    async fn handed(&self, batch: &BatchRow) -> usize {
        let (now, silent) = (self.now(), self.now() + TimeDelta::days(7));
        self.write(async |tx| postal::batch_handed(tx, batch.id, now, silent).await).await.len()
    }

    async fn answer(&self, job: &NewJob, answer: &Answer) -> Stage {
        let clock = PieceClock {
            purge_at: self.now() + TimeDelta::days(31),
            purge_day: 20_809,
            rewrapped: None,
        };
        let clock = matches!(answer, Answer::Posted { .. }).then_some(clock);
        let event = self.event_of(job, Kind::PartnerAccepted);
        let stage = self
            .write(async |tx| {
                postal::piece_answer(tx, job.id, answer, clock.as_ref(), event.clone(), &[]).await
            })
            .await;
        stage.unwrap()
    }

    async fn state(&self, job: &NewJob) -> PieceState {
        self.read(async |tx| postal::piece(tx, job.id).await).await.unwrap().state
    }
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 24).unwrap()
}

contract! {
    async fn a_letter_is_collected_handed_over_and_posted(office: &Office) {
        let jobs = office.waiting_letters(3).await;
        let row = office.work(jobs[0].id).await.unwrap();
        assert_eq!((row.step, row.lease), (work::Step::HandOver, None), "it waits");
        let batch = office.batch().await;
        let open = office.read(async |tx| postal::unfinished_batches(tx, "press").await).await;
        assert_eq!((open.len(), open[0].piece_count), (1, 3), "on its way");
        let row = office.work(jobs[0].id).await.unwrap();
        assert_eq!(row.sending_since, Some(office.now()), "the marker is set");
        let event = office.event_of(&jobs[0], Kind::Cancelled);
        let now = office.now();
        let late = office
            .write(async |tx| work::cancel(tx, jobs[0].id, now, event.clone(), &[]).await)
            .await;
        assert_eq!(late, CancelAnswer::Sending, "too late to cancel, too early to recall");
        assert_eq!(office.handed(&batch).await, 3, "handed over");
        assert_eq!(office.handed(&batch).await, 0, "once");
        assert!(office.work(jobs[0].id).await.is_none(), "nothing is left to do");
        assert_eq!(office.row(jobs[0].id).await.stage, Stage::Sealed, "not dispatched yet");
        let taken = Answer::Accepted { at: office.now() };
        assert_eq!(office.answer(&jobs[0], &taken).await, Stage::Dispatched, "now it is");
        assert_eq!(office.row(jobs[0].id).await.purge_at, None, "the clock waits for the post");
        let posted = Answer::Posted { on: day() };
        assert_eq!(office.answer(&jobs[0], &posted).await, Stage::Dispatched, "posted");
        assert_eq!(office.row(jobs[0].id).await.purge_day, 20_809, "and the clock runs");
        let piece = office.read(async |tx| postal::piece(tx, jobs[0].id).await).await.unwrap();
        assert_eq!((piece.posted_on, piece.silent_after), (Some(day()), None), "from that day");
        let members = office.read(async |tx| postal::pieces_of(tx, batch.id).await).await;
        assert_eq!(members.len(), 3, "the batch knows its letters");
    }

    async fn a_partners_words_may_come_twice_or_out_of_order(office: &Office) {
        let jobs = office.waiting_letters(2).await;
        let batch = office.batch().await;
        office.handed(&batch).await;
        let posted = Answer::Posted { on: day() };
        assert_eq!(office.answer(&jobs[0], &posted).await, Stage::Dispatched, "posted first");
        let before = office.kinds(jobs[0].id).await.len();
        let taken = Answer::Accepted { at: office.now() };
        assert_eq!(office.answer(&jobs[0], &taken).await, Stage::Dispatched, "accepted late");
        let refused = Answer::Rejected { reason: "bad_address".to_owned() };
        assert_eq!(office.answer(&jobs[0], &refused).await, Stage::Dispatched, "not any more");
        assert_eq!(office.answer(&jobs[0], &posted).await, Stage::Dispatched, "twice");
        assert_eq!(office.state(&jobs[0]).await, PieceState::Posted, "it never goes back");
        assert_eq!(office.kinds(jobs[0].id).await.len(), before, "and nothing is logged twice");
        let back = Answer::Returned { on: day(), reason: "unknown_address".to_owned() };
        assert_eq!(office.answer(&jobs[0], &back).await, Stage::Undeliverable, "came back");
        assert_eq!(office.answer(&jobs[1], &refused).await, Stage::Parked, "for a person");
        let row = office.row(jobs[1].id).await;
        assert_eq!(row.reason.as_deref(), Some("partner_rejected"), "who sees why");
        let event = office.event_of(&jobs[1], Kind::Retried);
        let now = office.now();
        let again = office
            .write(async |tx| work::retry_by_person(tx, jobs[1].id, now, event.clone()).await)
            .await;
        assert_eq!(again, Some(Stage::Sealed), "and sends the same letter again");
        assert_eq!(office.state(&jobs[1]).await, PieceState::Waiting, "with the next collection");
        let second = office.batch().await;
        assert_eq!(office.handed(&second).await, 1, "handed over");
    }

    async fn a_dead_workers_batch_is_adopted_whole(office: &Office) {
        let jobs = office.waiting_letters(2).await;
        let batch = office.batch().await;
        let (heir, now) = (office.another_epoch(), office.now());
        let dead = office.read(async |tx| workers::dead_leases(tx, 10).await).await;
        assert!(dead.iter().all(|lease| lease.sending_since.is_some()), "they may have left");
        let adopted = office
            .write(async |tx| postal::adopt_batch(tx, heir, batch.id, now).await)
            .await;
        assert!(adopted, "its maker was never on the books");
        let row = office.work(jobs[1].id).await.unwrap();
        assert_eq!(row.lease, Some(heir), "the heir holds it");
        assert_eq!(office.handed(&batch).await, 2, "and hands the same batch over");
    }

    async fn a_partners_silence_starts_the_clock(office: &Office) {
        let jobs = office.waiting_letters(1).await;
        let batch = office.batch().await;
        office.handed(&batch).await;
        let silent = async || {
            let now = office.now();
            office.read(async |tx| postal::silent(tx, now, 10).await).await
        };
        assert!(silent().await.is_empty(), "there is time");
        office.clock.advance(TimeDelta::days(7));
        assert_eq!(silent().await.len(), 1, "a week is too long");
        let clock = PieceClock {
            purge_at: office.now() + TimeDelta::days(24), purge_day: 20_815, rewrapped: None,
        };
        let note = async || {
            let event = office.event_of(&jobs[0], Kind::Parked);
            office
                .write(async |tx| {
                    let reason = "partner_silent";
                    postal::fell_silent(tx, jobs[0].id, reason, &clock, event.clone(), &[]).await
                })
                .await
        };
        assert!(note().await, "noted");
        assert!(!note().await, "once");
        let row = office.row(jobs[0].id).await;
        assert_eq!((row.stage, row.purge_day), (Stage::Parked, 20_815), "parked, with a clock");
        let taken = Answer::Accepted { at: office.now() };
        assert_eq!(office.answer(&jobs[0], &taken).await, Stage::Dispatched, "better late");
        assert_eq!(office.row(jobs[0].id).await.reason, None, "and nobody has to look");
    }
}

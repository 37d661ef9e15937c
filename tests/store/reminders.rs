use chrono::{DateTime, TimeDelta, Utc};
use kakitome::{
    domain::{log::Kind, reminder::Reminder},
    store::{
        jobs::NewJob,
        links,
        reminders::{self, Composed, Settled, State},
        retention::{self, PurgeJob},
        work::{self, NewLink, SealedJob, Step},
    },
};

use crate::harness::{Office, contract};

impl Office {
    /// A dispatched mail job that is to be reminded of now.
    async fn unopened(&self, key: &str) -> (NewJob, NewLink) {
        let job = self.leased("acme", key);
        self.accept(std::slice::from_ref(&job)).await;
        let reminder = Some((Reminder::AfterDays(1), self.now()));
        let link = NewLink { reminder, ..self.link(&job) };
        let sealed = SealedJob { link: Some(link.clone()), ..self.sealed(&job) };
        let (segment, now) = (self.segment(), self.now());
        work::seal_now(&self.db, self.epoch, now, segment, &[sealed], &[]).await.unwrap();
        let sent = [self.dispatched(&job)];
        work::dispatched_now(&self.db, self.epoch, &sent, &[]).await.unwrap();
        (job, link)
    }

    fn again(&self) -> DateTime<Utc> {
        self.now() + TimeDelta::minutes(15)
    }

    async fn begin_with(&self, job: &NewJob) -> bool {
        let (now, again) = (self.now(), self.again());
        self.write(async |tx| reminders::start(tx, job.id, now, now, again).await).await
    }

    async fn claim_reminders(&self) -> usize {
        let (epoch, now, steps) = (self.epoch, self.now(), [Step::Remind]);
        let mut cursor = String::new();
        self.write(async |tx| work::claim(tx, epoch, now, &steps, 99, 99, &mut cursor).await)
            .await
            .len()
    }

    fn settled(&self, job: &NewJob, state: State) -> Settled {
        let kind = if state == State::Sent { Kind::Reminded } else { Kind::NotReminded };
        Settled { job: job.id, state, at: self.now(), event: self.event_of(job, kind), news: None }
    }

    async fn state_of(&self, job: &NewJob) -> Option<State> {
        let shown = self.read(async |tx| reminders::of_job(tx, job.id).await).await;
        shown.map(|shown| shown.state)
    }
}

contract! {
    async fn a_reminder_begins_once(office: &Office) {
        let (job, _) = office.unopened("1").await;
        let due = office.read(async |tx| reminders::due(tx, office.now(), 9).await).await;
        assert_eq!(due.len(), 1, "it is due");
        assert_eq!((due[0].job.id, due[0].seen.opens), (job.id, 0), "as the books say");
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (db, id, now, again) = (office.db.clone(), job.id, office.now(), office.again());
            tasks.spawn(async move {
                let mut tx = db.begin().await.unwrap();
                let began = reminders::start(&mut tx, id, now, now, again).await.unwrap();
                tx.commit().await.unwrap();
                began
            });
        }
        let began = tasks.join_all().await.into_iter().filter(|began| *began).count();
        assert_eq!(began, 1, "one of them has it");
        assert_eq!(office.claim_reminders().await, 1, "one row of work");
        assert_eq!(office.claim_reminders().await, 0, "for one worker");
    }

    async fn a_twin_leads_to_its_link_and_goes_with_it(office: &Office) {
        let (job, link) = office.unopened("1").await;
        assert!(office.begin_with(&job).await, "it begins");
        office.claim_reminders().await;
        let twin = (link.day + 1, [9_u8; 32]);
        let new = Composed {
            mail: &[5; 40],
            hour: 498_700,
            twin: (twin.0, &twin.1),
            link: (link.day, &link.print),
        };
        let (other, epoch) = (office.another_epoch(), office.epoch);
        let late = office.write(async |tx| reminders::composed(tx, other, job.id, &new).await);
        assert!(!late.await, "a worker that does not hold it writes nothing");
        assert!(
            office.write(async |tx| reminders::composed(tx, epoch, job.id, &new).await).await,
            "its holder does"
        );
        let direct = links::look(&office.db, link.day, &link.print).await.unwrap().unwrap();
        let around = links::look(&office.db, twin.0, &twin.1).await.unwrap().unwrap();
        assert_eq!(direct, around, "both lead to the one link");
        assert_eq!(around.link.at.day, link.day, "and say which it is");
        let hours = office.read(async |tx| retention::needed_mail_hours(tx).await).await;
        assert!(hours.contains(&498_700), "the key of its mail is needed");
        let event = office.event_of(&job, Kind::Purged);
        let item = PurgeJob { id: job.id, reason: None, event };
        let now = office.now();
        let gone = office
            .write(async |tx| retention::purge(tx, now, std::slice::from_ref(&item), &[]).await)
            .await;
        assert_eq!(gone, [job.id], "purged");
        assert_eq!(links::look(&office.db, twin.0, &twin.1).await.unwrap(), None, "the twin too");
        assert_eq!(office.state_of(&job).await, None, "and the plan");
    }

    async fn what_became_of_it_is_written_once(office: &Office) {
        let (job, _) = office.unopened("1").await;
        office.begin_with(&job).await;
        office.claim_reminders().await;
        let (now, epoch) = (office.now(), office.epoch);
        let leaving = reminders::leave_now(&office.db, epoch, now, &[job.id]).await.unwrap();
        assert_eq!(leaving, [job.id], "it leaves");
        for (state, first) in [
            (State::Unknown, true),
            (State::Unknown, false),
            (State::Failed, false),
            (State::Sent, true),
            (State::Sent, false),
            (State::Unknown, false),
        ] {
            let settled = office.settled(&job, state);
            let written = office
                .write(async |tx| reminders::settle(tx, epoch, settled.clone()).await)
                .await;
            assert_eq!(written, first, "{state:?}");
        }
        assert_eq!(office.state_of(&job).await, Some(State::Sent), "a late word of the relay");
        assert!(office.work(job.id).await.is_none(), "nothing is left to do");
        assert!(!office.begin_with(&job).await, "and it does not begin again");
    }

    /// A recall that is being committed is waited for: no row of work is made
    /// for what is taken back, whoever comes first.
    async fn no_reminder_begins_beside_a_recall(office: &Office) {
        for recall_first in [true, false] {
            let (job, _) = office.unopened(&recall_first.to_string()).await;
            let (db, id, now, again) = (office.db.clone(), job.id, office.now(), office.again());
            let event = office.event_of(&job, Kind::Recalled);
            let mut tx = office.db.begin().await.unwrap();
            let mut other = if recall_first {
                work::recall(&mut tx, id, now, event, &[]).await.unwrap();
                tokio::spawn(async move {
                    let mut tx = db.begin().await.unwrap();
                    let began = reminders::start(&mut tx, id, now, now, again).await.unwrap();
                    tx.commit().await.unwrap();
                    assert!(!began, "there is nothing to remind of");
                })
            } else {
                assert!(reminders::start(&mut tx, id, now, now, again).await.unwrap(), "first");
                tokio::spawn(async move {
                    let mut tx = db.begin().await.unwrap();
                    let answer = work::recall(&mut tx, id, now, event, &[]).await.unwrap();
                    assert_eq!(answer, work::RecallAnswer::Recalled, "it is taken back");
                    tx.commit().await.unwrap();
                })
            };
            // Who does not wait has long written what it read.
            let patience = std::time::Duration::from_millis(300);
            let early = tokio::time::timeout(patience, &mut other).await;
            tx.commit().await.unwrap();
            match early {
                Ok(done) => done.unwrap(),
                Err(_) => other.await.unwrap(),
            }
            assert!(office.work(id).await.is_none(), "no work is left of what was taken back");
            assert_eq!(office.claim_reminders().await, 0, "nor for anybody to find");
        }
    }

    /// Found too late, and issued again before that was written down.
    async fn what_is_too_late_is_ended_only_as_it_was_found(office: &Office) {
        let (job, _) = office.unopened("1").await;
        let found = office.read(async |tx| reminders::due(tx, office.now(), 9).await).await;
        let later = office.now() + TimeDelta::hours(1);
        assert!(office.write(async |tx| reminders::wait(tx, &found[0], later).await).await, "moved");
        let late = office.settled(&job, State::TooLate);
        let end = async |due: &reminders::Due| {
            office.write(async |tx| reminders::end_told(tx, due, late.clone()).await).await
        };
        assert!(!end(&found[0]).await, "it is not what was found any more");
        assert_eq!(office.state_of(&job).await, Some(State::Planned), "and is still to come");
        assert!(!office.kinds(job.id).await.contains(&Kind::NotReminded), "nor told");
        let found = office.read(async |tx| reminders::due(tx, later, 9).await).await;
        assert!(end(&found[0]).await, "as it is found now");
        assert!(!end(&found[0]).await, "once");
        assert_eq!(office.state_of(&job).await, Some(State::TooLate), "on the books");
        let kinds = office.kinds(job.id).await;
        let told = kinds.iter().filter(|kind| **kind == Kind::NotReminded).count();
        assert_eq!(told, 1, "and in the log, once");
    }

    /// Opens, recalls and reminders lock the same rows; none may be a deadlock,
    /// and what was opened or taken back does not leave.
    async fn opening_recalling_and_reminding_at_once_agree(office: &Office) {
        for n in 0..20 {
            let (job, link) = office.unopened(&n.to_string()).await;
            office.begin_with(&job).await;
            office.claim_reminders().await;
            let (now, epoch) = (office.now(), office.epoch);
            let mut tasks = tokio::task::JoinSet::new();
            let (db, id, event) = (office.db.clone(), job.id, office.event_of(&job, Kind::Opened));
            tasks.spawn(async move {
                let mut tx = db.begin().await.unwrap();
                if links::count_open(&mut tx, link.day, &link.print, now).await.unwrap() {
                    links::opened(&mut tx, id, now, event, &[]).await.unwrap();
                }
                tx.commit().await.unwrap();
            });
            let (db, event) = (office.db.clone(), office.event_of(&job, Kind::Recalled));
            tasks.spawn(async move {
                let mut tx = db.begin().await.unwrap();
                work::recall(&mut tx, id, now, event, &[]).await.unwrap();
                tx.commit().await.unwrap();
            });
            let (db, settled) = (office.db.clone(), office.settled(&job, State::Sent));
            tasks.spawn(async move {
                let left = reminders::leave_now(&db, epoch, now, &[id]).await.unwrap();
                if left == [id] {
                    let mut tx = db.begin().await.unwrap();
                    reminders::settle(&mut tx, epoch, settled).await.unwrap();
                    tx.commit().await.unwrap();
                }
            });
            tasks.join_all().await;
            let kinds = office.kinds(job.id).await;
            let reminded = kinds.contains(&Kind::Reminded);
            let state = office.state_of(&job).await;
            assert_eq!(state == Some(State::Sent), reminded, "books and log agree: {kinds:?}");
            let left = reminders::leave_now(&office.db, epoch, now, &[job.id]).await.unwrap();
            assert!(left.is_empty(), "what is over does not leave");
        }
    }
}

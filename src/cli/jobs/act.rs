//! What people decide about a job: again, or not at all.

use std::sync::Arc;

use serde_json::json;

use super::{OneJob, no_such_job};
use crate::{
    app::events::EventMaker,
    cli::{Failure, Outcome, context::Context, print},
    domain::{
        event::EventKind,
        ids::JobId,
        log::{Actor, Kind},
        stage::Stage,
    },
    store::{
        Db, dossier,
        jobs::JobRow,
        ledger::{EventDraft, EventRow, Scribe},
        outbox::{Announce as _, News, OutboxRow},
        work::{self, CancelAnswer},
    },
};

/// A job, and what it takes to change it.
pub(super) struct Desk {
    pub(super) context: Context,
    pub(super) db: Db,
    pub(super) row: JobRow,
}

impl Desk {
    pub(super) async fn open(job: &OneJob) -> Result<Self, Failure> {
        let context = Context::open(&job.config)?;
        let db = context.db().await?;
        let mut tx = db.read().await?;
        let row = job.job.row(&mut tx).await?;
        drop(tx);
        Ok(Self { context, db, row })
    }

    pub(super) fn event(&self, kind: Kind) -> anyhow::Result<EventRow> {
        let (tenant, job, now) = (&self.row.tenant, self.row.id, self.context.clock.now());
        let scribe = Scribe::new(self.context.entropy.clone());
        Ok(scribe.event(EventDraft::of_job(tenant, job, now, kind, Actor::Operator))?)
    }

    /// The result event for the sender, where the tenant asked for it.
    pub(super) async fn news(&self, kind: EventKind) -> anyhow::Result<Vec<OutboxRow>> {
        let config = &self.context.config;
        let wanted = config.tenants.get(&self.row.tenant).is_some_and(|one| one.wants(kind.word()));
        if !wanted || config.broker.is_none() {
            return Ok(Vec::new());
        }
        let keys = self.context.keys().await?;
        let outbox_key = keys.outbox_key().await?;
        // A delivery whose key is gone is told of without the sender's words.
        let personal = dossier::personal(&keys, &self.row).await.ok();
        keys.close().await;
        let maker = EventMaker::new(Arc::clone(config), outbox_key, self.context.entropy.clone());
        let row = maker.announce(&News {
            kind,
            tenant: &self.row.tenant,
            job: Some(self.row.id),
            key: personal.as_ref().map(|personal| personal.key.as_str()),
            reference: personal.as_ref().and_then(|personal| personal.reference.as_deref()),
            code: None,
            at: self.context.clock.now(),
        })?;
        Ok(row.into_iter().collect())
    }
}

pub(super) async fn retry(job: &OneJob) -> Outcome {
    let desk = Desk::open(job).await?;
    let id = desk.row.id;
    let event = desk.event(Kind::Retried)?;
    let now = desk.context.clock.now();
    let mut tx = desk.db.begin().await?;
    let stage = work::retry_by_person(&mut tx, id, now, event).await?;
    tx.commit().await?;
    desk.db.close().await;
    let Some(stage) = stage else {
        let what = format!(
            "only a parked or ambiguous job that still has its content is sent again; this one is \
             {}",
            desk.row.stage.word()
        );
        return Err(refuse(id, job.json, desk.row.stage, &what));
    };
    tell(id, job.json, stage, "on its way again");
    Ok(())
}

pub(super) async fn cancel(job: &OneJob) -> Outcome {
    let desk = Desk::open(job).await?;
    let id = desk.row.id;
    let event = desk.event(Kind::Cancelled)?;
    let outbox = desk.news(EventKind::Cancelled).await?;
    let now = desk.context.clock.now();
    let mut tx = desk.db.begin().await?;
    let answer = work::cancel(&mut tx, id, now, event, &outbox).await?;
    tx.commit().await?;
    desk.db.close().await;
    match answer {
        CancelAnswer::Cancelled => {
            tell(id, job.json, Stage::Cancelled, "cancelled; it will not be sent");
            Ok(())
        }
        CancelAnswer::AlreadyCancelled => {
            tell(id, job.json, Stage::Cancelled, "was cancelled before");
            Ok(())
        }
        CancelAnswer::TooLate(stage) => {
            let what = format!("too late: it is {}; `kakitome jobs recall` may help", stage.word());
            Err(refuse(id, job.json, stage, &what))
        }
        CancelAnswer::Sending => {
            let what = "it may be leaving at this moment; ask again in a minute, or recall it then";
            Err(refuse(id, job.json, desk.row.stage, what))
        }
        CancelAnswer::NoSuchJob => Err(no_such_job()),
    }
}

pub(super) fn tell(job: JobId, as_json: bool, stage: Stage, what: &str) {
    answer(job, as_json, stage, true, what);
}

pub(super) fn refuse(job: JobId, as_json: bool, stage: Stage, what: &str) -> Failure {
    answer(job, as_json, stage, false, what);
    Failure::Refused
}

fn answer(job: JobId, as_json: bool, stage: Stage, done: bool, what: &str) {
    if as_json {
        print::json(&json!({
            "job": job.to_string(), "done": done, "stage": stage.word(), "what": what,
        }));
    } else {
        print::line(&format!("{job}: {what}"));
    }
}

//! `kakitome jobs freeze` and `unfreeze`.

use super::{
    OneJob,
    act::{Desk, refuse, tell},
    no_such_job,
};
use crate::{
    cli::Outcome,
    domain::log::Kind,
    store::freezes::{self, FreezeAnswer},
};

pub(super) async fn freeze(job: &OneJob, freeze: bool) -> Outcome {
    let desk = Desk::open(job).await?;
    let (id, stage) = (desk.row.id, desk.row.stage);
    let event = desk.event(if freeze { Kind::Frozen } else { Kind::Unfrozen })?;
    let mut tx = desk.db.begin().await?;
    let answer = freezes::job(&mut tx, id, freeze, event).await?;
    tx.commit().await?;
    desk.db.close().await;
    let what = match (answer, freeze) {
        (FreezeAnswer::Done, true) => "frozen; nothing of it opens or flows until it is lifted",
        (FreezeAnswer::Already, true) => "was frozen before",
        (FreezeAnswer::Done, false) => "its freeze is lifted",
        (FreezeAnswer::Already, false) => "was not frozen",
        (FreezeAnswer::Purged, _) => {
            return Err(refuse(id, job.json, stage, "its document is destroyed"));
        }
        (FreezeAnswer::NoSuchJob, _) => return Err(no_such_job()),
    };
    tell(id, job.json, stage, what);
    Ok(())
}

//! `kakitome jobs reissue`: the old link dies, a new one goes to the recorded
//! address.

use super::{
    OneJob,
    act::{Desk, refuse, tell},
    no_such_job,
};
use crate::{
    cli::Outcome,
    domain::log::Kind,
    store::work::{self, ReissueAnswer},
};

const SECONDS_A_DAY: i64 = 86_400;

pub(super) async fn reissue(job: &OneJob, days: u16) -> Outcome {
    let desk = Desk::open(job).await?;
    let (id, row_stage) = (desk.row.id, desk.row.stage);
    let mut tx = desk.db.begin().await?;
    work::hold(&mut tx, id).await?;
    let now = desk.context.clock.now();
    let event = desk.event(Kind::Reissued)?;
    let ttl_seconds = i64::from(days).saturating_mul(SECONDS_A_DAY);
    let answer = work::reissue(&mut tx, id, now, ttl_seconds, event).await?;
    tx.commit().await?;
    desk.db.close().await;
    let what = match answer {
        ReissueAnswer::Asked => {
            "the old link is dead; a mail with a new one goes to the recorded address"
        }
        ReissueAnswer::UnderWay => "a mail is under way already; nothing was changed",
        ReissueAnswer::Letter => {
            return Err(refuse(id, job.json, row_stage, "it is a letter; there is no link"));
        }
        ReissueAnswer::Refused(stage) => {
            let what = format!(
                "it is {}; only the link of what was sent, and neither taken back nor destroyed, \
                 is issued again",
                stage.word()
            );
            return Err(refuse(id, job.json, stage, &what));
        }
        ReissueAnswer::NoSuchJob => return Err(no_such_job()),
    };
    tell(id, job.json, row_stage, what);
    Ok(())
}

//! `kakitome jobs recall`: takes a document back, and says what of it had left.
//!
//! The recall commits first; what left is read afterwards. Bytes are reserved
//! under the locks that the recall takes, so nothing can join the account any
//! more. Streams that still run are given a few seconds to end, so that their
//! numbers become exact; where they do not, what was reserved for them stands
//! as the upper bound.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    OneJob,
    act::{Desk, refuse},
    micros, no_such_job,
};
use crate::{
    app::worker::wait,
    cli::{Outcome, print},
    domain::{event::EventKind, ids::JobId, log::Kind, stage::Stage},
    store::{
        Db,
        account::{self, Account, Left},
        handouts::Way,
        work::{self, RecallAnswer},
    },
};

/// How often, and how long after each other, the account is asked for streams
/// that still run: they look every second, and their ends are written down
/// every two.
const PATIENCE: (u32, Duration) = (30, Duration::from_millis(200));

pub(super) async fn recall(job: &OneJob) -> Outcome {
    let desk = Desk::open(job).await?;
    let outbox = desk.news(EventKind::Recalled).await?;
    let id = desk.row.id;
    let mut tx = desk.db.begin().await?;
    // The instant from which the link is dead comes after every access that
    // was let through.
    work::hold(&mut tx, id).await?;
    let now = desk.context.clock.now();
    let event = desk.event(Kind::Recalled)?;
    let answer = work::recall(&mut tx, id, now, event, &outbox).await?;
    tx.commit().await?;
    let verb = match answer {
        RecallAnswer::Recalled => "recalled",
        RecallAnswer::AlreadyRecalled => "was recalled before",
        RecallAnswer::Refused(stage) => {
            desk.db.close().await;
            let what = if stage == Stage::Purged {
                "its document is destroyed; `kakitome jobs show` lists what had left".to_owned()
            } else {
                let stage = stage.word();
                format!("it is {stage}; what has not been sent is cancelled, not recalled")
            };
            return Err(refuse(id, job.json, stage, &what));
        }
        RecallAnswer::NoSuchJob => return Err(no_such_job()),
    };
    let account = settled(&desk.db, id).await?;
    desk.db.close().await;
    if job.json {
        print::json(&whole(id, verb, &account));
    } else {
        describe(id, verb, &account);
    }
    Ok(())
}

/// The account, once no stream runs any more or the patience is at its end.
async fn settled(db: &Db, job: JobId) -> anyhow::Result<Account> {
    let (times, pause) = PATIENCE;
    for _ in 0..times {
        let account = read(db, job).await?;
        if !account.runs() {
            return Ok(account);
        }
        wait(pause).await;
    }
    read(db, job).await
}

async fn read(db: &Db, job: JobId) -> anyhow::Result<Account> {
    let mut tx = db.read().await?;
    Ok(account::of_job(&mut tx, job).await?)
}

/// What the link does now.
fn dead(since: Option<DateTime<Utc>>) -> String {
    since.map_or_else(
        || "there is no link".to_owned(),
        |since| format!("the link is dead since {}", micros(since)),
    )
}

fn describe(job: JobId, verb: &str, account: &Account) {
    let dead = dead(account.dead_since);
    if account.is_zero() {
        print::line(&format!("{job}: {verb}; no content byte left this service; {dead}"));
        return;
    }
    print::line(&format!("{job}: {verb}; {dead}; this left before:"));
    print::table(&HEAD, &cells(account));
    print::line(&format!(
        "{} {} bytes in all; copies that readers made are not known here",
        if account.is_exact() { "exactly" } else { "at most" },
        account.bytes_max()
    ));
}

/// The columns of [`cells`].
pub(super) const HEAD: [&str; 7] = ["at", "bytes", "", "range", "how", "to", "opened"];

/// What left, for people.
pub(super) fn cells(account: &Account) -> Vec<Vec<String>> {
    account
        .left
        .iter()
        .map(|left| {
            let row = &left.handout;
            vec![
                micros(row.at),
                row.bytes_max().to_string(),
                match standing(left) {
                    "ended" => "exactly".to_owned(),
                    standing => format!("at most, {standing}"),
                },
                format!("{}-{}", row.from_byte, row.to_byte),
                row.way.word().to_owned(),
                match row.way {
                    Way::View | Way::Save => format!("session {}", row.receiver),
                    Way::Partner => row.receiver.clone(),
                },
                left.opened_at.map(micros).unwrap_or_default(),
            ]
        })
        .collect()
}

const fn standing(left: &Left) -> &'static str {
    match (left.handout.taken, left.handout.runs()) {
        (Some(_), _) => "ended",
        (None, true) => "running",
        (None, false) => "unknown",
    }
}

fn whole(job: JobId, verb: &str, account: &Account) -> Value {
    let what = if account.is_zero() {
        format!("{verb}; no content byte left this service; {}", dead(account.dead_since))
    } else {
        format!("{verb}; {}; what left before is listed", dead(account.dead_since))
    };
    json!({
        "job": job.to_string(),
        "done": true,
        "stage": Stage::Recalled.word(),
        "what": what,
        "dead_since": account.dead_since.map(micros),
        "bytes_max": account.bytes_max(),
        "exact": account.is_exact(),
        "left": list(account),
    })
}

/// What left, for programs.
pub(super) fn list(account: &Account) -> Vec<Value> {
    account
        .left
        .iter()
        .map(|left| {
            let row = &left.handout;
            let (session, partner) = match row.way {
                Way::View | Way::Save => (Some(&row.receiver), None),
                Way::Partner => (None, Some(&row.receiver)),
            };
            json!({
                "at": micros(row.at),
                "way": row.way.word(),
                "session": session,
                "partner": partner,
                "opened_at": left.opened_at.map(micros),
                "from_byte": row.from_byte,
                "to_byte": row.to_byte,
                "bytes": row.bytes_max(),
                "exact": row.taken.is_some(),
                "state": standing(left),
                "ended_at": row.ended_at.map(micros),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::handouts::Handout;

    fn left(way: Way, taken: Option<i64>, ended: bool) -> Left {
        let at = DateTime::from_timestamp(1_795_176_000, 0).unwrap();
        let receiver = if way == Way::Partner { "press" } else { "K7Q2-9XMF" };
        Left {
            handout: Handout {
                id: Uuid::from_u128(7),
                at,
                way,
                receiver: receiver.to_owned(),
                from_byte: 100,
                to_byte: 1_100,
                taken,
                ended_at: ended.then_some(at),
            },
            opened_at: Some(at),
        }
    }

    #[test]
    fn an_answer_is_exact_or_says_at_most() {
        let account = Account {
            dead_since: DateTime::from_timestamp(1_795_176_009, 0),
            left: vec![
                left(Way::Save, Some(700), true),
                left(Way::View, None, false),
                left(Way::View, None, true),
                left(Way::Partner, Some(1_000), true),
            ],
        };
        let cells = cells(&account);
        let told: Vec<_> = cells.iter().map(|row| (row[1].as_str(), row[2].as_str())).collect();
        let bound = [("1000", "at most, running"), ("1000", "at most, unknown")];
        assert_eq!(told, [("700", "exactly"), bound[0], bound[1], ("1000", "exactly")], "each");
        assert_eq!(cells[0][5], "session K7Q2-9XMF", "to whom");
        assert_eq!(cells[3][5], "press", "to which partner");
        let whole = whole(JobId(Uuid::from_u128(1)), "recalled", &account);
        assert_eq!(whole["bytes_max"], 3_700, "in all");
        assert_eq!(whole["exact"], false, "not all of it is known");
        assert_eq!(whole["left"][1]["state"], "running", "this one may become less");
        assert_eq!(whole["left"][3]["partner"], "press", "for programs as well");
        assert_eq!(whole["dead_since"], "2026-11-20T12:00:09.000000Z", "since then");
    }

    #[test]
    fn zero_is_said_in_so_many_words() {
        let account = Account { dead_since: DateTime::from_timestamp(0, 0), left: vec![] };
        let whole = whole(JobId(Uuid::from_u128(1)), "recalled", &account);
        let what = whole["what"].as_str().unwrap();
        assert!(
            what.contains("no content byte left this service; the link is dead since"),
            "{what}"
        );
        assert_eq!((&whole["bytes_max"], &whole["exact"]), (&json!(0), &json!(true)), "exactly");
    }
}

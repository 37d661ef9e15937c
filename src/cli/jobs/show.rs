//! Everything there is to know about one job, and, on demand, about whom.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use super::{OneJob, micros, recall, reminder, second, summary};
use crate::{
    cli::{Failure, Outcome, context::Context, print},
    config::Tenant,
    domain::{
        crockford::LinkNumber,
        factor::SecondFactor,
        ids::JobId,
        log::{Actor, Fact, Kind, Leaf},
        personal::Personal,
        reason::Reason,
    },
    store::{
        Tx,
        account::{self, Account},
        dossier, freezes,
        jobs::JobRow,
        ledger::{self, EventDraft, Scribe, StoredEvent},
        links::{self, LinkRow},
        reminders::{self, Shown},
    },
};

pub(super) async fn show(job: &OneJob, reveal: bool) -> Outcome {
    let context = Context::open(&job.config)?;
    let db = context.db().await?;
    let mut tx = db.read().await?;
    let row = job.job.row(&mut tx).await?;
    let link = link(&mut tx, row.id).await?;
    let events = ledger::of_job(&mut tx, Some(&row.tenant), row.id).await?;
    let left = account::of_job(&mut tx, row.id).await?;
    let frozen = freezes::since(&mut tx, row.id, &row.tenant).await?;
    let reminder = reminders::of_job(&mut tx, row.id).await?;
    drop(tx);
    let tenant = context.config.tenants.get(&row.tenant);
    let zone = tenant.map_or(Tz::Asia__Tokyo, Tenant::zone);
    let more = More { link, left, frozen, reminder, zone };
    let personal = if reveal {
        let keys = context.keys().await?;
        let mut known = dossier::personal(&keys, &row).await?;
        // The print of a passcode is for comparing, not for looking at.
        if let Some(SecondFactor::Passcode { verifier }) = &mut known.second_factor {
            verifier.clear();
        }
        keys.close().await;
        // On record before it is on the screen.
        let event = looked(&context, &row)?;
        let mut tx = db.begin().await?;
        ledger::append(&mut tx, &[event]).await?;
        tx.commit().await?;
        Some(known)
    } else {
        None
    };
    db.close().await;
    let now = context.clock.now();
    if job.json {
        print::json_pretty(&whole(&row, &more, &events, personal.as_ref(), now));
    } else {
        describe(&row, &more, personal.as_ref(), now);
        more.describe();
        log(&events);
    }
    Ok(())
}

fn looked(context: &Context, row: &JobRow) -> Result<ledger::EventRow, Failure> {
    let (now, scribe) = (context.clock.now(), Scribe::new(context.entropy.clone()));
    let draft = EventDraft::of_job(&row.tenant, row.id, now, Kind::Exported, Actor::Operator);
    Ok(scribe.event(EventDraft { facts: vec![("what", "personal".into())], ..draft })?)
}

/// What other tables know of a job.
struct More {
    link: Option<LinkRow>,
    left: Account,
    /// Since when it is frozen by itself, and since when its tenant is.
    frozen: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// The reminder it has, or had.
    reminder: Option<Shown>,
    /// Where its tenant's clock hangs.
    zone: Tz,
}

impl More {
    /// What of its document left.
    fn describe(&self) {
        if !self.left.is_zero() {
            print::line("");
            print::line("what left of its document:");
            print::table(&recall::HEAD, &recall::cells(&self.left));
        }
    }
}

async fn link(tx: &mut Tx, job: JobId) -> anyhow::Result<Option<LinkRow>> {
    let Some((day, print)) = links::of_job(tx, job).await?.pop() else { return Ok(None) };
    Ok(links::find(tx, day, &print).await?.map(|found| found.link))
}

fn describe(row: &JobRow, more: &More, personal: Option<&Personal>, now: DateTime<Utc>) {
    let line = |name: &str, value: String| print::line(&format!("{name:<16}{value}"));
    let maybe = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line(name, value);
        }
    };
    line("job", row.id.to_string());
    line("link number", LinkNumber::of(row.id).to_string());
    let test = if row.test_mode { ", test mode: nothing leaves the house" } else { "" };
    line("tenant", format!("{}{test}", row.tenant));
    line("channel", row.channel.word().to_owned());
    line("stage", format!("{} since {}", row.stage.word(), second(row.stage_at)));
    if let Some(code) = &row.reason {
        line("reason", code.clone());
        if let Some(reason) = Reason::parse(code) {
            line("", reason.meaning().to_owned());
            line("what to do", reason.remedy().to_owned());
        }
    }
    line("accepted", second(row.accepted_at));
    if row.send_at > row.accepted_at {
        line("not before", second(row.send_at));
    }
    maybe("dispatched", row.dispatched_at.map(second));
    maybe("destroyed from", row.purge_at.map(second));
    maybe("destroyed", row.purged_at.map(second));
    let size = row.pages.zip(row.pdf_len);
    maybe("document", size.map(|(pages, bytes)| format!("{pages} pages, {bytes} bytes")));
    maybe("sha256", row.pdf_sha256.map(|hash| HEXLOWER.encode(&hash)));
    maybe("template", row.template.clone());
    let link = more.link.as_ref();
    maybe("link", link.map(|link| state(link, now).to_owned()));
    maybe("opened", link.map(|link| format!("{} of {} times", link.opens, link.max_opens)));
    maybe("link until", link.map(|link| second(link.expires_at)));
    maybe("reminder", more.reminder.as_ref().map(|one| reminder::line(one, now, more.zone)));
    maybe("frozen", more.frozen.0.map(second));
    maybe("tenant frozen", more.frozen.1.map(second));
    if let Some(personal) = personal {
        line("key", personal.key.clone());
        line("recipient", personal.recipient_name.clone());
        maybe("person", personal.person.clone());
        maybe("email", personal.email.clone());
        maybe("postcode", personal.postal_code.clone());
        for one in &personal.address_lines {
            line("address", one.clone());
        }
        let factor = personal.second_factor.as_ref();
        maybe("second factor", factor.map(|factor| factor.kind().word().to_owned()));
        line("file name", personal.filename.clone());
        maybe("reference", personal.reference.clone());
    }
}

fn state(link: &LinkRow, now: DateTime<Utc>) -> &'static str {
    if link.purged {
        "gone with its document"
    } else if link.frozen {
        "frozen"
    } else if link.revoked_at.is_some() {
        "revoked"
    } else if link.expires_at <= now {
        "over"
    } else if link.opens >= link.max_opens {
        "used up"
    } else {
        "good until its end"
    }
}

fn log(events: &[StoredEvent]) {
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            let leaf = Leaf::decode(&event.row.leaf).ok();
            let actor = leaf.as_ref().map_or("", |leaf| leaf.actor.word());
            let facts = leaf.as_ref().map(facts).unwrap_or_default();
            let facts: Vec<_> =
                facts.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
            vec![
                micros(event.row.at),
                event.row.kind.word().to_owned(),
                actor.to_owned(),
                event.row.code.clone().unwrap_or_default(),
                facts.join(" "),
            ]
        })
        .collect();
    print::line("");
    print::table(&["at", "event", "by", "code", "facts"], &rows);
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What is nobody's secret about an event.
fn facts(leaf: &Leaf) -> Map<String, Value> {
    leaf.facts
        .iter()
        .map(|(name, fact)| {
            let value = match fact {
                Fact::Int(number) => json!(number),
                Fact::Text(text) => json!(text),
                Fact::Bytes(bytes) => json!(HEXLOWER.encode(bytes)),
            };
            (name.to_string(), value)
        })
        .collect()
}

fn whole(
    row: &JobRow,
    more: &More,
    events: &[StoredEvent],
    personal: Option<&Personal>,
    now: DateTime<Utc>,
) -> Value {
    let mut whole = summary(row);
    let reason = row.reason.as_deref().and_then(Reason::parse);
    let events: Vec<_> = events
        .iter()
        .map(|event| {
            let leaf = Leaf::decode(&event.row.leaf).ok();
            json!({
                "event": event.row.id.to_string(),
                "at": micros(event.row.at),
                "kind": event.row.kind.word(),
                "actor": leaf.as_ref().map(|leaf| leaf.actor.word()),
                "code": event.row.code,
                "facts": leaf.as_ref().map(facts),
            })
        })
        .collect();
    let link = more.link.as_ref().map(|link| {
        json!({
            "state": state(link, now),
            "expires_at": micros(link.expires_at),
            "opens": link.opens,
            "max_opens": link.max_opens,
            "revoked_at": link.revoked_at.map(micros),
        })
    });
    let rest = json!({
        "link_number": LinkNumber::of(row.id).to_string(),
        "frozen_at": more.frozen.0.map(micros),
        "tenant_frozen_at": more.frozen.1.map(micros),
        "left": recall::list(&more.left),
        "meaning": reason.map(Reason::meaning),
        "remedy": reason.map(Reason::remedy),
        "pages": row.pages,
        "pdf_bytes": row.pdf_len,
        "pdf_sha256": row.pdf_sha256.map(|hash| HEXLOWER.encode(&hash)),
        "template": row.template,
        "renderer": row.renderer,
        "link": link,
        "reminder": more.reminder.as_ref().map(|one| reminder::value(one, now, more.zone)),
        "personal": personal,
        "events": events,
    });
    if let (Some(whole), Value::Object(rest)) = (whole.as_object_mut(), rest) {
        whole.extend(rest);
    }
    whole
}

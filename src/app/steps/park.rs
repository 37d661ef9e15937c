//! Sets a job aside that trying again cannot help: for a person, with its reason.

use chrono::{DateTime, Utc};

use crate::{
    app::office::{Delivery, Office},
    domain::{
        event::EventKind,
        log::{Actor, Kind},
        reason::Reason,
    },
    store::{
        ledger::{DetailKey, EventDraft},
        work,
    },
};

/// Parks a job in memory with its reason.
pub(super) async fn park(
    office: &Office,
    delivery: &Delivery,
    reason: Reason,
    detail: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let event = office.scribe.event(EventDraft {
        tenant: &delivery.tenant,
        job: Some(delivery.job),
        at: now,
        kind: Kind::Parked,
        actor: Actor::Worker,
        code: Some(reason.code()),
        facts: Vec::new(),
        personal: vec![("why", detail.to_owned())],
        detail_key: DetailKey::Delivery(&delivery.key.personal_key()),
    })?;
    let news = office.events.of_delivery(delivery, EventKind::Parked, Some(reason.code()), now)?;
    let outbox: Vec<_> = news.into_iter().collect();
    let mut tx = office.db.begin().await?;
    let held = work::park(&mut tx, Some(office.epoch), delivery.job, reason.code(), event, &outbox)
        .await?;
    tx.commit().await?;
    office.queues.in_flight.leave(delivery.job);
    if held {
        office.metrics.parked(reason.code());
        tracing::warn!(job.id = %delivery.job, code = reason.code(), "a job is parked");
    }
    Ok(())
}

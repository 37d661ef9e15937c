//! The desk as the other parts of the office know it: for HTTP, one job at a
//! time; what it takes goes into memory when there is room.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use futures::future::BoxFuture;

use super::{Chain, office::Office, steps::feed};
use crate::{
    api,
    config::Role,
    domain::{
        ids::TenantId,
        refusal::{Refusal, Refused},
    },
    intake::desk::{Desk, Incoming, Verdict},
};

/// The desk of this office.
#[derive(Debug)]
pub struct OfficeDesk {
    office: Arc<Office>,
    desk: OnceLock<Arc<Desk>>,
}

impl OfficeDesk {
    /// The desk of `office`.
    pub fn new(office: Arc<Office>) -> Self {
        Self { office, desk: OnceLock::new() }
    }

    /// The desk itself.
    pub fn desk(&self) -> Arc<Desk> {
        let office = &self.office;
        Arc::clone(self.desk.get_or_init(|| {
            let press = Arc::clone(&office.press);
            Arc::new(Desk {
                config: Arc::clone(&office.config),
                clock: Arc::clone(&office.clock),
                entropy: office.entropy.clone(),
                epoch: office.epoch,
                db: office.db.clone(),
                keys: office.keys.clone(),
                scribe: office.scribe.clone(),
                announce: Arc::new(office.events.clone()),
                pdfs: Arc::clone(&office.pdfs),
                has_template: Arc::new(move |name| press.has_template(name)),
            })
        }))
    }

    /// Takes messages; fresh jobs go straight into memory while there is room.
    pub async fn take(&self, batch: Vec<Incoming>) -> anyhow::Result<Vec<Verdict>> {
        take(&self.office, &self.desk(), batch).await
    }
}

/// Takes messages to the desk, and what it leased to us into memory.
pub async fn take(
    office: &Office,
    desk: &Desk,
    batch: Vec<Incoming>,
) -> anyhow::Result<Vec<Verdict>> {
    let senders: Vec<_> = batch.iter().map(|incoming| incoming.tenant.clone()).collect();
    let works = office.roles.contains(&Role::Work);
    let mut asked = std::collections::HashMap::<TenantId, usize>::new();
    let mut total = 0_usize;
    let mut lease = |tenant: &TenantId| {
        let mine = asked.entry(tenant.clone()).or_default();
        let in_flight = &office.queues.in_flight;
        let fits = *mine < in_flight.room_of(tenant) && total < in_flight.room();
        let leased = works && fits && office.lease.holds();
        if leased {
            *mine = mine.saturating_add(1);
            total = total.saturating_add(1);
        }
        leased
    };
    let mut verdicts = desk.take(batch, &mut lease).await?;
    for (verdict, sender) in verdicts.iter_mut().zip(senders) {
        match verdict {
            Verdict::Accepted { job, fresh } => {
                office.metrics.accepted(1);
                if let (Some(fresh), Ok(tenant)) = (fresh.take(), sender)
                    && office.queues.in_flight.enter(*job, &tenant)
                {
                    feed::hand_in(office, &tenant, *job, *fresh);
                }
            }
            Verdict::Duplicate { .. } => office.metrics.duplicate(),
            Verdict::Refused { refused } => office.metrics.refused(refused.refusal.code()),
        }
    }
    Ok(verdicts)
}

impl api::Desk for OfficeDesk {
    fn take(
        &self,
        tenant: TenantId,
        body: Bytes,
        trace: Option<String>,
    ) -> BoxFuture<'_, Result<api::Receipt, Refused>> {
        Box::pin(async move {
            let body = body.to_vec();
            let incoming = Incoming { tenant: Ok(tenant), body, sealed: false, flaw: None, trace };
            let verdict = match Self::take(self, vec![incoming]).await {
                Ok(mut verdicts) => verdicts.pop(),
                Err(fault) => {
                    tracing::error!("a job could not be taken: {}", Chain(fault.as_ref()));
                    None
                }
            };
            match verdict {
                Some(Verdict::Accepted { job, .. }) => {
                    Ok(api::Receipt { job, state: api::Taken::Accepted })
                }
                Some(Verdict::Duplicate { job }) => {
                    Ok(api::Receipt { job, state: api::Taken::Duplicate })
                }
                Some(Verdict::Refused { refused }) => Err(refused),
                None => Err(Refused::from(Refusal::TryLater)),
            }
        })
    }
}

//! Takes uploads: looked into, sealed, on disk and on the books before the
//! sender is told its id.
//!
//! A plain PDF is in memory only. It is looked into in a process of its own,
//! then sealed under a key that nobody else has, and only the sealed bytes are
//! written. If the program dies before the row is committed the sender has no
//! id, and what was written is noise that goes with its segment.
//!
//! The press opens an upload again when a job that names it is rendered; what
//! the job delivers is a copy of its own, under its own key.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::body::Bytes;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{Chain, office::Office};
use crate::{
    api,
    blobs::Place,
    config::Tenant,
    crypto::UploadKey,
    domain::{
        calendar::retention::{day_number, local_day},
        ids::{TenantId, UploadId},
        log::{Actor, Kind},
        plain::Plain,
        refusal::{Refusal, Refused},
    },
    intake::{check::look_at_pdf, inside::Unchecked},
    store::{
        keyring::Service,
        ledger::{self, DetailKey, EventDraft, EventRow},
        uploads::{self, UploadRow},
    },
};

/// How long an upload may wait for a process to look into it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes the uploads of an office.
#[derive(Debug)]
pub struct OfficeUploads {
    office: Arc<Office>,
    seats: Arc<Semaphore>,
}

impl OfficeUploads {
    /// The uploads of `office`.
    pub fn new(office: Arc<Office>) -> Self {
        let seats = Arc::new(Semaphore::new(office.config.uploads.at_once));
        Self { office, seats }
    }

    async fn take(
        &self,
        tenant: &TenantId,
        pdf: &[u8],
    ) -> anyhow::Result<Result<UploadRow, Refused>> {
        let office = &self.office;
        let most = i64::from(office.config.uploads.per_tenant);
        let mut tx = office.db.read().await?;
        let count = uploads::count(&mut tx, tenant).await?;
        drop(tx);
        // Before anything is written; the books count again.
        if count >= most {
            return Ok(Err(Refusal::TooManyUploads.into()));
        }
        let looked = match look_at_pdf(pdf) {
            Ok(()) => office.pdfs.check(pdf, PATIENCE).await,
            Err(refused) => return self.refuse(tenant, refused).await.map(Err),
        };
        let facts = match looked {
            Ok(facts) => facts,
            Err(Unchecked::Flawed(flaw)) => {
                return self.refuse(tenant, Refused::bad_pdf(flaw)).await.map(Err);
            }
            Err(Unchecked::NotNow) => return Ok(Err(Refusal::TryLater.into())),
        };
        let now = office.clock.now();
        let id = UploadId(office.entropy.id(now)?);
        let expires_at = now.checked_add_signed(office.config.uploads.keep.delta()).unwrap_or(now);
        let nobody = Tenant::default();
        let zone = office.config.tenants.get(tenant).unwrap_or(&nobody).zone();
        // The day after the last one on which a job may name it.
        let purge_day = day_number(local_day(expires_at, zone)).saturating_add(1);
        let day_key = office.keys.day_key(tenant, Service::Upload, purge_day).await?;
        let key = UploadKey::draw(&office.entropy)?;
        let sealed = key.seal(tenant, id, pdf, &office.entropy)?;
        let pdf_sha256: [u8; 32] = Sha256::digest(pdf).into();
        let appended = office.blobs.append(now, vec![sealed]).await?;
        let place = appended.places.first().context("the segment answered without a place")?;
        let row = UploadRow {
            id,
            tenant: tenant.clone(),
            received_at: now,
            expires_at,
            purge_day,
            wrapped_key: key.wrap(&day_key, tenant, id, &office.entropy)?,
            segment: place.segment,
            sealed_offset: i64::try_from(place.offset)?,
            sealed_len: i64::try_from(place.len)?,
            pdf_len: i64::try_from(pdf.len())?,
            pdf_sha256,
            facts,
        };
        let event = self.event(&row, now)?;
        let mut tx = office.db.begin().await?;
        let added = uploads::add(&mut tx, office.epoch, &row, most, &event).await?;
        tx.commit().await?;
        if added { Ok(Ok(row)) } else { Ok(Err(Refusal::TooManyUploads.into())) }
    }

    fn event(&self, row: &UploadRow, now: DateTime<Utc>) -> anyhow::Result<EventRow> {
        Ok(self.office.scribe.event(EventDraft {
            tenant: &row.tenant,
            job: None,
            at: now,
            kind: Kind::Uploaded,
            actor: Actor::Application,
            code: None,
            facts: vec![
                ("pages", i64::from(row.facts.pages).into()),
                ("pdf_bytes", row.pdf_len.into()),
                ("pdf_sha256", row.pdf_sha256.as_slice().into()),
                ("upload", row.id.0.as_bytes().as_slice().into()),
            ],
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?)
    }

    /// Writes down what was refused, before the sender is told.
    async fn refuse(&self, tenant: &TenantId, refused: Refused) -> anyhow::Result<Refused> {
        // An upload is not a job: it has no fields.
        let refused = Refused { path: None, ..refused };
        let mut facts = vec![("field", "upload".into())];
        facts.extend(refused.flaw.map(|flaw| ("reason", flaw.word().into())));
        let event = self.office.scribe.event(EventDraft {
            tenant,
            job: None,
            at: self.office.clock.now(),
            kind: Kind::Rejected,
            actor: Actor::Application,
            code: Some(refused.refusal.code()),
            facts,
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?;
        let mut tx = self.office.db.begin().await?;
        ledger::append(&mut tx, &[event]).await?;
        tx.commit().await?;
        Ok(refused)
    }
}

impl api::Uploads for OfficeUploads {
    fn seat(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.seats).try_acquire_owned().ok()
    }

    fn take(&self, tenant: TenantId, pdf: Plain) -> BoxFuture<'_, Result<UploadRow, Refused>> {
        Box::pin(async move {
            let taken = Self::take(self, &tenant, &pdf).await;
            let taken = taken.unwrap_or_else(|fault| {
                tracing::error!("an upload could not be taken: {}", Chain(fault.as_ref()));
                Err(Refusal::TryLater.into())
            });
            if let Err(refused) = &taken {
                self.office.metrics.refused(refused.refusal.code());
            }
            taken
        })
    }
}

/// Why an upload could not be read back.
#[derive(Debug)]
pub enum Unread {
    /// It is gone, or not what was put there.
    ForGood(&'static str),
    /// The disk, the books or the key store failed.
    ForNow(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Unread {
    fn from(error: E) -> Self {
        Self::ForNow(error.into())
    }
}

/// Reads an upload back.
pub async fn read(
    office: &Office,
    tenant: &TenantId,
    id: UploadId,
) -> Result<(Plain, UploadRow), Unread> {
    let mut tx = office.db.read().await?;
    let row = uploads::get(&mut tx, tenant, id).await?;
    drop(tx);
    let Some(row) = row else { return Err(Unread::ForGood("the upload is gone")) };
    let place = Place {
        segment: row.segment,
        offset: u64::try_from(row.sealed_offset)?,
        len: u64::try_from(row.sealed_len)?,
    };
    let sealed: Bytes = match office.blobs.read(&place, 0..place.len).await {
        Ok(sealed) => sealed,
        Err(error) if error.may_pass() => return Err(error.into()),
        Err(_) => return Err(Unread::ForGood("the upload's bytes are gone")),
    };
    let day_key = match office.keys.existing_day_key(tenant, Service::Upload, row.purge_day).await {
        Ok(key) => key,
        Err(error) if error.may_pass() => return Err(error.into()),
        Err(_) => return Err(Unread::ForGood("the upload's key is gone")),
    };
    let opened = UploadKey::unwrap(&day_key, tenant, id, &row.wrapped_key)
        .and_then(|key| key.open(tenant, id, &sealed));
    let Ok(pdf) = opened else { return Err(Unread::ForGood("the upload does not open")) };
    if <[u8; 32]>::from(Sha256::digest(&*pdf)) != row.pdf_sha256 {
        return Err(Unread::ForGood("the upload is not what was sent"));
    }
    Ok((pdf, row))
}

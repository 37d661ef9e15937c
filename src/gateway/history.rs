//! When a document was opened, as its reader may know it.
//!
//! Read from the log: the last opens, newest first, each with whether it came
//! from this browser, from another, or from one that cannot be told. The
//! detail of a month whose key is gone says nothing, and is shown so.

use axum::http::HeaderMap;
use minijinja::{Value, context};

use super::{Inner, device::Device, record::Fault, when::When};
use crate::{
    domain::ids::TenantId,
    store::{
        dossier,
        keyring::KeyError,
        ledger::{self, StoredEvent, scribe::Detail},
        links::Found,
    },
};

/// Opens that are shown, at the most.
const SHOWN_MAX: i64 = 10;

impl Inner {
    /// The last opens of a delivery, ready for a template.
    pub(super) async fn history(
        &self,
        found: &Found,
        headers: &HeaderMap,
        when: impl Fn(chrono::DateTime<chrono::Utc>) -> When,
    ) -> Result<Vec<Value>, Fault> {
        let (tenant, job) = (&found.link.tenant, found.link.job);
        let key = self.parts.keys.page_key().await?;
        let ours = Device::of(headers, &key, self.site.is_secure());
        let ours = ours.map(|device| device.print(&key, tenant));
        let mut tx = self.parts.db.read().await?;
        let opens = ledger::opens_of_job(&mut tx, tenant, job, SHOWN_MAX).await?;
        drop(tx);
        let mut shown = Vec::with_capacity(opens.len());
        for open in opens {
            let theirs = self.device_of(tenant, &open).await?;
            let who = match (&ours, &theirs) {
                (Some(ours), Some(theirs)) if ours == theirs => "this",
                (Some(_), Some(_)) => "other",
                (_, _) => "unknown",
            };
            shown.push(context! { at => when(open.row.at), who });
        }
        Ok(shown)
    }

    /// The print of the browser that opened, if the log still tells.
    async fn device_of(
        &self,
        tenant: &TenantId,
        open: &StoredEvent,
    ) -> Result<Option<String>, Fault> {
        let label = open.row.detail_key.as_deref().and_then(|key| key.strip_prefix("access/"));
        let (Some(month), Some(sealed)) =
            (label.and_then(dossier::month_of_label), open.row.detail.as_ref())
        else {
            return Ok(None);
        };
        let key = match self.parts.keys.access_key(tenant, month).await {
            Ok(key) => key,
            Err(KeyError::Destroyed) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut detail = Detail::open(&key, open.row.id, sealed)?;
        Ok(detail.fields.remove("device"))
    }
}

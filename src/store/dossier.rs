//! Opens what a delivery's row holds sealed.
//!
//! Several rooms need it: the pages, the applications' interface, the log's
//! search, the worker that starts again. They all have the row and the key
//! ring; what lies between, the day's key and the delivery's, is found here.
//!
//! A row whose key is destroyed is an answer, not a failure: what was in it is
//! gone, and was meant to be.

use chrono::{DateTime, Datelike as _, Utc};

use crate::{
    crypto::{CryptoError, delivery::DeliveryKey, wrap},
    domain::{
        ids::TenantId,
        job::Channel,
        personal::{BadPersonal, Personal},
    },
    store::{
        jobs::JobRow,
        keyring::{KeyError, KeyRing, Service},
    },
};

/// Why a row stays closed.
#[derive(Debug, thiserror::Error)]
pub enum DossierError {
    /// The delivery was destroyed: its key, its columns, or both are gone.
    #[error("the delivery has been destroyed")]
    Destroyed,
    /// The key is not to be had.
    #[error("the key of a delivery is not to be had")]
    Key(#[source] KeyError),
    /// The row is not what was sealed.
    #[error("a sealed column does not open")]
    Seal(#[source] CryptoError),
    /// The row opened, but holds something else.
    #[error("a sealed column holds something else")]
    Form(#[source] BadPersonal),
}

impl DossierError {
    /// Whether asking again later can help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Key(error) => error.may_pass(),
            Self::Destroyed | Self::Seal(_) | Self::Form(_) => false,
        }
    }
}

impl From<KeyError> for DossierError {
    fn from(error: KeyError) -> Self {
        if matches!(error, KeyError::Destroyed) { Self::Destroyed } else { Self::Key(error) }
    }
}

impl From<CryptoError> for DossierError {
    fn from(error: CryptoError) -> Self {
        Self::Seal(error)
    }
}

/// The key service under which deliveries of a channel are sealed.
pub const fn service_of(channel: Channel) -> Service {
    match channel {
        Channel::Email => Service::Mail,
        Channel::Post => Service::Postal,
    }
}

/// The key of a delivery.
pub async fn delivery_key(keys: &KeyRing, row: &JobRow) -> Result<DeliveryKey, DossierError> {
    let wrapped = row.wrapped_key.as_ref().ok_or(DossierError::Destroyed)?;
    let service = service_of(row.channel);
    let day = keys.existing_day_key(&row.tenant, service, row.purge_day).await?;
    Ok(DeliveryKey::unwrap(&day, &row.tenant, row.id, wrapped)?)
}

/// What a delivery knows about people.
pub async fn personal(keys: &KeyRing, row: &JobRow) -> Result<Personal, DossierError> {
    personal_under(&delivery_key(keys, row).await?, row)
}

/// The same, where the delivery's key is at hand.
pub fn personal_under(key: &DeliveryKey, row: &JobRow) -> Result<Personal, DossierError> {
    let sealed = row.personal.as_ref().ok_or(DossierError::Destroyed)?;
    let plain = key.open_personal(row.id, sealed)?;
    Personal::from_bytes(&plain).map_err(DossierError::Form)
}

/// The name of a counterparty, as evidence keeps it for years.
pub async fn counterparty(
    keys: &KeyRing,
    tenant: &TenantId,
    year: i64,
    sealed: &[u8],
) -> Result<String, DossierError> {
    let key = keys.evidence_key(tenant, year).await?;
    let plain = wrap::unwrap_(&key, &counterparty_place(tenant), sealed)?;
    let name = std::str::from_utf8(&plain).map_err(|_| CryptoError::BrokenSeal)?;
    Ok(name.to_owned())
}

/// The place that a sealed counterparty is bound to.
pub fn counterparty_place(tenant: &TenantId) -> Vec<u8> {
    wrap::place(&[b"evidence", tenant.as_str().as_bytes()])
}

/// Months for which what is known of an access (address block and program)
/// stays readable.
const ACCESS_MONTHS: i64 = 12;

/// The month (months since 1970) after which details of an access at `at` are
/// to be unreadable: the number of its access key.
pub fn access_month(at: DateTime<Utc>) -> i64 {
    let years = i64::from(at.year()).saturating_sub(1970);
    let month = years.saturating_mul(12).saturating_add(i64::from(at.month0()));
    month.saturating_add(ACCESS_MONTHS)
}

/// The label of an access key in the log: `yyyymm`.
pub fn access_label(month: i64) -> String {
    let (years, month) = (month.div_euclid(12), month.rem_euclid(12));
    format!("{:04}{:02}", years.saturating_add(1970), month.saturating_add(1))
}

/// The month of a label.
pub fn month_of_label(label: &str) -> Option<i64> {
    let (year, month) = label.split_at_checked(4)?;
    let (year, month): (i64, i64) = (year.parse().ok()?, month.parse().ok()?);
    let months = year.checked_sub(1970)?.checked_mul(12)?.checked_add(month.checked_sub(1)?)?;
    (access_label(months) == label).then_some(months)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_is_readable_for_a_year() {
        let month = access_month("2026-11-21T00:00:00Z".parse().unwrap());
        assert_eq!(access_label(month), "202711", "until the end of November next year");
        assert_eq!(month_of_label("202711"), Some(month), "and back");
        for label in ["2027", "20271", "202713", "202700", "+02711", "20271x", ""] {
            assert_eq!(month_of_label(label), None, "{label}");
        }
    }
}

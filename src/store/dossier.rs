//! Opens what a delivery's row holds sealed.
//!
//! Several rooms need it: the pages, the applications' interface, the log's
//! search, the worker that starts again. They all have the row and the key
//! ring; what lies between, the day's key and the delivery's, is found here.
//!
//! A row whose key is destroyed is an answer, not a failure: what was in it is
//! gone, and was meant to be.

use crate::{
    crypto::{CryptoError, delivery::DeliveryKey},
    domain::{
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
        match error {
            KeyError::Destroyed => Self::Destroyed,
            other => Self::Key(other),
        }
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

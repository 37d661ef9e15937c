//! The key of an upload: a finished PDF that rests before its job comes.
//!
//! Like a delivery's key it rests only wrapped under the key of the day on
//! which the upload is gone at the latest, bound to its tenant and its own id,
//! so that no upload opens as another one or as a delivery.

use std::fmt;

use super::{CryptoError, Key, stream, wrap};
use crate::{
    domain::ids::{TenantId, UploadId},
    domain::plain::Plain,
    entropy::{Entropy, NoEntropy},
};

/// The key of one upload; ends with its row or its day key.
pub struct UploadKey(Key);

impl UploadKey {
    /// Draws the key of a new upload.
    pub fn draw(entropy: &Entropy) -> Result<Self, NoEntropy> {
        Key::draw(entropy).map(Self)
    }

    /// Wraps the key for the row of `upload` under the key of its purge day.
    pub fn wrap(
        &self,
        day_key: &Key,
        tenant: &TenantId,
        upload: UploadId,
        entropy: &Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        wrap::wrap(day_key, &place(tenant, upload), self.0.expose(), entropy)
    }

    /// Unwraps what [`wrap`](Self::wrap) made for the same upload.
    pub fn unwrap(
        day_key: &Key,
        tenant: &TenantId,
        upload: UploadId,
        wrapped: &[u8],
    ) -> Result<Self, CryptoError> {
        wrap::unwrap_key(day_key, &place(tenant, upload), wrapped).map(Self)
    }

    /// Seals the uploaded PDF.
    pub fn seal(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        pdf: &[u8],
        entropy: &Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        stream::seal(&self.0.derive("upload"), &aad(tenant, upload), pdf, entropy)
    }

    /// Opens what [`seal`](Self::seal) made.
    pub fn open(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        sealed: &[u8],
    ) -> Result<Plain, CryptoError> {
        stream::open(&self.0.derive("upload"), &aad(tenant, upload), sealed)
    }
}

impl fmt::Debug for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadKey(..)")
    }
}

/// The associated data of a sealed upload, in the manner of a sealed document's.
fn aad(tenant: &TenantId, upload: UploadId) -> Vec<u8> {
    format!("kakitome/v1|{tenant}|{}|upload", upload.0.hyphenated()).into_bytes()
}

fn place(tenant: &TenantId, upload: UploadId) -> Vec<u8> {
    wrap::place(&[b"kakitome upload key v1", tenant.as_str().as_bytes(), upload.0.as_bytes()])
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{crypto::delivery::DeliveryKey, domain::ids::JobId};

    #[test]
    fn an_upload_opens_as_itself_only() {
        let entropy = Entropy::from_seed_number(1);
        let acme = TenantId::parse("acme").unwrap();
        let other = TenantId::parse("other").unwrap();
        let (one, two) = (UploadId(Uuid::from_u128(1)), UploadId(Uuid::from_u128(2)));
        let day = Key::take(&mut [1; 32]);
        let key = UploadKey::draw(&entropy).unwrap();
        let wrapped = key.wrap(&day, &acme, one, &entropy).unwrap();
        let sealed = key.seal(&acme, one, b"%PDF-1.7", &entropy).unwrap();
        let again = UploadKey::unwrap(&day, &acme, one, &wrapped).unwrap();
        assert_eq!(again.open(&acme, one, &sealed).unwrap().as_slice(), b"%PDF-1.7", "at home");
        assert!(again.open(&acme, two, &sealed).is_err(), "another upload");
        assert!(again.open(&other, one, &sealed).is_err(), "another tenant");
        assert!(UploadKey::unwrap(&day, &acme, two, &wrapped).is_err(), "another row");
        assert!(UploadKey::unwrap(&day, &other, one, &wrapped).is_err(), "another tenant's row");
        let as_job = DeliveryKey::unwrap(&day, &acme, JobId(one.0), &wrapped);
        assert!(as_job.is_err(), "an upload is no delivery");
        assert_eq!(format!("{key:?}"), "UploadKey(..)", "Debug must be mute");
    }
}

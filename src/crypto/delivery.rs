//! The one key of a delivery, and what hangs from it.
//!
//! Document, payload and personal data of a delivery are sealed under three
//! subkeys of one key, so that one destroyed wrap takes all three. The key
//! itself rests only wrapped under a day key; a later purge day is a new wrap
//! ([`DeliveryKey::wrap`] again), and nothing that was sealed is touched.
//!
//! Tenant and job are bound into every wrap and every seal: a row copied under
//! another job, or another tenant, does not open there.

use std::fmt;

use zeroize::Zeroizing;

use super::{
    CryptoError, Key,
    column::{open_column, seal_column},
    wrap,
};
use crate::{
    domain::ids::{JobId, TenantId},
    entropy::{Entropy, NoEntropy},
};

/// The key of one delivery; ends with its day key.
pub struct DeliveryKey(Key);

impl DeliveryKey {
    /// Draws the key of a new delivery.
    pub fn draw(entropy: &Entropy) -> Result<Self, NoEntropy> {
        Key::draw(entropy).map(Self)
    }

    /// Wraps the key for the row of `job` under the key of its purge day.
    pub fn wrap(
        &self,
        day_key: &Key,
        tenant: &TenantId,
        job: JobId,
        entropy: &Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        wrap::wrap(day_key, &place(tenant, job), self.0.expose(), entropy)
    }

    /// Unwraps what [`wrap`](Self::wrap) made for the same job of the same
    /// tenant under the same day.
    pub fn unwrap(
        day_key: &Key,
        tenant: &TenantId,
        job: JobId,
        wrapped: &[u8],
    ) -> Result<Self, CryptoError> {
        wrap::unwrap_key(day_key, &place(tenant, job), wrapped).map(Self)
    }

    /// Seals the document; the associated data is [`artifact_aad`].
    pub fn artifact_key(&self) -> Key {
        self.0.derive("artifact")
    }

    /// Seals the column `jobs.personal`.
    pub fn personal_key(&self) -> Key {
        self.0.derive("personal")
    }

    /// Seals the column `jobs.payload`.
    pub fn payload_key(&self) -> Key {
        self.0.derive("payload")
    }

    /// Seals the code of a second factor on its way into a mail.
    pub fn seal_code(
        &self,
        job: JobId,
        code: &str,
        entropy: &Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        let (key, row) = (self.0.derive("code"), job.0.as_bytes());
        seal_column(&key, "code_mails", "sealed", row, code.as_bytes(), entropy)
    }

    /// Opens what [`seal_code`](Self::seal_code) made.
    pub fn open_code(&self, job: JobId, sealed: &[u8]) -> Result<Zeroizing<String>, CryptoError> {
        let (key, row) = (self.0.derive("code"), job.0.as_bytes());
        let plain = open_column(&key, "code_mails", "sealed", row, sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| CryptoError::BrokenSeal)?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Seals the column `jobs.personal` of `job`.
    pub fn seal_personal(
        &self,
        job: JobId,
        plain: &[u8],
        entropy: &Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        seal_column(&self.personal_key(), "jobs", "personal", job.0.as_bytes(), plain, entropy)
    }

    /// Opens the column `jobs.personal` of `job`.
    pub fn open_personal(
        &self,
        job: JobId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        open_column(&self.personal_key(), "jobs", "personal", job.0.as_bytes(), sealed)
    }

    /// Seals the column `jobs.payload` of `job`.
    pub fn seal_payload(
        &self,
        job: JobId,
        plain: &[u8],
        entropy: &Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        seal_column(&self.payload_key(), "jobs", "payload", job.0.as_bytes(), plain, entropy)
    }

    /// Opens the column `jobs.payload` of `job`.
    pub fn open_payload(
        &self,
        job: JobId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        open_column(&self.payload_key(), "jobs", "payload", job.0.as_bytes(), sealed)
    }
}

impl fmt::Debug for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliveryKey(..)")
    }
}

/// The associated data of a sealed document: plain text, so that a stranger's
/// Tink client can be told it. Neither part can hold a `|`.
pub fn artifact_aad(tenant: &TenantId, job: JobId) -> Vec<u8> {
    format!("kakitome/v1|{tenant}|{}|artifact", job.0.hyphenated()).into_bytes()
}

fn place(tenant: &TenantId, job: JobId) -> Vec<u8> {
    wrap::place(&[b"kakitome delivery key v1", tenant.as_str().as_bytes(), job.0.as_bytes()])
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn job(number: u128) -> JobId {
        JobId(Uuid::from_u128(number))
    }

    #[test]
    fn a_wrap_opens_for_its_own_job_tenant_and_day_only() {
        let entropy = Entropy::from_seed_number(1);
        let (day, other_day) = (Key::take(&mut [1; 32]), Key::take(&mut [2; 32]));
        let key = DeliveryKey::draw(&entropy).unwrap();
        let wrapped = key.wrap(&day, &tenant("acme"), job(7), &entropy).unwrap();
        let open = |day: &Key, name: &str, number| {
            DeliveryKey::unwrap(day, &tenant(name), job(number), &wrapped)
        };
        let again = open(&day, "acme", 7).unwrap();
        assert_eq!(
            again.artifact_key().expose(),
            key.artifact_key().expose(),
            "at home the same subkeys come back"
        );
        assert!(open(&other_day, "acme", 7).is_err(), "another day");
        assert!(open(&day, "other", 7).is_err(), "another tenant");
        assert!(open(&day, "acme", 8).is_err(), "another job");
    }

    #[test]
    fn a_later_day_is_a_new_wrap_of_the_same_key() {
        let entropy = Entropy::from_seed_number(2);
        let later = Key::take(&mut [9; 32]);
        let key = DeliveryKey::draw(&entropy).unwrap();
        let sealed = key.seal_personal(job(7), b"name", &entropy).unwrap();
        let wrapped = key.wrap(&later, &tenant("acme"), job(7), &entropy).unwrap();
        let again = DeliveryKey::unwrap(&later, &tenant("acme"), job(7), &wrapped).unwrap();
        let opened = again.open_personal(job(7), &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"name", "what was sealed before opens after");
    }

    #[test]
    fn columns_and_rows_do_not_open_each_other() {
        let entropy = Entropy::from_seed_number(3);
        let key = DeliveryKey::draw(&entropy).unwrap();
        let personal = key.seal_personal(job(7), b"name", &entropy).unwrap();
        let payload = key.seal_payload(job(7), b"{}", &entropy).unwrap();
        assert!(key.open_personal(job(7), &payload).is_err(), "another column");
        assert!(key.open_payload(job(7), &personal).is_err(), "another column");
        assert!(key.open_personal(job(8), &personal).is_err(), "another row");
        assert_eq!(key.open_payload(job(7), &payload).unwrap().as_slice(), b"{}", "at home");
    }

    #[test]
    fn the_associated_data_of_a_document_is_what_the_format_page_says() {
        assert_eq!(
            artifact_aad(&tenant("acme"), job(7)),
            b"kakitome/v1|acme|00000000-0000-0000-0000-000000000007|artifact",
            "a stranger's client must be able to build it"
        );
        assert_eq!(
            format!("{:?}", DeliveryKey::draw(&Entropy::from_seed_number(4)).unwrap()),
            "DeliveryKey(..)",
            "Debug must be mute"
        );
    }
}

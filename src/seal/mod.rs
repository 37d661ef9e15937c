//! Takes a finished PDF and makes it unreadable to everyone but the recipient.
//!
//! The plain bytes arrive in memory and are wiped when this returns; there is
//! no path on which they reach a disk, a log or an error message. The sealed
//! file is a Tink AES256-GCM-HKDF stream under the delivery's own key, bound to
//! its tenant and job.
//!
//! Sealing twice is harmless: both files open with the same key, the books name
//! one of them, and the other goes with its segment.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    crypto::{
        CryptoError,
        delivery::{DeliveryKey, artifact_aad},
        stream, wrap,
    },
    domain::ids::{JobId, TenantId},
    domain::plain::Plain,
    entropy::Entropy,
};

/// A sealed document and what is known of the plain one.
#[derive(Debug)]
pub struct Artifact {
    /// The sealed file.
    pub sealed: Vec<u8>,
    /// The SHA-256 of the plain PDF.
    pub sha256: [u8; 32],
    /// The length of the plain PDF in bytes.
    pub plain_len: u64,
}

/// Seals a document; its plain bytes are wiped.
pub fn seal(
    pdf: Plain,
    key: &DeliveryKey,
    tenant: &TenantId,
    job: JobId,
    entropy: &Entropy,
) -> Result<Artifact, CryptoError> {
    let sealed = stream::seal(&key.artifact_key(), &artifact_aad(tenant, job), &pdf, entropy)?;
    let sha256 = Sha256::digest(&*pdf).into();
    let plain_len = u64::try_from(pdf.len()).unwrap_or(u64::MAX);
    drop(pdf);
    Ok(Artifact { sealed, sha256, plain_len })
}

/// Seals a mail under the key of its hour: its bytes hold the link, of which
/// nothing but a print is kept elsewhere.
pub fn seal_mail(
    mail: &[u8],
    hour_key: &crate::crypto::Key,
    tenant: &TenantId,
    job: JobId,
    entropy: &Entropy,
) -> Result<Vec<u8>, CryptoError> {
    wrap::wrap(hour_key, &mail_place(tenant, job), mail, entropy)
}

/// Opens a mail that is to be sent again, byte for byte.
pub fn open_mail(
    sealed: &[u8],
    hour_key: &crate::crypto::Key,
    tenant: &TenantId,
    job: JobId,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    wrap::unwrap_(hour_key, &mail_place(tenant, job), sealed)
}

fn mail_place(tenant: &TenantId, job: JobId) -> Vec<u8> {
    wrap::place(&[b"kakitome mail v1", tenant.as_str().as_bytes(), job.0.as_bytes()])
}

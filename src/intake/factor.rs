//! What a delivery keeps of its link's second factor.
//!
//! Of a passcode that is a slow print, made here, once; the passcode itself is
//! forgotten before anything is written down. The print takes some 20 ms of a
//! thread that nobody waits for but this job's batch.

use super::desk::DeskError;
use crate::{
    crypto::{CryptoError, factor},
    domain::{
        checked::CheckedJob,
        factor::{FactorKind, SecondFactor},
        ids::JobId,
    },
    entropy::Entropy,
    store::keyring::KeyRing,
};

/// The second factor as the personal data keep it; takes the passcode out of
/// the job.
pub(super) async fn kept(
    keys: &KeyRing,
    entropy: &Entropy,
    job: JobId,
    checked: &mut CheckedJob,
) -> Result<Option<SecondFactor>, DeskError> {
    let passcode = checked.passcode.take();
    match (checked.link.second_factor, passcode) {
        (None, _) => Ok(None),
        (Some(FactorKind::EmailCode), _) => Ok(Some(SecondFactor::EmailCode)),
        (Some(FactorKind::Passcode), None) => Err(CryptoError::BrokenSeal.into()),
        (Some(FactorKind::Passcode), Some(passcode)) => {
            let (key, entropy) = (keys.factor_key().await?, entropy.clone());
            let print = move || factor::verifier(&key, job, &passcode, &entropy);
            let verifier = tokio::task::spawn_blocking(print).await;
            let verifier = verifier.map_err(|_| DeskError::Stopped)??;
            Ok(Some(SecondFactor::Passcode { verifier }))
        }
    }
}

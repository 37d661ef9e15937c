//! Bodies sealed to a public key: jobs that arrive sealed, and messages we
//! refuse and must not leave readable in a dead-letter queue.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! AES-256-GCM; info is `kakitome job v1`, a zero byte, and the tenant's id, or
//! nothing where the tenant is unknown; no associated data. On the wire:
//! version (1), encapsulated key (32), ciphertext with tag.
//!
//! The tenant stands in the info because the one-shot calls of widespread
//! libraries (Python's `cryptography`) take an info and no associated data.
//! Base mode says nothing about who sealed: the tenant comes from the
//! authenticated channel, and the id in the info only keeps one tenant's body
//! from being opened as another's.

use std::convert::Infallible;

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha256,
    kem::X25519HkdfSha256, rand_core, setup_receiver, setup_sender_with_rng,
};
use zeroize::{Zeroize, Zeroizing};

use super::{CryptoError, Key};
use crate::{domain::ids::TenantId, entropy::Entropy};

type Kem = X25519HkdfSha256;

const VERSION: u8 = 1;
const INFO: &[u8] = b"kakitome job v1\0";

/// By how many bytes a sealed body is longer than the body.
pub const OVERHEAD: usize = 1 + 32 + 16;

/// An X25519 public key: what a sender needs to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

/// A secret key and its public key: what opens.
#[derive(Debug)]
pub struct SealingPair {
    secret: Key,
    public: PublicKey,
}

impl SealingPair {
    /// The pair that belongs to 32 secret bytes: RFC 9180 `DeriveKeyPair`, so
    /// any drawn key will do.
    pub fn from_seed(seed: &Key) -> Self {
        let (secret, public) = Kem::derive_keypair(seed.expose());
        let mut bytes: [u8; 32] = secret.to_bytes().into();
        Self { secret: Key::take(&mut bytes), public: PublicKey(public.to_bytes().into()) }
    }

    /// The half that may be published.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Opens a body sealed to this pair for `tenant`, or for nobody in
    /// particular.
    pub fn open(
        &self,
        tenant: Option<&TenantId>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(CryptoError::BrokenSeal)?;
        let (encapsulated, body) = rest.split_first_chunk::<32>().ok_or(CryptoError::BrokenSeal)?;
        let broken = |_| CryptoError::BrokenSeal;
        let secret =
            <Kem as hpke::Kem>::PrivateKey::from_bytes(self.secret.expose()).map_err(broken)?;
        let encapsulated =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).map_err(broken)?;
        setup_receiver::<AesGcm256, HkdfSha256, Kem>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            &info(tenant),
        )
        .and_then(|mut context| context.open(body, &[]))
        .map(Zeroizing::new)
        .map_err(broken)
    }
}

/// Seals `body` to `public` for `tenant`, or for nobody in particular.
pub fn seal_body(
    public: &PublicKey,
    tenant: Option<&TenantId>,
    body: &[u8],
    entropy: &Entropy,
) -> Result<Vec<u8>, CryptoError> {
    let refused = |_| CryptoError::BrokenSeal;
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(&public.0).map_err(refused)?;
    let mut chance = Drawn { bytes: Zeroizing::new(entropy.array()?), overdrawn: false, at: 0 };
    let (encapsulated, mut context) = setup_sender_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        &info(tenant),
        &mut chance,
    )
    .map_err(refused)?;
    if chance.overdrawn {
        return Err(CryptoError::NoEntropy);
    }
    let ciphertext = context.seal(body, &[]).map_err(refused)?;
    let mut sealed = Vec::with_capacity(ciphertext.len().saturating_add(OVERHEAD));
    sealed.push(VERSION);
    sealed.extend_from_slice(&encapsulated.to_bytes());
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

fn info(tenant: Option<&TenantId>) -> Vec<u8> {
    [INFO, tenant.map_or("", TenantId::as_str).as_bytes()].concat()
}

/// Chance drawn beforehand, because HPKE's generator may not fail and ours
/// may. One encapsulation takes 32 bytes; should it ever take more, the seal
/// is thrown away.
struct Drawn {
    bytes: Zeroizing<[u8; 64]>,
    at: usize,
    overdrawn: bool,
}

impl rand_core::TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        let end = self.at.saturating_add(target.len());
        match self.bytes.get_mut(self.at..end) {
            Some(drawn) => {
                target.copy_from_slice(drawn);
                drawn.zeroize();
                self.at = end;
            }
            None => self.overdrawn = true,
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(byte: u8) -> SealingPair {
        SealingPair::from_seed(&Key::take(&mut [byte; 32]))
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[test]
    fn a_body_opens_for_its_tenant_only() {
        let entropy = Entropy::from_seed_number(1);
        let (acme, other) = (tenant("acme"), tenant("other"));
        let body = br#"{"job":1}"#;
        let sealed = seal_body(&pair(1).public(), Some(&acme), body, &entropy).unwrap();
        assert_eq!(sealed.len(), body.len() + OVERHEAD, "the overhead is as documented");
        assert_eq!(pair(1).open(Some(&acme), &sealed).unwrap().as_slice(), body, "at home");
        assert!(pair(1).open(Some(&other), &sealed).is_err(), "another tenant");
        assert!(pair(1).open(None, &sealed).is_err(), "nobody in particular");
        assert!(pair(2).open(Some(&acme), &sealed).is_err(), "another pair");
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused() {
        let sealed =
            seal_body(&pair(1).public(), None, b"body", &Entropy::from_seed_number(1)).unwrap();
        assert_eq!(pair(1).open(None, &sealed).unwrap().as_slice(), b"body", "untouched");
        for at in 0..sealed.len() {
            assert!(pair(1).open(None, &sealed[..at]).is_err(), "cut at {at}");
            let mut spoiled = sealed.clone();
            spoiled[at] ^= 0x40;
            assert!(pair(1).open(None, &spoiled).is_err(), "byte {at} changed");
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let entropy = Entropy::from_os().unwrap();
        let seal = || seal_body(&pair(1).public(), None, b"body", &entropy).unwrap();
        assert_ne!(seal(), seal(), "the encapsulated key is fresh each time");
    }

    #[test]
    fn a_public_key_of_low_order_is_refused() {
        let entropy = Entropy::from_seed_number(1);
        let sealed = seal_body(&PublicKey([0; 32]), None, b"body", &entropy);
        assert_eq!(sealed, Err(CryptoError::BrokenSeal), "everyone could open it");
    }
}

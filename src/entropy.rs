//! The only door through which chance enters the program.
//!
//! Every draw reads fresh bytes from the operating system and mixes them into
//! a pool that is overwritten before anything leaves: a forked process, a
//! resumed snapshot or a memory image taken later reveals nothing that was
//! drawn before. When the operating system cannot give randomness, the draw
//! fails, and so does whatever wanted a secret; there is no weaker source.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

/// The operating system could not give randomness.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoEntropy;

/// A source of random bytes; clones share one pool.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<Source>>);

enum Source {
    System { pool: Zeroizing<[u8; 32]>, draws: u64, names: Box<Names>, last_id: u128 },
    Seeded { rng: Box<ChaCha20Rng>, last_id: u128 },
}

/// Ids are unique, but no secrets: one draw serves [`NAMES`] of them.
struct Names {
    rng: ChaCha20Rng,
    left: u32,
}

/// Ids made from one draw.
const NAMES: u32 = 64;

impl Entropy {
    /// Draws from the operating system, mixed into an erasing pool.
    pub fn from_os() -> Result<Self, NoEntropy> {
        let pool = Zeroizing::new(os_bytes()?);
        let names = Box::new(Names { rng: ChaCha20Rng::from_seed([0; 32]), left: 0 });
        Ok(Self(Arc::new(Mutex::new(Source::System { pool, draws: 0, names, last_id: 0 }))))
    }

    /// Replays the same bytes for the same number; for tests only.
    pub fn from_seed_number(seed: u64) -> Self {
        let rng = Box::new(ChaCha20Rng::seed_from_u64(seed));
        Self(Arc::new(Mutex::new(Source::Seeded { rng, last_id: 0 })))
    }

    /// Fills `target` with random bytes.
    pub fn fill(&self, target: &mut [u8]) -> Result<(), NoEntropy> {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *source {
            Source::Seeded { rng, .. } => rng.fill_bytes(target),
            Source::System { pool, draws, .. } => {
                let mut seed = stir(pool, draws)?;
                ChaCha20Rng::from_seed(seed).fill_bytes(target);
                seed.zeroize();
            }
        }
        Ok(())
    }

    /// Draws an array of random bytes.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], NoEntropy> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Mints a version 7 UUID for `now`, greater than every one minted before
    /// by this source: ids of one process sort in the order of their making,
    /// even when the clock stands still or runs back.
    pub fn id(&self, now: DateTime<Utc>) -> Result<Uuid, NoEntropy> {
        let mut random = [0; 10];
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *source {
            Source::Seeded { rng, .. } => rng.fill_bytes(&mut random),
            Source::System { pool, draws, names, .. } => {
                if names.left == 0 {
                    let mut seed = stir(pool, draws)?;
                    **names = Names { rng: ChaCha20Rng::from_seed(seed), left: NAMES };
                    seed.zeroize();
                }
                names.left = names.left.saturating_sub(1);
                names.rng.fill_bytes(&mut random);
            }
        }
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let fresh = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let (Source::System { last_id, .. } | Source::Seeded { last_id, .. }) = &mut *source;
        if fresh.as_u128() > *last_id {
            *last_id = fresh.as_u128();
            return Ok(fresh);
        }
        // Same millisecond, smaller tail: step over the last one by a random
        // stride inside the 62 bits below the variant.
        let stride = u128::from(u32::from_be_bytes([random[0], random[1], random[2], random[3]]));
        let next = last_id.saturating_add(stride).saturating_add(1);
        let id = uuid::Builder::from_u128(next)
            .with_version(uuid::Version::SortRand)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid();
        *last_id = id.as_u128().max(next);
        Ok(id)
    }
}

/// Overwrites the pool and returns the seed of one draw.
fn stir(pool: &mut [u8; 32], draws: &mut u64) -> Result<[u8; 32], NoEntropy> {
    let fresh = Zeroizing::new(os_bytes()?);
    *draws = draws.wrapping_add(1);
    let mut hash = Sha256::new();
    hash.update(b"kakitome entropy v1\0");
    hash.update(*pool);
    hash.update(*fresh);
    hash.update(std::process::id().to_be_bytes());
    hash.update(draws.to_be_bytes());
    let mixed: Zeroizing<[u8; 32]> = Zeroizing::new(hash.finalize().into());
    let derive = |label: &[u8]| -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(label);
        hash.update(*mixed);
        hash.finalize().into()
    };
    *pool = derive(b"pool");
    Ok(derive(b"seed"))
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
fn os_bytes() -> Result<[u8; 32], NoEntropy> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_when_the_clock_stands_still() {
        let entropy = Entropy::from_os().unwrap();
        let now = DateTime::from_timestamp_micros(1_795_000_000_000_000).unwrap();
        let ids: Vec<_> = (0..5_000).map(|_| entropy.id(now).unwrap()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "ids must grow");
        assert!(ids.iter().all(|id| id.get_version_num() == 7), "ids stay version 7");
    }

    #[test]
    fn a_seed_replays_and_the_system_does_not() {
        let draw = |entropy: &Entropy| entropy.array::<32>().unwrap();
        assert_eq!(
            draw(&Entropy::from_seed_number(7)),
            draw(&Entropy::from_seed_number(7)),
            "a seed must replay"
        );
        let system = Entropy::from_os().unwrap();
        assert_ne!(draw(&system), draw(&system), "draws must differ");
    }
}

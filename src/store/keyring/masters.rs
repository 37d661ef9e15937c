//! Which master key opens what.
//!
//! A master key has no name of its own: a file holds its bytes and nothing
//! else. Its version stands in the key store, as the number of a `probe` row
//! that opens under this master key alone. So a process finds out what it was
//! given by trying, and one that was given the next master key early finds its
//! version when the first row asks for it.
//!
//! It refuses to begin with a store whose probes open under none of the given
//! keys, or, while one key replaces another, under one of the two only: such a
//! process would fail at some row later on.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::{KeyError, KeyName, KeyRing, Kind, MasterKey, NewKey, place};
use crate::crypto::{CryptoError, Key, wrap};

/// The master keys that were given to this process.
pub(super) struct Masters {
    given: Vec<(String, Arc<Key>)>,
    known: RwLock<BTreeMap<i64, Arc<Key>>>,
}

impl Masters {
    pub(super) fn new(masters: Vec<MasterKey>) -> Self {
        let given =
            masters.into_iter().map(|master| (master.print(), Arc::new(master.root()))).collect();
        Self { given, known: RwLock::default() }
    }

    fn known(&self, version: i64) -> Option<Arc<Key>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&version).cloned()
    }

    fn learn(&self, version: i64, root: &Arc<Key>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(version, Arc::clone(root));
    }
}

/// The name of the row that tells a version of the master key.
pub(super) fn probe(version: i64) -> KeyName {
    KeyName::of_office(Kind::Probe, version)
}

impl KeyRing {
    /// The prints of the master keys that were given to this process.
    pub fn master_prints(&self) -> Vec<String> {
        self.0.masters.given.iter().map(|(print, _)| print.clone()).collect()
    }

    /// Checks the given master keys against the store's probes, and makes the
    /// first probe of a new store.
    pub(super) async fn check_masters(&self) -> Result<(), KeyError> {
        let mut live = self.live_masters().await?;
        if live.is_empty() {
            let (_, root) = self.0.masters.given.first().ok_or(KeyError::WrongMaster)?;
            self.make_probe(0, root).await?;
            live = self.live_masters().await?;
        }
        let mut missing = 0_usize;
        for version in &live {
            match self.root(*version).await {
                Ok(_) => {}
                Err(KeyError::MasterMissing) => missing = missing.saturating_add(1),
                Err(error) => return Err(error),
            }
        }
        match missing {
            0 => Ok(()),
            _ if missing == live.len() => Err(KeyError::WrongMaster),
            _ => Err(KeyError::MasterMissing),
        }
    }

    /// The versions of the master key that rows may be wrapped under, oldest
    /// first: one, or two during a rotation.
    pub(super) async fn live_masters(&self) -> Result<Vec<i64>, KeyError> {
        Ok(self.0.db.numbers(Kind::Probe).await?)
    }

    /// The version that new keys are wrapped under.
    pub(super) async fn newest_master(&self) -> Result<i64, KeyError> {
        self.live_masters().await?.last().copied().ok_or(KeyError::WrongMaster)
    }

    /// The wrapping key of one version of the master key.
    pub(super) async fn root(&self, version: i64) -> Result<Arc<Key>, KeyError> {
        if let Some(root) = self.0.masters.known(version) {
            return Ok(root);
        }
        for (_, root) in &self.0.masters.given {
            if self.opens_probe(version, root).await? {
                self.0.masters.learn(version, root);
                return Ok(Arc::clone(root));
            }
        }
        Err(KeyError::MasterMissing)
    }

    /// Whether a master key is the one of this version.
    pub(super) async fn opens_probe(&self, version: i64, root: &Key) -> Result<bool, KeyError> {
        let name = probe(version);
        let row = self.0.db.find(&name).await?.ok_or(KeyError::Broken)?;
        let Some(wrapped) = row.wrapped else { return Ok(false) };
        match wrap::unwrap_key(root, &place(&name, version), &wrapped) {
            Ok(_) => Ok(true),
            Err(CryptoError::BrokenSeal) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Offers the probe of a new version; whoever comes first wins.
    pub(super) async fn make_probe(&self, version: i64, root: &Key) -> Result<(), KeyError> {
        let name = probe(version);
        let key = Key::draw(&self.0.entropy)?;
        let wrapped = wrap::wrap(root, &place(&name, version), key.expose(), &self.0.entropy)?;
        let row = NewKey { parent: version, wrapped: &wrapped, master: version };
        self.0.db.insert(&name, row, self.0.clock.now().timestamp_micros()).await?;
        Ok(())
    }
}

//! The key ring: unwraps the keys of the key store, and remembers them.
//!
//! Master → (tenant, service) → (tenant, service, purge day) is the way to a
//! document's data key; destroying one day key makes a day's documents
//! unreadable, in old backups too. Mail keys are hourly and the office's own.
//! Keys that must survive the rotation of a tenant's keys (dedupe, indexes,
//! links) hang from the master directly. Every wrap is bound to its key's full
//! name and to its parent's version, so that rows cannot be exchanged.
//!
//! A key is made when it is first asked for, once, whoever asks at the same
//! time: the first row wins and everyone reads it back. A key that was
//! destroyed is never made again; its row stays.
//!
//! It refuses to start with a master key that is not the store's, or with one
//! of two while they replace each other, to call a key destroyed before it has left the store's files,
//! and to serve for longer than [`TRUSTED`] a key that another process may
//! have destroyed.

mod destroy;
mod error;
pub mod hours;
mod links;
mod master;
mod masters;
pub(super) mod name;
mod rotate;
#[cfg(test)]
mod tests;
mod trust;

pub use destroy::{Destroyed, KeyCount, KeyStatus, TenantVersion, Version};
pub use error::KeyError;
pub use links::LinkRotation;
pub use master::MasterKey;
pub use name::Service;
pub use rotate::MasterRotation;
pub use trust::TRUSTED;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::keys::{KeyDb, KeyRow, NewKey};
use crate::{
    clock::SharedClock,
    crypto::{Key, LinkKeys, sealed_body::SealingPair, wrap},
    domain::ids::TenantId,
    entropy::Entropy,
};
use masters::Masters;
use name::{KeyName, Kind};
use trust::{Seen, may_be_gone};

/// How many keys are remembered before all are forgotten and read again: some
/// hundred tenants' days and years.
const REMEMBERED_MAX: usize = 65_536;

/// All keys of the office; clones share one store and one memory.
#[derive(Clone)]
pub struct KeyRing(Arc<Ring>);

struct Ring {
    db: KeyDb,
    masters: Masters,
    clock: SharedClock,
    entropy: Entropy,
    memory: RwLock<HashMap<KeyName, (Arc<Key>, Seen)>>,
    pairs: RwLock<HashMap<Option<TenantId>, Arc<SealingPair>>>,
    links: RwLock<Option<(Arc<LinkKeys>, Seen)>>,
}

/// How often a key is offered to the store when a rotation of the master key
/// gets in between.
const OFFERS: usize = 3;

impl KeyRing {
    /// Opens the key store at `url` (`sqlite:PATH` or `postgres://…`), brings
    /// its schema up to date, and checks that `master` is its master key. A
    /// new store is made with `master`.
    pub async fn open(
        url: &str,
        master: MasterKey,
        clock: SharedClock,
        entropy: Entropy,
    ) -> Result<Self, KeyError> {
        Self::open_with(url, vec![master], clock, entropy).await
    }

    /// The same with every master key that is at hand: both, while one
    /// replaces the other. A new store is made with the first.
    pub async fn open_with(
        url: &str,
        masters: Vec<MasterKey>,
        clock: SharedClock,
        entropy: Entropy,
    ) -> Result<Self, KeyError> {
        let ring = Self(Arc::new(Ring {
            db: KeyDb::open(url).await?,
            masters: Masters::new(masters),
            clock,
            entropy,
            memory: RwLock::default(),
            pairs: RwLock::default(),
            links: RwLock::default(),
        }));
        ring.check_masters().await?;
        Ok(ring)
    }

    /// Closes the connections to the key store.
    pub async fn close(&self) {
        self.0.db.close().await;
    }

    /// The key of one tenant, service and purge day (days since 1970); made
    /// when it is first asked for.
    pub async fn day_key(
        &self,
        tenant: &TenantId,
        service: Service,
        purge_day: i64,
    ) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_service(Kind::Day, tenant, service, purge_day), true).await
    }

    /// The same, but never made: for reading.
    pub async fn existing_day_key(
        &self,
        tenant: &TenantId,
        service: Service,
        purge_day: i64,
    ) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_service(Kind::Day, tenant, service, purge_day), false).await
    }

    /// The key of outgoing mail of one hour (hours since 1970); made when it
    /// is first asked for.
    pub async fn mail_key(&self, hour: i64) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_office(Kind::Mail, hour), true).await
    }

    /// The same, but never made: for sending again.
    pub async fn existing_mail_key(&self, hour: i64) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_office(Kind::Mail, hour), false).await
    }

    /// The key of dedupe prints and payload MACs.
    pub async fn dedupe_key(&self) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_office(Kind::Dedupe, 0), true).await
    }

    /// The key of the outbox of events.
    pub async fn outbox_key(&self) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_office(Kind::Outbox, 0), true).await
    }

    /// The key of page nonces.
    pub async fn page_key(&self) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_office(Kind::Page, 0), true).await
    }

    /// The key of VERP tags.
    pub async fn verp_key(&self) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_office(Kind::Verp, 0), true).await
    }

    /// The key of second factors: the pepper of passcodes, and the key of what
    /// rests of mailed codes.
    pub async fn factor_key(&self) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_office(Kind::Factor, 0), true).await
    }

    /// The key of a tenant's blind indexes.
    pub async fn index_key(&self, tenant: &TenantId) -> Result<Arc<Key>, KeyError> {
        self.key(KeyName::of_tenant(Kind::Index, tenant, 0), true).await
    }

    /// The key of a tenant's evidence of one (tax) year.
    pub async fn evidence_key(&self, tenant: &TenantId, year: i64) -> Result<Arc<Key>, KeyError> {
        let name = KeyName::of_service(Kind::Evidence, tenant, Service::Archive, year);
        self.key(name, true).await
    }

    /// The key of a tenant's access details that are to be destroyed after
    /// `month` (months since 1970).
    pub async fn access_key(&self, tenant: &TenantId, month: i64) -> Result<Arc<Key>, KeyError> {
        let name = KeyName::of_service(Kind::Access, tenant, Service::Audit, month);
        self.key(name, true).await
    }

    /// The pair that a tenant's jobs are sealed to.
    pub async fn sealing_pair(&self, tenant: &TenantId) -> Result<Arc<SealingPair>, KeyError> {
        self.pair(Some(tenant.clone())).await
    }

    /// The pair that refused messages of unknown tenants are sealed to.
    pub async fn office_pair(&self) -> Result<Arc<SealingPair>, KeyError> {
        self.pair(None).await
    }

    async fn pair(&self, tenant: Option<TenantId>) -> Result<Arc<SealingPair>, KeyError> {
        if let Some(pair) = self.known_pair(tenant.as_ref()) {
            return Ok(pair);
        }
        let name = KeyName { kind: Kind::Sealing, tenant, service: None, number: 0 };
        let seed = self.key(name.clone(), true).await?;
        let pair = Arc::new(SealingPair::from_seed(&seed));
        let mut known = self.0.pairs.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.tenant, Arc::clone(&pair));
        Ok(pair)
    }

    fn known_pair(&self, tenant: Option<&TenantId>) -> Option<Arc<SealingPair>> {
        let known = self.0.pairs.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&tenant.cloned()).cloned()
    }

    /// Gives the key with this name: from memory, from the store, or, when it
    /// never was and `make` is set, a new one.
    async fn key(&self, name: KeyName, make: bool) -> Result<Arc<Key>, KeyError> {
        let now = self.0.clock.now();
        if let Some(key) = self.remembered(&name, now) {
            return Ok(key);
        }
        let seen = Seen::just_now(&self.0.clock);
        let mut row = self.0.db.find(&name).await?;
        for _ in 0..OFFERS {
            if row.is_some() || !make {
                break;
            }
            // Ours, or that of whoever was faster; none where the store took
            // to another master key in between.
            self.make(&name, now).await?;
            row = self.0.db.find(&name).await?;
        }
        let row = row.ok_or(KeyError::Unknown)?;
        match self.unwrap(&name, &row).await {
            Ok(key) => {
                let key = Arc::new(key);
                // No key is believed for longer than the one above it.
                let seen = self.parent_seen(&name, &row).map_or(seen, |above| seen.earlier(above));
                self.remember(name, Arc::clone(&key), seen);
                Ok(key)
            }
            Err(error) => {
                self.forget(&name);
                Err(error)
            }
        }
    }

    fn remembered(&self, name: &KeyName, now: DateTime<Utc>) -> Option<Arc<Key>> {
        let memory = self.0.memory.read().unwrap_or_else(PoisonError::into_inner);
        let (key, seen) = memory.get(name)?;
        (!may_be_gone(name, now) || seen.holds(now)).then(|| Arc::clone(key))
    }

    fn parent_seen(&self, name: &KeyName, row: &KeyRow) -> Option<Seen> {
        let parent = KeyName { number: row.parent, ..parent_of(name)? };
        let memory = self.0.memory.read().unwrap_or_else(PoisonError::into_inner);
        memory.get(&parent).map(|(_, seen)| *seen)
    }

    fn remember(&self, name: KeyName, key: Arc<Key>, seen: Seen) {
        let mut memory = self.0.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= REMEMBERED_MAX {
            memory.clear();
        }
        memory.insert(name, (key, seen));
    }

    fn forget(&self, name: &KeyName) {
        self.0.memory.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Draws the key with this name and offers its row to the store.
    async fn make(&self, name: &KeyName, now: DateTime<Utc>) -> Result<(), KeyError> {
        let (above, version, master) = match parent_of(name) {
            None => {
                let version = self.newest_master().await?;
                (self.root(version).await?, version, version)
            }
            Some(mut parent) => {
                parent.number = self.0.db.newest(&parent).await?.unwrap_or(1);
                let version = parent.number;
                (Box::pin(self.key(parent, true)).await?, version, i64::MAX)
            }
        };
        let key = Key::draw(&self.0.entropy)?;
        let wrapped = wrap::wrap(&above, &place(name, version), key.expose(), &self.0.entropy)?;
        let row = NewKey { parent: version, wrapped: &wrapped, master };
        self.0.db.insert(name, row, now.timestamp_micros()).await?;
        Ok(())
    }

    async fn unwrap(&self, name: &KeyName, row: &KeyRow) -> Result<Key, KeyError> {
        let wrapped = row.wrapped.as_ref().ok_or(KeyError::Destroyed)?;
        let above = match parent_of(name) {
            None => self.root(row.parent).await?,
            Some(mut parent) if row.parent > 0 => {
                parent.number = row.parent;
                Box::pin(self.key(parent, false)).await?
            }
            // A row that claims another kind of parent was tampered with.
            Some(_) => return Err(KeyError::Broken),
        };
        Ok(wrap::unwrap_key(&above, &place(name, row.parent), wrapped)?)
    }
}

/// The tenant key that a key is wrapped under, version to be filled in; none
/// where it is the master.
fn parent_of(name: &KeyName) -> Option<KeyName> {
    match name.kind {
        Kind::Day | Kind::Evidence | Kind::Access => {
            Some(KeyName { kind: Kind::Tenant, number: 1, ..name.clone() })
        }
        Kind::Probe
        | Kind::Tenant
        | Kind::Mail
        | Kind::LinkTag
        | Kind::LinkPepper
        | Kind::Dedupe
        | Kind::Outbox
        | Kind::Page
        | Kind::Verp
        | Kind::Factor
        | Kind::Index
        | Kind::Sealing => None,
    }
}

/// What a wrap is bound to: the key's full name and its parent's version.
fn place(name: &KeyName, parent: i64) -> Vec<u8> {
    wrap::place(&[
        b"kakitome key v1",
        name.kind.word().as_bytes(),
        name.tenant_word().as_bytes(),
        name.service_word().as_bytes(),
        &name.number.to_be_bytes(),
        &parent.to_be_bytes(),
    ])
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(..)")
    }
}

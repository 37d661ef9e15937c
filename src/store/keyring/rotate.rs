//! Keys that replace others: the master key and the key of a tenant's service.
//!
//! The master key is replaced while everybody works. First the new one gets
//! its probe; from that commit on every new key is wrapped under it. Then the
//! rows of the old one are wrapped anew, a bounded batch in each transaction,
//! so that a rotation may die after any of them and go on where it was. At the
//! end the old key's probe is destroyed, and with it the last wraps under the
//! old key leave the store's files. No key changes, only its wrap: what a
//! process remembers stays right, and no document is touched.
//!
//! A tenant's new key is for what is new; what is there stays under its own
//! version until its day.
//!
//! It refuses to begin a second rotation before the first has ended, to go
//! back to the key that is being replaced, and to end while a row is left.

use super::{KeyError, KeyName, KeyRing, Kind, MasterKey, Service, TenantId, place};
use crate::{
    crypto::{Key, wrap},
    store::keys::Settled,
};

/// Keys of one transaction.
const BATCH: i64 = 200;

/// One master key on its way out and another on its way in.
#[derive(Debug)]
pub struct MasterRotation {
    /// The version on its way out; the same as `to` when there is nothing to
    /// be done (any more).
    pub from: i64,
    /// The version on its way in.
    pub to: i64,
    new: Key,
}

impl KeyRing {
    /// Begins to replace the master key by `new`, or finds where an earlier
    /// attempt got to. Every process must have been given the new key before;
    /// from now on it is needed.
    pub async fn begin_master_rotation(&self, new: &MasterKey) -> Result<MasterRotation, KeyError> {
        let new = new.root();
        let live = self.live_masters().await?;
        let newest = live.last().copied().ok_or(KeyError::WrongMaster)?;
        let oldest = live.first().copied().ok_or(KeyError::WrongMaster)?;
        if self.opens_probe(newest, &new).await? {
            return Ok(MasterRotation { from: oldest, to: newest, new });
        }
        if live.len() > 1 {
            let old = self.opens_probe(oldest, &new).await?;
            return Err(if old { KeyError::OldMaster } else { KeyError::RotatingAlready });
        }
        let to = newest.checked_add(1).ok_or(KeyError::Broken)?;
        self.make_probe(to, &new).await?;
        if self.opens_probe(to, &new).await? {
            Ok(MasterRotation { from: newest, to, new })
        } else {
            // Somebody else was faster, with another key.
            Err(KeyError::RotatingAlready)
        }
    }

    /// How many keys are still to be wrapped anew.
    pub async fn left_to_rewrap(&self, rotation: &MasterRotation) -> Result<u64, KeyError> {
        if rotation.from == rotation.to {
            return Ok(0);
        }
        let left = self.0.db.count_under_master(rotation.from).await?;
        Ok(u64::try_from(left).unwrap_or(0))
    }

    /// Wraps the next batch of keys under the new master key, and says how
    /// many; 0 when none is left. May be repeated, and may die at any point.
    pub async fn rewrap_some(&self, rotation: &MasterRotation) -> Result<u64, KeyError> {
        self.rewrap_at_most(rotation, BATCH).await
    }

    pub(super) async fn rewrap_at_most(
        &self,
        rotation: &MasterRotation,
        limit: i64,
    ) -> Result<u64, KeyError> {
        let MasterRotation { from, to, ref new } = *rotation;
        if from == to {
            return Ok(0);
        }
        let rows = self.0.db.under_master(from, limit).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let old = self.root(from).await?;
        let mut wraps = Vec::with_capacity(rows.len());
        for (name, wrapped) in rows {
            let key = wrap::unwrap_key(&old, &place(&name, from), &wrapped)?;
            let wrapped = wrap::wrap(new, &place(&name, to), key.expose(), &self.0.entropy)?;
            wraps.push((name, wrapped));
        }
        self.0.db.rewrap((from, to), &wraps).await?;
        Ok(u64::try_from(wraps.len()).unwrap_or(0))
    }

    /// Ends the rotation: the last wraps under the old key leave the store's
    /// files, and the old key opens nothing in it any more. Twice is once.
    pub async fn end_master_rotation(&self, rotation: &MasterRotation) -> Result<(), KeyError> {
        // In a rotation that has ended, `from` is `to`; but the process may
        // have died between the last two steps of the destruction.
        if rotation.from == rotation.to {
            return self.bury_masters_before(rotation.to).await;
        }
        // Waits for whoever began to write a key before the new probe was
        // there (PostgreSQL rewrites the table alone), and takes the old
        // wraps out of the files.
        if self.0.db.settle().await? == Settled::NotYet {
            return Err(KeyError::StillInLog);
        }
        while self.rewrap_some(rotation).await? > 0 {}
        self.bury_masters_before(rotation.to).await
    }

    async fn bury_masters_before(&self, version: i64) -> Result<(), KeyError> {
        let names = self.0.db.live_before(Kind::Probe, version, BATCH).await?;
        self.destroy(names).await
    }

    /// Gives a tenant's service a new key for new days, years and months;
    /// what is there stays under its own version until its day. Gives the new
    /// version.
    pub async fn rotate_tenant_key(
        &self,
        tenant: &TenantId,
        service: Service,
    ) -> Result<i64, KeyError> {
        let mut name = KeyName::of_service(Kind::Tenant, tenant, service, 1);
        if let Some(newest) = self.0.db.newest(&name).await? {
            // A destroyed service gets no new key.
            name.number = newest;
            self.key(name.clone(), false).await?;
            name.number = newest.checked_add(1).ok_or(KeyError::Broken)?;
        }
        let version = name.number;
        self.key(name, true).await?;
        Ok(version)
    }
}

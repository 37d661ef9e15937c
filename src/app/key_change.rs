//! Replacing and destroying keys by hand, with the log told of it.
//!
//! The key store and the log share no transaction. So the log gets what is
//! about to be done before, and what came of it afterwards; every act in
//! between may be repeated, and a person who was interrupted gives the same
//! command again.

use chrono::{DateTime, Utc};

use crate::{
    clock::SharedClock,
    domain::{
        ids::TenantId,
        log::{Actor, Fact, Kind},
    },
    store::{
        Db, checkpoints,
        keyring::{KeyRing, MasterKey, Service},
        ledger::{self, DetailKey, EventDraft, EventRow, Scribe},
        workers,
    },
};

const ROTATION: &str = "keys/master-rotation";
/// The notes of tenants' keys whose destruction is in the log.
const DESTRUCTION: &str = "keys/destroyed";

/// What is needed to change keys.
#[derive(Debug)]
pub struct KeyChange {
    /// The books.
    pub db: Db,
    /// The keys.
    pub keys: KeyRing,
    /// Writes rows of the log.
    pub scribe: Scribe,
    /// The time of day.
    pub clock: SharedClock,
}

/// What came of a rotation of the master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterRotated {
    /// The version before; the same as `to` where it was done already.
    pub from: i64,
    /// The version now.
    pub to: i64,
    /// How many keys were wrapped anew by this run.
    pub rewrapped: u64,
}

/// Why the master key was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum MasterNotRotated {
    /// A running process, or one that starts now, could not go on.
    #[error(
        "not every process can go on with the new master key: {}. Set `keys.master_next` in the \
         configuration of each host, restart its processes, then try again", who.join(", ")
    )]
    Unprepared {
        /// The hosts of such processes, and our own configuration.
        who: Vec<String>,
    },
    /// It did not work; the same command goes on where it was.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl KeyChange {
    /// Wraps every key anew under `new`. `progress` hears how many are left at
    /// the start, and after each batch how many that was.
    pub async fn rotate_master(
        &self,
        new: &MasterKey,
        mut progress: impl FnMut(Progress),
    ) -> Result<MasterRotated, MasterNotRotated> {
        self.check_prepared(&new.print()).await?;
        let failed = |error: crate::store::keyring::KeyError| anyhow::Error::from(error);
        let rotation = self.keys.begin_master_rotation(new).await.map_err(failed)?;
        let (from, to) = (rotation.from, rotation.to);
        let facts = |step: &str| {
            vec![
                ("from_version", from.into()),
                ("key", Fact::from("master")),
                ("step", step.into()),
                ("to_version", to.into()),
            ]
        };
        let note = format!("{from} {to}");
        if from != to {
            self.note(Some(&note), facts("begun")).await?;
        }
        let left = self.keys.left_to_rewrap(&rotation).await.map_err(failed)?;
        progress(Progress::Left(left));
        let mut rewrapped = 0_u64;
        loop {
            let some = self.keys.rewrap_some(&rotation).await.map_err(failed)?;
            if some == 0 {
                break;
            }
            rewrapped = rewrapped.saturating_add(some);
            progress(Progress::Done(some));
        }
        self.keys.end_master_rotation(&rotation).await.map_err(failed)?;
        self.note(None, facts("done")).await?;
        Ok(MasterRotated { from, to, rewrapped })
    }

    /// Tells the log that a rotation began or ended, once, however often it is
    /// taken up again: the note on the books says what has been told.
    async fn note(
        &self,
        under_way: Option<&str>,
        mut facts: Vec<(&'static str, Fact)>,
    ) -> anyhow::Result<()> {
        let mut tx = self.db.begin().await?;
        let old = checkpoints::get(&mut tx, ROTATION).await?.map_or_else(String::new, |n| n.value);
        let new = under_way.unwrap_or_default();
        if old != new {
            if under_way.is_none()
                && let Some(from) = old.split(' ').next().and_then(|from| from.parse::<i64>().ok())
            {
                // A run that only cleans up knows no old version of its own.
                facts.retain(|(name, _)| *name != "from_version");
                facts.push(("from_version", from.into()));
            }
            let event = self.event(&TenantId::office(), Kind::KeyRotated, facts)?;
            ledger::append(&mut tx, &[event]).await?;
            checkpoints::set(&mut tx, ROTATION, self.clock.now(), new).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn check_prepared(&self, print: &str) -> Result<(), MasterNotRotated> {
        let mut who = Vec::new();
        if !self.keys.master_prints().iter().any(|one| one == print) {
            who.push("this configuration does not name it".to_owned());
        }
        let mut tx = self.db.read().await.map_err(anyhow::Error::from)?;
        let live = workers::live_workers(&mut tx, self.clock.now()).await;
        for worker in live.map_err(anyhow::Error::from)? {
            if worker.masters.split(',').all(|one| one != print) {
                who.push(format!("a process on {} has not been given it", worker.host));
            }
        }
        if who.is_empty() { Ok(()) } else { Err(MasterNotRotated::Unprepared { who }) }
    }

    /// Gives a tenant's service a new key for what is new.
    pub async fn rotate_tenant(&self, tenant: &TenantId, service: Service) -> anyhow::Result<i64> {
        let version = self.keys.rotate_tenant_key(tenant, service).await?;
        let facts = vec![
            ("key", Fact::from("tenant")),
            ("service", service.word().into()),
            ("to_version", version.into()),
        ];
        self.log(tenant, Kind::KeyRotated, facts).await?;
        Ok(version)
    }

    /// Adds a pair of link keys; gives its id and when it begins to mint.
    pub async fn rotate_links(&self) -> anyhow::Result<(u8, DateTime<Utc>)> {
        let rotation = self.keys.rotate_link_keys().await?;
        let facts =
            vec![("key", Fact::from("links")), ("to_version", i64::from(rotation.id).into())];
        self.log(&TenantId::office(), Kind::KeyRotated, facts).await?;
        Ok((rotation.id, rotation.since))
    }

    /// Destroys the key above all documents of a tenant's service. The log
    /// knows before it happens, once: asked again because its process died, or
    /// because the store's files still held the key, it goes on where it stood.
    pub async fn destroy_tenant(
        &self,
        tenant: &TenantId,
        service: Service,
    ) -> anyhow::Result<DateTime<Utc>> {
        let facts = vec![("key", Fact::from("tenant")), ("service", service.word().into())];
        if !self.keys.is_tenant_key_condemned(tenant, service).await? {
            let event = self.event(tenant, Kind::KeyDestroyed, facts)?;
            let name = format!("{DESTRUCTION}/{tenant}/{}", service.word());
            let now = self.clock.now();
            let mut tx = self.db.begin().await?;
            // Such a key never lives again, so the note stands for ever.
            if checkpoints::first(&mut tx, &name, now, "").await? {
                ledger::append(&mut tx, &[event]).await?;
            }
            tx.commit().await?;
        }
        Ok(self.keys.destroy_tenant_key(tenant, service).await?.at)
    }

    async fn log(
        &self,
        tenant: &TenantId,
        kind: Kind,
        facts: Vec<(&'static str, Fact)>,
    ) -> anyhow::Result<()> {
        let event = self.event(tenant, kind, facts)?;
        let mut tx = self.db.begin().await?;
        ledger::append(&mut tx, &[event]).await?;
        tx.commit().await?;
        Ok(())
    }

    fn event(
        &self,
        tenant: &TenantId,
        kind: Kind,
        facts: Vec<(&'static str, Fact)>,
    ) -> anyhow::Result<EventRow> {
        Ok(self.scribe.event(EventDraft {
            tenant,
            job: None,
            at: self.clock.now(),
            kind,
            actor: Actor::Operator,
            code: None,
            facts,
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })?)
    }
}

/// How far a rotation of the master key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many keys are to be wrapped anew.
    Left(u64),
    /// So many more have been.
    Done(u64),
}

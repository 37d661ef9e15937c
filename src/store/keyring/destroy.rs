//! The destruction of keys.
//!
//! Three steps, each of which may be repeated, and a crash after any of them
//! is made good by asking again: the row is marked and emptied; what was in it
//! is driven out of the store's files; the row says "destroyed". Only after
//! the third does [`KeyRing`] say so too. Keys are destroyed in batches, since
//! the second step costs the same for one and for a thousand.

use super::{DateTime, KeyError, KeyName, KeyRing, Kind, Service, TenantId, Utc};
use crate::store::keys::Settled;

/// A key that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// When the store wrote down that it is gone.
    pub at: DateTime<Utc>,
}

/// What is in the key store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// A line for each kind of key there is, by name.
    pub kinds: Vec<KeyCount>,
    /// The id of the link keys that mint.
    pub minting: u8,
    /// The ids of the link keys whose links are good.
    pub links: Vec<u8>,
    /// The versions of the master key that open something: one, or two during
    /// a rotation.
    pub masters: Vec<Version>,
    /// Every version of every tenant's keys, destroyed ones too.
    pub tenants: Vec<TenantVersion>,
}

/// One version of a key that can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number; higher is newer.
    pub number: i64,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// When it was destroyed, if it was.
    pub destroyed_at: Option<DateTime<Utc>>,
}

/// One version of the key of a tenant's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantVersion {
    /// Whose it is.
    pub tenant: TenantId,
    /// For what.
    pub service: Service,
    /// Which one, and how old.
    pub version: Version,
}

/// How many keys of one kind there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// What the keys are for.
    pub kind: String,
    /// Usable.
    pub live: i64,
    /// Out of their rows, but not yet out of the store's files.
    pub condemned: i64,
    /// Gone.
    pub destroyed: i64,
}

/// How many keys one call lists at most.
const LIST_MAX: i64 = 10_000;

impl KeyRing {
    /// Day keys with a purge day before `day` that are not destroyed yet,
    /// earliest first, at most `limit`.
    pub async fn undestroyed_days_before(
        &self,
        day: i64,
        limit: i64,
    ) -> Result<Vec<(TenantId, Service, i64)>, KeyError> {
        let names = self.0.db.live_before(Kind::Day, day, limit.min(LIST_MAX)).await?;
        let parts = |name: KeyName| Some((name.tenant?, name.service?, name.number));
        Ok(names.into_iter().filter_map(parts).collect())
    }

    /// Hours before `hour` whose mail keys are not destroyed yet, earliest
    /// first.
    pub async fn live_mail_hours_before(&self, hour: i64) -> Result<Vec<i64>, KeyError> {
        let names = self.0.db.live_before(Kind::Mail, hour, LIST_MAX).await?;
        Ok(names.into_iter().map(|name| name.number).collect())
    }

    /// (tenant, month) of access keys for months before `month` that are not
    /// destroyed yet, earliest first.
    pub async fn live_access_months_before(
        &self,
        month: i64,
    ) -> Result<Vec<(TenantId, i64)>, KeyError> {
        self.tenants_before(Kind::Access, month).await
    }

    /// (tenant, year) of evidence keys for years before `year` that are not
    /// destroyed yet, earliest first.
    pub async fn live_evidence_years_before(
        &self,
        year: i64,
    ) -> Result<Vec<(TenantId, i64)>, KeyError> {
        self.tenants_before(Kind::Evidence, year).await
    }

    async fn tenants_before(
        &self,
        kind: Kind,
        number: i64,
    ) -> Result<Vec<(TenantId, i64)>, KeyError> {
        let names = self.0.db.live_before(kind, number, LIST_MAX).await?;
        Ok(names.into_iter().filter_map(|name| Some((name.tenant?, name.number))).collect())
    }

    /// Destroys one day key, or sees to it that it will never be made. Twice
    /// is once, and gives the first instant.
    pub async fn destroy_day(
        &self,
        tenant: &TenantId,
        service: Service,
        purge_day: i64,
    ) -> Result<Destroyed, KeyError> {
        let name = KeyName::of_service(Kind::Day, tenant, service, purge_day);
        self.destroy_one(name).await
    }

    /// Destroys many day keys at the price of one.
    pub async fn destroy_days(&self, days: &[(TenantId, Service, i64)]) -> Result<(), KeyError> {
        let name = |(tenant, service, day): &(TenantId, Service, i64)| {
            KeyName::of_service(Kind::Day, tenant, *service, *day)
        };
        self.destroy(days.iter().map(name).collect()).await
    }

    /// Destroys the mail key of an hour. Twice is once.
    pub async fn destroy_mail_hour(&self, hour: i64) -> Result<Destroyed, KeyError> {
        self.destroy_one(KeyName::of_office(Kind::Mail, hour)).await
    }

    /// Destroys the mail keys of many hours at the price of one.
    pub async fn destroy_mail_hours(&self, hours: &[i64]) -> Result<(), KeyError> {
        let name = |hour: &i64| KeyName::of_office(Kind::Mail, *hour);
        self.destroy(hours.iter().map(name).collect()).await
    }

    /// Destroys the key of a tenant's access details of one month.
    pub async fn destroy_access_month(
        &self,
        tenant: &TenantId,
        month: i64,
    ) -> Result<Destroyed, KeyError> {
        let name = KeyName::of_service(Kind::Access, tenant, Service::Audit, month);
        self.destroy_one(name).await
    }

    /// Destroys the key of a tenant's evidence of one year.
    pub async fn destroy_evidence_year(
        &self,
        tenant: &TenantId,
        year: i64,
    ) -> Result<Destroyed, KeyError> {
        let name = KeyName::of_service(Kind::Evidence, tenant, Service::Archive, year);
        self.destroy_one(name).await
    }

    /// Destroys a pair of link keys: its links are dead from now on. The pair
    /// that mints is refused.
    pub async fn destroy_link_keys(&self, id: u8) -> Result<(), KeyError> {
        if self.link_keys().await?.minting() == id {
            return Err(KeyError::StillMinting);
        }
        let number = i64::from(id);
        let names = vec![
            KeyName::of_office(Kind::LinkPepper, number),
            KeyName::of_office(Kind::LinkTag, number),
        ];
        self.destroy(names).await?;
        self.forget_links();
        Ok(())
    }

    /// Destroys every version of the key above all documents of one tenant's
    /// service: none of them opens again, and none is added. Twice is once,
    /// and gives the instant of the last version's end.
    pub async fn destroy_tenant_key(
        &self,
        tenant: &TenantId,
        service: Service,
    ) -> Result<Destroyed, KeyError> {
        let mut name = KeyName::of_service(Kind::Tenant, tenant, service, 1);
        let newest = self.0.db.newest(&name).await?.unwrap_or(1);
        let version = |number| KeyName { number, ..name.clone() };
        self.destroy((1..=newest).map(version).collect()).await?;
        name.number = newest;
        self.destroy_one(name).await
    }

    /// Whether that has been done, or was begun: the rows are empty, and what is
    /// left is to drive their bytes out of the store's files.
    pub async fn is_tenant_key_condemned(
        &self,
        tenant: &TenantId,
        service: Service,
    ) -> Result<bool, KeyError> {
        let mut name = KeyName::of_service(Kind::Tenant, tenant, service, 1);
        name.number = self.0.db.newest(&name).await?.unwrap_or(1);
        let row = self.0.db.find(&name).await?;
        Ok(row.is_some_and(|row| row.wrapped.is_none()))
    }

    async fn destroy_one(&self, name: KeyName) -> Result<Destroyed, KeyError> {
        self.destroy(vec![name.clone()]).await?;
        let row = self.0.db.find(&name).await?.ok_or(KeyError::Unknown)?;
        let at = row.destroyed_at.ok_or(KeyError::StillInLog)?;
        let at = DateTime::from_timestamp_micros(at).ok_or(KeyError::Broken)?;
        Ok(Destroyed { at })
    }

    pub(super) async fn destroy(&self, mut names: Vec<KeyName>) -> Result<(), KeyError> {
        let mut left = Vec::with_capacity(names.len());
        for name in names.drain(..) {
            self.forget(&name);
            let row = self.0.db.find(&name).await?;
            if row.is_none_or(|row| row.destroyed_at.is_none()) {
                left.push(name);
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        self.0.db.condemn(&left, self.0.clock.now().timestamp_micros()).await?;
        if self.0.db.settle().await? == Settled::NotYet {
            return Err(KeyError::StillInLog);
        }
        self.0.db.destroyed(&left, self.0.clock.now().timestamp_micros()).await?;
        // Whoever read a row just before it was emptied may have remembered it.
        for name in &left {
            self.forget(name);
        }
        Ok(())
    }

    /// What is in the key store.
    pub async fn status(&self) -> Result<KeyStatus, KeyError> {
        let links = self.link_keys().await?;
        let counts = self.0.db.counts().await?.into_iter();
        let count =
            |(kind, live, condemned, destroyed)| KeyCount { kind, live, condemned, destroyed };
        Ok(KeyStatus {
            kinds: counts.map(count).collect(),
            minting: links.minting(),
            links: links.key_ids().collect(),
            masters: self
                .versions(Kind::Probe)
                .await?
                .into_iter()
                .map(|(_, version)| version)
                .filter(|version| version.destroyed_at.is_none())
                .collect(),
            tenants: self
                .versions(Kind::Tenant)
                .await?
                .into_iter()
                .filter_map(|(name, version)| {
                    Some(TenantVersion { tenant: name.tenant?, service: name.service?, version })
                })
                .collect(),
        })
    }

    async fn versions(&self, kind: Kind) -> Result<Vec<(KeyName, Version)>, KeyError> {
        let instant = |micros| DateTime::from_timestamp_micros(micros).ok_or(KeyError::Broken);
        let rows = self.0.db.versions(kind).await?;
        rows.into_iter()
            .map(|(name, made_at, destroyed_at)| {
                let version = Version {
                    number: name.number,
                    made_at: instant(made_at)?,
                    destroyed_at: destroyed_at.map(instant).transpose()?,
                };
                Ok((name, version))
            })
            .collect()
    }
}

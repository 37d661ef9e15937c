//! The keys behind links, and their rotation.
//!
//! A new pair is good for reading at once and mints only after
//! [`SETTLING`]: by then every process has read it, and no link reaches a
//! process that does not know its key yet.

use super::{
    Arc, DateTime, KeyError, KeyName, KeyRing, Kind, LinkKeys, PoisonError, Seen, TimeDelta, Utc,
};

/// A pair of link keys at the turn from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRotation {
    /// Its id, the first byte of its links.
    pub id: u8,
    /// Where it is new: from when on it mints. Where it was replaced: from
    /// when on it mints no more.
    pub since: DateTime<Utc>,
}

/// How old a pair of link keys must be before it mints.
const SETTLING: TimeDelta = TimeDelta::minutes(5);

impl KeyRing {
    /// The keys behind links: all whose tokens are good, and the pair that
    /// mints. Read again once a minute.
    pub async fn link_keys(&self) -> Result<Arc<LinkKeys>, KeyError> {
        let now = self.0.clock.now();
        let known = self.0.links.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((keys, _)) = known.filter(|(_, seen)| seen.holds(now)) {
            return Ok(keys);
        }
        let seen = Seen::just_now(&self.0.clock);
        let keys = Arc::new(self.read_link_keys().await?);
        let mut links = self.0.links.write().unwrap_or_else(PoisonError::into_inner);
        *links = Some((Arc::clone(&keys), seen));
        Ok(keys)
    }

    async fn read_link_keys(&self) -> Result<LinkKeys, KeyError> {
        let mut ids = self.0.db.numbers(Kind::LinkPepper).await?;
        if ids.is_empty() {
            ids.push(i64::from(self.add_link_keys().await?));
        }
        let settled = self.0.clock.now().checked_sub_signed(SETTLING).unwrap_or_default();
        let mut keys: Option<LinkKeys> = None;
        for id in ids {
            let name = u8::try_from(id).map_err(|_| KeyError::Broken)?;
            let pepper_name = KeyName::of_office(Kind::LinkPepper, id);
            let row = self.0.db.find(&pepper_name).await?.ok_or(KeyError::Unknown)?;
            let tag = self.key(KeyName::of_office(Kind::LinkTag, id), false).await?;
            let pepper = self.key(pepper_name, false).await?;
            keys = Some(match keys {
                None => LinkKeys::new(name, tag, pepper),
                Some(older) if row.created_at <= settled.timestamp_micros() => {
                    older.with(name, tag, pepper).minting_with(name)
                }
                Some(older) => older.with(name, tag, pepper),
            });
        }
        keys.ok_or(KeyError::Unknown)
    }

    /// Adds a pair of link keys, which begins to mint five minutes later. Old
    /// links stay good until their pair is destroyed. Asked again before the
    /// new pair mints, it gives that one.
    pub async fn rotate_link_keys(&self) -> Result<LinkRotation, KeyError> {
        let minting = self.read_link_keys().await?.minting();
        let newest = self.0.db.numbers(Kind::LinkPepper).await?.last().copied();
        let id = match newest.map(u8::try_from) {
            Some(Ok(newest)) if newest > minting => newest,
            Some(_) | None => self.add_link_keys().await?,
        };
        self.forget_links();
        Ok(LinkRotation { id, since: self.mints_since(i64::from(id)).await? })
    }

    /// Pairs of link keys older than the one that mints, and since when they
    /// mint no more.
    pub async fn replaced_link_keys(&self) -> Result<Vec<LinkRotation>, KeyError> {
        let minting = i64::from(self.link_keys().await?.minting());
        let ids = self.0.db.numbers(Kind::LinkPepper).await?;
        let mut replaced = Vec::new();
        for (id, next) in ids.iter().zip(ids.iter().skip(1)).filter(|(id, _)| **id < minting) {
            let id = u8::try_from(*id).map_err(|_| KeyError::Broken)?;
            replaced.push(LinkRotation { id, since: self.mints_since(*next).await? });
        }
        Ok(replaced)
    }

    async fn mints_since(&self, id: i64) -> Result<DateTime<Utc>, KeyError> {
        let row = self.0.db.find(&KeyName::of_office(Kind::LinkPepper, id)).await?;
        let made_at = row.ok_or(KeyError::Unknown)?.created_at;
        DateTime::from_timestamp_micros(made_at)
            .and_then(|made_at| made_at.checked_add_signed(SETTLING))
            .ok_or(KeyError::Broken)
    }

    async fn add_link_keys(&self) -> Result<u8, KeyError> {
        let newest = self.0.db.newest(&KeyName::of_office(Kind::LinkPepper, 0)).await?;
        let id = newest.unwrap_or(0).saturating_add(1);
        let name = u8::try_from(id).map_err(|_| KeyError::NoMoreLinkKeys)?;
        // The pepper comes last, because the list is read by it.
        self.key(KeyName::of_office(Kind::LinkTag, id), true).await?;
        self.key(KeyName::of_office(Kind::LinkPepper, id), true).await?;
        Ok(name)
    }

    pub(super) fn forget_links(&self) {
        *self.0.links.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

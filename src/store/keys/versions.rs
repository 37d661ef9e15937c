//! Versions of keys, and exchanging the wraps of rows: the part of the key store
//! that rotations need.
//!
//! The kinds that hang from a tenant's key are left out: their parent's number
//! is a version of that key. A test holds the list in the statements to what
//! the key ring believes.

use super::{KeyDb, KeyName, Kind, unknown};

const NEWEST: &str = "
    -- keys: newest version
    SELECT max(number)
    FROM keys
    WHERE kind = $1 AND tenant = $2 AND service = $3
";

const NUMBERS: &str = "
    -- keys: numbers of the office's own keys of a kind, oldest first
    SELECT number
    FROM keys
    WHERE kind = $1 AND tenant = '' AND service = '' AND to_destroy_at IS NULL
    ORDER BY number
";

const UNDER_MASTER: &str = "
    -- keys: wrapped under one version of the master key
    SELECT kind, tenant, service, number, wrapped
    FROM keys
    WHERE parent = $1 AND wrapped IS NOT NULL AND to_destroy_at IS NULL
        AND kind NOT IN ('probe', 'day', 'evidence', 'access')
    ORDER BY kind, tenant, service, number
    LIMIT $2
";

const COUNT_UNDER_MASTER: &str = "
    -- keys: how many are wrapped under one version of the master key
    SELECT count(*)
    FROM keys
    WHERE parent = $1 AND wrapped IS NOT NULL AND to_destroy_at IS NULL
        AND kind NOT IN ('probe', 'day', 'evidence', 'access')
";

const REWRAP: &str = "
    -- keys: wrapped under another parent
    UPDATE keys
    SET parent = $5, wrapped = $6
    WHERE kind = $1 AND tenant = $2 AND service = $3 AND number = $4
        AND parent = $7 AND wrapped IS NOT NULL AND to_destroy_at IS NULL
";

const VERSIONS: &str = "
    -- keys: every key of a kind, with its age
    SELECT tenant, service, number, created_at, destroyed_at
    FROM keys
    WHERE kind = $1
    ORDER BY tenant, service, number
";

impl KeyDb {
    /// The highest number among the keys that share the rest of this name.
    pub(in crate::store) async fn newest(
        &self,
        name: &KeyName,
    ) -> Result<Option<i64>, sqlx::Error> {
        on_pool!(self, |pool| sqlx::query_scalar(NEWEST)
            .bind(name.kind.word())
            .bind(name.tenant_word())
            .bind(name.service_word())
            .fetch_one(pool)
            .await)
    }

    /// The numbers of the office's own usable keys of a kind.
    pub(in crate::store) async fn numbers(&self, kind: Kind) -> Result<Vec<i64>, sqlx::Error> {
        on_pool!(self, |pool| sqlx::query_scalar(NUMBERS).bind(kind.word()).fetch_all(pool).await)
    }

    /// Every key of a kind: when it was made and when destroyed (microseconds
    /// since 1970).
    pub(in crate::store) async fn versions(
        &self,
        kind: Kind,
    ) -> Result<Vec<(KeyName, i64, Option<i64>)>, sqlx::Error> {
        let rows: Vec<(String, String, i64, i64, Option<i64>)> =
            on_pool!(self, |pool| sqlx::query_as(VERSIONS)
                .bind(kind.word())
                .fetch_all(pool)
                .await?);
        rows.into_iter()
            .map(|(tenant, service, number, made_at, destroyed_at)| {
                KeyName::from_words(kind, &tenant, &service, number)
                    .map(|name| (name, made_at, destroyed_at))
                    .ok_or_else(unknown)
            })
            .collect()
    }

    /// Keys that are wrapped under this version of the master key.
    pub(in crate::store) async fn under_master(
        &self,
        version: i64,
        limit: i64,
    ) -> Result<Vec<(KeyName, Vec<u8>)>, sqlx::Error> {
        let rows: Vec<(String, String, String, i64, Vec<u8>)> =
            on_pool!(self, |pool| sqlx::query_as(UNDER_MASTER)
                .bind(version)
                .bind(limit)
                .fetch_all(pool)
                .await?);
        rows.into_iter()
            .map(|(kind, tenant, service, number, wrapped)| {
                let name = Kind::parse(&kind)
                    .and_then(|kind| KeyName::from_words(kind, &tenant, &service, number));
                name.map(|name| (name, wrapped)).ok_or_else(unknown)
            })
            .collect()
    }

    /// How many keys are wrapped under this version of the master key.
    pub(in crate::store) async fn count_under_master(
        &self,
        version: i64,
    ) -> Result<i64, sqlx::Error> {
        on_pool!(self, |pool| sqlx::query_scalar(COUNT_UNDER_MASTER)
            .bind(version)
            .fetch_one(pool)
            .await)
    }

    /// Exchanges wraps under one version of a parent for wraps under another,
    /// all in one transaction; rows that are no longer under the first stay
    /// as they are.
    pub(in crate::store) async fn rewrap(
        &self,
        (from, to): (i64, i64),
        wraps: &[(KeyName, Vec<u8>)],
    ) -> Result<(), sqlx::Error> {
        on_pool!(self, |pool| {
            let mut tx = pool.begin().await?;
            for (name, wrapped) in wraps {
                sqlx::query(REWRAP)
                    .bind(name.kind.word())
                    .bind(name.tenant_word())
                    .bind(name.service_word())
                    .bind(name.number)
                    .bind(to)
                    .bind(wrapped.as_slice())
                    .bind(from)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await
        })
    }
}

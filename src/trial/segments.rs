//! The store of sealed bytes, looked at from outside, and its documents.

use std::path::PathBuf;

use super::Office;
use crate::{
    blobs::Place,
    crypto::{delivery::artifact_aad, stream},
    domain::log::Kind,
    store::{jobs::JobRow, ledger},
};

impl Office {
    /// The folder in which the segments lie.
    pub(crate) fn blobs_folder(&self) -> PathBuf {
        self.trial.folder.path().join("blobs")
    }

    /// The plain document of a row, as far as keys and bytes still allow; the
    /// row may be an old one, from a backup.
    pub(crate) async fn document(&self, row: &JobRow) -> Option<Vec<u8>> {
        let key = self.delivery_key(row).await?;
        let number = |n: Option<i64>| u64::try_from(n?).ok();
        let (segment, offset) = (row.segment?, number(row.artifact_offset)?);
        let place = Place { segment, offset, len: number(row.artifact_len)? };
        let sealed = self.blobs.read(&place, 0..place.len).await.ok()?;
        let aad = artifact_aad(&row.tenant, row.id);
        stream::open(&key.artifact_key(), &aad, &sealed).ok().map(|plain| plain.to_vec())
    }

    /// The leaves of all events of a kind, as they are stored.
    pub(crate) async fn leaves(&self, kind: Kind) -> Vec<Vec<u8>> {
        let search = ledger::Search { kind: Some(kind), limit: 1_000, ..ledger::Search::default() };
        let mut tx = self.db.read().await.unwrap();
        let found = ledger::search(&mut tx, &search).await.unwrap();
        found.into_iter().map(|found| found.event.row.leaf).collect()
    }
}

//! The store of sealed bytes, looked at from outside.

use std::path::PathBuf;

use super::Office;
use crate::{domain::log::Kind, store::ledger};

impl Office {
    /// The folder in which the segments lie.
    pub(crate) fn blobs_folder(&self) -> PathBuf {
        self.trial.folder.path().join("blobs")
    }

    /// The leaves of all events of a kind, as they are stored.
    pub(crate) async fn leaves(&self, kind: Kind) -> Vec<Vec<u8>> {
        let search = ledger::Search { kind: Some(kind), limit: 1_000, ..ledger::Search::default() };
        let mut tx = self.db.read().await.unwrap();
        let found = ledger::search(&mut tx, &search).await.unwrap();
        found.into_iter().map(|found| found.event.row.leaf).collect()
    }
}

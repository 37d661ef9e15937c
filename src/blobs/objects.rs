//! Segments as objects: one per batch, written at once.
//!
//! An object is there as a whole or not at all, so there is nothing to roll,
//! to lock or to tear. A put that is repeated after a lost reply writes the
//! same bytes under the same fresh name.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path};

use super::{
    Appended, BlobError, HEADER, file_name, header,
    mark::{MARK, MARK_BYTES_MAX, Owner},
    places, segment_of, trouble,
};
use crate::{domain::ids::SegmentId, entropy::Entropy};

pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    entropy: Entropy,
    owner: Owner,
}

impl Objects {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        entropy: Entropy,
        owner: Owner,
    ) -> Self {
        Self { store, prefix: Path::from(prefix), entropy, owner }
    }

    fn path(&self, segment: SegmentId) -> Path {
        self.prefix.clone().join(file_name(segment))
    }

    pub(super) async fn append(
        &self,
        now: DateTime<Utc>,
        batch: Vec<Vec<u8>>,
    ) -> Result<Appended, BlobError> {
        let day = now.timestamp().div_euclid(86_400);
        if self.owner.is_known() && !self.owner.was_seen_on(day) {
            self.owner.check(self.mark().await?.as_deref())?;
            self.owner.seen_on(day);
        }
        let segment = SegmentId(self.entropy.id(now)?);
        let places = places(segment, HEADER, &batch);
        let pieces = std::iter::once(header(segment)).chain(batch).map(Bytes::from);
        self.store
            .put(&self.path(segment), pieces.collect::<PutPayload>())
            .await
            .map_err(BlobError::objects("put a segment"))?;
        Ok(Appended { segment, fresh: true, places })
    }

    pub(super) async fn read(
        &self,
        segment: SegmentId,
        within: Range<u64>,
    ) -> Result<Bytes, BlobError> {
        let path = self.path(segment);
        let wanted = within.end.saturating_sub(within.start);
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        match self.store.get_range(&path, within).await {
            Ok(bytes) if super::length(&bytes) == wanted => Ok(bytes),
            // Storage cuts a range at the end of the object.
            Ok(_) => Err(BlobError::Torn),
            Err(error) if is_missing(&error) => Err(BlobError::Gone),
            Err(error) if trouble::is_range(&error) => Err(BlobError::Torn),
            Err(error) => Err(BlobError::objects("read a segment")(error)),
        }
    }

    pub(super) async fn destroy(&self, segment: SegmentId) -> Result<(), BlobError> {
        // An object that is not there counts as destroyed, but only in our bucket.
        if self.owner.is_known() {
            self.owner.check(self.mark().await?.as_deref())?;
        }
        match self.store.delete(&self.path(segment)).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(BlobError::objects("delete a segment")(error)),
        }
    }

    fn mark_path(&self) -> Path {
        self.prefix.clone().join(MARK)
    }

    pub(super) async fn mark(&self) -> Result<Option<Vec<u8>>, BlobError> {
        match self.store.get_range(&self.mark_path(), 0..MARK_BYTES_MAX).await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(BlobError::objects("read the mark of its owner")(error)),
        }
    }

    pub(super) async fn set_mark(&self, mark: Vec<u8>) -> Result<(), BlobError> {
        let act = "write the mark of its owner";
        let (path, mark) = (self.mark_path(), PutPayload::from(mark));
        match self.store.put_opts(&path, mark.clone(), PutMode::Create.into()).await {
            Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
            // A storage that knows no conditions: two offices that mark it in
            // the same moment find out at their next look.
            Err(error) if trouble::is_unknown_there(&error) => {
                self.store.put(&path, mark).await.map(drop).map_err(BlobError::objects(act))
            }
            Err(error) => Err(BlobError::objects(act)(error)),
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<SegmentId>, BlobError> {
        let found = self.store.list(Some(&self.prefix));
        found
            .try_filter_map(async |object| {
                // What lies deeper is another office's, whose prefix is below ours.
                let mut rest = object.location.prefix_match(&self.prefix).into_iter().flatten();
                let name = rest.next().filter(|_| rest.next().is_none());
                Ok(name.and_then(|name| segment_of(name.as_ref())))
            })
            .try_collect()
            .await
            .map_err(BlobError::objects("list segments"))
    }
}

/// Whether there is no such object; a bucket that is not there is a failure,
/// and says nothing about its objects.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && !trouble::is_bucket(error)
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

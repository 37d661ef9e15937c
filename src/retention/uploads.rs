//! Uploads: gone when they have expired and no job waits for them.
//!
//! An upload's row takes the wrap of its key with it, before its day key dies
//! like every other. Where a job still waits on that day, for its time or for a
//! person, the upload's key is moved to the next day.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{DayKey, Done, Retention, RetentionError, judge::tomorrow};
use crate::{
    crypto::{CryptoError, UploadKey},
    domain::log::{Actor, Kind},
    store::{
        keyring::{KeyError, Service},
        ledger::{DetailKey, EventDraft},
        uploads::{self, Ended, UploadRow},
    },
};

/// Uploads of one tick, and of one day, that are looked at in one go.
const PORTION: i64 = 1_000;

impl Retention {
    /// Takes uploads off the books that nothing needs any more.
    pub(super) async fn end_uploads(
        &self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.read().await?;
        let spent = uploads::spent(&mut tx, now, PORTION).await?;
        drop(tx);
        for upload in spent {
            let event = self.scribe.event(EventDraft {
                tenant: &upload.tenant,
                job: None,
                at: now,
                kind: Kind::UploadEnded,
                actor: Actor::Retention,
                code: None,
                facts: vec![("upload", upload.id.0.as_bytes().as_slice().into())],
                personal: Vec::new(),
                detail_key: DetailKey::None,
            })?;
            let mut tx = self.db.begin().await?;
            let ended = uploads::end(&mut tx, &upload.tenant, upload.id, now, &event).await?;
            tx.commit().await?;
            done.uploads = done.uploads.saturating_add(usize::from(ended == Ended::Ended));
        }
        Ok(())
    }

    /// Moves what is left from the condemned upload keys of a day to the next,
    /// and pardons the keys from which something cannot be moved.
    pub(super) async fn clear_uploads(
        &self,
        number: i64,
        condemned: &mut HashSet<DayKey>,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let is_condemned = |condemned: &HashSet<DayKey>| {
            condemned.iter().any(|(_, service, day)| *service == Service::Upload && *day == number)
        };
        if !is_condemned(condemned) {
            return Ok(());
        }
        // What has expired goes with its row, not with a move.
        self.end_uploads(now, done).await?;
        let mut tx = self.db.read().await?;
        let left = uploads::on_day(&mut tx, number, PORTION).await?;
        drop(tx);
        // More than one portion on a day: the rest is moved by later ticks.
        let all = i64::try_from(left.len()).is_ok_and(|count| count < PORTION);
        if !all {
            condemned.retain(|(_, service, day)| *service != Service::Upload || *day != number);
        }
        for upload in left {
            let key = (upload.tenant.clone(), Service::Upload, number);
            if !self.move_upload(&upload, now, done).await? {
                condemned.remove(&key);
            }
        }
        Ok(())
    }

    /// Wraps an upload's key under the next day. False when that is not possible
    /// now.
    async fn move_upload(
        &self,
        upload: &UploadRow,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<bool, RetentionError> {
        let UploadRow { id, tenant, purge_day, wrapped_key, .. } = upload;
        let day = tomorrow(now, self.rules(tenant).zone);
        if day <= *purge_day {
            return Ok(false);
        }
        let opened = match self.keys.existing_day_key(tenant, Service::Upload, *purge_day).await {
            Ok(key) => UploadKey::unwrap(&key, tenant, *id, wrapped_key),
            Err(KeyError::Destroyed | KeyError::Unknown) => Err(CryptoError::BrokenSeal),
            Err(error) => return Err(error.into()),
        };
        let Ok(key) = opened else {
            tracing::warn!(upload.id = %id, "a person has to look at this upload: its key does not open");
            done.doubtful = done.doubtful.saturating_add(1);
            return Ok(false);
        };
        let later = self.keys.day_key(tenant, Service::Upload, day).await?;
        let wrapped = key.wrap(&later, tenant, *id, &self.entropy)?;
        let mut tx = self.db.begin().await?;
        let moved = uploads::rewrap(&mut tx, *id, *purge_day, day, &wrapped).await?;
        tx.commit().await?;
        done.moved = done.moved.saturating_add(usize::from(moved));
        Ok(moved)
    }
}

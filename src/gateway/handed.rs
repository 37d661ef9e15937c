//! A document that leaves, slice by slice, for as long as its link serves.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Inner,
    artifact::{ArtifactError, Reading},
    notes::Note,
    running::Ticket,
};

/// A download that runs: counts its bytes and holds its seat.
pub(super) struct Handed {
    gateway: Arc<Inner>,
    ticket: Arc<Ticket>,
    left: u64,
    ended: bool,
    _seat: OwnedSemaphorePermit,
}

impl Handed {
    pub(super) fn begin(
        gateway: &Arc<Inner>,
        ticket: Arc<Ticket>,
        left: u64,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        gateway.running.begin(&ticket);
        Self { gateway: Arc::clone(gateway), ticket, left, ended: false, _seat: seat }
    }

    /// The bytes, slice by slice, for as long as the link serves.
    pub(super) fn body(self, reading: Reading) -> Body {
        let bits = stream::unfold(Some((self, reading)), |running| async move {
            let (mut handed, mut reading) = running?;
            match handed.next(&mut reading).await {
                Ok(None) => None,
                Ok(Some(slice)) => Some((Ok(slice), Some((handed, reading)))),
                // The connection ends short of the promised length.
                Err(stop) => {
                    handed.tell(&stop);
                    Some((Err(stop), None))
                }
            }
        });
        Body::from_stream(bits)
    }

    async fn next(&mut self, reading: &mut Reading) -> Result<Option<Bytes>, Stop> {
        if !self.gateway.may_flow(&self.ticket).await {
            return Err(Stop::TakenBack);
        }
        let slice = reading.next().await.map_err(Stop::Artifact)?;
        if let Some(slice) = &slice {
            // Counted before it is given: who is asked in between says more.
            let bytes = u64::try_from(slice.len()).unwrap_or(u64::MAX);
            self.ticket.give(bytes);
            self.left = self.left.saturating_sub(bytes);
            if self.left == 0 {
                self.end();
            }
        }
        Ok(slice)
    }

    fn tell(&self, stop: &Stop) {
        let job = self.ticket.job;
        match stop {
            Stop::TakenBack => tracing::info!(job.id = %job, "a download was ended: {stop}"),
            Stop::Artifact(error) => {
                tracing::error!(job.id = %job, error = %error, "a document ended in the middle");
                let (tenant, damaged) = (self.ticket.tenant.clone(), error.is_damage());
                let note = Note::NotServed { tenant, job, damaged };
                self.gateway.notes.add(note, self.gateway.parts.clock.now(), None);
            }
        }
    }

    /// Nothing was reserved: there is nothing to end, and nothing to look after.
    pub(super) fn call_off(mut self) {
        self.ended = true;
        self.gateway.running.forget(self.ticket.id);
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.gateway.running.end(&self.ticket, self.gateway.parts.clock.now());
        }
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why a document ended before its end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// Its link serves no more, or nobody can say whether it does.
    #[error("its link does not serve any more")]
    TakenBack,
    /// The rest of it does not open.
    #[error("the document does not open to its end")]
    Artifact(#[source] ArtifactError),
}

//! What is inside a finished PDF, before its job comes on the books.
//!
//! A sender should learn at once that a file cannot be delivered, so it is
//! looked into here, in a process of its own that the application provides.
//! But one sender's slow files must not hold up everybody's jobs: when the time
//! for a batch is up, what is left comes on the books unread, and the press looks
//! into it in the same way before it does anything with it.
//!
//! An uploaded PDF was looked into when it came; of it only the books are asked,
//! and it is claimed, so that it stays until the job is sealed.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, join_all};

use super::desk::DeskError;
use crate::{
    domain::{
        checked::CheckedJob,
        ids::JobId,
        job::{Channel, Document},
        pdf::{PdfFacts, PdfFlaw},
        refusal::{Refusal, Refused},
    },
    store::{Db, uploads},
};

/// How long a batch may wait for a process to look into its PDFs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks into PDFs, away from everything that could be hurt by one.
pub trait PdfCheck: Send + Sync {
    /// Looks into a PDF; waits at most for `patience` before it begins.
    fn check<'a>(
        &'a self,
        pdf: &'a [u8],
        patience: Duration,
    ) -> BoxFuture<'a, Result<PdfFacts, Unchecked>>;
}

/// Why there are no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchecked {
    /// The PDF cannot be delivered.
    Flawed(PdfFlaw),
    /// It was not looked into; that is our trouble, and may pass.
    NotNow,
}

/// Looks into the PDFs of a batch of jobs; each job keeps its facts, and learns
/// what is wrong with its PDF.
pub(super) async fn look(
    check: &dyn PdfCheck,
    jobs: impl Iterator<Item = &mut Result<(CheckedJob, [u8; 32]), Refused>>,
) {
    let begun = Instant::now();
    let looks = jobs.filter_map(|read| match read {
        Ok((CheckedJob { document: Document::Pdf { .. }, .. }, _)) => Some(async move {
            let Ok((job, _)) = &mut *read else { return };
            let Document::Pdf { bytes, .. } = &job.document else { return };
            let patience = PATIENCE.saturating_sub(begun.elapsed());
            match check.check(bytes, patience).await {
                Ok(facts) => match suits(facts, job.channel) {
                    Ok(()) => job.pdf = Some(facts),
                    Err(flaw) => *read = Err(Refused::bad_pdf(flaw)),
                },
                Err(Unchecked::Flawed(flaw)) => *read = Err(Refused::bad_pdf(flaw)),
                Err(Unchecked::NotNow) => {}
            }
        }),
        Ok(_) | Err(_) => None,
    });
    join_all(looks).await;
}

/// Whether such a PDF can go this way.
pub fn suits(facts: PdfFacts, channel: Channel) -> Result<(), PdfFlaw> {
    match channel {
        Channel::Post if !facts.a4 => Err(PdfFlaw::PageSize),
        Channel::Email | Channel::Post => Ok(()),
    }
}

/// Claims the upload that a job names, if it names one, for the id that the job
/// is about to come on the books with; the job keeps what is known of the PDF.
pub(super) async fn claim(
    db: &Db,
    checked: &mut CheckedJob,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Result<(), Refused>, DeskError> {
    let Document::Upload { upload, .. } = checked.document else { return Ok(Ok(())) };
    let gone = Refusal::NoUpload.at("document.pdf.upload");
    let mut tx = db.read().await?;
    let row = uploads::get(&mut tx, &checked.tenant, upload).await?;
    drop(tx);
    let Some(row) = row else { return Ok(Err(gone)) };
    if let Err(flaw) = suits(row.facts, checked.channel) {
        return Ok(Err(Refused::bad_pdf(flaw)));
    }
    let mut tx = db.begin().await?;
    let claimed = uploads::claim(&mut tx, &checked.tenant, upload, job, now).await?;
    tx.commit().await?;
    if !claimed {
        return Ok(Err(gone));
    }
    checked.pdf = Some(row.facts);
    Ok(Ok(()))
}

//! The finished PDF of a job, ready for the press: read back where it was
//! uploaded, and looked into where intake had no time to.
//!
//! The press itself reads nothing of a PDF that has not passed the check in a
//! process of its own; the bytes that passed are the ones that go on.

use std::time::Duration;

use anyhow::anyhow;

use super::press::Fault;
use crate::{
    app::{
        office::{Office, Ready},
        uploads::{self, Unread},
    },
    domain::{
        job::Document,
        pdf::{PdfFacts, PdfFlaw},
        plain::Plain,
        reason::Reason,
    },
    intake::inside::{Unchecked, suits},
};

/// How long a PDF may wait for a process to look into it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A finished PDF that may be delivered.
pub(super) struct Brought {
    pub(super) pdf: Plain,
    pub(super) facts: PdfFacts,
}

/// The finished PDF of a job; nothing where the job is rendered.
pub(super) async fn fetch(office: &Office, ready: &Ready) -> Result<Option<Brought>, Fault> {
    let checked = &ready.checked;
    let (pdf, facts) = match &checked.document {
        Document::Template { .. } => return Ok(None),
        Document::Pdf { bytes, .. } => (Plain::new(bytes.clone()), checked.pdf),
        Document::Upload { upload, .. } => {
            match uploads::read(office, &ready.delivery.tenant, *upload).await {
                Ok((pdf, row)) => (pdf, Some(row.facts)),
                Err(Unread::ForGood(what)) => {
                    return Err(Fault::Park(Reason::PdfUnusable, what.to_owned()));
                }
                Err(Unread::ForNow(fault)) => return Err(Fault::Again(fault)),
            }
        }
    };
    let facts = match facts {
        Some(facts) => Ok(facts),
        None => office.pdfs.check(&pdf, PATIENCE).await,
    };
    let facts = facts.and_then(|facts| match suits(facts, checked.channel) {
        Ok(()) => Ok(facts),
        Err(flaw) => Err(Unchecked::Flawed(flaw)),
    });
    match facts {
        Ok(facts) => Ok(Some(Brought { pdf, facts })),
        Err(Unchecked::Flawed(flaw)) => Err(unusable(flaw)),
        Err(Unchecked::NotNow) => Err(Fault::Again(anyhow!("no process looks into PDFs now"))),
    }
}

/// A job whose PDF cannot be delivered waits for a person.
pub(super) fn unusable(flaw: PdfFlaw) -> Fault {
    Fault::Park(Reason::PdfUnusable, format!("bad_pdf: {flaw}"))
}

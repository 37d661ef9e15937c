//! Which job is meant: by its id, or by the number that a recipient reads out.

use std::str::FromStr;

use super::no_such_job;
use crate::{
    cli::Failure,
    domain::{crockford::LinkNumber, ids::JobId},
    store::{
        Tx,
        jobs::{self, JobRow},
    },
};

/// A job's id, or its link number.
#[derive(Clone, Copy, Debug)]
pub(super) enum JobName {
    Id(JobId),
    Number(LinkNumber),
}

impl FromStr for JobName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(job) = text.parse() {
            return Ok(Self::Id(job));
        }
        text.parse()
            .map(Self::Number)
            .map_err(|bad| format!("neither a job's id nor a link number; {bad}"))
    }
}

impl JobName {
    /// The job of this name.
    pub(super) async fn row(self, tx: &mut Tx) -> Result<JobRow, Failure> {
        let job = match self {
            Self::Id(job) => job,
            Self::Number(number) => match jobs::numbered(tx, number).await?.as_slice() {
                [] => return Err(no_such_job()),
                [job] => *job,
                many => {
                    let ids: Vec<_> = many.iter().map(ToString::to_string).collect();
                    return Err(Failure::Failed(anyhow::anyhow!(
                        "{number} is the number of {} jobs; name one by its id: {}",
                        ids.len(),
                        ids.join(", ")
                    )));
                }
            },
        };
        jobs::get(tx, None, job).await?.ok_or_else(no_such_job)
    }
}

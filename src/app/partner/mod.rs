//! A print partner that lives in this process: for the demo and the tests.
//!
//! It stands at the other side of the folder that `dispatch::postal` fills and
//! sees only what a real partner sees: it waits for the done marker, counts the
//! pages and hashes of what it found against both manifests, and answers with
//! files of its own, some JSON, some CSV. It shares no code with our side of
//! the folder, so that a mistake there is not repeated here.
//!
//! A [`Script`] gives it bad days: it refuses a piece, says nothing, says
//! everything twice or in the wrong order, writes half a file, or brings a
//! letter back. It prints nothing and keeps no document: of each piece it
//! remembers that it was printed, so that a test can see a letter printed twice.

use std::{
    collections::VecDeque,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::clock::SharedClock;

mod check;
mod desk;

pub use desk::Printed;

/// What the simulator does with the batches it takes.
#[derive(Clone, Debug)]
pub struct Script {
    /// From the hand-over to the answer "accepted".
    pub accept_after: TimeDelta,
    /// From the hand-over to the answer "posted".
    pub post_after: TimeDelta,
    /// One day per batch, in the order they are taken; good days afterwards.
    pub days: VecDeque<Day>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            accept_after: TimeDelta::zero(),
            post_after: TimeDelta::hours(18),
            days: VecDeque::new(),
        }
    }
}

impl Script {
    /// A script that begins with these days.
    pub fn of(days: impl IntoIterator<Item = Day>) -> Self {
        Self { days: days.into_iter().collect(), ..Self::default() }
    }
}

/// What kind of day the partner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Day {
    /// Accepts, prints, posts.
    Good,
    /// Refuses the first piece of the batch and does the rest.
    RejectsOne,
    /// Accepts, and never says when it posted.
    Silent,
    /// Takes the batch and never says anything.
    Mute,
    /// Says everything twice.
    Twice,
    /// Says "posted" first and "accepted" at the next tick.
    OutOfOrder,
    /// Leaves half an answer without its marker, and the rest one tick later.
    HalfWritten,
    /// Leaves half an answer with its marker, and a whole one one tick later.
    Broken,
    /// Posts, and brings the first piece back after ten days.
    Returns,
}

/// What one look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartnerTick {
    /// Batches taken.
    pub taken: usize,
    /// Answer files written.
    pub answered: usize,
}

/// The simulator's folder did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("the simulated partner cannot {act}")]
pub struct PartnerFault {
    act: &'static str,
    source: io::Error,
}

/// A print partner that prints nothing.
#[derive(Clone)]
pub struct PrintPartner(Arc<Office>);

struct Office {
    root: PathBuf,
    clock: SharedClock,
    zone: Tz,
    script: Script,
    desk: Mutex<desk::Desk>,
}

impl PrintPartner {
    /// Takes its place at a hand-over folder. What it did before a restart it
    /// finds again in `ROOT/desk/`.
    pub fn open(
        root: &Path,
        clock: SharedClock,
        zone: Tz,
        script: Script,
    ) -> Result<Self, PartnerFault> {
        for folder in ["out", "in", "desk"] {
            fs::create_dir_all(root.join(folder)).map_err(failed("make its folders"))?;
        }
        let desk = Mutex::new(desk::Desk::open(&root.join("desk"))?);
        Ok(Self(Arc::new(Office { root: root.to_owned(), clock, zone, script, desk })))
    }

    /// Takes what was handed over and says what is due to be said.
    pub async fn tick(&self) -> Result<PartnerTick, PartnerFault> {
        let office = Arc::clone(&self.0);
        let stopped = |_| PartnerFault { act: "finish", source: io::ErrorKind::Interrupted.into() };
        tokio::task::spawn_blocking(move || office.tick()).await.map_err(stopped)?
    }

    /// Every piece it printed so far; one printed twice stands here twice.
    pub fn printed(&self) -> Vec<Printed> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner).printed.clone()
    }
}

impl Office {
    fn tick(&self) -> Result<PartnerTick, PartnerFault> {
        let now = self.clock.now();
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tick = PartnerTick::default();
        for batch in self.marked(&desk)? {
            self.take(&mut desk, &batch, now)?;
            tick.taken = tick.taken.saturating_add(1);
        }
        tick.answered = self.speak(&mut desk, now)?;
        if tick != PartnerTick::default() {
            desk.save(&self.root.join("desk"))?;
        }
        Ok(tick)
    }

    /// Batches with a done marker that were not taken yet.
    fn marked(&self, desk: &desk::Desk) -> Result<Vec<String>, PartnerFault> {
        let look = failed("look into the folder");
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join("out")).map_err(&look)? {
            let name = entry.map_err(&look)?.file_name();
            names.extend(
                name.to_str().and_then(|name| name.strip_suffix(".done")).map(str::to_owned),
            );
        }
        names.retain(|name| !desk.taken.contains(name));
        names.sort_unstable();
        Ok(names)
    }

    /// Checks a batch and plans what to say about it.
    fn take(
        &self,
        desk: &mut desk::Desk,
        batch: &str,
        now: DateTime<Utc>,
    ) -> Result<(), PartnerFault> {
        let day = self.script.days.get(desk.taken.len()).copied().unwrap_or(Day::Good);
        let mut verdicts = match check::batch(&self.root.join("out"), batch) {
            Ok(verdicts) => verdicts,
            // Emptied meanwhile: a restart finds markers of what was done.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read a batch")(error)),
        };
        if let (Day::RejectsOne, Some(first)) = (day, verdicts.first_mut()) {
            first.fault = Some("unprintable");
        }
        desk.plan(batch, &verdicts, day, &self.script, self.zone, now);
        Ok(())
    }

    /// Writes the answers that are due, oldest first.
    fn speak(&self, desk: &mut desk::Desk, now: DateTime<Utc>) -> Result<usize, PartnerFault> {
        let inbox = self.root.join("in");
        let mut written = 0_usize;
        for answer in desk.due(now) {
            let path = inbox.join(&answer.name);
            let marker = inbox.join(format!("{}.done", answer.name));
            let (text, finished) = answer.next_form();
            fs::write(path, text).map_err(failed("write an answer"))?;
            if finished {
                fs::write(marker, b"").map_err(failed("mark an answer"))?;
            }
            written = written.saturating_add(1);
        }
        desk.forget_said();
        Ok(written)
    }
}

fn failed(act: &'static str) -> impl Fn(io::Error) -> PartnerFault {
    move |source| PartnerFault { act, source }
}

impl fmt::Debug for PrintPartner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrintPartner").field(&self.0.root).finish()
    }
}

#[cfg(test)]
mod journey;
#[cfg(test)]
mod tests;

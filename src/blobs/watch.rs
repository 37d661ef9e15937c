//! Knows whether sealed bytes can be written and read, and says it once.
//!
//! A full disk fails every batch, a storage that is away every reader: what
//! matters is one line when it begins and one when it is over, a word for
//! whoever asks in between, and how often it happened.
//!
//! It decides nothing: whoever failed tries again by itself.

use std::sync::{Mutex, PoisonError};

use super::BlobError;

/// What is done with sealed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A batch is appended.
    Write,
    /// A range is read.
    Read,
    /// A segment is destroyed, or all are listed.
    Destroy,
}

impl Act {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Write, Self::Read, Self::Destroy];

    /// The word that metrics have.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Destroy => "destroy",
        }
    }

    const fn complaint(self) -> &'static str {
        match self {
            Self::Write => {
                "sealed bytes cannot be written: what comes in waits on the books and goes on by \
                 itself when there is room again"
            }
            Self::Read => "sealed bytes cannot be read: recipients are asked to come back later",
            Self::Destroy => {
                "segments cannot be destroyed: what was due has lost its key; its bytes go when \
                 it works again"
            }
        }
    }

    const fn relief(self) -> &'static str {
        match self {
            Self::Write => "sealed bytes can be written again",
            Self::Read => "sealed bytes can be read again",
            Self::Destroy => "segments can be destroyed again",
        }
    }
}

/// How an act fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fares {
    /// Why it does not work now, in a few words of ours; none while it does.
    pub trouble: Option<&'static str>,
    /// How often it has failed since the start, damage included.
    pub failures: u64,
}

/// Looks after which a trouble that nobody met again is told no more.
const LOOKS: u8 = 6;

#[derive(Clone, Copy, Debug, Default)]
struct Side {
    fares: Fares,
    seen: u64,
    looks: u8,
}

/// The memory of one store of sealed bytes.
#[derive(Debug, Default)]
pub(super) struct Watch {
    sides: Mutex<[Side; 3]>,
}

impl Watch {
    /// Takes note of how an act ended.
    pub(super) fn note<T>(&self, act: Act, result: &Result<T, BlobError>) {
        match result {
            Ok(_) => self.works(act),
            Err(error) if error.is_trouble() => self.fails(act, error),
            Err(error) if error.is_damage() => self.with(act, |side| {
                side.fares.failures = side.fares.failures.saturating_add(1);
            }),
            Err(_) => {}
        }
    }

    fn works(&self, act: Act) {
        let was = self.with(act, |side| side.fares.trouble.take());
        if was.is_some() {
            tracing::info!("{}", act.relief());
        }
    }

    fn fails(&self, act: Act, error: &BlobError) {
        let was = self.with(act, |side| {
            side.fares.failures = side.fares.failures.saturating_add(1);
            side.looks = 0;
            side.fares.trouble.replace(error.word())
        });
        if was.is_none() {
            tracing::error!("{} ({})", act.complaint(), error.told());
        }
    }

    /// How an act fares.
    pub(super) fn fares(&self, act: Act) -> Fares {
        self.with(act, |side| side.fares)
    }

    /// A look at regular times: what failed, and was not tried again for some
    /// looks, is not known to fail any more.
    pub(super) fn look(&self) {
        for act in Act::ALL {
            self.with(act, |side| {
                if std::mem::replace(&mut side.seen, side.fares.failures) == side.fares.failures {
                    side.looks = side.looks.saturating_add(1);
                }
                if side.looks >= LOOKS {
                    side.fares.trouble = None;
                }
            });
        }
    }

    fn with<T>(&self, act: Act, look: impl FnOnce(&mut Side) -> T) -> T {
        let mut sides = self.sides.lock().unwrap_or_else(PoisonError::into_inner);
        let [write, read, destroy] = &mut *sides;
        look(match act {
            Act::Write => write,
            Act::Read => read,
            Act::Destroy => destroy,
        })
    }
}

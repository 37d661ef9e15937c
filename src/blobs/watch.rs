//! Knows whether sealed bytes can be written and read, and says it once.
//!
//! A full disk fails every batch, a storage that is away every reader: what
//! matters is one line when it begins and one when it is over, a word for
//! whoever asks in between, and how often it happened.
//!
//! A trouble that nobody met again for a while is shown no more, but it is over
//! only when the act has worked: what fails once an hour is one trouble, told
//! once.
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
    /// A segment is destroyed.
    Destroy,
    /// All segments are listed.
    List,
}

impl Act {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Write, Self::Read, Self::Destroy, Self::List];

    /// The word that metrics have.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Destroy => "destroy",
            Self::List => "list",
        }
    }

    const fn complaint(self) -> &'static str {
        match self {
            Self::Write => {
                "sealed bytes cannot be written: what comes in waits on the books and goes on by \
                 itself when that is over"
            }
            Self::Read => "sealed bytes cannot be read: recipients are asked to come back later",
            Self::Destroy => {
                "segments cannot be destroyed: what was due has lost its key; its bytes go when \
                 it works again"
            }
            Self::List => {
                "segments cannot be listed: what is missing or unknown in the store is not seen"
            }
        }
    }

    const fn relief(self) -> &'static str {
        match self {
            Self::Write => "sealed bytes can be written again",
            Self::Read => "sealed bytes can be read again",
            Self::Destroy => "segments can be destroyed again",
            Self::List => "segments can be listed again",
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

/// Looks after which a trouble that nobody met again is shown no more.
const LOOKS: u8 = 6;

#[derive(Clone, Copy, Debug, Default)]
struct Side {
    fares: Fares,
    /// Whether the log said that it fails, and not yet that it works again.
    told: bool,
    seen: u64,
    looks: u8,
}

/// The memory of one store of sealed bytes.
#[derive(Debug, Default)]
pub(super) struct Watch {
    sides: Mutex<[Side; 4]>,
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
        let told = self.with(act, |side| {
            side.fares.trouble = None;
            std::mem::take(&mut side.told)
        });
        if told {
            tracing::info!("{}", act.relief());
        }
    }

    fn fails(&self, act: Act, error: &BlobError) {
        let told = self.with(act, |side| {
            side.fares.failures = side.fares.failures.saturating_add(1);
            side.looks = 0;
            side.fares.trouble = Some(error.word());
            std::mem::replace(&mut side.told, true)
        });
        if !told {
            tracing::error!("{} ({})", act.complaint(), error.told());
        }
    }

    /// How an act fares.
    pub(super) fn fares(&self, act: Act) -> Fares {
        self.with(act, |side| side.fares)
    }

    /// A look at regular times: what failed, and was not tried again for some
    /// looks, is not known to fail any more. A list is tried once an hour, and
    /// known to fail until then.
    pub(super) fn look(&self) {
        for act in [Act::Write, Act::Read, Act::Destroy] {
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
        let [write, read, destroy, list] = &mut *sides;
        look(match act {
            Act::Write => write,
            Act::Read => read,
            Act::Destroy => destroy,
            Act::List => list,
        })
    }
}

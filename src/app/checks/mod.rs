//! What must hold before an office may open, and how to make it so.
//!
//! `kakitome check` prints these findings, `kakitome serve` asks for them
//! before it opens: the two cannot disagree. A finding says what is wrong in
//! our words, never in those of a stranger that could hold a password, and
//! what to do about it.
//!
//! What may pass by itself (a broker that is away) is a problem for `check`
//! and none for `serve`, which tries again for ever.

mod offline;
mod online;
mod segments;

use std::path::PathBuf;

pub use offline::offline;
pub use online::online;

use crate::{clock::SharedClock, config::Config, entropy::Entropy};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Well,
    /// Worth knowing; nothing has to be done.
    Note,
    /// It does not work now; an office that opens tries again.
    Away,
    /// It will not work until somebody changes it.
    Wrong,
}

impl State {
    /// The word that is printed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Note => "note",
            Self::Away | Self::Wrong => "problem",
        }
    }

    /// Whether something has to be done.
    pub const fn is_problem(self) -> bool {
        matches!(self, Self::Away | Self::Wrong)
    }

    /// Whether an office must not open like this.
    pub const fn stops_serve(self) -> bool {
        matches!(self, Self::Wrong)
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about: a key of the configuration, or a part of the office.
    pub area: String,
    /// How grave it is.
    pub state: State,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(area: &str, state: State, what: impl Into<String>) -> Self {
        Self { area: area.to_owned(), state, what: what.into(), remedy: None }
    }

    fn well(area: &str, what: impl Into<String>) -> Self {
        Self::new(area, State::Well, what)
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.area, self.what)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, " -> {remedy}"))
    }
}

/// Looks before an office opens: at everything that somebody would have to
/// change first. The rest is met, and tried again, by whoever needs it; the
/// templates are read when the office is put together. The error holds a line
/// for each thing to change.
pub async fn before_opening(
    config: &Config,
    clock: &SharedClock,
    entropy: &Entropy,
) -> Result<(), Vec<String>> {
    let mut found = offline::settled(config);
    found.extend(Box::pin(online::stores(config, clock, entropy)).await);
    for finding in &found {
        match finding.state {
            State::Well | State::Wrong => {}
            State::Note => tracing::info!("{finding}"),
            State::Away => tracing::warn!("{finding}"),
        }
    }
    let wrong = found.iter().filter(|finding| finding.state.stops_serve());
    let wrong: Vec<_> = wrong.map(ToString::to_string).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The file of an SQLite database; none for a server or for memory.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    (path != ":memory:").then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_stands_in_the_address() {
        let file = |url| sqlite_file(url).map(|file| file.display().to_string());
        assert_eq!(file("sqlite:/a/b.db").as_deref(), Some("/a/b.db"), "as documented");
        assert_eq!(file("sqlite:///a/b.db?mode=rwc").as_deref(), Some("/a/b.db"), "as a URL");
        assert_eq!(file("sqlite::memory:"), None, "memory has none");
        assert_eq!(file("postgres://u@h/d"), None, "a server has none");
    }
}

//! The kinds of PDF that a document can become.

use serde::{Deserialize, Serialize};

/// What kind of PDF a document becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// PDF 1.7 with a title, a language, links and an outline.
    #[default]
    Plain,
    /// Tagged and with metadata, after the structure of PDF/A-3 and PDF/UA-1.
    Archive,
}

impl Profile {
    /// The profile with this word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "plain" => Some(Self::Plain),
            "archive" => Some(Self::Archive),
            _ => None,
        }
    }
}

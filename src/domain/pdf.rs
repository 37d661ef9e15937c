//! What is known of a finished PDF, and why one is not taken.
//!
//! Nothing in here reads a PDF: the renderer's check does, in a process of its
//! own. docs/ERRORS.md is generated from this table together with the
//! refusals, and a test keeps it so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the check found out about a PDF that may be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PdfFacts {
    /// How many pages it has.
    pub pages: u32,
    /// Whether every page is A4, either way up: what a letter needs.
    pub a4: bool,
}

macro_rules! flaws {
    ($($name:ident $word:literal $means:literal)*) => {
        /// Why a finished PDF is not delivered: the reason beside `bad_pdf`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PdfFlaw {
            $(#[doc = $means] $name,)*
        }

        impl PdfFlaw {
            /// Every flaw, in the order of docs/ERRORS.md.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word that senders and the log learn; part of the public contract.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What is wrong, in one sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }
    };
}

flaws! {
    NotPdf "not_pdf"
        "The file does not begin with `%PDF-`."
    Damaged "damaged"
        "The file cannot be read to its end: its cross-references, objects or page tree are broken."
    Encrypted "encrypted"
        "The file is encrypted, be it with an empty password."
    TooLarge "too_large"
        "The file has more bytes than a finished PDF may have."
    NoPages "no_pages"
        "The file has no page."
    TooManyPages "too_many_pages"
        "The file has more than 500 pages, for a letter with its address page."
    PageSize "page_size"
        "A page is smaller than 20 mm or larger than 1,200 mm on a side; of a letter, a page is not A4."
    Javascript "javascript"
        "The file holds JavaScript."
    Action "action"
        "The file acts: it starts programs, sends or fetches data, plays media, or does something when it is opened."
    EmbeddedFile "embedded_file"
        "The file holds other files."
    Xfa "xfa"
        "The file is an XFA form, whose pages only one viewer can show."
    ExternalStream "external_stream"
        "A part of the file lies in another file or somewhere on the network."
    FontNotEmbedded "font_not_embedded"
        "A page uses a font that is not in the file; this counts for the standard fonts such as Helvetica too."
    UnpacksTooLarge "unpacks_too_large"
        "The file unpacks to more than 512 MiB, or an image in it has more than 150 million pixels."
    TooComplex "too_complex"
        "The file has more than 500,000 objects, or one that is nested more than 64 deep."
    TooSlow "too_slow"
        "The check of the file took more time than a file of its size may take."
    TooHeavy "too_heavy"
        "The check of the file took more memory than a file of its size may take."
}

impl PdfFlaw {
    /// The flaw with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|flaw| flaw.word() == word)
    }
}

impl fmt::Display for PdfFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_unique_and_come_back() {
        let words: BTreeSet<_> = PdfFlaw::ALL.iter().map(|flaw| flaw.word()).collect();
        assert_eq!(words.len(), PdfFlaw::ALL.len(), "two flaws share a word");
        for flaw in PdfFlaw::ALL {
            assert_eq!(PdfFlaw::parse(flaw.word()), Some(*flaw), "words must come back");
        }
    }
}

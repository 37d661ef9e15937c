//! What can go wrong, and the code that the sender learns.

use std::{borrow::Cow, fmt};

use crate::domain::{document::DocumentError, pdf::PdfFlaw};

/// A place in a file of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

impl At {
    /// The column where only the line is known, until the place is told.
    pub(super) const LINE_ONLY: u32 = 0;

    /// A line, of which no more is known.
    pub(super) const fn line(line: u32) -> Self {
        Self { line, column: Self::LINE_ONLY }
    }

    /// The place behind a text that begins here.
    pub(super) fn behind(self, text: &str) -> Self {
        let within = Self::offset(text, text.len());
        let (line, column) = (within.line.saturating_sub(1), within.column.saturating_sub(1));
        let column = if line == 0 { self.column.saturating_add(column) } else { within.column };
        Self { line: self.line.saturating_add(line), column }
    }

    /// The byte of a text that is at this place.
    pub(super) fn offset_in(self, text: &str) -> usize {
        let before = |number: u32| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let mut lines = text.split_inclusive('\n');
        let above = lines.by_ref().take(before(self.line)).map(str::len).sum::<usize>();
        let own = lines.next().unwrap_or_default().char_indices().nth(before(self.column));
        own.map_or(text.len(), |(offset, _)| above.saturating_add(offset))
    }

    /// The place of a byte in a text.
    pub(super) fn offset(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
        Self { line: number(line), column: number(column) }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A document that was not made.
///
/// The message names fields, lines and code points, never the data themselves.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// No template of this name is installed.
    #[error("no such template")]
    NoTemplate,
    /// The template did not come to a document; its author has to look at it.
    #[error("template failed: {file}{}: {what}", place(*.at))]
    TemplateFailed {
        /// The file of the bundle; `HTML` stands for what the template wrote.
        file: Cow<'static, str>,
        /// What happened, in words of the template's author.
        what: String,
        /// The place in the file, where it is known.
        at: Option<At>,
        /// The number of the element of the written HTML that it is about.
        element: Option<u32>,
    },
    /// No bundled font can draw these characters.
    #[error("no glyph for {}", code_points(.0))]
    GlyphMissing(Vec<u32>),
    /// A field of the data is missing, superfluous or of the wrong shape.
    #[error("field {field}: {what}")]
    BadDocumentData {
        /// The path of the field, such as `lines[3].amount`.
        field: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A stated sum differs from what the lines come to.
    #[error("field {field}: the lines come to another sum")]
    TotalMismatch {
        /// The path of the stated sum.
        field: String,
    },
    /// The finished PDF cannot be taken.
    #[error("the PDF cannot be taken: {0}")]
    BadPdf(PdfFlaw),
    /// More pages than are allowed.
    #[error("more than {max} pages")]
    TooManyPages {
        /// The limit.
        max: u32,
    },
    /// The document is larger than is allowed.
    #[error("larger than {max} bytes")]
    TooLarge {
        /// The limit, in bytes.
        max: usize,
    },
    /// The address does not fit into the window of the envelope.
    #[error("the address does not fit into the window")]
    AddressTooLong,
    /// A bundled font could not be prepared: the program is damaged.
    #[error("a bundled font cannot be used")]
    Fonts,
}

impl RenderError {
    /// The code for the sender and the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTemplate => "no_template",
            Self::TemplateFailed { .. } => "template_failed",
            Self::GlyphMissing(_) => "glyph_missing",
            Self::BadDocumentData { .. } => "bad_document_data",
            Self::TotalMismatch { .. } => "total_mismatch",
            Self::BadPdf(_) => "bad_pdf",
            Self::TooManyPages { .. } => "too_many_pages",
            Self::TooLarge { .. } => "too_large",
            Self::AddressTooLong => "address_too_long",
            Self::Fonts => "fonts",
        }
    }

    pub(super) fn template(
        file: impl Into<Cow<'static, str>>,
        what: impl Into<String>,
        at: Option<At>,
    ) -> Self {
        Self::TemplateFailed { file: file.into(), what: what.into(), at, element: None }
    }

    /// The same at another place of its file.
    pub(super) fn at(self, moved: impl FnOnce(At) -> At) -> Self {
        let Self::TemplateFailed { file, what, at, element } = self else { return self };
        Self::TemplateFailed { file, what, at: at.map(moved), element }
    }

    /// Whether it is about a file whose name begins so.
    pub(super) fn is_of(&self, files: &str) -> bool {
        matches!(self, Self::TemplateFailed { file, .. } if file.starts_with(files))
    }

    /// The same of another file of the template.
    pub(super) fn of_file(self, name: &str) -> Self {
        let Self::TemplateFailed { what, at, element, .. } = self else { return self };
        let at = at.map(|at| At { column: at.column.max(1), ..at });
        Self::TemplateFailed { file: name.to_owned().into(), what, at, element }
    }

    /// The stylesheet asks for what cannot be done.
    pub(super) fn style(what: impl Into<String>) -> Self {
        Self::template("style.css", what, None)
    }

    /// An element of the HTML cannot be laid out. Only its number is kept: its class
    /// may be data.
    pub(super) fn html_of(element: u32, what: impl Into<String>) -> Self {
        let (file, what) = ("HTML".into(), what.into());
        Self::TemplateFailed { file, what, at: None, element: Some(element) }
    }

    /// The HTML cannot be read at a place, perhaps for what is open there.
    pub(super) fn html_at(at: At, what: String, element: Option<u32>) -> Self {
        Self::TemplateFailed { file: "HTML".into(), what, at: Some(at), element }
    }

    /// The style of an element cannot be honoured.
    pub(super) fn style_of(element: u32, what: impl Into<String>) -> Self {
        let (file, what) = ("style.css".into(), what.into());
        Self::TemplateFailed { file, what, at: None, element: Some(element) }
    }
}

impl From<DocumentError> for RenderError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Field { field, what } => Self::BadDocumentData { field, what },
            DocumentError::Total { field } => Self::TotalMismatch { field },
        }
    }
}

fn place(at: Option<At>) -> String {
    at.map(|at| format!(":{at}")).unwrap_or_default()
}

fn code_points(characters: &[u32]) -> String {
    let names: Vec<String> = characters.iter().map(|code| format!("U+{code:04X}")).collect();
    names.join(", ")
}

//! What is wrong with a template, with its place in the files.

use std::fmt;

use serde::Serialize;

use crate::render::{RenderError, TemplateBundle, json_place as place, parts as files};

/// Characters of a line that are shown around the fault.
const EXCERPT: usize = 100;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The code that the office would give, such as `template_failed`.
    pub code: &'static str,
    /// What is wrong, in words for the template's author.
    pub what: String,
    /// The file, where it is known.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// In characters, from 1.
    pub column: Option<u32>,
    /// The language it happened in, where that matters.
    pub locale: Option<&'static str>,
    /// The line, for a person to look at.
    pub excerpt: Option<Box<Excerpt>>,
}

/// A line of a file, cut if it is long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The text.
    pub text: String,
    /// How many columns of a terminal stand before the fault; wide characters
    /// take two.
    pub before: usize,
}

impl fmt::Display for Fault {
    /// `FILE:LINE:COLUMN: CODE: WHAT (LANGUAGE)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, "{number}:")?;
            }
            write!(f, " ")?;
        }
        write!(f, "{}: {}", self.code, self.what)?;
        match self.locale {
            Some(locale) => write!(f, " ({locale})"),
            None => Ok(()),
        }
    }
}

impl Fault {
    /// A folder that cannot be read.
    pub fn unreadable(error: &anyhow::Error) -> Self {
        Self::bare("unreadable", format!("{error:#}"))
    }

    /// Something is wrong with the template's own files.
    pub(super) fn of_template(error: &RenderError, bundle: &TemplateBundle) -> Self {
        let (file, what, line, column) = parts(error);
        let mut fault = Self::bare(error.code(), what);
        let text = file.as_deref().and_then(|file| text_of(bundle, file));
        fault.file = file;
        fault.line = line;
        fault.column = column;
        if let (Some(text), Some(line)) = (text, line) {
            fault.excerpt = Excerpt::of(text, line, column);
        }
        fault
    }

    /// A sample that is no JSON.
    pub(super) fn of_json(error: &serde_json::Error, sample: &str, bytes: &[u8]) -> Self {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (line, column) = (number(error.line()), number(error.column()).max(1));
        let what = match error.classify() {
            serde_json::error::Category::Io => "not JSON: it cannot be read",
            serde_json::error::Category::Syntax => "not JSON: syntax error",
            serde_json::error::Category::Data => "not JSON: wrong type",
            serde_json::error::Category::Eof => "not JSON: it ends too early",
        };
        let mut fault = Self::bare("bad_json", what.to_owned());
        fault.file = Some(sample.to_owned());
        fault.line = Some(line);
        fault.column = Some(column);
        fault.excerpt = Excerpt::of(&String::from_utf8_lossy(bytes), line, Some(column));
        fault
    }

    /// A sample that does not come to a document.
    pub(super) fn of_sample(
        error: &RenderError,
        bundle: &TemplateBundle,
        (sample, bytes): (&str, &[u8]),
    ) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut fault = if let RenderError::BadDocumentData { field, .. }
        | RenderError::TotalMismatch { field } = error
        {
            Self::at(error, sample, &text, place::field(&text, field))
        } else if let RenderError::GlyphMissing(codes) = error {
            let missing = codes.first().copied().and_then(char::from_u32);
            // The sample first: that is where names come from.
            let parts = bundle.files.iter().map(|(file, _)| file.as_str());
            let parts = parts.filter(|file| files::is_part(file) && !files::is_style(file));
            let all = std::iter::once("template.html").chain(parts);
            let templates = all.filter_map(|file| Some((file, text_of(bundle, file)?)));
            std::iter::once((sample, &*text))
                .chain(templates)
                .find_map(|(file, text)| Some(Self::at(error, file, text, text.find(missing?)?)))
                .unwrap_or_else(|| Self::whole(error, sample))
        } else if parts(error).0.is_some() {
            Self::of_template(error, bundle)
        } else {
            Self::whole(error, sample)
        };
        if fault.file.as_deref() != Some(sample) {
            fault.what = format!("{}, with {sample}", fault.what);
        }
        fault
    }

    fn bare(code: &'static str, what: String) -> Self {
        Self { code, what, file: None, line: None, column: None, locale: None, excerpt: None }
    }

    fn whole(error: &RenderError, file: &str) -> Self {
        Self { file: Some(file.to_owned()), ..Self::bare(error.code(), error.to_string()) }
    }

    fn at(error: &RenderError, file: &str, text: &str, offset: usize) -> Self {
        let (line, column) = place::line_and_column(text, offset);
        Self {
            line: Some(line),
            column: Some(column),
            excerpt: Excerpt::of(text, line, Some(column)),
            ..Self::whole(error, file)
        }
    }
}

/// The file, the words, the line and the column.
fn parts(error: &RenderError) -> (Option<String>, String, Option<u32>, Option<u32>) {
    let RenderError::TemplateFailed { file, what, at, .. } = error else {
        return (None, error.to_string(), None, None);
    };
    // What the template wrote is nowhere to be looked at, but it comes from there.
    let (file, what) = match &**file {
        "HTML" => ("template.html", format!("in the HTML that it writes: {what}")),
        folder if folder.ends_with('/') => (folder.trim_end_matches('/'), what.clone()),
        file => (file, what.clone()),
    };
    (Some(file.to_owned()), what, at.map(|at| at.line), at.map(|at| at.column))
}

fn text_of<'a>(bundle: &'a TemplateBundle, wanted: &str) -> Option<&'a str> {
    let (_, bytes) = bundle.files.iter().find(|(file, _)| file == wanted)?;
    str::from_utf8(bytes).ok()
}

impl Excerpt {
    /// Without a column the first word of the line is meant.
    fn of(text: &str, line: u32, column: Option<u32>) -> Option<Box<Self>> {
        let index = |number: u32| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let line = text.lines().nth(index(line))?;
        let first = line.chars().take_while(|character| character.is_whitespace()).count();
        let column = column.map_or(first, index).min(line.chars().count());
        let skipped = column.saturating_sub(EXCERPT.div_euclid(2));
        let window: String = line.chars().skip(skipped).take(EXCERPT).collect();
        let left = if skipped > 0 { "…" } else { "" };
        let right = if line.chars().count() > skipped.saturating_add(EXCERPT) { "…" } else { "" };
        let text = format!("{left}{window}{right}").replace('\t', " ");
        let before = left.chars().count().saturating_add(column.saturating_sub(skipped));
        let before = text.chars().take(before).map(columns).sum();
        Some(Box::new(Self { text, before }))
    }
}

/// Columns of a terminal that a character takes.
fn columns(character: char) -> usize {
    if u32::from(character) >= 0x1100 && !matches!(character, '–' | '…') { 2 } else { 1 }
}

//! The subset of CSS that templates may use; docs/TEMPLATES.md lists it.
//!
//! A stylesheet is read once, when its template is registered, and everything
//! in it must be understood: an unknown property, value, selector or unit is an
//! error with its line. What a browser would ignore quietly would here be a
//! misprint that nobody notices.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::wildcard_enum_match_arm,
    reason = "layout code: arena numbers that this module hands out itself, and tokens of which it knows a few"
)]

pub(super) mod cascade;
mod page;
mod parse;
mod property;
mod selector;
pub(super) mod style;
#[cfg(test)]
mod tests;
pub(super) mod value;

pub(super) use page::{Content, PageRule};
pub(super) use selector::Selector;

use super::error::RenderError;

/// A stylesheet that was understood from end to end.
#[derive(Debug)]
pub(super) struct Sheet {
    /// The rules, most specific last.
    pub(super) rules: Vec<Rule>,
    /// The sheet of paper.
    pub(super) page: PageRule,
    /// Some selector asks for a position other than the first and the last.
    pub(super) counts_children: bool,
}

/// One selector with its declarations.
#[derive(Debug)]
pub(super) struct Rule {
    /// Which elements it is for.
    pub(super) selector: Selector,
    /// What it says.
    pub(super) declarations: std::sync::Arc<[style::Declaration]>,
}

impl Sheet {
    /// Reads a stylesheet; the error names the first line that is not understood.
    pub(super) fn parse(css: &str) -> Result<Self, RenderError> {
        let css = parse::with_variables(css)?;
        let mut sheet = parse::sheet(&css)?;
        // Stable: of two rules with the same specificity the later one wins.
        sheet.rules.sort_by_key(|rule| rule.selector.specificity());
        sheet.counts_children = sheet.rules.iter().any(|rule| rule.selector.counts_children());
        Ok(sheet)
    }
}

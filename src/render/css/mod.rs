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

mod border;
pub(super) mod cascade;
mod declaration;
pub(super) mod face;
mod index;
mod kinds;
pub(super) mod margin_box;
pub(super) mod names;
pub(super) mod page;
mod parse;
mod property;
mod selector;
pub(super) mod style;
#[cfg(test)]
mod tests;
pub(super) mod value;
mod variables;

pub(super) use margin_box::Content;
pub(super) use page::{PageRule, PageRules, Paper};
pub(super) use selector::{Selector, Subject};

use std::borrow::Cow;

use super::{error::RenderError, near};

/// Nodes of a document times rules of its stylesheet. Five thousand rows of eight
/// cells may have a thousand rules.
const MAX_MATCHES: usize = 100_000_000;

/// A stylesheet that was understood from end to end.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// The rules, most specific last.
    pub(super) rules: Vec<Rule>,
    /// The sheets of paper.
    pub(super) pages: PageRules,
    /// The families by their numbers: the bundled ones, the operator's, those of
    /// `@font-face`.
    pub(super) families: Vec<String>,
    /// What the template brings itself.
    pub(super) faces: Vec<face::FontFace>,
    /// Every `string()` that no `string-set` names, for whoever may not ask for it.
    pub(super) unset: Vec<RenderError>,
    /// Some selector asks for a position other than the first and the last.
    pub(super) counts_children: bool,
    /// Which rules may be meant for an element.
    index: index::Index,
    /// The styles of elements that documents had before.
    kept: kinds::Kept,
}

/// One selector with its declarations.
#[derive(Debug)]
pub(super) struct Rule {
    /// Which elements it is for.
    pub(super) selector: Selector,
    /// What it says.
    pub(super) declarations: std::sync::Arc<[declaration::Declaration]>,
}

impl Sheet {
    /// Reads a stylesheet that may use these families; the error names the first
    /// place that is not understood.
    pub(super) fn parse(css: &str, families: &[String]) -> Result<Self, RenderError> {
        let (sheet, faults) = Self::read(css, families);
        faults.into_iter().next().map_or(Ok(sheet), Err)
    }

    /// Every place of a stylesheet that is not understood; at most twenty.
    pub(super) fn faults(css: &str, families: &[String]) -> Vec<RenderError> {
        Self::read(css, families).1
    }

    fn read(css: &str, families: &[String]) -> (Self, Vec<RenderError>) {
        let mut sheet = Self { families: families.to_vec(), ..Self::default() };
        let mut faults = parse::sheet(css, &mut sheet);
        if faults.is_empty() {
            faults.extend(sheet.pages.check().err());
            sheet.unset = sheet.unset_strings(css);
        }
        // Stable: of two rules with the same specificity the later one wins.
        sheet.rules.sort_by_key(|rule| rule.selector.specificity());
        sheet.index = index::Index::of(&sheet.rules);
        sheet.counts_children = sheet.rules.iter().any(|rule| rule.selector.counts_children());
        (sheet, faults)
    }

    /// Every `string()` that nothing would ever fill.
    fn unset_strings(&self, css: &str) -> Vec<RenderError> {
        let said = self.rules.iter().flat_map(|rule| rule.declarations.iter());
        let set: Vec<&str> = said
            .filter_map(|one| match one {
                declaration::Declaration::StringSet(name) => Some(&**name),
                _ => None,
            })
            .collect();
        let unset = self.pages.strings().filter(|(name, _)| !set.contains(name));
        let told = unset.map(|(name, at)| {
            let (name, hint) = (near::quote(name), near::expected(name, &set));
            let what = format!("no `string-set` names {name}{hint}");
            parse::located(parse::Fail(what.into()), parse::in_characters(css, at))
        });
        told.collect()
    }

    /// The rules for an element, least specific first; `above` yields its ancestors,
    /// nearest first.
    pub(super) fn matching<'a>(
        &self,
        subject: &Subject<'a>,
        above: &(impl Iterator<Item = Subject<'a>> + Clone),
    ) -> Vec<&Rule> {
        let rules = self.index.candidates(subject).into_iter();
        rules
            .filter_map(|rule| self.rules.get(rule))
            .filter(|rule| rule.selector.matches(subject, above.clone()))
            .collect()
    }

    /// The value of `class` without the words that no selector has.
    fn seen_classes<'c>(&self, classes: &'c str) -> Cow<'c, str> {
        // One word as it is; more are put together anew, so that what is kept of
        // them holds no more than words of the stylesheet.
        if self.index.has_class(classes) {
            return Cow::Borrowed(classes);
        }
        let seen = classes.split_ascii_whitespace().filter(|word| self.index.has_class(word));
        Cow::Owned(seen.collect::<Vec<_>>().join(" "))
    }

    /// An `id`, unless no selector has it.
    fn seen_id<'i>(&self, id: &'i str) -> &'i str {
        if self.index.has_id(id) { id } else { "" }
    }

    /// Refuses a document of so many nodes that matching would take too long: every
    /// kind of element is held against every rule, and in the worst case each
    /// element is a kind of its own.
    pub(super) fn check_size(&self, nodes: usize) -> Result<(), RenderError> {
        if nodes.saturating_mul(self.rules.len()) > MAX_MATCHES {
            return Err(RenderError::style("too many rules for a document of this length"));
        }
        Ok(())
    }
}

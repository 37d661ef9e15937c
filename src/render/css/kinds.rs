//! The kinds of elements that the documents of one stylesheet have.
//!
//! Two documents of one template differ in their words and not in their boxes, so
//! the styles that the first one needed are kept for the next. What is kept is a
//! list that never changes once it stands: it is read without a lock. There are a
//! few such lists, each with what the one before lacked.
//!
//! Keeps no data of any document: of `class` and `id` only the words that the
//! stylesheet itself has. What does not fit is computed for each document anew.

use std::sync::{Arc, OnceLock};

use super::{cascade::StyleId, style::Style};
use crate::render::dom::Tag;

/// How often kinds are added to those that are kept.
const STEPS: usize = 4;
/// The most kinds that are kept.
const MOST: usize = 512;
/// The most kinds of children that an element's kind has among them: they are
/// looked through one by one.
const MOST_CHILDREN: usize = 24;

/// All that selectors can see of an element, and its style.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) parent: StyleId,
    pub(super) tag: Tag,
    /// The words of `class` that the stylesheet has.
    pub(super) classes: Box<str>,
    /// The `id`, if the stylesheet has it.
    pub(super) id: Box<str>,
    pub(super) place: Place,
    pub(super) style: Style,
    /// Those kinds of its children that are kept.
    children: Vec<StyleId>,
}

/// Where an element stands among its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Place {
    pub(super) index: u32,
    pub(super) first: bool,
    pub(super) last: bool,
}

impl Kind {
    pub(super) fn new(
        parent: StyleId,
        (tag, classes, id): (Tag, &str, &str),
        place: Place,
        style: Style,
    ) -> Self {
        let (classes, id) = (classes.into(), id.into());
        Self { parent, tag, classes, id, place, style, children: Vec::new() }
    }

    fn is(&self, (tag, classes, id): (Tag, &str, &str), place: Place) -> bool {
        self.tag == tag && self.place == place && *self.classes == *classes && *self.id == *id
    }
}

/// Kinds whose styles are known; the root element's is the first.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<Kind>);

impl Known {
    pub(super) fn all(&self) -> &[Kind] {
        &self.0
    }

    /// The kind of a child of an element of a known kind.
    pub(super) fn child(
        &self,
        parent: StyleId,
        looks: (Tag, &str, &str),
        place: Place,
    ) -> Option<StyleId> {
        let parent = self.0.get(parent as usize)?;
        let mut kept = parent.children.iter().copied();
        kept.find(|child| self.0[*child as usize].is(looks, place))
    }

    /// The same with more kinds, as many as may be kept.
    fn with(&self, more: &[Kind]) -> Self {
        let mut all = self.0.clone();
        let first = all.len();
        // The new numbers of those that are kept; parents come before children.
        let mut numbers: Vec<Option<StyleId>> = Vec::with_capacity(more.len());
        for kind in more {
            let parent = match (kind.parent as usize).checked_sub(first) {
                _ if all.is_empty() => Some(kind.parent),
                None => Some(kind.parent),
                Some(own) => numbers.get(own).copied().flatten(),
            };
            let number = parent.filter(|_| all.len() < MOST).and_then(|parent| {
                let number = all.len() as StyleId;
                if let Some(above) = all.get_mut(parent as usize) {
                    if above.children.len() >= MOST_CHILDREN {
                        return None;
                    }
                    above.children.push(number);
                }
                all.push(Kind { parent, children: Vec::new(), ..kind.clone() });
                Some(number)
            });
            numbers.push(number);
        }
        Self(all)
    }
}

/// What is kept with a stylesheet.
#[derive(Debug, Default)]
pub(super) struct Kept([OnceLock<Arc<Known>>; STEPS]);

impl Kept {
    /// What is known by now.
    pub(super) fn known(&self) -> Arc<Known> {
        let last = self.0.iter().rev().find_map(OnceLock::get);
        last.map_or_else(Arc::default, Arc::clone)
    }

    /// Keeps what a document had besides what was known to it; if another was
    /// first, that one's stay.
    pub(super) fn learn(&self, known: &Arc<Known>, more: &[Kind]) {
        if more.is_empty() || known.0.len() >= MOST {
            return;
        }
        let steps = self.0.iter().take_while(|step| step.get().is_some()).count();
        let current = steps.checked_sub(1).and_then(|last| self.0[last].get());
        if current.is_some_and(|current| !Arc::ptr_eq(current, known)) {
            return;
        }
        if let Some(next) = self.0.get(steps) {
            next.get_or_init(|| Arc::new(known.with(more)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::render::{
        css::{Sheet, cascade::Styles},
        dom::Tree,
    };

    const CSS: &str = "body { color: #111 } .a { color: #222 } .a .b { margin: 1pt } \
                       #c > p { padding: 2pt } p:first-child { width: 3pt } \
                       .b:nth-child(2n) { height: 4pt } .a.d { font-size: 5pt } \
                       p { margin: 0.5em } .d p { text-align: right }";

    fn sheet() -> Sheet {
        Sheet::parse(CSS, &["Noto Sans JP".to_owned()]).unwrap()
    }

    fn styles(html: &str, sheet: &Sheet) -> Vec<String> {
        let tree = Tree::parse(html).unwrap();
        let styles = Styles::of(&tree, sheet);
        (0..tree.nodes.len() as u32).map(|node| format!("{:?}", styles.style(node))).collect()
    }

    fn documents() -> Vec<String> {
        let bodies = [
            "<p>1</p><p class=\"b\">2</p>",
            "<div class=\"a\"><p class=\"b\">1</p><p class=\"b\">2</p><p>3</p></div>",
            "<div class=\"a  d\"><p>1</p></div><div id=\"c\"><p>2</p></div>",
            "<div class=\"x a\" id=\"y\"><p class=\"b z\">1</p></div><div class=\"d x a\"><p>2</p></div>",
            "<div class=\"a\"><div class=\"a\"><div class=\"d\"><p>1</p></div></div></div>",
            "<p>1</p>",
        ];
        let mut all: Vec<String> =
            bodies.iter().map(|body| format!("<html><body>{body}</body></html>")).collect();
        all.push("<html class=\"a\"><body><p class=\"b\">another root</p></body></html>".into());
        let mut many = "<html><body>".to_owned();
        for number in 0..1_500 {
            write!(many, "<div class=\"a\"><p class=\"b\" id=\"n{number}\">1</p></div>").unwrap();
        }
        all.push(format!("{many}</body></html>"));
        all
    }

    #[test]
    fn a_document_has_the_styles_that_it_would_have_alone() {
        let documents = documents();
        for first in 0..documents.len() {
            let sheet = sheet();
            for turn in 0..documents.len() * 2 {
                let html = &documents[(first + turn) % documents.len()];
                assert_eq!(styles(html, &sheet), styles(html, &self::sheet()), "{html:.200}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let sheet = sheet();
        for html in documents().iter().chain(&documents()) {
            styles(html, &sheet);
        }
        let known = sheet.kept.known();
        assert!((10..=super::MOST).contains(&known.0.len()), "{} kinds", known.0.len());
        let children = known.0.iter().map(|kind| kind.children.len()).max();
        assert!(children <= Some(super::MOST_CHILDREN), "{children:?} children");
    }

    #[test]
    fn no_word_of_a_document_is_kept() {
        let sheet = sheet();
        let html = "<html><body><div class=\"a canary d\" id=\"canary\"><p id=\"c\">canary</p></div></body></html>";
        styles(html, &sheet);
        let kept = format!("{:?}", sheet.kept);
        assert!(kept.contains("\"a d\"") && kept.contains("\"c\""), "words of the stylesheet");
        assert!(!kept.contains("canary"), "words of the document");
    }
}

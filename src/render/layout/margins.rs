//! What stands in the margins of the pages: numbers, titles, marks.

use std::{collections::BTreeMap, sync::Arc};

use super::{Item, Layout, Shape, pages::Page};
use crate::render::{
    css::{Content, Paper, margin_box::MarginBox, value::Rgb},
    dom::NONE,
    font::FamilyId,
};

/// A piece of text at a fixed place on the page.
#[derive(Clone, Debug)]
pub(in crate::render) struct Label<'a> {
    pub(in crate::render) text: &'a str,
    pub(in crate::render) family: FamilyId,
    pub(in crate::render) x: f32,
    /// The baseline.
    pub(in crate::render) y: f32,
    pub(in crate::render) size: f32,
    pub(in crate::render) bold: bool,
    pub(in crate::render) color: Rgb,
    /// 0 if `x` is the left end, 0.5 the middle, 1 the right end.
    pub(in crate::render) anchor: f32,
}

/// The most characters of a string that `string-set` names. A line holds fewer,
/// and every page repeats it.
const LONGEST: usize = 500;

impl Layout<'_> {
    /// Writes the margin boxes of every page.
    pub(in crate::render) fn margin_boxes(
        &mut self,
        pages: &mut [Page],
        paper: &Paper,
        family: FamilyId,
    ) {
        let strings = self.named_strings(pages);
        let count = pages.len();
        for (number, page) in (1usize..).zip(pages) {
            let rule = if number == 1 { &paper.first } else { &paper.rest };
            let [top, right, bottom, left] = rule.margin;
            for margin_box in &rule.boxes {
                let text = content(margin_box, (number, count), &strings);
                let MarginBox { slot, size, bold, color, .. } = *margin_box;
                let y = if slot.top { top / 2.0 } else { rule.height - bottom / 2.0 };
                let face = self.fonts.face(self.fonts.primary(family, bold));
                let half = (face.ascent - face.descent) / 2.0 * size;
                let (x, anchor) = match slot.column {
                    0 => (left, 0.0),
                    1 => ((left + rule.width - right) / 2.0, 0.5),
                    _ => (rule.width - right, 1.0),
                };
                let y = y + half;
                let label = Label { text: &text, family, x, y, size, bold, color, anchor };
                self.label(page, &label);
            }
        }
    }

    /// Writes one piece of text at a fixed place.
    pub(in crate::render) fn label(&mut self, page: &mut Page, label: &Label<'_>) {
        let style = (label.size, label.bold);
        let (mut run, width) = self.text_line(label.text, label.family, style, label.color);
        run.x = label.x - width * label.anchor;
        run.y = label.y;
        page.items.push(Item::artifact(Shape::Text(run)));
    }

    /// What `string-set` names, in the order of the document, each with the page
    /// that its element begins on. An element that draws nothing names nothing.
    fn named_strings(&self, pages: &[Page]) -> Vec<Named> {
        let mut strings = Vec::new();
        let mut seen = vec![false; self.tree.nodes.len()];
        for (number, page) in (1..).zip(pages) {
            let mut own = BTreeMap::new();
            let nodes = page.items.iter().map(|item| item.node);
            for mut node in nodes.filter(|node| *node != NONE) {
                while node != NONE && !std::mem::replace(&mut seen[node as usize], true) {
                    if let Some(name) = &self.styles.style(node).string_set {
                        own.insert(node, Arc::clone(name));
                    }
                    node = self.tree.node(node).parent;
                }
            }
            let own = own.into_iter();
            strings
                .extend(own.map(|(node, name)| (number, name, self.tree.excerpt(node, LONGEST))));
        }
        strings
    }
}

/// A page's number, the name of a string, and what it is from there on.
type Named = (usize, Arc<str>, String);

/// The first that the page itself names, or else the last one before
/// (css-gcpm-3 §1.2.1, `first`).
fn named<'s>(strings: &'s [Named], name: &str, page: usize) -> &'s str {
    let own = strings.iter().filter(|(_, known, _)| **known == *name);
    let first = own.clone().find(|(number, ..)| *number == page);
    let before = || own.clone().rfind(|(number, ..)| *number < page);
    first.or_else(before).map_or("", |(.., text)| text)
}

fn content(margin_box: &MarginBox, (number, count): (usize, usize), strings: &[Named]) -> String {
    let mut text = String::new();
    for content in &margin_box.content {
        match content {
            Content::Text(piece) => text.push_str(piece),
            Content::Page => text.push_str(&number.to_string()),
            Content::Pages => text.push_str(&count.to_string()),
            Content::Named(name, _) => text.push_str(named(strings, name, number)),
        }
    }
    text
}

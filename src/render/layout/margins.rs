//! What stands in the margins of the pages: numbers, titles, marks.

use super::{Item, Layout, Shape, pages::Page};
use crate::render::{
    css::{Content, Paper, page::MarginBox, value::Rgb},
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

impl Layout<'_> {
    /// Writes the margin boxes of every page.
    pub(in crate::render) fn margin_boxes(
        &mut self,
        pages: &mut [Page],
        paper: &Paper,
        family: FamilyId,
    ) {
        let strings = self.named_strings();
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

    /// What `string-set` names; the first element that names it counts.
    fn named_strings(&self) -> Vec<(std::sync::Arc<str>, String)> {
        let mut strings: Vec<(std::sync::Arc<str>, String)> = Vec::new();
        for node in 0..self.tree.nodes.len() as u32 {
            if self.tree.node(node).tag.is_none() {
                continue;
            }
            if let Some(name) = &self.styles.style(node).string_set
                && !strings.iter().any(|(known, _)| known == name)
            {
                strings.push((std::sync::Arc::clone(name), self.tree.content(node)));
            }
        }
        strings
    }
}

fn content(
    margin_box: &MarginBox,
    (number, count): (usize, usize),
    strings: &[(std::sync::Arc<str>, String)],
) -> String {
    let mut text = String::new();
    for content in &margin_box.content {
        match content {
            Content::Text(piece) => text.push_str(piece),
            Content::Page => text.push_str(&number.to_string()),
            Content::Pages => text.push_str(&count.to_string()),
            Content::Named(name) => {
                let named = strings.iter().find(|(known, _)| **known == **name);
                text.push_str(named.map_or("", |(_, text)| text));
            }
        }
    }
    text
}

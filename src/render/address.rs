//! The page that shows through the window of an envelope: a template like others,
//! `address-page`, in front of a letter's own pages.
//!
//! What stands in the window must be seen whole, so the template is tried at
//! smaller and smaller sizes until every box of the class `fits` is no taller than
//! the box around it, and the letter is refused if none is: one with half an
//! address would come back. The piece's number on the edge of every sheet is ours,
//! so that no template can leave it out.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "layout code: lengths in points, and numbers of glyphs that layout hands out itself"
)]

use serde_json::json;

use super::{
    AddressPage, RenderError,
    css::{
        cascade::Styles,
        style::{BOTTOM, LEFT, RIGHT, TOP},
        value::Rgb,
    },
    dom::{NONE, NodeId, Tree},
    font::CLUSTER,
    lay_out,
    layout::{Glyph, Layout, Shape, margins::Label, pages::Page},
    template::Template,
};
use crate::domain::locale::Locale;

/// The template's name.
pub(super) const NAME: &str = "address-page";
/// The sizes that are tried.
const STEPS: u8 = 8;
/// Points in a millimetre.
const MM: f32 = 72.0 / 25.4;
const GREY: Rgb = Rgb(96, 96, 96);

/// A tree and its styles, at a size at which all of it can be seen.
pub(super) struct Front {
    tree: Tree,
    styles: Styles,
}

impl Front {
    /// Finds the size.
    pub(super) fn of(template: &Template, address: &AddressPage) -> Result<Self, RenderError> {
        if !is_postal_code(&address.postal_code) {
            let field = "postal_code".to_owned();
            return Err(RenderError::BadDocumentData { field, what: "NNN-NNNN is expected" });
        }
        let lines = |lines: &[String]| -> Vec<String> {
            let lines = lines.iter().map(|line| line.trim().to_owned());
            lines.filter(|line| !line.is_empty()).collect()
        };
        let mut data = json!({
            "postal_code": address.postal_code,
            "address_lines": lines(&address.address_lines),
            "name_lines": lines(&address.name_lines),
            "sender_lines": lines(&address.sender_lines),
        });
        for step in 0..STEPS {
            if let Some(data) = data.as_object_mut() {
                data.insert("step".to_owned(), step.into());
            }
            let tree = Tree::parse(&template.html(&data, Locale::Ja, "")?)?;
            let styles = Styles::of(&tree, &template.sheet);
            let mut layout = Layout::new(&template.fonts, &template.assets, &tree, &styles);
            if fits(&mut layout)? {
                return Ok(Self { tree, styles });
            }
        }
        Err(RenderError::AddressTooLong)
    }

    /// An empty layout of it.
    pub(super) fn layout<'a>(&'a self, template: &'a Template) -> Layout<'a> {
        Layout::new(&template.fonts, &template.assets, &self.tree, &self.styles)
    }
}

/// Whether an operator's template shows the whole of its samples, at the size that
/// each states.
pub(super) fn check_samples(template: &Template) -> Result<(), RenderError> {
    for sample in &template.samples {
        let tree = Tree::parse(&template.html(sample, Locale::Ja, "")?)?;
        let styles = Styles::of(&tree, &template.sheet);
        let mut layout = Layout::new(&template.fonts, &template.assets, &tree, &styles);
        if !fits(&mut layout)? {
            return Err(RenderError::AddressTooLong);
        }
    }
    Ok(())
}

/// The one page.
pub(super) fn page(layout: &mut Layout<'_>, template: &Template) -> Result<Page, RenderError> {
    let mut pages = lay_out(layout, &template.sheet)?;
    layout.check()?;
    match (pages.pop(), pages.is_empty()) {
        (Some(mut page), true) => {
            // All of it stands before the mark on its edge, for who reads it aloud.
            page.items.iter_mut().for_each(|item| item.over = false);
            Ok(page)
        }
        (_, _) => Err(RenderError::AddressTooLong),
    }
}

/// Takes a page over into the layout of another document, as nothing of its content.
pub(super) fn move_over(mut page: Page, from: &Layout<'_>, into: &mut Layout<'_>) -> Page {
    let first = into.glyphs.len() as u32;
    let cluster = into.clusters.len() as u32;
    into.clusters.extend(from.clusters.iter().cloned());
    into.offsets.extend(from.offsets.iter().map(|(glyph, offset)| (first + *glyph, *offset)));
    into.glyphs.extend(from.glyphs.iter().map(|glyph| {
        let modifier = glyph.modifier;
        let modifier = if modifier >= CLUSTER { modifier + cluster } else { modifier };
        Glyph { modifier, node: NONE, ..*glyph }
    }));
    for item in &mut page.items {
        item.node = NONE;
        if let Shape::Text(run) = &mut item.shape {
            run.first += first;
        }
    }
    page
}

/// Whether every box of the class `fits` is as tall as the box around it at the
/// most.
fn fits(layout: &mut Layout<'_>) -> Result<bool, RenderError> {
    let (tree, styles) = (layout.tree, layout.styles);
    for (node, element) in (0..).zip(&tree.nodes) {
        let mut classes = tree.text(element).split_ascii_whitespace();
        if element.tag.is_none() || element.parent == NONE || !classes.any(|class| class == "fits")
        {
            continue;
        }
        let around = styles.style(element.parent);
        let inset = |one: usize, other: usize| {
            let sides = [one, other].into_iter();
            sides
                .filter_map(|side| Some(around.padding.get(side)? + around.border.get(side)?))
                .sum::<f32>()
        };
        let (Some(width), Some(height)) = (around.width.points(), around.height.points()) else {
            return Err(RenderError::style(
                "the box around one of the class `fits` has a width and a height in points or \
                 millimetres",
            ));
        };
        let node: NodeId = node;
        let needs = layout.measure(node, width - inset(LEFT, RIGHT))?.height();
        if needs > height - inset(TOP, BOTTOM) + 0.01 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes the piece and the sheet on the edge of every page.
pub(super) fn mark(layout: &mut Layout<'_>, pages: &mut [Page], piece: &str) {
    let count = pages.len();
    for (number, page) in (1usize..).zip(pages) {
        let text = format!("{piece}  {number}/{count}");
        let (x, y) = (10.0 * MM, page.height - 5.0 * MM);
        let label = Label {
            text: &text,
            family: 0,
            x,
            y,
            size: 5.5,
            bold: false,
            color: GREY,
            anchor: 0.0,
        };
        layout.label(page, &label);
    }
}

fn is_postal_code(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(area, local)| {
        area.len() == 3 && local.len() == 4 && digits(area) && digits(local)
    })
}

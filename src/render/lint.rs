//! What lays out without a word and is printed wrong all the same: a link that leads
//! nowhere, an item of no list, a margin between cells.
//!
//! Asked for the samples only, when a template is checked or registered: a job costs
//! nothing for it.

use std::collections::HashSet;

use super::{
    css::{
        cascade::Styles,
        style::{Display, Style},
    },
    dom::{NONE, NodeId, Rare, Tag, Tree},
    error::RenderError,
};

/// The most bytes of a QR code, as [`layout`](super::layout) has it.
const QR_BYTES: usize = 600;

/// Refuses a document on trial that would not be printed as its author means it.
pub(super) fn check(tree: &Tree, styles: &Styles) -> Result<(), RenderError> {
    let nodes = || (0..).zip(&tree.nodes);
    let ids: HashSet<&str> = nodes().map(|(_, node)| tree.id(node)).collect();
    for (number, node) in nodes() {
        let Some(tag) = node.tag else { continue };
        element(tree, number, tag, &ids).map_err(|what| RenderError::html_of(number, what))?;
        box_of(styles.style(number)).map_err(|what| RenderError::style_of(number, what))?;
    }
    Ok(())
}

fn element(tree: &Tree, number: NodeId, tag: Tag, ids: &HashSet<&str>) -> Result<(), &'static str> {
    let parent = |node: NodeId| Some(tree.node(node).parent).filter(|parent| *parent != NONE);
    let above = std::iter::successors(parent(number), |above| parent(*above));
    let mut above = above.map(|above| (above, tree.node(above).tag));
    if tag == Tag::Li && !matches!(above.next(), Some((_, Some(Tag::Ul | Tag::Ol)))) {
        return Err("an item stands directly in `ul` or `ol`");
    }
    if tag == Tag::Link && tree.rare(number, Rare::Href) != Some("style.css") {
        return Err("the stylesheet is always `style.css`; others are parts of it, by `@import`");
    }
    if tag == Tag::Carry {
        let mut rows = above.filter(|(_, tag)| *tag == Some(Tag::Tr));
        if !rows.any(|(row, _)| tree.rare(row, Rare::Carry).is_some()) {
            return Err("a sum so far stands in a row with `data-carry` of a `thead` or `tfoot`");
        }
        let decimals = tree.rare(number, Rare::Decimals).map(str::parse::<u8>);
        if decimals.is_some_and(|decimals| !matches!(decimals, Ok(0..=6))) {
            return Err("`decimals` is a number from 0 to 6");
        }
    }
    if tag == Tag::A {
        let href = tree.rare(number, Rare::Href).unwrap_or_default();
        if href.strip_prefix('#').is_some_and(|id| !ids.contains(id)) {
            return Err("`href` leads to an `id` that no element has");
        }
    }
    if tag == Tag::Qr {
        let value = tree.rare(number, Rare::Value).unwrap_or_default();
        if !(1..=QR_BYTES).contains(&value.len()) {
            return Err("`value` holds 1 to 600 bytes; leave the element out by `{% if … %}` if \
                        there is none");
        }
    }
    Ok(())
}

/// What the parts of a table do not honour.
fn box_of(style: &Style) -> Result<(), &'static str> {
    let any = |sides: &[f32; 4]| sides.iter().any(|side| *side > 0.0);
    let margin = any(&style.margin) || style.margin_auto.contains(&true);
    if style.display == Display::Cell && margin {
        return Err("a cell has no margin; `padding` keeps it apart");
    }
    let groups = [Display::Row, Display::RowGroup, Display::HeadGroup, Display::FootGroup];
    if groups.contains(&style.display) && (margin || any(&style.padding)) {
        return Err(
            "rows and their groups have no margin and no padding; the cells have `padding`",
        );
    }
    Ok(())
}

//! Links that work, and the outline of long documents.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "numbers of pages and elements that layout hands out itself"
)]

use std::collections::HashMap;

use lopdf::{Document, Object, ObjectId, dictionary};

use super::{
    dom::{NONE, NodeId, Rare, Tag},
    finish::text_string,
    layout::{Layout, Shape, pages::Page},
    paint::Drawn,
};

/// Shorter documents need no outline.
const LONG: usize = 4;
/// The most entries of an outline.
const MOST: usize = 500;
/// The most characters of an entry, or of what a link says.
const TITLE: usize = 200;

/// Whether a link may lead there: the web, mail, the telephone, or a place in the
/// document itself.
pub(super) fn is_target(href: &str) -> bool {
    let scheme = ["https://", "http://", "mailto:", "tel:"];
    let plain = href.chars().all(|character| !character.is_control() && character != ' ');
    plain
        && href.len() <= 2_000
        && (scheme.iter().any(|scheme| href.starts_with(scheme))
            || href.len() > 1 && href.starts_with('#'))
}

/// Puts an annotation over every link; gives each with its page and element.
pub(super) fn links(
    document: &mut Document,
    ids: &[ObjectId],
    drawn: &Drawn<'_>,
    pages: &[Page],
    layout: &Layout<'_>,
) -> Option<Vec<(usize, NodeId, ObjectId)>> {
    let mut made = Vec::new();
    let places = places(drawn, pages, layout);
    // A link has an area for each of its lines, one after the other.
    let mut said = (NONE, text_string(""));
    for (page, node, area) in &drawn.links {
        let href = layout.tree.rare(*node, Rare::Href).unwrap_or_default();
        let area: Vec<Object> = area.iter().map(|edge| Object::Real(*edge)).collect();
        if said.0 != *node {
            said = (*node, text_string(&layout.tree.excerpt(*node, TITLE)));
        }
        let mut annotation = dictionary! {
            "Type" => "Annot",
            "Subtype" => "Link",
            "Rect" => area,
            "Border" => vec![0.into(), 0.into(), 0.into()],
            "F" => 4,
            "Contents" => said.1.clone(),
        };
        if let Some(id) = href.strip_prefix('#') {
            let Some((to, y)) = places.get(id).copied().flatten() else { continue };
            let target = destination(ids, to, pages[to].height - y);
            annotation.set("Dest", target);
        } else {
            annotation
                .set("A", dictionary! { "S" => "URI", "URI" => Object::string_literal(href) });
        }
        made.push((*page, *node, document.add_object(annotation)));
    }
    let mut by_page: Vec<Vec<Object>> = vec![Vec::new(); ids.len()];
    for (page, _, link) in &made {
        by_page[*page].push((*link).into());
    }
    for (id, own) in ids.iter().zip(by_page) {
        if !own.is_empty() {
            document.get_dictionary_mut(*id).ok()?.set("Annots", own);
        }
    }
    Some(made)
}

/// The page and the height at which each element begins whose id a link names. The
/// document is walked once, and each ancestor once: thousands of links cost no
/// more than one.
fn places<'t>(
    drawn: &Drawn<'_>,
    pages: &[Page],
    layout: &'t Layout<'_>,
) -> HashMap<&'t str, Option<(usize, f32)>> {
    let tree = layout.tree;
    let hrefs = drawn.links.iter().filter_map(|(_, node, _)| tree.rare(*node, Rare::Href));
    let mut places: HashMap<&str, Option<(usize, f32)>> =
        hrefs.filter_map(|href| Some((href.strip_prefix('#')?, None))).collect();
    if places.is_empty() {
        return places;
    }
    let mut seen = vec![false; tree.nodes.len()];
    for (number, page) in pages.iter().enumerate() {
        for item in &page.items {
            let mut at = item.node;
            while at != NONE && !std::mem::replace(&mut seen[at as usize], true) {
                let id = tree.id(tree.node(at));
                if let Some(place) = places.get_mut(id).filter(|place| place.is_none()) {
                    *place = Some((number, top(&item.shape)));
                }
                at = tree.node(at).parent;
            }
        }
    }
    places
}

fn top(shape: &Shape) -> f32 {
    match shape {
        Shape::Text(run) => run.y - run.size,
        Shape::Fill(area) | Shape::Rule(area) | Shape::Dash(area, _) | Shape::Picture(area, _) => {
            area.y
        }
        Shape::Round(round) => round.area.y,
    }
}

fn destination(ids: &[ObjectId], page: usize, y: f32) -> Vec<Object> {
    vec![
        ids[page].into(),
        Object::Name(b"XYZ".to_vec()),
        Object::Null,
        y.round().into(),
        Object::Null,
    ]
}

/// One entry of an outline.
struct Entry {
    level: u8,
    title: String,
    page: usize,
    y: f32,
}

/// The headings of a long document as its outline.
pub(super) fn outline(
    document: &mut Document,
    ids: &[ObjectId],
    pages: &[Page],
    layout: &Layout<'_>,
) -> Option<ObjectId> {
    if pages.len() < LONG {
        return None;
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut last = NONE;
    for (page, item) in pages
        .iter()
        .enumerate()
        .flat_map(|(number, page)| page.items.iter().map(move |item| (number, item)))
    {
        if item.node == NONE || item.node == last || entries.len() >= MOST {
            continue;
        }
        let level = match layout.tree.node(item.node).tag {
            Some(Tag::H1) => 1,
            Some(Tag::H2) => 2,
            Some(Tag::H3) => 3,
            Some(Tag::H4) => 4,
            _ => continue,
        };
        last = item.node;
        let title = layout.tree.excerpt(item.node, TITLE);
        entries.push(Entry { level, title, page, y: top(&item.shape) });
    }
    if entries.is_empty() {
        return None;
    }
    let root = document.new_object_id();
    let keys: Vec<ObjectId> = entries.iter().map(|_| document.new_object_id()).collect();
    // Each belongs to the nearest one before it with a higher heading.
    let parents: Vec<Option<usize>> = (0..entries.len())
        .map(|at| (0..at).rev().find(|before| entries[*before].level < entries[at].level))
        .collect();
    let children = |of: Option<usize>| -> Vec<usize> {
        (0..entries.len()).filter(|at| parents[*at] == of).collect()
    };
    for (at, entry) in entries.iter().enumerate() {
        let target = destination(ids, entry.page, pages[entry.page].height - entry.y);
        let mut item = dictionary! {
            "Title" => text_string(&entry.title),
            "Parent" => parents[at].map_or(root, |parent| keys[parent]),
            "Dest" => target,
        };
        let siblings = children(parents[at]);
        let place = siblings.iter().position(|sibling| *sibling == at)?;
        if let Some(before) = place.checked_sub(1).and_then(|before| siblings.get(before)) {
            item.set("Prev", keys[*before]);
        }
        if let Some(after) = siblings.get(place + 1) {
            item.set("Next", keys[*after]);
        }
        let own = children(Some(at));
        if let (Some(first), Some(end)) = (own.first(), own.last()) {
            item.set("First", keys[*first]);
            item.set("Last", keys[*end]);
            item.set("Count", i64::try_from(own.len()).ok()?);
        }
        document.objects.insert(keys[at], item.into());
    }
    let top = children(None);
    let count = i64::try_from(entries.len()).ok()?;
    let whole = dictionary! {
        "Type" => "Outlines",
        "First" => keys[*top.first()?],
        "Last" => keys[*top.last()?],
        "Count" => count,
    };
    document.objects.insert(root, whole.into());
    Some(root)
}

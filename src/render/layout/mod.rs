//! Layout: from the styled tree to rectangles and runs of glyphs on pages.
//!
//! Blocks become *strips*, horizontal slices that are never cut: a line of
//! text, a row of a table, a box with a background. Pagination then stacks
//! strips onto pages, repeats the head of a table where one continues, and keeps
//! together what must not be parted. Only a strip taller than a page is sliced,
//! between its lines.
//!
//! Lengths are points, y grows downwards, and the origin is where the parent
//! says; the arithmetic is plain IEEE and so the same everywhere.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "layout code: lengths in points, and arena numbers that this module hands out itself"
)]

pub(super) mod absolute;
pub(super) mod boxes;
pub(super) mod columns;
pub(super) mod decorate;
pub(super) mod flex;
pub(super) mod flow;
pub(super) mod glyphs;
pub(super) mod inline;
pub(super) mod line;
pub(super) mod lines;
pub(super) mod margins;
pub(super) mod pages;
pub(super) mod replaced;
pub(super) mod table;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, ops::Range};

use foldhash::fast::RandomState;

use super::{
    assets::Assets,
    css::{cascade::Styles, value::Rgb},
    dom::{NONE, NodeId, Tree},
    error::RenderError,
    font::{FaceId, FontSet},
};

/// Something to draw.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) shape: Shape,
    /// The element it belongs to; [`NONE`] for what is no content, such as
    /// backgrounds, repeated heads and page numbers.
    pub(super) node: NodeId,
    /// Drawn over everything that is not.
    pub(super) over: bool,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A background.
    Fill(Area),
    /// A line of a border; drawn over all backgrounds.
    Rule(Area),
    /// A broken line along the longer side; dots if true.
    Dash(Area, bool),
    /// A box with round corners.
    Round(Box<Round>),
    /// A picture of the template.
    Picture(Area, u32),
    /// A run of glyphs.
    Text(Run),
}

/// A coloured rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) w: f32,
    pub(super) h: f32,
    pub(super) color: Rgb,
}

/// A box with round corners: its background and its even border.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) area: Area,
    /// From the upper left clockwise.
    pub(super) radius: [f32; 4],
    pub(super) fill: bool,
    pub(super) border: Option<(f32, Rgb)>,
}

/// Glyphs of one face, size and colour on one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) x: f32,
    /// The baseline.
    pub(super) y: f32,
    pub(super) size: f32,
    pub(super) spacing: f32,
    pub(super) color: Rgb,
    /// Some glyph advances by another width than its own.
    pub(super) adjusted: bool,
    /// Into [`Layout::glyphs`].
    pub(super) first: u32,
    pub(super) count: u32,
}

impl Item {
    /// What belongs to an element.
    pub(super) fn of(node: NodeId, shape: Shape) -> Self {
        Self { shape, node, over: false }
    }

    /// What is no content.
    pub(super) fn artifact(shape: Shape) -> Self {
        Self::of(NONE, shape)
    }

    /// Moves the item.
    pub(super) fn shift(&mut self, dx: f32, dy: f32) {
        let (x, y) = match &mut self.shape {
            Shape::Fill(area)
            | Shape::Rule(area)
            | Shape::Dash(area, _)
            | Shape::Picture(area, _) => (&mut area.x, &mut area.y),
            Shape::Round(round) => (&mut round.area.x, &mut round.area.y),
            Shape::Text(run) => (&mut run.x, &mut run.y),
        };
        *x += dx;
        *y += dy;
    }
}

/// A piece of the document with its own origin at the upper left.
#[derive(Clone, Debug, Default)]
pub(super) struct Fragment {
    pub(super) height: f32,
    /// The width that the content asks for.
    pub(super) used: f32,
    /// The first baseline, if there is text.
    pub(super) baseline: Option<f32>,
    pub(super) items: Vec<Item>,
}

impl Fragment {
    /// Puts another fragment's items at a place in this one.
    pub(super) fn place(&mut self, mut other: Self, dx: f32, dy: f32) {
        for item in &mut other.items {
            item.shift(dx, dy);
        }
        if self.items.is_empty() {
            self.items = other.items;
        } else {
            self.items.append(&mut other.items);
        }
        if self.baseline.is_none() {
            self.baseline = other.baseline.map(|baseline| baseline + dy);
        }
    }
}

/// What a glyph is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Drawn,
    Space,
    /// Guides line breaks only.
    Invisible,
    /// Ends the line.
    Break,
    /// A box on the line; `modifier` is its number in [`Layout::objects`].
    Object,
}

/// One glyph of the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyph {
    /// The character it stands for.
    pub(super) base: u32,
    /// What modifies the character, or 0; from [`font::CLUSTER`](super::font::CLUSTER) on a cluster.
    pub(super) modifier: u32,
    /// With letter spacing, in points.
    pub(super) advance: f32,
    /// The element whose style it has.
    pub(super) node: NodeId,
    pub(super) gid: u16,
    pub(super) face: FaceId,
    pub(super) kind: Kind,
    /// No line ends after it.
    pub(super) glued: bool,
}

/// The state of one layout.
pub(super) struct Layout<'a> {
    pub(super) fonts: &'a FontSet,
    pub(super) assets: &'a Assets,
    pub(super) tree: &'a Tree,
    pub(super) styles: &'a Styles,
    /// All glyphs; runs point in here.
    pub(super) glyphs: Vec<Glyph>,
    /// Texts that several glyphs stand for together.
    pub(super) clusters: Vec<String>,
    cluster_numbers: HashMap<String, u32>,
    /// Glyphs that stand beside their place, in points; upwards is positive.
    pub(super) offsets: HashMap<u32, (f32, f32)>,
    /// Boxes that stand on a line.
    objects: Vec<Fragment>,
    /// Characters that no font has.
    pub(super) missing: Vec<u32>,
    /// Boxes whose place is found when their container is known.
    absolute: Vec<NodeId>,
    /// The running sum that a row shows.
    carry: i64,
    measured: HashMap<(NodeId, u32), Measured, RandomState>,
    /// Paragraphs that were measured, by their first node.
    paragraphs: HashMap<NodeId, inline::Paragraph, RandomState>,
    /// Where the glyphs of those end: up to here none is thrown away.
    kept: usize,
    /// Where the text begins that is gathered now.
    start: usize,
    /// For each list the item that was numbered last, and its number.
    numbered: HashMap<NodeId, (NodeId, usize)>,
    /// What was laid out so far, measured or kept.
    work: usize,
    /// A style that would be ignored; said once, at the end.
    ignored: Option<(NodeId, &'static str)>,
    depth: u32,
    spare: Spare,
}

/// Empty lists whose room is used again.
#[derive(Default)]
struct Spare {
    nodes: Vec<NodeId>,
    lines: Vec<Range<usize>>,
    made: Vec<Fragment>,
}

/// What an element comes to at a width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    used: f32,
    height: f32,
    baseline: Option<f32>,
}

impl Measured {
    pub(super) fn height(&self) -> f32 {
        self.height
    }
}

/// Asks for the narrowest width instead of a layout within one.
pub(super) const NARROWEST: f32 = -1.0;
/// Boxes that are measured within boxes that are measured cost twice each;
/// deeper nesting is refused.
const DEEPEST: u32 = 12;
/// The most glyphs and shapes that are laid out for one document; a box counts
/// as [`BOX`] of them. The text of 4 MiB of HTML, four times over.
const MOST_WORK: usize = 1 << 26;
/// What a box costs besides its text.
pub(super) const BOX: usize = 32;

impl<'a> Layout<'a> {
    /// A layout of this tree; nothing is laid out yet.
    pub(super) fn new(
        fonts: &'a FontSet,
        assets: &'a Assets,
        tree: &'a Tree,
        styles: &'a Styles,
    ) -> Self {
        Self {
            fonts,
            assets,
            tree,
            styles,
            glyphs: Vec::with_capacity(4 * tree.nodes.len()),
            clusters: Vec::new(),
            cluster_numbers: HashMap::new(),
            offsets: HashMap::new(),
            objects: Vec::new(),
            missing: Vec::new(),
            absolute: Vec::new(),
            carry: 0,
            measured: HashMap::default(),
            paragraphs: HashMap::default(),
            kept: 0,
            start: 0,
            numbered: HashMap::new(),
            work: 0,
            ignored: None,
            depth: 0,
            spare: Spare::default(),
        }
    }

    /// Counts what is laid out. Boxes that fit their content are laid out again
    /// and again, what is repeated is copied to every page: each is bounded, their
    /// product only here.
    pub(super) fn spend(&mut self, work: usize) -> Result<(), RenderError> {
        self.work = self.work.saturating_add(work);
        if self.work > MOST_WORK {
            return Err(RenderError::style(
                "the document takes too long: too much is measured or repeated",
            ));
        }
        Ok(())
    }

    /// What an element comes to at a width; nothing of it stays.
    pub(super) fn measure(&mut self, node: NodeId, width: f32) -> Result<Measured, RenderError> {
        let key = (node, width.to_bits());
        if let Some(known) = self.measured.get(&key) {
            return Ok(*known);
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(RenderError::style_of(
                node,
                "boxes that fit their content are nested too deeply",
            ));
        }
        let marks = (self.glyphs.len(), self.objects.len(), self.absolute.len());
        let piece = self.boxed(node, width, None)?;
        self.glyphs.truncate(marks.0.max(self.kept));
        if !self.offsets.is_empty() {
            let end = self.glyphs.len() as u32;
            self.offsets.retain(|glyph, _| *glyph < end);
        }
        self.objects.truncate(marks.1);
        self.absolute.truncate(marks.2);
        self.depth -= 1;
        let Fragment { used, height, baseline, .. } = piece;
        let measured = Measured { used, height, baseline };
        self.measured.insert(key, measured);
        Ok(measured)
    }

    /// Whether only sizes are asked for.
    pub(super) fn is_measuring(&self) -> bool {
        self.depth > 0
    }

    /// The width of a box that fits its content within a space.
    pub(super) fn fit(&mut self, node: NodeId, room: f32) -> Result<f32, RenderError> {
        let style = self.styles.style(node);
        let stated = style.width.within(room).filter(|width| width.is_finite());
        let width = match stated {
            Some(width) => width,
            None => {
                // A hair more, so that rounding does not wrap what just fits.
                let widest = self.measure(node, f32::INFINITY)?.used + 0.02;
                if widest <= room {
                    widest
                } else {
                    let narrowest = self.measure(node, NARROWEST)?.used + 0.02;
                    room.max(narrowest.min(widest))
                }
            }
        };
        Ok(style.clamp_width(width, room))
    }

    /// An error if any character could not be drawn or any style not honoured.
    pub(super) fn check(&mut self) -> Result<(), RenderError> {
        if let Some((node, what)) = self.ignored {
            return Err(RenderError::style_of(node, what));
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        self.missing.sort_unstable();
        self.missing.dedup();
        self.missing.truncate(20);
        Err(RenderError::GlyphMissing(std::mem::take(&mut self.missing)))
    }
}

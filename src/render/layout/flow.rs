//! Block layout: from an element's children to strips, and from strips to a
//! box that stays in one piece.

use super::{Fragment, Item, Layout, NARROWEST};
use crate::render::{
    css::style::{BOTTOM, Display, LEFT, Marker, Position, RIGHT, Size, Style, TOP},
    dom::{NONE, NodeId, Tag},
    error::RenderError,
};

/// A horizontal slice of the document.
#[derive(Debug, Default)]
pub(in crate::render) struct Strip {
    pub(in crate::render) fragment: Fragment,
    /// Space above, dropped at the top of a page.
    pub(in crate::render) before: f32,
    /// Must be on the page of the next one.
    pub(in crate::render) keep_next: bool,
    /// Begins a page.
    pub(in crate::render) new_page: bool,
    /// A row of a table.
    pub(in crate::render) row: Option<Row>,
}

/// What pagination must know of a row.
#[derive(Clone, Copy, Debug)]
pub(in crate::render) struct Row {
    /// Its table's number in [`Flow::tables`].
    pub(in crate::render) table: usize,
    /// From its top to the end of the table.
    pub(in crate::render) rest: f32,
    /// The running sum with this row.
    pub(in crate::render) sum: i64,
    /// The table's first strip: no head is repeated before it.
    pub(in crate::render) opens: bool,
}

/// What is repeated where a table goes on.
#[derive(Debug, Default)]
pub(in crate::render) struct Parts {
    pub(in crate::render) table: NodeId,
    pub(in crate::render) x: f32,
    pub(in crate::render) columns: Vec<f32>,
    pub(in crate::render) head: Option<Fragment>,
    pub(in crate::render) foot: Option<Fragment>,
    /// The row that shows the sum from the pages before, and its height.
    pub(in crate::render) carry_in: Option<(NodeId, f32)>,
    /// The row that shows the sum at the foot of a page, and its height.
    pub(in crate::render) carry_out: Option<(NodeId, f32)>,
}

/// Strips under construction.
#[derive(Default)]
pub(in crate::render) struct Flow {
    pub(in crate::render) strips: Vec<Strip>,
    pub(in crate::render) tables: Vec<Parts>,
    /// The margin that collapses with the next one.
    margin: f32,
    /// Space that does not.
    fixed: f32,
    /// The margin before the first strip that may belong to the container.
    lead: f32,
    begun: bool,
    new_page: bool,
}

impl Flow {
    fn margin(&mut self, margin: f32) {
        self.margin = self.margin.max(margin);
        if !self.begun {
            self.lead = self.margin;
        }
    }

    fn padding(&mut self, padding: f32) {
        if padding > 0.0 {
            self.begun = true;
            self.fixed += self.margin + padding;
            self.margin = 0.0;
        }
    }

    /// Takes out the margins at both ends that collapse with the container's own
    /// (CSS 2.1 §8.3.1), where nothing parts them from it.
    pub(super) fn outer_margins(&mut self, top: bool, bottom: bool) -> (f32, f32) {
        let Some(first) = self.strips.first_mut() else { return (0.0, 0.0) };
        let lead = if top { self.lead } else { 0.0 };
        first.before -= lead;
        let end = if bottom { std::mem::take(&mut self.margin) } else { 0.0 };
        (lead, end)
    }

    /// The space that is due before the next strip.
    pub(super) fn gap(&mut self) -> f32 {
        let gap = self.margin + self.fixed;
        self.margin = 0.0;
        self.fixed = 0.0;
        gap
    }

    /// Adds a strip at `x`.
    pub(super) fn push(&mut self, fragment: Fragment, x: f32) {
        self.begun = true;
        let before = self.gap();
        let mut moved =
            Fragment { height: fragment.height, used: fragment.used + x, ..Fragment::default() };
        if x == 0.0 {
            moved = fragment;
        } else {
            moved.place(fragment, x, 0.0);
        }
        let new_page = std::mem::take(&mut self.new_page);
        self.strips.push(Strip { fragment: moved, before, keep_next: false, new_page, row: None });
    }
}

impl Layout<'_> {
    /// Lays out the children of a block, `x` from the left.
    pub(in crate::render) fn flow(
        &mut self,
        node: NodeId,
        x: f32,
        width: f32,
        flow: &mut Flow,
    ) -> Result<(), RenderError> {
        let tree = self.tree;
        let mut inline = std::mem::take(&mut self.spare.nodes);
        for child in tree.children(node) {
            if self.is_inline(child) {
                inline.push(child);
                continue;
            }
            self.flush(node, &mut inline, (x, width), flow)?;
            self.child(child, x, width, flow)?;
        }
        self.flush(node, &mut inline, (x, width), flow)?;
        self.spare.nodes = inline;
        Ok(())
    }

    pub(super) fn is_inline(&self, node: NodeId) -> bool {
        if self.tree.node(node).tag.is_none() {
            return true;
        }
        let style = self.styles.style(node);
        matches!(style.display, Display::Inline | Display::InlineBlock)
            && style.position != Position::Absolute
    }

    /// Whether inline siblings are only white space between elements.
    pub(super) fn is_blank(&self, nodes: &[NodeId]) -> bool {
        nodes.iter().all(|node| {
            let node = self.tree.node(*node);
            node.tag.is_none() && self.tree.text(node).trim_ascii().is_empty()
        })
    }

    pub(super) fn flush(
        &mut self,
        block: NodeId,
        nodes: &mut Vec<NodeId>,
        (x, width): (f32, f32),
        flow: &mut Flow,
    ) -> Result<(), RenderError> {
        if self.is_blank(nodes) {
            nodes.clear();
            return Ok(());
        }
        let style = self.styles.style(block);
        let (orphans, widows) = (usize::from(style.orphans), usize::from(style.widows));
        let mut lines = std::mem::take(&mut self.spare.made);
        self.paragraph(nodes, block, width, &mut lines)?;
        nodes.clear();
        let count = lines.len();
        for (index, line) in lines.drain(..).enumerate() {
            flow.push(line, x);
            let keep = index + 1 < orphans || index + widows >= count;
            if let Some(strip) = flow.strips.last_mut() {
                strip.keep_next = keep && index + 1 < count;
            }
        }
        self.spare.made = lines;
        Ok(())
    }

    /// Lays out one block-level child.
    fn child(
        &mut self,
        node: NodeId,
        x: f32,
        width: f32,
        flow: &mut Flow,
    ) -> Result<(), RenderError> {
        let styles = self.styles;
        let style = styles.style(node);
        if style.display == Display::None {
            return Ok(());
        }
        if style.position == Position::Absolute {
            self.postpone(node);
            return Ok(());
        }
        flow.margin(style.margin[TOP]);
        flow.new_page |= style.break_before;
        let room = less(width, style.margin[LEFT] + style.margin[RIGHT]);
        let own = own_width(style, room);
        let x = x + style.margin[LEFT] + auto_margin(style, room, own);
        let first = flow.strips.len();
        let mark = self.absolute_mark();
        let mut end_margin = 0.0;
        match style.display {
            Display::Table => self.table(node, x, own, flow)?,
            Display::Block if self.is_transparent(node, style) => {
                flow.padding(style.padding[TOP]);
                let inset = style.padding[LEFT] + style.padding[RIGHT];
                self.flow(node, x + style.padding[LEFT], less(own, inset), flow)?;
                if !is_definite(width) {
                    for strip in &mut flow.strips[first..] {
                        strip.fragment.used += style.padding[RIGHT] + style.margin[RIGHT];
                    }
                }
                if style.position == Position::Relative {
                    self.place_absolutes(node, mark, (x, own), &mut flow.strips[first..])?;
                }
                flow.padding(style.padding[BOTTOM]);
            }
            Display::Block | Display::Flex => {
                let (mut fragment, lead, end) = self.block_in_flow(node, own)?;
                flow.margin(lead);
                end_margin = end;
                fragment.used += if is_definite(width) { 0.0 } else { style.margin[RIGHT] };
                flow.push(fragment, x);
            }
            Display::Inline
            | Display::InlineBlock
            | Display::RowGroup
            | Display::HeadGroup
            | Display::FootGroup
            | Display::Row
            | Display::Cell
            | Display::Column
            | Display::None => {
                return Err(RenderError::html_of(node, "a part of a table stands outside of one"));
            }
        }
        self.after_child(node, x, first, flow);
        flow.margin(end_margin);
        Ok(())
    }

    /// What a block does to its strips once they are there.
    fn after_child(&mut self, node: NodeId, x: f32, first: usize, flow: &mut Flow) {
        let styles = self.styles;
        let style = styles.style(node);
        if self.tree.node(node).tag == Some(Tag::Li) {
            self.mark_item(node, x, &mut flow.strips[first..]);
        }
        if style.position == Position::Relative {
            if style.inset.iter().any(|inset| matches!(inset, Size::Percent(_))) {
                self.ignored =
                    Some((node, "a relative box is moved by lengths, not by percentages"));
            }
            let (dx, dy) = relative_shift(style);
            let items = flow.strips[first..].iter_mut().flat_map(|strip| &mut strip.fragment.items);
            items.for_each(|item| item.shift(dx, dy));
        }
        if style.keep_next
            && let Some(last) = flow.strips[first..].last_mut()
        {
            last.keep_next = true;
        }
        flow.new_page |= style.break_after;
        flow.margin(style.margin[BOTTOM]);
    }

    /// Writes the sign of a list item before its first line.
    fn mark_item(&mut self, node: NodeId, x: f32, strips: &mut [Strip]) {
        let styles = self.styles;
        let style = styles.style(node);
        let text = match style.marker {
            Marker::None => return,
            Marker::Disc => "•".to_owned(),
            Marker::Decimal => format!("{}.", self.item_number(node)),
        };
        let Some(strip) = strips.first_mut() else { return };
        let Some(baseline) = strip.fragment.baseline else { return };
        let (mut run, width) =
            self.text_line(&text, style.family, (style.size, style.bold), style.color);
        run.x = x + style.padding[LEFT] - width - 0.5 * style.size;
        run.y = baseline;
        strip.fragment.items.push(Item::of(node, super::Shape::Text(run)));
    }

    /// The number of a list item. Items come in order, so each list is counted
    /// once and not from its head for every item.
    fn item_number(&mut self, node: NodeId) -> usize {
        let parent = self.tree.node(node).parent;
        let (last, counted) = self.numbered.get(&parent).copied().unwrap_or((NONE, 0));
        let (mut at, mut number) = match last {
            NONE => (self.tree.node(parent).first, 0),
            last if last <= node => (last, counted - 1),
            _ => (self.tree.node(parent).first, 0),
        };
        while at != NONE && at <= node {
            number += usize::from(self.tree.node(at).tag == Some(Tag::Li));
            at = self.tree.node(at).next;
        }
        self.numbered.insert(parent, (node, number));
        number
    }

    fn place_absolutes(
        &mut self,
        node: NodeId,
        mark: usize,
        (x, width): (f32, f32),
        strips: &mut [Strip],
    ) -> Result<(), RenderError> {
        if self.absolute_mark() == mark || !is_definite(width) {
            return Ok(());
        }
        let Some((first, others)) = strips.split_first_mut() else {
            return Err(RenderError::style_of(
                node,
                "a positioned box holds only absolute ones; give it a height",
            ));
        };
        let rest: f32 = others.iter().map(|strip| strip.before + strip.fragment.height).sum();
        let height = first.fragment.height + rest;
        for piece in self.absolutes(mark, width, height)? {
            first.fragment.place(piece, x, 0.0);
        }
        Ok(())
    }

    /// Whether a block only indents and spaces, so that it may be parted.
    fn is_transparent(&self, node: NodeId, style: &Style) -> bool {
        !style.is_decorated()
            && !style.has_height()
            && !style.keep_inside
            && !self.is_replaced(node)
    }
}

/// A width less what stands at its sides; measuring stays measuring.
pub(super) fn less(width: f32, inset: f32) -> f32 {
    if width == NARROWEST { width } else { (width - inset).max(0.0) }
}

/// Whether a width is one to lay out in, not a question.
pub(super) fn is_definite(width: f32) -> bool {
    width.is_finite() && width != NARROWEST
}

/// The width of a box within a space; the space's own if it is to be measured.
fn own_width(style: &Style, room: f32) -> f32 {
    if !is_definite(room) {
        return style.width.points().unwrap_or(room);
    }
    style.clamp_width(style.width.within(room).unwrap_or(room), room)
}

/// What margins that are `auto` put at the left (CSS 2.1 §10.3.3).
fn auto_margin(style: &Style, room: f32, own: f32) -> f32 {
    let left = (room - own).max(0.0);
    if !is_definite(room) || style.width == Size::Auto && style.max_width == Size::Auto {
        return 0.0;
    }
    match (style.margin_auto[LEFT], style.margin_auto[RIGHT]) {
        (true, true) => left / 2.0,
        (true, false) => left,
        (false, _) => 0.0,
    }
}

fn relative_shift(style: &Style) -> (f32, f32) {
    let points = |side: usize| style.inset[side].points();
    let dx = points(LEFT).or(points(RIGHT).map(|right| -right));
    let dy = points(TOP).or(points(BOTTOM).map(|bottom| -bottom));
    (dx.unwrap_or(0.0), dy.unwrap_or(0.0))
}

//! Block layout: from an element's children to strips, and from strips to a
//! box that stays in one piece.

use super::{Fragment, Layout, decorate};
use crate::render::{
    css::style::{BOTTOM, Display, LEFT, RIGHT, Style, TOP},
    dom::{NodeId, Tag},
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
    /// The table head to repeat if a page begins here: its number in
    /// [`Flow::heads`].
    pub(in crate::render) head: Option<usize>,
}

/// Strips under construction.
#[derive(Default)]
pub(in crate::render) struct Flow {
    pub(in crate::render) strips: Vec<Strip>,
    pub(in crate::render) heads: Vec<Fragment>,
    /// The margin that collapses with the next one.
    margin: f32,
    /// Space that does not.
    fixed: f32,
    new_page: bool,
}

impl Flow {
    fn margin(&mut self, margin: f32) {
        self.margin = self.margin.max(margin);
    }

    fn padding(&mut self, padding: f32) {
        if padding > 0.0 {
            self.fixed += self.margin + padding;
            self.margin = 0.0;
        }
    }

    /// The space that is due before the next strip.
    fn gap(&mut self) -> f32 {
        let gap = self.margin + self.fixed;
        self.margin = 0.0;
        self.fixed = 0.0;
        gap
    }

    /// Adds a strip at `x`.
    pub(super) fn push(&mut self, fragment: Fragment, x: f32, head: Option<usize>) {
        let before = self.gap();
        let mut moved =
            Fragment { height: fragment.height, used: fragment.used + x, ..Fragment::default() };
        if x == 0.0 {
            moved = fragment;
        } else {
            moved.place(fragment, x, 0.0);
        }
        let new_page = std::mem::take(&mut self.new_page);
        self.strips.push(Strip { fragment: moved, before, keep_next: false, new_page, head });
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
        let mut inline = Vec::new();
        for child in tree.children(node) {
            if self.is_inline(child) {
                inline.push(child);
                continue;
            }
            self.flush(node, &mut inline, x, width, flow);
            self.child(child, x, width, flow)?;
        }
        self.flush(node, &mut inline, x, width, flow);
        Ok(())
    }

    pub(super) fn is_inline(&self, node: NodeId) -> bool {
        self.tree.node(node).tag.is_none() || self.styles.style(node).display == Display::Inline
    }

    /// Whether inline siblings are only white space between elements.
    pub(super) fn is_blank(&self, nodes: &[NodeId]) -> bool {
        nodes.iter().all(|node| {
            let node = self.tree.node(*node);
            node.tag.is_none() && self.tree.text(node).trim_ascii().is_empty()
        })
    }

    fn flush(
        &mut self,
        block: NodeId,
        nodes: &mut Vec<NodeId>,
        x: f32,
        width: f32,
        flow: &mut Flow,
    ) {
        if self.is_blank(nodes) {
            nodes.clear();
            return;
        }
        let id = self.styles.id(block);
        let style = self.styles.by_id(id);
        let (orphans, widows) = (usize::from(style.orphans), usize::from(style.widows));
        let lines = self.paragraph(nodes, id, width);
        nodes.clear();
        let count = lines.len();
        for (index, line) in lines.into_iter().enumerate() {
            flow.push(line, x, None);
            let keep = index + 1 < orphans || index + widows >= count;
            if let Some(strip) = flow.strips.last_mut() {
                strip.keep_next = keep && index + 1 < count;
            }
        }
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
        flow.margin(style.margin[TOP]);
        flow.new_page |= style.break_before;
        let x = x + style.margin[LEFT];
        let room = (width - style.margin[LEFT] - style.margin[RIGHT]).max(0.0);
        let own = own_width(style, room);
        let first = flow.strips.len();
        match style.display {
            Display::Table => self.table(node, x, own, flow)?,
            Display::Block if is_transparent(style) => {
                flow.padding(style.padding[TOP]);
                let inset = style.padding[LEFT] + style.padding[RIGHT];
                self.flow(node, x + style.padding[LEFT], (own - inset).max(0.0), flow)?;
                flow.padding(style.padding[BOTTOM]);
            }
            Display::Block | Display::Flex => {
                let fragment = self.block(node, own, 0.0, true)?;
                flow.push(fragment, x, None);
            }
            Display::Inline
            | Display::RowGroup
            | Display::HeadGroup
            | Display::Row
            | Display::Cell
            | Display::Column
            | Display::None => {
                return Err(RenderError::template(
                    "HTML: a part of a table stands outside of one",
                    None,
                ));
            }
        }
        if style.keep_next
            && let Some(last) = flow.strips[first..].last_mut()
        {
            last.keep_next = true;
        }
        flow.margin(style.margin[BOTTOM]);
        Ok(())
    }

    /// Lays out an element as one piece. `decorated` is false for cells, whose
    /// background belongs to the row.
    pub(super) fn block(
        &mut self,
        node: NodeId,
        width: f32,
        min_height: f32,
        decorated: bool,
    ) -> Result<Fragment, RenderError> {
        let styles = self.styles;
        let style = styles.style(node);
        let inset = |side: usize| style.padding[side] + style.border[side];
        let inner = (width - inset(LEFT) - inset(RIGHT)).max(0.0);
        let content = if style.display == Display::Flex {
            self.flex(node, inner)?
        } else {
            let mut flow = Flow::default();
            self.flow(node, 0.0, inner, &mut flow)?;
            stacked(flow)
        };
        let height =
            (content.height + inset(TOP) + inset(BOTTOM)).max(style.min_height).max(min_height);
        let used = content.used + inset(LEFT) + inset(RIGHT);
        let mut out = Fragment { height, used, ..Fragment::default() };
        if decorated && width.is_finite() {
            decorate(&mut out.items, &[(0.0, width, style)], height);
        }
        out.place(content, inset(LEFT), inset(TOP));
        if self.tree.node(node).tag == Some(Tag::Hr) {
            out.baseline = None;
        }
        Ok(out)
    }
}

/// The width of a box within a space; without end if it is to be measured.
fn own_width(style: &Style, room: f32) -> f32 {
    style.width.within(room).filter(|width| width.is_finite()).unwrap_or(room)
}

/// Whether a block only indents and spaces, so that it may be parted.
fn is_transparent(style: &Style) -> bool {
    !style.is_decorated() && style.min_height <= 0.0 && !style.keep_inside
}

/// Strips in one piece.
pub(super) fn stacked(mut flow: Flow) -> Fragment {
    let after = flow.gap();
    let mut out = Fragment::default();
    for strip in flow.strips {
        out.height += strip.before;
        let (height, used) = (strip.fragment.height, strip.fragment.used);
        out.place(strip.fragment, 0.0, out.height);
        out.height += height;
        out.used = out.used.max(used);
    }
    out.height += after;
    out
}

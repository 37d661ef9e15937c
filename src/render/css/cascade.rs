//! Which style each element gets.
//!
//! Elements with the same tag, classes, id, place and ancestors share one
//! style: a table of three hundred rows is matched as if it had two.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{
    Sheet, Subject,
    style::{Align, Display, LineHeight, Marker, Size, Style},
};
use crate::render::dom::{NONE, NodeId, Tag, Tree};

/// The number of a style in [`Styles`].
pub(in crate::render) type StyleId = u32;

/// The styles of one document.
pub(in crate::render) struct Styles {
    contexts: Vec<Context>,
    /// By node; text has its parent's.
    by_node: Vec<StyleId>,
}

/// A kind of element: all that selectors can see of it, and its style.
struct Context {
    parent: StyleId,
    node: NodeId,
    place: Place,
    style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct Place {
    index: u32,
    first: bool,
    last: bool,
}

/// The kinds of elements met so far.
type Known<'t> = HashMap<(StyleId, Tag, &'t str, &'t str, Place), StyleId, RandomState>;

impl Styles {
    /// Computes the styles of all nodes.
    pub(in crate::render) fn of(tree: &Tree, sheet: &Sheet) -> Self {
        let mut styles =
            Self { contexts: Vec::with_capacity(64), by_node: vec![0; tree.nodes.len()] };
        let mut known = HashMap::with_capacity_and_hasher(64, RandomState::default());
        let root = styles.context(tree, sheet, NONE, 0, Place::default());
        styles.by_node[0] = root;
        styles.descend(tree, sheet, 0, &mut known);
        styles
    }

    /// The style of a node.
    pub(in crate::render) fn style(&self, node: NodeId) -> &Style {
        self.by_id(self.by_node[node as usize])
    }

    /// The style with this number.
    pub(in crate::render) fn by_id(&self, id: StyleId) -> &Style {
        &self.contexts[id as usize].style
    }

    fn descend<'t>(
        &mut self,
        tree: &'t Tree,
        sheet: &Sheet,
        parent: NodeId,
        known: &mut Known<'t>,
    ) {
        let context = self.by_node[parent as usize];
        let last = tree.children(parent).filter(|child| tree.node(*child).tag.is_some()).last();
        let mut index = 0;
        for child in tree.children(parent) {
            let node = tree.node(child);
            let Some(tag) = node.tag else {
                self.by_node[child as usize] = context;
                continue;
            };
            index += 1;
            let place = Place {
                index: if sheet.counts_children { index } else { 0 },
                first: index == 1,
                last: last == Some(child),
            };
            let key = (context, tag, tree.text(node), tree.id(node), place);
            let id = *known
                .entry(key)
                .or_insert_with(|| self.context(tree, sheet, context, child, place));
            self.by_node[child as usize] = id;
            self.descend(tree, sheet, child, known);
        }
    }

    fn context(
        &mut self,
        tree: &Tree,
        sheet: &Sheet,
        parent: StyleId,
        node: NodeId,
        place: Place,
    ) -> StyleId {
        let id = self.contexts.len() as StyleId;
        let tag = tree.node(node).tag.unwrap_or(Tag::Div);
        let initial;
        let inherited = if parent == NONE {
            initial = Style::initial();
            &initial
        } else {
            self.by_id(parent)
        };
        let above = inherited.size;
        let root = self.contexts.first().map_or(above, |root| root.style.size);
        let mut style = inherited.inherit(display(tag));
        user_agent(&mut style, tag);
        let subject = subject(tree, tag, node, place);
        let rules = sheet.matching(&subject, &Chain { styles: self, tree, next: parent });
        let declarations = rules.iter().flat_map(|rule| rule.declarations.iter());
        style.apply(above, root, declarations);
        self.contexts.push(Context { parent, node, place, style });
        id
    }
}

/// What selectors see of an element.
fn subject(tree: &Tree, tag: Tag, node: NodeId, place: Place) -> Subject<'_> {
    let element = tree.node(node);
    let Place { index, first, last } = place;
    Subject { tag, classes: tree.text(element), id: tree.id(element), index, first, last }
}

/// An element and its ancestors, nearest first.
#[derive(Clone)]
struct Chain<'a> {
    styles: &'a Styles,
    tree: &'a Tree,
    next: StyleId,
}

impl<'a> Iterator for Chain<'a> {
    type Item = Subject<'a>;

    fn next(&mut self) -> Option<Subject<'a>> {
        let context = self.styles.contexts.get(self.next as usize)?;
        self.next = context.parent;
        let tag = self.tree.node(context.node).tag?;
        Some(subject(self.tree, tag, context.node, context.place))
    }
}

fn display(tag: Tag) -> Display {
    match tag {
        Tag::Span
        | Tag::Strong
        | Tag::B
        | Tag::Small
        | Tag::Br
        | Tag::Time
        | Tag::A
        | Tag::Carry => Display::Inline,
        Tag::Img | Tag::Qr | Tag::Barcode => Display::InlineBlock,
        Tag::Table => Display::Table,
        Tag::Thead => Display::HeadGroup,
        Tag::Tbody => Display::RowGroup,
        Tag::Tfoot => Display::FootGroup,
        Tag::Tr => Display::Row,
        Tag::Td | Tag::Th => Display::Cell,
        Tag::Colgroup | Tag::Col => Display::Column,
        Tag::Head | Tag::Title | Tag::Meta | Tag::Link => Display::None,
        Tag::Html
        | Tag::Body
        | Tag::Div
        | Tag::P
        | Tag::H1
        | Tag::H2
        | Tag::H3
        | Tag::H4
        | Tag::Section
        | Tag::Header
        | Tag::Footer
        | Tag::Main
        | Tag::Address
        | Tag::Dl
        | Tag::Dt
        | Tag::Dd
        | Tag::Ul
        | Tag::Ol
        | Tag::Li
        | Tag::Figure
        | Tag::Hr => Display::Block,
    }
}

/// What holds without any rule: headings, `strong` and `th` are bold, a
/// heading stays with what follows, cells are centred upright. There are no other default margins or sizes.
fn user_agent(style: &mut Style, tag: Tag) {
    match tag {
        Tag::H1 | Tag::H2 | Tag::H3 | Tag::H4 => {
            style.bold = true;
            style.keep_next = true;
        }
        Tag::Strong | Tag::B => style.bold = true,
        Tag::Th => {
            style.bold = true;
            style.vertical_align = Align::Center;
        }
        Tag::Td => style.vertical_align = Align::Center,
        Tag::Ol => style.marker = Marker::Decimal,
        Tag::Ul => style.marker = Marker::Disc,
        Tag::Html => {
            style.size = 9.0;
            style.line_height = LineHeight::Times(1.5);
            style.width = Size::Auto;
            style.text_align = Align::Start;
        }
        _ => {}
    }
}

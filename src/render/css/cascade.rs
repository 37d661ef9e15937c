//! Which style each element gets.
//!
//! Elements with the same tag, classes, id, place and ancestors share one
//! style: a table of three hundred rows is matched as if it had two, and a second
//! document of a template is hardly matched at all ([`Kept`](super::kinds::Kept)).

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use foldhash::fast::RandomState;

use super::{
    Sheet, Subject,
    kinds::{Kind, Known, Place},
    style::{Align, Display, LineHeight, Marker, Size, Style},
};
use crate::render::dom::{NONE, NodeId, Tag, Tree};

/// The number of a style in [`Styles`].
pub(in crate::render) type StyleId = u32;

/// The styles of one document.
pub(in crate::render) struct Styles {
    /// Kinds of elements that documents had before.
    known: Arc<Known>,
    /// Those that only this one has; their numbers come after.
    own: Vec<Kind>,
    /// By node; text has its parent's.
    by_node: Vec<StyleId>,
}

/// The kinds of elements met so far that are not known.
type Met<'t> = HashMap<(StyleId, Tag, Cow<'t, str>, &'t str, Place), StyleId, RandomState>;

impl Styles {
    /// Computes the styles of all nodes.
    pub(in crate::render) fn of(tree: &Tree, sheet: &Sheet) -> Self {
        let known = sheet.kept.known();
        let mut styles = Self { known, own: Vec::new(), by_node: vec![0; tree.nodes.len()] };
        let root = tree.node(0);
        let looks = (root.tag.unwrap_or(Tag::Html), tree.text(root), tree.id(root));
        let (tag, classes, id) = (looks.0, sheet.seen_classes(looks.1), sheet.seen_id(looks.2));
        let first = styles.known.all().first();
        let same =
            |first: &Kind| first.tag == tag && *first.classes == *classes && *first.id == *id;
        if !first.is_some_and(same) {
            styles.known = Arc::default();
            styles.context(sheet, NONE, (tag, &classes, id), Place::default());
        }
        let mut met = HashMap::with_hasher(RandomState::default());
        styles.descend(tree, sheet, 0, &mut met);
        sheet.kept.learn(&styles.known, &styles.own);
        styles
    }

    /// The style of a node.
    #[inline]
    pub(in crate::render) fn style(&self, node: NodeId) -> &Style {
        self.by_id(self.by_node[node as usize])
    }

    /// The style with this number.
    #[inline]
    pub(in crate::render) fn by_id(&self, id: StyleId) -> &Style {
        &self.kind(id).style
    }

    #[inline]
    fn kind(&self, id: StyleId) -> &Kind {
        let known = self.known.all();
        let id = id as usize;
        known.get(id).unwrap_or_else(|| &self.own[id - known.len()])
    }

    fn descend<'t>(&mut self, tree: &'t Tree, sheet: &Sheet, parent: NodeId, met: &mut Met<'t>) {
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
            let looks = (tag, tree.text(node), tree.id(node));
            // As written first: most words are those of the stylesheet.
            self.by_node[child as usize] = match self.known.child(context, looks, place) {
                Some(known) => known,
                None => self.met(sheet, context, looks, (place, met)),
            };
            self.descend(tree, sheet, child, met);
        }
    }

    fn met<'t>(
        &mut self,
        sheet: &Sheet,
        parent: StyleId,
        (tag, classes, id): (Tag, &'t str, &'t str),
        (place, met): (Place, &mut Met<'t>),
    ) -> StyleId {
        let (classes, id) = (sheet.seen_classes(classes), sheet.seen_id(id));
        if let Some(known) = self.known.child(parent, (tag, &classes, id), place) {
            return known;
        }
        match met.entry((parent, tag, classes, id, place)) {
            Entry::Occupied(met) => *met.get(),
            Entry::Vacant(new) => {
                let (_, _, classes, ..) = new.key();
                let kind = self.context(sheet, parent, (tag, classes, id), place);
                *new.insert(kind)
            }
        }
    }

    fn context(
        &mut self,
        sheet: &Sheet,
        parent: StyleId,
        looks: (Tag, &str, &str),
        place: Place,
    ) -> StyleId {
        let id = (self.known.all().len() + self.own.len()) as StyleId;
        let tag = looks.0;
        let initial;
        let inherited = if parent == NONE {
            initial = Style::initial();
            &initial
        } else {
            self.by_id(parent)
        };
        let above = inherited.size;
        let root = if parent == NONE { above } else { self.by_id(0).size };
        let mut style = inherited.inherit(display(tag));
        user_agent(&mut style, tag);
        let subject = subject(looks, place);
        let rules = sheet.matching(&subject, &Chain { styles: self, next: parent });
        let declarations = rules.iter().flat_map(|rule| rule.declarations.iter());
        style.apply(above, root, declarations);
        self.own.push(Kind::new(parent, looks, place, style));
        id
    }
}

/// What selectors see of an element.
fn subject<'a>((tag, classes, id): (Tag, &'a str, &'a str), place: Place) -> Subject<'a> {
    let Place { index, first, last } = place;
    Subject { tag, classes, id, index, first, last }
}

/// An element and its ancestors, nearest first.
#[derive(Clone)]
struct Chain<'a> {
    styles: &'a Styles,
    next: StyleId,
}

impl<'a> Iterator for Chain<'a> {
    type Item = Subject<'a>;

    fn next(&mut self) -> Option<Subject<'a>> {
        if self.next == NONE {
            return None;
        }
        let kind = self.styles.kind(self.next);
        self.next = kind.parent;
        Some(subject((kind.tag, &kind.classes, &kind.id), kind.place))
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

//! From the HTML that a template wrote to a tree.
//!
//! The tokens come from `html5gum`, or on the quick way there ([`markup`]). The tree builder is strict where browsers
//! are lenient: a tag that is not in the list, an attribute that is not, an end
//! tag that closes something else, and a tag never closed are errors with their
//! line. A silent repair would be a silent misprint.

#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "arena numbers that this module hands out itself; the input is at most 4 MiB"
)]

use std::ops::Range;

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

use super::{
    error::{At, RenderError},
    markup::{self, Sink},
    outline::is_target,
};

/// Deeper trees are refused.
const DEEPEST: usize = 48;

macro_rules! tags {
    ($($name:literal $tag:ident,)*) => {
        /// The elements that templates may use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Tag { $($tag,)* }

        impl Tag {
            /// The element with this name.
            pub(crate) fn named(name: &[u8]) -> Option<Self> {
                $(if name == $name.as_bytes() { return Some(Self::$tag); })*
                None
            }

            pub(crate) const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

tags! {
    "td" Td, "tr" Tr, "span" Span, "div" Div, "p" P, "br" Br, "strong" Strong, "b" B, "th" Th,
    "small" Small, "table" Table, "thead" Thead, "tbody" Tbody, "tfoot" Tfoot, "colgroup" Colgroup,
    "col" Col, "h1" H1, "h2" H2, "h3" H3, "h4" H4, "section" Section, "header" Header, "footer" Footer,
    "main" Main, "address" Address, "dl" Dl, "dt" Dt, "dd" Dd, "hr" Hr, "time" Time, "html" Html,
    "head" Head, "title" Title, "meta" Meta, "link" Link, "body" Body, "a" A, "ul" Ul, "ol" Ol,
    "li" Li, "img" Img, "figure" Figure, "kakitome-qr" Qr, "kakitome-barcode" Barcode,
    "kakitome-carry" Carry,
}

impl Tag {
    fn is_void(self) -> bool {
        matches!(self, Self::Br | Self::Hr | Self::Col | Self::Meta | Self::Link | Self::Img)
    }
}

/// A node's number in its [`Tree`].
pub(crate) type NodeId = u32;
/// No node.
pub(crate) const NONE: NodeId = u32::MAX;

/// An element or a piece of text.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The element's tag; `None` for text.
    pub(crate) tag: Option<Tag>,
    /// Text, or the value of `class`; a range of [`Tree::text`].
    text: Range<u32>,
    id: Range<u32>,
    /// How many columns a cell spans.
    pub(crate) colspan: u16,
    /// The element it stands in; [`NONE`] for the root.
    pub(crate) parent: NodeId,
    /// The first child.
    pub(crate) first: NodeId,
    /// The next sibling.
    pub(crate) next: NodeId,
    last: NodeId,
}

impl Node {
    /// A node that stands nowhere yet.
    fn new(tag: Option<Tag>, text: Range<u32>) -> Self {
        let (parent, first, next, last) = (NONE, NONE, NONE, NONE);
        Self { tag, text, id: 0..0, colspan: 1, parent, first, next, last }
    }
}

/// Attributes that few elements have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rare {
    /// Where a link leads.
    Href,
    /// The file of an image.
    Src,
    /// What an image says to those who do not see it.
    Alt,
    /// What a QR code holds.
    Value,
    /// The postcode of a customer barcode.
    Postcode,
    /// The address part of a customer barcode.
    Address,
    /// What a row adds to the running sum, in minor units.
    Amount,
    /// `in` or `out`: a row that shows the running sum.
    Carry,
    /// Decimals of a running sum.
    Decimals,
    /// What a header cell heads.
    Scope,
    /// The language of the document.
    Lang,
}

/// A document tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The nodes; the root element is the first.
    pub(crate) nodes: Vec<Node>,
    text: String,
    /// Sorted by node.
    rare: Vec<(NodeId, Rare, Range<u32>)>,
}

impl Tree {
    /// Reads a document.
    pub(crate) fn parse(html: &str) -> Result<Self, RenderError> {
        match Self::read_quickly(html) {
            Some(tree) => Ok(tree),
            None => Self::read_carefully(html),
        }
    }

    /// The tree of a document that is as simple as templates write them.
    pub(super) fn read_quickly(html: &str) -> Option<Self> {
        let mut builder = Builder::new(html);
        let read = markup::read(html, &mut builder);
        builder.finish().ok().filter(|_| read)
    }

    /// The tree of any document, or what is wrong with it.
    pub(super) fn read_carefully(html: &str) -> Result<Self, RenderError> {
        let mut builder = Builder::new(html);
        let emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, span: Span<usize>| {
            if builder.failed.is_none()
                && let Err(what) = builder.take(&event)
            {
                let malformed = matches!(event, CallbackEvent::Error(_));
                let what = if malformed { format!("malformed HTML ({what})") } else { what.into() };
                builder.failed = Some((what, span.start));
            }
            None::<std::convert::Infallible>
        });
        match Tokenizer::new_with_emitter(html, emitter).finish() {
            Ok(()) => {}
            Err(never) => match never {},
        }
        builder.finish()
    }

    /// The text of a text node, or the value of `class` of an element.
    pub(crate) fn text(&self, node: &Node) -> &str {
        self.slice(&node.text)
    }

    /// The value of `id`.
    pub(crate) fn id(&self, node: &Node) -> &str {
        self.slice(&node.id)
    }

    /// An attribute that few elements have.
    pub(crate) fn rare(&self, id: NodeId, attribute: Rare) -> Option<&str> {
        let from = self.rare.partition_point(|(node, ..)| *node < id);
        let own = self.rare[from..].iter().take_while(|(node, ..)| *node == id);
        let mut named = own.filter(|(_, known, _)| *known == attribute);
        named.next().map(|(.., value)| self.slice(value))
    }

    fn slice(&self, range: &Range<u32>) -> &str {
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// The node with this number.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// The children of a node.
    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let mut next = self.node(id).first;
        std::iter::from_fn(move || {
            let child = next;
            (child != NONE).then(|| {
                next = self.node(child).next;
                child
            })
        })
    }
}

enum Attribute {
    Class,
    Id,
    Colspan,
    Rare(Rare),
    Ignored,
}

struct Builder<'a> {
    html: &'a str,
    tree: Tree,
    open: Vec<NodeId>,
    element: Option<Node>,
    attribute: Attribute,
    failed: Option<(String, usize)>,
    /// What is open where another element is closed.
    blamed: Option<NodeId>,
}

impl<'a> Builder<'a> {
    fn new(html: &'a str) -> Self {
        Self {
            html,
            tree: Tree {
                nodes: Vec::with_capacity(html.len() / 16),
                text: String::with_capacity(html.len()),
                rare: Vec::new(),
            },
            open: Vec::new(),
            element: None,
            attribute: Attribute::Ignored,
            failed: None,
            blamed: None,
        }
    }

    fn take(&mut self, event: &CallbackEvent<'_>) -> Result<(), &'static str> {
        let text = |bytes| str::from_utf8(bytes).map_err(|_| "not UTF-8");
        match *event {
            CallbackEvent::String { value } => self.text(text(value)?),
            CallbackEvent::OpenStartTag { name } => self.start(name),
            CallbackEvent::AttributeName { name } => self.name(name),
            CallbackEvent::AttributeValue { value } => self.value(text(value)?),
            CallbackEvent::CloseStartTag { .. } => self.started(),
            CallbackEvent::EndTag { name } => self.end(name),
            CallbackEvent::Comment { .. } | CallbackEvent::Doctype { .. } => Ok(()),
            CallbackEvent::Error(error) => Err(error.as_str()),
        }
    }

    fn store(&mut self, text: &str) -> Range<u32> {
        let start = self.tree.text.len() as u32;
        self.tree.text.push_str(text);
        start..self.tree.text.len() as u32
    }

    fn push(&mut self, node: Node) -> Result<NodeId, &'static str> {
        let id = self.tree.nodes.len() as NodeId;
        self.tree.nodes.push(node);
        let Some(parent) = self.open.last() else {
            return if id == 0 { Ok(id) } else { Err("more than one root element") };
        };
        let parent = *parent as usize;
        self.tree.nodes[id as usize].parent = parent as NodeId;
        let last = std::mem::replace(&mut self.tree.nodes[parent].last, id);
        if last == NONE {
            self.tree.nodes[parent].first = id;
        } else {
            self.tree.nodes[last as usize].next = id;
        }
        Ok(id)
    }

    fn finish(self) -> Result<Tree, RenderError> {
        if let Some((what, offset)) = self.failed {
            return Err(RenderError::html_at(At::offset(self.html, offset), what, self.blamed));
        }
        match self.open.last() {
            Some(open) => Err(RenderError::html_of(*open, "never closed")),
            None if self.tree.nodes.is_empty() => Err(RenderError::template("HTML", "empty", None)),
            None => Ok(self.tree),
        }
    }
}

impl Sink for Builder<'_> {
    fn text(&mut self, text: &str) -> Result<(), &'static str> {
        if self.open.is_empty() {
            let blank = text.trim_ascii().is_empty();
            return if blank { Ok(()) } else { Err("text outside of the document") };
        }
        let text = self.store(text);
        self.push(Node::new(None, text)).map(|_| ())
    }

    fn start(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let tag = Tag::named(name).ok_or("unknown element")?;
        self.element = Some(Node::new(Some(tag), 0..0));
        Ok(())
    }

    fn name(&mut self, name: &[u8]) -> Result<(), &'static str> {
        self.attribute = attribute(name).ok_or("unknown attribute")?;
        // An empty value is no event of its own, but it is a value: `alt=""`.
        if let Attribute::Rare(rare) = self.attribute {
            self.tree.rare.push((self.tree.nodes.len() as NodeId, rare, 0..0));
        }
        Ok(())
    }

    fn value(&mut self, value: &str) -> Result<(), &'static str> {
        match self.attribute {
            Attribute::Ignored => return Ok(()),
            Attribute::Colspan => {
                let columns = value.parse().ok().filter(|columns| (1..=100).contains(columns));
                self.element.as_mut().ok_or("stray attribute")?.colspan =
                    columns.ok_or("colspan must be 1 to 100")?;
                return Ok(());
            }
            Attribute::Rare(_) => {
                let value = self.store(value);
                self.tree.rare.last_mut().ok_or("stray attribute")?.2 = value;
                return Ok(());
            }
            Attribute::Class | Attribute::Id => {}
        }
        let range = self.store(value);
        let element = self.element.as_mut().ok_or("stray attribute")?;
        if matches!(self.attribute, Attribute::Id) {
            element.id = range;
        } else {
            element.text = range;
        }
        Ok(())
    }

    fn started(&mut self) -> Result<(), &'static str> {
        let node = self.element.take().ok_or("stray tag")?;
        let void = node.tag.is_some_and(Tag::is_void);
        let own = self.tree.nodes.len() as NodeId;
        let href = self.tree.rare(own, Rare::Href);
        if node.tag == Some(Tag::A) && href.is_some_and(|href| !is_target(href)) {
            return Err("a link leads to https:, http:, mailto:, tel: or #id");
        }
        let id = self.push(node)?;
        if !void {
            self.open.push(id);
            if self.open.len() > DEEPEST {
                return Err("elements are nested too deeply");
            }
        }
        Ok(())
    }

    fn end(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let tag = Tag::named(name).ok_or("unknown element")?;
        let open = self.open.pop().ok_or("end tag without a start tag")?;
        let same = self.tree.node(open).tag == Some(tag);
        if !same {
            self.blamed = Some(open);
            return Err("end tag closes another element");
        }
        Ok(())
    }
}

/// Whether templates may use this attribute.
pub(crate) fn is_attribute(name: &[u8]) -> bool {
    attribute(name).is_some()
}

fn attribute(name: &[u8]) -> Option<Attribute> {
    Some(match name {
        b"class" => Attribute::Class,
        b"id" => Attribute::Id,
        b"colspan" => Attribute::Colspan,
        b"href" => Attribute::Rare(Rare::Href),
        b"src" => Attribute::Rare(Rare::Src),
        b"alt" => Attribute::Rare(Rare::Alt),
        b"value" => Attribute::Rare(Rare::Value),
        b"postcode" => Attribute::Rare(Rare::Postcode),
        b"address" => Attribute::Rare(Rare::Address),
        b"data-amount" => Attribute::Rare(Rare::Amount),
        b"data-carry" => Attribute::Rare(Rare::Carry),
        b"decimals" => Attribute::Rare(Rare::Decimals),
        b"scope" => Attribute::Rare(Rare::Scope),
        b"lang" => Attribute::Rare(Rare::Lang),
        b"charset" | b"rel" | b"datetime" => Attribute::Ignored,
        _ => return None,
    })
}

//! The `archive` profile: a tagged document with metadata and an output intent,
//! built to the structure of PDF/A-3 (ISO 19005-3) and PDF/UA-1 (ISO 14289-1).
//!
//! It is *targeted* at both and says so in its metadata, as both demand; nobody
//! has validated it until a validator did.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    reason = "numbers of pages and elements that layout hands out itself"
)]

use std::collections::HashMap;

use foldhash::fast::RandomState;
use lopdf::{Dictionary, Document, Object, ObjectId, Stream, dictionary};

use super::{
    css::style::Display,
    dom::{NONE, NodeId, Rare, Tag},
    finish::{About, PRODUCER, Packer, text_string},
    layout::Layout,
    paint::Drawn,
    srgb,
};

/// Puts the structure tree into a document (ISO 32000-1 §14.7).
pub(super) fn tag(
    document: &mut Document,
    pages: &[ObjectId],
    drawn: &Drawn<'_>,
    links: &[(usize, NodeId, ObjectId)],
    layout: &Layout<'_>,
) -> Option<()> {
    let mut builder = Builder::new(layout, drawn);
    builder.number(document);
    let root = document.new_object_id();
    let mut parents: Vec<Object> = Vec::new();
    for (page, marks) in drawn.marks.iter().enumerate() {
        let dictionary = document.get_dictionary_mut(pages[page]).ok()?;
        dictionary.set("StructParents", page as i64);
        dictionary.set("Tabs", "S");
        let elements = marks.iter().map(|node| builder.id(*node).into()).collect();
        let list = document.add_object(Object::Array(elements));
        parents.extend([Object::Integer(page as i64), list.into()]);
    }
    for (number, (page, node, link)) in links.iter().enumerate() {
        let key = (drawn.marks.len() + number) as i64;
        document.get_dictionary_mut(*link).ok()?.set("StructParent", key);
        parents.extend([Object::Integer(key), builder.id(*node).into()]);
        let reference = dictionary! { "Type" => "OBJR", "Obj" => *link, "Pg" => pages[*page] };
        builder.references.entry(*node).or_default().push(reference.into());
    }
    builder.write(document, root, pages);
    let tree = dictionary! {
        "Type" => "StructTreeRoot",
        "K" => builder.id(0),
        "ParentTree" => dictionary! { "Nums" => parents },
        "ParentTreeNextKey" => (drawn.marks.len() + links.len()) as i64,
    };
    document.objects.insert(root, tree.into());
    let catalog = document.catalog_mut().ok()?;
    catalog.set("StructTreeRoot", root);
    catalog.set("MarkInfo", dictionary! { "Marked" => true });
    Some(())
}

/// The elements that the structure tree needs.
struct Builder<'a> {
    layout: &'a Layout<'a>,
    /// What each element marks: the page, the mark, and when it came.
    own: HashMap<NodeId, Vec<(usize, usize, usize)>, RandomState>,
    references: HashMap<NodeId, Vec<Object>, RandomState>,
    /// When an element's first content came; `usize::MAX` if it has none.
    came: Vec<usize>,
    ids: Vec<ObjectId>,
}

impl<'a> Builder<'a> {
    fn new(layout: &'a Layout<'a>, drawn: &Drawn<'_>) -> Self {
        let count = layout.tree.nodes.len();
        let mut own: HashMap<_, Vec<(usize, usize, usize)>, _> = HashMap::default();
        let mut came = vec![usize::MAX; count];
        let mut time = 0;
        for (page, marks) in drawn.marks.iter().enumerate() {
            for (mark, node) in marks.iter().enumerate() {
                own.entry(*node).or_default().push((page, mark, time));
                let mut at = *node;
                while at != NONE && came[at as usize] == usize::MAX {
                    came[at as usize] = time;
                    at = layout.tree.node(at).parent;
                }
                time += 1;
            }
        }
        Self { layout, own, references: HashMap::default(), came, ids: vec![(0, 0); count] }
    }

    /// Gives every element an object that has content, and the empty cells of
    /// rows that have some, so that tables stay regular.
    fn number(&mut self, document: &mut Document) {
        for node in 0..self.ids.len() {
            let element = &self.layout.tree.nodes[node];
            let cell = matches!(element.tag, Some(Tag::Td | Tag::Th));
            let beside = element.parent != NONE && self.came[element.parent as usize] != usize::MAX;
            if self.came[node] == usize::MAX && cell && beside {
                self.came[node] = self.came[element.parent as usize];
            }
            if node == 0 || self.came[node] != usize::MAX {
                self.ids[node] = document.new_object_id();
            }
        }
    }

    fn id(&self, node: NodeId) -> ObjectId {
        self.ids[node as usize]
    }

    fn write(&mut self, document: &mut Document, root: ObjectId, pages: &[ObjectId]) {
        let mut children: Vec<Vec<(usize, Object)>> = vec![Vec::new(); self.ids.len()];
        for node in 1..self.ids.len() {
            if self.ids[node].0 != 0 {
                let parent = self.layout.tree.nodes[node].parent as usize;
                children[parent].push((self.came[node], self.ids[node].into()));
            }
        }
        for (node, own) in children.into_iter().enumerate() {
            if self.ids[node].0 == 0 {
                continue;
            }
            let id = node as NodeId;
            let parent = self.layout.tree.nodes[node].parent;
            let above = if parent == NONE { root } else { self.id(parent) };
            let mut element = dictionary! { "S" => self.role(id), "P" => above };
            let marks = self.own.remove(&id).unwrap_or_default();
            let first = marks.first().map(|(page, ..)| *page);
            if let Some(page) = first {
                element.set("Pg", pages[page]);
            }
            let mut kids = own;
            kids.extend(marks.into_iter().map(|(page, mark, time)| {
                // A plain number where the page is that of the element.
                let kid = if Some(page) == first {
                    Object::Integer(mark as i64)
                } else {
                    dictionary! { "Type" => "MCR", "Pg" => pages[page], "MCID" => mark as i64 }
                        .into()
                };
                (time, kid)
            }));
            kids.sort_by_key(|(time, _)| *time);
            let mut kids: Vec<Object> = kids.into_iter().map(|(_, kid)| kid).collect();
            kids.extend(self.references.remove(&id).unwrap_or_default());
            self.describe(id, &mut element);
            // What a list item holds stands in its body (ISO 32000-1 §14.8.4.3.3).
            if self.layout.tree.nodes[node].tag == Some(Tag::Li) {
                kids = self.list_body(document, id, &mut element, kids);
            }
            element.set("K", kids);
            document.objects.insert(self.id(id), element.into());
        }
    }

    fn list_body(
        &self,
        document: &mut Document,
        id: NodeId,
        element: &mut Dictionary,
        kids: Vec<Object>,
    ) -> Vec<Object> {
        let mut body = dictionary! { "S" => "LBody", "P" => self.id(id), "K" => kids };
        if let Some(page) = element.remove(b"Pg") {
            body.set("Pg", page.clone());
            element.set("Pg", page);
        }
        vec![document.add_object(body).into()]
    }

    /// The standard structure type of an element (ISO 32000-1 §14.8.4).
    fn role(&self, node: NodeId) -> &'static str {
        match self.layout.tree.node(node).tag {
            Some(Tag::Html) => "Document",
            Some(Tag::H1) => "H1",
            Some(Tag::H2) => "H2",
            Some(Tag::H3) => "H3",
            Some(Tag::H4) => "H4",
            Some(Tag::P | Tag::Dt | Tag::Dd) => "P",
            Some(Tag::Section) => "Sect",
            Some(Tag::Table) => "Table",
            Some(Tag::Thead) => "THead",
            Some(Tag::Tbody) => "TBody",
            Some(Tag::Tfoot) => "TFoot",
            Some(Tag::Tr) => "TR",
            Some(Tag::Th) => "TH",
            Some(Tag::Td) => "TD",
            Some(Tag::Ul | Tag::Ol) => "L",
            Some(Tag::Li) => "LI",
            Some(Tag::A) => "Link",
            Some(Tag::Img | Tag::Qr | Tag::Barcode) => "Figure",
            Some(_) if self.layout.styles.style(node).display == Display::InlineBlock => "Span",
            // A box with text of its own is a paragraph.
            Some(_) | None if self.own.contains_key(&node) => "P",
            Some(_) | None => "Div",
        }
    }

    /// Alternative text, header cells and cells over several columns.
    fn describe(&self, node: NodeId, element: &mut Dictionary) {
        let tree = self.layout.tree;
        let one = tree.node(node);
        match one.tag {
            Some(Tag::Img) => {
                let text = tree.rare(node, Rare::Alt).unwrap_or_default();
                element.set("Alt", text_string(text));
            }
            Some(Tag::Qr) => {
                let text = tree.rare(node, Rare::Alt).or(tree.rare(node, Rare::Value));
                element.set("Alt", text_string(text.unwrap_or_default()));
            }
            Some(Tag::Th | Tag::Td) => {
                let mut table = dictionary! { "O" => "Table" };
                if one.tag == Some(Tag::Th) {
                    let row = tree.rare(node, Rare::Scope) == Some("row");
                    table.set("Scope", if row { "Row" } else { "Column" });
                }
                if one.colspan > 1 {
                    table.set("ColSpan", i64::from(one.colspan));
                }
                if table.len() > 1 {
                    element.set("A", table);
                }
            }
            _ => {}
        }
    }
}

/// Says what the file is: metadata (ISO 16684-1) and the colours it means.
pub(super) fn declare(
    document: &mut Document,
    about: &About<'_>,
    packer: &mut Packer,
) -> Option<()> {
    let profile = srgb::profile();
    let profile = Stream::new(
        dictionary! { "N" => 3, "Alternate" => "DeviceRGB", "Filter" => "FlateDecode" },
        packer.pack(&profile)?,
    );
    let profile = document.add_object(profile);
    let intent = document.add_object(dictionary! {
        "Type" => "OutputIntent",
        "S" => "GTS_PDFA1",
        "OutputConditionIdentifier" => Object::string_literal("sRGB IEC61966-2.1"),
        "Info" => Object::string_literal("sRGB IEC61966-2.1"),
        "RegistryName" => Object::string_literal("http://www.color.org"),
        "DestOutputProfile" => profile,
    });
    // Metadata stays readable for programs that know nothing of PDF.
    let metadata = Stream::new(
        dictionary! { "Type" => "Metadata", "Subtype" => "XML" },
        xmp(about.title, about.language).into_bytes(),
    );
    let metadata = document.add_object(metadata.with_compression(false));
    let catalog = document.catalog_mut().ok()?;
    catalog.set("OutputIntents", vec![intent.into()]);
    catalog.set("Metadata", metadata);
    Some(())
}

fn xmp(title: &str, language: &str) -> String {
    let title = escaped(title);
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n\
         <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:pdf=\"http://ns.adobe.com/pdf/1.3/\" \
         xmlns:pdfaid=\"http://www.aiim.org/pdfa/ns/id/\" \
         xmlns:pdfuaid=\"http://www.aiim.org/pdfua/ns/id/\">\n\
         <dc:format>application/pdf</dc:format>\n\
         <dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">{title}</rdf:li></rdf:Alt></dc:title>\n\
         <dc:language><rdf:Bag><rdf:li>{language}</rdf:li></rdf:Bag></dc:language>\n\
         <pdf:Producer>{PRODUCER}</pdf:Producer>\n\
         <pdfaid:part>3</pdfaid:part>\n<pdfaid:conformance>A</pdfaid:conformance>\n\
         <pdfuaid:part>1</pdfuaid:part>\n\
         </rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"r\"?>"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            _ => out.push(character),
        }
    }
    out
}

/// Attaches a file that the document was made from (ISO 32000-2 §14.13).
pub(super) fn attach(
    document: &mut Document,
    name: &str,
    bytes: &[u8],
    packer: &mut Packer,
) -> Option<()> {
    let stream = Stream::new(
        dictionary! {
            "Type" => "EmbeddedFile",
            "Subtype" => Object::Name(b"application/json".to_vec()),
            "Params" => dictionary! { "Size" => bytes.len() as i64 },
            "Filter" => "FlateDecode",
        },
        packer.pack(bytes)?,
    );
    let stream = document.add_object(stream);
    let file = document.add_object(dictionary! {
        "Type" => "Filespec",
        "F" => Object::string_literal(name),
        "UF" => text_string(name),
        "AFRelationship" => "Source",
        "Desc" => text_string("The data that this document was made from"),
        "EF" => dictionary! { "F" => stream, "UF" => stream },
    });
    let catalog = document.catalog_mut().ok()?;
    catalog.set("AF", vec![file.into()]);
    let names = vec![Object::string_literal(name), file.into()];
    catalog.set("Names", dictionary! { "EmbeddedFiles" => dictionary! { "Names" => names } });
    Some(())
}

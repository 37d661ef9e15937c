//! Makes the PDF of a job: from a template and data, or from a finished PDF that
//! the sender brought.
//!
//! Rendering is a pure function: the same order gives the same bytes, on any
//! thread and any day. There is no file, clock, chance or network in here; fonts
//! and templates are part of the program or handed over at the start, and what
//! a document may cost is bounded (pages, HTML, fuel, nesting).
//!
//! The way: minijinja writes HTML; [`dom`] reads it strictly; [`css`] gives every element
//! its style; [`layout`] makes lines, rows and pages; [`paint`] turns them into `printpdf`
//! operations; [`finish`] puts in what `printpdf` lacks, above all the fonts, which are cut
//! and compressed before any job comes ([`font`]).
//!
//! Refuses what would be printed wrong: data that do not fit their schema, sums that contradict
//! their lines, characters without a glyph, CSS that is not understood, PDFs that act.

mod address;
mod adopt;
mod archive;
mod assets;
mod blame;
mod bundle;
mod bundled;
mod css;
mod dom;
mod error;
mod excerpt;
mod fields;
mod filters;
mod finish;
mod font;
mod front;
mod guard;
#[doc(hidden)]
pub mod hostile;
pub(crate) mod json_place;
mod layout;
mod lint;
mod markup;
mod near;
mod origin;
mod outline;
mod paint;
pub mod parts;
mod schema;
mod srgb;
mod tags;
mod template;
#[cfg(test)]
mod tests;
mod trial;
mod used;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use zeroize::Zeroizing;

pub use crate::domain::document::profile::Profile;
pub use adopt::{PdfLimits, check_pdf};
pub use bundle::{TemplateBundle, is_sample, is_template_name};
pub use error::{At, RenderError};
pub use font::FontSource;
pub use trial::{FONTS_CSS, Trial, font_files};

use crate::domain::{locale::Locale, pdf::PdfFacts, plain::Plain};
use address::Front;
use css::{PageRule, Paper, Sheet, cascade::Styles};
use dom::{Tag, Tree};
use finish::About;
use font::FontSet;
use layout::{
    Layout,
    flow::Flow,
    pages::{Page, paginate},
};
use template::Template;

/// The renderer and its version: part of what makes a document's bytes.
pub const RENDERER: &str = "kakitome-render/3";
/// The most pages of a document, its address page included.
pub const MAX_PAGES: u32 = 500;

/// Fonts and templates, ready for use from any number of threads at once.
#[derive(Debug)]
pub struct Renderer {
    fonts: Arc<FontSet>,
    templates: BTreeMap<String, Template>,
    /// [`RENDERER`] with the version of the fonts.
    version: String,
}

/// A document to be made.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The name of a template.
    pub template: &'a str,
    /// The language of the document.
    pub locale: Locale,
    /// The template's data.
    pub data: &'a serde_json::Value,
    /// The title that PDF viewers show.
    pub title: &'a str,
    /// For letters: the page that shows through the window of the envelope.
    pub address_page: Option<&'a AddressPage>,
    /// What kind of PDF it becomes.
    pub profile: Profile,
    /// The data are attached as `data.json`.
    pub attach_data: bool,
}

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("template", &self.template)
            .field("locale", &self.locale)
            .finish_non_exhaustive()
    }
}

/// What stands in the window of the envelope.
#[derive(Clone)]
pub struct AddressPage {
    /// `NNN-NNNN`.
    pub postal_code: String,
    /// The address, a line each; longer lines are wrapped.
    pub address_lines: Vec<String>,
    /// The recipient, with the honorific.
    pub name_lines: Vec<String>,
    /// The sender, in small print; for returns.
    pub sender_lines: Vec<String>,
    /// Printed on the edge of every page, so that no sheet gets into another's
    /// envelope.
    pub piece_id: String,
}

impl std::fmt::Debug for AddressPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressPage").finish_non_exhaustive()
    }
}

/// A finished document. The bytes are wiped when it is dropped; so is the HTML they
/// were made from. Trees and operations in between are freed, not wiped.
#[derive(Clone)]
pub struct Rendered {
    /// The PDF.
    pub pdf: Plain,
    /// How many pages it has, the address page included.
    pub pages: u32,
    /// The template and 16 hexadecimal digits of its content's hash, such as
    /// `invoice@0123456789abcdef`; `pdf` for what the sender brought. That of the
    /// address page stands before it, with a `+`.
    pub template: String,
    /// [`RENDERER`] and 16 hexadecimal digits of the fonts' hash.
    pub renderer: String,
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered")
            .field("pages", &self.pages)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

impl Renderer {
    /// The bundled fonts and templates. The first document that uses a face
    /// prepares every glyph of it, which takes a fraction of a second and some
    /// 4 MB; make one renderer and share it.
    pub fn bundled() -> Result<Self, RenderError> {
        Self::with_fonts(&[])
    }

    /// The same with the operator's fonts, which are asked for a glyph after the
    /// bundled ones.
    pub fn with_fonts(sources: &[FontSource]) -> Result<Self, RenderError> {
        let mut fonts = FontSet::bundled().ok_or(RenderError::Fonts)?;
        for source in sources {
            let file = source.family.clone();
            fonts.add(source).map_err(|what| RenderError::template(file, what, None))?;
        }
        let version = format!("{RENDERER} fonts/{}", fonts.version());
        let mut renderer = Self { fonts: Arc::new(fonts), templates: BTreeMap::new(), version };
        // Their samples are rendered by the tests, not at every start.
        for bundle in Self::bundles() {
            let template = Template::compile(&bundle, &renderer.fonts)?;
            renderer.templates.insert(bundle.name, template);
        }
        Ok(renderer)
    }

    /// Adds the operator's templates; one with the name of a bundled template
    /// takes its place. Everything about a template is checked here: its files,
    /// its tags, its stylesheet, its schema, and that its samples render in
    /// every language.
    pub fn with_templates(mut self, bundles: Vec<TemplateBundle>) -> Result<Self, RenderError> {
        for bundle in bundles {
            let template = Template::compile(&bundle, &self.fonts)?;
            for sample in &template.samples {
                for locale in [Locale::Ja, Locale::En] {
                    let title = "";
                    let order = Order {
                        template: &bundle.name,
                        locale,
                        data: sample,
                        title,
                        address_page: None,
                        profile: Profile::Plain,
                        attach_data: false,
                    };
                    self.prove(&template, &order, true)?;
                }
            }
            if bundle.name == address::NAME {
                address::check_samples(&template)?;
            }
            self.templates.insert(bundle.name, template);
        }
        Ok(self)
    }

    /// Whether a template of this name is installed that jobs may ask for.
    pub fn has_template(&self, name: &str) -> bool {
        name != address::NAME && self.templates.contains_key(name)
    }

    /// The template's name and hash, as [`Rendered::template`] has it.
    pub fn template_version(&self, name: &str) -> Option<&str> {
        self.templates.get(name).map(|template| &*template.version)
    }

    /// The names of all templates that jobs may ask for, sorted.
    pub fn template_names(&self) -> Vec<&str> {
        self.templates.keys().map(String::as_str).filter(|name| self.has_template(name)).collect()
    }

    /// [`RENDERER`] with the version of the fonts, as it stands with every
    /// document.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Makes a document. The same order gives the same bytes.
    pub fn render(&self, order: &Order<'_>) -> Result<Rendered, RenderError> {
        let template = self.templates.get(order.template).ok_or(RenderError::NoTemplate)?;
        self.render_with(template, order)
    }

    fn render_with(&self, template: &Template, order: &Order<'_>) -> Result<Rendered, RenderError> {
        let title = schema::printable(order.title);
        let mut html = template.html(order.data, order.locale, &title)?;
        let made = self.document(template, order, &title, (&html, false));
        // Wiped all at once, and not byte by byte.
        drop(Plain::new(std::mem::take(&mut *html).into_bytes()));
        made
    }

    /// The document of this HTML; strictly it is also asked whether its author can
    /// have meant it.
    fn document(
        &self,
        template: &Template,
        order: &Order<'_>,
        title: &str,
        (html, strict): (&str, bool),
    ) -> Result<Rendered, RenderError> {
        let tree = Tree::parse(html)?;
        template.sheet.check_size(tree.nodes.len())?;
        let styles = Styles::of(&tree, &template.sheet);
        if strict {
            lint::check(&tree, &styles)?;
        }
        let mut layout = Layout::new(&template.fonts, &template.assets, &tree, &styles);
        let mut pages = lay_out(&mut layout, &template.sheet)?;
        let mut version = template.version.clone();
        if let Some(address) = order.address_page {
            let template = self.front()?;
            let front = Front::of(template, address)?;
            let mut own = front.layout(template);
            let page = address::page(&mut own, template)?;
            pages.insert(0, address::move_over(page, &own, &mut layout));
            address::mark(&mut layout, &mut pages, &address.piece_id);
            version = format!("{}+{version}", template.version);
        }
        let count = page_count(pages.len())?;
        layout.check()?;
        let archive = order.profile == Profile::Archive;
        let source =
            if order.attach_data { serde_json::to_vec_pretty(order.data).ok() } else { None };
        let source = source.map(Zeroizing::new);
        let about = About {
            title,
            language: order.locale.tag(),
            archive,
            attachment: source.as_ref().map(|bytes| ("data.json", bytes.as_slice())),
        };
        let drawn = paint::draw(&pages, &layout, archive);
        Ok(Rendered {
            pdf: finish::finish(drawn, &pages, &layout, &about)?,
            pages: count,
            template: version,
            renderer: self.version.clone(),
        })
    }

    /// Takes over a finished PDF of the sender's that [`check_pdf`] found to be good,
    /// with what it found.
    ///
    /// Without an address page the bytes are the sender's own, so that signatures
    /// stay valid. With one the document is written anew behind it: the sender's
    /// pages keep their content and get the piece's mark on their edge.
    pub fn adopt(
        &self,
        pdf: Plain,
        facts: PdfFacts,
        address_page: Option<&AddressPage>,
    ) -> Result<Rendered, RenderError> {
        let mut template = "pdf".to_owned();
        let (pdf, pages) = match address_page {
            // Not read again: nothing of it is needed.
            None => (pdf, facts.pages),
            Some(address) => {
                let pages =
                    page_count(usize::try_from(facts.pages.saturating_add(1)).unwrap_or(0))?;
                let document = adopt::load(&pdf).map_err(RenderError::BadPdf)?;
                drop(pdf);
                let front = self.address_document(address, pages)?;
                template = format!("{}+pdf", self.front()?.version);
                (front::put_in_front(document, front)?, pages)
            }
        };
        let renderer = self.version.clone();
        Ok(Rendered { pdf, pages, template, renderer })
    }

    /// The template of the address page.
    fn front(&self) -> Result<&Template, RenderError> {
        self.templates.get(address::NAME).ok_or(RenderError::NoTemplate)
    }

    /// The address page and the marks of all other pages as a document of its own.
    fn address_document(
        &self,
        address: &AddressPage,
        count: u32,
    ) -> Result<lopdf::Document, RenderError> {
        let template = self.front()?;
        let front = Front::of(template, address)?;
        let mut layout = front.layout(template);
        let mut pages = vec![address::page(&mut layout, template)?];
        pages.resize_with(usize::try_from(count).unwrap_or(0), || Page::sheet(&PageRule::plain()));
        address::mark(&mut layout, &mut pages, &address.piece_id);
        layout.check()?;
        let about = About { title: "", language: "ja", archive: false, attachment: None };
        let drawn = paint::draw(&pages, &layout, false);
        finish::complete(drawn, &pages, &layout, &about).ok_or(RenderError::Fonts)
    }
}

/// Lays a tree out on pages, with what stands in their margins.
fn lay_out(layout: &mut Layout<'_>, sheet: &Sheet) -> Result<Vec<Page>, RenderError> {
    let (paper, family) = paper(layout, sheet)?;
    let width = paper.first.inner_width();
    let mut flow = Flow::default();
    layout.flow(0, 0.0, width, &mut flow)?;
    // Before pagination: a hostile text should be named, not cut into pages.
    layout.check()?;
    let max = usize::try_from(MAX_PAGES).unwrap_or(usize::MAX);
    let mut pages = paginate(layout, flow, &paper, max)?;
    // Boxes without a positioned ancestor stand on the first page.
    let [top, _, bottom, left] = paper.first.margin;
    for mut piece in layout.absolutes(0, width, paper.first.height - top - bottom)? {
        piece.items.iter_mut().for_each(|item| item.shift(left, top));
        if let Some(first) = pages.first_mut() {
            first.items.append(&mut piece.items);
        }
    }
    layout.margin_boxes(&mut pages, &paper, family);
    Ok(pages)
}

/// The sheets that the root or the body asks for, and the family of its text.
fn paper(layout: &Layout<'_>, sheet: &Sheet) -> Result<(Paper, u8), RenderError> {
    let tree = layout.tree;
    let body = tree.children(0).find(|child| tree.node(*child).tag == Some(Tag::Body));
    let root = layout.styles.style(0);
    let body = body.map_or(root, |body| layout.styles.style(body));
    let family = body.family;
    let name = body.page.clone().or_else(|| root.page.clone());
    Ok((sheet.pages.paper(name.as_deref())?, family))
}

fn page_count(pages: usize) -> Result<u32, RenderError> {
    u32::try_from(pages)
        .ok()
        .filter(|pages| *pages <= MAX_PAGES)
        .ok_or(RenderError::TooManyPages { max: MAX_PAGES })
}

//! A template on trial: what its author sees before it is installed.
//!
//! A bundle is checked and rendered without touching what is installed, and its
//! HTML is handed out as a browser can show it, beside [`FONTS_CSS`] and the
//! files of [`font_files`].

use zeroize::Zeroizing;

use super::{
    Order, Profile, RenderError, Rendered, Renderer, TemplateBundle, css::Sheet, font,
    parts::Whole, schema, template::Template,
};
use crate::domain::locale::Locale;

/// The stylesheet that lets a browser show a template as it will be printed:
/// the bundled fonts, and the defaults of ours that differ from a browser's.
pub const FONTS_CSS: &str = include_str!("../../templates/workshop/fonts.css");

/// The fonts that [`FONTS_CSS`] names: the file's name and its bytes.
pub fn font_files() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let names = [
        "NotoSansJP-Regular.ttf",
        "NotoSansJP-Bold.ttf",
        "BIZUDPGothic-Regular.ttf",
        "BIZUDPGothic-Bold.ttf",
    ];
    names.into_iter().zip(font::FILES)
}

/// A bundle whose files passed the checks that need no data.
#[derive(Debug)]
pub struct Trial<'r> {
    renderer: &'r Renderer,
    template: Template,
}

impl Renderer {
    /// Checks the files of a bundle. Its samples are not rendered: that is what
    /// [`Trial::render`] is for, so that each can say what is wrong with it.
    pub fn try_out(&self, bundle: &TemplateBundle) -> Result<Trial<'_>, RenderError> {
        Ok(Trial { renderer: self, template: Template::compile(bundle, &self.fonts)? })
    }

    /// Everything in the stylesheet of a bundle that is not understood; at most
    /// twenty places.
    pub fn style_errors(&self, bundle: &TemplateBundle) -> Vec<RenderError> {
        let Ok(whole) = Whole::style(bundle) else { return Vec::new() };
        let faults = Sheet::faults(&whole.text, &self.fonts.families());
        faults.into_iter().map(|fault| whole.relocate(fault)).collect()
    }

    /// Makes a document as for a job, but an error names the place in the template and
    /// not in the HTML that it wrote; strictly also what would look wrong.
    pub(super) fn prove(
        &self,
        template: &Template,
        order: &Order<'_>,
        strict: bool,
    ) -> Result<Rendered, RenderError> {
        let title = schema::printable(order.title);
        let (html, trace) = template.traced(order.data, order.locale, &title)?;
        let made = self.document(template, order, &title, (&html, strict));
        made.map_err(|error| trace.explain(error, &html))
    }
}

impl Trial<'_> {
    /// The template's name and hash, as [`Rendered::template`] has it.
    pub fn version(&self) -> &str {
        &self.template.version
    }

    /// Makes a document, as the office would make it from these data.
    pub fn render(
        &self,
        data: &serde_json::Value,
        locale: Locale,
        title: &str,
    ) -> Result<Rendered, RenderError> {
        let order = Order {
            template: self.template.version.as_str(),
            locale,
            data,
            title,
            address_page: None,
            profile: Profile::Plain,
            attach_data: false,
        };
        self.renderer.prove(&self.template, &order, true)
    }

    /// Makes a document of an order, whose template is this one whatever it says, and
    /// refuses no more than the office does.
    pub fn make(&self, order: &Order<'_>) -> Result<Rendered, RenderError> {
        self.renderer.prove(&self.template, order, false)
    }

    /// The stylesheet with its parts.
    pub fn style(&self) -> &str {
        &self.template.style
    }

    /// The HTML of a document for a browser, which finds the stylesheets
    /// `fonts.css` and `style.css` beside it.
    pub fn html(
        &self,
        data: &serde_json::Value,
        locale: Locale,
        title: &str,
    ) -> Result<Zeroizing<String>, RenderError> {
        let html = self.template.html(data, locale, title)?;
        let mut links = String::from("<link rel=\"stylesheet\" href=\"fonts.css\">");
        if !html.contains("\"style.css\"") {
            links.push_str("<link rel=\"stylesheet\" href=\"style.css\">");
        }
        // Ours comes first, so that the template's own rules win.
        let (before, after) = match html.find("<head>") {
            Some(at) => html.split_at(at.saturating_add("<head>".len())),
            None => ("", html.as_str()),
        };
        Ok(Zeroizing::new([before, &links, after].concat()))
    }
}

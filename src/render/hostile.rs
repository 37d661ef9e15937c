//! The entrances of the renderer for fuzzing: each takes any bytes and either
//! succeeds or is refused. What they return does not matter; that they return,
//! soon and within memory, does.
//!
//! `fuzz/` drives them with libFuzzer, the tests of [`render`](super) with a small
//! mutator of their own.

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::{
    FontSource, PdfLimits, RenderError, Renderer, TemplateBundle,
    assets::Assets,
    check_pdf,
    css::{Sheet, cascade::Styles},
    dom::Tree,
    finish::{self, About},
    font::FontSet,
    layout::Layout,
    paint,
};

static RENDERER: LazyLock<Option<Renderer>> = LazyLock::new(|| Renderer::bundled().ok());
static FONTS: LazyLock<Option<Arc<FontSet>>> = LazyLock::new(|| FontSet::bundled().map(Arc::new));

/// What takes part in a document besides its HTML.
const STYLE: &str = "@page { size: A4; margin: 20mm } .flex { display: flex; flex-wrap: wrap } \
     .abs { position: absolute; right: 0 } .box { display: inline-block; border: 1pt solid #000 } \
     .fixed { table-layout: fixed; width: 100% } .keep { break-inside: avoid }";

/// HTML as a template could write it, up to the finished PDF.
pub fn html(bytes: &[u8]) {
    let Ok(html) = str::from_utf8(bytes) else { return };
    drop(document(html, STYLE));
}

/// A stylesheet, and a document of every element with it.
pub fn css(bytes: &[u8]) {
    let Ok(css) = str::from_utf8(bytes) else { return };
    let html = "<html><head><title>a</title></head><body class=\"a\"><h1 id=\"a\">題</h1><div \
        class=\"a b\"><p>文 <b>b</b><a href=\"#a\">c</a></p><div>d</div></div><table><thead><tr>\
        <th>e</th></tr></thead><tbody><tr><td>1,234円</td></tr></tbody></table><ol><li>f</li>\
        </ol><span class=\"b\">g</span></body></html>";
    drop(document(html, css));
}

fn document(html: &str, css: &str) -> Result<(), RenderError> {
    let fonts = FONTS.as_ref().ok_or(RenderError::Fonts)?;
    let sheet = Sheet::parse(css, &fonts.families())?;
    let tree = Tree::parse(html)?;
    sheet.check_size(tree.nodes.len())?;
    let styles = Styles::of(&tree, &sheet);
    let assets = Assets::default();
    let mut layout = Layout::new(fonts, &assets, &tree, &styles);
    let pages = super::lay_out(&mut layout, &sheet)?;
    layout.check()?;
    let about = About { title: "", language: "ja", archive: true, attachment: None };
    let drawn = paint::draw(&pages, &layout, true);
    finish::finish(drawn, &pages, &layout, &about).map(drop)
}

/// The source of a template with one value; everything it may call is called.
pub fn template(bytes: &[u8]) {
    let Ok(source) = str::from_utf8(bytes) else { return };
    let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    let bundle = TemplateBundle {
        name: "fuzz".to_owned(),
        files: vec![
            file("template.html", source),
            file("style.css", STYLE),
            file("data.schema.json", r#"{"type": "object"}"#),
            file("../parts/a.html", "<p>{{ d.x }}</p>{% include \"b.html\" %}"),
            file("../parts/b.html", "{% for a in d.list %}{{ a.a }}{% endfor %}"),
            file("sample.json", r#"{"x": "1234", "list": [{"a": "b"}, {"a": "c"}]}"#),
        ],
    };
    let Some(renderer) = &*RENDERER else { return };
    let Ok(trial) = renderer.try_out(&bundle) else { return };
    let data: Value = serde_json::json!({"x": "1234", "list": [{"a": "b"}, {"a": "c"}]});
    drop(trial.render(&data, crate::domain::locale::Locale::Ja, ""));
}

/// A font file, and a document that is set in it.
pub fn font(bytes: &[u8]) {
    let Some(mut source) = FontSource::read(bytes.to_vec()) else { return };
    "Fuzz".clone_into(&mut source.family);
    let Some(fonts) = FONTS.as_ref() else { return };
    let mut fonts = FontSet::clone(fonts);
    if fonts.add(&source).is_err() {
        return;
    }
    let css = "html { font-family: Fuzz }";
    let html = "<html><body><p>Tokyo AV 1,234円 が か\u{3099} 葛\u{e0100} a\u{301}\u{323} कि</p></body></html>";
    let made = (|| {
        let sheet = Sheet::parse(css, &fonts.families())?;
        let tree = Tree::parse(html)?;
        let styles = Styles::of(&tree, &sheet);
        let assets = Assets::default();
        let mut layout = Layout::new(&fonts, &assets, &tree, &styles);
        let pages = super::lay_out(&mut layout, &sheet)?;
        let about = About { title: "", language: "ja", archive: false, attachment: None };
        let drawn = paint::draw(&pages, &layout, false);
        finish::finish(drawn, &pages, &layout, &about)
    })();
    drop(made);
}

/// A picture; the first byte says what it claims to be.
pub fn picture(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let name = match kind % 3 {
        0 => "a.png",
        1 => "a.jpg",
        _ => "a.svg",
    };
    drop(Assets::default().add(name, bytes));
}

/// A finished PDF that a sender brought.
pub fn pdf(bytes: &[u8]) {
    let Ok(facts) = check_pdf(bytes, PdfLimits::default()) else { return };
    let Some(renderer) = &*RENDERER else { return };
    let front = super::AddressPage {
        postal_code: "100-0001".to_owned(),
        address_lines: vec!["東京都千代田区千代田1-1".to_owned()],
        name_lines: vec!["見本 様".to_owned()],
        sender_lines: Vec::new(),
        piece_id: "KT-0000-000000".to_owned(),
    };
    drop(renderer.adopt(crate::domain::plain::Plain::new(bytes.to_vec()), facts, Some(&front)));
}

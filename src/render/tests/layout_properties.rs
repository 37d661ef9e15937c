//! What holds for every document: nothing outside of the sheet, no line over
//! another, every character of the data in the text layer once and in order, every
//! row of a table there, the same bytes twice.

use super::*;
use crate::render::{
    assets::Assets,
    css::{Sheet, cascade::Styles},
    dom::Tree,
    finish::{self, About},
    font::FontSet,
    layout::{Area, Layout, Shape, pages::Page},
    paint,
};

static FONTS: LazyLock<FontSet> = LazyLock::new(|| FontSet::bundled().unwrap());

/// A block of a document. Lengths are chosen so that everything can fit: what is
/// wider than its sheet by its own wish is no fault of the layout.
#[derive(Clone, Debug)]
enum Block {
    Paragraph(Vec<Piece>, u8),
    Box(Vec<Self>, u8),
    Flex(Vec<Self>, u8),
    List(Vec<Self>),
    Table(Vec<Vec<String>>, bool),
    Absolute(String, u8),
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Bold(String),
    Inline(String),
}

/// Words whose letters all have a glyph. None is a digit, a stop or `•`: those mark
/// list items.
fn words() -> impl Strategy<Value = String> {
    "[a-zA-Z]{1,12}( [a-z]{1,9}){0,6}|[あ-んア-ヶ日本語東京請求書領収証金額合計税込見本漢字文章]{1,40}|[a-z]{1,6}[あ-ん]{1,9}[、。]?[A-Z]{1,4}"
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        4 => words().prop_map(Piece::Text),
        1 => words().prop_map(Piece::Bold),
        1 => words().prop_map(Piece::Inline),
    ]
}

fn block() -> impl Strategy<Value = Block> {
    let leaf = prop_oneof![
        4 => (proptest::collection::vec(piece(), 1..5), any::<u8>()).prop_map(|(text, style)| Block::Paragraph(text, style)),
        1 => (proptest::collection::vec(proptest::collection::vec(words(), 3), 1..12), any::<bool>())
            .prop_map(|(rows, fixed)| Block::Table(rows, fixed)),
        1 => (words(), any::<u8>()).prop_map(|(text, place)| Block::Absolute(text, place)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let some = proptest::collection::vec(inner, 1..5);
        prop_oneof![
            (some.clone(), any::<u8>()).prop_map(|(blocks, style)| Block::Box(blocks, style)),
            (some.clone(), any::<u8>()).prop_map(|(blocks, style)| Block::Flex(blocks, style)),
            some.prop_map(Block::List),
        ]
    })
}

/// Writes blocks as HTML; the flow's text and that of absolute boxes in order.
#[derive(Default)]
struct Writer {
    html: String,
    flow: String,
    absolute: Vec<String>,
    /// Within a row of flex items, where a second row or a table would leave less room
    /// than a letter takes.
    narrow: bool,
}

impl Writer {
    fn all(&mut self, blocks: &[Block]) {
        blocks.iter().for_each(|block| self.one(block));
    }

    fn around(&mut self, open: &str, blocks: &[Block], close: &str) {
        self.html.push_str(open);
        self.all(blocks);
        self.html.push_str(close);
    }

    fn text(&mut self, before: &str, text: &str, after: &str) {
        self.html.extend([before, text, after]);
        self.flow.push_str(text);
    }

    fn one(&mut self, block: &Block) {
        match block {
            Block::Paragraph(pieces, style) => {
                self.html.push_str(&format!("<p class=\"p{}\">", style % 4));
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => self.text(" ", text, " "),
                        Piece::Bold(text) => self.text("<b>", text, "</b>"),
                        // A box on a line is as wide as its longest word, as CSS has it.
                        Piece::Inline(text) if self.narrow => self.text("<span>", text, "</span>"),
                        Piece::Inline(text) => {
                            self.text("<span class=\"inline\">", text, "</span>")
                        }
                    }
                }
                self.html.push_str("</p>");
            }
            Block::Box(blocks, style) => {
                self.around(&format!("<div class=\"b{}\">", style % 5), blocks, "</div>")
            }
            Block::Flex(blocks, style) => {
                let style = if self.narrow { 2 } else { style % 3 };
                self.html.push_str(&format!("<div class=\"f f{style}\">"));
                let narrow = std::mem::replace(&mut self.narrow, true);
                for block in blocks {
                    self.around("<div class=\"item\">", std::slice::from_ref(block), "</div>");
                }
                self.narrow = narrow;
                self.html.push_str("</div>");
            }
            Block::List(blocks) => {
                self.html.push_str("<ul>");
                for block in blocks {
                    self.around("<li>", std::slice::from_ref(block), "</li>");
                }
                self.html.push_str("</ul>");
            }
            Block::Table(rows, fixed) => {
                let class = if *fixed { "fixed" } else { "auto" };
                self.html.push_str(&format!("<table class=\"{class}\"><tbody>"));
                for row in rows {
                    self.html.push_str("<tr>");
                    for cell in row.iter().take(if self.narrow { 1 } else { row.len() }) {
                        self.text("<td>", cell, "</td>");
                    }
                    self.html.push_str("</tr>");
                }
                self.html.push_str("</tbody></table>");
            }
            Block::Absolute(text, place) => {
                self.html.push_str(&format!(
                    "<div class=\"around\">x<div class=\"abs a{}\">{text}</div></div>",
                    place % 4
                ));
                self.flow.push('x');
                self.absolute.push(bare(text));
            }
        }
    }
}

fn bare(text: &str) -> String {
    text.split_whitespace().collect()
}

const CSS: &str = "@page { size: A5; margin: 12mm } html { font-size: 9pt; line-height: 1.5 }
    .p0 { margin: 4pt 0 } .p1 { text-align: right; text-indent: 9pt } .p2 { font-size: 14pt; orphans: 3; widows: 3 } .p3 { text-align: center }
    .b0 { padding: 3pt } .b1 { border: 1pt solid #333; padding: 2pt } .b2 { width: 95%; margin-left: auto } .b3 { break-inside: avoid; max-width: 90% }
    .b4 { position: relative; border-radius: 3pt; background: #eee; min-height: 20pt }
    .f { display: flex; gap: 3pt } .f0 .item { flex: 1 } .f1 { flex-wrap: wrap } .f2 { flex-direction: column } .item { min-width: 0 }
    .inline { display: inline-block; padding: 1pt } ul { padding-left: 6pt; margin: 0 }
    .fixed { table-layout: fixed; width: 100% } .auto { width: 100% } td { padding: 1pt; border-bottom: 0.5pt solid #999 }
    .around { position: relative; height: 14pt } .abs { position: absolute; white-space: nowrap; font-size: 1pt }
    .a0 { left: 0; top: 0 } .a1 { right: 0; top: 2pt } .a2 { left: 10%; bottom: 0 } .a3 { right: 0; bottom: 0 }";

/// A document, its pages as laid out, and the text of each item of text.
struct Made {
    pdf: crate::domain::plain::Plain,
    pages: Vec<Page>,
    lines: Vec<Line>,
}

/// A run of text: its page, its box, and whether it is out of the flow.
struct Line {
    page: usize,
    left: f32,
    right: f32,
    base: f32,
    size: f32,
    over: bool,
    text: String,
}

fn made(html: &str) -> Result<Made, RenderError> {
    let sheet = Sheet::parse(CSS, &FONTS.families())?;
    let tree = Tree::parse(html)?;
    let styles = Styles::of(&tree, &sheet);
    let assets = Assets::default();
    let mut layout = Layout::new(&FONTS, &assets, &tree, &styles);
    let pages = crate::render::lay_out(&mut layout, &sheet)?;
    layout.check()?;
    let about = About { title: "", language: "ja", archive: true, attachment: None };
    let drawn = paint::draw(&pages, &layout, true);
    let pdf = finish::finish(drawn, &pages, &layout, &about)?;
    let mut lines = Vec::new();
    for (number, page) in pages.iter().enumerate() {
        for item in &page.items {
            let Shape::Text(run) = &item.shape else { continue };
            let first = run.first as usize;
            let glyphs = &layout.glyphs[first..first + run.count as usize];
            let width: f32 = glyphs.iter().map(|glyph| glyph.advance).sum();
            let text = glyphs.iter().filter_map(|glyph| char::from_u32(glyph.base)).collect();
            let right = run.x + width;
            lines.push(Line {
                page: number,
                left: run.x,
                right,
                base: run.y,
                size: run.size,
                over: item.over,
                text,
            });
        }
    }
    Ok(Made { pdf, pages, lines })
}

fn on_the_sheet(made: &Made) -> Result<(), TestCaseError> {
    for page in &made.pages {
        for item in &page.items {
            let area = match &item.shape {
                Shape::Fill(area)
                | Shape::Rule(area)
                | Shape::Dash(area, _)
                | Shape::Picture(area, _) => *area,
                Shape::Round(round) => round.area,
                Shape::Text(_) => continue,
            };
            let Area { x, y, w, h, .. } = area;
            prop_assert!(
                x >= -0.1 && y >= -0.1 && x + w <= page.width + 0.1 && y + h <= page.height + 0.1,
                "{area:?} leaves the sheet"
            );
        }
    }
    // A box out of the flow that does not wrap reaches from its edge as far as its
    // text is long: that is its style's wish.
    for line in made.lines.iter().filter(|line| !line.over) {
        let page = &made.pages[line.page];
        let whole = line.left >= -0.1
            && line.right <= page.width + 0.1
            && line.base - line.size >= -0.1
            && line.base <= page.height;
        prop_assert!(whole, "{:?} leaves the sheet: {} to {}", line.text, line.left, line.right);
    }
    Ok(())
}

/// Two runs on different baselines never share a place.
fn no_line_over_another(made: &Made) -> Result<(), TestCaseError> {
    let flow: Vec<&Line> = made.lines.iter().filter(|line| !line.over).collect();
    for (number, a) in flow.iter().enumerate() {
        for b in &flow[number + 1..] {
            let beside = a.right <= b.left + 0.1 || b.right <= a.left + 0.1;
            // The glyphs proper: what hangs below a baseline may touch what rises.
            let above = (a.base - b.base).abs() >= 0.8 * a.size.min(b.size);
            prop_assert!(
                a.page != b.page
                    || beside
                    || above
                    || a.text.trim().is_empty()
                    || b.text.trim().is_empty(),
                "{:?} and {:?} overlap at {} and {}",
                a.text,
                b.text,
                a.base,
                b.base
            );
        }
    }
    Ok(())
}

/// Everything once: each character as often as in the data, each page's flow in order.
fn nothing_lost(made: &Made, writer: &Writer) -> Result<(), TestCaseError> {
    let read = text(&made.pdf).concat().replace('•', "");
    let mut wanted = bare(&writer.flow);
    writer.absolute.iter().for_each(|text| wanted.push_str(text));
    let sorted = |text: &str| {
        let mut all: Vec<char> = text.chars().collect();
        all.sort_unstable();
        all
    };
    prop_assert_eq!(sorted(&read), sorted(&wanted), "every character is in the text layer once");
    for text in &writer.absolute {
        prop_assert!(read.contains(text.as_str()), "an absolute box in one piece: {}", text);
    }
    Ok(())
}

fn cases() -> u32 {
    if std::env::var_os("KAKITOME_TEST_LONG").is_some() { 2_000 } else { 60 }
}

/// A usual run tries the same documents every time; a long one looks for new ones.
fn seed() -> proptest::test_runner::RngSeed {
    use proptest::test_runner::RngSeed;
    if std::env::var_os("KAKITOME_TEST_LONG").is_some() {
        RngSeed::Random
    } else {
        RngSeed::Fixed(1122)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, rng_seed: seed(), ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn any_document_is_laid_out_whole(blocks in proptest::collection::vec(block(), 1..8)) {
        let mut writer = Writer::default();
        writer.around("<html lang=\"ja\"><body>", &blocks, "</body></html>");
        let made_once = match made(&writer.html) {
            Ok(made) => made,
            // A generator that fits its sheet leaves one thing to be refused.
            Err(error) => {
                prop_assert!(error.to_string().contains("nested too deeply"), "{}", error);
                return Ok(());
            }
        };
        on_the_sheet(&made_once)?;
        no_line_over_another(&made_once)?;
        nothing_lost(&made_once, &writer)?;
        prop_assert_eq!(&*made_once.pdf, &*made(&writer.html).unwrap().pdf, "the same bytes twice");
    }

    #[test]
    fn the_text_of_blocks_is_read_in_order(texts in proptest::collection::vec((words(), 0u8..5), 1..40)) {
        let body: String = texts.iter().map(|(text, style)| format!("<div class=\"b{style}\"><p>{text}</p></div>")).collect();
        let made = made(&format!("<html><body>{body}</body></html>")).unwrap();
        let wanted: String = texts.iter().map(|(text, _)| bare(text)).collect();
        prop_assert_eq!(text(&made.pdf).concat(), wanted, "in order");
    }
}

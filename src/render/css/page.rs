//! `@page`: the sheet of paper, its margins and what stands in them.

use cssparser::{Parser, Token};

use super::{
    margin_box::{Content, MarginBox, margin_box, slot, unknown_slot},
    parse::{Fail, Reader, each_declaration, fail, located, nested, place, skip_to_block},
    property::four,
    value::{Length, length, signed_length},
};
use crate::render::{
    error::{At, RenderError},
    near,
};

/// Points in a millimetre.
const MM: f32 = 72.0 / 25.4;
/// Sheets with a name (css-page-3 §8.1), upright, in points.
const SIZES: [(&str, f32, f32); 8] = [
    ("a3", 297.0 * MM, 420.0 * MM),
    ("a4", 210.0 * MM, 297.0 * MM),
    ("a5", 148.0 * MM, 210.0 * MM),
    ("b5", 176.0 * MM, 250.0 * MM),
    ("jis-b4", 257.0 * MM, 364.0 * MM),
    ("jis-b5", 182.0 * MM, 257.0 * MM),
    ("legal", 612.0, 1008.0),
    ("letter", 612.0, 792.0),
];
/// The shortest and the longest side of a sheet.
const SIDES: std::ops::RangeInclusive<f32> = 50.0 * MM..=1_200.0 * MM;
/// What must be left within the margins, in points.
const LEAST: f32 = 72.0;

/// One kind of sheet, in points.
#[derive(Clone, Debug)]
pub(in crate::render) struct PageRule {
    pub(in crate::render) width: f32,
    pub(in crate::render) height: f32,
    pub(in crate::render) margin: [f32; 4],
    pub(in crate::render) boxes: Vec<MarginBox>,
}

/// The sheets of a document: the first may differ from the rest in its upper
/// and lower margin and in what stands there.
#[derive(Clone, Debug)]
pub(in crate::render) struct Paper {
    pub(in crate::render) first: PageRule,
    pub(in crate::render) rest: PageRule,
}

/// The `@page` rules of a stylesheet as they were written.
#[derive(Debug, Default)]
pub(in crate::render) struct PageRules(Vec<Block>);

/// One `@page` rule.
#[derive(Debug, Default)]
struct Block {
    name: Option<String>,
    first: bool,
    size: Option<(f32, f32)>,
    margin: [Option<f32>; 4],
    boxes: Vec<MarginBox>,
}

impl Default for PageRule {
    fn default() -> Self {
        let (width, height) = (210.0 * MM, 297.0 * MM);
        Self { width, height, margin: [20.0 * MM; 4], boxes: Vec::new() }
    }
}

impl PageRule {
    /// A sheet with nothing in its margins.
    pub(in crate::render) fn plain() -> Self {
        Self::default()
    }

    /// The width between the margins.
    pub(in crate::render) fn inner_width(&self) -> f32 {
        self.width - self.margin[1] - self.margin[3]
    }

    fn take(&mut self, block: &Block) {
        if let Some((width, height)) = block.size {
            (self.width, self.height) = (width, height);
        }
        for (side, margin) in self.margin.iter_mut().zip(block.margin) {
            *side = margin.unwrap_or(*side);
        }
        for margin_box in &block.boxes {
            self.boxes.retain(|known| known.slot != margin_box.slot);
            self.boxes.push(margin_box.clone());
        }
    }

    fn is_usable(&self) -> bool {
        let [top, right, bottom, left] = self.margin;
        SIDES.contains(&self.width)
            && SIDES.contains(&self.height)
            && self.margin.iter().all(|side| *side >= 0.0)
            && self.height - top - bottom >= LEAST
            && self.width - left - right >= LEAST
    }
}

impl PageRules {
    /// The sheets of a document whose root or body has this `page`: rules
    /// without a name, then those with it, those of the first page last.
    pub(in crate::render) fn paper(&self, name: Option<&str>) -> Result<Paper, RenderError> {
        if let Some(name) = name
            && !self.0.iter().any(|block| block.name.as_deref() == Some(name))
        {
            return Err(RenderError::style("`page` names no @page rule"));
        }
        let mut rest = PageRule::default();
        let applying = |first: bool, named: bool| {
            self.0.iter().filter(move |block| {
                let fits = if named { block.name.as_deref() == name } else { block.name.is_none() };
                fits && block.first == first && (named == block.name.is_some())
            })
        };
        for block in applying(false, false).chain(applying(false, true)) {
            rest.take(block);
        }
        let mut first = rest.clone();
        for block in applying(true, false).chain(applying(true, true)) {
            first.take(block);
        }
        if !first.is_usable() || !rest.is_usable() {
            return Err(RenderError::style("@page: too little is left of the sheet, or too much"));
        }
        let sides = |page: &PageRule| {
            [page.width, page.height, page.margin[1], page.margin[3]].map(f32::to_bits)
        };
        if sides(&first) != sides(&rest) {
            return Err(RenderError::style(
                "@page :first: the size and the margins at the sides are those of all pages",
            ));
        }
        Ok(Paper { first, rest })
    }

    /// The names that `string()` asks for in the margins.
    pub(super) fn strings(&self) -> impl Iterator<Item = (&str, At)> {
        let content = self.0.iter().flat_map(|block| &block.boxes).flat_map(|one| &one.content);
        content.filter_map(|content| match content {
            Content::Named(name, at) => Some((name.as_str(), *at)),
            Content::Text(_) | Content::Page | Content::Pages => None,
        })
    }

    /// Whether every name gives a usable sheet.
    pub(super) fn check(&self) -> Result<(), RenderError> {
        self.paper(None)?;
        self.0.iter().try_for_each(|block| self.paper(block.name.as_deref()).map(|_| ()))
    }
}

/// Reads what follows `@page`.
pub(super) fn rule(
    input: &mut Parser<'_>,
    reader: &Reader,
    rules: &mut PageRules,
) -> Result<(), RenderError> {
    let at = place(input);
    let mut block = Block::default();
    loop {
        match input.next().cloned() {
            Ok(Token::Ident(name)) if block.name.is_none() && !block.first => {
                block.name = Some(name.to_string());
            }
            Ok(Token::Colon) if !block.first => {
                if input.expect_ident_matching("first").is_err() {
                    let what = "the only pseudo-class of @page is `:first`";
                    skip_to_block(input, reader, located(Fail::of(what), at))?;
                    break;
                }
                block.first = true;
            }
            Ok(Token::CurlyBracketBlock) => break,
            Ok(_) | Err(_) => {
                let what = "@page takes a name, `:first` or both, and a block `{ … }`";
                skip_to_block(input, reader, located(Fail::of(what), at))?;
                break;
            }
        }
    }
    nested(input, |input| body(input, reader, &mut block))?;
    rules.0.push(block);
    Ok(())
}

/// Reads the block of an `@page` rule.
fn body(input: &mut Parser<'_>, reader: &Reader, page: &mut Block) -> Result<(), RenderError> {
    loop {
        input.skip_whitespace();
        let at = place(input);
        let state = input.state();
        match input.next().cloned() {
            Err(_) => return Ok(()),
            Ok(Token::AtKeyword(name)) => {
                input
                    .expect_curly_bracket_block()
                    .map_err(|_| located(Fail::of("a block `{ … }` is expected"), at))?;
                let Some(slot) = slot(&name) else {
                    reader.note(located(unknown_slot(&name), at));
                    continue;
                };
                let margin_box = nested(input, |input| margin_box(input, reader, slot))?;
                page.boxes.push(margin_box);
            }
            Ok(_) => {
                input.reset(&state);
                one_declaration(input, reader, page)?;
            }
        }
    }
}

/// Reads the declarations up to the next margin box.
fn one_declaration(
    input: &mut Parser<'_>,
    reader: &Reader,
    page: &mut Block,
) -> Result<(), RenderError> {
    let at = place(input);
    let mut outcome = Ok(());
    let parsed: Result<(), cssparser::ParseError<()>> =
        input.parse_until_after(cssparser::Delimiter::Semicolon, |input| {
            outcome = each_declaration(input, reader, |name, input| declaration(name, input, page));
            while input.next().is_ok() {}
            Ok(())
        });
    if parsed.is_err() {
        return Err(located(Fail::of("malformed @page"), at));
    }
    outcome
}

fn declaration(name: &str, input: &mut Parser<'_>, page: &mut Block) -> Result<(), Fail> {
    let points = |length: Length| match length {
        Length::Points(points) => Ok(points),
        Length::Em(_) | Length::Rem(_) | Length::Percent(_) => {
            fail("an absolute length is expected")
        }
    };
    match name {
        "size" => page.size = Some(size(input)?),
        "margin" => {
            let sides = four(input, signed_length)?;
            for (side, length) in page.margin.iter_mut().zip(sides) {
                *side = Some(points(length)?);
            }
        }
        "margin-top" | "margin-right" | "margin-bottom" | "margin-left" => {
            let sides = ["margin-top", "margin-right", "margin-bottom", "margin-left"];
            let value = points(signed_length(input)?)?;
            for (side, known) in page.margin.iter_mut().zip(sides) {
                if known == name {
                    *side = Some(value);
                }
            }
        }
        _ => {
            let known = "size margin margin-top margin-right margin-bottom margin-left";
            let hint = near::meant(name, known.split(' '));
            return fail(format!("unknown property in @page{hint}"));
        }
    }
    Ok(())
}

/// A name, two lengths, and which side is the longer one.
fn size(input: &mut Parser<'_>) -> Result<(f32, f32), Fail> {
    let mut sheet: Option<(f32, f32)> = None;
    let mut turned = None;
    while !input.is_exhausted() {
        if let Ok(Length::Points(width)) = input.try_parse(length) {
            let height = match input.try_parse(length) {
                Ok(Length::Points(height)) => height,
                Ok(_) => return fail("an absolute length is expected"),
                Err(_) => width,
            };
            sheet = Some((width, height));
            continue;
        }
        match input.next().cloned() {
            Ok(Token::Ident(word)) => match word.to_ascii_lowercase().as_str() {
                "landscape" => turned = Some(true),
                "portrait" => turned = Some(false),
                word => {
                    let known = SIZES.iter().find(|(name, ..)| *name == word);
                    let Some(known) = known else {
                        let names = SIZES.map(|(name, ..)| name);
                        return fail(format!(
                            "unknown size of paper {}{}",
                            near::quote(word),
                            near::expected(word, &names)
                        ));
                    };
                    sheet = Some((known.1, known.2));
                }
            },
            Ok(_) | Err(_) => return fail("a size of paper is expected, such as A4"),
        }
    }
    let (width, height) = sheet.unwrap_or((210.0 * MM, 297.0 * MM));
    Ok(match turned {
        Some(true) => (width.max(height), width.min(height)),
        Some(false) => (width.min(height), width.max(height)),
        None => (width, height),
    })
}

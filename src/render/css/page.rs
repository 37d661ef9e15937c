//! `@page`: the sheet of paper, its margins and what stands in them.

use cssparser::{Parser, Token};

use super::{
    parse::{Fail, Variables, each_declaration, fail, located, nested, place},
    property::four,
    value::{Length, Rgb, color, length, signed_length},
};
use crate::render::error::RenderError;

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

/// Where a margin box stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) struct Slot {
    /// In the upper margin, or in the lower one.
    pub(in crate::render) top: bool,
    /// 0 at the left, 1 in the middle, 2 at the right.
    pub(in crate::render) column: u8,
}

/// A piece of `content`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render) enum Content {
    Text(String),
    Page,
    Pages,
    Named(String),
}

/// A line in the margin of every page.
#[derive(Clone, Debug)]
pub(in crate::render) struct MarginBox {
    pub(in crate::render) slot: Slot,
    pub(in crate::render) content: Vec<Content>,
    /// In points.
    pub(in crate::render) size: f32,
    pub(in crate::render) bold: bool,
    pub(in crate::render) color: Rgb,
}

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

    /// Whether every name gives a usable sheet.
    pub(super) fn check(&self) -> Result<(), RenderError> {
        self.paper(None)?;
        self.0.iter().try_for_each(|block| self.paper(block.name.as_deref()).map(|_| ()))
    }
}

/// Reads what follows `@page`.
pub(super) fn rule(
    input: &mut Parser<'_>,
    variables: &Variables,
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
                let first = input.expect_ident_matching("first");
                first.map_err(|_| located(Fail("the only pseudo-class of @page is :first"), at))?;
                block.first = true;
            }
            Ok(Token::CurlyBracketBlock) => break,
            Ok(_) | Err(_) => return Err(located(Fail("@page"), at)),
        }
    }
    nested(input, |input| body(input, variables, &mut block))?;
    rules.0.push(block);
    Ok(())
}

/// Reads the block of an `@page` rule.
fn body(
    input: &mut Parser<'_>,
    variables: &Variables,
    page: &mut Block,
) -> Result<(), RenderError> {
    loop {
        input.skip_whitespace();
        let at = place(input);
        let state = input.state();
        match input.next().cloned() {
            Err(_) => return Ok(()),
            Ok(Token::AtKeyword(name)) => {
                let slot = slot(&name).ok_or_else(|| located(Fail("unknown margin box"), at))?;
                input
                    .expect_curly_bracket_block()
                    .map_err(|_| located(Fail("a block is expected"), at))?;
                let margin_box = nested(input, |input| margin_box(input, variables, slot))?;
                page.boxes.push(margin_box);
            }
            Ok(_) => {
                input.reset(&state);
                one_declaration(input, variables, page)?;
            }
        }
    }
}

/// Reads the declarations up to the next margin box.
fn one_declaration(
    input: &mut Parser<'_>,
    variables: &Variables,
    page: &mut Block,
) -> Result<(), RenderError> {
    let at = place(input);
    let mut outcome = Ok(());
    let parsed: Result<(), cssparser::ParseError<()>> =
        input.parse_until_after(cssparser::Delimiter::Semicolon, |input| {
            outcome =
                each_declaration(input, variables, |name, input| declaration(name, input, page));
            while input.next().is_ok() {}
            Ok(())
        });
    if parsed.is_err() {
        return Err(located(Fail("malformed @page"), at));
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
        _ => return fail("unknown property"),
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
                    let known = known.ok_or(Fail("unknown size of paper"))?;
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

fn slot(name: &str) -> Option<Slot> {
    let (row, column) = name.split_once('-')?;
    let top = match row {
        "top" => true,
        "bottom" => false,
        _ => return None,
    };
    let column = ["left", "center", "right"].iter().position(|known| *known == column)?;
    Some(Slot { top, column: u8::try_from(column).ok()? })
}

fn margin_box(
    input: &mut Parser<'_>,
    variables: &Variables,
    slot: Slot,
) -> Result<MarginBox, RenderError> {
    let mut out =
        MarginBox { slot, content: Vec::new(), size: 7.0, bold: false, color: Rgb(0, 0, 0) };
    each_declaration(input, variables, |name, input| {
        match name {
            "content" => out.content = content(input)?,
            "font-size" => match length(input)? {
                Length::Points(points) => out.size = points,
                Length::Em(_) | Length::Rem(_) | Length::Percent(_) => {
                    return fail("an absolute length is expected");
                }
            },
            "font-weight" => out.bold = super::property::weight(input)?,
            "color" => out.color = color(input)?,
            _ => return fail("unknown property"),
        }
        Ok(())
    })?;
    Ok(out)
}

fn content(input: &mut Parser<'_>) -> Result<Vec<Content>, Fail> {
    let mut out = Vec::new();
    if input.try_parse(|input| input.expect_ident_matching("none")).is_ok() {
        return Ok(out);
    }
    while !input.is_exhausted() {
        out.push(match input.next().cloned() {
            Ok(Token::QuotedString(text)) => Content::Text(text.to_string()),
            Ok(Token::Function(function)) => {
                let mut name = String::new();
                let parsed: Result<(), cssparser::ParseError<()>> =
                    input.parse_nested_block(|input| {
                        input.expect_ident()?.as_ref().clone_into(&mut name);
                        Ok(())
                    });
                parsed.map_err(|_| Fail("a name is expected"))?;
                match (function.as_ref(), name.as_str()) {
                    ("counter", "page") => Content::Page,
                    ("counter", "pages") => Content::Pages,
                    ("string", _) => Content::Named(name),
                    _ => return fail("unknown function"),
                }
            }
            Ok(_) | Err(_) => return fail("text, counter() or string() is expected"),
        });
    }
    Ok(out)
}

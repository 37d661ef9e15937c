//! `@font-face`: a family of the template's own, from a file of its bundle.

use cssparser::{Parser, Token};

use super::parse::{Fail, Reader, each_declaration, fail, located, nested, place, skip_to_block};
use crate::render::error::RenderError;

/// One face of a family that the template brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render) struct FontFace {
    pub(in crate::render) family: String,
    /// The file in the bundle.
    pub(in crate::render) file: String,
    pub(in crate::render) bold: bool,
}

/// Reads what follows `@font-face`.
pub(super) fn rule(input: &mut Parser<'_>, reader: &Reader) -> Result<FontFace, RenderError> {
    let at = place(input);
    if input.expect_curly_bracket_block().is_err() {
        let what = "a block `{ … }` is expected after @font-face";
        skip_to_block(input, reader, located(Fail::of(what), at))?;
    }
    let mut face = FontFace { family: String::new(), file: String::new(), bold: false };
    nested(input, |input| {
        each_declaration(input, reader, |name, input| {
            match name {
                "font-family" => {
                    let family = input.expect_ident_or_string();
                    family
                        .map_err(|_| Fail::of("a family is expected"))?
                        .as_ref()
                        .clone_into(&mut face.family);
                }
                "font-weight" => face.bold = super::property::weight(input)?,
                "src" => face.file = file(input)?,
                _ => {
                    return fail(
                        "unknown property in @font-face; `font-family`, `font-weight` and `src` \
                         are known",
                    );
                }
            }
            Ok(())
        })
    })?;
    if face.family.is_empty() || face.file.is_empty() {
        return Err(located(Fail::of("@font-face: font-family and src are expected"), at));
    }
    Ok(face)
}

/// `url(file.ttf)`: a file of the bundle, never an address.
pub(super) fn file(input: &mut Parser<'_>) -> Result<String, Fail> {
    let name = match input.next().cloned() {
        Ok(Token::UnquotedUrl(name)) => name.to_string(),
        Ok(Token::Function(function)) if function.as_ref() == "url" => {
            let mut name = String::new();
            let parsed: Result<(), cssparser::ParseError<()>> = input.parse_nested_block(|input| {
                input.expect_string()?.as_ref().clone_into(&mut name);
                Ok(())
            });
            parsed.map_err(|_| Fail::of("a file is expected"))?;
            name
        }
        Ok(_) | Err(_) => return fail("url() with a file of the folder is expected"),
    };
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if plain && !name.starts_with('.') {
        Ok(name)
    } else {
        fail("only files of the template's folder: no folder, no address")
    }
}

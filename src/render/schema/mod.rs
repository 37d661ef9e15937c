//! The shape of a template's data: the part of JSON Schema (2020-12) that
//! `data.schema.json` files use.
//!
//! Objects are closed: a field that the schema does not name is an error, so a
//! misspelt field is found before the letter is printed without it. Whatever
//! this module does not understand in a schema is an error when the template is
//! registered.

mod compile;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::RenderError;

use crate::domain::document::money::Decimal;

/// Deeper data and deeper schemas are refused.
const DEEPEST: usize = 16;
/// The most characters of a string that states no limit of its own.
const MAX_LENGTH: usize = 4_000;
/// The most items of a list that states no limit of its own.
const MAX_ITEMS: usize = 10_000;

/// A compiled schema.
#[derive(Debug, PartialEq)]
pub(super) enum Schema {
    /// An object with exactly these fields.
    Object { fields: Vec<Field> },
    /// A list.
    List { items: Box<Schema>, min: usize, max: usize },
    /// A text; lengths in characters.
    Text { min: usize, max: usize, format: Format, words: Vec<String> },
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
}

/// A field of an object.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    required: bool,
    pub(super) schema: Schema,
}

/// What a text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Any,
    /// `YYYY-MM-DD`.
    Date,
    /// A decimal number.
    Decimal,
}

impl Schema {
    /// Reads a schema.
    pub(super) fn compile(text: &[u8]) -> Result<Self, RenderError> {
        compile::schema(text)
    }

    /// A text that is one of these.
    pub(super) fn words(words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self::Text { min: 0, max: MAX_LENGTH, format: Format::Any, words }
    }

    /// Checks data; the error names the path of the first bad field.
    pub(super) fn check(&self, data: &Value) -> Result<(), RenderError> {
        self.check_at(data, &mut Vec::new())
    }

    /// The names of all fields, at any depth.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        match self {
            Self::Object { fields } => fields
                .iter()
                .flat_map(|field| {
                    let mut names = field.schema.names();
                    names.insert(&field.name);
                    names
                })
                .collect(),
            Self::List { items, .. } => items.names(),
            Self::Text { .. } | Self::Integer | Self::Boolean => BTreeSet::new(),
        }
    }

    /// Whether this very part is one of another's.
    pub(super) fn is_in(&self, whole: &Self) -> bool {
        std::ptr::eq(self, whole)
            || match whole {
                Self::Object { fields } => fields.iter().any(|field| self.is_in(&field.schema)),
                Self::List { items, .. } => self.is_in(items),
                Self::Text { .. } | Self::Integer | Self::Boolean => false,
            }
    }

    fn check_at<'a>(
        &'a self,
        data: &'a Value,
        path: &mut Vec<Step<'a>>,
    ) -> Result<(), RenderError> {
        match (self, data) {
            (Self::Object { fields }, Value::Object(map)) => check_object(fields, map, path),
            (Self::List { items, min, max }, Value::Array(list)) => {
                if !(*min..=*max).contains(&list.len()) {
                    return Err(bad(path, "too few or too many items"));
                }
                for (index, item) in list.iter().enumerate() {
                    path.push(Step::Index(index));
                    items.check_at(item, path)?;
                    path.pop();
                }
                Ok(())
            }
            (Self::Text { min, max, format, words }, Value::String(text)) => {
                check_text(text, (*min, *max), *format, words).map_err(|what| bad(path, what))
            }
            (Self::Integer, Value::Number(number)) if number.is_i64() => Ok(()),
            (Self::Boolean, Value::Bool(_)) => Ok(()),
            (Self::Object { .. }, _) => Err(bad(path, "an object is expected")),
            (Self::List { .. }, _) => Err(bad(path, "a list is expected")),
            (Self::Text { .. }, _) => Err(bad(path, "a string is expected")),
            (Self::Integer, _) => Err(bad(path, "a whole number is expected")),
            (Self::Boolean, _) => Err(bad(path, "true or false is expected")),
        }
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

fn check_object<'a>(
    fields: &'a [Field],
    map: &'a Map<String, Value>,
    path: &mut Vec<Step<'a>>,
) -> Result<(), RenderError> {
    let mut wanted = fields.iter().filter(|field| field.required).count();
    for (name, value) in map {
        path.push(Step::Field(name));
        let field = fields.iter().find(|field| field.name == *name);
        let field = field.ok_or_else(|| bad(path, "not a field of this document"))?;
        field.schema.check_at(value, path)?;
        wanted = wanted.saturating_sub(usize::from(field.required));
        path.pop();
    }
    if wanted == 0 {
        return Ok(());
    }
    let missing = fields.iter().find(|field| field.required && !map.contains_key(&field.name));
    path.extend(missing.map(|field| Step::Field(&field.name)));
    Err(bad(path, "missing"))
}

fn check_text(
    text: &str,
    (min, max): (usize, usize),
    format: Format,
    words: &[String],
) -> Result<(), &'static str> {
    let (mut length, mut unprintable) = (0usize, false);
    for character in text.chars() {
        length = length.saturating_add(1);
        unprintable |= is_unprintable(character);
    }
    if length < min {
        return Err("too short");
    }
    if length > max {
        return Err("too long");
    }
    if unprintable {
        return Err("control characters and noncharacters are not allowed");
    }
    if !words.is_empty() && !words.iter().any(|word| word == text) {
        return Err("not one of the allowed words");
    }
    match format {
        Format::Any => Ok(()),
        Format::Date => match text.parse::<chrono::NaiveDate>() {
            Ok(_) if text.len() == 10 => Ok(()),
            Ok(_) | Err(_) => Err("a date as YYYY-MM-DD is expected"),
        },
        Format::Decimal => match Decimal::parse(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("a decimal number as a string is expected"),
        },
    }
}

/// Characters that stand for nothing on paper; line breaks and tabs do.
fn is_unprintable(character: char) -> bool {
    let code = u32::from(character);
    let noncharacter = code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code);
    noncharacter || (character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
}

/// A title without them.
pub(super) fn printable(title: &str) -> String {
    title.chars().filter(|character| !is_unprintable(*character)).collect()
}

/// Field names are the sender's; what does not look like a name is not echoed.
fn bad(path: &[Step<'_>], what: &'static str) -> RenderError {
    let mut field = String::new();
    for step in path {
        match step {
            Step::Index(index) => {
                field.push('[');
                field.push_str(&index.to_string());
                field.push(']');
            }
            Step::Field(name) => {
                let plain = (1..=40).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(if plain { name } else { "?" });
            }
        }
    }
    if field.is_empty() {
        field.push_str("data");
    }
    RenderError::BadDocumentData { field, what }
}

//! The shape of a template's data: the part of JSON Schema (2020-12) that
//! `data.schema.json` files use.
//!
//! Objects are closed: a field that the schema does not name is an error, so a
//! misspelt field is found before the letter is printed without it. Whatever
//! this module does not understand in a schema is an error when the template is
//! registered.

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
#[derive(Debug)]
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
#[derive(Debug)]
pub(super) struct Field {
    name: String,
    required: bool,
    schema: Schema,
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
        let root: Value = serde_json::from_slice(text)
            .map_err(|error| super::template::not_json("data.schema.json", &error))?;
        compile(&root, &root, 0)
    }

    /// Checks data; the error names the path of the first bad field.
    pub(super) fn check(&self, data: &Value) -> Result<(), RenderError> {
        self.check_at(data, &mut Vec::new())
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
    let length = text.chars().count();
    if length < min {
        return Err("too short");
    }
    if length > max {
        return Err("too long");
    }
    if text.chars().any(is_unprintable) {
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
pub(super) fn is_unprintable(character: char) -> bool {
    let code = u32::from(character);
    let noncharacter = code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code);
    noncharacter || (character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
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

fn unusable(what: &str) -> RenderError {
    RenderError::template("data.schema.json", what, None)
}

fn compile(schema: &Value, root: &Value, depth: usize) -> Result<Schema, RenderError> {
    if depth > DEEPEST {
        return Err(unusable("nested too deeply"));
    }
    let map = schema.as_object().ok_or_else(|| unusable("a schema is an object"))?;
    if let Some(target) = map.get("$ref") {
        let pointer = target.as_str().and_then(|target| target.strip_prefix('#'));
        let target = pointer.and_then(|pointer| root.pointer(pointer));
        return compile(
            target.ok_or_else(|| unusable("unknown $ref"))?,
            root,
            depth.saturating_add(1),
        );
    }
    let only = |allowed: &[&str]| {
        let annotations = ["$schema", "$id", "$defs", "title", "description", "type", "$comment"];
        let unknown = map
            .keys()
            .find(|key| !allowed.contains(&key.as_str()) && !annotations.contains(&key.as_str()));
        match unknown {
            Some(key) => Err(unusable(&format!("unknown keyword `{key}`"))),
            None => Ok(()),
        }
    };
    let limit = |key: &str, default: usize| match map.get(key) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| unusable(&format!("`{key}` is not a number"))),
    };
    match map.get("type").and_then(Value::as_str) {
        Some("object") => {
            only(&["properties", "required", "additionalProperties"])?;
            compile_object(map, root, depth)
        }
        Some("array") => {
            only(&["items", "minItems", "maxItems"])?;
            let items = map.get("items").ok_or_else(|| unusable("a list without `items`"))?;
            Ok(Schema::List {
                items: Box::new(compile(items, root, depth.saturating_add(1))?),
                min: limit("minItems", 0)?,
                max: limit("maxItems", MAX_ITEMS)?,
            })
        }
        Some("string") => {
            only(&["minLength", "maxLength", "format", "enum"])?;
            let (min, max) = (limit("minLength", 0)?, limit("maxLength", MAX_LENGTH)?);
            Ok(Schema::Text { min, max, format: format(map)?, words: strings(map.get("enum"))? })
        }
        Some("integer") => only(&[]).map(|()| Schema::Integer),
        Some("boolean") => only(&[]).map(|()| Schema::Boolean),
        Some(_) | None => Err(unusable("unknown or missing `type`")),
    }
}

fn compile_object(
    map: &Map<String, Value>,
    root: &Value,
    depth: usize,
) -> Result<Schema, RenderError> {
    if map.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(unusable("objects say `additionalProperties: false`"));
    }
    let properties = map.get("properties").and_then(Value::as_object);
    let required = strings(map.get("required"))?;
    let mut fields = Vec::new();
    for (name, schema) in properties.ok_or_else(|| unusable("an object without `properties`"))? {
        let schema = compile(schema, root, depth.saturating_add(1))?;
        let required = required.contains(name);
        fields.push(Field { name: name.clone(), required, schema });
    }
    if required.iter().any(|name| !fields.iter().any(|field| field.name == *name)) {
        return Err(unusable("`required` names an unknown field"));
    }
    Ok(Schema::Object { fields })
}

fn format(map: &Map<String, Value>) -> Result<Format, RenderError> {
    match map.get("format").map(Value::as_str) {
        None => Ok(Format::Any),
        Some(Some("date")) => Ok(Format::Date),
        Some(Some("decimal")) => Ok(Format::Decimal),
        Some(_) => Err(unusable("unknown `format`")),
    }
}

fn strings(list: Option<&Value>) -> Result<Vec<String>, RenderError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let words =
        list.as_array().map(|list| list.iter().map(|word| word.as_str().map(str::to_owned)));
    words.and_then(Iterator::collect).ok_or_else(|| unusable("a list of strings is expected"))
}

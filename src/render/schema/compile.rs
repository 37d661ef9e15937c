//! Reads `data.schema.json`. What is not understood is named with its path in the
//! file, and with what to write in its place.

use serde_json::{Map, Value};

use super::{DEEPEST, Field, Format, MAX_ITEMS, MAX_LENGTH, Schema};
use crate::render::{
    error::{At, RenderError},
    json_place, near,
};

/// What is wrong, and where: the names on the way there.
struct Wrong {
    /// The last first.
    path: Vec<String>,
    /// The path begins at the root: a `$ref` was followed.
    absolute: bool,
    what: String,
}

type Compiled<T> = Result<T, Wrong>;

/// Reads a schema.
pub(super) fn schema(text: &[u8]) -> Result<Schema, RenderError> {
    let root: Value = serde_json::from_slice(text)
        .map_err(|error| crate::render::bundle::not_json("data.schema.json", &error))?;
    compile(&root, &root, 0).map_err(|wrong| {
        let text = String::from_utf8_lossy(text);
        let path: Vec<String> = wrong.path.into_iter().rev().collect();
        let (line, column) = json_place::line_and_column(&text, json_place::keys(&text, &path));
        let place = if path.is_empty() { String::new() } else { format!("`{}`: ", path.join(".")) };
        let what = format!("{place}{}", wrong.what);
        RenderError::template("data.schema.json", what, Some(At { line, column }))
    })
}

fn unusable(what: impl Into<String>) -> Wrong {
    Wrong { path: Vec::new(), absolute: false, what: what.into() }
}

/// The same a step further in.
fn within<'s>(steps: impl IntoIterator<Item = &'s str>) -> impl FnOnce(Wrong) -> Wrong {
    let steps: Vec<String> = steps.into_iter().map(str::to_owned).collect();
    move |mut wrong| {
        if !wrong.absolute {
            wrong.path.extend(steps.into_iter().rev());
        }
        wrong
    }
}

fn compile(schema: &Value, root: &Value, depth: usize) -> Compiled<Schema> {
    if depth > DEEPEST {
        return Err(unusable("nested too deeply"));
    }
    let map = schema.as_object().ok_or_else(|| unusable("a schema is an object"))?;
    if let Some(target) = map.get("$ref") {
        return follow(target, root, depth);
    }
    let only = |allowed: &[&str]| {
        let annotations = ["$schema", "$id", "$defs", "title", "description", "type", "$comment"];
        let unknown = map
            .keys()
            .find(|key| !allowed.contains(&key.as_str()) && !annotations.contains(&key.as_str()));
        match unknown {
            Some(key) => {
                let hint = near::meant(key, allowed.iter().copied());
                Err(within([key.as_str()])(unusable(format!(
                    "unknown keyword {}{hint}",
                    near::quote(key)
                ))))
            }
            None => Ok(()),
        }
    };
    let limit = |key: &str, default: usize| match map.get(key) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| within([key])(unusable("not a whole number of at least 0"))),
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
                items: Box::new(
                    compile(items, root, depth.saturating_add(1)).map_err(within(["items"]))?,
                ),
                min: limit("minItems", 0)?,
                max: limit("maxItems", MAX_ITEMS)?,
            })
        }
        Some("string") => {
            only(&["minLength", "maxLength", "format", "enum"])?;
            let (min, max) = (limit("minLength", 0)?, limit("maxLength", MAX_LENGTH)?);
            Ok(Schema::Text { min, max, format: format(map)?, words: strings(map, "enum")? })
        }
        Some("integer") => only(&[]).map(|()| Schema::Integer),
        Some("boolean") => only(&[]).map(|()| Schema::Boolean),
        Some("number") => Err(within(["type"])(unusable(
            "there are no fractions: `\"type\": \"integer\"` for minor units, or a `string` with \
             `\"format\": \"decimal\"`",
        ))),
        Some(word) => {
            let known = ["object", "array", "string", "integer", "boolean"];
            let what =
                format!("unknown type {}{}", near::quote(word), near::expected(word, &known));
            Err(within(["type"])(unusable(what)))
        }
        None => Err(unusable("`type` is missing")),
    }
}

/// Reads what a `$ref` names.
fn follow(target: &Value, root: &Value, depth: usize) -> Compiled<Schema> {
    let pointer = target.as_str().and_then(|target| target.strip_prefix('#'));
    let found = pointer.and_then(|pointer| Some((pointer, root.pointer(pointer)?)));
    let Some((pointer, target)) = found else {
        let what = "`$ref` names a place of this file, such as `#/$defs/party`";
        return Err(within(["$ref"])(unusable(what)));
    };
    // The fault is where the words are, not where they are asked for.
    compile(target, root, depth.saturating_add(1)).map_err(|mut wrong| {
        if !wrong.absolute {
            let steps = pointer.trim_start_matches('/').rsplit('/');
            wrong.path.extend(steps.map(str::to_owned));
        }
        wrong.absolute = true;
        wrong
    })
}

fn compile_object(map: &Map<String, Value>, root: &Value, depth: usize) -> Compiled<Schema> {
    if map.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(unusable("an object says `\"additionalProperties\": false`"));
    }
    let properties = map.get("properties").and_then(Value::as_object);
    let required = strings(map, "required")?;
    let mut fields = Vec::new();
    for (name, schema) in properties.ok_or_else(|| unusable("an object without `properties`"))? {
        let schema = compile(schema, root, depth.saturating_add(1));
        let schema = schema.map_err(within(["properties", name.as_str()]))?;
        let required = required.contains(name);
        fields.push(Field { name: name.clone(), required, schema });
    }
    if let Some(name) = required.iter().find(|name| !fields.iter().any(|one| one.name == **name)) {
        let what = format!("{} is no field of `properties`", near::quote(name));
        return Err(within(["required"])(unusable(what)));
    }
    Ok(Schema::Object { fields })
}

fn format(map: &Map<String, Value>) -> Compiled<Format> {
    match map.get("format").map(Value::as_str) {
        None => Ok(Format::Any),
        Some(Some("date")) => Ok(Format::Date),
        Some(Some("decimal")) => Ok(Format::Decimal),
        Some(_) => Err(within(["format"])(unusable("`date` or `decimal` is expected"))),
    }
}

fn strings(map: &Map<String, Value>, key: &str) -> Compiled<Vec<String>> {
    let Some(list) = map.get(key) else { return Ok(Vec::new()) };
    let words =
        list.as_array().map(|list| list.iter().map(|word| word.as_str().map(str::to_owned)));
    let words = words.and_then(Iterator::collect);
    words.ok_or_else(|| within([key])(unusable("a list of strings is expected")))
}

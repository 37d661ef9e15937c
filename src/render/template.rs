//! Templates: a bundle of files becomes something that can be rendered, or an
//! error that its author can use.
//!
//! A bundle has `template.html` (minijinja), `style.css`, `data.schema.json`, one or
//! more samples `sample*.json`, and pictures and fonts of its own. Everything is
//! checked here: tags and attributes in the source with their line, the
//! stylesheet, the schema, and that every sample renders in every language.
//!
//! A template has no way to the outside: it sees its data, and no file, clock,
//! environment or network. Its work is bounded by fuel, its output by
//! [`MAX_HTML`], and its memory because it cannot say what would make a value
//! larger ([`guard`]).

use std::{
    io::{self, Write},
    sync::Arc,
};

use minijinja::{
    AutoEscape, Environment, UndefinedBehavior, context, syntax::SyntaxConfig, value::Serde,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    address,
    assets::Assets,
    blame,
    css::Sheet,
    error::{At, RenderError},
    filters,
    font::{FontSet, FontSource},
    guard,
    origin::Trace,
    schema::Schema,
    tags,
};
use crate::domain::{
    document::{self, Kind},
    locale::Locale,
};

/// The most HTML that a template may write, in bytes.
pub(super) const MAX_HTML: usize = 4 << 20;
/// Instructions that a template may take.
const FUEL: u64 = 20_000_000;
/// The most bytes of one text file of a bundle.
const MAX_FILE: usize = 1 << 20;
/// The most bytes of one font of a bundle.
const MAX_FONT: usize = 16 << 20;

/// The files of a template, as an operator hands them over.
#[derive(Clone, Debug)]
pub struct TemplateBundle {
    /// The name that jobs use: `[a-z0-9-]{1,40}`.
    pub name: String,
    /// File names without folders, and their bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A template that passed all checks.
#[derive(Debug)]
pub(super) struct Template {
    /// The name and a part of the hash of all files.
    pub(super) version: String,
    pub(super) sheet: Sheet,
    pub(super) samples: Vec<Value>,
    /// The renderer's fonts and the template's own.
    pub(super) fonts: Arc<FontSet>,
    pub(super) assets: Assets,
    schema: Schema,
    environment: Environment<'static>,
    source: &'static str,
    kind: Option<Kind>,
}

impl Template {
    /// Checks a bundle; rendering the samples is the caller's part.
    pub(super) fn compile(
        bundle: &TemplateBundle,
        fonts: &Arc<FontSet>,
    ) -> Result<Self, RenderError> {
        let name = &bundle.name;
        let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !plain || !(1..=40).contains(&name.len()) || name == "pdf" {
            return Err(RenderError::template(
                "the folder",
                "the name of a template is [a-z0-9-]{1,40}",
                None,
            ));
        }
        let mut samples = Vec::new();
        let mut assets = Assets::default();
        for (file, bytes) in &bundle.files {
            if is_golden(file) || is_font(file) {
                continue;
            }
            if Assets::is_picture(file) {
                assets.add(file, bytes)?;
                continue;
            }
            if bytes.len() > MAX_FILE {
                return Err(RenderError::template(file.clone(), "larger than 1 MiB", None));
            }
            match file.as_str() {
                "template.html" | "style.css" | "data.schema.json" => {}
                sample if is_sample(sample) => {
                    let sample =
                        serde_json::from_slice(bytes).map_err(|error| not_json(file, &error))?;
                    samples.push(sample);
                }
                other => {
                    let what = if other.ends_with('/') {
                        "a folder: there are none in a template"
                    } else {
                        "not a file of a template"
                    };
                    return Err(RenderError::template(file.clone(), what, None));
                }
            }
        }
        if samples.is_empty() {
            return Err(RenderError::template("sample.json", "missing", None));
        }
        let source = text(bundle, "template.html")?;
        tags::check(source)?;
        // A template lives as long as the process, and there are a handful.
        let source: &'static str = String::from(source).leak();
        let sheet = Sheet::parse(text(bundle, "style.css")?, &fonts.families())?;
        let fonts = own_fonts(bundle, &sheet, fonts)?;
        if name == address::NAME && !(assets.is_empty() && sheet.faces.is_empty()) {
            let what = "has no pictures and no fonts of its own: it becomes a part of every letter";
            return Err(RenderError::template("the address page", what, None));
        }
        let schema = Schema::compile(text(bundle, "data.schema.json")?.as_bytes())?;
        Ok(Self {
            version: format!("{name}@{}", hash(bundle)),
            sheet,
            samples,
            fonts,
            assets,
            schema,
            environment: environment(source)?,
            source,
            kind: Kind::of(name),
        })
    }

    /// The HTML of a document.
    pub(super) fn html(
        &self,
        data: &Value,
        locale: Locale,
        title: &str,
    ) -> Result<Zeroizing<String>, RenderError> {
        self.write(data, locale, title, None).map(|(html, _)| html)
    }

    /// The HTML of a document on trial, and where it comes from.
    pub(super) fn traced(
        &self,
        data: &Value,
        locale: Locale,
        title: &str,
    ) -> Result<(Zeroizing<String>, Trace), RenderError> {
        let (html, trace) = self.write(data, locale, title, Some(Trace::of(self.source)))?;
        Ok((html, trace.unwrap_or_else(|| Trace::of(self.source))))
    }

    fn write(
        &self,
        data: &Value,
        locale: Locale,
        title: &str,
        trace: Option<Trace>,
    ) -> Result<(Zeroizing<String>, Option<Trace>), RenderError> {
        self.schema.check(data)?;
        let reading = match (self.kind, data) {
            (Some(kind), Value::Object(data)) => document::read(kind, data)?,
            _ => None,
        };
        let computed = reading.map(|reading| reading.view);
        let context = context! {
            d => Serde(data),
            t => Serde(&computed),
            locale => locale.tag(),
            ja => locale == Locale::Ja,
            title => title,
        };
        let template =
            self.environment.get_template("template.html").map_err(|error| failed(&error))?;
        let bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
        let on_trial = trace.is_some();
        let mut out = Bounded { bytes, full: false, trace };
        let written = template.render_captured_to(context.clone(), &mut out).map(|_| ());
        if out.full {
            return Err(RenderError::TooLarge { max: MAX_HTML });
        }
        written.map_err(|error| {
            if on_trial {
                blame::of(&error, self.source, &self.environment, &context, &self.schema)
            } else {
                failed(&error)
            }
        })?;
        let bytes = std::mem::take(&mut *out.bytes);
        // minijinja writes strings, so this cannot fail; if it did, nothing is printed.
        let html = String::from_utf8(bytes)
            .map_err(|_| RenderError::template("template.html", "not UTF-8", None))?;
        Ok((Zeroizing::new(html), out.trace))
    }
}

/// `sample.json`, `sample.en.json` and so on.
fn is_sample(file: &str) -> bool {
    file.strip_prefix("sample").is_some_and(|rest| rest.strip_suffix(".json").is_some())
}

/// A picture of what a sample looks like: for people and tests.
fn is_golden(file: &str) -> bool {
    file.starts_with("golden") && matches!(file.rsplit_once('.'), Some((_, "png")))
}

fn is_font(file: &str) -> bool {
    matches!(file.rsplit_once('.'), Some((_, "ttf")))
}

/// The fonts that a template may use: those of the renderer, and its own.
fn own_fonts(
    bundle: &TemplateBundle,
    sheet: &Sheet,
    fonts: &Arc<FontSet>,
) -> Result<Arc<FontSet>, RenderError> {
    if sheet.faces.is_empty() {
        return Ok(Arc::clone(fonts));
    }
    let mut own = FontSet::clone(fonts);
    for face in &sheet.faces {
        let bad = |what: &str| RenderError::template(face.file.clone(), what, None);
        let (_, bytes) = bundle
            .files
            .iter()
            .find(|(file, _)| *file == face.file)
            .ok_or_else(|| bad("missing: @font-face names it"))?;
        if bytes.len() > MAX_FONT {
            return Err(bad("larger than 16 MiB"));
        }
        let source = FontSource {
            family: face.family.clone(),
            bold: face.bold,
            bytes: Arc::new(bytes.clone()),
        };
        own.add(&source).map_err(bad)?;
    }
    Ok(Arc::new(own))
}

/// Where JSON breaks off.
pub(super) fn not_json(file: &str, error: &serde_json::Error) -> RenderError {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let at = At { line: number(error.line()), column: number(error.column()) };
    RenderError::template(file.to_owned(), "not JSON", Some(at))
}

/// Keeps the output below [`MAX_HTML`].
struct Bounded {
    bytes: Zeroizing<Vec<u8>>,
    full: bool,
    /// On trial only.
    trace: Option<Trace>,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(data.len()) > MAX_HTML {
            self.full = true;
            return Err(io::Error::other("too much HTML"));
        }
        if let Some(trace) = &mut self.trace {
            trace.note(self.bytes.len(), data);
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text<'a>(bundle: &'a TemplateBundle, name: &str) -> Result<&'a str, RenderError> {
    let (_, bytes) = bundle
        .files
        .iter()
        .find(|(file, _)| file == name)
        .ok_or_else(|| RenderError::template(name.to_owned(), "missing", None))?;
    str::from_utf8(bytes).map_err(|_| RenderError::template(name.to_owned(), "not UTF-8", None))
}

fn hash(bundle: &TemplateBundle) -> String {
    let mut files: Vec<_> = bundle.files.iter().collect();
    files.sort();
    let mut hash = Sha256::new();
    for (name, bytes) in files {
        hash.update(name.len().to_be_bytes());
        hash.update(name);
        hash.update(bytes.len().to_be_bytes());
        hash.update(bytes);
    }
    let digest = hash.finalize();
    data_encoding::HEXLOWER.encode(digest.get(..8).unwrap_or_default())
}

fn environment(source: &'static str) -> Result<Environment<'static>, RenderError> {
    let mut environment = guard::environment();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let syntax = syntax()?;
    environment.set_syntax(syntax.clone());
    filters::install(&mut environment);
    guard::check(source, syntax, &environment)?;
    environment.add_template("template.html", source).map_err(|error| failed(&error))?;
    Ok(environment)
}

/// Tags of minijinja that stand alone on a line leave no line behind.
pub(super) fn syntax() -> Result<SyntaxConfig, RenderError> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    syntax.map_err(|error| failed(&error))
}

/// The kind and the line, never the detail: a detail may quote the data.
pub(super) fn failed(error: &minijinja::Error) -> RenderError {
    let line = error.line().and_then(|line| u32::try_from(line).ok());
    let at = line.map(|line| At { line, column: 1 });
    let what = match filters::wrong(error) {
        Some(what) => what.to_owned(),
        None => error.kind().to_string(),
    };
    RenderError::template("template.html", what, at)
}

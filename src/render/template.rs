//! Templates: a bundle of files becomes something that can be rendered, or an
//! error that its author can use.
//!
//! A bundle has `template.html` (minijinja), `style.css`, `data.schema.json`, one or
//! more samples `sample*.json`, parts of the first two ([`super::parts`]), and pictures
//! and fonts of its own. Everything is checked here: tags and attributes in the source
//! with their line, the stylesheet, the schema, and that every sample renders in every
//! language.
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
use zeroize::Zeroizing;

use super::{
    TemplateBundle, address,
    assets::Assets,
    blame, bundle,
    css::Sheet,
    error::{At, RenderError},
    fields, filters,
    font::{FontSet, FontSource},
    guard,
    origin::Trace,
    parts::{FROM_SHARED, Whole},
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
/// The most bytes of one font of a bundle.
const MAX_FONT: usize = 16 << 20;

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
    source: &'static Whole,
    /// The stylesheet with its parts.
    pub(super) style: String,
    kind: Option<Kind>,
}

impl Template {
    /// Checks a bundle; rendering the samples is the caller's part.
    pub(super) fn compile(
        bundle: &TemplateBundle,
        fonts: &Arc<FontSet>,
    ) -> Result<Self, RenderError> {
        let name = &bundle.name;
        let (samples, assets) = bundle::read(bundle)?;
        let source = Whole::template(bundle)?;
        let style = Whole::style(bundle)?;
        let used = |file: &str| source.has(file) || style.has(file);
        tags::check(&source.text).map_err(|error| source.relocate(error))?;
        let sheet = Sheet::parse(&style.text, &fonts.families());
        let mut sheet = sheet.map_err(|error| style.relocate(error))?;
        // As fields: a shared part may ask for what only some templates have.
        let own = |error: &RenderError| !error.is_of(FROM_SHARED);
        let mut unset =
            std::mem::take(&mut sheet.unset).into_iter().map(|error| style.relocate(error));
        unset.find(own).map_or(Ok(()), Err)?;
        let fonts = own_fonts(bundle, &sheet, fonts)?;
        if name == address::NAME && !(assets.is_empty() && sheet.faces.is_empty()) {
            let what = "has no pictures and no fonts of its own: it becomes a part of every letter";
            return Err(RenderError::template("the address page", what, None));
        }
        let (_, schema) = bundle::text(bundle, "data.schema.json")?;
        let schema = Schema::compile(schema.as_bytes())?;
        let mut environment = environment()?;
        guarded(&source, &environment)?;
        let kind = Kind::of(name);
        fields::check(&source, &schema, kind.is_some_and(Kind::has_rules))?;
        bundle::nothing_idle(bundle, used)?;
        let version = format!("{name}@{}", bundle::hash(bundle, used));
        // A template lives as long as the process, and there are a handful.
        let source: &'static Whole = Box::leak(Box::new(source.checked()));
        let added = environment.add_template("template.html", &source.text);
        added.map_err(|error| source.relocate(failed(&error)))?;
        Ok(Self {
            version,
            sheet,
            samples,
            fonts,
            assets,
            schema,
            environment,
            source,
            style: style.text,
            kind,
        })
    }

    /// `template.html` with its parts.
    #[cfg(test)]
    pub(super) fn source(&self) -> &str {
        &self.source.text
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
            let source = &self.source.text;
            self.source.relocate(if on_trial {
                blame::of(&error, source, &self.environment, &context, &self.schema)
            } else {
                failed(&error)
            })
        })?;
        let bytes = std::mem::take(&mut *out.bytes);
        // minijinja writes strings, so this cannot fail; if it did, nothing is printed.
        let html = String::from_utf8(bytes)
            .map_err(|_| RenderError::template("template.html", "not UTF-8", None))?;
        Ok((Zeroizing::new(html), out.trace))
    }
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

fn environment() -> Result<Environment<'static>, RenderError> {
    let mut environment = guard::environment();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(syntax()?);
    filters::install(&mut environment);
    Ok(environment)
}

/// Each file is whole in itself, and so is what they come to.
fn guarded(source: &Whole, environment: &Environment<'_>) -> Result<(), RenderError> {
    for (file, alone) in &source.files {
        let checked = guard::check(alone, syntax()?, environment);
        checked.map_err(|error| error.of_file(file))?;
    }
    let checked = guard::check(&source.text, syntax()?, environment);
    checked.map_err(|error| source.relocate(error))
}

/// Tags of minijinja that stand alone on a line leave no line behind.
pub(super) fn syntax() -> Result<SyntaxConfig, RenderError> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    syntax.map_err(|error| failed(&error))
}

/// The kind and the line, never the detail: a detail may quote the data.
pub(super) fn failed(error: &minijinja::Error) -> RenderError {
    let line = error.line().and_then(|line| u32::try_from(line).ok());
    let at = line.map(At::line);
    let what = match filters::wrong(error) {
        Some(what) => what.to_owned(),
        None => error.kind().to_string(),
    };
    RenderError::template("template.html", what, at)
}

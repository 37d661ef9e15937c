//! The files of a template: what may be among them, and what they come to as a whole.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    assets::Assets,
    error::{At, RenderError},
    parts::{self, FROM_SHARED, SHARED, Whole},
};

/// The most bytes of one text file of a bundle.
const MAX_FILE: usize = 1 << 20;

/// The files of a template, as an operator hands them over.
#[derive(Clone, Debug)]
pub struct TemplateBundle {
    /// The name that jobs use: `[a-z0-9-]{1,40}`.
    pub name: String,
    /// File names without folders, and their bytes. What all templates of a folder
    /// share has a name that begins with `../parts/`; it counts where it is asked for.
    pub files: Vec<(String, Vec<u8>)>,
}

impl TemplateBundle {
    /// The same template on its own: the shared parts that it uses lie beside it.
    pub fn alone(&self) -> Result<Self, RenderError> {
        let (source, style) = (Whole::template(self)?, Whole::style(self)?);
        let mut files = Vec::new();
        for (file, bytes) in &self.files {
            let name = match file.strip_prefix(FROM_SHARED) {
                Some(name) if source.has(file) || style.has(file) => name,
                Some(_) => continue,
                None => file,
            };
            files.push((name.to_owned(), bytes.clone()));
        }
        files.sort();
        Ok(Self { name: self.name.clone(), files })
    }
}

/// Checks the name and what files there are; gives the samples and the pictures.
pub(super) fn read(bundle: &TemplateBundle) -> Result<(Vec<Value>, Assets), RenderError> {
    if !is_template_name(&bundle.name) {
        let what = "the name of a template is [a-z0-9-]{1,40}, not `pdf`, and not `parts`: \
                    that folder holds what templates share";
        return Err(RenderError::template("the folder", what, None));
    }
    let mut samples = Vec::new();
    let mut assets = Assets::default();
    for (file, bytes) in &bundle.files {
        if is_golden(file) || is_font(file) || file.starts_with(FROM_SHARED) {
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
            part if parts::is_part(part) => {}
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
    Ok((samples, assets))
}

/// Whether a template can be called so.
pub fn is_template_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    plain && (1..=40).contains(&name.len()) && !matches!(name, "pdf" | SHARED)
}

/// `sample.json`, `sample.en.json` and so on.
pub fn is_sample(file: &str) -> bool {
    file.strip_prefix("sample").is_some_and(|rest| rest.strip_suffix(".json").is_some())
}

/// A picture of what a sample looks like: for people and tests.
fn is_golden(file: &str) -> bool {
    file.starts_with("golden") && matches!(file.rsplit_once('.'), Some((_, "png")))
}

fn is_font(file: &str) -> bool {
    matches!(file.rsplit_once('.'), Some((_, "ttf")))
}

/// Where JSON breaks off.
pub(super) fn not_json(file: &str, error: &serde_json::Error) -> RenderError {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let at = At { line: number(error.line()), column: number(error.column()) };
    RenderError::template(file.to_owned(), "not JSON", Some(at))
}

/// A file of a bundle, with its name there.
pub(super) fn text<'a>(
    bundle: &'a TemplateBundle,
    name: &str,
) -> Result<(&'a str, &'a str), RenderError> {
    let bad = |what: &str| RenderError::template(name.to_owned(), what, None);
    let found = bundle.files.iter().find(|(file, _)| file == name);
    let (file, bytes) = found.ok_or_else(|| bad("missing"))?;
    let text = str::from_utf8(bytes).map_err(|_| bad("not UTF-8"))?;
    // Some editors begin every file with a mark that is no text.
    Ok((file, text.strip_prefix('\u{feff}').unwrap_or(text)))
}

/// Refuses parts of a template's own that stand nowhere: a name is misspelt, or
/// something was forgotten.
pub(super) fn nothing_idle(
    bundle: &TemplateBundle,
    used: impl Fn(&str) -> bool,
) -> Result<(), RenderError> {
    let own =
        bundle.files.iter().map(|(file, _)| file).filter(|file| !file.starts_with(FROM_SHARED));
    match own.into_iter().find(|file| parts::is_part(file) && !used(file)) {
        None => Ok(()),
        Some(idle) => {
            let how = if parts::is_style(idle) {
                format!("no stylesheet says `@import \"{idle}\";`")
            } else {
                format!("no template says `{{% include \"{idle}\" %}}`")
            };
            Err(RenderError::template(idle.clone(), format!("not used: {how}"), None))
        }
    }
}

/// A hash of the files that make a template what it is.
pub(super) fn hash(bundle: &TemplateBundle, used: impl Fn(&str) -> bool) -> String {
    let counts = |file: &str| !file.starts_with(FROM_SHARED) || used(file);
    let mut files: Vec<_> = bundle.files.iter().filter(|(file, _)| counts(file)).collect();
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

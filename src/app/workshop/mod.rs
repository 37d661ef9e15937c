//! What a template's author works with: a template's folder is read, checked
//! with all its samples in every language, and watched.
//!
//! Everything that is found is a [`Fault`] with the file, the line and the
//! column where they are known. The samples are the author's own, so a fault
//! may quote the line it stands on; the office never does.
//!
//! Refuses to read what is no template: more than [`FILES_MAX`] files, or a file
//! above [`FILE_BYTES_MAX`].

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;

use crate::{
    config::Config,
    domain::locale::Locale,
    render::{Rendered, Renderer, TemplateBundle, parts},
};

pub mod fault;
pub mod preview;
mod watch;
mod web;

#[cfg(test)]
mod tests;

pub use crate::render::is_sample;
pub use fault::Fault;

/// The most files of a template's folder.
pub const FILES_MAX: usize = 200;
/// The most bytes of one file; the renderer's own limits are lower.
pub const FILE_BYTES_MAX: u64 = 16 << 20;
/// The languages that every template is checked in.
pub const LOCALES: [Locale; 2] = [Locale::Ja, Locale::En];

/// Where a template is.
#[derive(Clone, Debug)]
pub enum Source {
    /// Part of the program.
    Bundled(TemplateBundle),
    /// A folder with its files.
    Folder(PathBuf),
}

impl Source {
    /// Finds what a person names: a folder where there is one, otherwise the
    /// operator's template of this name, otherwise the bundled one.
    pub fn find(config: &Config, what: &str) -> Option<Self> {
        let folder = Path::new(what);
        if folder.is_dir() {
            return Some(Self::Folder(folder.to_owned()));
        }
        Self::installed(config).into_iter().find(|source| source.name() == what)
    }

    /// Every installed template, sorted by name; the operator's stand in the
    /// place of bundled ones with the same name.
    pub fn installed(config: &Config) -> Vec<Self> {
        let own = config.office.templates_dir.as_deref().map(folders).and_then(Result::ok);
        let own: Vec<Self> = own.unwrap_or_default().into_iter().map(Self::Folder).collect();
        let mut all: Vec<Self> = Renderer::bundles()
            .into_iter()
            .filter(|bundle| !own.iter().any(|source| source.name() == bundle.name))
            .map(Self::Bundled)
            .collect();
        all.extend(own);
        all.sort_by_key(Self::name);
        all
    }

    /// The template's name, which is that of its folder.
    pub fn name(&self) -> String {
        match self {
            Self::Bundled(bundle) => bundle.name.clone(),
            Self::Folder(folder) => {
                // `.` and `..` have names of their own.
                let whole = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                whole.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
        }
    }

    /// How its files are named to a person: the folder as it was given.
    pub fn shown(&self) -> String {
        match self {
            Self::Bundled(bundle) => bundle.name.clone(),
            Self::Folder(folder) => folder.display().to_string(),
        }
    }

    /// Its files as they are now.
    pub fn read(&self) -> anyhow::Result<TemplateBundle> {
        match self {
            Self::Bundled(bundle) => Ok(bundle.clone()),
            Self::Folder(folder) => read_folder(folder, self.name()),
        }
    }
}

/// The template folders of a directory, sorted. Hidden ones are none, nor is that of
/// the parts that templates share.
pub fn folders(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let reading = || format!("reading {}", dir.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.');
        if !entry.path().is_dir() || hidden {
            continue;
        }
        if name == parts::SHARED {
            anyhow::ensure!(
                !entry.path().join("template.html").exists(),
                "{} is what templates share, and no template: give it another name",
                entry.path().display()
            );
            continue;
        }
        found.push(entry.path());
    }
    found.sort();
    Ok(found)
}

/// Reads a template's files. What editors leave beside them (`.style.css.swp`,
/// `style.css~`) and pictures to compare with (`golden.*`) are not part of a
/// template.
///
/// The parts that it asks for in the folder `parts` beside it are handed over with it.
pub fn read_folder(folder: &Path, name: String) -> anyhow::Result<TemplateBundle> {
    let reading = || format!("reading {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let beside = file.starts_with('.') || file.ends_with('~') || file.starts_with("golden.");
        if beside {
            continue;
        }
        if entry.path().is_dir() {
            // A name that no file has: the template is refused by it.
            files.push((format!("{file}/"), Vec::new()));
            continue;
        }
        if !entry.path().is_file() {
            continue;
        }
        anyhow::ensure!(
            files.len() < FILES_MAX,
            "{} has more than {FILES_MAX} files: it is no template",
            folder.display()
        );
        files.push((file, read_file(&entry.path())?));
    }
    read_shared(&beside(folder), &mut files)?;
    files.sort();
    Ok(TemplateBundle { name, files })
}

/// Where the parts are that a template shares with those beside it.
pub(super) fn beside(folder: &Path) -> PathBuf {
    match (folder.file_name(), folder.parent()) {
        (Some(_), Some(parent)) => parent.join(parts::SHARED),
        // `.` and `..` have their place, too.
        _ => folder.join("..").join(parts::SHARED),
    }
}

/// Reads the shared parts that a template asks for, and those that they ask for.
fn read_shared(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    let mut read = 0;
    while let Some((file, bytes)) = files.get(read) {
        for name in parts::asked(file, bytes) {
            let shared = format!("{}{name}", parts::FROM_SHARED);
            let path = folder.join(&name);
            let known = files.iter().any(|(file, _)| *file == name || *file == shared);
            if known || !parts::is_part(&name) || !path.is_file() {
                continue;
            }
            anyhow::ensure!(
                files.len() < FILES_MAX.saturating_mul(2),
                "more than {FILES_MAX} parts of {} are asked for",
                folder.display()
            );
            files.push((shared, read_file(&path)?));
        }
        read = read.saturating_add(1);
    }
    Ok(())
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let reading = || format!("reading {}", path.display());
    let mut bytes = Vec::new();
    let open = std::fs::File::open(path).with_context(reading)?;
    open.take(FILE_BYTES_MAX).read_to_end(&mut bytes).with_context(reading)?;
    Ok(bytes)
}

/// The name of a sample: of the folder's, or of one that the author brought.
pub type SampleName = String;

/// What one sample in one language came to.
#[derive(Debug)]
pub struct Proof {
    /// The sample's file.
    pub sample: SampleName,
    /// The language.
    pub locale: Locale,
    /// The document, or why there is none.
    pub result: Result<Rendered, Fault>,
    /// The HTML that the template wrote, also if it is wrong.
    pub html: Option<Arc<str>>,
}

/// What a check came to.
#[derive(Debug, Default)]
pub struct Findings {
    /// The template's name and hash, if its files are sound.
    pub version: Option<String>,
    /// What is wrong with the template itself; then nothing was rendered.
    pub broken: Option<Fault>,
    /// What else is wrong with its stylesheet.
    pub also: Vec<Fault>,
    /// Every sample in every language.
    pub proofs: Vec<Proof>,
}

impl Findings {
    /// Everything that is wrong; what is the same in every language, once.
    pub fn faults(&self) -> Vec<&Fault> {
        let proofs = self.proofs.iter().filter_map(|proof| proof.result.as_ref().err());
        let mut faults: Vec<&Fault> = self.broken.iter().chain(&self.also).chain(proofs).collect();
        faults.dedup();
        faults
    }
}

/// Checks a template with all its samples in every language, and with `extra`,
/// a file of data that is not among them.
pub fn check(
    renderer: &Renderer,
    bundle: &TemplateBundle,
    extra: Option<&(String, Vec<u8>)>,
) -> Findings {
    let trial = match renderer.try_out(bundle) {
        Ok(trial) => trial,
        Err(error) => {
            let broken = Fault::of_template(&error, bundle);
            let mut also = Vec::new();
            if broken.file.as_deref().is_some_and(parts::is_style) {
                let others = renderer.style_errors(bundle);
                let others = others.iter().map(|error| Fault::of_template(error, bundle));
                also.extend(others.filter(|other| *other != broken));
            }
            return Findings { broken: Some(broken), also, ..Findings::default() };
        }
    };
    let mut samples: Vec<_> = bundle.files.iter().filter(|(file, _)| is_sample(file)).collect();
    samples.sort_by_key(|(file, _)| (file != "sample.json", file));
    let mut proofs = Vec::new();
    for (sample, bytes) in samples.into_iter().chain(extra) {
        let data: Result<serde_json::Value, Fault> =
            serde_json::from_slice(bytes).map_err(|error| Fault::of_json(&error, sample, bytes));
        let mut results = LOCALES.map(|locale| match &data {
            Ok(data) => trial
                .render(data, locale, "")
                .map_err(|error| Fault::of_sample(&error, bundle, (sample, bytes))),
            Err(fault) => Err(fault.clone()),
        });
        name_languages(&mut results);
        let results = LOCALES.into_iter().zip(results);
        proofs.extend(results.map(|(locale, result)| {
            let html = data.as_ref().ok().and_then(|data| trial.html(data, locale, "").ok());
            let html = html.map(|html| Arc::from(html.as_str()));
            Proof { sample: sample.clone(), locale, result, html }
        }));
    }
    Findings { version: Some(trial.version().to_owned()), proofs, ..Findings::default() }
}

/// Says in which language something is wrong, where that makes a difference.
fn name_languages(results: &mut [Result<Rendered, Fault>; 2]) {
    if let [Err(one), Err(two)] = results
        && one == two
    {
        return;
    }
    for (result, locale) in results.iter_mut().zip(LOCALES) {
        if let Err(fault) = result {
            fault.locale = Some(locale.tag());
        }
    }
}

//! `kakitome render`: a template and data become a PDF, or HTML for a browser.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Failure, Outcome, context, job_file, print};
use crate::{
    app::{build, workshop::Source},
    config::Config,
    domain::locale::Locale,
    render::{self, Order, Profile, RenderError, Renderer, TemplateBundle, Trial},
};

/// Renders a template to a PDF.
///
/// The same template, data and version give the same bytes as in the office.
/// What the office would refuse or park is refused here with the same code
/// (exit code 3).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome render --template invoice --data \
                        sample.json -o invoice.pdf\n  kakitome render --template letter --data - \
                        --locale en -o letter.pdf < data.json\n  kakitome render --config \
                        kakitome.toml --template invoice-acme --data sample.json -o out.pdf\n  kakitome \
                        render --template ./invoice-acme --data sample.json --html ./page")]
pub(super) struct Render {
    /// The template's name, or its folder; `kakitome templates` lists the installed.
    #[arg(long, short, value_name = "NAME|DIR")]
    template: String,
    /// The data: a JSON object; `-` reads standard input.
    #[arg(long, short, value_name = "FILE")]
    data: PathBuf,
    /// Where the PDF goes.
    #[arg(long, short, value_name = "FILE", required_unless_present = "html")]
    output: Option<PathBuf>,
    /// A folder for the HTML behind the PDF, with the stylesheets and fonts that
    /// let a browser show it: `index.html` is the page.
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
    /// The language of the document.
    #[arg(long, value_enum, default_value = "ja")]
    locale: Language,
    /// What kind of PDF it becomes.
    #[arg(long, value_enum, default_value = "plain")]
    profile: Kind,
    /// Attach the data to the PDF, as `data.json`.
    #[arg(long)]
    attach_data: bool,
    /// The title that PDF viewers show.
    #[arg(long, default_value = "")]
    title: String,
    /// A configuration whose `office.templates_dir` is used beside the bundled
    /// templates.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// The language of a document.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Language {
    Ja,
    En,
}

impl From<Language> for Locale {
    fn from(language: Language) -> Self {
        match language {
            Language::Ja => Self::Ja,
            Language::En => Self::En,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// Small and quick.
    Plain,
    /// Tagged and with metadata: aimed at PDF/A-3 and PDF/UA-1.
    Archive,
}

impl From<Kind> for Profile {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Plain => Self::Plain,
            Kind::Archive => Self::Archive,
        }
    }
}

/// The bundled renderer, with the operator's templates where there is a
/// configuration.
pub(super) fn renderer(config: Option<&Path>) -> Result<Renderer, Failure> {
    let config = match config {
        Some(file) => context::config(file)?,
        None => Config::default(),
    };
    Ok(build::renderer(&config)?)
}

impl Render {
    pub(super) fn run(self) -> Outcome {
        let config = match &self.config {
            Some(file) => context::config(file)?,
            None => Config::default(),
        };
        let source = Source::find(&config, &self.template).ok_or_else(|| self.unknown())?;
        let bundle = source.read()?;
        let renderer = build::workbench(&config)?;
        let trial = renderer.try_out(&bundle).map_err(|refused| self.refused(&refused))?;
        let data = job_file::read_whole(&self.data)?;
        let data: Value = serde_json::from_slice(&data)
            .map_err(|error| json_fault(&error))
            .with_context(|| format!("{} is not JSON", self.data.display()))?;
        if let Some(dir) = &self.html {
            self.write_html(dir, &data, &bundle, &trial)?;
        }
        let Some(output) = &self.output else { return Ok(()) };
        let order = Order {
            template: &self.template,
            locale: self.locale.into(),
            data: &data,
            title: &self.title,
            address_page: None,
            profile: self.profile.into(),
            attach_data: self.attach_data,
        };
        let started = Instant::now();
        let document = trial.make(&order).map_err(|refused| self.refused(&refused))?;
        let milliseconds = started.elapsed().as_millis();
        write_private(output, &document.pdf)
            .with_context(|| format!("writing {}", output.display()))?;
        let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&*document.pdf));
        if self.json {
            print::json(&json!({
                "pages": document.pages,
                "bytes": document.pdf.len(),
                "sha256": sha256,
                "template": document.template,
                "renderer": document.renderer,
                "milliseconds": milliseconds,
            }));
        } else {
            print::line(&format!(
                "{}: {} pages, {} bytes, {} by {}, in {milliseconds} ms\nsha256 {sha256}",
                output.display(),
                document.pages,
                document.pdf.len(),
                document.template,
                document.renderer,
            ));
        }
        Ok(())
    }

    /// Says where templates are looked for.
    fn unknown(&self) -> Failure {
        let what = format!(
            "`{}` is neither a folder nor an installed template; `kakitome templates list` shows \
             those, with --config also those of `office.templates_dir`",
            self.template
        );
        self.said(RenderError::NoTemplate.code(), &what)
    }

    /// Says why there is no document.
    fn refused(&self, refused: &RenderError) -> Failure {
        self.said(refused.code(), &crate::app::Chain(refused).to_string())
    }

    fn said(&self, code: &str, what: &str) -> Failure {
        if self.json {
            print::json(&json!({ "code": code, "what": what }));
        } else {
            print::error(&format!("{code}: {what}"));
        }
        Failure::Refused
    }

    /// What a browser needs to show the document: the HTML, the stylesheets, the
    /// template's images and the fonts.
    fn write_html(
        &self,
        dir: &Path,
        data: &Value,
        bundle: &TemplateBundle,
        trial: &Trial<'_>,
    ) -> Outcome {
        let html = trial.html(data, self.locale.into(), &self.title);
        let html = html.map_err(|refused| self.refused(&refused))?;
        let fonts = dir.join("fonts");
        std::fs::create_dir_all(&fonts).with_context(|| format!("making {}", fonts.display()))?;
        let writing = |file: &Path| format!("writing {}", file.display());
        for (name, bytes) in render::font_files() {
            let file = fonts.join(name);
            // Twenty megabytes that never change.
            let there = file.metadata().is_ok_and(|about| {
                usize::try_from(about.len()).is_ok_and(|length| length == bytes.len())
            });
            if !there {
                std::fs::write(&file, bytes).with_context(|| writing(&file))?;
            }
        }
        let theirs = bundle.files.iter().filter(|(name, _)| {
            let text = [".json", ".html", ".css"].into_iter().any(|ending| name.ends_with(ending));
            !text && !name.contains('/')
        });
        for (name, bytes) in theirs {
            let file = dir.join(name);
            std::fs::write(&file, bytes).with_context(|| writing(&file))?;
        }
        for (name, text) in [("fonts.css", render::FONTS_CSS), ("style.css", trial.style())] {
            let sheet = dir.join(name);
            std::fs::write(&sheet, text).with_context(|| writing(&sheet))?;
        }
        let page = dir.join("index.html");
        write_private(&page, html.as_bytes()).with_context(|| writing(&page))?;
        Ok(())
    }
}

/// Where JSON breaks off, without the words around it.
pub(super) fn json_fault(error: &serde_json::Error) -> anyhow::Error {
    let kind = match error.classify() {
        serde_json::error::Category::Io => "it cannot be read",
        serde_json::error::Category::Syntax => "syntax error",
        serde_json::error::Category::Data => "wrong type",
        serde_json::error::Category::Eof => "it ends too early",
    };
    anyhow::anyhow!("{kind} at line {}, column {}", error.line(), error.column())
}

/// Writes a document that only its owner may read.
fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.write_all(bytes)?;
    out.sync_all()
}

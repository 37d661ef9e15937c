//! `kakitome render` and `kakitome templates`: what a template's author uses.

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
    app::build,
    config::Config,
    domain::locale::Locale,
    render::{Order, Profile, Renderer},
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
                        kakitome.toml --template acme-invoice --data sample.json -o out.pdf")]
pub(super) struct Render {
    /// The template's name; `kakitome templates` lists them.
    #[arg(long, short, value_name = "NAME")]
    template: String,
    /// The data: a JSON object; `-` reads standard input.
    #[arg(long, short, value_name = "FILE")]
    data: PathBuf,
    /// Where the PDF goes.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The language of the document.
    #[arg(long, value_enum, default_value = "ja")]
    locale: Language,
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

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Language {
    Ja,
    En,
}

/// Lists the installed templates.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome templates\n  kakitome templates --config \
                        /etc/kakitome/kakitome.toml --json")]
pub(super) struct Templates {
    /// A configuration whose `office.templates_dir` is used beside the bundled
    /// templates.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
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
        let renderer = renderer(self.config.as_deref())?;
        let data = job_file::read_whole(&self.data)?;
        let data: Value = serde_json::from_slice(&data)
            .map_err(|error| json_fault(&error))
            .with_context(|| format!("{} is not JSON", self.data.display()))?;
        let locale = match self.locale {
            Language::Ja => Locale::Ja,
            Language::En => Locale::En,
        };
        let order = Order {
            template: &self.template,
            locale,
            data: &data,
            title: &self.title,
            address_page: None,
            profile: Profile::Plain,
            attach_data: false,
        };
        let started = Instant::now();
        let document = match renderer.render(&order) {
            Ok(made) => made,
            Err(refused) => {
                let what = crate::app::Chain(&refused).to_string();
                if self.json {
                    print::json(&json!({ "code": refused.code(), "what": what }));
                } else {
                    print::error(&format!("{}: {what}", refused.code()));
                }
                return Err(Failure::Refused);
            }
        };
        let milliseconds = started.elapsed().as_millis();
        write_private(&self.output, &document.pdf)
            .with_context(|| format!("writing {}", self.output.display()))?;
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
                self.output.display(),
                document.pages,
                document.pdf.len(),
                document.template,
                document.renderer,
            ));
        }
        Ok(())
    }
}

impl Templates {
    pub(super) fn run(self) -> Outcome {
        let renderer = renderer(self.config.as_deref())?;
        let names = renderer.template_names();
        if self.json {
            print::json(&json!({ "templates": names }));
        } else {
            print::line(&names.join("\n"));
        }
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

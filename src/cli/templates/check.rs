//! `kakitome templates check`.

use std::{fmt::Write as _, io::IsTerminal as _};

use serde_json::json;

use super::{Failure, Installed, Outcome, find, print};
use crate::{
    app::workshop::{self, Fault, Findings, LOCALES, Source},
    render::Renderer,
};

/// Checks templates as the office does at its start, and says all that is wrong:
/// the files, the stylesheet, the schema, and every sample in every language.
///
/// Each error is one line, `FILE:LINE:COLUMN: CODE: what`; on a terminal the
/// line of the file stands below. Exit code 3 if anything is wrong.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kakitome templates check ./invoice-acme\n  kakitome templates \
                        check --config /etc/kakitome/kakitome.toml      every installed one\n  \
                        kakitome templates check --json ./invoice-acme ./letter-acme"
)]
pub(super) struct Check {
    /// Folders of templates, or names of installed ones; every installed one if
    /// none is given.
    #[arg(value_name = "DIR|NAME")]
    templates: Vec<String>,
    #[command(flatten)]
    installed: Installed,
    /// Answer in JSON: an object a line for each template.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Outcome {
        let config = self.installed.config()?;
        let sources = if self.templates.is_empty() {
            Source::installed(&config)
        } else {
            let found = self.templates.iter().map(|what| find(&config, what));
            found.collect::<Result<Vec<_>, _>>()?
        };
        let renderer = Renderer::bundled()?;
        let mut sound = true;
        for source in &sources {
            let findings = match source.read() {
                Ok(bundle) => workshop::check(&renderer, &bundle, None),
                Err(error) => {
                    Findings { broken: Some(Fault::unreadable(&error)), ..Findings::default() }
                }
            };
            sound &= findings.faults().is_empty();
            if self.json {
                print::json(&told(source, &findings));
            } else {
                say(source, &findings);
            }
        }
        if sound { Ok(()) } else { Err(Failure::Refused) }
    }
}

fn told(source: &Source, findings: &Findings) -> serde_json::Value {
    let documents = findings.proofs.iter().filter_map(|proof| {
        let made = proof.result.as_ref().ok()?;
        Some(json!({
            "sample": proof.sample,
            "locale": proof.locale.tag(),
            "pages": made.pages,
            "bytes": made.pdf.len(),
        }))
    });
    json!({
        "template": source.shown(),
        "version": findings.version,
        "documents": documents.collect::<Vec<_>>(),
        "errors": findings.faults(),
    })
}

fn say(source: &Source, findings: &Findings) {
    let faces = std::io::stdout().is_terminal();
    let faults = findings.faults();
    for fault in &faults {
        print::line(&shown(source, fault, faces));
    }
    let place = source.shown();
    if !faults.is_empty() {
        let count = faults.len();
        let noun = if count == 1 { "error" } else { "errors" };
        print::line(&format!("{place}: {count} {noun}"));
        return;
    }
    let pages = findings.proofs.iter().filter_map(|proof| proof.result.as_ref().ok());
    let pages: u32 = pages.map(|made| made.pages).sum();
    let samples = findings.proofs.len().checked_div(LOCALES.len()).unwrap_or_default();
    print::line(&format!(
        "{place}: ok, {}, {samples} samples in {} languages, {pages} pages",
        findings.version.as_deref().unwrap_or_default(),
        LOCALES.len(),
    ));
}

/// A fault with its file below the template's folder, and for a person with the
/// line and a caret.
fn shown(source: &Source, fault: &Fault, person: bool) -> String {
    let mut fault = fault.clone();
    let folder = source.shown();
    fault.file = Some(match fault.file {
        Some(file) => format!("{}/{file}", folder.trim_end_matches('/')),
        None => folder,
    });
    let mut text = fault.to_string();
    if let (Some(excerpt), Some(line), true) = (&fault.excerpt, fault.line, person) {
        let gutter = line.to_string();
        let blank = " ".repeat(gutter.len());
        let caret = " ".repeat(excerpt.before);
        // Writing to a string cannot fail.
        let written = write!(text, "\n {gutter} | {}\n {blank} | {caret}^", excerpt.text);
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::workshop::fault::Excerpt;

    #[test]
    fn a_person_sees_the_line_and_a_caret() {
        let source = Source::Folder("here/acme/".into());
        let fault = Fault {
            code: "template_failed",
            what: "unknown property `colr`".into(),
            file: Some("style.css".into()),
            line: Some(12),
            column: Some(3),
            locale: None,
            excerpt: Some(Box::new(Excerpt { text: "  colr: red;".into(), before: 2 })),
        };
        let line = "here/acme/style.css:12:3: template_failed: unknown property `colr`";
        assert_eq!(shown(&source, &fault, false), line);
        let drawn = format!("{line}\n 12 |   colr: red;\n    |   ^");
        assert_eq!(shown(&source, &fault, true), drawn);
    }
}

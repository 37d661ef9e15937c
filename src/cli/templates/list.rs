//! `kakitome templates list`.

use serde_json::json;

use super::{Installed, Outcome, print};
use crate::{
    app::workshop::{LOCALES, Source},
    domain::document::Kind,
    render::Renderer,
};

/// Lists the installed templates: name, hash of the content, the rules that the
/// data must keep, languages, and where they come from.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome templates list\n  kakitome templates list --config \
                        /etc/kakitome/kakitome.toml --json")]
pub(super) struct List {
    #[command(flatten)]
    installed: Installed,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> Outcome {
        let config = self.installed.config()?;
        let renderer = Renderer::bundled()?;
        let languages: Vec<&str> = LOCALES.iter().map(|locale| locale.tag()).collect();
        let mut rows = Vec::new();
        let mut objects = Vec::new();
        for source in Source::installed(&config) {
            let name = source.name();
            // A template that is not sound is listed: `check` says what is wrong.
            let trial = source.read().ok().and_then(|bundle| renderer.try_out(&bundle).ok());
            let version = trial.as_ref().map(|trial| trial.version().to_owned());
            let hash = version.as_deref().and_then(|version| version.rsplit('@').next());
            let kind = rules(&name);
            let from = match source {
                Source::Bundled(_) => "bundled",
                Source::Folder(_) => "operator",
            };
            rows.push(vec![
                name.clone(),
                hash.unwrap_or("not sound").to_owned(),
                kind.unwrap_or("none").to_owned(),
                languages.join(", "),
                from.to_owned(),
            ]);
            objects.push(json!({
                "name": name,
                "version": version,
                "rules": kind,
                "languages": languages,
                "source": from,
            }));
        }
        if self.json {
            print::json(&json!({ "templates": objects }));
        } else {
            print::table(&["NAME", "VERSION", "RULES", "LANGUAGES", "SOURCE"], &rows);
        }
        Ok(())
    }
}

/// The kind of document whose rules the data of this template must keep.
pub(super) fn rules(template: &str) -> Option<&'static str> {
    Kind::of(template).map(Kind::word)
}

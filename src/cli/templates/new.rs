//! `kakitome templates new`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::json;

use super::{Failure, Installed, Outcome, find, list, print};
use crate::render;

/// Writes a folder to start a template from: a copy of an installed one.
///
/// The rules that data must keep go by the template's name: one that is called
/// `invoice-…` is an invoice and begins as one. Any other name is free of rules and
/// begins as a `letter`. What the original shares with others is copied with it.
/// Nothing that is there is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome templates new invoice-acme\n  kakitome templates \
                        new certificate\n  kakitome templates new invoice-usd --from \
                        ./invoice-acme --dir ./templates")]
pub(super) struct New {
    /// The template's name, `[a-z0-9-]{1,40}`: that of its folder.
    #[arg(value_name = "NAME")]
    name: String,
    /// The template that is copied: an installed one or a folder; if unsaid, that
    /// of the kind that the name begins with, or else `letter`.
    #[arg(long, value_name = "NAME|DIR")]
    from: Option<String>,
    /// The folder that the template's folder is put into.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    installed: Installed,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl New {
    pub(super) fn run(self) -> Outcome {
        let config = self.installed.config()?;
        let from = self.from.as_deref().or_else(|| list::rules(&self.name)).unwrap_or("letter");
        let source = find(&config, from)?;
        check_name(&self.name, &source.name())?;
        let bundle = source.read()?.alone().map_err(anyhow::Error::from)?;
        let folder = self.dir.join(&self.name);
        write(&folder, &bundle.files)?;
        let files: Vec<&str> = bundle.files.iter().map(|(file, _)| file.as_str()).collect();
        if self.json {
            print::json(&json!({
                "template": self.name,
                "from": source.name(),
                "folder": folder.display().to_string(),
                "files": files,
            }));
        } else {
            let folder = folder.display();
            print::line(&format!(
                "{folder}: {}, as in {}\n\n  kakitome templates preview {folder}    see it while \
                 you write\n  kakitome templates check {folder}      before it is installed",
                files.join(", "),
                source.name(),
            ));
        }
        Ok(())
    }
}

/// A name that can be used, and that leaves the copy under the rules of its
/// original: the copy would not render under others.
fn check_name(name: &str, from: &str) -> Result<(), Failure> {
    if !render::is_template_name(name) {
        let what = format!(
            "`{name}` is no name for a template: [a-z0-9-]{{1,40}}, not `pdf` and not `parts`"
        );
        return Err(Failure::Usage(vec![what]));
    }
    // A letter has no rules, whatever it is called.
    let rules = |name| list::rules(name).filter(|kind| *kind != "letter");
    let (ours, theirs) = (rules(name), rules(from));
    if ours != theirs {
        let what = match theirs {
            Some(kind) => format!(
                "a copy of `{from}` keeps the rules of `{kind}`, and so must its name: for \
                 example `{kind}-{name}`"
            ),
            None => format!(
                "a template named `{name}` is under the rules of `{}`, which `{from}` is not: \
                 choose another name or another `--from`",
                ours.unwrap_or_default()
            ),
        };
        return Err(Failure::Usage(vec![what]));
    }
    Ok(())
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    // Fails if there is anything of that name.
    fs::create_dir(folder).with_context(|| format!("making {}", folder.display()))?;
    for (file, bytes) in files {
        let path = folder.join(file);
        let writing = || format!("writing {}", path.display());
        let mut out = fs::File::create_new(&path).with_context(writing)?;
        out.write_all(bytes).with_context(writing)?;
    }
    Ok(())
}

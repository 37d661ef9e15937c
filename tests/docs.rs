//! The documentation says what the program does: pages that are generated are
//! compared, bounds that are documented are tried, commands that are quoted
//! exist.
//!
//! `KAKITOME_BLESS=1 cargo test --test docs` writes docs/CLI.md and
//! docs/CONFIGURATION.md anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/configuration.rs"]
mod configuration;
#[path = "docs/settings.rs"]
mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares a generated page with the one in docs, or writes it.
fn compare(page: &str, wanted: &str) {
    let file = root().join("docs").join(page);
    #[expect(clippy::disallowed_methods, reason = "the switch of every test that writes pages")]
    let bless = std::env::var("KAKITOME_BLESS").is_ok();
    if bless {
        fs::write(&file, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "docs/{page} is not up to date from line {}: write it with KAKITOME_BLESS=1 cargo test \
         --test docs",
        differs.map_or(0, |line| line + 1)
    );
}

//! The house's plan, as a test: who may import whom, which crate belongs to
//! which room, and how long a file may grow.
//!
//! `KAKITOME_BLESS=1 cargo test --test layers` writes the table anew into
//! docs/ARCHITECTURE.md, between its two markers.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    reason = "tests"
)]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Each room of the foundation may import those before it.
const FOUNDATION: [&str; 8] =
    ["clock", "entropy", "domain", "config", "crypto", "store", "blobs", "broker"];

/// A letter's life and the people's side: each may import the foundation, and
/// none another.
const LIFE: [&str; 8] =
    ["intake", "render", "seal", "dispatch", "gateway", "retention", "audit", "api"];

/// These see everything.
const WHOLE: [&str; 4] = ["app", "cli", "main", "lib"];

/// Compiled into tests only: it sees everything, and every room's tests may use
/// it.
const FIXTURES: [&str; 1] = ["trial"];

/// What only one place may say.
const OWNED: [(&str, &str); 8] = [
    ("sqlx::", "store"),
    ("lapin::", "broker"),
    ("lettre::", "dispatch/email"),
    ("printpdf::", "render"),
    ("rand_chacha::", "entropy.rs"),
    ("hmac::", "crypto"),
    ("tokio::spawn", "app"),
    ("tokio::time::sleep", "app"),
];

const LINES_MAX: usize = 400;

/// Files that are longer, each with its reason. Splitting one removes its line.
const LONGER: &[(&str, &str)] =
    &[("src/store/postal/mod.rs", "one statement for each database, side by side")];

const BEGIN: &str = "<!-- import-table -->";
const END: &str = "<!-- /import-table -->";

struct Source {
    /// Below `src`, with forward slashes.
    path: String,
    room: String,
    /// How many modules deep the file is: 1 for `room/mod.rs` and `room.rs`.
    depth: usize,
    /// Without comments and the insides of strings.
    code: String,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = vec![];
    below(&src, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file is text");
        let inside = path.strip_prefix(&src).expect("it lies below src");
        let names: Vec<String> =
            inside.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let own = usize::from(names.last().is_some_and(|name| name != "mod.rs"));
        Source {
            room: names[0].trim_end_matches(".rs").to_owned(),
            depth: names.len() - 1 + own,
            path: names.join("/"),
            code: code_of(&text),
        }
    };
    paths.into_iter().map(read).collect()
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The text without its comments and without what stands in strings.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = string_length(rest) {
            code.push_str("\"\"");
            length
        } else {
            // A quote as a character would open a string that is none.
            let quote = ["'\"'", "'\\\"'"].into_iter().find(|quote| rest.starts_with(quote));
            if quote.is_none() {
                code.push(next);
            }
            quote.map_or(next.len_utf8(), str::len)
        };
        rest = &rest[skipped..];
    }
    code
}

/// The length of the string literal that `rest` begins with.
fn string_length(rest: &str) -> Option<usize> {
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        return inside.find(&close).map(|end| 1 + hashes + 1 + end + close.len());
    }
    let mut escaped = false;
    let inside = rest.strip_prefix('"')?;
    for (at, character) in inside.char_indices() {
        match character {
            '"' if !escaped => return Some(at + 2),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// The rooms that the code names through the root of the crate.
fn named(source: &Source) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, root) in source.code.match_indices("crate::") {
        rooms.extend(heads(&source.code[at + root.len()..]));
    }
    // As many `super::` as the file is deep lead to the root as well.
    let up = "super::".repeat(source.depth);
    for (at, root) in source.code.match_indices(&up) {
        let fresh = !source.code[..at].ends_with("super::");
        rooms.extend(heads(&source.code[at + root.len()..]).filter(|_| fresh));
    }
    rooms
}

/// The first names of a path, or of every path of a group.
fn heads(rest: &str) -> impl Iterator<Item = String> + use<> {
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut heads = vec![];
    if let Some(group) = rest.strip_prefix('{') {
        let mut depth = 1;
        let mut start = true;
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start = true,
                c if start && !c.is_whitespace() => {
                    heads.push(word(&group[at..]));
                    start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    } else {
        heads.push(word(rest));
    }
    heads.into_iter()
}

fn may_import(room: &str) -> Option<&'static [&'static str]> {
    if let Some(at) = FOUNDATION.iter().position(|one| *one == room) {
        return Some(&FOUNDATION[..at]);
    }
    LIFE.contains(&room).then_some(&FOUNDATION)
}

#[test]
fn imports_follow_the_plan_of_the_house() {
    let rooms: BTreeSet<&str> = FOUNDATION.into_iter().chain(LIFE).chain(WHOLE).collect();
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Source { path, room, .. } = &source;
        if FIXTURES.contains(&room.as_str()) {
            continue;
        }
        if !rooms.contains(room.as_str()) {
            wrong.insert(format!("{path}: `{room}` is not on the plan"));
        }
        let Some(allowed) = may_import(room) else { continue };
        for name in named(&source) {
            let known = rooms.contains(name.as_str()) && name != *room;
            if known && !allowed.contains(&name.as_str()) {
                wrong.insert(format!("{path}: `{room}` must not import `{name}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_dangerous_crate_has_one_room() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        for (said, owner) in OWNED {
            let mine = source.path == owner || source.path.starts_with(&format!("{owner}/"));
            let says = source.code.match_indices(said).any(|(at, _)| {
                let before = source.code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if says && !mine {
                wrong.insert(format!("{}: `{said}` belongs to {owner}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_readable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![];
    for room in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        below(&root.join(room), &mut paths);
    }
    assert!(paths.len() > 500, "only {} files were found", paths.len());
    let mut wrong = vec![];
    for path in paths {
        let lines = fs::read_to_string(&path).expect("a source file is text").lines().count();
        let path = path.strip_prefix(root).expect("it lies below the root").to_string_lossy();
        let excused = LONGER.iter().any(|(longer, _)| *longer == path);
        match (lines > LINES_MAX, excused) {
            (true, false) => wrong.push(format!("{path} has {lines} lines")),
            (false, true) => wrong.push(format!("{path} needs no exception any more")),
            (true, true) | (false, false) => {}
        }
    }
    assert!(wrong.is_empty(), "more than {LINES_MAX} lines: {wrong:#?}");
}

#[test]
fn the_scanner_sees_through_comments_strings_and_groups() {
    let text = r##"
        // crate::store is only mentioned
        /* crate::broker too */
        const A: &str = "crate::render"; const B: &str = r#"crate::seal""#;
        const C: char = '"';
        use crate::{api::{self, x}, domain::{stage::{Stage, after}, job}, entropy};
        use super::super::audit; use super::own;
    "##;
    let source = Source {
        path: "gateway/door.rs".to_owned(),
        room: "gateway".to_owned(),
        depth: 2,
        code: code_of(text),
    };
    let found: Vec<String> = named(&source).into_iter().collect();
    assert_eq!(found, ["api", "audit", "domain", "entropy"], "{}", source.code);
}

fn table() -> String {
    let mut table = String::from("\n| room | may import | alone says |\n|---|---|---|\n");
    for room in FOUNDATION.into_iter().chain(LIFE) {
        let imports = match may_import(room) {
            Some([]) => "nothing".to_owned(),
            Some(rooms) if rooms == FOUNDATION => "the foundation, `clock` to `broker`".to_owned(),
            Some(rooms) => {
                rooms.iter().map(|room| format!("`{room}`")).collect::<Vec<_>>().join(", ")
            }
            None => unreachable!("every one of them is on the plan"),
        };
        writeln!(table, "| `{room}` | {imports} | {} |", owned_by(room)).expect("it grows");
    }
    writeln!(table, "| `app` | everything | {} |", owned_by("app")).expect("it grows");
    table.push_str("| `cli` | everything | |\n");
    table
}

fn owned_by(room: &str) -> String {
    let mine = |owner: &str| owner.trim_end_matches(".rs").split('/').next() == Some(room);
    let says = |(said, owner): &(&str, &str)| {
        let place = if owner.contains('/') { format!(" (`{owner}`)") } else { String::new() };
        mine(owner).then(|| format!("`{}`{place}", said.trim_end_matches("::")))
    };
    OWNED.iter().filter_map(says).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_plan_in_the_architecture_page_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let page = fs::read_to_string(&path).expect("the page is there");
    let table = table();
    let bless = std::env::var_os("KAKITOME_BLESS").is_some();
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        rest.split_once(END).map(|(drawn, after)| (before, drawn, after))
    });
    match parts {
        Some((_, drawn, _)) if drawn == table => {}
        Some((before, _, after)) if bless => {
            fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("written");
        }
        None if bless => {
            let heading = "\n## Who may import whom\n\n";
            fs::write(&path, format!("{page}{heading}{BEGIN}{table}{END}\n")).expect("written");
        }
        _ => panic!("docs/ARCHITECTURE.md is out of date: run with KAKITOME_BLESS=1"),
    }
}

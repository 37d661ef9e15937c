//! docs/CLI.md, and every command that a document or a text of ours quotes.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use super::{compare, read, root};

#[test]
fn the_page_of_commands_is_what_the_program_says() {
    compare("CLI.md", &kakitome::cli::reference());
}

/// The commands that exist, such as `jobs list`.
fn commands() -> BTreeSet<String> {
    kakitome::cli::reference()
        .lines()
        .filter_map(|line| line.strip_prefix("## `kakitome")?.strip_suffix('`'))
        .map(|rest| rest.trim().to_owned())
        .collect()
}

/// Whole words after `kakitome ` that could be a command.
fn quoted(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for rest in text.split("kakitome ").skip(1) {
        let line = rest.split(['\n', '`', '"', ';', '|']).next().unwrap();
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        // A command, and not an option or a path behind a user's name.
        if words.first().is_some_and(|word| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        }) {
            found.push(words);
        }
    }
    found
}

/// Code of a document: fenced blocks and what stands between backticks.
fn code(text: &str) -> String {
    let mut code = String::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 1 {
            code.push_str(part);
        } else {
            for (index, part) in part.split('`').enumerate() {
                if index % 2 == 1 {
                    code.push_str(part);
                    code.push('\n');
                }
            }
        }
        code.push('\n');
    }
    code
}

fn must_exist(place: &str, words: &[String], commands: &BTreeSet<String>) {
    let first = words.first().unwrap();
    let Some(known) = commands.get(first) else {
        panic!("{place}: there is no `kakitome {first}`");
    };
    let has_subcommands = commands.iter().any(|one| one.starts_with(&format!("{known} ")));
    if let Some(second) = words.get(1).filter(|word| has_subcommands && !word.starts_with('-')) {
        let both = format!("{first} {second}");
        let plain = second.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(!plain || commands.contains(&both), "{place}: there is no `kakitome {both}`");
    }
}

fn documents() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("README.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        // The labels of MACs begin with our name, too.
        let labels = path.ends_with("FORMATS.md");
        if path.extension().is_some_and(|extension| extension == "md") && !labels {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_command_that_a_document_quotes_exists() {
    let commands = commands();
    let mut tried = 0;
    for file in documents() {
        for words in quoted(&code(&read(&file))) {
            must_exist(&file.display().to_string(), &words, &commands);
            tried += 1;
        }
    }
    assert!(tried > 30, "the documents quote commands");
}

#[test]
fn every_command_that_a_message_quotes_exists() {
    let commands = commands();
    let mut tried = 0;
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path).replace("\\\n", " ");
                for part in text.split('`').filter(|part| part.starts_with("kakitome ")) {
                    let is_label = |words: &[String]| words.last().is_some_and(|w| w == "v1");
                    for words in quoted(part).into_iter().filter(|words| !is_label(words)) {
                        must_exist(&path.display().to_string(), &words, &commands);
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried > 10, "messages say which command helps");
}

/// Options as they are quoted are options that exist.
#[test]
fn every_command_line_in_the_readme_parses() {
    let mut tried = 0;
    for words in quoted(&code(&read("README.md"))) {
        let options = words.iter().filter(|word| word.starts_with("--"));
        let path: Vec<_> = words
            .iter()
            .take_while(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
            .filter(|word| !word.starts_with('-'))
            .collect();
        let path = &path[..path.len().min(2)];
        let mut known = commands();
        known.retain(|one| {
            path.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" ") == *one
        });
        let path = if known.is_empty() { &path[..1] } else { path };
        let help = Command::new(env!("CARGO_BIN_EXE_kakitome")).args(path).arg("--help").output();
        let help = help.unwrap();
        assert!(help.status.success(), "kakitome {path:?} --help");
        let text = String::from_utf8(help.stdout).unwrap();
        for option in options {
            let name = option.split('=').next().unwrap();
            assert!(text.contains(name), "README.md: kakitome {path:?} has no {name}");
        }
        tried += 1;
    }
    assert!(tried > 8, "README.md quotes commands");
}

#[test]
fn every_file_that_the_readme_links_to_exists() {
    let text = read("README.md");
    let mut tried = 0;
    for link in text.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        if !target.starts_with("http") {
            let file = target.split('#').next().unwrap();
            assert!(root().join(file).exists(), "README.md links to {file}");
            tried += 1;
        }
    }
    assert!(tried > 5, "README.md links to the documents");
}

//! docs/CONFIGURATION.md, and every bound that it names.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use kakitome::config::{Broker, Config, Post, Tenant};

use super::{compare, read, root, settings};

/// The defaults as they would be written in the file.
fn defaults() -> toml::Table {
    let config = Config {
        broker: Some(Broker::default()),
        post: Some(Post::default()),
        ..Config::default()
    };
    let mut table = toml::Table::try_from(&config).unwrap();
    let tenant = toml::Table::try_from(Tenant::default()).unwrap();
    table.insert("tenants.NAME".to_owned(), tenant.into());
    table
}

fn page() -> String {
    let defaults = defaults();
    let mut page = String::from(
        "# kakitome.toml\n\n\
         Generated from the comments and defaults of `src/config`; a test keeps it so and \
         tries every bound.\n\n\
         The file is checked as a whole: `kakitome check` and `kakitome serve` name every problem \
         at once. An unknown key is a problem. There is no interpolation of any kind, and no \
         environment variable changes anything. Durations are written like `30s`, `15min` or \
         `31days`. A secret never stands in the file: it is named as an absolute path to a file \
         that belongs to the office's user and is closed to everybody else (0400), or as \
         `credential:NAME`, a systemd credential.\n",
    );
    for section in settings::sections() {
        let table = defaults.get(&section.name).and_then(toml::Value::as_table).unwrap();
        let optional = if section.optional { " (may be absent)" } else { "" };
        write!(page, "\n## `[{}]`{optional}\n\n{}\n\n", section.name, section.about).unwrap();
        page.push_str("| Key | Default | Meaning |\n|---|---|---|\n");
        for key in &section.keys {
            let value = table.get(&key.name).map_or_else(
                || "none".to_owned(),
                |value| format!("`{}`", value.to_string().replace('\n', " ")),
            );
            let about = key.about.replace('|', "\\|");
            writeln!(page, "| `{}` | {value} | {about} |", key.name).unwrap();
        }
    }
    page.push_str(
        "\n## A small office\n\n\
         One host, SQLite, jobs over HTTP:\n\n\
         ```toml\n\
         [office]\n\
         public_url = \"https://docs.example.jp\"\n\
         trusted_proxies = [\"127.0.0.1/32\"]\n\n\
         [mail]\n\
         relay = \"smtp.example.jp\"\n\
         port = 587\n\
         from = \"noreply@example.jp\"\n\
         bounce_domain = \"bounce.example.jp\"\n\n\
         [tenants.acme]\n\
         name = \"株式会社青葉商事\"\n\
         contact = \"03-0000-0000\"\n\
         token = \"/etc/kakitome/acme.token\"\n\
         ```\n",
    );
    page
}

#[test]
fn the_page_is_what_the_code_says() {
    compare("CONFIGURATION.md", &page());
}

#[test]
fn every_key_is_explained_in_a_sentence() {
    for section in settings::sections() {
        for key in &section.keys {
            let place = format!("{}.{}", section.name, key.name);
            assert!(key.about.ends_with('.'), "{place}: `{}` is no sentence", key.about);
        }
    }
}

#[test]
fn every_example_in_the_documents_is_a_sound_configuration() {
    let mut tried = 0;
    for file in ["docs/CONFIGURATION.md", "README.md"] {
        let text = if file == "README.md" { read(file) } else { page() };
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if let Err(problems) = Config::parse(block) {
                panic!("{file}: {problems:?}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 2, "the documents show configurations");
    let docker = root().join("docker/kakitome.toml");
    if docker.exists()
        && let Err(problems) = Config::parse(&read(docker))
    {
        panic!("docker/kakitome.toml: {problems:?}");
    }
}

/// The problems that the text of a configuration has with one key.
fn blamed(text: &str, key: &str) -> bool {
    match Config::parse(text) {
        Ok(_) => false,
        // A value that cannot even be read has no key of its own.
        Err(problems) => problems.iter().any(|one| one.key == key || one.key.is_empty()),
    }
}

/// A value, and the one just below or above it, as they would be written.
enum Bound {
    Number(i64),
    Time(Duration),
}

impl Bound {
    fn parse(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Time(humantime::parse_duration(text).unwrap()), Self::Number)
    }

    fn written(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Time(time) => format!("\"{}\"", humantime::format_duration(*time)),
        }
    }

    /// One unit further; none where there is nothing below.
    fn beyond(&self, up: bool) -> Option<Self> {
        let step = Duration::from_millis(1);
        Some(match self {
            Self::Number(number) => Self::Number(if up { number + 1 } else { number - 1 }),
            Self::Time(time) if up => Self::Time(*time + step),
            Self::Time(time) => Self::Time(time.checked_sub(step)?),
        })
    }
}

#[test]
fn documented_bounds_are_the_ones_that_hold() {
    let mut tried = BTreeSet::new();
    for section in settings::sections() {
        for key in &section.keys {
            let Some((low, high)) = &key.bounds else { continue };
            let place = format!("{}.{}", section.name, key.name);
            let text =
                |bound: &Bound| format!("[{}]\n{} = {}\n", section.name, key.name, bound.written());
            for (bound, up) in [(Bound::parse(low), false), (Bound::parse(high), true)] {
                assert!(!blamed(&text(&bound), &place), "{place} = {} is allowed", bound.written());
                if let Some(beyond) = bound.beyond(up) {
                    let shown = beyond.written();
                    assert!(blamed(&text(&beyond), &place), "{place} = {shown} is too much");
                }
            }
            tried.insert(place);
        }
    }
    let checked = bounds_in_the_checks();
    let missing: Vec<_> = checked.difference(&tried).collect();
    assert!(missing.is_empty(), "bounds that no comment names: {missing:?}");
    assert!(tried.len() > 20, "bounds were found at all: {tried:?}");
}

/// The keys that `Config::parse` measures.
fn bounds_in_the_checks() -> BTreeSet<String> {
    let source = read("src/config/checks.rs");
    let calls = ["found.within(", "found.span("];
    let mut keys = BTreeSet::new();
    for call in calls {
        for rest in source.split(call).skip(1) {
            let key = rest.split('"').nth(1).unwrap();
            keys.insert(key.to_owned());
        }
    }
    // A number of lines, said in words.
    assert!(keys.remove("post.sender_lines"), "the one list that is measured");
    keys
}

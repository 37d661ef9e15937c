//! The program as a person at a terminal meets it: exit codes, words, files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cli/desk.rs"]
mod desk;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/office.rs"]
mod office;
#[path = "services/s3.rs"]
mod s3;
#[path = "cli/sending.rs"]
mod sending;
#[path = "cli/storage.rs"]
mod storage;
#[path = "cli/templates.rs"]
mod templates;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// What came of a run.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(!err.contains("something that cannot happen did"), "a panic: {err}");
        Self {
            code: output.status.code().unwrap_or_else(|| panic!("killed: {err}")),
            out: String::from_utf8(output.stdout).unwrap(),
            err,
        }
    }

    /// The exit code is this one, or the test says what was printed.
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Every line of standard output, as JSON.
    #[track_caller]
    fn lines(&self) -> Vec<serde_json::Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        self.out.lines().map(read).collect()
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kakitome"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn kakitome(arguments: &[&str]) -> Run {
    Run::of(command(arguments).output().unwrap())
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn example(name: &str) -> String {
    root().join("docs/examples").join(name).display().to_string()
}

/// A folder with a configuration, and everything it needs to open.
struct Place {
    dir: TempDir,
}

impl Place {
    /// A sound configuration; `more` goes behind it.
    fn new(more: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        for folder in ["data", "keys", "state"] {
            let folder = place.path(folder);
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let text = format!(
            "[office]\nstate_dir = \"{state}\"\n\
             [database]\nurl = \"sqlite:{data}/office.db\"\n\
             [keys]\nurl = \"sqlite:{keys}/keys.db\"\nmaster = \"{master}\"\n\
             [blobs]\ndir = \"{data}/segments\"\n\
             [tenants.acme]\nname = \"株式会社青葉商事\"\ntest_mode = true\ntoken = \"{token}\"\n\
             {more}",
            state = place.at("state"),
            data = place.at("data"),
            keys = place.at("keys"),
            master = place.at("master.key"),
            token = place.at("token"),
        );
        fs::write(place.path("kakitome.toml"), text).unwrap();
        place.secret("token", "0123456789abcdef0123456789abcdef0123");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o400)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let config = self.at("kakitome.toml");
        let mut all = arguments.to_vec();
        all.extend(["--config", &config]);
        kakitome(&all)
    }

    /// A place with keys and a schema.
    fn ready(more: &str) -> Self {
        let place = Self::new(more);
        place.run(&["keys", "init"]).ends(0);
        place.run(&["migrate"]).ends(0);
        place
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_command_explains_itself_with_examples() {
    let mut tried = 0;
    for line in kakitome::cli::reference().lines() {
        let Some(name) = line.strip_prefix("## `kakitome").and_then(|rest| rest.strip_suffix('`'))
        else {
            continue;
        };
        let mut arguments: Vec<_> = name.split_whitespace().collect();
        arguments.push("--help");
        let run = kakitome(&arguments).ends(0);
        assert!(run.out.contains("Examples:"), "kakitome{name} shows no example");
        assert!(run.err.is_empty(), "help is no error: {}", run.err);
        tried += 1;
    }
    assert!(tried > 20, "there are commands: {tried}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [&["fly"][..], &["jobs", "list", "--stage", "lost"], &["render"]] {
        let run = kakitome(arguments).ends(2);
        assert!(run.out.is_empty(), "nothing on standard output");
        assert!(run.err.contains("error:"), "it is said what is wrong: {}", run.err);
    }
}

#[test]
fn a_configuration_is_told_every_problem_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kakitome.toml");
    fs::write(
        &file,
        "[office]\npublic_url = \"http://example.jp\"\n[mail]\nconnections = 0\n\
         [work]\nlease = \"1s\"\n[tenants.acme]\nname = \"\"\n",
    )
    .unwrap();
    for command in [&["check"][..], &["migrate"], &["serve"], &["jobs", "list"], &["keys", "init"]]
    {
        let mut arguments = command.to_vec();
        let file = file.display().to_string();
        arguments.extend(["--config", &file]);
        let run = kakitome(&arguments).ends(2);
        for key in ["office.public_url", "mail.connections", "work.lease", "tenants.acme.name"] {
            assert!(run.err.contains(key), "{command:?} names {key}: {}", run.err);
        }
    }
}

#[test]
fn a_missing_configuration_is_named() {
    let run = kakitome(&["check", "--config", "/nowhere/kakitome.toml"]).ends(2);
    assert!(run.err.contains("/nowhere/kakitome.toml"), "{}", run.err);
}

#[test]
fn a_master_key_is_made_once_and_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("master.key");
    let name = file.display().to_string();
    kakitome(&["keys", "init", "--master", &name]).ends(0);
    assert_eq!(mode(&file), 0o400, "nobody else can read it");
    let before = fs::read(&file).unwrap();
    let run = kakitome(&["keys", "init", "--master", &name]).ends(1);
    assert!(run.err.contains("was left alone"), "{}", run.err);
    assert_eq!(fs::read(&file).unwrap(), before, "the key is the one it was");
    assert!(!run.err.contains(String::from_utf8(before).unwrap().trim()), "and is not shown");
}

#[test]
fn a_sound_office_passes_the_check() {
    let place = Place::new("");
    place.run(&["keys", "init"]).ends(0);
    let run = place.run(&["check", "--offline"]).ends(0);
    assert!(run.out.contains("ok       keys.master"), "the key was looked at: {}", run.out);
    assert!(run.out.contains("invoice"), "the templates were rendered: {}", run.out);
    for finding in place.run(&["check", "--offline", "--json"]).ends(0).lines() {
        assert_ne!(finding["state"], "problem", "{finding}");
    }
}

#[test]
fn a_broken_office_is_told_what_to_do() {
    let place = Place::new("");
    fs::remove_dir(place.path("keys")).unwrap();
    fs::set_permissions(place.path("token"), fs::Permissions::from_mode(0o444)).unwrap();
    let run = place.run(&["check", "--offline"]).ends(3);
    for words in ["kakitome keys init", "install -d -m 0700", "chmod 0400"] {
        assert!(run.out.contains(words), "it says `{words}`: {}", run.out);
    }
    let problems = place.run(&["check", "--offline", "--json"]).ends(3).lines();
    let areas: Vec<_> = problems
        .iter()
        .filter(|finding| finding["state"] == "problem")
        .map(|finding| finding["area"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(areas, ["tenants.acme.token", "keys.master", "keys.url"], "and nothing else");
}

#[test]
fn a_check_online_finds_what_is_away_and_what_is_missing() {
    let place = Place::new("[mail]\nport = 1\ntls = \"none\"\n");
    place.run(&["keys", "init"]).ends(0);
    let run = place.run(&["check"]).ends(3);
    assert!(run.out.contains("there is no database yet"), "{}", run.out);
    assert!(!place.path("data/office.db").exists(), "looking makes nothing");
    place.run(&["migrate"]).ends(0);
    let problems = place.run(&["check", "--json"]).ends(3).lines();
    let problems: Vec<_> =
        problems.iter().filter(|finding| finding["state"] == "problem").collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0]["area"], "mail", "nobody listens there");
    assert_eq!(problems[0]["stops_serve"], false, "the relay may come back");
    let segments = fs::read_dir(place.path("data/segments")).unwrap().count();
    assert_eq!(segments, 0, "what was written to try it is gone again");
}

#[test]
fn a_schema_is_planned_made_and_made_once() {
    let place = Place::new("");
    place.run(&["keys", "init"]).ends(0);
    let run = place.run(&["migrate", "--dry-run"]).ends(0);
    assert!(run.out.contains("would be made"), "{}", run.out);
    assert!(!place.path("data/office.db").exists(), "a plan makes nothing");
    let run = place.run(&["jobs", "list"]).ends(1);
    assert!(run.err.contains("kakitome migrate"), "it says what to do: {}", run.err);
    place.run(&["migrate"]).ends(0);
    let run = place.run(&["migrate", "--json"]).ends(0);
    assert_eq!(run.lines()[0]["database"]["applied"], serde_json::json!([]), "nothing is left");
    let run = place.run(&["migrate", "--dry-run"]).ends(0);
    assert!(run.out.contains("database: up to date"), "{}", run.out);
}

#[test]
fn keys_are_counted_and_public_ones_are_shown() {
    let place = Place::ready("");
    let key = place.run(&["keys", "public", "acme"]).ends(0);
    let bytes = data_encoding::BASE64.decode(key.out.trim().as_bytes()).unwrap();
    assert_eq!(bytes.len(), 32, "an X25519 key");
    assert_eq!(place.run(&["keys", "public", "acme"]).ends(0).out, key.out, "the same again");
    let status = place.run(&["keys", "status", "--json"]).ends(0);
    let kinds = status.lines()[0]["kinds"].as_array().unwrap().len();
    assert!(kinds >= 2, "the pair's seed and the probe: {}", status.out);
    let run = place.run(&["keys", "public", "nobody"]).ends(2);
    assert!(run.err.contains("no such tenant"), "{}", run.err);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["check-job", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..20_000 {
            if std::io::Write::write_all(&mut input, b"{}\n").is_err() {
                break;
            }
        }
    });
    let run = Run::of(child.wait_with_output().unwrap());
    writer.join().unwrap();
    assert_eq!((run.code, run.err.as_str()), (0, ""), "nobody is told of it");
}

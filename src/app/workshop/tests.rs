#![expect(clippy::as_conversions, reason = "tests")]

//! The workshop on folders that are edited, and its page over HTTP.

use std::{fs, path::Path, sync::LazyLock, time::Duration};

use serde_json::Value;

use super::{
    Findings, Source, check,
    preview::{self, Preview, Settings},
    read_folder,
};
use crate::{domain::locale::Locale, entropy::Entropy, render::Renderer};

static RENDERER: LazyLock<Renderer> = LazyLock::new(|| Renderer::bundled().unwrap());

/// A copy of the bundled letter.
fn letter() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("letter-acme");
    fs::create_dir(&folder).unwrap();
    let bundle = Renderer::bundles().into_iter().find(|one| one.name == "letter").unwrap();
    for (file, bytes) in bundle.alone().unwrap().files {
        fs::write(folder.join(file), bytes).unwrap();
    }
    dir
}

fn findings(folder: &Path) -> Findings {
    check(&RENDERER, &read_folder(folder, "letter-acme".into()).unwrap(), None)
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from}", file.display());
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn every_bundled_template_is_sound() {
    for bundle in Renderer::bundles() {
        let found = check(&RENDERER, &bundle, None);
        assert_eq!(found.faults(), Vec::<&super::Fault>::new(), "{}", bundle.name);
        assert!(found.proofs.len() >= 2, "{}: a sample in both languages", bundle.name);
    }
}

#[test]
fn a_fault_has_its_file_line_and_column() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    let css = folder.join("style.css");
    let text = fs::read_to_string(&css).unwrap();
    fs::write(&css, format!("{text}\n.x {{ colr: #fff; }}\n")).unwrap();
    let found = findings(&folder);
    let fault = found.broken.as_ref().unwrap();
    assert_eq!(fault.file.as_deref(), Some("style.css"));
    let line = text.lines().count() + 2;
    assert_eq!(fault.line.map(|line| line as usize), Some(line), "{fault}");
    let excerpt = fault.excerpt.as_ref().unwrap();
    assert_eq!(excerpt.text, ".x { colr: #fff; }");
    assert!(found.version.is_none() && found.proofs.is_empty(), "nothing was rendered");
}

#[test]
fn every_fault_of_a_stylesheet_is_found_in_one_go() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    fs::write(folder.join("style.css"), "p { colr: red }\n.a + .b { width: 6vw }\n").unwrap();
    let found = findings(&folder);
    let places: Vec<_> = found.faults().iter().map(|fault| (fault.line, fault.column)).collect();
    let expected = [(1, 5), (2, 1), (2, 11)].map(|(line, column)| (Some(line), Some(column)));
    assert_eq!(places, expected);
}

#[test]
fn wrong_html_is_shown_in_the_template_and_its_html_can_be_read() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    let file = folder.join("template.html");
    edit(&file, "</body>", "<div class=\"late\">x\n</body>");
    let found = findings(&folder);
    let fault = found.faults()[0];
    assert_eq!(fault.file.as_deref(), Some("template.html"));
    let line = fs::read_to_string(&file).unwrap().lines().position(|line| line.contains("late"));
    assert!(fault.what.contains(&format!("`div.late` of line {}", line.unwrap() + 1)), "{fault}");
    assert!(fault.excerpt.as_ref().unwrap().text.contains("</body>"), "{fault:?}");
    assert!(found.proofs.iter().all(|proof| proof.html.as_ref().unwrap().contains("late")));
}

#[test]
fn what_templates_share_lies_beside_their_folders() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    let own = findings(&folder).version.unwrap();
    let shared = dir.path().join("parts");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("idle.css"), "not even a stylesheet").unwrap();
    fs::write(shared.join("house.css"), "h1 { colr: red }").unwrap();
    fs::write(shared.join("notes.txt"), "no part").unwrap();
    fs::write(shared.join("large.css"), " ".repeat(2 << 20)).unwrap();
    for number in 0..=super::FILES_MAX {
        fs::write(shared.join(format!("idle-{number}.html")), "{% never").unwrap();
    }
    let found = findings(&folder);
    assert_eq!(found.version.as_ref(), Some(&own), "what is not asked for changes nothing");

    fs::rename(folder.join("house.css"), shared.join("house.css")).unwrap();
    let found = findings(&folder);
    assert_eq!(found.faults(), Vec::<&super::Fault>::new());
    let version = found.version.unwrap();
    assert_ne!(version, own, "where a part lies is in the hash: another may take its place");

    edit(&shared.join("house.css"), "display: flex", "display: grid");
    let found = findings(&folder);
    let fault = found.broken.as_ref().unwrap();
    assert_eq!(fault.file.as_deref(), Some("../parts/house.css"), "{fault}");
    assert!(fault.excerpt.as_ref().unwrap().text.contains("grid"), "{fault:?}");
    edit(&shared.join("house.css"), "display: grid", "display: flex");
    assert_eq!(findings(&folder).version.as_ref(), Some(&version));

    edit(&shared.join("house.css"), "21pt", "22pt");
    assert_ne!(findings(&folder).version.unwrap(), version, "a shared part is a part of it");
    let folders = super::folders(dir.path()).unwrap();
    assert_eq!(folders, std::slice::from_ref(&folder), "and no template itself");
    fs::write(shared.join("template.html"), "<html></html>").unwrap();
    let refused = super::folders(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("give it another name"), "{refused}");

    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(elsewhere.path().join("parts")).unwrap();
    let linked = elsewhere.path().join("letter-acme");
    std::os::unix::fs::symlink(&folder, &linked).unwrap();
    let fault = findings(&linked).broken.unwrap();
    assert!(fault.what.contains("no part `house.css`"), "`parts` lies beside the link: {fault}");
}

#[test]
fn a_part_that_nothing_asks_for_is_told() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    for (file, says) in
        [("sums.html", "{% include \"sums.html\" %}"), ("b.css", "@import \"b.css\"")]
    {
        fs::write(folder.join(file), "").unwrap();
        let fault = findings(&folder).broken.unwrap();
        assert_eq!(fault.file.as_deref(), Some(file));
        assert!(fault.what.contains(says), "{fault}");
        fs::remove_file(folder.join(file)).unwrap();
    }
}

#[test]
fn a_folder_within_a_template_is_refused() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    fs::create_dir(folder.join("img")).unwrap();
    let found = findings(&folder);
    let fault = found.broken.unwrap();
    assert_eq!(
        (fault.file.as_deref(), &*fault.what),
        (Some("img"), "a folder: there are none in a template")
    );
}

#[test]
fn a_sample_says_where_it_is_wrong() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    let sample = folder.join("sample.json");
    fs::write(&sample, "{\n  \"date\": \"2026-02-30\"\n}").unwrap();
    let found = findings(&folder);
    let faults = found.faults();
    let place = |fault: &super::Fault| (fault.file.clone().unwrap(), fault.line, fault.column);
    assert_eq!(faults.len(), 1, "once for both languages: {faults:?}");
    assert_eq!(place(faults[0]).0, "sample.json");
    assert!(faults[0].locale.is_none(), "it has nothing to do with the language");

    fs::write(&sample, "{\n  \"date\": oops\n}").unwrap();
    assert_eq!(findings(&folder).broken.unwrap().file.as_deref(), Some("sample.json"));
}

#[test]
fn a_missing_glyph_is_shown_where_it_stands() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    edit(&folder.join("template.html"), "<body class=\"{{ locale }}\">", "<body>\u{10380}");
    let found = findings(&folder);
    let fault = found.faults()[0];
    assert_eq!((fault.code, fault.file.as_deref()), ("glyph_missing", Some("template.html")));
    assert_eq!(fault.column, Some(7), "behind <body>: {fault}");
}

#[test]
fn what_editors_leave_behind_is_no_part_of_a_template() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    let sound = findings(&folder).version;
    for file in [".style.css.swp", "style.css~", ".DS_Store"] {
        fs::write(folder.join(file), "x").unwrap();
    }
    fs::create_dir(folder.join(".git")).unwrap();
    assert_eq!(findings(&folder).version, sound);
}

async fn open(folder: &Path) -> Preview {
    let settings = Settings {
        source: Source::Folder(folder.to_owned()),
        port: 0,
        sample: None,
        locale: Locale::Ja,
    };
    preview::open(settings, Renderer::bundled().unwrap(), &Entropy::from_os().unwrap())
        .await
        .unwrap()
}

fn client() -> reqwest::Client {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

/// What there is to see behind `seen`.
async fn news(client: &reqwest::Client, url: &str, seen: u64) -> Value {
    let answer = client.get(format!("{url}state?seen={seen}")).send().await.unwrap();
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preview_follows_what_is_saved_and_keeps_the_last_good_document() {
    let dir = letter();
    let folder = dir.path().join("letter-acme");
    let preview = open(&folder).await;
    let (client, url) = (client(), preview.url.clone());
    let first = news(&client, &url, 0).await;
    assert_eq!(first["faults"], serde_json::json!([]));
    assert!(first["documents"].as_array().unwrap().len() >= 4, "samples in both languages");
    let pdf = format!("{url}document.pdf?sample=sample.json&locale=ja");
    let good = client.get(&pdf).send().await.unwrap().bytes().await.unwrap();
    assert!(good.starts_with(b"%PDF-"), "a document");

    // Half a file, as an editor leaves it for a moment.
    let css = fs::read_to_string(folder.join("style.css")).unwrap();
    fs::write(folder.join("style.css"), ".half { color").unwrap();
    let broken = news(&client, &url, first["revision"].as_u64().unwrap()).await;
    assert_eq!(broken["faults"][0]["file"], "style.css", "{broken}");
    let html = format!("{url}written.html?sample=sample.json&locale=ja");
    let html = client.get(html).send().await.unwrap();
    assert_eq!(html.headers()["content-type"], "text/plain; charset=utf-8", "to be read");
    assert!(html.text().await.unwrap().contains("<body"), "what the template writes");
    let kept = client.get(&pdf).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(kept, good, "the last good document stays");

    fs::write(folder.join("style.css"), css.replace("10pt", "11pt") + "\n").unwrap();
    let mended = news(&client, &url, broken["revision"].as_u64().unwrap()).await;
    assert_eq!(mended["faults"], serde_json::json!([]));
    assert_ne!(mended["version"], first["version"], "another template");

    // The author takes a part out of the folder, for all templates to have.
    let shared = dir.path().join("parts");
    fs::create_dir(&shared).unwrap();
    fs::rename(folder.join("house.css"), shared.join("house.css")).unwrap();
    let moved = news(&client, &url, mended["revision"].as_u64().unwrap()).await;
    assert_eq!(moved["faults"], serde_json::json!([]));
    edit(&shared.join("house.css"), "--ink: #1a1e23", "--ink: #000000");
    let darker = news(&client, &url, moved["revision"].as_u64().unwrap()).await;
    assert_ne!(darker["version"], moved["version"], "a shared part was saved");
    preview.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preview_answers_nobody_else() {
    let dir = letter();
    let preview = open(&dir.path().join("letter-acme")).await;
    let (client, url) = (client(), preview.url.clone());
    let page = client.get(&url).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("'nonce-"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(html.contains("letter-acme"), "the page names the template");

    let foreign = client.get(&url).header("host", "evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 404, "another name for this address");
    let base = url.trim_end_matches('/').rsplit_once('/').unwrap().0;
    for path in
        ["", "state?seen=0", "document.pdf?sample=sample.json&locale=ja", "written.html", "pages/1"]
    {
        let guessed = format!("{base}/{}/{path}", "0".repeat(32));
        let answer = client.get(guessed).send().await.unwrap();
        assert_eq!(answer.status(), 404, "a guessed token: {path}");
    }
    let beyond = format!("{url}pages/999?sample=sample.json&locale=ja");
    assert_eq!(client.get(beyond).send().await.unwrap().status(), 404, "no such page");
    preview.stop().await;
}

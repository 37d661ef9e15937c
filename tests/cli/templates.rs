//! What a template's author does at a terminal.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Stdio,
};

use super::{Place, command, kakitome, root};

/// `templates new NAME --from FROM --dir DIR`; where the folder is.
fn begun(dir: &Path, name: &str, from: &str) -> String {
    let place = dir.display().to_string();
    kakitome(&["templates", "new", name, "--from", from, "--dir", &place]).ends(0);
    dir.join(name).display().to_string()
}

#[test]
fn templates_are_listed() {
    let plain = kakitome(&["templates"]).ends(0).out;
    assert_eq!(plain, kakitome(&["templates", "list"]).ends(0).out);
    let names: Vec<_> = plain.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"invoice") && names.contains(&"letter"), "bundled: {names:?}");
    let list = &kakitome(&["templates", "list", "--json"]).ends(0).lines()[0]["templates"];
    let invoice = list.as_array().unwrap().iter().find(|one| one["name"] == "invoice").unwrap();
    assert_eq!(invoice["source"], "bundled");
    let version = invoice["version"].as_str().unwrap();
    assert_eq!(version.len(), "invoice@".len() + 16, "{version}");
}

#[test]
fn an_operators_template_is_begun_checked_installed_and_rendered() {
    let place = Place::new("");
    let folder = place.path("templates");
    let begun = begun(&folder, "invoice-acme", "invoice");
    let text = fs::read_to_string(place.path("kakitome.toml")).unwrap();
    let dir = format!("[office]\ntemplates_dir = \"{}\"\n", folder.display());
    fs::write(place.path("kakitome.toml"), text.replacen("[office]\n", &dir, 1)).unwrap();
    let run = kakitome(&["templates", "check", &begun]).ends(0);
    assert!(run.out.starts_with(&format!("{begun}: ok, invoice-acme@")), "{}", run.out);
    place.run(&["templates", "check", "invoice-acme"]).ends(0);
    let list = place.run(&["templates"]).ends(0).out;
    let row = list.lines().find(|line| line.starts_with("invoice-acme ")).unwrap();
    assert!(row.ends_with("operator"), "{row}");

    let sample = format!("{begun}/sample.json");
    let out = place.at("out.pdf");
    place.run(&["render", "-t", "invoice-acme", "-d", &sample, "-o", &out]).ends(0);
    assert!(fs::read(&out).unwrap().starts_with(b"%PDF-"), "a PDF");
}

#[test]
fn what_is_wrong_is_told_like_a_compiler_does() {
    let dir = tempfile::tempdir().unwrap();
    let folder = begun(dir.path(), "letter-acme", "letter");
    let css = Path::new(&folder).join("style.css");
    let lines = fs::read_to_string(&css).unwrap().lines().count();
    let mut text = fs::read_to_string(&css).unwrap();
    text.push_str("\n.x { colr: red; }\n");
    fs::write(&css, text).unwrap();
    let run = kakitome(&["templates", "check", &folder]).ends(3);
    let place = format!("{folder}/style.css:{}:", lines + 2);
    assert!(run.out.starts_with(&place), "{place}: {}", run.out);
    assert!(!run.out.contains('^'), "a caret is for terminals: {}", run.out);
    let run = kakitome(&["templates", "check", "--json", &folder, "letter"]).ends(3);
    let told = run.lines();
    assert_eq!(told[0]["errors"][0]["file"], "style.css");
    assert_eq!(told[0]["errors"][0]["line"], lines + 2);
    assert_eq!(told[1]["errors"], serde_json::json!([]), "and the other one is sound");
    assert!(told[1]["documents"].as_array().unwrap().len() >= 4, "samples in two languages");
}

#[test]
fn nothing_is_overwritten_and_no_copy_is_made_that_could_not_render() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display().to_string();
    let folder = begun(dir.path(), "letter-acme", "letter");
    fs::write(Path::new(&folder).join("style.css"), "mine").unwrap();
    kakitome(&["templates", "new", "letter-acme", "--from", "letter", "--dir", &place]).ends(1);
    let kept = fs::read_to_string(Path::new(&folder).join("style.css")).unwrap();
    assert_eq!(kept, "mine");
    let run = kakitome(&["templates", "new", "acme", "--from", "invoice", "--dir", &place]).ends(2);
    assert!(run.err.contains("invoice-acme"), "a name that would do: {}", run.err);
    kakitome(&["templates", "new", "Übel", "--from", "letter", "--dir", &place]).ends(2);
    kakitome(&["templates", "new", "../up", "--from", "letter", "--dir", &place]).ends(2);
    kakitome(&["templates", "check", "nowhere"]).ends(2);
    assert!(!dir.path().join("acme").exists(), "nothing was written");
}

#[test]
fn a_template_of_no_kind_may_have_any_name_and_be_rendered_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display().to_string();
    for (name, from) in [("order-confirmation", "letter"), ("receipt-acme", "receipt")] {
        let run = kakitome(&["templates", "new", name, "--dir", &place, "--json"]).ends(0);
        assert_eq!(run.lines()[0]["from"], from, "{name}");
        let folder = dir.path().join(name).display().to_string();
        kakitome(&["templates", "check", &folder]).ends(0);
        let (sample, out) = (format!("{folder}/sample.json"), format!("{folder}.pdf"));
        kakitome(&["render", "-t", &folder, "-d", &sample, "-o", &out]).ends(0);
        assert!(fs::read(&out).unwrap().starts_with(b"%PDF-"), "a PDF");
    }
    let sample = format!("{place}/order-confirmation/sample.json");
    let run = kakitome(&["render", "-t", "nowhere", "-d", &sample, "-o", "x.pdf"]).ends(3);
    assert!(run.err.contains("office.templates_dir"), "where it is looked for: {}", run.err);
}

#[test]
fn a_copy_stands_on_its_own_and_may_share_again() {
    let dir = tempfile::tempdir().unwrap();
    let one = begun(dir.path(), "invoice-one", "invoice");
    let two = begun(dir.path(), "quotation-two", "quotation");
    let has = |folder: &str, file: &str| Path::new(folder).join(file).is_file();
    assert!(has(&one, "house.css") && has(&one, "bank.html"), "what an invoice is made of");
    assert!(has(&two, "house.css") && !has(&two, "bank.html"), "and no more than that");
    kakitome(&["templates", "check", &one, &two]).ends(0);

    let parts = dir.path().join("parts");
    fs::create_dir(&parts).unwrap();
    fs::rename(Path::new(&one).join("house.css"), parts.join("house.css")).unwrap();
    fs::remove_file(Path::new(&two).join("house.css")).unwrap();
    kakitome(&["templates", "check", &one, &two]).ends(0);
    fs::write(parts.join("house.css"), "p {\n  colr: red;\n}\n").unwrap();
    let run = kakitome(&["templates", "check", &two]).ends(3);
    let place = format!("{two}/../parts/house.css:2:3: template_failed: `colr`");
    assert!(run.out.starts_with(&place), "{place}: {}", run.out);
    kakitome(&["templates", "new", "parts", "--from", "letter"]).ends(2);
}

#[test]
fn the_html_of_a_wrong_template_is_written_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let folder = begun(dir.path(), "letter-acme", "letter");
    let file = Path::new(&folder).join("template.html");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("</body>", "<div class=\"late\">\n</body>", 1)).unwrap();
    let line = text.lines().position(|line| line.contains("</body>")).unwrap() + 1;
    let html = dir.path().join("page");
    let (sample, name) = (format!("{folder}/sample.json"), html.display().to_string());
    kakitome(&["render", "-t", &folder, "-d", &sample, "--html", &name]).ends(0);
    let page = fs::read_to_string(html.join("index.html")).unwrap();
    assert!(page.contains("<div class=\"late\">"), "to look at");
    let out = format!("{folder}.pdf");
    let run = kakitome(&["render", "-t", &folder, "-d", &sample, "-o", &out]).ends(3);
    assert!(run.err.contains(&format!("template.html:{}:", line + 1)), "its place: {}", run.err);
    assert!(run.err.contains("`div.late`"), "its element: {}", run.err);
}

#[test]
fn the_html_of_a_document_opens_in_a_browser() {
    let dir = tempfile::tempdir().unwrap();
    let sample = root().join("templates/documents/invoice/sample.json").display().to_string();
    let html = dir.path().join("page");
    let name = html.display().to_string();
    kakitome(&["render", "-t", "invoice", "-d", &sample, "--html", &name]).ends(0);
    let page = fs::read_to_string(html.join("index.html")).unwrap();
    let links: Vec<_> = page.split("href=\"").skip(1).map(|rest| rest.split('"').next()).collect();
    assert!(links.len() >= 2, "stylesheets: {links:?}");
    let style = fs::read_to_string(html.join("style.css")).unwrap();
    assert!(style.contains("@page") && !style.contains("@import"), "with its parts");
    let sheet = fs::read_to_string(html.join("fonts.css")).unwrap();
    let fonts = sheet.split("url(\"").skip(1).map(|rest| rest.split('"').next());
    for file in links.into_iter().chain(fonts) {
        assert!(html.join(file.unwrap()).is_file(), "{file:?} is there");
    }
}

#[test]
fn the_preview_prints_its_address_and_ends_when_it_is_asked_to() {
    let mut child = command(&["templates", "preview", "letter", "--locale", "en"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let rest = address.trim().strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    assert!(host.starts_with("127.0.0.1:"), "{host}");
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("data-locale=\"en\""), "the language that was asked for");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "it ends in good order");
}

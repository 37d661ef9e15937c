//! docs/TEMPLATES.md says what templates can say, all of it and nothing else; its
//! examples are templates, and its pictures show what they become.
//!
//! `KAKITOME_BLESS=1 cargo test --lib manual` puts the examples of docs/templates/
//! into the page and, where `pdftoppm` is installed, draws their pictures anew.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use super::*;
use crate::render::{
    css::Sheet,
    dom::{Tag, is_attribute},
    font,
};

const PAGE: &str = "docs/TEMPLATES.md";
const SCHEMA: &str = r#"{"type": "object", "additionalProperties": false, "properties": {}}"#;
/// The most bytes of a picture.
const MOST: usize = 20_000;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[expect(clippy::disallowed_methods, reason = "the switch of every test that writes pages")]
fn blesses() -> bool {
    std::env::var("KAKITOME_BLESS").is_ok()
}

/// The rows of the first table below a heading, without its head: the cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = read(PAGE);
    let below = page.split(&format!("\n{heading}\n")).nth(1);
    let below = below.unwrap_or_else(|| panic!("{PAGE} has no `{heading}`"));
    let lines = below.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words of the first column of a table.
fn first_column(heading: &str) -> BTreeSet<String> {
    table(heading).iter().flat_map(|row| quoted(&row[0])).collect()
}

/// Every word in quotes in a source.
fn literals(path: &str) -> BTreeSet<String> {
    let source = read(path);
    let words = source.split('"').skip(1).step_by(2);
    let plain = |word: &&str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    words.filter(plain).map(str::to_owned).collect()
}

fn css_error(css: &str) -> Option<String> {
    match Sheet::parse(css, &RENDERER.fonts.families()) {
        Ok(_) => None,
        Err(RenderError::TemplateFailed { what, .. }) => Some(what),
        Err(other) => panic!("{css}: {other}"),
    }
}

fn is_property(name: &str) -> bool {
    css_error(&format!("p {{ {name}: ~ }}")).is_some_and(|what| !what.contains("unknown property"))
}

#[test]
fn names_every_property_that_is_understood_and_no_other() {
    let mut words = literals("src/render/css/property.rs");
    words.extend(literals("src/render/css/border.rs"));
    let sides = ["", "-top", "-right", "-bottom", "-left"];
    let names = words.iter().flat_map(|word| sides.map(|side| format!("{word}{side}")));
    let known: BTreeSet<String> = names.filter(|name| is_property(name)).collect();
    assert!(known.len() > 70, "the names were found: {known:?}");
    assert_eq!(first_column("### Properties"), known);
}

#[test]
fn every_value_in_the_table_of_properties_is_understood() {
    let mut tried = 0;
    for row in table("### Properties") {
        for property in quoted(&row[0]) {
            for value in quoted(&row[1]) {
                let error =
                    css_error(&format!("@page letter {{ size: A4 }} p {{ {property}: {value} }}"));
                assert_eq!(error, None, "`{property}: {value}`");
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "the values were found: {tried}");
}

#[test]
fn names_every_element_attribute_filter_and_test() {
    let dom = literals("src/render/dom.rs");
    let elements = dom.iter().filter(|word| Tag::named(word.as_bytes()).is_some());
    assert_eq!(first_column("### Elements"), elements.cloned().collect());
    let attributes = dom.iter().filter(|word| is_attribute(word.as_bytes()));
    assert_eq!(first_column("### Attributes"), attributes.cloned().collect());

    let sources = ["src/render/guard.rs", "src/render/filters.rs"].map(read).concat();
    let added = |what: &str| -> BTreeSet<String> {
        let call = format!("environment.{what}(\"");
        let parts = sources.split(&call).skip(1);
        parts.filter_map(|part| Some(part.split_once('"')?.0.to_owned())).collect()
    };
    let filters = [first_column("### Filters"), first_column("### Filters of minijinja")];
    let name = |filter: String| filter.split('(').next().unwrap_or_default().to_owned();
    let filters: BTreeSet<String> = filters.into_iter().flatten().map(name).collect();
    assert_eq!(filters, added("add_filter"));
    assert_eq!(first_column("### Tests"), added("add_test"));
}

/// The fenced blocks of the page that follow a text.
fn blocks(after: &str) -> Vec<String> {
    let page = read(PAGE);
    let (_, below) = page.split_once(after).unwrap_or_else(|| panic!("{PAGE}: {after}"));
    let blocks = below.split("\n```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').unwrap_or_default().1.to_owned()).collect()
}

fn bundle(html: &str, schema: &str, sample: &str) -> TemplateBundle {
    let texts = [
        ("template.html", html),
        ("style.css", ""),
        ("data.schema.json", schema),
        ("sample.json", sample),
    ];
    let files = texts.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    TemplateBundle { name: "note".into(), files: files.into() }
}

#[test]
fn the_smallest_template_is_one() {
    let blocks = blocks("The smallest template there is:\n");
    let bundle = bundle(&blocks[0], &blocks[1], r#"{"name": "書留 花子"}"#);
    let renderer = operator_templates::empty().with_templates(vec![bundle]);
    assert!(renderer.is_ok_and(|renderer| renderer.has_template("note")));
}

#[test]
fn what_minijinja_may_say_by_example_it_may() {
    let rows = &blocks("## What a template sees\n")[0];
    let html = format!("<html><body><table><tbody>{rows}</tbody></table></body></html>");
    let object = |fields: &str| {
        format!(
            r#"{{"type": "object", "additionalProperties": false, "properties": {{{fields}}}}}"#
        )
    };
    let text = r#""name": {"type": "string"}"#;
    let line = object(&format!(r#"{text}, "late": {{"type": "boolean"}}"#));
    let lines = format!(r#""lines": {{"type": "array", "items": {line}}}"#);
    let recipient = format!(r#""recipient": {}"#, object(text));
    let schema = object(&format!(r#"{lines}, {recipient}, "brief": {{"type": "boolean"}}"#));
    let named = TemplateBundle { name: "invoice-note".into(), ..bundle(&html, &schema, "{}") };
    RENDERER.try_out(&named).unwrap();
}

/// One example: `<style>`, then the body.
struct Example {
    name: String,
    source: String,
}

impl Example {
    fn all() -> Vec<Self> {
        let files = fs::read_dir(root().join("docs/templates")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            names.filter_map(|file| Some(file.strip_suffix(".html")?.to_owned())).collect();
        names.sort();
        let of = |name: String| {
            let source = read(&format!("docs/templates/{name}.html"));
            Self { name, source }
        };
        names.into_iter().map(of).collect()
    }

    /// The template that the example stands for, with all pictures of the folder.
    fn bundle(&self) -> TemplateBundle {
        let (css, body) = self.source.split_once("</style>\n").expect("a stylesheet, then a body");
        let css = css.strip_prefix("<style>\n").expect("a stylesheet first");
        let html = format!("<html lang=\"ja\">\n<body>\n{body}</body>\n</html>\n");
        let css = format!("{}{css}", read("docs/templates/base.css"));
        let texts = [
            ("template.html", html.as_str()),
            ("style.css", css.as_str()),
            ("data.schema.json", SCHEMA),
            ("sample.json", "{}"),
        ];
        let mut files: Vec<_> =
            texts.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into();
        for file in ["logo.svg", "mark.svg", "photo.png"] {
            let bytes = fs::read(root().join("docs/templates").join(file)).unwrap();
            files.push((file.to_owned(), bytes));
        }
        files.push(("house.ttf".to_owned(), font::FILES[3].to_vec()));
        TemplateBundle { name: self.name.clone(), files }
    }

    fn rendered(&self) -> Rendered {
        let trial = RENDERER.try_out(&self.bundle());
        let trial = trial.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let rendered = trial.render(&json!({}), Locale::Ja, &self.name);
        rendered.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn picture(&self) -> PathBuf {
        root().join("docs/templates").join(&self.name).with_extension("png")
    }

    /// What a picture says it was drawn from.
    fn print(&self) -> String {
        let text = [read("docs/templates/base.css"), self.source.clone()].concat();
        data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..8])
    }

    /// How the page shows it.
    fn shown(&self) -> String {
        let Self { name, source, .. } = self;
        format!("<!-- {name} -->\n```html\n{source}```\n![{name}](templates/{name}.png)\n")
    }
}

#[test]
fn every_example_is_a_template() {
    for example in Example::all() {
        let rendered = example.rendered();
        assert!((1..=4).contains(&rendered.pages), "{}: {} pages", example.name, rendered.pages);
        let renderer = operator_templates::empty();
        renderer.with_templates(vec![example.bundle()]).unwrap_or_else(|error| {
            panic!("{}: cannot be registered: {error}", example.name);
        });
    }
}

#[test]
fn shows_every_example_as_it_is() {
    let mut page = read(PAGE);
    let before = page.clone();
    for example in Example::all() {
        let start = format!("<!-- {} -->\n", example.name);
        let end = format!("templates/{}.png)\n", example.name);
        let (upper, rest) = page.split_once(&start).unwrap_or_else(|| {
            panic!("{PAGE} has no place for the example `{}`: {start}", example.name)
        });
        let lower = rest.split_once(&end).map_or(rest, |(_, lower)| lower);
        page = format!("{upper}{}{lower}", example.shown());
    }
    if blesses() {
        fs::write(root().join(PAGE), &page).unwrap();
    } else {
        assert!(page == before, "an example has changed: KAKITOME_BLESS=1 cargo test --lib manual");
    }
}

#[test]
fn every_picture_is_that_of_its_example() {
    for example in Example::all() {
        let path = example.picture();
        let name = &example.name;
        if blesses()
            && let Some(pages) = drawn(&example)
        {
            fs::write(&path, joined(&pages, &example.print())).unwrap();
        }
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{name}.png: {error}"));
        assert!(bytes.len() < MOST, "{name}.png: {} bytes", bytes.len());
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let said = &reader.info().uncompressed_latin1_text;
        assert!(
            said.iter().any(|text| text.keyword == "Source" && text.text == example.print()),
            "{name}.png shows an older example: KAKITOME_BLESS=1 cargo test --lib manual"
        );
    }
}

/// One page as red, green and blue.
struct Pixels {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

/// The pages of an example, drawn by `pdftoppm`; `None` if it is not installed.
fn drawn(example: &Example) -> Option<Vec<Pixels>> {
    Command::new("pdftoppm").arg("-v").output().ok()?;
    let folder = tempfile::tempdir().unwrap();
    let pdf = folder.path().join("example.pdf");
    fs::write(&pdf, &*example.rendered().pdf).unwrap();
    let mut command = Command::new("pdftoppm");
    command.args(["-r", "96", "-png"]).arg(&pdf).arg(folder.path().join("page"));
    assert!(command.status().unwrap().success(), "{}: pdftoppm", example.name);
    let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|e| e == "png")).collect();
    files.sort();
    Some(files.iter().map(|file| pixels(file)).collect())
}

fn pixels(file: &Path) -> Pixels {
    let mut decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(file).unwrap()));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut bytes).unwrap();
    assert_eq!(frame.color_type, png::ColorType::Rgb, "what pdftoppm writes");
    let (width, height) = (frame.width as usize, frame.height as usize);
    Pixels { width, height, bytes }
}

/// The pages side by side, each with a frame, in few shades so that it is small.
fn joined(pages: &[Pixels], source: &str) -> Vec<u8> {
    const GAP: usize = 10;
    let height = pages.iter().map(|page| page.height).max().unwrap();
    let width = pages.iter().map(|page| page.width + GAP).sum::<usize>() - GAP;
    let mut out = vec![255; width * height * 3];
    let mut x = 0;
    for page in pages {
        for (row, line) in page.bytes.chunks(page.width * 3).enumerate() {
            let start = (row * width + x) * 3;
            out[start..start + line.len()].copy_from_slice(line);
            let edge = row == 0 || row + 1 == page.height;
            for column in (0..page.width).filter(|at| edge || *at == 0 || at + 1 == page.width) {
                out[start + column * 3..start + column * 3 + 3].fill(0xbb);
            }
        }
        x += page.width + GAP;
    }
    // A few shades of each colour; grey stays grey.
    out.iter_mut()
        .for_each(|value| *value = (value.saturating_add(4) / 8 * 8).max(*value / 255 * 255));
    let grey = out.chunks(3).all(|one| one[0] == one[1] && one[1] == one[2]);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.add_text_chunk("Source".into(), source.into()).unwrap();
    encoder.set_color(if grey { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    let data: Vec<u8> = if grey { out.iter().step_by(3).copied().collect() } else { out };
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&data).unwrap();
    writer.finish().unwrap();
    file
}

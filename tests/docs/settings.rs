//! Reads src/config as a reader would: sections, keys, comments, bounds.

/// A table of the configuration.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name, such as `mail`; `tenants.NAME` for the many.
    pub(crate) name: String,
    /// What it is about.
    pub(crate) about: String,
    /// Whether it may be absent as a whole.
    pub(crate) optional: bool,
    /// Its keys.
    pub(crate) keys: Vec<Key>,
}

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: String,
    /// Its type in Rust.
    pub(crate) kind: String,
    /// What it does.
    pub(crate) about: String,
    /// The lowest and the highest value, where the comment names them.
    pub(crate) bounds: Option<(String, String)>,
}

/// Every section, in the order of the file.
pub(crate) fn sections() -> Vec<Section> {
    let files = ["mod", "outside", "pace"];
    let source = files.map(|file| super::read(format!("src/config/{file}.rs"))).concat();
    let all = fields(&source, "Config");
    let mut sections = Vec::new();
    for field in all {
        let (optional, kind) = unwrapped(&field.kind, "Option<");
        let (many, kind) = unwrapped(&kind, "BTreeMap<TenantId, ");
        let name = if many { format!("{}.NAME", field.name) } else { field.name };
        let keys = fields(&source, &kind);
        sections.push(Section { name, about: field.about, optional, keys });
    }
    sections
}

fn unwrapped(kind: &str, shell: &str) -> (bool, String) {
    match kind.strip_prefix(shell).and_then(|rest| rest.strip_suffix('>')) {
        Some(inner) => (true, inner.to_owned()),
        None => (false, kind.to_owned()),
    }
}

/// The public fields of a struct with their comments.
fn fields(source: &str, name: &str) -> Vec<Key> {
    let head = format!("pub struct {name} {{");
    let body = source.split(&head).nth(1).unwrap_or_else(|| panic!("no struct {name}"));
    let body = body.split("\n}\n").next().unwrap();
    let mut about = String::new();
    let mut keys = Vec::new();
    for line in body.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            about.push_str(comment);
        } else if let Some((name, kind)) =
            line.strip_prefix("pub ").and_then(|field| field.trim_end_matches(',').split_once(": "))
        {
            let about = std::mem::take(&mut about).trim().to_owned();
            keys.push(Key {
                name: name.to_owned(),
                kind: kind.to_owned(),
                bounds: bounds(&about),
                about,
            });
        }
    }
    assert!(!keys.is_empty(), "{name} has fields");
    keys
}

/// `(2 to 200).` at the end of a comment.
fn bounds(about: &str) -> Option<(String, String)> {
    let inner = about.strip_suffix(").")?.rsplit_once('(')?.1;
    let (low, high) = inner.split_once(" to ")?;
    Some((low.to_owned(), high.to_owned()))
}

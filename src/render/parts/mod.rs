//! Parts: what several templates have in common, or what is long enough for a file of
//! its own.
//!
//! `{% include "NAME.html" %}` in a template, and `@import "NAME.css";` before the rules
//! of a stylesheet, stand for the text of a part. It is written in their place when the
//! template is registered, before anything else reads it: so what bounds a template
//! bounds it with all its parts, and no document pays for them. Of every place in the
//! whole it is known which file it comes from.
//!
//! A part lies beside `template.html`, or in the folder `parts` beside the folders of
//! several templates, which all find it there; one's own comes first.

use std::{collections::BTreeSet, ops::Range};

use super::{
    TemplateBundle, bundle,
    error::{At, RenderError},
    near,
};
use asks::{Ask, Asks};

mod asks;

pub use asks::asked;

/// The folder beside the templates' own whose parts all of them find.
pub const SHARED: &str = "parts";
/// What the names of its files begin with in a bundle and in errors.
pub const FROM_SHARED: &str = "../parts/";
/// The most bytes of a text with all its parts, each as often as it stands there.
const MOST_BYTES: usize = 1 << 20;
/// The most times that a part stands in one text.
const MOST_TIMES: usize = 500;

/// Whether a file of a bundle can be a part.
pub fn is_part(file: &str) -> bool {
    let name = file.strip_prefix(FROM_SHARED).unwrap_or(file);
    let plain = |stem: &str| {
        !stem.is_empty()
            && stem.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let stem = name.strip_suffix(".html").or_else(|| name.strip_suffix(".css"));
    stem.is_some_and(plain) && !matches!(name, "template.html" | "style.css" | "index.html")
}

/// Whether a file holds rules, and not what is in a template.
pub fn is_style(file: &str) -> bool {
    matches!(file.rsplit_once('.'), Some((_, "css")))
}

/// A text with its parts in their places.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) text: String,
    /// Every file that went into it, with blanks where its parts are asked for.
    pub(super) files: Vec<(String, String)>,
    /// The file that it begins with.
    root: &'static str,
    pieces: Vec<Piece>,
}

/// A stretch of a text that stands as it does in a file.
#[derive(Debug)]
struct Piece {
    /// Where it begins in the whole.
    from: usize,
    /// The index of its file.
    file: usize,
    /// Where it begins there.
    at: At,
}

impl Whole {
    /// `template.html` and its parts.
    pub(super) fn template(bundle: &TemplateBundle) -> Result<Self, RenderError> {
        Writer::write(bundle, "template.html", &asks::INCLUDES)
    }

    /// `style.css` and its parts.
    pub(super) fn style(bundle: &TemplateBundle) -> Result<Self, RenderError> {
        Writer::write(bundle, "style.css", &asks::IMPORTS)
    }

    /// The file that an offset comes from, and its place there.
    pub(super) fn place(&self, offset: usize) -> (&str, At) {
        let behind = self.pieces.partition_point(|piece| piece.from <= offset);
        let piece = behind.checked_sub(1).and_then(|index| self.pieces.get(index));
        let Some(piece) = piece else { return (self.root, At { line: 1, column: 1 }) };
        let before = self.text.get(piece.from..offset).unwrap_or_default();
        let file = self.files.get(piece.file).map_or(self.root, |(file, _)| file);
        (file, piece.at.behind(before))
    }

    /// The file that an offset comes from.
    pub(super) fn file_at(&self, offset: usize) -> &str {
        let behind = self.pieces.partition_point(|piece| piece.from <= offset);
        let piece = behind.checked_sub(1).and_then(|index| self.pieces.get(index));
        piece.and_then(|piece| self.files.get(piece.file)).map_or(self.root, |(file, _)| file)
    }

    /// An error that names a place in the whole names the file and its place there.
    pub(super) fn relocate(&self, error: RenderError) -> RenderError {
        let RenderError::TemplateFailed { file, what, at: Some(at), element } = error else {
            return error;
        };
        if file != self.root {
            return RenderError::TemplateFailed { file, what, at: Some(at), element };
        }
        let place = if at.column == At::LINE_ONLY {
            let first = At { column: 1, ..at }.offset_in(&self.text);
            let line =
                self.text.get(first..).unwrap_or_default().lines().next().unwrap_or_default();
            // What a line of the whole is about begins with its first tag or word.
            let tag = line.find("{%").into_iter().chain(line.find("{{")).min();
            let indent = line.len().saturating_sub(line.trim_start().len());
            let (file, place) = self.place(first.saturating_add(tag.unwrap_or(indent)));
            (file, At { column: 1, ..place })
        } else {
            self.place(at.offset_in(&self.text))
        };
        let (file, at) = (place.0.to_owned().into(), Some(place.1));
        RenderError::TemplateFailed { file, what, at, element }
    }

    /// Lets go of what only the checks needed.
    pub(super) fn checked(mut self) -> Self {
        for (_, alone) in &mut self.files {
            *alone = String::new();
        }
        self
    }

    /// Whether a file of the bundle is in it.
    pub(super) fn has(&self, file: &str) -> bool {
        self.files.iter().any(|(name, _)| name == file)
    }
}

struct Writer<'b> {
    bundle: &'b TemplateBundle,
    asks: &'static Asks,
    whole: Whole,
    /// The parts that the one being written stands in.
    open: BTreeSet<&'b str>,
    times: usize,
    bytes: usize,
}

impl<'b> Writer<'b> {
    fn write(
        bundle: &'b TemplateBundle,
        root: &'static str,
        asks: &'static Asks,
    ) -> Result<Whole, RenderError> {
        let whole = Whole { text: String::new(), files: Vec::new(), root, pieces: Vec::new() };
        let open = BTreeSet::new();
        let mut writer = Writer { bundle, asks, whole, open, times: 0, bytes: 0 };
        let (file, source) = bundle::text(bundle, root)?;
        writer.file(file, source)?;
        Ok(writer.whole)
    }

    fn file(&mut self, file: &'b str, source: &'b str) -> Result<(), RenderError> {
        // All that is read counts, also what is not copied.
        self.bytes = self.bytes.saturating_add(source.len());
        if self.bytes > MOST_BYTES {
            let what = "larger than 1 MiB with its parts";
            return Err(RenderError::template(self.whole.root, what, None));
        }
        (self.asks.sound)(source).map_err(|(what, offset)| {
            RenderError::template(file.to_owned(), what, Some(At::offset(source, offset)))
        })?;
        let asks = (self.asks.find)(source);
        let index = self.index(file, source, &asks);
        self.open.insert(file);
        let mut at = At { line: 1, column: 1 };
        let mut from = 0;
        for Ask { range, tag, name } in asks {
            self.copy(index, source, from..range.start, &mut at);
            at = at.behind(source.get(range.start..tag).unwrap_or_default());
            let (part, text) = self.part(file, &name, at)?;
            self.file(part, text)?;
            at = at.behind(source.get(tag..range.end).unwrap_or_default());
            from = range.end;
        }
        let root = self.open.len() == 1;
        let end = if root { source.len() } else { (self.asks.end)(source).max(from) };
        self.copy(index, source, from..end, &mut at);
        self.open.remove(file);
        Ok(())
    }

    /// The part that is asked for: the template's own, or one that all share.
    fn part(&mut self, file: &str, name: &str, at: At) -> Result<(&'b str, &'b str), RenderError> {
        let bad = |what: String| Err(RenderError::template(file.to_owned(), what, Some(at)));
        let (bundle, ending) = (self.bundle, self.asks.ending);
        if name.contains('/') || !is_part(name) || !name.ends_with(ending) {
            let name = near::quote(name);
            return bad(format!(
                "no part {name}: its name is [a-z0-9_-]+{ending}, without a folder"
            ));
        }
        let shared = format!("{FROM_SHARED}{name}");
        let named = |wanted: &&str| bundle.files.iter().any(|(file, _)| file == wanted);
        let Some(part) = [name, &shared].into_iter().find(named) else {
            return bad(format!("no part {}{}", near::quote(name), self.meant(name)));
        };
        if self.open.contains(part) {
            return bad(format!("{} would stand within itself", near::quote(name)));
        }
        self.times = self.times.saturating_add(1);
        if self.times > MOST_TIMES {
            return bad(format!("more than {MOST_TIMES} times a part"));
        }
        bundle::text(bundle, part)
    }

    /// Remembers a file, once.
    fn index(&mut self, file: &str, source: &str, asks: &[Ask]) -> usize {
        let files = &mut self.whole.files;
        if let Some(known) = files.iter().position(|(name, _)| name == file) {
            return known;
        }
        let mut alone = String::with_capacity(source.len());
        let mut from = 0;
        for Ask { range, .. } in asks {
            alone.push_str(source.get(from..range.start).unwrap_or_default());
            let asked = source.get(range.clone()).unwrap_or_default();
            alone.extend(asked.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
            from = range.end;
        }
        alone.push_str(source.get(from..).unwrap_or_default());
        files.push((file.to_owned(), alone));
        files.len().saturating_sub(1)
    }

    /// Copies a stretch that begins at a place, and moves behind it.
    fn copy(&mut self, file: usize, source: &str, range: Range<usize>, at: &mut At) {
        let stretch = source.get(range).unwrap_or_default();
        if stretch.is_empty() {
            return;
        }
        let whole = &mut self.whole;
        whole.pieces.push(Piece { from: whole.text.len(), file, at: *at });
        whole.text.push_str(stretch);
        *at = at.behind(stretch);
    }

    /// What may be meant by the name of a part that there is not.
    fn meant(&self, name: &str) -> String {
        let files = self.bundle.files.iter().map(|(file, _)| file.as_str());
        let parts = files.filter(|file| is_part(file) && file.ends_with(self.asks.ending));
        let names = parts.map(|file| file.strip_prefix(FROM_SHARED).unwrap_or(file));
        match near::meant(name, names) {
            hint if hint.is_empty() => {
                format!(": it lies beside {} or in {FROM_SHARED}", self.whole.root)
            }
            hint => hint,
        }
    }
}

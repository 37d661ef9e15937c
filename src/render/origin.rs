//! Where the HTML that a template writes comes from: its author thinks in the lines
//! of `template.html`, not in those of what it writes.
//!
//! In a trial the writer notes for every piece it is handed whether it is a piece of
//! the source itself, which minijinja hands on as it is. So every tag has its place
//! in the source; what an expression writes stands where the expression does.
//!
//! Names and classes are quoted from the source, never from the HTML: a class may be
//! data.

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

use super::{
    dom::Tag,
    error::{At, RenderError},
    parts::Whole,
};

/// The pieces of a document that are pieces of its template.
#[derive(Debug)]
pub(super) struct Trace {
    source: &'static Whole,
    /// Where each begins in the HTML and in the source, and its length.
    pieces: Vec<(usize, usize, usize)>,
}

impl Trace {
    /// Nothing is written yet.
    pub(super) fn of(source: &'static Whole) -> Self {
        Self { source, pieces: Vec::new() }
    }

    /// Notes what is written at an offset of the HTML.
    pub(super) fn note(&mut self, at: usize, written: &[u8]) {
        let source = &self.source.text;
        let from = written.as_ptr().addr().checked_sub(source.as_ptr().addr());
        let inside = from.filter(|from| from.saturating_add(written.len()) <= source.len());
        if let Some(from) = inside.filter(|_| !written.is_empty()) {
            self.pieces.push((at, from, written.len()));
        }
    }

    /// The offset in the source of an offset in the HTML.
    fn offset(&self, html: usize) -> usize {
        let behind = self.pieces.partition_point(|(at, ..)| *at <= html);
        let piece = behind.checked_sub(1).and_then(|before| self.pieces.get(before));
        piece.map_or(0, |(at, from, length)| {
            from.saturating_add(html.saturating_sub(*at).min(*length))
        })
    }

    /// Tells an author what is wrong with the HTML in terms of the source.
    pub(super) fn explain(&self, error: RenderError, html: &str) -> RenderError {
        let RenderError::TemplateFailed { file, what, at, element } = error else { return error };
        let ours = match &*file {
            "HTML" => true,
            "style.css" => element.is_some(),
            _ => false,
        };
        if !ours || self.pieces.is_empty() {
            return RenderError::TemplateFailed { file, what, at, element };
        }
        let written = at.map(|at| self.offset(at.offset_in(html)));
        let number = element.and_then(|element| usize::try_from(element).ok());
        let of = number.and_then(|number| offsets(html).get(number).copied());
        let of = of.map(|offset| self.offset(offset));
        let (offset, what) = match (written, of) {
            (Some(offset), Some(open)) => {
                let (file, At { line, .. }) = self.source.place(open);
                let of =
                    if file == self.source.place(offset).0 { "" } else { &format!(" of {file}") };
                let name = self.name(open);
                (offset, format!("{what}: {name} of line {line}{of} is still open"))
            }
            (Some(offset), None) => match self.around(offset) {
                Some(name) => (offset, format!("{name}: {what}")),
                None => (offset, what),
            },
            (None, Some(offset)) => {
                let asks = if &*file == "style.css" { " (by its style)" } else { "" };
                (offset, format!("{}: {what}{asks}", self.name(offset)))
            }
            (None, None) => return RenderError::template(file, what, None),
        };
        let (file, at) = self.source.place(offset);
        RenderError::template(file.to_owned(), what, Some(at))
    }

    /// The tag that an offset is within, if it is in one.
    fn around(&self, offset: usize) -> Option<String> {
        let before = self.source.text.get(..offset)?;
        let open = before.rfind('<')?;
        let tag = before.get(open..)?;
        let within = !tag.contains('>') && !tag.starts_with("</") && open < offset;
        within.then(|| self.name(open))
    }

    /// An element as a stylesheet would name it: `td.amount`.
    fn name(&self, offset: usize) -> String {
        let rest = self.source.text.get(offset..).unwrap_or_default();
        let Some(tag) = rest.strip_prefix('<') else { return "text".to_owned() };
        let word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        let end = tag.find(|letter| !word(letter)).unwrap_or(tag.len());
        let (tag, attributes) = tag.split_at(end);
        let mut name = tag.to_owned();
        if Tag::named(tag.to_ascii_lowercase().as_bytes()).is_none() {
            return "text".to_owned();
        }
        let own = attributes.split_once('<').map_or(attributes, |(own, _)| own);
        let value = |key: &str| {
            let value = own.split_once(key).and_then(|(_, rest)| rest.split_once('"'));
            value.map(|(value, _)| value).unwrap_or_default()
        };
        let plain = |class: &&str| class.chars().all(word) && class.len() <= 40;
        // What an expression says is not known here.
        let classes = value(" class=\"").split('{').next().unwrap_or_default();
        for class in classes.split_ascii_whitespace().take_while(plain).take(4) {
            name.push('.');
            name.push_str(class);
        }
        let id = value(" id=\"");
        if !id.is_empty() && plain(&id) {
            name.push('#');
            name.push_str(id);
        }
        format!("`{name}`")
    }
}

/// Where the elements and texts of a document begin, by their numbers in its
/// tree; also of one that is not sound, as far as it was read.
fn offsets(html: &str) -> Vec<usize> {
    let (mut offsets, mut from) = (Vec::new(), 0);
    let emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, span: Span<usize>| {
        if matches!(event, CallbackEvent::OpenStartTag { .. }) {
            from = span.start;
        } else if matches!(event, CallbackEvent::CloseStartTag { .. }) {
            offsets.push(from);
        } else if matches!(event, CallbackEvent::String { .. }) && !offsets.is_empty() {
            // What stands before the root is blank, and no node.
            offsets.push(span.start);
        }
        None::<std::convert::Infallible>
    });
    match Tokenizer::new_with_emitter(html, emitter).finish() {
        Ok(()) => offsets,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::TemplateBundle;

    #[test]
    fn an_element_is_named_by_the_words_of_the_source() {
        let name = |source: &str| {
            let files = vec![("template.html".to_owned(), source.as_bytes().to_vec())];
            let bundle = TemplateBundle { name: "t".to_owned(), files };
            Trace::of(Box::leak(Box::new(Whole::template(&bundle).unwrap()))).name(0)
        };
        assert_eq!(name("<td class=\"a b\" id=\"x\">1</td>"), "`td.a.b#x`");
        assert_eq!(name("<p>1</p><p class=\"b\">"), "`p`");
        assert_eq!(name("<p class=\"a {{ d.secret }} b\">"), "`p.a`");
        assert_eq!(name("{{ d.secret }}"), "text");
    }
}

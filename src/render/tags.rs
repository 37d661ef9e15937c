//! The tags and attributes that stand in the source of a template itself, whether a
//! sample reaches them or not.

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

use super::{
    dom::{self, Tag},
    error::{At, RenderError},
    near,
};

/// The names of the attributes that templates may use.
const ATTRIBUTES: &[&str] = &[
    "address",
    "alt",
    "charset",
    "class",
    "colspan",
    "data-amount",
    "data-carry",
    "datetime",
    "decimals",
    "href",
    "id",
    "lang",
    "postcode",
    "rel",
    "scope",
    "src",
    "value",
];

/// What to use in the place of something that browsers know.
fn hint(name: &str, known: &[&str]) -> String {
    let instead = match name {
        "style" => "a rule of style.css belongs to a class",
        "em" | "i" => "there are no italics; `strong` is bold",
        "h5" | "h6" => "`h1` to `h4` are known",
        "article" | "aside" | "nav" => "use `section` or `div`",
        "pre" | "code" => "use a class with `white-space: pre-line`",
        "svg" => "a picture is a file beside template.html, named by `img`",
        "sup" | "sub" => "use a `span` with `vertical-align` and a smaller `font-size`",
        "rowspan" => "a cell spans columns only, by `colspan`",
        "width" | "height" | "align" | "valign" | "border" => "style.css says that",
        "onclick" | "script" => "nothing runs in a document",
        _ => return near::meant(name, known.iter().copied()),
    };
    format!("; {instead}")
}

/// Checks the tags and attributes that stand in the source itself.
pub(super) fn check(source: &str) -> Result<(), RenderError> {
    let html = without_expressions(source);
    let mut failed = None;
    let emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, span: Span<usize>| {
        let problem = match event {
            CallbackEvent::OpenStartTag { name } | CallbackEvent::EndTag { name } => {
                Tag::named(name).is_none().then_some(("unknown element", name, Tag::NAMES))
            }
            CallbackEvent::AttributeName { name } => {
                (!dom::is_attribute(name)).then_some(("unknown attribute", name, ATTRIBUTES))
            }
            CallbackEvent::AttributeValue { .. }
            | CallbackEvent::CloseStartTag { .. }
            | CallbackEvent::String { .. }
            | CallbackEvent::Comment { .. }
            | CallbackEvent::Doctype { .. }
            | CallbackEvent::Error(_) => None,
        };
        if let (None, Some((what, name, known))) = (&failed, problem) {
            let name = String::from_utf8_lossy(name).into_owned();
            let hint = hint(&name, known);
            failed = Some((format!("{what} {}{hint}", near::quote(&name)), span.start));
        }
        None::<std::convert::Infallible>
    });
    match Tokenizer::new_with_emitter(html.as_str(), emitter).finish() {
        Ok(()) => {}
        Err(never) => match never {},
    }
    match failed {
        None => Ok(()),
        Some((what, offset)) => {
            Err(RenderError::template("template.html", what, Some(At::offset(&html, offset))))
        }
    }
}

/// The source with blanks in the place of all that minijinja replaces; lines and
/// offsets stay.
fn without_expressions(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    // One look for all three: each by itself would walk to the end every time.
    let opens = |rest: &str| {
        let mut pairs = rest.as_bytes().windows(2);
        pairs.position(|pair| matches!(pair, [b'{', b'{' | b'%' | b'#']))
    };
    while let Some(start) = opens(rest) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let close = match from.as_bytes().get(1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => "#}",
        };
        let end = from.find(close).map_or(from.len(), |end| end.saturating_add(2));
        let (blanked, after) = from.split_at(end);
        out.extend(blanked.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_attributes_is_that_of_the_tree() {
        for name in ATTRIBUTES {
            assert!(dom::is_attribute(name.as_bytes()), "{name}");
        }
        let source = include_str!("dom.rs");
        let all = source.split("b\"").skip(1).filter_map(|rest| rest.split('"').next());
        let all = all.filter(|name| dom::is_attribute(name.as_bytes()));
        assert_eq!(all.count(), ATTRIBUTES.len(), "none is missing");
    }

    #[test]
    fn what_is_unknown_is_named_with_what_may_be_meant() {
        let said = |source: &str| check(source).unwrap_err().to_string();
        let place = said("<html>\n<p clas=\"x\">1</p></html>");
        assert!(place.contains(":2:4: unknown attribute `clas`; did you mean `class`?"), "{place}");
        assert!(said("<html><em>1</em></html>").contains("no italics"));
        assert!(said("<html><sectoin>1</sectoin></html>").contains("mean `section`"));
    }
}

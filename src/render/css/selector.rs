//! Selectors: tags, classes, ids, `*`, descendants, children, and where a
//! child stands among its siblings.

use cssparser::{Parser, Token};

use super::parse::{Fail, fail, found};
use crate::render::{dom::Tag, near};

/// A compound selector with what must stand above it.
#[derive(Debug)]
pub(in crate::render) struct Selector {
    /// From the element itself upwards, each tied to the next.
    parts: Vec<(Compound, Above)>,
}

/// How a compound is tied to the one to its left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    Nothing,
    Parent,
    Ancestor,
}

#[derive(Debug, Default)]
struct Compound {
    tag: Option<Tag>,
    id: Option<String>,
    classes: Vec<String>,
    places: Vec<Place>,
}

/// A place among the siblings.
#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    Last,
    Nth(i32, i32),
    Root,
}

/// What an element must have at least to be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Id(&'a str),
    Class(&'a str),
    Tag(Tag),
    Any,
}

/// What a selector can see of an element.
pub(in crate::render) struct Subject<'a> {
    /// Its tag.
    pub(in crate::render) tag: Tag,
    /// Its `class`, as written.
    pub(in crate::render) classes: &'a str,
    /// Its `id`.
    pub(in crate::render) id: &'a str,
    /// Its place among the element children of its parent, from 1; 0 where
    /// no selector asks.
    pub(in crate::render) index: u32,
    /// It is the first element child.
    pub(in crate::render) first: bool,
    /// It is the last element child.
    pub(in crate::render) last: bool,
}

impl Selector {
    /// Whether an element is meant; `above` yields its ancestors, nearest first.
    pub(in crate::render) fn matches<'a>(
        &self,
        subject: &Subject<'a>,
        above: impl Iterator<Item = Subject<'a>> + Clone,
    ) -> bool {
        let Some(((compound, tie), rest)) = self.parts.split_first() else { return false };
        compound.fits(subject) && climbs(*tie, rest, above) == Climb::Fits
    }

    /// What its elements have in common; the rarest.
    pub(super) fn key(&self) -> Key<'_> {
        let Some((own, _)) = self.parts.first() else { return Key::Any };
        match (&own.id, own.classes.first(), own.tag) {
            (Some(id), ..) => Key::Id(id),
            (_, Some(class), _) => Key::Class(class),
            (_, _, Some(tag)) => Key::Tag(tag),
            (None, None, None) => Key::Any,
        }
    }

    /// Ids, then classes and places, then tags.
    pub(super) fn specificity(&self) -> (usize, usize, usize) {
        self.parts.iter().fold((0, 0, 0), |(ids, classes, tags), (part, _)| {
            (
                ids + usize::from(part.id.is_some()),
                classes + part.classes.len() + part.places.len(),
                tags + usize::from(part.tag.is_some()),
            )
        })
    }

    /// The classes and the id of each of its compounds.
    pub(super) fn names(&self) -> impl Iterator<Item = (&[String], Option<&String>)> {
        self.parts.iter().map(|(part, _)| (part.classes.as_slice(), part.id.as_ref()))
    }

    pub(super) fn counts_children(&self) -> bool {
        self.parts
            .iter()
            .any(|(part, _)| part.places.iter().any(|place| matches!(place, Place::Nth(..))))
    }

    /// Reads one selector up to a comma or the block.
    pub(super) fn parse(input: &mut Parser<'_>) -> Result<Self, Fail> {
        let mut parts: Vec<(Compound, Above)> = Vec::new();
        let mut above = Above::Nothing;
        input.skip_whitespace();
        loop {
            let compound = compound(input)?;
            parts.push((compound, above));
            let mut spaced = false;
            above = loop {
                let state = input.state();
                match input.next_including_whitespace() {
                    Err(_) => {
                        parts.reverse();
                        return Ok(Self { parts });
                    }
                    Ok(Token::WhiteSpace(_)) => spaced = true,
                    Ok(Token::Delim('>')) => {
                        input.skip_whitespace();
                        break Above::Parent;
                    }
                    Ok(Token::Comma) => {
                        input.reset(&state);
                        parts.reverse();
                        return Ok(Self { parts });
                    }
                    Ok(_) if spaced => {
                        input.reset(&state);
                        break Above::Ancestor;
                    }
                    Ok(_) => {
                        input.reset(&state);
                        return unknown(input);
                    }
                }
            };
        }
    }
}

/// What came of a climb.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Climb {
    Fits,
    /// Not from here; perhaps from further up.
    Higher,
    /// From nowhere above: the ancestors were used up.
    Never,
}

/// Whether the rest of a selector fits the ancestors. What fails for want of
/// ancestors is not tried again with fewer of them, so that a long selector costs
/// no more than its length times the depth of the tree.
fn climbs<'a>(
    tie: Above,
    rest: &[(Compound, Above)],
    mut above: impl Iterator<Item = Subject<'a>> + Clone,
) -> Climb {
    let Some(((compound, next), rest)) = rest.split_first() else { return Climb::Fits };
    while let Some(subject) = above.next() {
        if compound.fits(&subject) {
            let climb = climbs(*next, rest, above.clone());
            if climb != Climb::Higher {
                return climb;
            }
        }
        if tie == Above::Parent {
            return Climb::Higher;
        }
    }
    Climb::Never
}

impl Compound {
    fn fits(&self, subject: &Subject<'_>) -> bool {
        self.tag.is_none_or(|tag| tag == subject.tag)
            && self.id.as_ref().is_none_or(|id| id == subject.id)
            && self
                .classes
                .iter()
                .all(|class| subject.classes.split_ascii_whitespace().any(|has| has == class))
            && self.places.iter().all(|place| place.fits(subject))
    }
}

impl Place {
    fn fits(self, subject: &Subject<'_>) -> bool {
        match self {
            Self::First => subject.first,
            Self::Last => subject.last,
            Self::Root => subject.tag == Tag::Html,
            Self::Nth(step, offset) => {
                let from = i64::from(subject.index) - i64::from(offset);
                match i64::from(step) {
                    0 => from == 0,
                    step => from % step == 0 && from / step >= 0,
                }
            }
        }
    }
}

fn compound(input: &mut Parser<'_>) -> Result<Compound, Fail> {
    let mut compound = Compound::default();
    let mut empty = true;
    loop {
        let state = input.state();
        let Ok(token) = input.next_including_whitespace() else { break };
        match token.clone() {
            Token::Ident(name) if empty => {
                let tag = Tag::named(name.to_ascii_lowercase().as_bytes());
                let Some(tag) = tag else {
                    let hint = near::meant(&name, Tag::NAMES.iter().copied());
                    let name = near::quote(&name);
                    return fail(format!("unknown element {name} in a selector{hint}"));
                };
                compound.tag = Some(tag);
            }
            Token::Delim('*') if empty => {}
            Token::IDHash(name) => compound.id = Some(name.to_string()),
            Token::Delim('.') => match input.next_including_whitespace() {
                Ok(Token::Ident(name)) => compound.classes.push(name.to_string()),
                Ok(_) | Err(_) => return fail("a class is expected after `.` in a selector"),
            },
            Token::Colon => compound.places.push(place(input)?),
            _ => {
                input.reset(&state);
                break;
            }
        }
        empty = false;
    }
    if empty { unknown(input) } else { Ok(compound) }
}

/// What comes next in a selector is not understood.
fn unknown<T>(input: &mut Parser<'_>) -> Result<T, Fail> {
    let found = match found(input) {
        nothing if nothing == "nothing" => {
            return fail("a selector is expected, such as `p` or `.total`");
        }
        found => found,
    };
    let found = if found == "`[`" { "`[…]`".to_owned() } else { found };
    fail(format!(
        "{found} is not understood in a selector; tags, `.class`, `#id`, `*`, `a b` and `a > b` are"
    ))
}

fn unknown_place<T>(name: &str) -> Result<T, Fail> {
    fail(format!(
        "unknown pseudo-class {}; `:first-child`, `:last-child`, `:nth-child(2n+1)` and `:root` \
         are known",
        near::quote(name)
    ))
}

fn place(input: &mut Parser<'_>) -> Result<Place, Fail> {
    match input.next_including_whitespace().cloned() {
        Ok(Token::Ident(name)) => match name.as_ref() {
            "first-child" => Ok(Place::First),
            "last-child" => Ok(Place::Last),
            "root" => Ok(Place::Root),
            _ => unknown_place(&format!(":{name}")),
        },
        Ok(Token::Function(name)) if name.as_ref() == "nth-child" => input
            .parse_nested_block(|input| {
                cssparser::parse_nth(input)
                    .map(|(step, offset)| Place::Nth(step, offset))
                    .map_err(cssparser::ParseError::<Fail>::from)
            })
            .map_err(|_| Fail::of("`:nth-child()` takes `odd`, `even`, a number or `2n+1`")),
        Ok(Token::Function(name)) => unknown_place(&format!(":{name}()")),
        Ok(Token::Colon) => {
            let name = format!("::{}", found(input).trim_matches('`'));
            fail(format!("{} is not understood: there are no pseudo-elements", near::quote(&name)))
        }
        Ok(_) | Err(_) => fail("a pseudo-class is expected after `:`"),
    }
}

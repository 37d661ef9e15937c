//! Which rules may be meant for an element: by its id, a class or its tag, so
//! that an element is held against a handful of rules and not against all.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::{
    Rule,
    selector::{Key, Subject},
};
use crate::render::dom::Tag;

/// The numbers of the rules by what their elements must have. Each rule stands in
/// one place.
#[derive(Debug, Default)]
pub(super) struct Index {
    ids: HashMap<String, Vec<usize>, RandomState>,
    classes: HashMap<String, Vec<usize>, RandomState>,
    tags: HashMap<Tag, Vec<usize>, RandomState>,
    any: Vec<usize>,
    /// Every class and every id that a selector has.
    names: [HashSet<String, RandomState>; 2],
}

impl Index {
    /// An index of these rules.
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (number, rule) in rules.iter().enumerate() {
            let place = match rule.selector.key() {
                Key::Id(id) => index.ids.entry(id.to_owned()).or_default(),
                Key::Class(class) => index.classes.entry(class.to_owned()).or_default(),
                Key::Tag(tag) => index.tags.entry(tag).or_default(),
                Key::Any => &mut index.any,
            };
            place.push(number);
            for (class, id) in rule.selector.names() {
                index.names[0].extend(class.iter().cloned());
                index.names[1].extend(id.cloned());
            }
        }
        index
    }

    /// Whether a selector has this class.
    pub(super) fn has_class(&self, class: &str) -> bool {
        self.names[0].contains(class)
    }

    /// Whether a selector has this id.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.names[1].contains(id)
    }

    /// The rules that may be meant, in their order.
    pub(super) fn candidates(&self, subject: &Subject<'_>) -> Vec<usize> {
        let mut rules = self.any.clone();
        rules.extend(self.tags.get(&subject.tag).into_iter().flatten());
        if !subject.id.is_empty() {
            rules.extend(self.ids.get(subject.id).into_iter().flatten());
        }
        for class in subject.classes.split_ascii_whitespace() {
            rules.extend(self.classes.get(class).into_iter().flatten());
        }
        rules.sort_unstable();
        // A class may be written twice.
        rules.dedup();
        rules
    }
}

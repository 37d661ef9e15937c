//! Which rules may be meant for an element: by its id, a class or its tag, so
//! that an element is held against a handful of rules and not against all.

use std::collections::HashMap;

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
        }
        index
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

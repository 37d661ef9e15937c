//! The text of an element as one line: for titles, links and the margins.

use super::dom::{NodeId, Tree};

impl Tree {
    /// The text below a node, white space collapsed; at most so many characters, with
    /// `…` in the place of more. What is not wanted is not read either.
    pub(crate) fn excerpt(&self, id: NodeId, most: usize) -> String {
        let mut out = Excerpt { text: String::new(), left: most, space: false };
        if !self.collect(id, &mut out) {
            out.text.push('…');
        }
        out.text
    }

    /// False as soon as there is more than is wanted.
    fn collect(&self, id: NodeId, out: &mut Excerpt) -> bool {
        let node = self.node(id);
        if node.tag.is_none() {
            return self.text(node).chars().all(|character| out.take(character));
        }
        self.children(id).all(|child| self.collect(child, out))
    }
}

/// Text with its white space collapsed.
struct Excerpt {
    text: String,
    left: usize,
    space: bool,
}

impl Excerpt {
    fn take(&mut self, character: char) -> bool {
        if character.is_whitespace() {
            self.space |= !self.text.is_empty();
            return true;
        }
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        if std::mem::take(&mut self.space) {
            self.text.push(' ');
        }
        self.text.push(character);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_collapses_white_space_and_ends_where_it_is_told() {
        let html = "<html><p> a\n b</p> <p><b>漢</b>字 </p></html>";
        let tree = Tree::parse(html).unwrap();
        assert_eq!(tree.excerpt(0, 4), "a b 漢字", "four letters, spaces apart");
        assert_eq!(tree.excerpt(0, 3), "a b 漢…", "cut");
        assert_eq!(tree.excerpt(0, 0), "…", "nothing");
    }
}

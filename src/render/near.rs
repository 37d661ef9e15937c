//! What somebody may have meant who wrote a word that is not known.

/// The most letters of what is quoted from a template.
const QUOTED: usize = 40;
/// Longer lists of what is known are not read out.
const SHORT: usize = 8;

/// The known word that is nearest to this one, if any is near.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word: String = word.chars().take(QUOTED).collect();
    let most = if word.chars().count() < 4 { 1 } else { 2 };
    // One letter more, one less, another one, or two that changed places.
    let near = known.into_iter().map(|one| (strsim::osa_distance(&word, one), one));
    near.filter(|(distance, _)| (1..=most).contains(distance)).min().map(|(_, one)| one)
}

/// `; did you mean …?`, or nothing.
pub(super) fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map(|one| format!("; did you mean `{one}`?")).unwrap_or_default()
}

/// What is expected in the place of a word: all of it if the list is short,
/// otherwise what is near.
pub(super) fn expected(word: &str, known: &[&str]) -> String {
    match known {
        [] => String::new(),
        [one] => format!("; `{one}` is expected"),
        [most @ .., last] if known.len() <= SHORT => {
            let most: Vec<String> = most.iter().map(|one| format!("`{one}`")).collect();
            format!("; {} or `{last}` is expected", most.join(", "))
        }
        _ => meant(word, known.iter().copied()),
    }
}

/// A piece of a template on one line, cut if it is long.
pub(super) fn quote(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("`{}…`", line.get(..end).unwrap_or_default()),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_no_far_one() {
        let known = ["margin-top", "margin", "color", "gap"];
        for (word, near) in [
            ("magrin-top", Some("margin-top")),
            ("colour", Some("color")),
            ("colr", Some("color")),
            ("gpa", Some("gap")),
            ("box-shadow", None),
            ("float", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
    }

    #[test]
    fn what_is_quoted_is_short_and_on_one_line() {
        assert_eq!(quote(" a\n  b "), "`a b`");
        assert_eq!(quote(&"漢".repeat(50)).chars().count(), QUOTED + 3);
    }
}

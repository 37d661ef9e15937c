use proptest::prelude::*;

use super::{
    Glyph, Kind,
    lines::{Fit, break_lines},
};

fn glyphs(text: &str) -> Vec<Glyph> {
    text.chars()
        .map(|character| Glyph {
            base: character.into(),
            modifier: 0,
            advance: if character == '\n' { 0.0 } else { 1.0 },
            node: 0,
            gid: 1,
            face: 0,
            kind: match character {
                ' ' => Kind::Space,
                '\n' => Kind::Break,
                _ => Kind::Drawn,
            },
            glued: false,
        })
        .collect()
}

fn fit(width: f32) -> Fit {
    Fit { width, indent: 0.0, anywhere: true }
}

fn lines(text: &str, width: f32) -> Vec<std::ops::Range<usize>> {
    let mut lines = Vec::new();
    break_lines(&glyphs(text), fit(width), &mut Vec::new(), &mut lines);
    lines
}

fn broken(text: &str, width: f32) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    lines(text, width).into_iter().map(|line| characters[line].iter().collect()).collect()
}

#[test]
fn no_line_begins_or_ends_with_what_kinsoku_forbids() {
    for row in include_str!("../../../tests/vectors/kinsoku.tsv").lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let forbidden = columns[1];
        for width in 3..9 {
            let text = format!("漢字仮名交{forbidden}文章続行");
            for line in broken(&text, width as f32) {
                match columns[0] {
                    "line_start_forbidden" => {
                        assert!(!line.starts_with(forbidden), "{row} at width {width}: {line}");
                    }
                    _ => assert!(!line.ends_with(forbidden), "{row} at width {width}: {line}"),
                }
            }
        }
    }
}

#[test]
fn a_number_keeps_its_unit() {
    assert_eq!(broken("金額は1,234円です", 7.0), ["金額は", "1,234円で", "す"], "before 円");
    assert_eq!(broken("あいう2026年", 7.0), ["あいう", "2026年"], "before 年");
}

#[test]
fn words_break_at_spaces_and_long_ones_anywhere() {
    assert_eq!(broken("the quick brown", 10.0), ["the quick", "brown"], "between words");
    assert_eq!(broken("abcdefghij", 4.0), ["abcd", "efgh", "ij"], "within a word");
    assert_eq!(broken("ab\ncd", 10.0), ["ab", "cd"], "where the text says");
    assert_eq!(broken("ab\n\ncd", 10.0), ["ab", "", "cd"], "an empty line stays");
}

proptest! {
    #[test]
    fn every_glyph_is_on_exactly_one_line(text in "[a-z 、。（「漢字1円\n]{0,80}", width in 1u8..30) {
        let characters: Vec<char> = text.chars().collect();
        let mut seen = vec![0u8; characters.len()];
        for line in lines(&text, f32::from(width)) {
            let drawn = line.len();
            prop_assert!(drawn <= usize::from(width), "a line of {} in {}", drawn, width);
            for place in line {
                seen[place] += 1;
            }
        }
        for (character, count) in characters.iter().zip(seen) {
            let blank = matches!(character, ' ' | '\n');
            prop_assert!(count == 1 || blank && count == 0, "{:?} {} times", character, count);
        }
    }
}

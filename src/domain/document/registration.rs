//! The registration number of issuers of qualified invoices (消費税法57条の2).
//!
//! A passing check digit says that the number is well formed, not that it is
//! registered: exchanging 0 and 9 goes unnoticed.

use unicode_normalization::UnicodeNormalization as _;

/// 適格請求書発行事業者の登録番号: `T` and 13 digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationNumber(String);

impl RegistrationNumber {
    /// Reads a number as people write it: full width, lower case, with hyphens
    /// or spaces.
    pub fn parse(text: &str) -> Option<Self> {
        let plain: String = text
            .nfkc()
            .filter(|character| {
                !matches!(character, ' ' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
            })
            .map(|character| character.to_ascii_uppercase())
            .take(20)
            .collect();
        let digits = plain.strip_prefix('T')?;
        let fits = digits.len() == 13
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        fits.then_some(Self(plain))
    }

    /// Whether a text holds something that a reader would take for such a number.
    pub fn is_in(text: &str) -> bool {
        if text.bytes().filter(u8::is_ascii_digit).count() < 13 && text.is_ascii() {
            return false;
        }
        let plain: Vec<char> = text
            .nfkc()
            .filter(|character| {
                !matches!(character, ' ' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
            })
            .collect();
        plain.windows(14).any(|window| {
            let (head, digits) = window.split_at(1);
            matches!(head, ['T' | 't']) && digits.iter().all(char::is_ascii_digit)
        })
    }

    /// The number as it is printed, without spaces or hyphens.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the check digit of corporate numbers holds (平成26年財務省令70号2条).
    /// The numbers of others need not have it.
    pub fn has_check_digit(&self) -> bool {
        let digits: Vec<u32> =
            self.0.chars().skip(1).filter_map(|digit| digit.to_digit(10)).collect();
        let Some((check, base)) = digits.split_first() else { return false };
        let sum: u32 = base
            .iter()
            .rev()
            .zip([1u32, 2].into_iter().cycle())
            .map(|(digit, weight)| digit.saturating_mul(weight))
            .sum();
        9u32.checked_sub(sum.checked_rem(9).unwrap_or(9)) == Some(*check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registration_numbers_are_judged_as_the_tax_agency_does() {
        for row in include_str!("../../../tests/vectors/registration_numbers.tsv").lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let number = RegistrationNumber::parse(columns[0]);
            let valid = number.as_ref().is_some_and(RegistrationNumber::has_check_digit);
            let normalised = columns[2].contains("normalise");
            match columns[1] {
                "bad_check_digit" => {
                    assert!(number.is_some() && !valid, "{row}: only the check digit is wrong");
                }
                "format" if normalised => assert!(valid, "{row}: is normalised"),
                "format" => assert!(number.is_none(), "{row}: is refused"),
                _ => assert!(valid, "{row}: is valid"),
            }
        }
    }

    #[test]
    fn a_number_hidden_in_a_text_is_found() {
        for text in ["登録番号：T7000012050002", "Ｔ７０００-0120-5000-2です", "x T 7000012050002"]
        {
            assert!(RegistrationNumber::is_in(text), "{text}");
        }
        for text in ["T700001205000", "電話 03-0000-0000", "7000012050002", "", "T"] {
            assert!(!RegistrationNumber::is_in(text), "{text}");
        }
    }
}

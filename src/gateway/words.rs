//! The words of the pages, in both languages, and which of the two is used.
//!
//! One file per language in templates/pages, so that a translator needs no
//! Rust. What a person asked for (`?lang=`) wins; then what their browser asks
//! for; then the language of the delivery; then Japanese.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Uri, header};

use super::GatewayError;
use crate::domain::locale::Locale;

const JAPANESE: &str = include_str!("../../templates/pages/ja.toml");
const ENGLISH: &str = include_str!("../../templates/pages/en.toml");

/// The words of both languages.
#[derive(Debug)]
pub(super) struct Words {
    ja: BTreeMap<String, String>,
    en: BTreeMap<String, String>,
}

impl Words {
    /// Reads the two files built into the program.
    pub(super) fn built_in() -> Result<Self, GatewayError> {
        let read = |text| toml::from_str(text).map_err(|_| GatewayError::BuiltIn("words"));
        Ok(Self { ja: read(JAPANESE)?, en: read(ENGLISH)? })
    }

    /// All words of a language.
    pub(super) fn of(&self, locale: Locale) -> &BTreeMap<String, String> {
        match locale {
            Locale::Ja => &self.ja,
            Locale::En => &self.en,
        }
    }

    /// One word of a language; empty if there is none, which a test forbids.
    pub(super) fn get(&self, locale: Locale, key: &str) -> &str {
        self.of(locale).get(key).map_or("", String::as_str)
    }
}

/// The language of a page: `?lang=`, the browser's wish, then `otherwise`.
pub(super) fn negotiate(uri: &Uri, headers: &HeaderMap, otherwise: Locale) -> Locale {
    asked(uri).or_else(|| wished(headers)).unwrap_or(otherwise)
}

fn asked(uri: &Uri) -> Option<Locale> {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    pairs.find_map(|pair| named(pair.strip_prefix("lang=")?))
}

/// The locale with this tag, if it is one of the two.
pub(super) fn named(tag: &str) -> Option<Locale> {
    [Locale::Ja, Locale::En].into_iter().find(|locale| locale.tag() == tag)
}

/// The better of the two in `Accept-Language` (RFC 9110 §12.5.4). Weights that
/// cannot be read count as none; a language at weight 0 is not wanted.
fn wished(headers: &HeaderMap) -> Option<Locale> {
    let wishes = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let mut best: Option<(u32, Locale)> = None;
    for wish in wishes.split(',').take(20) {
        let mut parts = wish.split(';');
        let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let primary = tag.split('-').next().unwrap_or_default();
        let Some(locale) = named(primary) else { continue };
        let weight = parts
            .find_map(|part| part.trim().strip_prefix("q="))
            .map_or(1_000, |text| thousandths(text.trim()));
        if weight > 0 && best.is_none_or(|(before, _)| weight > before) {
            best = Some((weight, locale));
        }
    }
    best.map(|(_, locale)| locale)
}

/// `0.8` as 800; what is not a weight is 0.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "1" => 1_000,
        "0" => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_words_and_the_same_blanks() {
        let words = Words::built_in().unwrap();
        let keys = |locale| words.of(locale).keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(Locale::Ja), keys(Locale::En), "a translation is missing");
        for key in words.of(Locale::Ja).keys() {
            for blank in ["{size}", "{sender}", "{address}"] {
                let has = |locale| words.get(locale, key).contains(blank);
                assert_eq!(has(Locale::Ja), has(Locale::En), "{key}: {blank} is in one only");
            }
            assert!(!words.get(Locale::En, key).is_empty(), "{key} is empty");
        }
    }

    fn language(query: &str, header: &str) -> Locale {
        let uri = format!("/d/x{query}").parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, header.parse().unwrap());
        negotiate(&uri, &headers, Locale::Ja)
    }

    #[test]
    fn the_persons_choice_wins_over_the_browser_and_the_browser_over_the_job() {
        assert_eq!(language("?lang=en", "ja"), Locale::En, "asked for");
        assert_eq!(language("", "en-GB,en;q=0.9,ja;q=0.8"), Locale::En, "the browser's first");
        assert_eq!(language("", "en;q=0.3, ja-JP;q=0.9"), Locale::Ja, "the heavier one");
        assert_eq!(language("", "de, en;q=0.5"), Locale::En, "the one of two that is understood");
        assert_eq!(language("", "de"), Locale::Ja, "neither: the job's language");
        assert_eq!(language("?lang=xx", "en;q=0"), Locale::Ja, "refused languages do not count");
        assert_eq!(language("?a=b&lang=en", ""), Locale::En, "later pair");
    }
}

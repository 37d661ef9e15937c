//! What templates can do with values: dates and numbers as people of the
//! document's language read them.

use chrono::{Datelike as _, NaiveDate};
use minijinja::{Environment, Error, ErrorKind, State};

/// Adds the filters.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter("date", date);
    environment.add_filter("yen", yen);
    environment.add_filter("number", number);
    environment.add_filter("lacks_honorific", lacks_honorific);
}

fn is_japanese(state: &State<'_, '_>) -> bool {
    state.lookup("locale").is_none_or(|locale| locale.as_str() != Some("en"))
}

/// `2026年11月21日`, or `21 November 2026`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn date(state: &State<'_, '_>, text: String) -> Result<String, Error> {
    let date: NaiveDate =
        text.parse().map_err(|_| Error::new(ErrorKind::InvalidOperation, "not a date"))?;
    if is_japanese(state) {
        Ok(format!("{}年{}月{}日", date.year(), date.month(), date.day()))
    } else {
        Ok(date.format("%-d %B %Y").to_string())
    }
}

/// Whole yen in groups of three; a negative amount has △ in Japanese.
fn yen(state: &State<'_, '_>, amount: i64) -> String {
    let digits = grouped(&amount.unsigned_abs().to_string());
    match (amount < 0, is_japanese(state)) {
        (false, _) => digits,
        (true, true) => format!("△{digits}"),
        (true, false) => format!("−{digits}"),
    }
}

/// A decimal number in groups of three, its fraction as it was written.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn number(state: &State<'_, '_>, text: String) -> String {
    let (sign, plain) = match text.strip_prefix('-') {
        Some(rest) if is_japanese(state) => ("△", rest),
        Some(rest) => ("−", rest),
        None => ("", text.as_str()),
    };
    match plain.split_once('.') {
        Some((whole, fraction)) => format!("{sign}{}.{fraction}", grouped(whole)),
        None => format!("{sign}{}", grouped(plain)),
    }
}

/// Whether a name does not yet end with an honorific; nobody is 様様.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn lacks_honorific(name: String) -> bool {
    !["様", "御中", "殿", "先生", "各位"]
        .iter()
        .any(|honorific| name.trim_end().ends_with(honorific))
}

pub(super) fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len().saturating_mul(2));
    for (place, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        out.push(digit);
        if place != 0 && place.is_multiple_of(3) {
            out.push(',');
        }
    }
    out
}

//! What templates can do with values: dates, numbers and money as people of the
//! document's language read them.
//!
//! A negative number has △ in Japanese and a true minus sign in English.

use chrono::{Datelike as _, NaiveDate};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::domain::{
    calendar::era,
    document::{money::Coin, view},
    names,
};

/// Adds the filters.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter("date", date);
    environment.add_filter("era", era_date);
    environment.add_filter("yen", yen);
    environment.add_filter("amount", amount);
    environment.add_filter("money", money);
    environment.add_filter("number", number);
    environment.add_filter("price", price);
    environment.add_filter("percent", percent);
    environment.add_filter("lacks_honorific", lacks_honorific);
    environment.add_filter("honorific", honorific);
}

fn is_japanese(state: &State<'_, '_>) -> bool {
    state.lookup("locale").is_none_or(|locale| locale.as_str() != Some("en"))
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

fn parse(text: &str) -> Result<NaiveDate, Error> {
    text.parse().map_err(|_| invalid("not a date"))
}

/// Whether the short form is asked for: `"short"`, or `"long"` and nothing.
fn is_short(form: Option<&str>) -> Result<bool, Error> {
    match form {
        None | Some("long") => Ok(false),
        Some("short") => Ok(true),
        Some(_) => Err(invalid("the form is \"long\" or \"short\"")),
    }
}

/// `2026年11月21日`, or `21 November 2026`; short `2026/11/21`, or `21 Nov 2026`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn date(state: &State<'_, '_>, text: String, form: Option<String>) -> Result<String, Error> {
    let date = parse(&text)?;
    let (year, month, day) = (date.year(), date.month(), date.day());
    Ok(match (is_japanese(state), is_short(form.as_deref())?) {
        (true, false) => format!("{year}年{month}月{day}日"),
        (true, true) => format!("{year}/{month:02}/{day:02}"),
        (false, false) => date.format("%-d %B %Y").to_string(),
        (false, true) => date.format("%-d %b %Y").to_string(),
    })
}

/// `令和8年11月21日`; short `R8.11.21`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn era_date(text: String, form: Option<String>) -> Result<String, Error> {
    let date = parse(&text)?;
    Ok(if is_short(form.as_deref())? { era::short(date) } else { era::long(date) })
}

fn sign(negative: bool, japanese: bool) -> &'static str {
    match (negative, japanese) {
        (false, _) => "",
        (true, true) => "△",
        (true, false) => "−",
    }
}

/// Whole yen in groups of three.
fn yen(state: &State<'_, '_>, amount: i64) -> String {
    written(amount, Coin::Jpy, is_japanese(state))
}

/// Minor units of the document's currency, or of the one that is named: `1,234`,
/// or `1,234.50`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn amount(state: &State<'_, '_>, amount: i64, currency: Option<String>) -> Result<String, Error> {
    Ok(written(amount, coin(state, currency.as_deref())?, is_japanese(state)))
}

/// As `amount`, with the sign of the currency: `¥1,234`, or `€1,234.50`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn money(state: &State<'_, '_>, amount: i64, currency: Option<String>) -> Result<String, Error> {
    let coin = coin(state, currency.as_deref())?;
    let japanese = is_japanese(state);
    let digits = digits(amount.unsigned_abs(), coin);
    Ok(format!("{}{}{digits}", sign(amount < 0, japanese), coin.symbol(japanese)))
}

/// The currency that is named, or that of the document; yen if it has none.
fn coin(state: &State<'_, '_>, named: Option<&str>) -> Result<Coin, Error> {
    if let Some(code) = named {
        return Coin::parse(code).ok_or_else(|| invalid("unknown currency"));
    }
    let computed = state.lookup("t").and_then(|t| t.get_attr("currency").ok());
    Ok(computed.and_then(|code| Coin::parse(code.as_str()?)).unwrap_or_default())
}

fn written(amount: i64, coin: Coin, japanese: bool) -> String {
    format!("{}{}", sign(amount < 0, japanese), digits(amount.unsigned_abs(), coin))
}

fn digits(amount: u64, coin: Coin) -> String {
    match coin.decimals() {
        0 => grouped(&amount.to_string()),
        _ => {
            let (whole, part) = (amount.div_euclid(100), amount.rem_euclid(100));
            format!("{}.{part:02}", grouped(&whole.to_string()))
        }
    }
}

/// A decimal number in groups of three, its fraction as it was written.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn number(state: &State<'_, '_>, text: String) -> String {
    let japanese = is_japanese(state);
    let (sign, plain) = match text.strip_prefix('-') {
        Some(rest) => (sign(true, japanese), rest),
        None => ("", text.as_str()),
    };
    match plain.split_once('.') {
        Some((whole, fraction)) => format!("{sign}{}.{fraction}", grouped(whole)),
        None => format!("{sign}{}", grouped(plain)),
    }
}

/// As `number`, with at least as many decimals as the document's currency has:
/// `1,850.00`, or `0.145`.
fn price(state: &State<'_, '_>, text: String) -> Result<String, Error> {
    let decimals = match coin(state, None)?.decimals() {
        0 => return Ok(number(state, text)),
        decimals => usize::try_from(decimals).map_err(|_| invalid("unknown currency"))?,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    Ok(number(state, format!("{whole}.{fraction:0<decimals$}")))
}

/// Hundredths of a percent: `10%`, or `2.5%`.
fn percent(basis_points: u32) -> String {
    format!("{}%", view::percent(basis_points))
}

/// Whether a name does not yet end with an honorific; nobody is 様様.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn lacks_honorific(name: String) -> bool {
    !["様", "御中", "殿", "先生", "各位"]
        .iter()
        .any(|honorific| name.trim_end().ends_with(honorific))
}

/// 御中 for the name of an organisation, 様 for anybody else.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn honorific(name: String) -> &'static str {
    if names::is_organisation(&name) { "御中" } else { "様" }
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

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn write(source: &str, locale: &str, currency: &str) -> String {
        let mut environment = Environment::new();
        install(&mut environment);
        let context = context! { locale, t => context! { currency } };
        match environment.render_str(source, context) {
            Ok(text) => text,
            Err(error) => format!("refused: {:?}", error.kind()),
        }
    }

    #[test]
    fn values_are_written_as_the_reader_is_used_to() {
        for (source, ja, en) in [
            ("{{ 1234567|money }}", "¥1,234,567", "€12,345.67"),
            ("{{ -5|money }}", "△¥5", "−€0.05"),
            ("{{ -5|money('USD') }}", "△US$0.05", "−$0.05"),
            ("{{ 100000|amount }}", "100,000", "1,000.00"),
            ("{{ -1234|yen }}", "△1,234", "−1,234"),
            ("{{ '-1234.50'|number }}", "△1,234.50", "−1,234.50"),
            ("{{ '株式会社甲'|honorific }}{{ '山田'|honorific }}", "御中様", "御中様"),
            ("{{ '1850'|price }} {{ '0.145'|price }}", "1,850 0.145", "1,850.00 0.145"),
            ("{{ '-1.5'|price }}", "△1.5", "−1.50"),
            ("{{ 250|percent }}", "2.5%", "2.5%"),
            ("{{ '2026-03-01'|date }}", "2026年3月1日", "1 March 2026"),
            ("{{ '2026-03-01'|date('short') }}", "2026/03/01", "1 Mar 2026"),
            ("{{ '2019-05-01'|era }}", "令和元年5月1日", "令和元年5月1日"),
            ("{{ '2026-11-21'|era('short') }}", "R8.11.21", "R8.11.21"),
        ] {
            assert_eq!(write(source, "ja", "JPY"), ja, "{source} in Japanese");
            assert_eq!(write(source, "en", "EUR"), en, "{source} in English");
        }
    }

    #[test]
    fn what_is_no_date_or_currency_is_an_error() {
        for source in
            ["{{ 'soon'|date }}", "{{ '2026-03-01'|date('tiny') }}", "{{ 1|money('XXX') }}"]
        {
            assert_eq!(write(source, "ja", "JPY"), "refused: InvalidOperation", "{source}");
        }
    }
}

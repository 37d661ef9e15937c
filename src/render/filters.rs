//! What templates can do with values: dates, numbers and money as people of the
//! document's language read them.
//!
//! A negative number has △ in Japanese and a true minus sign in English.

use chrono::{Datelike as _, NaiveDate};
use minijinja::{Environment, Error, ErrorKind, State, Value, value::ValueKind};

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

/// Why a filter refused its value: its own words, never the value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

/// What a filter of ours says of a value that it refused.
pub(super) fn wrong(error: &Error) -> Option<&str> {
    let refusal = std::error::Error::source(error)?.downcast_ref::<Refusal>()?;
    Some(&refusal.0)
}

fn refusal(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, "a filter refused its value").with_source(Refusal(what))
}

/// `value` is not what a filter takes.
fn refused(filter: &str, takes: &str, value: &Value) -> Error {
    let kind = value.kind();
    if kind == ValueKind::Undefined {
        return Error::from(ErrorKind::UndefinedError);
    }
    let found = if kind == ValueKind::String {
        "another text".to_owned()
    } else if kind == ValueKind::Number {
        "another number".to_owned()
    } else {
        format!("a value of kind {kind}")
    };
    refusal(format!("`{filter}` takes {takes}, not {found}"))
}

fn parse(filter: &str, value: &Value) -> Result<NaiveDate, Error> {
    let date = value.as_str().and_then(|text| text.parse().ok());
    date.ok_or_else(|| refused(filter, "a date as YYYY-MM-DD", value))
}

/// A whole number, and not a text of digits.
fn whole(filter: &str, takes: &str, value: &Value) -> Result<i64, Error> {
    let number = (value.kind() == ValueKind::Number).then(|| i64::try_from(value.clone()).ok());
    number.flatten().ok_or_else(|| refused(filter, takes, value))
}

/// Whether the short form is asked for: `"short"`, or nothing.
fn is_short(filter: &str, form: Option<&str>) -> Result<bool, Error> {
    match form {
        None => Ok(false),
        Some("short") => Ok(true),
        Some(_) => Err(refusal(format!("`{filter}` takes `\"short\"` or nothing"))),
    }
}

/// What a filter of ours takes besides its value, as a check of the source has it.
pub(super) fn arguments(filter: &str) -> Option<&'static [&'static str]> {
    Some(match filter {
        "date" | "era" => &["short"],
        "money" | "amount" => &Coin::CODES,
        "yen" | "number" | "price" | "percent" | "lacks_honorific" | "honorific" => &[],
        _ => return None,
    })
}

/// `2026年11月21日`, or `21 November 2026`; short `2026/11/21`, or `21 Nov 2026`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn date(state: &State<'_, '_>, date: Value, form: Option<String>) -> Result<String, Error> {
    let date = parse("date", &date)?;
    let (year, month, day) = (date.year(), date.month(), date.day());
    Ok(match (is_japanese(state), is_short("date", form.as_deref())?) {
        (true, false) => format!("{year}年{month}月{day}日"),
        (true, true) => format!("{year}/{month:02}/{day:02}"),
        (false, false) => date.format("%-d %B %Y").to_string(),
        (false, true) => date.format("%-d %b %Y").to_string(),
    })
}

/// `令和8年11月21日`; short `R8.11.21`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn era_date(date: Value, form: Option<String>) -> Result<String, Error> {
    let date = parse("era", &date)?;
    Ok(if is_short("era", form.as_deref())? { era::short(date) } else { era::long(date) })
}

fn sign(negative: bool, japanese: bool) -> &'static str {
    match (negative, japanese) {
        (false, _) => "",
        (true, true) => "△",
        (true, false) => "−",
    }
}

/// Digits behind their sign, if there is one.
fn signed(sign: &str, digits: String) -> String {
    if sign.is_empty() { digits } else { [sign, &digits].concat() }
}

/// Whole yen in groups of three.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn yen(state: &State<'_, '_>, amount: Value) -> Result<String, Error> {
    Ok(written(whole("yen", "whole yen", &amount)?, Coin::Jpy, is_japanese(state)))
}

/// Minor units of the document's currency, or of the one that is named: `1,234`,
/// or `1,234.50`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn amount(state: &State<'_, '_>, amount: Value, currency: Option<String>) -> Result<String, Error> {
    let amount = whole("amount", "a whole number of minor units", &amount)?;
    Ok(written(amount, coin(state, "amount", currency.as_deref())?, is_japanese(state)))
}

/// As `amount`, with the sign of the currency: `¥1,234`, or `€1,234.50`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn money(state: &State<'_, '_>, amount: Value, currency: Option<String>) -> Result<String, Error> {
    let amount = whole("money", "a whole number of minor units", &amount)?;
    let coin = coin(state, "money", currency.as_deref())?;
    let japanese = is_japanese(state);
    let digits = digits(amount.unsigned_abs(), coin);
    Ok(format!("{}{}{digits}", sign(amount < 0, japanese), coin.symbol(japanese)))
}

/// The currency that is named, or that of the document; yen if it has none.
fn coin(state: &State<'_, '_>, filter: &str, named: Option<&str>) -> Result<Coin, Error> {
    if let Some(code) = named {
        let known = Coin::CODES.join(", ");
        return Coin::parse(code)
            .ok_or_else(|| refusal(format!("`{filter}` knows these currencies: {known}")));
    }
    let computed = state.lookup("t").and_then(|t| t.get_attr("currency").ok());
    Ok(computed.and_then(|code| Coin::parse(code.as_str()?)).unwrap_or_default())
}

fn written(amount: i64, coin: Coin, japanese: bool) -> String {
    signed(sign(amount < 0, japanese), digits(amount.unsigned_abs(), coin))
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

/// A number, or a text of digits with at most one point, as it was written.
fn decimal(filter: &str, value: &Value) -> Result<String, Error> {
    let is_number = value.kind() == ValueKind::Number;
    let text = value.as_str().map_or_else(String::new, str::to_owned);
    let text = if is_number { value.to_string() } else { text };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text.strip_prefix('-').unwrap_or(&text);
    let (whole, part) = plain.split_once('.').unwrap_or((plain, ""));
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return Err(refused(filter, "a number or a decimal such as \"12.5\"", value));
    }
    Ok(text)
}

/// A number in groups of three, its fraction as it was written.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn number(state: &State<'_, '_>, value: Value) -> Result<String, Error> {
    Ok(in_groups(&decimal("number", &value)?, is_japanese(state)))
}

fn in_groups(text: &str, japanese: bool) -> String {
    let (sign, plain) = match text.strip_prefix('-') {
        Some(rest) => (sign(true, japanese), rest),
        None => ("", text),
    };
    match plain.split_once('.') {
        Some((whole, fraction)) => format!("{sign}{}.{fraction}", grouped(whole)),
        None => signed(sign, grouped(plain)),
    }
}

/// As `number`, with at least as many decimals as the document's currency has:
/// `1,850.00`, or `0.145`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn price(state: &State<'_, '_>, value: Value) -> Result<String, Error> {
    let text = decimal("price", &value)?;
    let decimals = match coin(state, "price", None)?.decimals() {
        0 => return Ok(in_groups(&text, is_japanese(state))),
        decimals => usize::try_from(decimals).unwrap_or_default(),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    Ok(in_groups(&format!("{whole}.{fraction:0<decimals$}"), is_japanese(state)))
}

/// Hundredths of a percent: `10%`, or `2.5%`.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn percent(value: Value) -> Result<String, Error> {
    let takes = "hundredths of a percent, a whole number of at least 0";
    let basis_points = u32::try_from(whole("percent", takes, &value)?);
    let basis_points = basis_points.map_err(|_| refused("percent", takes, &value))?;
    Ok(format!("{}%", view::percent(basis_points)))
}

/// Whether a name does not yet end with an honorific; nobody is 様様.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn lacks_honorific(name: Value) -> Result<bool, Error> {
    let name = text("lacks_honorific", &name)?;
    Ok(!["様", "御中", "殿", "先生", "各位"]
        .iter()
        .any(|honorific| name.trim_end().ends_with(honorific)))
}

/// 御中 for the name of an organisation, 様 for anybody else.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja asks for")]
fn honorific(name: Value) -> Result<&'static str, Error> {
    Ok(if names::is_organisation(text("honorific", &name)?) { "御中" } else { "様" })
}

fn text<'v>(filter: &str, value: &'v Value) -> Result<&'v str, Error> {
    value.as_str().ok_or_else(|| refused(filter, "a name", value))
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
            Err(error) => format!("refused: {}", wrong(&error).unwrap_or_default()),
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
            ("{{ 1234567|number }} {{ -1.5|number }}", "1,234,567 △1.5", "1,234,567 −1.5"),
            ("{{ 1850|price }}", "1,850", "1,850.00"),
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
        for (source, says) in [
            ("{{ 'soon'|date }}", "`date` takes a date as YYYY-MM-DD, not another text"),
            ("{{ 12|date }}", "`date` takes a date as YYYY-MM-DD, not another number"),
            ("{{ '2026-03-01'|date('tiny') }}", "`date` takes `\"short\"` or nothing"),
            ("{{ '2026-03-01'|date('long') }}", "`date` takes `\"short\"` or nothing"),
            ("{{ '2026-03-01'|era('long') }}", "`era` takes `\"short\"` or nothing"),
            ("{{ 1|money('XXX') }}", "`money` knows these currencies: JPY, EUR, USD"),
            ("{{ 'A'|yen }}", "`yen` takes whole yen, not another text"),
            (
                "{{ 1.5|amount }}",
                "`amount` takes a whole number of minor units, not another number",
            ),
            (
                "{{ 'A-1'|number }}",
                "`number` takes a number or a decimal such as \"12.5\", not another text",
            ),
            (
                "{{ -1|percent }}",
                "`percent` takes hundredths of a percent, a whole number of at least 0, not another number",
            ),
            ("{{ 12|honorific }}", "`honorific` takes a name, not another number"),
        ] {
            assert_eq!(write(source, "ja", "JPY"), format!("refused: {says}"), "{source}");
        }
    }
}

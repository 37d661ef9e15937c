//! Money and the rounding of consumption tax.
//!
//! Amounts are whole yen in 64 bits, quantities and unit prices are decimals;
//! nothing is ever a floating-point number. The tax is rounded once for an
//! invoice and a rate (消費税法施行令70条の10); how is the issuer's choice, so it
//! is part of the document.

use serde::{Deserialize, Deserializer, de};

/// What becomes of a fraction of a yen. A return (a negative amount) is rounded
/// by its absolute value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// 切捨て: towards zero.
    #[default]
    Floor,
    /// 切上げ: away from zero.
    Ceil,
    /// 四捨五入: to the nearest, a half away from zero.
    HalfUp,
}

/// Whether amounts include their tax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Prices {
    /// 税抜.
    #[default]
    #[serde(rename = "tax_exclusive")]
    Exclusive,
    /// 税込.
    #[serde(rename = "tax_inclusive")]
    Inclusive,
}

/// A decimal number with at most 12 digits before the point and 6 after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Millionths.
    micros: i64,
}

/// The text is not such a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a decimal number as a string is expected")]
pub struct BadDecimal;

impl Decimal {
    /// Reads `-?[0-9]{1,12}(\.[0-9]{1,6})?`.
    pub fn parse(text: &str) -> Result<Self, BadDecimal> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits
            .split_once('.')
            .map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
        let fits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !fits(whole, 12) || !fraction.is_none_or(|fraction| fits(fraction, 6)) {
            return Err(BadDecimal);
        }
        let joined = format!("{whole}{:0<6}", fraction.unwrap_or_default());
        let micros: i64 = joined.parse().map_err(|_| BadDecimal)?;
        Ok(Self { micros: if negative { micros.checked_neg().ok_or(BadDecimal)? } else { micros } })
    }

    /// The number in whole yen, unless it has a fraction.
    pub fn yen(self) -> Option<i64> {
        (self.micros.checked_rem(1_000_000) == Some(0))
            .then(|| self.micros.checked_div(1_000_000))?
    }

    /// A percentage in hundredths of a percent, unless it is finer or outside
    /// of 0 to 100.
    pub fn basis_points(self) -> Option<u32> {
        let points = self.micros.checked_div(10_000)?;
        let exact = self.micros.checked_rem(10_000) == Some(0);
        u32::try_from(points).ok().filter(|points| exact && *points <= 10_000)
    }

    /// The product in whole yen; `None` if it does not fit.
    pub fn times(self, other: Self, rounding: Rounding) -> Option<i64> {
        let product = i128::from(self.micros).checked_mul(i128::from(other.micros))?;
        divide(product, 1_000_000_000_000, rounding)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// The consumption tax on a sum, in yen: of a sum without tax the tax on top,
/// of a sum with tax the part that is tax. `None` if it does not fit.
pub fn tax(sum: i64, basis_points: u32, prices: Prices, rounding: Rounding) -> Option<i64> {
    let rate = i128::from(basis_points);
    let whole = match prices {
        Prices::Exclusive => 10_000,
        Prices::Inclusive => rate.checked_add(10_000)?,
    };
    divide(i128::from(sum).checked_mul(rate)?, whole, rounding)
}

fn divide(number: i128, by: i128, rounding: Rounding) -> Option<i64> {
    let quotient = number.checked_div(by)?;
    let rest = number.checked_rem(by)?;
    let away = match rounding {
        Rounding::Floor => false,
        Rounding::Ceil => rest != 0,
        Rounding::HalfUp => rest.abs().checked_mul(2)? >= by,
    };
    let step = if away { number.signum() } else { 0 };
    i64::try_from(quotient.checked_add(step)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_is_rounded_as_the_issuer_chose() {
        for row in include_str!("../../../tests/vectors/tax_rounding.tsv").lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let prices = match columns[0] {
                "exclusive" => Prices::Exclusive,
                _ => Prices::Inclusive,
            };
            let sum = columns[1].parse().unwrap();
            let rate = Decimal::parse(columns[2]).unwrap().basis_points().unwrap();
            let modes = [Rounding::Floor, Rounding::Ceil, Rounding::HalfUp];
            for (mode, expected) in modes.into_iter().zip(&columns[3..6]) {
                let expected = expected.parse().ok();
                assert_eq!(tax(sum, rate, prices, mode), expected, "{row} with {mode:?}");
            }
        }
    }

    #[test]
    fn a_decimal_is_read_exactly() {
        assert_eq!(Decimal::parse("1200").unwrap().yen(), Some(1200), "whole");
        assert_eq!(Decimal::parse("-0.50").unwrap().micros, -500_000, "negative fraction");
        assert_eq!(Decimal::parse("12.5").unwrap().yen(), None, "a fraction is not yen");
        for bad in
            ["", "-", ".5", "1.", "1,000", "１", "1e3", "+1", " 1", "1234567890123", "0.1234567"]
        {
            assert_eq!(Decimal::parse(bad), Err(BadDecimal), "{bad:?} is refused");
        }
    }

    #[test]
    fn products_round_once_and_never_wrap() {
        let decimal = |text| Decimal::parse(text).unwrap();
        assert_eq!(decimal("1.5").times(decimal("333"), Rounding::Floor), Some(499), "499.5 down");
        assert_eq!(decimal("1.5").times(decimal("333"), Rounding::HalfUp), Some(500), "499.5 up");
        let huge = decimal("999999999999");
        assert_eq!(huge.times(huge, Rounding::Floor), None, "more than 64 bits");
    }
}

//! Money and the rounding of consumption tax.
//!
//! Amounts are whole minor units of their currency (yen, cents) in 64 bits,
//! quantities and unit prices are decimals; nothing is ever a floating-point
//! number. The tax is rounded once for an invoice and a rate
//! (消費税法施行令70条の10); how is the issuer's choice, so it is part of the
//! document.

use serde::{Deserialize, Deserializer, de};

use crate::domain::amount::{Amount, Currency};

/// A currency that documents are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Coin {
    /// Yen, without decimals.
    #[default]
    Jpy,
    /// Euro and cents.
    Eur,
    /// US dollar and cents.
    Usd,
}

impl Coin {
    /// The codes of all currencies.
    pub const CODES: [&str; 3] = ["JPY", "EUR", "USD"];

    /// The three letters of ISO 4217.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Jpy => "JPY",
            Self::Eur => "EUR",
            Self::Usd => "USD",
        }
    }

    /// The currency with this code.
    pub fn parse(code: &str) -> Option<Self> {
        [Self::Jpy, Self::Eur, Self::Usd].into_iter().find(|coin| coin.code() == code)
    }

    /// The sign in front of amounts; Japanese readers are told whose dollar.
    pub const fn symbol(self, japanese: bool) -> &'static str {
        match (self, japanese) {
            (Self::Jpy, _) => "¥",
            (Self::Eur, _) => "€",
            (Self::Usd, true) => "US$",
            (Self::Usd, false) => "$",
        }
    }

    /// How many decimals an amount has.
    pub const fn decimals(self) -> u32 {
        match self {
            Self::Jpy => 0,
            Self::Eur | Self::Usd => 2,
        }
    }

    /// For the search after the document is gone.
    pub fn currency(self) -> Option<Currency> {
        Currency::parse(self.code()).ok()
    }

    /// An amount of minor units, for the search after the document is gone;
    /// `None` if it is too large.
    pub fn amount(self, minor: i64) -> Option<Amount> {
        match self.decimals() {
            0 => Amount::from_units(minor).ok(),
            _ => Amount::from_hundredths(minor).ok(),
        }
    }

    const fn minor_in_unit(self) -> i64 {
        match self.decimals() {
            0 => 1,
            _ => 100,
        }
    }
}

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

/// What a fraction lacks of six digits.
const ZEROS: [u8; 6] = [b'0'; 6];

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
        // At most 18 digits: they fit.
        let parts = whole.bytes().chain(fraction.unwrap_or_default().bytes().chain(ZEROS).take(6));
        let micros = parts.fold(0i64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(i64::from(digit.wrapping_sub(b'0')))
        });
        Ok(Self { micros: if negative { micros.checked_neg().ok_or(BadDecimal)? } else { micros } })
    }

    /// The number in minor units of a currency, unless it has a finer fraction.
    pub fn minor(self, coin: Coin) -> Option<i64> {
        let step = 1_000_000i64.checked_div(coin.minor_in_unit())?;
        (self.micros.checked_rem(step) == Some(0)).then(|| self.micros.checked_div(step))?
    }

    /// Whether the number is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.micros > 0
    }

    /// A percentage in hundredths of a percent, unless it is finer or outside
    /// of 0 to 100.
    pub fn basis_points(self) -> Option<u32> {
        let points = self.micros.checked_div(10_000)?;
        let exact = self.micros.checked_rem(10_000) == Some(0);
        u32::try_from(points).ok().filter(|points| exact && *points <= 10_000)
    }

    /// The product in minor units of a currency; `None` if it does not fit.
    pub fn times(self, other: Self, coin: Coin, rounding: Rounding) -> Option<i64> {
        let product = i128::from(self.micros).checked_mul(i128::from(other.micros))?;
        let minor = product.checked_mul(i128::from(coin.minor_in_unit()))?;
        divide(minor, 1_000_000_000_000, rounding)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// The consumption tax on a sum, in the same minor units: of a sum without tax
/// the tax on top, of a sum with tax the part that is tax. `None` if it does not
/// fit.
pub fn tax(sum: i64, basis_points: u32, prices: Prices, rounding: Rounding) -> Option<i64> {
    let rate = i128::from(basis_points);
    divide(i128::from(sum).checked_mul(rate)?, whole(rate, prices)?, rounding)
}

/// The tax of a sum in another currency, in yen: the sum at the stated rate (yen
/// for one unit), then the tax, then the one rounding. `None` if it does not fit.
pub fn tax_in_yen(
    sum: i64,
    coin: Coin,
    yen_for_one: Decimal,
    basis_points: u32,
    (prices, rounding): (Prices, Rounding),
) -> Option<i64> {
    let rate = i128::from(basis_points);
    let number = i128::from(sum).checked_mul(i128::from(yen_for_one.micros))?.checked_mul(rate)?;
    let by = whole(rate, prices)?
        .checked_mul(i128::from(coin.minor_in_unit()))?
        .checked_mul(1_000_000)?;
    divide(number, by, rounding)
}

fn whole(rate: i128, prices: Prices) -> Option<i128> {
    match prices {
        Prices::Exclusive => Some(10_000),
        Prices::Inclusive => rate.checked_add(10_000),
    }
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
        let jpy = |text| Decimal::parse(text).unwrap().minor(Coin::Jpy);
        let eur = |text| Decimal::parse(text).unwrap().minor(Coin::Eur);
        assert_eq!((jpy("1200"), eur("1200")), (Some(1200), Some(120_000)), "whole");
        assert_eq!((jpy("19.95"), eur("19.95")), (None, Some(1995)), "cents are no yen");
        assert_eq!((jpy("-7.0"), eur("0.125")), (Some(-7), None), "half a cent is nothing");
        assert_eq!(Decimal::parse("-0.50").unwrap().micros, -500_000, "negative fraction");
        for bad in
            ["", "-", ".5", "1.", "1,000", "１", "1e3", "+1", " 1", "1234567890123", "0.1234567"]
        {
            assert_eq!(Decimal::parse(bad), Err(BadDecimal), "{bad:?} is refused");
        }
    }

    #[test]
    fn products_round_once_and_never_wrap() {
        let decimal = |text| Decimal::parse(text).unwrap();
        assert_eq!(
            decimal("1.5").times(decimal("333"), Coin::Jpy, Rounding::Floor),
            Some(499),
            "499.5 down"
        );
        assert_eq!(
            decimal("1.5").times(decimal("333"), Coin::Jpy, Rounding::HalfUp),
            Some(500),
            "499.5 up"
        );
        let huge = decimal("999999999999");
        assert_eq!(huge.times(huge, Coin::Jpy, Rounding::Floor), None, "more than 64 bits");
    }

    #[test]
    fn the_tax_of_another_currency_is_rounded_once_in_yen() {
        let rate = Decimal::parse("162.35").unwrap();
        let tax = |sum, mode| tax_in_yen(sum, Coin::Eur, rate, 1000, (Prices::Exclusive, mode));
        // 1,234.56 EUR are 200,430.816 yen; their tax is 20,043.0816 yen.
        assert_eq!(tax(123_456, Rounding::Floor), Some(20_043), "down");
        assert_eq!(tax(123_456, Rounding::Ceil), Some(20_044), "up");
        assert_eq!(tax(-123_456, Rounding::Floor), Some(-20_043), "a return by its absolute value");
        let inclusive =
            tax_in_yen(110_000, Coin::Usd, rate, 1000, (Prices::Inclusive, Rounding::Floor));
        assert_eq!(inclusive, Some(16_235), "a hundred dollars of tax");
        assert_eq!(tax(i64::MAX, Rounding::Floor), Some(1_497_414_450_183_372_852), "no wrap");
    }
}

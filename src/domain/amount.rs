//! Amounts of money: exact, in hundredths, never a floating-point number.

use std::{fmt, str::FromStr};

/// An amount of at most 15 digits before and 2 after the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    hundredths: i64,
}

/// The text is not an amount: `-?`, no leading zeros, at most 15 digits, then
/// at most 2 decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount is a decimal string of at most 15 digits and 2 decimals")]
pub struct BadAmount;

impl Amount {
    /// Largest magnitude, in hundredths.
    const HUNDREDTHS_MAX: i64 = 99_999_999_999_999_999;

    /// The amount of `hundredths` hundredths of the currency's unit.
    pub fn from_hundredths(hundredths: i64) -> Result<Self, BadAmount> {
        if (-Self::HUNDREDTHS_MAX..=Self::HUNDREDTHS_MAX).contains(&hundredths) {
            Ok(Self { hundredths })
        } else {
            Err(BadAmount)
        }
    }

    /// The amount of `units` whole units (yen).
    pub fn from_units(units: i64) -> Result<Self, BadAmount> {
        Self::from_hundredths(units.checked_mul(100).ok_or(BadAmount)?)
    }

    /// The amount in hundredths of the currency's unit: sorts and compares.
    pub const fn hundredths(self) -> i64 {
        self.hundredths
    }

    /// Whether the amount has no decimals.
    pub const fn is_whole(self) -> bool {
        self.hundredths % 100 == 0
    }
}

impl FromStr for Amount {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Self, BadAmount> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, decimals) = match digits.split_once('.') {
            Some((whole, decimals)) if (1..=2).contains(&decimals.len()) => (whole, decimals),
            Some(_) => return Err(BadAmount),
            None => (digits, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !(1..=15).contains(&whole.len())
            || leading_zero
            || !all_digits(whole)
            || !all_digits(decimals)
        {
            return Err(BadAmount);
        }
        let magnitude: i64 = format!("{whole}{decimals:0<2}").parse().map_err(|_| BadAmount)?;
        Self::from_hundredths(if negative {
            magnitude.checked_neg().ok_or(BadAmount)?
        } else {
            magnitude
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.hundredths < 0 { "-" } else { "" };
        let magnitude = self.hundredths.unsigned_abs();
        let units = magnitude.checked_div(100).unwrap_or_default();
        match magnitude % 100 {
            0 => write!(f, "{sign}{units}"),
            decimals => write!(f, "{sign}{units}.{decimals:02}"),
        }
    }
}

impl serde::Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The three letters of an ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// The text is not three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a currency is three capital letters")]
pub struct BadCurrency;

impl Currency {
    /// Yen.
    pub const JPY: Self = Self(*b"JPY");

    /// Takes over three capital letters. Whether ISO has given them a meaning
    /// is not our business: the list changes more often than we do.
    pub fn parse(text: &str) -> Result<Self, BadCurrency> {
        let letters: [u8; 3] = text.as_bytes().try_into().map_err(|_| BadCurrency)?;
        if letters.iter().all(u8::is_ascii_uppercase) {
            Ok(Self(letters))
        } else {
            Err(BadCurrency)
        }
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether amounts in this currency may have decimals.
    pub fn has_decimals(self) -> bool {
        // Those of ISO 4217 with an exponent of 0 that trade with Japan.
        !matches!(&self.0, b"JPY" | b"KRW" | b"VND" | b"CLP" | b"ISK")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_decimals_are_amounts() {
        for (text, hundredths) in [
            ("0", 0),
            ("-0", 0),
            ("118535", 11_853_500),
            ("19.95", 1995),
            ("-0.05", -5),
            ("1.5", 150),
            ("999999999999999.99", 99_999_999_999_999_999),
        ] {
            assert_eq!(text.parse(), Amount::from_hundredths(hundredths), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "01",
            "1,000",
            "1e3",
            "+1",
            " 1",
            "1 ",
            "1.234",
            "1000000000000000",
            "１２",
            "¥1",
            "1.-5",
            "--1",
            "NaN",
            "0x1",
            "1_0",
        ] {
            assert_eq!(text.parse::<Amount>(), Err(BadAmount), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_is_read_as_it_is_written(hundredths in -99_999_999_999_999_999_i64..=99_999_999_999_999_999) {
            let amount = Amount::from_hundredths(hundredths).unwrap();
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }
}

//! The rates of the Japanese consumption tax, as dated data.
//!
//! `tax_rates.tsv` has a row for each rate and the days on which it held; a
//! change of the law is a row there. No other place knows a percentage.
//!
//! Refuses to guess: a line states its rate, and the rate must have held on the
//! day of supply. Old rates that live on for certain long contracts are not
//! listed.

use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::money::Decimal;

/// How a line is taxed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxClass {
    /// At the standard rate.
    #[default]
    Standard,
    /// 軽減税率; marked in print.
    Reduced,
    /// 非課税.
    Exempt,
    /// 輸出免税.
    Export,
    /// 不課税, such as expenses passed on.
    OutOfScope,
}

impl TaxClass {
    /// The word in data and templates.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Reduced => "reduced",
            Self::Exempt => "exempt",
            Self::Export => "export",
            Self::OutOfScope => "out_of_scope",
        }
    }

    /// Whether lines of this class state a rate.
    pub const fn has_rate(self) -> bool {
        matches!(self, Self::Standard | Self::Reduced)
    }
}

/// The same thing in both languages; a template picks by its locale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Words {
    /// In Japanese.
    pub ja: &'static str,
    /// In English.
    pub en: &'static str,
}

/// A rate and the days on which it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The word of the class.
    code: &'static str,
    /// In hundredths of a percent; 0 where the class has none.
    basis_points: u32,
    valid_from: NaiveDate,
    valid_to: NaiveDate,
    /// What stands behind the name of a line at this rate, if anything does.
    pub mark: Option<Words>,
    /// What the mark means, or what stands in the place of a rate.
    pub label: Option<Words>,
}

static RATES: LazyLock<Vec<Rate>> =
    LazyLock::new(|| include_str!("tax_rates.tsv").lines().skip(1).filter_map(row).collect());

fn row(line: &'static str) -> Option<Rate> {
    let mut columns = line.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    let code = next();
    let day = |text: &str, open| match text {
        "" => Some(open),
        text => text.parse().ok(),
    };
    let basis_points = match next() {
        "" => 0,
        percent => Decimal::parse(percent).ok()?.basis_points()?,
    };
    Some(Rate {
        code,
        basis_points,
        valid_from: day(next(), NaiveDate::MIN)?,
        valid_to: day(next(), NaiveDate::MAX)?,
        mark: words(next(), next()),
        label: words(next(), next()),
    })
}

fn words(ja: &'static str, en: &'static str) -> Option<Words> {
    (!ja.is_empty()).then_some(Words { ja, en })
}

/// The days on which a supply was made, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
}

impl Days {
    /// A single day.
    pub const fn on(day: NaiveDate) -> Self {
        Self { from: day, to: day }
    }
}

/// The row of a class and a rate that held on one of these days; `None` if there
/// was no such rate.
pub fn find(class: TaxClass, basis_points: u32, days: Days) -> Option<&'static Rate> {
    RATES.iter().find(|rate| {
        rate.code == class.word()
            && rate.basis_points == basis_points
            && rate.valid_from <= days.to
            && days.from <= rate.valid_to
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Days {
        Days::on(text.parse().unwrap())
    }

    #[test]
    fn every_row_is_read_and_every_class_has_one() {
        let rows = include_str!("tax_rates.tsv").lines().skip(1).count();
        assert_eq!(RATES.len(), rows, "a row was not understood");
        for class in [
            TaxClass::Standard,
            TaxClass::Reduced,
            TaxClass::Exempt,
            TaxClass::Export,
            TaxClass::OutOfScope,
        ] {
            let rows = RATES.iter().filter(|rate| rate.code == class.word());
            assert!(rows.clone().next().is_some(), "{class:?} has no row");
            assert!(
                rows.clone().all(|rate| class.has_rate() || rate.basis_points == 0),
                "{class:?} has no rate"
            );
        }
    }

    #[test]
    fn rates_of_a_class_never_overlap() {
        for (index, rate) in RATES.iter().enumerate() {
            assert!(rate.valid_from <= rate.valid_to, "{rate:?} is upside down");
            for other in RATES.iter().skip(index + 1).filter(|other| other.code == rate.code) {
                assert!(rate.valid_to < other.valid_from, "{rate:?} and {other:?} overlap");
            }
        }
    }

    #[test]
    fn a_rate_holds_on_its_days_only() {
        use TaxClass::{Reduced, Standard};
        for (class, points, on, holds) in [
            (Standard, 1000, "2019-10-01", true),
            (Standard, 1000, "2019-09-30", false),
            (Standard, 800, "2019-09-30", true),
            (Standard, 800, "2019-10-01", false),
            (Reduced, 800, "2019-10-01", true),
            (Reduced, 800, "2019-09-30", false),
            (Standard, 1100, "2026-11-21", false),
            (Standard, 0, "2026-11-21", false),
        ] {
            assert_eq!(find(class, points, day(on)).is_some(), holds, "{class:?} {points} {on}");
        }
        let across = Days { from: day("2019-09-16").from, to: day("2019-10-15").to };
        for points in [800, 1000] {
            assert!(find(Standard, points, across).is_some(), "{points} held on a day of these");
        }
    }
}

//! Japan's public holidays, computed (国民の祝日に関する法律, as of 2016).
//!
//! Equal to Python's `jpholiday` for 2016 to 2099. The Cabinet Office announces
//! the equinoxes each February and parliament moves days for Olympic Games, so
//! an operator can add and strike days ([`Holidays`]).

use std::collections::BTreeMap;

use chrono::{Datelike as _, NaiveDate, Weekday};

/// The calendar of days off: the law, and what the operator knows better.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holidays {
    /// `true` makes the day a holiday, `false` a working day.
    pub overrides: BTreeMap<NaiveDate, bool>,
}

impl Holidays {
    /// Whether Japan rests on `day`; Sundays are not holidays as such.
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.overrides.get(&day).copied().unwrap_or_else(|| holiday_name(day).is_some())
    }
}

/// The name of the holiday that `day` is, substitute days included.
pub fn holiday_name(day: NaiveDate) -> Option<&'static str> {
    if let Some(name) = named(day) {
        return Some(name);
    }
    // 3 (3): a day between two holidays is one too.
    let between = || named(day.pred_opt()?).and(named(day.succ_opt()?));
    if day.weekday() != Weekday::Sun && between().is_some() {
        return Some("国民の休日");
    }
    // 3 (2): after a holiday on a Sunday, the next day that is none.
    let mut before = day.pred_opt()?;
    while named(before).is_some() {
        if before.weekday() == Weekday::Sun {
            return Some("振替休日");
        }
        before = before.pred_opt()?;
    }
    None
}

/// The holidays that the law names, without those that follow from others.
fn named(date: NaiveDate) -> Option<&'static str> {
    let (year, month, day) = (date.year(), date.month(), date.day());
    let monday = |nth: u32| {
        date.weekday() == Weekday::Mon && day.saturating_sub(1).checked_div(7) == nth.checked_sub(1)
    };
    // 2019: the change of era. 2020 and 2021: the Games and their postponement.
    match (year, month, day) {
        (2019, 4, 30) | (2019, 5, 2) => return Some("国民の休日"),
        (2019, 5, 1) => return Some("即位の日"),
        (2019, 10, 22) => return Some("即位礼正殿の儀"),
        (2020, 7, 23) | (2021, 7, 22) => return Some("海の日"),
        (2020, 7, 24) | (2021, 7, 23) => return Some("スポーツの日"),
        (2020, 8, 10) | (2021, 8, 8) => return Some("山の日"),
        (2020 | 2021, 7 | 10, _) | (2020 | 2021, 8, 11) => return None,
        _ => {}
    }
    match (month, day) {
        (1, 1) => Some("元日"),
        (1, _) if monday(2) => Some("成人の日"),
        (2, 11) => Some("建国記念の日"),
        (2, 23) if year >= 2020 => Some("天皇誕生日"),
        (3, _) if Some(day) == equinox(year, 20_843_100) => Some("春分の日"),
        (4, 29) => Some("昭和の日"),
        (5, 3) => Some("憲法記念日"),
        (5, 4) => Some("みどりの日"),
        (5, 5) => Some("こどもの日"),
        (7, _) if monday(3) => Some("海の日"),
        (8, 11) => Some("山の日"),
        (9, _) if monday(3) => Some("敬老の日"),
        (9, _) if Some(day) == equinox(year, 23_248_800) => Some("秋分の日"),
        (10, _) if monday(2) => {
            Some(if year < 2020 { "体育の日" } else { "スポーツの日" })
        }
        (11, 3) => Some("文化の日"),
        (11, 23) => Some("勤労感謝の日"),
        (12, 23) if year <= 2018 => Some("天皇誕生日"),
        _ => None,
    }
}

/// The day of an equinox, 1980 to 2099: the usual approximation, in millionths
/// of a day.
fn equinox(year: i32, in_1980: i64) -> Option<u32> {
    let years = i64::from(year.checked_sub(1980)?);
    let millionths = in_1980.checked_add(years.checked_mul(242_194)?)?;
    let day = millionths.div_euclid(1_000_000).checked_sub(years.div_euclid(4))?;
    u32::try_from(day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_years_agree_with_the_published_list() {
        let mut listed = include_str!("../../../tests/vectors/jp_holidays_2016_2035.tsv")
            .lines()
            .skip(1)
            .peekable();
        let mut day = NaiveDate::from_ymd_opt(2016, 1, 1).unwrap();
        while day.year() < 2036 {
            let expected = listed.next_if(|row| row.starts_with(&day.to_string()));
            let name = expected.map(|row| row.split('\t').nth(2).unwrap());
            assert_eq!(holiday_name(day), name, "{day}");
            day = day.succ_opt().unwrap();
        }
        assert_eq!(listed.next(), None, "every listed day was met");
    }

    #[test]
    fn an_operator_knows_better() {
        let day = NaiveDate::from_ymd_opt(2027, 3, 22).unwrap();
        let struck = Holidays { overrides: [(day, false)].into() };
        assert!(Holidays::default().contains(day), "a substitute holiday by the law");
        assert!(!struck.contains(day), "and not by the override");
        let added = Holidays { overrides: [(day.succ_opt().unwrap(), true)].into() };
        assert!(added.contains(day.succ_opt().unwrap()), "a new holiday");
    }
}

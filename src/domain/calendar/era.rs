//! Japanese eras (元号), for print. What is stored is always a date of the
//! Gregorian calendar.

use chrono::{Datelike as _, NaiveDate};

/// An era and its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Era {
    name: &'static str,
    letter: char,
    year: i32,
    month: u32,
    day: u32,
}

/// The latest first; the next era is a line here. Earlier days have no era here:
/// before 1873 Japan had another calendar.
const ERAS: [Era; 5] = [
    Era { name: "令和", letter: 'R', year: 2019, month: 5, day: 1 },
    Era { name: "平成", letter: 'H', year: 1989, month: 1, day: 8 },
    Era { name: "昭和", letter: 'S', year: 1926, month: 12, day: 25 },
    Era { name: "大正", letter: 'T', year: 1912, month: 7, day: 30 },
    Era { name: "明治", letter: 'M', year: 1873, month: 1, day: 1 },
];
/// Meiji is counted from 1868.
const MEIJI_BEGAN: i32 = 1868;

/// `令和8年11月21日`; the first year of an era is 元年. A day before 1873 is written
/// without era.
pub fn long(date: NaiveDate) -> String {
    let (month, day) = (date.month(), date.day());
    match of(date) {
        Some((era, 1)) => format!("{}元年{month}月{day}日", era.name),
        Some((era, year)) => format!("{}{year}年{month}月{day}日", era.name),
        None => format!("{}年{month}月{day}日", date.year()),
    }
}

/// `R8.11.21`, with two digits for month and day.
pub fn short(date: NaiveDate) -> String {
    let (month, day) = (date.month(), date.day());
    match of(date) {
        Some((era, year)) => format!("{}{year}.{month:02}.{day:02}", era.letter),
        None => format!("{}.{month:02}.{day:02}", date.year()),
    }
}

/// The era of a day and the year in it, from 1.
fn of(date: NaiveDate) -> Option<(&'static Era, i32)> {
    let began = |era: &Era| (era.year, era.month, era.day);
    let day = (date.year(), date.month(), date.day());
    let era = ERAS.iter().find(|era| began(era) <= day)?;
    let first = if era.letter == 'M' { MEIJI_BEGAN } else { era.year };
    Some((era, date.year().checked_sub(first)?.checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_in_their_era() {
        for row in include_str!("../../../tests/vectors/era.tsv").lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let date = columns[0].parse().unwrap();
            assert_eq!(long(date), columns[1], "{row}");
            assert_eq!(short(date), columns[2], "{row}");
        }
    }

    #[test]
    fn eras_begin_on_their_first_day_and_none_is_before_them() {
        let date = |text: &str| text.parse().unwrap();
        assert_eq!(long(date("1912-07-30")), "大正元年7月30日", "the first day of Taisho");
        assert_eq!(long(date("1912-07-29")), "明治45年7月29日", "the last one of Meiji");
        assert_eq!(long(date("1873-01-01")), "明治6年1月1日", "the new calendar");
        assert_eq!(long(date("1872-12-31")), "1872年12月31日", "the old one is not ours");
        assert_eq!(short(date("1872-12-31")), "1872.12.31", "the old one is not ours");
        assert!(ERAS.is_sorted_by_key(|era| std::cmp::Reverse(era.year)), "the latest first");
    }
}

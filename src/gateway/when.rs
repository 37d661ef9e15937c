//! Instants, lengths and counts as a recipient reads them.
//!
//! An instant always names its zone: a link that ends "at 18:00" for a reader
//! on another continent is a complaint waiting to happen.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use minijinja::{Value, context};

use super::words::Words;
use crate::domain::locale::Locale;

/// An instant, ready for a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct When {
    /// RFC 3339, for `<time datetime>`.
    machine: String,
    /// The day, with its weekday.
    day: String,
    /// Hours and minutes, never rounded up.
    clock: String,
    /// The zone's name.
    zone: String,
    /// How long it is until then, roughly and never too long.
    left: Option<String>,
}

impl From<When> for Value {
    fn from(when: When) -> Self {
        let When { machine, day, clock, zone, left } = when;
        context! { machine, day, clock, zone, left }
    }
}

impl When {
    /// `instant` on the wall of `zone`, seen from `now`.
    pub(super) fn new(
        words: &Words,
        locale: Locale,
        zone: Tz,
        instant: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let local = instant.with_timezone(&zone);
        let (year, month, date) = (local.year(), local.month(), local.day());
        let day = match locale {
            Locale::Ja => format!("{year}年{month}月{date}日({})", kanji(local.weekday())),
            Locale::En => local.format("%A, %-d %B %Y").to_string(),
        };
        let name = match zone {
            Tz::Asia__Tokyo => words.get(locale, "zone_tokyo"),
            other => other.name(),
        };
        let offset = local.format("%Z, UTC%:z");
        Self {
            machine: instant.to_rfc3339_opts(SecondsFormat::Secs, true),
            day,
            clock: format!("{:02}:{:02}", local.hour(), local.minute()),
            zone: match locale {
                Locale::Ja => format!("{name}({offset})"),
                Locale::En => format!("{name} ({offset})"),
            },
            left: left(words, locale, instant, now),
        }
    }
}

fn left(
    words: &Words,
    locale: Locale,
    instant: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<String> {
    let rest = instant.signed_duration_since(now);
    let (key, count) = match (rest.num_days(), rest.num_hours()) {
        (days, _) if days > 1 => ("left_days", days),
        (1, _) => ("left_day", 1),
        (_, hours) if hours > 1 => ("left_hours", hours),
        _ if rest.num_seconds() > 0 => ("left_soon", 0),
        _ => return None,
    };
    Some(words.get(locale, key).replace("{n}", &count.to_string()))
}

const fn kanji(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "月",
        Weekday::Tue => "火",
        Weekday::Wed => "水",
        Weekday::Thu => "木",
        Weekday::Fri => "金",
        Weekday::Sat => "土",
        Weekday::Sun => "日",
    }
}

/// What waits: kind, pages and size of the document.
pub(super) fn what(words: &Words, locale: Locale, pages: Option<i64>, bytes: u64) -> String {
    let key = match pages {
        Some(1) => "pdf_one",
        Some(_) => "pdf_many",
        None => "pdf_unknown",
    };
    words
        .get(locale, key)
        .replace("{pages}", &pages.unwrap_or_default().to_string())
        .replace("{size}", &size(bytes))
}

/// A file's size, rounded up: `120 KB`, `3.4 MB`.
fn size(bytes: u64) -> String {
    let kilobytes = bytes.div_ceil(1_000).max(1);
    if kilobytes < 1_000 {
        return format!("{kilobytes}\u{a0}KB");
    }
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{}\u{a0}MB", tenths.div_euclid(10), tenths.rem_euclid(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn an_expiry_names_its_day_its_hour_and_its_zone() {
        let words = Words::built_in().unwrap();
        let now = instant("2026-11-21T12:00:00Z");
        let end = instant("2026-12-05T09:00:59Z");
        let ja = When::new(&words, Locale::Ja, Tz::Asia__Tokyo, end, now);
        assert_eq!(ja.day, "2026年12月5日(土)", "the day in Tokyo");
        assert_eq!(
            (ja.clock.as_str(), ja.zone.as_str()),
            ("18:00", "日本時間(JST, UTC+09:00)"),
            "never rounded up"
        );
        assert_eq!(ja.left.as_deref(), Some("あと13日"), "never too long");
        let en = When::new(&words, Locale::En, Tz::Europe__London, end, now);
        assert_eq!(en.day, "Saturday, 5 December 2026", "in words, so that no order is guessed");
        assert_eq!(en.zone, "Europe/London (GMT, UTC+00:00)", "another tenant's zone");
        assert_eq!(en.machine, "2026-12-05T09:00:59Z", "for programs");
    }

    #[test]
    fn the_rest_shrinks_to_nothing() {
        let words = Words::built_in().unwrap();
        let end = instant("2026-12-05T09:00:00Z");
        let left = |now| left(&words, Locale::En, end, instant(now));
        assert_eq!(left("2026-12-03T08:00:00Z").as_deref(), Some("2 days left"), "days");
        assert_eq!(left("2026-12-04T08:00:00Z").as_deref(), Some("1 day left"), "a day");
        assert_eq!(left("2026-12-05T06:30:00Z").as_deref(), Some("2 hours left"), "hours");
        assert_eq!(left("2026-12-05T08:30:00Z").as_deref(), Some("less than an hour left"), "soon");
        assert_eq!(left("2026-12-05T09:00:00Z"), None, "over");
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        let sizes = [
            (0, "1\u{a0}KB"),
            (64_001, "65\u{a0}KB"),
            (999_000, "999\u{a0}KB"),
            (999_001, "1.0\u{a0}MB"),
            (3_310_000, "3.4\u{a0}MB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text, "{bytes} bytes");
        }
    }
}

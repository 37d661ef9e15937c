//! Durations in a job: a whole number and one unit, `14d`, `36h`, `90m`.
//!
//! A day is 24 hours here: the life of a link is a duration, not a date.

use std::time::Duration;

/// The text is not a duration: one to five digits without leading zero, then
/// `d`, `h` or `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a whole number and d, h or m")]
pub struct BadDuration;

/// Reads a duration.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let unit_seconds: u64 = match text.chars().next_back() {
        Some('d') => 86_400,
        Some('h') => 3_600,
        Some('m') => 60,
        _ => return Err(BadDuration),
    };
    let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let shape = (1..=5).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|b| b.is_ascii_digit());
    if !shape {
        return Err(BadDuration);
    }
    let count: u64 = digits.parse().map_err(|_| BadDuration)?;
    count.checked_mul(unit_seconds).map(Duration::from_secs).ok_or(BadDuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_and_one_unit() {
        for (text, seconds) in
            [("14d", 1_209_600), ("36h", 129_600), ("90m", 5_400), ("99999d", 8_639_913_600)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "", "d", "14", "14D", "14 d", "-1d", "+1d", "1.5h", "1d12h", "014d", "0d", "100000m",
            "１d", "14日", "5s",
        ] {
            assert_eq!(parse_duration(text), Err(BadDuration), "{text:?}");
        }
    }
}

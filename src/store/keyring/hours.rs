//! How long the key of an hour's mails is needed.
//!
//! A mail is sealed in memory first and comes on the books a moment later, or
//! much later when the database is away. Until then no row asks for its key.
//! So it may come on the books only until the end of the next hour, and no key
//! dies before yet another full hour has passed: longer than any transaction.

use chrono::{DateTime, Utc};

/// The hour whose key seals a mail now: whole hours since 1970.
pub fn mail_hour(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(3_600)
}

/// Whether a mail that was sealed in `hour` may still come on the books.
pub fn is_fresh(hour: i64, now: DateTime<Utc>) -> bool {
    hour >= mail_hour(now).saturating_sub(1)
}

/// The first hour whose key must not be destroyed yet, whatever the books say.
pub fn first_kept(now: DateTime<Utc>) -> i64 {
    mail_hour(now).saturating_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_the_last_mail_that_may_ask_for_it_by_an_hour() {
        let sealed: DateTime<Utc> = "2026-11-21T01:59:59Z".parse().unwrap();
        let hour = mail_hour(sealed);
        let later = |minutes| sealed + chrono::TimeDelta::minutes(minutes);
        assert!(is_fresh(hour, later(60)), "the end of the next hour");
        assert!(!is_fresh(hour, later(61)), "and no longer");
        assert!(first_kept(later(120)) <= hour, "an hour after that it is still there");
        assert!(first_kept(later(121)) > hour, "then it may go");
    }
}

//! When a mail that was deferred is tried again.
//!
//! The first step is short because most trouble is a restart; the second is
//! five minutes because greylisting wants that; then the distances grow until
//! the mail is given up, usually after a day. The distance is spread by a fifth in either direction, so
//! that mails deferred together do not come back together.

use chrono::TimeDelta;

use crate::entropy::Entropy;

/// The distance after the first, second, … try, in seconds; the last repeats.
const LADDER: [i64; 6] = [60, 300, 900, 1_800, 3_600, 7_200];

/// The distance to the next try after `attempt` tries (counted from 1), when
/// `since_first_try` has passed since the first one; none when the next try
/// would come later than `give_up_after` after the first.
///
/// Without randomness the distance is not spread: it is no secret.
pub fn retry_after(
    attempt: u32,
    since_first_try: TimeDelta,
    give_up_after: TimeDelta,
    entropy: &Entropy,
) -> Option<TimeDelta> {
    let step = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let base = LADDER.get(step).or(LADDER.last()).copied().unwrap_or(60);
    let spread =
        entropy.array::<4>().map_or(500, |dice| i64::from(u32::from_be_bytes(dice) % 1001));
    // 80.0 % to 120.0 % of the base, in milliseconds.
    let millis = base.saturating_mul(spread.saturating_mul(2).saturating_add(4_000) / 5);
    let wait = TimeDelta::milliseconds(millis);
    let total = since_first_try.checked_add(&wait)?;
    (total <= give_up_after).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVE_UP_AFTER: TimeDelta = TimeDelta::hours(24);

    #[test]
    fn the_ladder_grows_and_stays_within_a_fifth() {
        let entropy = Entropy::from_seed_number(3);
        for (attempt, minutes) in [(1, 1), (2, 5), (3, 15), (4, 30), (5, 60), (6, 120), (40, 120)] {
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..200 {
                let wait =
                    retry_after(attempt, TimeDelta::zero(), GIVE_UP_AFTER, &entropy).unwrap();
                let share = wait.num_milliseconds() * 100 / (minutes * 60_000);
                assert!((80..=120).contains(&share), "attempt {attempt}: {share} % of the base");
                seen.insert(wait);
            }
            assert!(seen.len() > 50, "the distances must be spread");
        }
    }

    #[test]
    fn a_day_after_the_first_try_it_is_given_up() {
        let entropy = Entropy::from_seed_number(4);
        let (mut attempt, mut passed) = (1, TimeDelta::zero());
        while let Some(wait) = retry_after(attempt, passed, GIVE_UP_AFTER, &entropy) {
            passed += wait;
            attempt += 1;
            assert!(passed <= TimeDelta::hours(24), "no try after a day");
        }
        assert!(passed > TimeDelta::hours(20), "it must not be given up early: {passed}");
        assert!((14..=20).contains(&attempt), "{attempt} tries in a day");
    }
}

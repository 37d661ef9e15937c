//! Numbers that people read to each other: Crockford's base 32.
//!
//! Nothing here is a secret, and nothing here opens anything. A *link number*
//! names a delivery on the phone; a *session label* names one opening of it.
//! Both are made of bits of ids that stand in the log anyway.
//!
//! The letters I, L, O and U are left out; a reader's I and L are taken for 1,
//! an O for 0, and small letters for large ones. The last symbol of a link
//! number is Crockford's check symbol, so that a slip of one symbol or of two
//! neighbours never names another delivery.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::ids::{EventId, JobId};

/// The digits, and the five further symbols a check can have.
const SYMBOLS: &[u8; 37] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U";
/// 1 January 2020, in seconds since 1970.
const EPOCH_SECONDS: u64 = 1_577_836_800;
/// Bits of a link number that come from the id's end.
const TAIL_BITS: u32 = 28;
/// Digits of a link number, its check symbol aside.
const DIGITS: u32 = 12;

/// `KT-4F7Q-29XM-8C3V-E`: which delivery a recipient is asking about.
///
/// 60 bits: the second in which the job was accepted, counted from 2020, and
/// the last 28 bits of its id. Two jobs may share a number, once in some
/// hundred million within a second; whoever looks one up is shown both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkNumber(u64);

/// The text is not a link number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link number looks like KT-4F7Q-29XM-8C3V-E, with its check symbol at the end")]
pub struct BadLinkNumber;

impl LinkNumber {
    /// The number of a delivery.
    pub fn of(job: JobId) -> Self {
        let bits = job.0.as_u128();
        let millis = u64::try_from(bits >> 80).unwrap_or(0);
        let seconds = (millis / 1_000).saturating_sub(EPOCH_SECONDS) & u64::from(u32::MAX);
        let tail = u64::try_from(bits & tail_mask()).unwrap_or(0);
        Self(seconds << TAIL_BITS | tail)
    }

    /// Whether this is the number of `job`.
    pub fn names(self, job: JobId) -> bool {
        Self::of(job) == self
    }

    /// The ids of its second: the smallest, and the first that is too large.
    pub fn ids(self) -> (JobId, JobId) {
        let second = (self.0 >> TAIL_BITS).saturating_add(EPOCH_SECONDS);
        let first =
            |second: u64| JobId(Uuid::from_u128(u128::from(second.saturating_mul(1_000)) << 80));
        (first(second), first(second.saturating_add(1)))
    }

    fn check(self) -> char {
        symbol(self.0 % 37)
    }
}

fn tail_mask() -> u128 {
    (1_u128 << TAIL_BITS).saturating_sub(1)
}

/// The symbol of a value below 37.
fn symbol(value: u64) -> char {
    let found = usize::try_from(value).ok().and_then(|at| SYMBOLS.get(at));
    char::from(found.copied().unwrap_or(b'0'))
}

/// `count` digits of `value`, the highest first.
fn digits(value: u64, count: u32) -> impl Iterator<Item = char> {
    (0..count).rev().map(move |place| symbol(value >> place.saturating_mul(5) & 31))
}

/// The value of a symbol as people write it, below 37.
fn value(symbol: char) -> Option<u64> {
    let symbol = match symbol.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    let at = SYMBOLS.iter().position(|known| char::from(*known) == symbol)?;
    u64::try_from(at).ok()
}

impl fmt::Display for LinkNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KT")?;
        for (at, digit) in digits(self.0, DIGITS).enumerate() {
            if at % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{digit}")?;
        }
        write!(f, "-{}", self.check())
    }
}

impl FromStr for LinkNumber {
    type Err = BadLinkNumber;

    fn from_str(text: &str) -> Result<Self, BadLinkNumber> {
        let mut symbols = text.chars().filter(|c| *c != '-' && !c.is_whitespace());
        let prefix = [symbols.next(), symbols.next()].map(|c| c.map(|c| c.to_ascii_uppercase()));
        if prefix != [Some('K'), Some('T')] {
            return Err(BadLinkNumber);
        }
        let mut number = 0_u64;
        for _ in 0..DIGITS {
            let digit = symbols.next().and_then(value).filter(|value| *value < 32);
            number = number << 5 | digit.ok_or(BadLinkNumber)?;
        }
        let check = symbols.next().and_then(value).ok_or(BadLinkNumber)?;
        let number = Self(number);
        let right = check == number.0 % 37 && symbols.next().is_none();
        if right { Ok(number) } else { Err(BadLinkNumber) }
    }
}

/// `K7Q2-9XMF`: one opening of a link, in answers and in the log. The last 40
/// bits of the event that counted it.
pub fn session_label(opened: EventId) -> String {
    let tail = u64::try_from(opened.0.as_u128() & 0xff_ffff_ffff).unwrap_or(0);
    let mut text = String::with_capacity(9);
    for (at, digit) in digits(tail, 8).enumerate() {
        if at == 4 {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job() -> JobId {
        "019aa5f2-3b80-7c01-8d3e-5b1f6f2a9c04".parse().unwrap()
    }

    #[test]
    fn a_number_is_found_again_however_it_is_written() {
        let number = LinkNumber::of(job());
        let text = number.to_string();
        assert_eq!(text.len(), "KT-4F7Q-29XM-8C3V-E".len(), "one length for all: {text}");
        let sloppy = text.replace('-', " ").to_lowercase().replace('1', "l").replace('0', "o");
        for written in [text.clone(), sloppy, text.replace('-', "")] {
            assert_eq!(written.parse(), Ok(number), "{written}");
        }
        assert!(number.names(job()), "its own");
        let (low, high) = number.ids();
        assert!(low <= job() && job() < high, "within its second");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "KT",
            "KT-",
            "KT-0000-0000-0000",
            "KT-0000-0000-0000-1",
            "XX-0000-0000-0000-0",
            "KT-0000-0000-0000-00",
            "KT-000U-0000-0000-0",
            "KT-0000-0000-000é-0",
        ] {
            assert_eq!(text.parse::<LinkNumber>(), Err(BadLinkNumber), "{text}");
        }
        assert_eq!("KT-0000-0000-0000-0".parse(), Ok(LinkNumber(0)), "the smallest");
    }

    #[test]
    fn the_check_symbol_is_crockfords() {
        // His own example: 1234 is written 16J, its check symbol is D.
        assert_eq!(LinkNumber(1_234).to_string(), "KT-0000-0000-016J-D", "mod 37");
    }

    #[test]
    fn a_session_is_named_by_its_events_end() {
        let event = EventId(Uuid::from_u128(0xffff_ffff_ffff_ffff_ffff_ff00_0000_0421));
        assert_eq!(session_label(event), "0000-0111", "40 bits");
    }

    proptest! {
        #[test]
        fn a_slip_never_names_another(bits: u64, at in 0_usize..17, to in "[0-9A-HJKMNP-TV-Z]") {
            let number = LinkNumber(bits & 0xfff_ffff_ffff_ffff);
            let text = number.to_string();
            let place = 3 + at - at / 5;
            let mut slipped: Vec<char> = text.chars().collect();
            prop_assume!(slipped.get(place).is_some_and(|c| *c != '-'));
            slipped[place] = to.chars().next().unwrap();
            let slipped: String = slipped.into_iter().collect();
            prop_assume!(slipped != text);
            prop_assert_eq!(slipped.parse::<LinkNumber>(), Err(BadLinkNumber));
        }

        #[test]
        fn two_neighbours_in_the_wrong_order_are_noticed(bits: u64, at in 0_usize..11) {
            let number = LinkNumber(bits & 0xfff_ffff_ffff_ffff);
            let mut plain: Vec<char> = number.to_string().replace('-', "").chars().collect();
            plain.swap(2 + at, 3 + at);
            let swapped: String = plain.into_iter().collect();
            prop_assume!(swapped != number.to_string().replace('-', ""));
            prop_assert_eq!(swapped.parse::<LinkNumber>(), Err(BadLinkNumber));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            if let Ok(number) = text.parse::<LinkNumber>() {
                prop_assert_eq!(number.to_string().parse(), Ok(number));
            }
        }
    }
}

//! Ten thousand files that somebody has been at, each refused.
#![expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::BTreeMap;

use super::*;

const FILES: usize = 10_000;
/// A sealed segment (docs/FORMATS.md).
const BYTES: usize = 65_536;
const AAD: &[u8] = b"acme/0199f3c1";

struct Hand(Entropy);

impl Hand {
    fn below(&mut self, most: usize) -> usize {
        (u64::from_be_bytes(self.0.array().unwrap()) % most as u64) as usize
    }

    /// Changes one byte among these.
    fn change(&mut self, file: &mut [u8], among: Range<usize>) {
        let at = among.start + self.below(among.len());
        file[at] ^= 1 + self.below(255) as u8;
    }

    /// Two different segments of a file.
    fn two(&mut self, segments: usize) -> (usize, usize) {
        let first = self.below(segments);
        (first, (first + 1 + self.below(segments - 1)) % segments)
    }
}

/// What somebody does to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Crime {
    Length,
    Salt,
    Nonce,
    FirstSegment,
    InnerSegment,
    LastSegment,
    Tag,
    LastTag,
    Cut,
    CutAtSegment,
    Longer,
    Repeated,
    Swapped,
    Copied,
    Missing,
    Foreign,
    ForeignHead,
    OtherJob,
    OtherKey,
}

const CRIMES: [Crime; 19] = [
    Crime::Length,
    Crime::Salt,
    Crime::Nonce,
    Crime::FirstSegment,
    Crime::InnerSegment,
    Crime::LastSegment,
    Crime::Tag,
    Crime::LastTag,
    Crime::Cut,
    Crime::CutAtSegment,
    Crime::Longer,
    Crime::Repeated,
    Crime::Swapped,
    Crime::Copied,
    Crime::Missing,
    Crime::Foreign,
    Crime::ForeignHead,
    Crime::OtherJob,
    Crime::OtherKey,
];

/// A sealed file, and another under the same key and place.
struct Pair {
    file: Vec<u8>,
    other: Vec<u8>,
}

impl Pair {
    fn of(length: usize) -> Self {
        let plain: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
        let seal = |seed| seal(&key(1), AAD, &plain, &Entropy::from_seed_number(seed)).unwrap();
        Self { file: seal(1), other: seal(2) }
    }

    /// The file after a crime, and the key and place it is opened with.
    fn after(&self, crime: Crime, hand: &mut Hand) -> (Vec<u8>, Key, Vec<u8>) {
        let (mut file, end) = (self.file.clone(), self.file.len());
        let count = end.div_ceil(BYTES);
        let segment = |at: usize| at * BYTES..((at + 1) * BYTES).min(end);
        let (mut with, mut aad) = (key(1), AAD.to_vec());
        match crime {
            Crime::Length => hand.change(&mut file, 0..1),
            Crime::Salt => hand.change(&mut file, 1..33),
            Crime::Nonce => hand.change(&mut file, 33..40),
            Crime::FirstSegment => hand.change(&mut file, 40..BYTES - 16),
            Crime::InnerSegment => hand.change(&mut file, BYTES..2 * BYTES - 16),
            Crime::LastSegment => hand.change(&mut file, segment(count - 1).start..end - 16),
            Crime::Tag => {
                let at = hand.below(count - 1);
                hand.change(&mut file, segment(at).end - 16..segment(at).end);
            }
            Crime::LastTag => hand.change(&mut file, end - 16..end),
            Crime::Cut => file.truncate(hand.below(end)),
            Crime::CutAtSegment => file.truncate(segment(hand.below(count)).start),
            Crime::Longer => file.extend((0..=hand.below(40)).map(|_| 0)),
            Crime::Repeated => file.extend_from_slice(&self.file[segment(hand.below(count))]),
            Crime::Swapped => {
                let (one, two) = hand.two(count - 1);
                let (from, to) = (self.file[segment(one)].to_vec(), segment(two));
                file[segment(one)].copy_from_slice(&self.file[to.clone()]);
                file[to].copy_from_slice(&from);
            }
            Crime::Copied => {
                let (one, two) = hand.two(count - 1);
                file[segment(one)].copy_from_slice(&self.file[segment(two)]);
            }
            Crime::Missing => drop(file.drain(segment(hand.below(count)))),
            Crime::Foreign => {
                let at = segment(1 + hand.below(count - 1));
                file[at.clone()].copy_from_slice(&self.other[at]);
            }
            Crime::ForeignHead => file[..40].copy_from_slice(&self.other[..40]),
            Crime::OtherJob => {
                let at = hand.below(aad.len());
                aad[at] ^= 1 + hand.below(255) as u8;
            }
            Crime::OtherKey => with = key(2 + hand.below(250) as u8),
        }
        (file, with, aad)
    }
}

fn key(byte: u8) -> Key {
    Key::take(&mut [byte; 32])
}

/// As the gateway opens it: the ends first, then all that it covers.
fn open_by_ends(key: &Key, aad: &[u8], file: &[u8]) -> Result<(), CryptoError> {
    let part = |range: Range<u64>| &file[range.start as usize..range.end as usize];
    let ends = ends(file.len() as u64)?;
    let opened = Opened::new(key, aad, file.len() as u64, part(ends.head), part(ends.tail))?;
    let whole = 0..opened.plain_len();
    opened.decode(whole.clone(), part(opened.cover(&whole)?)).map(drop)
}

#[test]
fn ten_thousand_tampered_files_are_refused() {
    let pairs = [140_000, 200_000, 3 * BYTES - 88, 2 * BYTES].map(Pair::of);
    let mut hand = Hand(Entropy::from_seed_number(20_261_122));
    let mut refused = BTreeMap::new();
    for at in 0..FILES {
        let (pair, crime) = (&pairs[hand.below(pairs.len())], CRIMES[at % CRIMES.len()]);
        let (file, key, aad) = pair.after(crime, &mut hand);
        let traced = file != pair.file || aad != AAD || crime == Crime::OtherKey;
        assert!(traced, "number {at}, {crime:?}: something was done");
        assert!(open(&key, &aad, &file).is_err(), "number {at}, {crime:?}: opened");
        assert!(open_by_ends(&key, &aad, &file).is_err(), "number {at}, {crime:?}: by its ends");
        *refused.entry(crime).or_insert(0) += 1;
    }
    assert!(
        refused.len() == CRIMES.len() && refused.values().all(|count| *count > 500),
        "{refused:?}"
    );
    for pair in &pairs {
        assert!(open(&key(1), AAD, &pair.file).is_ok(), "untouched, it opens");
        assert!(open_by_ends(&key(1), AAD, &pair.file).is_ok(), "and by its ends");
    }
}

//! Round trips, ranges, and everything that must be refused.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "test lengths are small"
)]

use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> Key {
    Key::take(&mut [byte; 32])
}

fn chance() -> Entropy {
    Entropy::from_seed_number(11)
}

/// Bytes without a period that segments could hide behind.
fn document(length: usize) -> Vec<u8> {
    (0_u64..).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).take(length).collect()
}

/// Lengths around every edge of the format.
const EDGES: [usize; 14] = [
    0, 1, 16, 40, 1_000, 65_479, 65_480, 65_481, 65_520, 131_000, 131_001, 196_519, 196_520,
    400_000,
];

fn open_by_ends(sealed: &[u8], aad: &[u8]) -> Result<Opened, CryptoError> {
    let length = u64::try_from(sealed.len()).unwrap();
    let ends = ends(length)?;
    Opened::new(&key(1), aad, length, piece(sealed, &ends.head), piece(sealed, &ends.tail))
}

fn piece<'a>(sealed: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    &sealed[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

#[test]
fn what_is_sealed_comes_back_at_every_edge() {
    for length in EDGES {
        let plain = document(length);
        let sealed = seal(&key(1), b"aad", &plain, &chance()).unwrap();
        let (plain_length, sealed_length) = (length as u64, sealed.len() as u64);
        assert_eq!(sealed_len(plain_length), Ok(sealed_length), "sealed length of {length}");
        assert_eq!(plain_len(sealed_length), Ok(plain_length), "plain length of {length}");
        assert_eq!(open(&key(1), b"aad", &sealed).unwrap().as_slice(), plain, "{length} bytes");
        let opened = open_by_ends(&sealed, b"aad").unwrap();
        assert_eq!(opened.plain_len(), plain_length, "length by the ends of {length}");
    }
}

#[test]
fn a_wrong_key_or_place_opens_nothing() {
    for length in EDGES {
        let sealed = seal(&key(1), b"acme/1", &document(length), &chance()).unwrap();
        for (key, aad) in [(key(2), b"acme/1"), (key(1), b"acme/2")] {
            assert_eq!(open(&key, aad, &sealed).err(), Some(CryptoError::BrokenSeal), "{length}");
        }
        assert!(open_by_ends(&sealed, b"acme/2").is_err(), "nor by its ends");
    }
}

#[test]
fn every_cut_is_refused_even_at_a_segments_edge() {
    let sealed = seal(&key(1), b"", &document(200_000), &chance()).unwrap();
    let edges = (0..4).flat_map(|i| (0..90).map(move |d| i * 65_536 + d)).chain([sealed.len() - 1]);
    for length in edges.filter(|length| *length < sealed.len()) {
        assert!(open(&key(1), b"", &sealed[..length]).is_err(), "cut to {length}");
        assert!(open_by_ends(&sealed[..length], b"").is_err(), "cut to {length}, by its ends");
    }
    for tail in [1, 16, 17, 65_536] {
        let longer = [sealed.as_slice(), &vec![0; tail]].concat();
        assert!(open(&key(1), b"", &longer).is_err(), "longer by {tail}");
        assert!(open_by_ends(&longer, b"").is_err(), "longer by {tail}, by its ends");
    }
}

#[test]
fn swapped_repeated_and_missing_segments_are_refused() {
    let sealed = seal(&key(1), b"", &document(300_000), &chance()).unwrap();
    let segments: Vec<&[u8]> = sealed.chunks(65_536).collect();
    assert_eq!(segments.len(), 5, "five segments to play with");
    for order in [
        vec![0, 2, 1, 3, 4],
        vec![0, 1, 1, 3, 4],
        vec![0, 1, 2, 4],
        vec![0, 1, 2, 3],
        vec![0, 4],
        vec![0, 1, 2, 3, 3, 4],
    ] {
        let spoiled: Vec<u8> = order.iter().flat_map(|at| segments[*at]).copied().collect();
        assert!(open(&key(1), b"", &spoiled).is_err(), "order {order:?}");
    }
    let other = seal(&key(1), b"", &document(300_000), &Entropy::from_seed_number(12)).unwrap();
    let mut mixed = sealed.clone();
    mixed[65_536..131_072].copy_from_slice(&other[65_536..131_072]);
    assert!(open(&key(1), b"", &mixed).is_err(), "a segment of another file under the same key");
}

#[test]
fn a_range_of_a_spoiled_segment_is_refused_and_its_neighbours_are_not() {
    let plain = document(300_000);
    let mut sealed = seal(&key(1), b"", &plain, &chance()).unwrap();
    sealed[70_000] ^= 1;
    let opened = open_by_ends(&sealed, b"").unwrap();
    let read = |range: Range<u64>| {
        let cover = opened.cover(&range).unwrap();
        opened.decode(range, piece(&sealed, &cover))
    };
    assert!(read(65_500..65_600).is_err(), "the spoiled segment");
    assert_eq!(read(0..100).unwrap().as_slice(), &plain[..100], "the one before");
    assert_eq!(read(200_000..200_100).unwrap().as_slice(), &plain[200_000..200_100], "after");
}

#[test]
fn ranges_outside_the_file_are_refused() {
    let sealed = seal(&key(1), b"", &document(1_000), &chance()).unwrap();
    let opened = open_by_ends(&sealed, b"").unwrap();
    for range in [0..1_001, 1_001..1_001, 0..u64::MAX, u64::MAX..u64::MAX] {
        assert_eq!(opened.cover(&range), Err(CryptoError::TooLong), "{range:?}");
        assert!(opened.decode(range.clone(), &sealed).is_err(), "{range:?}");
    }
    let empty = opened.cover(&(1_000..1_000)).unwrap();
    assert!(empty.is_empty(), "nothing is fetched for nothing");
    assert!(opened.decode(1_000..1_000, &[]).unwrap().is_empty(), "and nothing is given");
}

#[test]
fn lengths_no_file_can_have_are_refused() {
    for length in [0, 1, 39, 40, 55, 65_537, 65_552, 131_072 + 16, u64::MAX] {
        assert_eq!(plain_len(length), Err(CryptoError::BrokenSeal), "{length}");
        assert!(ends(length).is_err(), "{length}");
    }
    assert_eq!(sealed_len(u64::MAX), Err(CryptoError::TooLong), "too long to seal");
    assert_eq!(sealed_len(LONGEST + 1), Err(CryptoError::TooLong), "too long to seal");
    assert!(plain_len(sealed_len(LONGEST).unwrap()).is_ok(), "the longest is fine");
}

#[test]
fn the_same_bytes_never_seal_alike() {
    let entropy = Entropy::from_os().unwrap();
    let seal = || seal(&key(1), b"", b"same", &entropy).unwrap();
    assert_ne!(seal(), seal(), "salt and nonce are drawn for each file");
    let replay = || super::seal(&key(1), b"", b"same", &chance()).unwrap();
    assert_eq!(replay(), replay(), "and replay from a seed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_is_what_the_document_says(
        length in 1_usize..300_000,
        from in 0.0..1.0_f64,
        to in 0.0..1.0_f64,
    ) {
        let plain = document(length);
        let sealed = seal(&key(1), b"x", &plain, &chance()).unwrap();
        let opened = open_by_ends(&sealed, b"x").unwrap();
        let at = |share: f64| (length as f64 * share) as usize;
        let (start, end) = (at(from).min(at(to)), at(from).max(at(to)));
        let range = start as u64..end as u64;
        let cover = opened.cover(&range).unwrap();
        let read = opened.decode(range, piece(&sealed, &cover)).unwrap();
        prop_assert_eq!(read.as_slice(), &plain[start..end]);
    }

    #[test]
    fn one_changed_bit_anywhere_is_refused(at in 0.0..1.0_f64, bit in 0..8_u8, edge in 0..14_usize) {
        let mut sealed = seal(&key(1), b"x", &document(EDGES[edge]), &chance()).unwrap();
        let at = (sealed.len() as f64 * at) as usize;
        sealed[at] ^= 1 << bit;
        prop_assert!(open(&key(1), b"x", &sealed).is_err());
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&key(1), b"x", &noise).is_err());
        prop_assert!(open_by_ends(&noise, b"x").is_err());
    }
}

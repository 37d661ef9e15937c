use chrono::DateTime;
use data_encoding::HEXLOWER;
use uuid::Uuid;

use super::*;
use crate::domain::ids::{EventId, JobId, TenantId};

/// The examples of docs/LOG-FORMAT.md, in its order.
fn examples() -> [Leaf; 2] {
    let at = DateTime::from_timestamp_micros(1_795_262_400_123_456).unwrap();
    let smallest = Leaf {
        kind: Kind::ClockHeld,
        at,
        tenant: TenantId::parse("acme").unwrap(),
        event: EventId(Uuid::from_u128(0x019d_a0f1_2f40_7000_8000_0000_0000_0001)),
        job: None,
        actor: Actor::Retention,
        code: None,
        facts: vec![],
        commitments: vec![],
        detail_sha256: None,
    };
    let full = Leaf {
        kind: Kind::Opened,
        event: EventId(Uuid::from_u128(0x019d_a0f1_2f40_7000_8000_0000_0000_0002)),
        job: Some(JobId(Uuid::from_u128(0x019d_a0f1_2f40_7000_8000_0000_0000_00aa))),
        actor: Actor::Recipient,
        code: Some("second_factor".to_owned()),
        facts: vec![
            ("opens".into(), Fact::Int(1)),
            ("via".into(), Fact::from("link")),
            ("offset_minutes".into(), Fact::Int(-540)),
            ("segment".into(), Fact::Bytes(vec![0xab; 16])),
        ],
        commitments: vec![("user_agent".into(), [0x22; 32]), ("ip".into(), [0x11; 32])],
        detail_sha256: Some([0x33; 32]),
        ..smallest.clone()
    };
    [smallest, full]
}

/// The hexadecimal blocks of the document, line breaks removed.
fn documented() -> Vec<Vec<u8>> {
    let text = include_str!("../../../docs/LOG-FORMAT.md");
    let blocks = text.split("```hex\n").skip(1);
    let hex = blocks.map(|block| block.split("```").next().unwrap().replace('\n', ""));
    hex.map(|hex| HEXLOWER.decode(hex.as_bytes()).unwrap()).collect()
}

/// Facts and commitments in the order in which they are encoded.
fn in_order(mut leaf: Leaf) -> Leaf {
    leaf.facts.sort_by_key(|(name, _)| (name.len(), name.clone()));
    leaf.commitments.sort_by_key(|(name, _)| (name.len(), name.clone()));
    leaf
}

#[test]
fn the_documented_leaves_are_what_we_write() {
    let documented = documented();
    assert_eq!(documented.len(), 2, "the document has two examples");
    for (leaf, bytes) in examples().into_iter().zip(documented) {
        let ours = leaf.encode().unwrap();
        assert_eq!(HEXLOWER.encode(&ours), HEXLOWER.encode(&bytes), "{:?}", leaf.kind);
        assert_eq!(Leaf::decode(&bytes).unwrap(), in_order(leaf), "and read back");
    }
}

#[test]
fn every_kind_and_actor_has_a_word_of_its_own_and_is_documented() {
    let text = include_str!("../../../docs/LOG-FORMAT.md");
    let kinds = Kind::ALL.iter().map(|kind| kind.word());
    let actors = Actor::ALL.iter().map(|actor| actor.word());
    for word in kinds.chain(actors) {
        assert!(text.contains(&format!("| `{word}` |")), "{word} is not in the tables");
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.word()), Some(*kind), "words lead back");
    }
}

/// No other bytes mean the same leaf, and no damaged bytes mean any leaf of
/// the same length.
#[test]
fn only_the_one_encoding_is_read() {
    for leaf in examples() {
        let bytes = leaf.encode().unwrap();
        for end in 0..bytes.len() {
            assert!(Leaf::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Leaf::decode(&longer), Err(LeafError::NotCanonical), "a byte too many");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(other) = Leaf::decode(&damaged) {
                    assert_ne!(other, in_order(leaf.clone()), "byte {at}, bit {bit}");
                    assert_eq!(other.encode().unwrap(), damaged, "byte {at}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn a_longer_spelling_of_the_same_leaf_is_refused() {
    let [smallest, _] = examples();
    let bytes = smallest.encode().unwrap();
    // The key 0 in two bytes instead of one, and an indefinite map.
    let mut wide = vec![bytes[0], 0x18, 0x00];
    wide.extend_from_slice(&bytes[2..]);
    assert_eq!(Leaf::decode(&wide), Err(LeafError::NotCanonical), "a wide key");
    let mut indefinite = vec![0xbf];
    indefinite.extend_from_slice(&bytes[1..]);
    indefinite.push(0xff);
    assert!(Leaf::decode(&indefinite).is_err(), "an indefinite map");
}

#[test]
fn a_name_is_plain_and_given_once() {
    let [smallest, _] = examples();
    for names in [&["a b"][..], &[""], &["twice", "twice"], &["ünicode"]] {
        let facts = names.iter().map(|name| ((*name).to_owned().into(), Fact::Int(0))).collect();
        let leaf = Leaf { facts, ..smallest.clone() };
        assert_eq!(leaf.encode(), Err(LeafError::BadName), "{names:?}");
    }
}

#[test]
fn a_leaf_fits_a_tiles_entry() {
    let [smallest, _] = examples();
    let long = |len| Leaf { code: Some("x".repeat(len)), ..smallest.clone() };
    assert!(long(60_000).encode().is_ok(), "long is allowed");
    assert_eq!(long(LEAF_BYTES_MAX).encode(), Err(LeafError::TooLong), "too long is not");
}

proptest::proptest! {
    #[test]
    fn every_leaf_survives_the_way_there_and_back(
        micros in -1_000_000_000_000_000_i64..4_000_000_000_000_000,
        id in proptest::num::u128::ANY,
        kind in 0..Kind::ALL.len(),
        code in proptest::option::of("[a-z_]{0,40}"),
        facts in proptest::collection::btree_map("[a-z0-9_]{1,30}", proptest::num::i64::ANY, 0..6),
        texts in proptest::collection::btree_map("t[a-z0-9_]{1,30}", ".{0,40}", 0..3),
    ) {
        let mut all: Vec<(Name, Fact)> =
            facts.into_iter().map(|(name, value)| (name.into(), Fact::Int(value))).collect();
        all.retain(|(name, _)| !texts.contains_key(name.as_ref()));
        all.extend(texts.into_iter().map(|(name, text)| (name.into(), Fact::Text(text))));
        let [smallest, _] = examples();
        let leaf = Leaf {
            kind: Kind::ALL[kind],
            at: DateTime::from_timestamp_micros(micros).unwrap(),
            event: EventId(Uuid::from_u128(id)),
            code,
            facts: all,
            ..smallest
        };
        let bytes = leaf.encode().unwrap();
        proptest::prop_assert_eq!(Leaf::decode(&bytes).unwrap(), in_order(leaf));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        if let Ok(leaf) = Leaf::decode(&bytes) {
            proptest::prop_assert_eq!(leaf.encode().unwrap(), bytes);
        }
    }
}

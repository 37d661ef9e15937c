//! Sealed files, checked by a stranger: Google's Tink.
//!
//! `tests/interop/tink` holds files that Tink sealed, and the interop step of `tests/run`
//! adds fresh ones; all are opened here, whole and in ranges. What we seal here
//! is left in `target/tmp/interop/ours`, where the script has Tink open it.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use kakitome::{
    crypto::{Key, stream},
    entropy::Entropy,
};
use serde_json::{Value, json};

/// The bytes of a plain file; the peer has the same.
fn document(length: u64) -> Vec<u8> {
    let byte = |at: u64| at.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0];
    (0..length).map(byte).collect()
}

struct Sealed {
    name: String,
    key: Key,
    aad: Vec<u8>,
    plain: Vec<u8>,
    bytes: Vec<u8>,
}

impl Sealed {
    fn read(about: &Path) -> Self {
        let value: Value = serde_json::from_slice(&fs::read(about).unwrap()).unwrap();
        let hex = |name: &str| HEXLOWER.decode(value[name].as_str().unwrap().as_bytes()).unwrap();
        Self {
            name: about.display().to_string(),
            key: Key::take(&mut hex("key").try_into().unwrap()),
            aad: hex("aad"),
            plain: document(value["length"].as_u64().unwrap()),
            bytes: fs::read(about.with_extension("sealed")).unwrap(),
        }
    }

    fn piece(&self, range: &std::ops::Range<u64>) -> &[u8] {
        &self.bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    }

    fn check(&self) {
        let Self { name, key, aad, plain, bytes } = self;
        let whole = stream::open(key, aad, bytes).unwrap();
        assert_eq!(*whole, *plain, "{name}: the whole file");

        let length = u64::try_from(bytes.len()).unwrap();
        let ends = stream::ends(length).unwrap();
        let (head, tail) = (self.piece(&ends.head), self.piece(&ends.tail));
        let file = stream::Opened::new(key, aad, length, head, tail).unwrap();
        let end = file.plain_len();
        for start in [0, 1, 65_479, 65_480, 65_481, 131_000, end / 3, end] {
            for stop in [start, start + 1, start + 100, start + 65_520, start + 140_000, end] {
                let range = start.min(end)..stop.clamp(start.min(end), end);
                let cover = file.cover(&range).unwrap();
                let part = file.decode(range.clone(), self.piece(&cover)).unwrap();
                let wanted =
                    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                assert_eq!(*part, plain[wanted], "{name}: {range:?}");
            }
        }
        assert!(stream::open(key, b"elsewhere", bytes).is_err(), "{name}: another place");
        assert!(stream::open(key, aad, &bytes[..bytes.len() - 1]).is_err(), "{name}: cut");
    }
}

fn sealed_files(folder: &Path) -> Vec<Sealed> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let about = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    paths.filter(about).map(|path| Sealed::read(&path)).collect()
}

#[test]
fn we_open_what_tink_sealed() {
    let kept = sealed_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/tink"));
    assert_eq!(kept.len(), 3, "the files that are kept with the tests");
    let fresh = sealed_files(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop/tink"));
    for file in kept.iter().chain(&fresh) {
        file.check();
    }
}

#[test]
fn what_we_seal_is_laid_out_for_tink_and_opens_here() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop/ours");
    fs::create_dir_all(&folder).unwrap();
    let entropy = Entropy::from_os().unwrap();
    for length in [0, 1, 16, 65_479, 65_480, 65_481, 131_000, 131_001, 300_000, 2_000_000] {
        let key = Key::draw(&entropy).unwrap();
        let aad = format!("acme/{length}");
        let sealed = stream::seal(&key, aad.as_bytes(), &document(length), &entropy).unwrap();
        let about = json!({
            "key": HEXLOWER.encode(key.expose()),
            "aad": HEXLOWER.encode(aad.as_bytes()),
            "length": length,
        });
        fs::write(folder.join(format!("{length}.sealed")), sealed).unwrap();
        fs::write(folder.join(format!("{length}.json")), about.to_string()).unwrap();
        Sealed::read(&folder.join(format!("{length}.json"))).check();
    }
}

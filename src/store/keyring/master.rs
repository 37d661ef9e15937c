//! The master key: the one secret that is given to us, in a file.
//!
//! The file belongs to whoever runs the office and is readable by nobody
//! else (a systemd credential, by its group); anything laxer is refused, because a key that others could read
//! yesterday protects nothing today. The checks are made on the open file, not
//! on its name. A file of 32 printable characters is refused too: that is
//! somebody's pass phrase, not a key.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use zeroize::Zeroizing;

use super::KeyError;
use crate::{
    crypto::{Key, prints},
    entropy::Entropy,
};

/// The key that every key of the office is wrapped under, at one remove.
#[derive(Debug)]
pub struct MasterKey(Key);

impl MasterKey {
    /// Reads the master key: 32 raw bytes, or their base64 on one line. The
    /// file must belong to the user we run as, or to root, and give nobody a
    /// permission of `forbidden_bits`, which its
    /// [source](crate::config::secret::SecretSource::forbidden_bits) knows.
    pub fn from_file(path: &Path, forbidden_bits: u32) -> Result<Self, KeyError> {
        let file = std::fs::File::open(path).map_err(KeyError::MasterUnreadable)?;
        let meta = file.metadata().map_err(KeyError::MasterUnreadable)?;
        if !meta.is_file() {
            return Err(KeyError::MasterForm);
        }
        if meta.mode() & forbidden_bits != 0 {
            return Err(KeyError::MasterOpenToOthers);
        }
        if ![0, rustix::process::geteuid().as_raw()].contains(&meta.uid()) {
            return Err(KeyError::MasterOwner);
        }
        // One byte more than any good file has, so that a longer one shows.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
        let limit = u64::try_from(LONGEST).unwrap_or(0).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(KeyError::MasterUnreadable)?;
        Self::from_bytes(bytes)
    }

    /// Takes the master key from bytes in the form of the file: for systemd
    /// credentials and the like, and for tests.
    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let mut raw = if bytes.len() == 32 { bytes } else { decode(&bytes)? };
        if raw.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return Err(KeyError::MasterForm);
        }
        Key::take_slice(&mut raw).map(Self).ok_or(KeyError::MasterForm)
    }

    /// Draws a master key and writes it to a new file that only its owner may
    /// read. A file that is there already is left alone, and is an error.
    pub fn create_file(path: &Path, entropy: &Entropy) -> Result<Self, KeyError> {
        let key = Key::draw(entropy)?;
        write_new(path, &key).map_err(KeyError::MasterUnwritable)?;
        Ok(Self(key))
    }

    /// By which this key is known where it must not stand itself: the first 8
    /// bytes of a MAC under it, in hex.
    pub fn print(&self) -> String {
        let print = prints::mac(&self.root(), "kakitome master print v1", &[]);
        let (head, _) = print.split_at(8);
        data_encoding::HEXLOWER.encode(head)
    }

    /// The key that wraps.
    pub(super) fn root(&self) -> Key {
        self.0.derive("kakitome key store v1")
    }
}

/// 44 characters of base64 and a line end.
const LONGEST: usize = 46;

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = text.trim_ascii();
    [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD]
        .iter()
        .find_map(|alphabet| alphabet.decode(text).ok().map(Zeroizing::new))
        .ok_or(KeyError::MasterForm)
}

fn write_new(path: &Path, key: &Key) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    let mut line = Zeroizing::new(BASE64.encode(key.expose()));
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => std::fs::File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    const OURS: u32 = 0o077;
    const CREDENTIAL: u32 = 0o037;

    #[test]
    fn a_master_key_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master");
        for mode in [0o404, 0o440, 0o640, 0o644, 0o666, 0o410, 0o401] {
            write(&path, &[7; 32], mode);
            let refused = MasterKey::from_file(&path, OURS).err();
            assert!(matches!(refused, Some(KeyError::MasterOpenToOthers)), "mode {mode:o}");
            let read = MasterKey::from_file(&path, CREDENTIAL);
            let fits = [0o440, 0o640].contains(&mode);
            assert_eq!(read.is_ok(), fits, "as a credential: mode {mode:o}");
            fs::remove_file(&path).unwrap();
        }
        for mode in [0o400, 0o600] {
            write(&path, &[7; 32], mode);
            assert!(MasterKey::from_file(&path, OURS).is_ok(), "mode {mode:o}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_master_key_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master");
        write(&path, &[7; 32], 0o400);
        let root = rustix::process::geteuid().is_root();
        // Only root can give a file away; anyone else finds root's own fitting.
        if root {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        }
        let refused = MasterKey::from_file(&path, OURS);
        assert_eq!(matches!(refused, Err(KeyError::MasterOwner)), root, "a stranger's file");
    }

    #[test]
    fn a_master_key_has_one_of_two_forms() {
        let form = |bytes: &[u8]| MasterKey::from_bytes(Zeroizing::new(bytes.to_vec()));
        for good in [
            [7; 32].as_slice(),
            b"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
            b"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
        ] {
            let root = form(good).unwrap().root();
            assert_eq!(root.expose(), form(&[7; 32]).unwrap().root().expose(), "the same key");
        }
        for bad in [
            b"".as_slice(),
            &[7; 31],
            &[7; 33],
            b"correct horse battery staple 123",
            b"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==",
            b"not base64 at all, but forty-four characters",
        ] {
            assert!(matches!(form(bad), Err(KeyError::MasterForm)), "{} bytes", bad.len());
        }
    }

    #[test]
    fn a_created_master_key_reads_back_and_is_not_overwritten() {
        let (folder, entropy) = (tempfile::tempdir().unwrap(), Entropy::from_os().unwrap());
        let path = folder.path().join("master");
        let made = MasterKey::create_file(&path, &entropy).unwrap();
        let read = MasterKey::from_file(&path, OURS).unwrap();
        assert_eq!(made.root().expose(), read.root().expose(), "the same key");
        let again = MasterKey::create_file(&path, &entropy);
        assert!(matches!(again, Err(KeyError::MasterUnwritable(_))), "the first one stays");
        assert_eq!(format!("{made:?}"), "MasterKey(Key(..))", "Debug must be mute");
    }
}

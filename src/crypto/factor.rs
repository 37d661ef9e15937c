//! Second factors: the slow print of a passcode, and codes that are mailed.
//!
//! A passcode is short and chosen by a person, so its print is slow: Argon2id
//! (RFC 9106; 19 MiB, two passes, one lane) over a MAC of the passcode under a
//! key that is not in the database. Whoever has the database alone cannot even
//! begin to guess. A code lives ten minutes and is drawn by chance; of it only
//! a MAC rests.
//!
//! Both are compared in constant time.

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::{CryptoError, Key, prints};
use crate::{
    domain::{
        factor::{CODE_DIGITS, Passcode},
        ids::JobId,
    },
    entropy::{Entropy, NoEntropy},
};

/// Memory of one print in KiB, passes, lanes: the second choice of OWASP's
/// page on password storage.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Names this set of parameters in what rests.
const VERSION: &str = "v1";

const SALT: usize = 16;
const PRINT: usize = 32;

/// The print of a passcode as it rests: `v1$SALT$PRINT`, both in base64url.
/// Takes some 20 ms and 19 MiB: not for a thread that others wait for.
pub fn verifier(
    key: &Key,
    job: JobId,
    passcode: &Passcode,
    entropy: &Entropy,
) -> Result<String, CryptoError> {
    let salt: [u8; SALT] = entropy.array()?;
    let print = slow(key, job, passcode, &salt)?;
    let (salt, print) = (BASE64URL_NOPAD.encode(&salt), BASE64URL_NOPAD.encode(print.as_slice()));
    Ok(format!("{VERSION}${salt}${print}"))
}

/// Whether `passcode` is the one behind a [`verifier`] of this job. As slow as
/// making one. A verifier of another form is an error, not a "no".
pub fn passcode_holds(
    key: &Key,
    job: JobId,
    verifier: &str,
    passcode: &Passcode,
) -> Result<bool, CryptoError> {
    let mut parts = verifier.split('$');
    let (Some(VERSION), Some(salt), Some(print), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(CryptoError::BrokenSeal);
    };
    let read = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes());
    let salt: [u8; SALT] =
        read(salt).ok().and_then(|salt| salt.try_into().ok()).ok_or(CryptoError::BrokenSeal)?;
    let print = read(print).map_err(|_| CryptoError::BrokenSeal)?;
    Ok(prints::same(slow(key, job, passcode, &salt)?.as_slice(), &print))
}

fn slow(
    key: &Key,
    job: JobId,
    passcode: &Passcode,
    salt: &[u8; SALT],
) -> Result<Zeroizing<[u8; PRINT]>, CryptoError> {
    let parts = [job.0.as_bytes().as_slice(), passcode.as_str().as_bytes()];
    let peppered = Zeroizing::new(prints::mac(key, "kakitome passcode v1", &parts));
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(PRINT));
    let params = params.map_err(|_| CryptoError::TooLong)?;
    let mut print = Zeroizing::new([0; PRINT]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(peppered.as_slice(), salt, print.as_mut_slice())
        .map_err(|_| CryptoError::TooLong)?;
    Ok(print)
}

/// Draws a code: eight digits, each of the hundred million as likely.
pub fn draw_code(entropy: &Entropy) -> Result<Zeroizing<String>, NoEntropy> {
    const CODES: u32 = 100_000_000;
    // Numbers from here on would make some codes likelier than others.
    const FAIR: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let drawn = u32::from_be_bytes(entropy.array()?);
        if drawn < FAIR {
            return Ok(Zeroizing::new(format!("{:0CODE_DIGITS$}", drawn.rem_euclid(CODES))));
        }
    }
}

/// What rests of a code of the link with this print.
pub fn code_mac(key: &Key, link: &[u8; 32], code: &str) -> [u8; 32] {
    prints::mac(key, "kakitome code v1", &[link, code.as_bytes()])
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32])
    }

    fn job(number: u128) -> JobId {
        JobId(Uuid::from_u128(number))
    }

    #[test]
    fn a_passcode_holds_under_its_key_and_for_its_job_only() {
        let entropy = Entropy::from_seed_number(1);
        let passcode = Passcode::typed("さくら123");
        let rests = verifier(&key(1), job(7), &passcode, &entropy).unwrap();
        let holds = |byte, number, typed: &str| {
            passcode_holds(&key(byte), job(number), &rests, &Passcode::typed(typed)).unwrap()
        };
        assert!(holds(1, 7, "さくら１２３"), "the same");
        assert!(!holds(1, 7, "さくら124"), "another");
        assert!(!holds(2, 7, "さくら123"), "another pepper");
        assert!(!holds(1, 8, "さくら123"), "moved to another job");
        let again = verifier(&key(1), job(7), &passcode, &entropy).unwrap();
        assert_ne!(rests, again, "equal passcodes look different");
    }

    #[test]
    fn a_damaged_verifier_is_no_answer() {
        let typed = Passcode::typed("123456");
        for bad in ["", "v1$$", "v2$AAAA$AAAA", "v1$AAAA$AAAA", "v1$a$b$c"] {
            assert_eq!(
                passcode_holds(&key(1), job(7), bad, &typed),
                Err(CryptoError::BrokenSeal),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_print_is_argon2id_as_the_format_page_says() {
        // RFC 9106 has no vector without a secret; docs/FORMATS.md has ours,
        // which Python's argon2-cffi computes too.
        let print = slow(&key(1), job(7), &Passcode::typed("さくら123"), &[2; SALT]).unwrap();
        assert_eq!(
            data_encoding::HEXLOWER.encode(print.as_slice()),
            "452cf25e94e42b93df30a7037bb5e8e638fbad0ecbed36e43758f12205ca8f83",
            "the same everywhere"
        );
    }

    #[test]
    fn codes_are_eight_digits_and_bound_to_their_link() {
        let entropy = Entropy::from_seed_number(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            let code = draw_code(&entropy).unwrap();
            assert!(code.len() == 8 && code.bytes().all(|b| b.is_ascii_digit()), "eight digits");
            seen.insert(code.to_string());
        }
        assert!(seen.len() > 1_995, "they do not repeat: {}", seen.len());
        let mac = code_mac(&key(1), &[4; 32], "12345678");
        assert_ne!(mac, code_mac(&key(1), &[5; 32], "12345678"), "another link");
        assert_ne!(mac, code_mac(&key(2), &[4; 32], "12345678"), "another key");
    }
}

//! Envelope senders that name the delivery they belong to (VERP), so that a
//! bounce can be traced without reading it.
//!
//! `b+<26 characters of job id>-<16 characters of tag>@<bounce domain>`: 45
//! octets before the `@`, within the 64 of RFC 5321. The tag is a MAC over the
//! job id; it is made and checked by whoever holds the key, because a bounce
//! that anybody could forge must not change a delivery. Letters are lower case
//! when written and read in either case, since relays change them.

use data_encoding::BASE32_NOPAD;
use uuid::Uuid;

use crate::domain::ids::JobId;

/// The envelope sender of a job's mail.
pub fn address(job: JobId, tag: [u8; 10], bounce_domain: &str) -> String {
    let mut local =
        format!("b+{}-{}", BASE32_NOPAD.encode(job.0.as_bytes()), BASE32_NOPAD.encode(&tag));
    local.make_ascii_lowercase();
    format!("{local}@{bounce_domain}")
}

/// Reads a job id and its unverified tag back from an envelope recipient.
///
/// None for any address that [`address`] did not write, letter case aside. The
/// tag proves nothing until its MAC has been checked in constant time.
pub fn parse(address: &str, bounce_domain: &str) -> Option<(JobId, [u8; 10])> {
    let (local, domain) = address.rsplit_once('@')?;
    if !domain.eq_ignore_ascii_case(bounce_domain) || local.len() != 45 {
        return None;
    }
    let upper = local.to_ascii_uppercase();
    let (job, tag) = upper.strip_prefix("B+")?.split_once('-')?;
    let job: [u8; 16] = BASE32_NOPAD.decode(job.as_bytes()).ok()?.try_into().ok()?;
    let tag: [u8; 10] = BASE32_NOPAD.decode(tag.as_bytes()).ok()?.try_into().ok()?;
    Some((JobId(Uuid::from_bytes(job)), tag))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_in_any_case(job: [u8; 16], tag: [u8; 10]) {
            let job = JobId(Uuid::from_bytes(job));
            let written = address(job, tag, "bounce.example.jp");
            prop_assert_eq!(written.find('@'), Some(45));
            prop_assert_eq!(parse(&written, "bounce.example.jp"), Some((job, tag)));
            prop_assert_eq!(parse(&written.to_uppercase(), "bounce.example.jp"), Some((job, tag)));
            prop_assert_eq!(parse(&written, "bounce.example.com"), None);
        }

        #[test]
        fn nothing_else_is_read(text in ".{0,60}") {
            prop_assert_eq!(parse(&text, "bounce.example.jp"), None);
        }
    }

    #[test]
    fn there_is_one_spelling_of_a_job() {
        // The last of the 26 characters carries two bits of padding: other
        // values of them would be a second spelling of the same job.
        let written = address(JobId(Uuid::from_bytes([0; 16])), [0; 10], "b.example");
        let forged = written.replacen("a-", "b-", 1);
        assert_eq!(parse(&forged, "b.example"), None, "padding bits must be zero");
    }
}

//! Which addresses a mail may go to, and how they are written on the wire.
//!
//! Japanese carriers gave out addresses until 2009 that break RFC 5321 with
//! leading, trailing or doubled dots; they are still in use and deliverable
//! when the local part is quoted. That rescue holds for the carriers' domains
//! only. Domains are brought to ASCII with strict IDNA rules.
//!
//! Refused: full-width letters in the local part, IP literals, names without a
//! dot, labels that mix scripts in a misleading way, and everything that could
//! be two addresses, a display name or a route.

use std::fmt;

use lettre::Address;
use unicode_normalization::UnicodeNormalization;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection};

/// An address that a mail can be sent to. `Debug` is mute.
#[derive(Clone, PartialEq, Eq)]
pub struct MailAddress {
    wire: Address,
    shown: String,
}

/// The text is not an address that we send to; its code is `bad_address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mail address that can be sent to")]
pub struct BadAddress;

impl MailAddress {
    /// Reads an address as a person or a business application writes it.
    ///
    /// The domain comes out in ASCII and lower case, the local part unchanged
    /// except for the quotes a carrier's address needs.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let (local, domain) = text.rsplit_once('@').ok_or(BadAddress)?;
        let domain = ascii_domain(domain)?;
        // A carrier's address may come quoted already.
        let bare = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')).unwrap_or(local);
        if bare.len() > 62 || text.len() > 254 || !bare.chars().all(is_local) || is_wide(bare) {
            return Err(BadAddress);
        }
        let quoted = match dots(bare) {
            Dots::Fine => false,
            Dots::Broken if is_lenient_carrier(&domain) => true,
            Dots::Broken | Dots::Empty => return Err(BadAddress),
        };
        let written = if quoted { format!("\"{bare}\"") } else { bare.to_owned() };
        let wire = Address::new(&written, &domain).map_err(|_| BadAddress)?;
        Ok(Self { wire, shown: format!("{bare}@{domain}") })
    }

    /// The address as it is written in an envelope or a header.
    pub fn wire(&self) -> &str {
        self.wire.as_ref()
    }

    /// The address as its owner writes it: without the quotes of the rescue.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether only a relay that offers SMTPUTF8 (RFC 6531) can take it.
    pub fn needs_smtputf8(&self) -> bool {
        !self.wire().is_ascii()
    }

    /// The same address in lettre's type.
    pub(super) fn lettre(&self) -> &Address {
        &self.wire
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailAddress(..)")
    }
}

/// The domain in ASCII, if it is a name that the public can look up.
fn ascii_domain(domain: &str) -> Result<String, BadAddress> {
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| BadAddress)?;
    let last = ascii.rsplit_once('.').ok_or(BadAddress)?.1;
    // `1.2.3.4` is no domain, and a trailing dot is no label.
    if !last.bytes().any(|b| b.is_ascii_alphabetic()) {
        return Err(BadAddress);
    }
    if !ascii.contains("xn--") {
        return Ok(ascii);
    }
    let (unicode, fine) = idna::domain_to_unicode(&ascii);
    let misleading = |label: &str| {
        matches!(
            label.detect_restriction_level(),
            RestrictionLevel::MinimallyRestrictive | RestrictionLevel::Unrestricted
        )
    };
    if fine.is_err() || unicode.split('.').any(misleading) {
        return Err(BadAddress);
    }
    Ok(ascii)
}

/// Characters of an unquoted local part (RFC 5322 atext and the dot), and the
/// letters and digits of other scripts that RFC 6531 adds.
fn is_local(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~.".contains(c)
        || (!c.is_ascii() && c.is_alphanumeric())
}

/// Full-width and other look-alike forms of ASCII: somebody's typing mistake,
/// never a mailbox.
fn is_wide(local: &str) -> bool {
    local.chars().any(|c| !c.is_ascii() && c.nfkc().any(|c| c.is_ascii()))
}

enum Dots {
    Fine,
    Broken,
    Empty,
}

fn dots(local: &str) -> Dots {
    if local.chars().all(|c| c == '.') {
        Dots::Empty
    } else if local.split('.').any(str::is_empty) {
        Dots::Broken
    } else {
        Dots::Fine
    }
}

/// The carriers that once gave out local parts with stray dots. `SoftBank` never
/// did.
fn is_lenient_carrier(domain: &str) -> bool {
    matches!(domain, "docomo.ne.jp" | "ezweb.ne.jp" | "au.com") || domain.ends_with(".ezweb.ne.jp")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VECTORS: &str = include_str!("../../../tests/vectors/mail_addresses.tsv");

    #[test]
    fn the_table_of_addresses_holds() {
        let mut rows = 0;
        for row in VECTORS.lines().skip(1) {
            rows += 1;
            let mut cells = row.split('\t');
            let input = cells.next().unwrap().replace("\\r", "\r").replace("\\n", "\n");
            let policy = cells.next().unwrap();
            let read = MailAddress::parse(&input);
            if policy.starts_with("reject") {
                assert_eq!(read, Err(BadAddress), "{input:?}: {policy}");
            } else if policy.starts_with("needs SMTPUTF8") {
                assert!(read.unwrap().needs_smtputf8(), "{input:?}: {policy}");
            } else {
                let read = read.unwrap();
                let domain = policy.strip_prefix("accept with domain ");
                let wire = policy.strip_prefix("accept as ").map(str::to_owned);
                let wire = wire.or(domain.map(|d| format!("user@{d}"))).unwrap_or(input.clone());
                assert_eq!(read.wire(), wire, "{input:?}: {policy}");
                assert!(!read.shown().contains('"'), "{input:?} is shown without quotes");
            }
        }
        assert_eq!(rows, 15, "the whole table was read");
    }

    #[test]
    fn what_looks_like_something_else_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b.jp",
            "a",
            "a@b.jp ",
            " a@b.jp",
            "<a@b.jp>",
            "A <a@b.jp>",
            "a@b.jp,c@d.jp",
            "a@b.jp\0",
            "a(c)@b.jp",
            "\"a b\"@b.jp",
            "\"a\\\"\"@docomo.ne.jp",
            "..@docomo.ne.jp",
            "a@1.2.3.4",
            "a@b.jp.",
            "a@exa_mple.jp",
            "a@exam\u{440}le.com",
            "a@-b.jp",
            "a@b\u{200d}.jp",
            "@r.jp:a@b.jp",
            "a%b@c@d.jp",
            "\"\"@docomo.ne.jp",
            "a\u{202e}@b.jp",
        ] {
            assert_eq!(MailAddress::parse(text), Err(BadAddress), "{text:?} must be refused");
        }
        let local = "a".repeat(63);
        assert_eq!(MailAddress::parse(&format!("{local}@b.jp")), Err(BadAddress), "too long");
    }

    #[test]
    fn a_quoted_carrier_address_is_read_as_it_is_written() {
        let once = MailAddress::parse("foo..bar@docomo.ne.jp").unwrap();
        let twice = MailAddress::parse(once.wire()).unwrap();
        assert_eq!(once, twice, "the wire form reads back");
        let sub = MailAddress::parse("a.@mail.ezweb.ne.jp").unwrap();
        assert_eq!(sub.wire(), "\"a.\"@mail.ezweb.ne.jp");
        assert_eq!(sub.shown(), "a.@mail.ezweb.ne.jp");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_passes_is_one_word(text in "\\PC{0,80}|.{0,40}@.{0,20}\\.jp") {
            if let Ok(address) = MailAddress::parse(&text) {
                prop_assert!(!address.wire().contains(char::is_whitespace));
                prop_assert!(!address.wire().contains(['<', '>', ',']));
                prop_assert!(address.wire().len() <= 320);
            }
        }
    }
}

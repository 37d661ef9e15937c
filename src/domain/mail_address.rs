//! One e-mail address that a mail can really be sent to.
//!
//! Stricter than RFC 5321 where the RFC allows what no business recipient has
//! (comments, routes, quoted blanks, IP literals, names without a dot), and
//! kinder where Japan's carriers once handed out what the RFC forbids:
//! `foo..bar@docomo.ne.jp` is sent as `"foo..bar"@docomo.ne.jp`.
//!
//! Domains that imitate others are refused by UTS 39: scripts mixed beyond what
//! languages do, and labels that are wholly in another script but look like
//! ASCII. Look-alikes are never judged for Japanese labels, where the official
//! table would take カード for 力ー卜.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::{
    GeneralSecurityProfile as _, MixedScript as _, RestrictionLevel,
    RestrictionLevelDetection as _, skeleton,
};

use super::job::EMAIL_OCTETS_MAX;

/// A checked address. The domain is lower-case ASCII; the part before the @ is
/// as the sender wrote it, without quotes.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct MailAddress {
    local: String,
    domain: String,
}

/// The text is not one address that a mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one deliverable e-mail address")]
pub struct BadMailAddress;

impl MailAddress {
    /// Checks one bare address. `legacy_jp` allows the misplaced dots of the
    /// carriers docomo and au, which stopped giving them out in 2009.
    pub fn parse(text: &str, legacy_jp: bool) -> Result<Self, BadMailAddress> {
        let (local, domain) = text.rsplit_once('@').ok_or(BadMailAddress)?;
        let domain = check_domain(domain)?;
        let local = check_local(local, legacy_jp && is_carrier(&domain))?;
        let address = Self { local, domain };
        if address.envelope().len() > EMAIL_OCTETS_MAX { Err(BadMailAddress) } else { Ok(address) }
    }

    /// The part before the @, unquoted.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain in lower-case ASCII (`xn--…` where it is not).
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The form for `RCPT TO` and headers: quoted where the dots demand it.
    pub fn envelope(&self) -> String {
        if dots_are_misplaced(&self.local) {
            format!("\"{}\"@{}", self.local, self.domain)
        } else {
            format!("{}@{}", self.local, self.domain)
        }
    }

    /// The form for people: never quoted, the domain in its own script.
    pub fn shown(&self) -> String {
        let (domain, faults) = idna::domain_to_unicode(&self.domain);
        let domain = if faults.is_ok() { domain } else { self.domain.clone() };
        format!("{}@{domain}", self.local)
    }

    /// The form that is compared: the local part as it is, since RFC 5321
    /// leaves its case to the recipient's system. First key of the blind index.
    pub fn canonical(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// The form in which people look for an address: all lower case. Second
    /// key of the blind index.
    pub fn folded(&self) -> String {
        format!("{}@{}", self.local.to_lowercase(), self.domain)
    }

    /// Whether only a relay that offers SMTPUTF8 can take a mail to it.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }
}

/// What a person typed into a search field, in the form of
/// [`MailAddress::folded`]: NFKC, trimmed, lower-case ASCII domain. Nothing if
/// it cannot be an address.
pub fn search_key(typed: &str) -> Option<String> {
    let text: String = typed.trim().nfkc().collect();
    MailAddress::parse(text.trim(), true).ok().map(|address| address.folded())
}

fn check_domain(domain: &str) -> Result<String, BadMailAddress> {
    // UTS 46 would silently drop these; two domains must not look like one.
    let hidden = |c: char| {
        matches!(c, '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    if domain.contains(hidden) {
        return Err(BadMailAddress);
    }
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| BadMailAddress)?;
    let labels: Vec<&str> = ascii.split('.').collect();
    let fits = ascii.len() <= 253
        && labels.len() >= 2
        && labels.iter().all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
        // The last label of a name is never a number: that is an IP address.
        && labels.last().is_some_and(|label| label.bytes().any(|b| b.is_ascii_alphabetic()));
    let (unicode, faults) = idna::domain_to_unicode(&ascii);
    if !fits || faults.is_err() || unicode.split('.').any(imitates) {
        return Err(BadMailAddress);
    }
    Ok(ascii)
}

/// Whether a label pretends to be another.
fn imitates(label: &str) -> bool {
    if label.is_ascii() {
        return false;
    }
    if !label.check_restriction_level(RestrictionLevel::ModeratelyRestrictive) {
        return true;
    }
    let japanese = label.chars().any(|c| matches!(c, '\u{3005}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}'));
    !japanese && label.is_single_script() && skeleton(label).all(|c| c.is_ascii())
}

fn check_local(local: &str, carrier: bool) -> Result<String, BadMailAddress> {
    let bare = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        // Quotes are taken off again where we would have put them on.
        Some(inner) if carrier && dots_are_misplaced(inner) => inner,
        Some(_) => return Err(BadMailAddress),
        None => local,
    };
    let fits = (1..=64).contains(&bare.len())
        && bare.chars().all(|c| c == '.' || is_atext(c))
        && (carrier || !dots_are_misplaced(bare))
        && bare.chars().any(|c| c != '.')
        // Full-width letters and other disguises are not what they look like.
        && bare.nfkc().eq(bare.chars())
        && (bare.is_ascii() || bare.check_restriction_level(RestrictionLevel::ModeratelyRestrictive));
    if fits { Ok(bare.to_owned()) } else { Err(BadMailAddress) }
}

/// RFC 5322 atext, and RFC 6531's letters where UTS 39 allows them in names.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && c.is_alphanumeric() && c.identifier_allowed())
}

fn dots_are_misplaced(local: &str) -> bool {
    local.starts_with('.') || local.ends_with('.') || local.contains("..")
}

fn is_carrier(domain: &str) -> bool {
    matches!(domain, "docomo.ne.jp" | "ezweb.ne.jp" | "au.com") || domain.ends_with(".ezweb.ne.jp")
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailAddress(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_hold() {
        for row in include_str!("../../tests/vectors/mail_addresses.tsv").lines().skip(1) {
            let mut fields = row.split('\t');
            let input = fields.next().unwrap().replace("\\r", "\r").replace("\\n", "\n");
            let policy = fields.next().unwrap();
            let outcome = MailAddress::parse(&input, true);
            if let Some(quoted) = policy.strip_prefix("accept as ") {
                let address = outcome.unwrap();
                assert_eq!(address.envelope(), quoted, "{input}");
                assert_eq!(address.shown(), input, "people see no quotes");
                assert!(MailAddress::parse(&input, false).is_err(), "only with the tenant's flag");
                assert_eq!(
                    MailAddress::parse(quoted, true),
                    Ok(address),
                    "quoted is the same address"
                );
            } else if let Some(domain) = policy.strip_prefix("accept with domain ") {
                assert_eq!(outcome.unwrap().domain(), domain, "{input}");
            } else if policy == "accept" {
                assert_eq!(outcome.unwrap().envelope(), input, "{input}");
            } else if policy.starts_with("needs SMTPUTF8") {
                assert!(outcome.unwrap().needs_smtputf8(), "{input}");
            } else {
                assert!(policy.starts_with("reject"), "unknown policy {policy}");
                assert_eq!(outcome, Err(BadMailAddress), "{input}");
            }
        }
    }

    #[test]
    fn what_is_not_exactly_one_bare_address_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b.jp",
            "a@b.jp, c@d.jp",
            "a@b.jp;c@d.jp",
            "<a@b.jp>",
            "A <a@b.jp>",
            "a@b.jp ",
            " a@b.jp",
            "a@b.jp(comment)",
            "@relay:a@b.jp",
            "a@@b.jp",
            "\"a b\"@c.jp",
            "\"a\"@c.jp",
            "a@b.jp.",
            "a@.b.jp",
            "a@-b.jp",
            "a@b-.jp",
            "a@b_c.jp",
            "a@1.2.3.4",
            "a@[::1]",
            "a@b.123",
            ".@docomo.ne.jp",
            "a\u{0}@b.jp",
            "a@b\u{ad}c.jp",
            "a@xn--a.jp",
            "a@exa mple.jp",
            "ａ@b.jp",
            "a\u{202e}@b.jp",
        ] {
            assert_eq!(MailAddress::parse(text, true), Err(BadMailAddress), "{text:?}");
        }
        let long = format!("{}@example.jp", "a".repeat(65));
        assert!(MailAddress::parse(&long, true).is_err(), "65 octets are too many");
    }

    #[test]
    fn imitations_are_refused_and_japanese_is_not() {
        for text in ["a@examрle.com", "a@аррӏе.com", "a@gοοgle.com", "a@ехаmple.com"] {
            assert_eq!(MailAddress::parse(text, true), Err(BadMailAddress), "{text}");
        }
        for text in [
            "a@カード.jp",
            "a@日本語.jp",
            "a@かきとめcard.jp",
            "a@münchen.de",
            "a@пример.com",
            "a@ｅｘａｍｐｌｅ.jp",
        ] {
            assert!(MailAddress::parse(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn case_folds_in_the_second_key_only() {
        let address = MailAddress::parse("Sakura.T@EXAMPLE.jp", true).unwrap();
        assert_eq!(address.canonical(), "Sakura.T@example.jp", "the local part is kept");
        assert_eq!(address.folded(), "sakura.t@example.jp", "and folded for searching");
        assert_eq!(
            search_key(" ＳＡＫＵＲＡ．Ｔ＠example.jp "),
            Some(address.folded()),
            "people type anything"
        );
        assert_eq!(search_key("sakura"), None, "not an address");
        assert_eq!(format!("{address:?}"), "MailAddress(..)", "Debug is mute");
    }

    proptest! {
        #[test]
        fn nothing_accepted_can_leave_its_field(text in "\\PC{0,12}@\\PC{0,12}\\.jp") {
            if let Ok(address) = MailAddress::parse(&text, true) {
                let envelope = address.envelope();
                prop_assert!(!envelope.contains(['\r', '\n', '\0', '<', '>', ' ', ',']), "{:?}", envelope);
                prop_assert_eq!(MailAddress::parse(&envelope, true), Ok(address));
            }
        }
    }
}

//! What a server offers in its answer to EHLO.

use lettre::transport::smtp::authentication::Mechanism;

/// The service extensions that we use.
#[expect(clippy::struct_excessive_bools, reason = "each is one keyword of the answer")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// RFC 2920: commands may be sent in groups.
    pub(super) pipelining: bool,
    /// RFC 3030: `BDAT`.
    pub(super) chunking: bool,
    /// RFC 1870: the size may be declared; zero and none say nothing about a limit.
    pub(super) size: Option<u64>,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
    /// RFC 6152.
    pub(super) eight_bit_mime: bool,
    /// RFC 3461: bounces can be told to leave the content out.
    pub(super) dsn: bool,
    /// RFC 4954: the best mechanism that both know.
    pub(super) auth: Option<Mechanism>,
}

impl Offer {
    /// Reads the lines of a 250 to EHLO; the first is the server's name.
    pub(super) fn parse(text: &str) -> Self {
        let mut offer = Self::default();
        for line in text.split('\n').skip(1) {
            // Some old servers write `AUTH=PLAIN LOGIN`.
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => offer.pipelining = true,
                "CHUNKING" => offer.chunking = true,
                "SIZE" => offer.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                "STARTTLS" => offer.starttls = true,
                "SMTPUTF8" => offer.smtputf8 = true,
                "8BITMIME" => offer.eight_bit_mime = true,
                "DSN" => offer.dsn = true,
                "AUTH" => offer.auth = best(words).or(offer.auth),
                _ => {}
            }
        }
        offer
    }
}

fn best<'a>(words: impl Iterator<Item = &'a str>) -> Option<Mechanism> {
    words.fold(None, |best, word| match word.to_ascii_uppercase().as_str() {
        "PLAIN" => Some(Mechanism::Plain),
        "LOGIN" => best.or(Some(Mechanism::Login)),
        _ => best,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_read_in_any_case_and_order() {
        let offer = Offer::parse(
            "mx.example.jp PIPELINING\npipelining\nSIZE 10240000\nVRFY\nAUTH LOGIN CRAM-MD5 PLAIN\nChunking\n8BITMIME\nDSN",
        );
        assert!(
            offer.pipelining && offer.chunking && offer.eight_bit_mime && offer.dsn,
            "{offer:?}"
        );
        assert_eq!((offer.size, offer.auth), (Some(10_240_000), Some(Mechanism::Plain)));
        assert!(!offer.starttls && !offer.smtputf8, "what is not offered is not there");
        assert_eq!(Offer::parse("x\nAUTH=LOGIN").auth, Some(Mechanism::Login));
        assert_eq!(Offer::parse("x\nAUTH PLAIN\nAUTH=GSSAPI").auth, Some(Mechanism::Plain));
    }

    #[test]
    fn the_name_line_offers_nothing() {
        assert_eq!(Offer::parse("STARTTLS"), Offer::default());
        assert_eq!(Offer::parse("x\nSIZE nonsense").size, Some(0));
    }
}

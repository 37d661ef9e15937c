//! What is said about one mail: its envelope and its content.

use lettre::{
    Address,
    transport::smtp::{
        commands::{Mail, Rcpt},
        extension::{MailBodyParameter, MailParameter},
    },
};
use zeroize::Zeroizing;

use super::Setback;
use crate::dispatch::email::{Enhanced, Letter, Reply, Verb, offer::Offer};

/// `MAIL FROM` with the parameters that the server offers; a refusal where it
/// is known beforehand that it cannot take the mail.
pub(super) fn mail_command(letter: &Letter, offer: &Offer) -> Result<String, Setback> {
    let size = letter.bytes.len();
    let mut parameters = Vec::new();
    if let Some(limit) = offer.size {
        if limit > 0 && u64::try_from(size).is_ok_and(|size| size > limit) {
            return Err(known(Verb::Mail, 552, Enhanced(5, 3, 4), "mail_too_big"));
        }
        parameters.push(MailParameter::Size(size));
    }
    let ascii_envelope = letter.envelope_to.is_ascii() && letter.envelope_from.is_ascii();
    if !ascii_envelope || !letter.bytes.is_ascii() {
        if !offer.smtputf8 || !offer.eight_bit_mime {
            let code = Enhanced(5, 6, 7);
            return Err(known(Verb::Mail, 553, code, "address_requires_smtputf8"));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if offer.dsn {
        // A bounce must not carry the link around.
        let value = Some("HDRS".to_owned());
        parameters.push(MailParameter::Other { keyword: "RET".to_owned(), value });
        let value = Some(letter.job.0.simple().to_string());
        parameters.push(MailParameter::Other { keyword: "ENVID".to_owned(), value });
    }
    let sender = letter
        .envelope_from
        .parse::<Address>()
        .map_err(|_| known(Verb::Mail, 553, Enhanced(5, 1, 7), "bad_address"))?;
    Ok(Mail::new(Some(sender), parameters).to_string())
}

/// `RCPT TO`.
pub(super) fn rcpt_command(letter: &Letter) -> Result<String, Setback> {
    let recipient = letter
        .envelope_to
        .parse::<Address>()
        .map_err(|_| known(Verb::Rcpt, 553, Enhanced(5, 1, 3), "bad_address"))?;
    Ok(Rcpt::new(recipient, Vec::new()).to_string())
}

/// A refusal in our own words, in the server's place (RFC 6531 §3.2 does so).
fn known(verb: Verb, code: u16, enhanced: Enhanced, word: &str) -> Setback {
    Setback::Known(verb, Reply { code, enhanced: Some(enhanced), text: word.to_owned() })
}

/// `BDAT … LAST` and the content, in one piece.
pub(super) fn chunk(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let command = format!("BDAT {} LAST\r\n", bytes.len());
    let mut content = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_add(command.len())));
    content.extend_from_slice(command.as_bytes());
    content.extend_from_slice(bytes);
    content
}

/// The content with its dots doubled (RFC 5321 §4.5.2) and the final dot, in
/// one piece.
pub(super) fn dotted(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    // A line is at least one byte, its dot another: never more than twice.
    let mut content =
        Zeroizing::new(Vec::with_capacity(bytes.len().saturating_mul(2).saturating_add(8)));
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            content.push(b'.');
        }
        content.extend_from_slice(line);
    }
    if !content.is_empty() && !content.ends_with(b"\r\n") {
        content.extend_from_slice(b"\r\n");
    }
    content.extend_from_slice(b".\r\n");
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_end_is_a_dot() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"a\r\n.b\r\n..\r\nc.\r\n", b"a\r\n..b\r\n...\r\nc.\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"no end", b"no end\r\n.\r\n"),
            (b"", b".\r\n"),
            (b"x\r\n\r\n", b"x\r\n\r\n.\r\n"),
        ];
        for (bytes, want) in cases {
            assert_eq!(dotted(bytes).as_slice(), want, "{bytes:?}");
        }
        assert_eq!(chunk(b".\r\n").as_slice(), b"BDAT 3 LAST\r\n.\r\n", "no doubling in a chunk");
    }
}

//! The two bodies of a mail, and where the link enters them.

use data_encoding::BASE64_MIME;
use zeroize::Zeroizing;

use super::LINK;

/// A line of a 7bit body may have 998 octets (RFC 5322); the link is part of one.
const LINE_MAX: usize = 400;

/// One of the two parts: a rendered body and what goes into it.
pub(super) struct Part<'a> {
    kind: &'static str,
    body: &'a str,
    link: &'a str,
    /// At least the length of the body with its link and its CRLFs.
    text_len_max: usize,
}

impl<'a> Part<'a> {
    pub(super) fn new(kind: &'static str, body: &'a str, link: &'a str) -> Self {
        let line_ends = body.lines().count();
        let links = body.matches(LINK).count().saturating_mul(link.len());
        let lens = [body.len(), line_ends, links, 2];
        let text_len_max = lens.into_iter().fold(0, usize::saturating_add);
        Self { kind, body, link, text_len_max }
    }

    /// The most bytes that it takes, its few headers aside.
    pub(super) fn room(&self) -> usize {
        BASE64_MIME.encode_len(self.text_len_max)
    }

    /// Writes it: as it is where it is plain ASCII in short lines, in base64
    /// otherwise.
    pub(super) fn write(&self, mail: &mut String, boundary: &str) {
        let body = self.body;
        let plain = body.is_ascii()
            && !body.contains(boundary)
            && body.lines().all(|line| line.len() <= LINE_MAX);
        let encoding = if plain { "7bit" } else { "base64" };
        for piece in [
            "--",
            boundary,
            "\r\nContent-Type: ",
            self.kind,
            "; charset=utf-8\r\nContent-Transfer-Encoding: ",
            encoding,
            "\r\n\r\n",
        ] {
            mail.push_str(piece);
        }
        if plain {
            self.write_text(mail);
        } else {
            let mut text = Zeroizing::new(String::with_capacity(self.text_len_max));
            self.write_text(&mut text);
            BASE64_MIME.encode_append(text.as_bytes(), mail);
        }
        if !mail.ends_with("\r\n") {
            mail.push_str("\r\n");
        }
    }

    /// Copies the body with CRLF line ends and the link in its place.
    fn write_text(&self, target: &mut String) {
        for line in self.body.lines() {
            for (nth, piece) in line.split(LINK).enumerate() {
                if nth > 0 {
                    target.push_str(self.link);
                }
                target.push_str(piece);
            }
            target.push_str("\r\n");
        }
    }
}

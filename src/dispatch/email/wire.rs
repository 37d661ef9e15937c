//! Writes bytes to an SMTP server and reads its replies, within limits.
//!
//! Replies are read here and not by lettre, whose connection takes a line of
//! any length into memory before it looks at it, and keeps what a stranger
//! slipped in before STARTTLS. A reply has at most 100 lines of at most 4 KiB,
//! and its last line must come before its time is over, however slowly it
//! drips.

use std::{future::Future, io, pin::Pin, task::Poll, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};

use super::{Enhanced, Reply, Trouble};

/// The longest line of a reply, its line end included.
const LINE_MAX: usize = 4_096;

/// The most lines of one reply.
const LINES_MAX: usize = 100;

/// The longest text of a reply that is kept, in characters.
const TEXT_MAX: usize = 512;

/// A byte stream in both directions: TCP, or TLS over it.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection and what has arrived on it unread.
pub(super) struct Wire {
    stream: Box<dyn Duplex>,
    inbox: Vec<u8>,
    read: usize,
}

/// A reply as it came: code, and the lines' texts joined by line feeds.
#[derive(PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) code: u16,
    pub(super) text: String,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Duplex>) -> Self {
        Self { stream, inbox: Vec::with_capacity(1_024), read: 0 }
    }

    /// The bare stream, for the TLS handshake. Refused when something arrived
    /// already: whatever it is, it was not protected ("Why TLS Is Better
    /// Without STARTTLS", USENIX Security 2021).
    pub(super) fn into_stream(self) -> Result<Box<dyn Duplex>, Trouble> {
        if self.has_leftover() { Err(Trouble::OutOfTurn) } else { Ok(self.stream) }
    }

    /// Whether the server said more than was read.
    fn has_leftover(&self) -> bool {
        self.read < self.inbox.len()
    }

    /// Makes sure, without waiting, that the server said nothing that it was
    /// not asked for and has not hung up. What is still on its way cannot be
    /// seen.
    pub(super) async fn expect_silence(&mut self) -> Result<(), Trouble> {
        if self.has_leftover() {
            return Err(Trouble::OutOfTurn);
        }
        let mut byte = [0; 1];
        let stream = &mut self.stream;
        std::future::poll_fn(move |cx| {
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Pending => Ok(()),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(Trouble::Closed),
                Poll::Ready(Ok(())) => Err(Trouble::OutOfTurn),
                Poll::Ready(Err(error)) => Err(trouble(&error)),
            })
        })
        .await
    }

    pub(super) async fn write(&mut self, bytes: &[u8], limit: Duration) -> Result<(), Trouble> {
        within(limit, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Reads the next reply to its last line.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Raw, Trouble> {
        // Most replies of a pipelined batch are here already: no timer needed.
        if let Some(reply) = self.next_reply()? {
            return Ok(reply);
        }
        match timeout(limit, self.fill_until_reply()).await {
            Ok(reply) => reply,
            Err(_) => Err(Trouble::TimedOut),
        }
    }

    async fn fill_until_reply(&mut self) -> Result<Raw, Trouble> {
        loop {
            self.inbox.drain(..self.read);
            self.read = 0;
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) => return Err(Trouble::Closed),
                Ok(_) => {}
                Err(error) => return Err(trouble(&error)),
            }
            if let Some(reply) = self.next_reply()? {
                return Ok(reply);
            }
        }
    }

    /// The first whole reply of the inbox, if there is one.
    fn next_reply(&mut self) -> Result<Option<Raw>, Trouble> {
        let mut rest = self.inbox.get(self.read..).unwrap_or_default();
        let mut found: Option<Raw> = None;
        for _ in 0..LINES_MAX {
            let window = rest.get(..LINE_MAX).unwrap_or(rest);
            let Some(end) = window.iter().position(|b| *b == b'\n') else {
                let full = window.len() == LINE_MAX;
                return if full { Err(Trouble::ReplyTooLong) } else { Ok(None) };
            };
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let line = Line::parse(line.strip_suffix(b"\r").unwrap_or(line))?;
            let reply = match &mut found {
                None => found.insert(Raw { code: line.code, text: line.text }),
                Some(reply) if reply.code == line.code => {
                    reply.text.push('\n');
                    reply.text.push_str(&line.text);
                    reply
                }
                Some(_) => return Err(Trouble::NotSmtp),
            };
            if line.last {
                let reply = Raw { code: reply.code, text: std::mem::take(&mut reply.text) };
                self.read = self.inbox.len().saturating_sub(rest.len());
                return Ok(Some(reply));
            }
        }
        Err(Trouble::ReplyTooLong)
    }
}

struct Line {
    code: u16,
    last: bool,
    text: String,
}

impl Line {
    /// One line of RFC 5321 §4.2: three digits, then nothing, a blank or a
    /// hyphen, then text.
    fn parse(line: &[u8]) -> Result<Self, Trouble> {
        let (digits, rest) = line.split_at_checked(3).ok_or(Trouble::NotSmtp)?;
        let digits = std::str::from_utf8(digits).map_err(|_| Trouble::NotSmtp)?;
        let Ok(code @ 200..=599) = digits.parse::<u16>() else {
            return Err(Trouble::NotSmtp);
        };
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(Trouble::NotSmtp),
        };
        Ok(Self { code, last, text: String::from_utf8_lossy(text).into_owned() })
    }
}

impl Raw {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    pub(super) fn is_deferral(&self) -> bool {
        (400..500).contains(&self.code)
    }

    pub(super) fn is_refusal(&self) -> bool {
        self.code >= 500
    }

    /// The server announces that it closes the connection.
    pub(super) fn is_farewell(&self) -> bool {
        self.code == 421
    }
}

impl From<Raw> for Reply {
    fn from(raw: Raw) -> Self {
        let mut text = String::with_capacity(raw.text.len().min(TEXT_MAX));
        for c in raw.text.chars().take(TEXT_MAX) {
            match c {
                '\n' => text.push(' '),
                c if c.is_control()
                    || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    text.extend(c.escape_unicode());
                }
                c => text.push(c),
            }
        }
        Self { code: raw.code, enhanced: enhanced(raw.code, &raw.text), text }
    }
}

/// The enhanced code a reply starts with, if its class agrees with the reply's
/// (RFC 2034 §4).
fn enhanced(code: u16, text: &str) -> Option<Enhanced> {
    let word = text.split_ascii_whitespace().next()?;
    let mut parts = word.splitn(3, '.');
    let mut number = |digits_max: usize| -> Option<u16> {
        let part = parts.next()?;
        let fits = part.len() <= digits_max && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse().ok()).flatten()
    };
    let (class, subject, detail) = (number(1)?, number(3)?, number(3)?);
    (code / 100 == class).then_some(())?;
    Some(Enhanced(u8::try_from(class).ok()?, subject, detail))
}

async fn within(
    limit: Duration,
    work: impl Future<Output = io::Result<()>>,
) -> Result<(), Trouble> {
    match timeout(limit, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(trouble(&error)),
        Err(_) => Err(Trouble::TimedOut),
    }
}

fn trouble(error: &io::Error) -> Trouble {
    if error.kind() == io::ErrorKind::UnexpectedEof { Trouble::Closed } else { Trouble::Broken }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8]) -> Vec<Result<(u16, String), Trouble>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut server, client) = tokio::io::duplex(1 << 20);
            server.write_all(bytes).await.unwrap();
            drop(server);
            let mut wire = Wire::new(Box::new(client));
            let mut all = Vec::new();
            loop {
                match wire.reply(Duration::from_secs(5)).await {
                    Ok(raw) => all.push(Ok((raw.code, raw.text))),
                    Err(Trouble::Closed) => return all,
                    Err(trouble) => {
                        all.push(Err(trouble));
                        return all;
                    }
                }
            }
        })
    }

    #[test]
    fn replies_are_read_one_by_one() {
        let found = read_all(b"220 hi\r\n250-a\r\n250-b c\r\n250 d\r\n354\r\n550 5.1.1 no\n");
        let want = [(220, "hi"), (250, "a\nb c\nd"), (354, ""), (550, "5.1.1 no")];
        let want: Vec<_> = want.into_iter().map(|(c, t)| Ok((c, t.to_owned()))).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn a_long_line_is_not_read_to_its_end() {
        let mut long = b"250 ".to_vec();
        long.resize(LINE_MAX + 1, b'x');
        assert_eq!(read_all(&long), [Err(Trouble::ReplyTooLong)]);
        let many = b"250-x\r\n".repeat(LINES_MAX + 1);
        assert_eq!(read_all(&many), [Err(Trouble::ReplyTooLong)]);
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad\r\n"[..],
            b"25\r\n",
            b"150 x\r\n",
            b"600 x\r\n",
            b"250_x\r\n",
            b"250-a\r\n251 b\r\n",
            b"\r\n",
            b"+50 x\r\n",
        ] {
            assert_eq!(read_all(bytes), [Err(Trouble::NotSmtp)], "{bytes:?}");
        }
    }

    #[test]
    fn a_slow_reply_has_one_deadline_for_all_of_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut server, client) = tokio::io::duplex(64);
            let mut wire = Wire::new(Box::new(client));
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            let drip = async {
                for byte in b"250-one byte at a time, for ever".iter().cycle() {
                    tick.tick().await;
                    if server.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                }
            };
            let read = wire.reply(Duration::from_millis(60));
            let got = tokio::select! { reply = read => reply.err(), () = drip => None };
            assert_eq!(got, Some(Trouble::TimedOut), "dripping does not extend the time");
        });
    }

    #[test]
    fn words_are_kept_short_escaped_and_on_one_line() {
        let raw = Raw {
            code: 550,
            text: format!("5.7.1 a\u{0}b\nc\u{1b}[2J\u{202e}{}", "z".repeat(9_999)),
        };
        let reply = Reply::from(raw);
        assert_eq!(reply.enhanced, Some(Enhanced(5, 7, 1)));
        assert!(reply.text.starts_with("5.7.1 a\\u{0}b c\\u{1b}[2J\\u{202e}z"), "{}", reply.text);
        assert!(reply.text.len() < 600, "the words are cut");
        assert!(!format!("{reply:?}").contains('z'), "Debug tells the codes only");
    }

    #[test]
    fn an_enhanced_code_must_agree_with_the_reply() {
        assert_eq!(enhanced(550, "5.7.515 x"), Some(Enhanced(5, 7, 515)));
        for text in ["4.7.1 x", "5.7 x", "5.7.1234 x", "x 5.7.1", "5..1", "", "5.7.1.1 x"] {
            assert_eq!(enhanced(550, text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let found = read_all(&bytes);
            prop_assert!(found.len() <= bytes.len());
        }
    }
}

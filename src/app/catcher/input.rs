//! The client's side of the line: commands, dotted content, counted content.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use zeroize::Zeroizing;

/// The longest command line, its line end included. RFC 5321 asks for 512.
const COMMAND_MAX: usize = 4_096;

/// A byte stream in both directions: TCP, or TLS over it.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A line with its unread input and its unsent replies. Replies go out when
/// the input is used up, so that a group of commands gets one packet back.
pub(super) struct Input {
    stream: Box<dyn Duplex>,
    inbox: Zeroizing<Vec<u8>>,
    read: usize,
    outbox: Vec<u8>,
    idle_max: Duration,
}

/// The content of a mail, or the news that it was larger than allowed.
pub(super) enum Content {
    Whole(Zeroizing<Vec<u8>>),
    TooLarge,
}

impl Input {
    pub(super) fn new(stream: Box<dyn Duplex>, idle_max: Duration) -> Self {
        let inbox = Zeroizing::new(Vec::with_capacity(16_384));
        Self { stream, inbox, read: 0, outbox: Vec::new(), idle_max }
    }

    /// The bare stream, for a TLS handshake; whatever came early is forgotten.
    pub(super) async fn into_stream(mut self) -> io::Result<Box<dyn Duplex>> {
        self.flush().await?;
        Ok(self.stream)
    }

    pub(super) fn say(&mut self, lines: &str) {
        self.outbox.extend_from_slice(lines.as_bytes());
        self.outbox.extend_from_slice(b"\r\n");
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.outbox).await?;
        self.outbox.clear();
        self.stream.flush().await
    }

    /// The next command without its line end; none when it is too long.
    pub(super) async fn command(&mut self) -> io::Result<Option<String>> {
        let mut too_long = false;
        loop {
            let line = self.line().await?;
            let ended = line.ends_with(b"\n");
            if ended && !too_long {
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()));
            }
            if ended {
                return Ok(None);
            }
            too_long = true;
        }
    }

    /// Content up to the dot, with doubled dots undone.
    pub(super) async fn dotted(&mut self, bytes_max: usize) -> io::Result<Content> {
        let mut content = Zeroizing::new(Vec::with_capacity(8_192));
        let mut at_line_start = true;
        let mut too_large = false;
        loop {
            let line = self.line().await?;
            let starts_line = std::mem::replace(&mut at_line_start, line.ends_with(b"\n"));
            if starts_line && (line.as_slice() == b".\r\n") {
                return Ok(if too_large { Content::TooLarge } else { Content::Whole(content) });
            }
            let undone = if starts_line { line.strip_prefix(b".") } else { None };
            content.extend_from_slice(undone.unwrap_or(&line));
            if content.len() > bytes_max {
                too_large = true;
                content.clear();
            }
        }
    }

    /// The next `count` bytes, as they are.
    pub(super) async fn counted(&mut self, count: usize, bytes_max: usize) -> io::Result<Content> {
        let mut content = Zeroizing::new(Vec::new());
        let mut missing = count;
        while missing > 0 {
            if self.read >= self.inbox.len() {
                self.fill().await?;
            }
            let rest = self.inbox.get(self.read..).unwrap_or_default();
            let piece = rest.get(..missing).unwrap_or(rest);
            if count <= bytes_max {
                content.extend_from_slice(piece);
            }
            missing = missing.saturating_sub(piece.len());
            self.read = self.read.saturating_add(piece.len());
        }
        Ok(if count <= bytes_max { Content::Whole(content) } else { Content::TooLarge })
    }

    /// The next line with its end, or its first part if it is very long.
    async fn line(&mut self) -> io::Result<Zeroizing<Vec<u8>>> {
        loop {
            let rest = self.inbox.get(self.read..).unwrap_or_default();
            let window = rest.get(..COMMAND_MAX).unwrap_or(rest);
            let end = window.iter().position(|b| *b == b'\n').map(|at| at.saturating_add(1));
            let end = end.or((window.len() == COMMAND_MAX).then_some(COMMAND_MAX));
            if let Some(line) = end.and_then(|end| window.get(..end)) {
                self.read = self.read.saturating_add(line.len());
                return Ok(Zeroizing::new(line.to_vec()));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.inbox.drain(..self.read);
        self.read = 0;
        match timeout(self.idle_max, self.stream.read_buf(&mut *self.inbox)).await {
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.say("421 4.4.2 idle for too long");
                self.flush().await?;
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

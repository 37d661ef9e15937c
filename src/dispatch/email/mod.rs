//! Writes the mail that carries a link, and hands it to a relay exactly once.
//!
//! A mail is composed when its document is sealed ([`compose`]) and carried
//! later, byte for byte, by a [`Carrier`]. Whether a failure struck before or
//! after the server became responsible decides everything that follows: before
//! it, sending again is safe; after it, nobody knows, and nothing is ever sent
//! again by itself. [`Outcome`] keeps the two apart, and the [`journal`] keeps
//! them apart across a crash of the process.
//!
//! Refused here: text that could forge a header or mislead the reader's eye,
//! addresses that no relay could take, clear text where TLS was asked for, and
//! every guess at what a server "probably" did.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use zeroize::Zeroizing;

use crate::domain::ids::JobId;

pub mod address;
pub mod carrier;
pub mod classify;
pub mod compose;
pub mod journal;
pub mod relay;
pub mod retry;
pub mod verp;

mod offer;
mod probe;
mod session;
mod text;
mod wire;

pub use carrier::SmtpCarrier;
pub use classify::Fate;
pub use compose::{Composed, Composer, FirstMail, MailOrder};
pub use journal::{Abandoned, BootId, Journal};
pub use probe::probe;
pub use relay::{Relay, RelaySettings};

/// Carries mails to a relay, one after the other, over one connection.
pub trait Carrier: Send {
    /// Offers `mail` to the relay and says what became of it.
    ///
    /// `before_dot` is called at most once, immediately before the bytes are
    /// written that make the server responsible for the mail. When it answers
    /// false nothing of the kind is written and the outcome is
    /// [`Outcome::Withheld`]. Dropping the future closes the connection; if
    /// that happens after `before_dot` answered true, the mail's fate is
    /// unknown.
    fn carry<'a>(
        &'a mut self,
        mail: &'a Letter,
        before_dot: &'a mut (dyn FnMut() -> bool + Send),
    ) -> BoxFuture<'a, Outcome>;

    /// Takes leave of the relay; the next mail opens a new connection.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// A mail on its way: the envelope and the bytes, which never change between
/// attempts.
#[derive(Clone)]
pub struct Letter {
    /// The delivery it belongs to.
    pub job: JobId,
    /// The address that bounces go to, as it is written on the wire.
    pub envelope_from: String,
    /// The recipient's address, as it is written on the wire.
    pub envelope_to: String,
    /// The whole RFC 5322 message with CRLF line ends. It holds the link.
    pub bytes: Arc<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("job", &self.job).finish_non_exhaustive()
    }
}

/// What became of one attempt. The first group is final, the second is safe to
/// repeat, and [`Outcome::LostReply`] is neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The relay answered 250 to the whole mail and is responsible for it.
    Accepted {
        /// The relay's words.
        reply: Reply,
    },
    /// The relay said 5xx at `verb`; it has not taken the mail.
    Refused {
        /// The relay's words.
        reply: Reply,
        /// What was being said when it refused.
        verb: Verb,
    },

    /// The relay said 4xx at `verb`; it has not taken the mail.
    Later {
        /// The relay's words, where it had any.
        reply: Option<Reply>,
        /// What was being said when it deferred.
        verb: Verb,
    },
    /// The connection failed before the relay could become responsible.
    Unreachable {
        /// What was being said when it failed.
        verb: Verb,
        /// How it failed.
        why: Trouble,
    },
    /// `before_dot` said no; the relay has not taken the mail.
    Withheld,

    /// The mail was sent whole and no reply came: the relay may or may not be
    /// responsible for it. Never sent again by itself.
    LostReply {
        /// How the reply was lost.
        why: Trouble,
    },
}

impl Outcome {
    /// The relay's words, where it had any.
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Accepted { reply } | Self::Refused { reply, .. } => Some(reply),
            Self::Later { reply, .. } => reply.as_ref(),
            Self::Unreachable { .. } | Self::Withheld | Self::LostReply { .. } => None,
        }
    }
}

/// One answer of an SMTP server. `Debug` shows its codes only: servers like to
/// repeat the recipient's address in the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three digits of RFC 5321.
    pub code: u16,
    /// The three numbers of RFC 3463, where the server gives them.
    pub enhanced: Option<Enhanced>,
    /// The words, at most 512 characters, on one line, with every control
    /// character escaped. May hold the recipient's address.
    pub text: String,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("code", &self.code)
            .field("enhanced", &self.enhanced)
            .finish_non_exhaustive()
    }
}

/// An enhanced status code (RFC 3463): class, subject, detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enhanced(pub u8, pub u16, pub u16);

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The step of the conversation at which something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Looking up the relay's name and opening the connection.
    Connect,
    /// The server's first words.
    Greeting,
    /// `EHLO`.
    Hello,
    /// `STARTTLS`.
    StartTls,
    /// The TLS handshake.
    Tls,
    /// `AUTH`.
    Auth,
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`.
    Rcpt,
    /// `DATA`, up to the 354.
    Data,
    /// The content: the final dot, or `BDAT … LAST`.
    Body,
}

impl Verb {
    /// Every step, in the order of the conversation.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Greeting,
        Self::Hello,
        Self::StartTls,
        Self::Tls,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Body,
    ];

    /// The word stored in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Hello => "ehlo",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Body => "body",
        }
    }

    /// Whether the recipient had been named: before that, a refusal is about
    /// us and the relay, never about the mail.
    pub const fn concerns_the_mail(self) -> bool {
        matches!(self, Self::Mail | Self::Rcpt | Self::Data | Self::Body)
    }
}

/// How a conversation broke off without a reply that settles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The name does not resolve, or no address accepts a connection.
    #[error("the relay cannot be reached")]
    NoConnection,
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The server took longer than RFC 5321 grants it.
    #[error("the server took too long")]
    TimedOut,
    /// A line or a reply of the server is longer than we read.
    #[error("the server's reply is too long")]
    ReplyTooLong,
    /// The server's words are not an SMTP reply.
    #[error("the server does not speak SMTP")]
    NotSmtp,
    /// The server said more than it was asked, or something out of turn.
    #[error("the server spoke out of turn")]
    OutOfTurn,
    /// TLS is required and the server does not offer STARTTLS.
    #[error("the server offers no STARTTLS")]
    NoStartTls,
    /// The handshake failed, or the certificate is not the relay's.
    #[error("the TLS handshake failed")]
    TlsFailed,
    /// A password is configured and the server offers neither PLAIN nor LOGIN.
    #[error("the server offers no usable AUTH")]
    NoAuth,
}

impl Trouble {
    /// The word stored in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoConnection => "no_connection",
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::TimedOut => "timed_out",
            Self::ReplyTooLong => "reply_too_long",
            Self::NotSmtp => "not_smtp",
            Self::OutOfTurn => "out_of_turn",
            Self::NoStartTls => "no_starttls",
            Self::TlsFailed => "tls_failed",
            Self::NoAuth => "no_auth",
        }
    }
}

//! What goes wrong with a broker, in words that say what to do.

use std::{io, time::Duration};

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
};

use super::BrokerSettings;

/// Something went wrong with the broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection came about.
    #[error("cannot reach the broker at {address}: is it running, and is the port open?")]
    Unreachable {
        /// Where we tried.
        address: String,
        /// Why not.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The host name means nothing.
    #[error("cannot find the broker's host {host}: check `host` and the name service")]
    UnknownHost {
        /// The name.
        host: String,
        /// The resolver's answer.
        #[source]
        source: io::Error,
    },
    /// The broker's certificate was not accepted, or it speaks no TLS.
    #[error(
        "no TLS with the broker at {address}: its certificate must be signed by the configured \
         certificates and carry this host name"
    )]
    Tls {
        /// Where we tried.
        address: String,
        /// Why not.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The configured certificates are no certificates.
    #[error("the configured certificates for the broker cannot be read: give them as PEM")]
    BadCertificates,
    /// Wrong account, wrong password, or no access to the virtual host.
    #[error(
        "the broker refuses user `{user}` on virtual host `{vhost}`: check the password, that the \
         virtual host exists, and that the user has permissions on it"
    )]
    Auth {
        /// The account.
        user: String,
        /// The virtual host.
        vhost: String,
        /// The broker's words.
        #[source]
        source: Box<lapin::Error>,
    },
    /// A part of the topology is missing.
    #[error("{what} does not exist on the broker: create it, or set `declare = \"create\"`")]
    Missing {
        /// Which part.
        what: String,
        /// The broker's words.
        #[source]
        source: Box<lapin::Error>,
    },
    /// A part of the topology exists with other properties.
    #[error(
        "{what} exists with other properties: delete it, or set `declare = \"passive\"` to use it \
         as it is"
    )]
    Mismatch {
        /// Which part.
        what: String,
        /// The broker's words.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The account lacks a permission.
    #[error("the broker does not permit this user to use {what}: give it the permission")]
    NoPermission {
        /// On what.
        what: String,
        /// The broker's words.
        #[source]
        source: Box<lapin::Error>,
    },
    /// A name the protocol cannot carry.
    #[error("the {what} must be 1 to 255 bytes long")]
    BadName {
        /// Which name.
        what: &'static str,
    },
    /// The broker refuses a message for what it says about itself.
    #[error("the broker refuses a message: its user id must be the account that publishes it")]
    Refused {
        /// The broker's words.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The session ended.
    #[error("the connection to the broker was lost while {during}")]
    Lost {
        /// What we were doing.
        during: &'static str,
        /// Why.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The broker ended our subscription, usually because the queue is gone.
    #[error("the broker ended the subscription to {queue}: was the queue deleted?")]
    Cancelled {
        /// Whose subscription.
        queue: String,
    },
    /// No answer in time.
    #[error("the broker did not answer within {} s while {during}", after.as_secs())]
    Timeout {
        /// What we were doing.
        during: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// The broker takes no messages: it is short of memory or disk.
    #[error("the broker takes no messages for now: it is short of memory or disk space")]
    Blocked {
        /// How long we waited.
        after: Duration,
    },
    /// A message of another session; that one is delivered again by itself.
    #[error("a message can be acknowledged only in the session that delivered it")]
    Stale,
}

impl BrokerError {
    /// Whether trying again can help only after a person has changed
    /// something. Such errors are retried all the same, at the longest pause.
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::Tls { .. }
            | Self::BadCertificates
            | Self::Auth { .. }
            | Self::Missing { .. }
            | Self::Mismatch { .. }
            | Self::NoPermission { .. }
            | Self::BadName { .. }
            | Self::Refused { .. } => true,
            Self::Unreachable { .. }
            | Self::UnknownHost { .. }
            | Self::Lost { .. }
            | Self::Cancelled { .. }
            | Self::Timeout { .. }
            | Self::Blocked { .. }
            | Self::Stale => false,
        }
    }

    /// The session ended in the middle of something.
    pub(super) fn lost(during: &'static str) -> impl FnOnce(lapin::Error) -> Self {
        move |source| Self::Lost { during, source: Box::new(source) }
    }

    /// A connection could not be opened.
    pub(super) fn opening(source: lapin::Error, settings: &BrokerSettings) -> Self {
        let address = settings.address();
        let trouble = trouble(&source);
        let source = Box::new(source);
        match trouble {
            Trouble::Tls => Self::Tls { address, source },
            Trouble::Permission | Trouble::NotAllowed => {
                Self::Auth { user: settings.user.clone(), vhost: settings.vhost.clone(), source }
            }
            // Spoken in clear to a TLS port, or the other way round, a broker
            // just hangs up.
            Trouble::NotFound | Trouble::Precondition | Trouble::Other => {
                Self::Unreachable { address, source }
            }
        }
    }

    /// A part of the topology could not be declared or found.
    pub(super) fn declaring(source: lapin::Error, what: &str) -> Self {
        let what = what.to_owned();
        let trouble = trouble(&source);
        let source = Box::new(source);
        match trouble {
            Trouble::NotFound => Self::Missing { what, source },
            Trouble::Precondition => Self::Mismatch { what, source },
            Trouble::Permission | Trouble::NotAllowed => Self::NoPermission { what, source },
            Trouble::Tls | Trouble::Other => {
                Self::Lost { during: "looking at the topology", source }
            }
        }
    }

    /// A batch could not be published.
    pub(super) fn publishing(source: lapin::Error) -> Self {
        let trouble = trouble(&source);
        let source = Box::new(source);
        match trouble {
            Trouble::NotFound => Self::Missing { what: "an exchange".to_owned(), source },
            Trouble::Precondition => Self::Refused { source },
            Trouble::Permission | Trouble::NotAllowed => {
                Self::NoPermission { what: "an exchange".to_owned(), source }
            }
            Trouble::Tls | Trouble::Other => Self::Lost { during: "publishing", source },
        }
    }
}

/// The few kinds of trouble we tell apart.
#[derive(Clone, Copy)]
enum Trouble {
    Tls,
    NotFound,
    Precondition,
    Permission,
    NotAllowed,
    Other,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's list of errors is open")]
fn trouble(error: &lapin::Error) -> Trouble {
    match error.kind() {
        ErrorKind::IOError(cause) => {
            if let Some(inner) = cause.get_ref()
                && inner.is::<rustls::Error>()
            {
                return Trouble::Tls;
            }
            Trouble::Other
        }
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => Trouble::NotFound,
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => Trouble::Precondition,
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Trouble::Permission,
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Trouble::NotAllowed,
            _ => Trouble::Other,
        },
        _ => Trouble::Other,
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn within<T>(
    after: Duration,
    during: &'static str,
    answer: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(after, answer).await {
        Ok(result) => result,
        Err(_elapsed) => Err(BrokerError::Timeout { during, after }),
    }
}

//! The relay that mails are handed to, and how far it is trusted.
//!
//! TLS is required unless the settings say otherwise in so many words. There is
//! no "opportunistic" mode: a stranger who strips STARTTLS from the server's
//! answer would turn it off. A password never travels in clear, except to the
//! own machine.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use secrecy::SecretString;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// STARTTLS, and no mail without it (usually port 587 or 25).
    #[default]
    Required,
    /// TLS from the first byte (usually port 465).
    Implicit,
    /// Clear text: for a relay on the own machine, and for the demo.
    None,
}

/// How long each step may take. The defaults are those of RFC 5321 §4.5.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Looking up the name and opening the connection.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// The first 220.
    pub greeting: Duration,
    /// EHLO, STARTTLS, AUTH, MAIL and RCPT, each.
    pub command: Duration,
    /// From DATA to the 354.
    pub data: Duration,
    /// Writing one batch of bytes.
    pub write: Duration,
    /// From the final dot to its reply. Too short a time makes duplicates.
    pub body: Duration,
    /// RSET and QUIT, whose replies change nothing.
    pub goodbye: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            tls: Duration::from_secs(30),
            greeting: Duration::from_mins(5),
            command: Duration::from_mins(5),
            data: Duration::from_mins(2),
            write: Duration::from_mins(3),
            body: Duration::from_mins(10),
            goodbye: Duration::from_secs(5),
        }
    }
}

/// A user name and a password. `Debug` is mute.
#[derive(Clone)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// What the operator says about a relay.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Its host name or address; the certificate must be made out to it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: TlsMode,
    /// Certificates (PEM) that are trusted besides the public ones.
    pub extra_roots_pem: Option<String>,
    /// Who we are to the relay, if it wants to know.
    pub login: Option<Login>,
    /// Our name in EHLO: a host name, or an address in brackets.
    pub hello_name: String,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// A connection that was idle for longer is closed, not used.
    pub idle_max: Duration,
    /// A connection is closed after so many mails.
    pub mails_per_connection: u32,
}

impl RelaySettings {
    /// Settings for `host` with every other value at its safe default.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: TlsMode::default(),
            extra_roots_pem: None,
            login: None,
            hello_name: "localhost".to_owned(),
            timeouts: Timeouts::default(),
            idle_max: Duration::from_mins(1),
            mails_per_connection: 1_000,
        }
    }
}

/// Why settings do not make a relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayFault {
    /// The host is neither a name nor an address.
    #[error("the relay's host is neither a name nor an address")]
    BadHost,
    /// The name for EHLO holds more than letters, digits, dots and the like.
    #[error("the name for EHLO is malformed")]
    BadHelloName,
    /// A password was given for a clear-text connection to another machine.
    #[error("a password would travel in clear; use TLS")]
    PasswordInClear,
    /// The extra certificates cannot be read.
    #[error("the extra root certificates cannot be read")]
    BadRoots,
    /// The TLS library refuses its settings.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// A connection must carry at least one mail.
    #[error("a connection must carry at least one mail")]
    NoMails,
}

/// A relay, ready to be connected to; cheap to share.
pub struct Relay {
    pub(super) settings: RelaySettings,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Relay {
    /// Checks settings and prepares TLS.
    pub fn new(settings: RelaySettings) -> Result<Self, RelayFault> {
        let name = ServerName::try_from(settings.host.clone()).map_err(|_| RelayFault::BadHost)?;
        let hello = settings.hello_name.as_str();
        let speakable =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        if hello.is_empty() || hello.len() > 255 || !hello.bytes().all(speakable) {
            return Err(RelayFault::BadHelloName);
        }
        if settings.mails_per_connection == 0 {
            return Err(RelayFault::NoMails);
        }
        let tls = match settings.tls {
            TlsMode::Required | TlsMode::Implicit => {
                Some((client_config(settings.extra_roots_pem.as_deref())?, name))
            }
            TlsMode::None if settings.login.is_some() && !is_own_machine(&settings.host) => {
                return Err(RelayFault::PasswordInClear);
            }
            TlsMode::None => None,
        };
        Ok(Self { settings, tls })
    }
}

fn is_own_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn client_config(extra_roots_pem: Option<&str>) -> Result<Arc<ClientConfig>, RelayFault> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(pem) = extra_roots_pem {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| RelayFault::BadRoots)?;
            roots.add(certificate).map_err(|_| RelayFault::BadRoots)?;
        }
        if roots.len() == before {
            return Err(RelayFault::BadRoots);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(RelayFault::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RelaySettings {
        RelaySettings::new("mx.example.jp", 587)
    }

    #[test]
    fn the_defaults_are_safe() {
        let relay = Relay::new(settings()).unwrap();
        assert_eq!(relay.settings.tls, TlsMode::Required);
        assert!(relay.tls.is_some(), "TLS is prepared");
        assert_eq!(relay.settings.timeouts.body, Duration::from_mins(10), "RFC 5321 §4.5.3.2.6");
    }

    #[test]
    fn a_password_does_not_travel_in_clear() {
        let login = Some(Login { user: "u".into(), password: "p".to_owned().into() });
        let clear = RelaySettings { tls: TlsMode::None, login, ..settings() };
        assert!(matches!(Relay::new(clear.clone()), Err(RelayFault::PasswordInClear)), "refused");
        let near = RelaySettings { host: "127.0.0.1".into(), ..clear };
        let shown = format!("{:?}", Relay::new(near).unwrap());
        assert!(!shown.contains("\"p\""), "and it is not shown: {shown}");
    }

    #[test]
    fn malformed_settings_are_refused() {
        let bad_host = RelaySettings { host: "a b".into(), ..settings() };
        assert!(matches!(Relay::new(bad_host), Err(RelayFault::BadHost)), "host");
        let bad_hello = RelaySettings { hello_name: "a\r\nMAIL".into(), ..settings() };
        assert!(matches!(Relay::new(bad_hello), Err(RelayFault::BadHelloName)), "hello");
        let bad_roots = RelaySettings { extra_roots_pem: Some("nothing".into()), ..settings() };
        assert!(matches!(Relay::new(bad_roots), Err(RelayFault::BadRoots)), "roots");
        let no_mails = RelaySettings { mails_per_connection: 0, ..settings() };
        assert!(matches!(Relay::new(no_mails), Err(RelayFault::NoMails)), "mails");
    }
}

//! The way to an open conversation: connection, greeting, TLS, login.

use std::time::Instant;

use lettre::transport::smtp::{
    authentication::Credentials,
    commands::{Auth, Ehlo, Starttls},
    extension::ClientId,
    response::Response,
};
use secrecy::ExposeSecret;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::{Session, Setback, expect_success};
use crate::dispatch::email::{
    Relay, Trouble, Verb,
    offer::Offer,
    relay::{Login, TlsMode},
    wire::{Duplex, Wire},
};

impl Session {
    /// Connects, greets, starts TLS and logs in, as the relay's settings say.
    pub(in crate::dispatch::email) async fn open(relay: &Relay) -> Result<Self, Setback> {
        let times = relay.settings.timeouts;
        let tcp = connect(relay).await.map_err(|why| Setback::Failed(Verb::Connect, why))?;
        let stream: Box<dyn Duplex> = match relay.settings.tls {
            TlsMode::Implicit => handshake(relay, Box::new(tcp)).await?,
            TlsMode::Required | TlsMode::None => Box::new(tcp),
        };
        let mut session = Self {
            wire: Wire::new(stream),
            offer: Offer::default(),
            times,
            in_step: true,
            mails: 0,
            last_used: Instant::now(),
        };
        let greeting = session.wire.reply(times.greeting).await;
        expect_success(Verb::Greeting, greeting)?;
        session.hello(relay).await?;
        if relay.settings.tls == TlsMode::Required {
            session = session.start_tls(relay).await?;
            // What was offered in clear could be anybody's words.
            session.hello(relay).await?;
        }
        if let Some(login) = &relay.settings.login {
            session.log_in(login).await?;
        }
        Ok(session)
    }

    async fn hello(&mut self, relay: &Relay) -> Result<(), Setback> {
        let name = ClientId::Domain(relay.settings.hello_name.clone());
        let reply = self.ask(Verb::Hello, &Ehlo::new(name).to_string()).await?;
        let reply = expect_success(Verb::Hello, Ok(reply))?;
        self.offer = Offer::parse(&reply.text);
        Ok(())
    }

    async fn start_tls(mut self, relay: &Relay) -> Result<Self, Setback> {
        if !self.offer.starttls {
            return Err(Setback::Failed(Verb::StartTls, Trouble::NoStartTls));
        }
        let reply = self.ask(Verb::StartTls, &Starttls.to_string()).await;
        expect_success(Verb::StartTls, Ok(reply?))?;
        let Self { wire, times, mails, last_used, .. } = self;
        let bare = wire.into_stream().map_err(|why| Setback::Failed(Verb::StartTls, why))?;
        let wire = Wire::new(handshake(relay, bare).await?);
        Ok(Self { wire, offer: Offer::default(), times, in_step: true, mails, last_used })
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Setback> {
        let cannot = || Setback::Failed(Verb::Auth, Trouble::NoAuth);
        let mechanism = self.offer.auth.ok_or_else(cannot)?;
        let credentials =
            Credentials::new(login.user.clone(), login.password.expose_secret().to_owned());
        let first = Auth::new(mechanism, credentials.clone(), None).map_err(|_| cannot())?;
        let mut reply = self.ask(Verb::Auth, &Zeroizing::new(first.to_string())).await?;
        for _ in 0..2 {
            if reply.code != 334 {
                break;
            }
            let challenge: Response =
                format!("334 {}\r\n", reply.text).parse().map_err(|_| cannot())?;
            let next = Auth::new_from_response(mechanism, credentials.clone(), &challenge)
                .map_err(|_| cannot())?;
            reply = self.ask(Verb::Auth, &Zeroizing::new(next.to_string())).await?;
        }
        expect_success(Verb::Auth, Ok(reply)).map(drop)
    }
}

async fn connect(relay: &Relay) -> Result<TcpStream, Trouble> {
    let settings = &relay.settings;
    let stream = TcpStream::connect((settings.host.as_str(), settings.port));
    match timeout(settings.timeouts.connect, stream).await {
        Ok(Ok(stream)) => {
            // With Nagle's algorithm a mail costs 40 ms of waiting.
            stream.set_nodelay(true).map_err(|_| Trouble::Broken)?;
            Ok(stream)
        }
        Ok(Err(_)) => Err(Trouble::NoConnection),
        Err(_) => Err(Trouble::TimedOut),
    }
}

async fn handshake(relay: &Relay, bare: Box<dyn Duplex>) -> Result<Box<dyn Duplex>, Setback> {
    let failed = |why| Setback::Failed(Verb::Tls, why);
    let (config, name) = relay.tls.clone().ok_or_else(|| failed(Trouble::TlsFailed))?;
    let handshake = TlsConnector::from(config).connect(name, bare);
    match timeout(relay.settings.timeouts.tls, handshake).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(_)) => Err(failed(Trouble::TlsFailed)),
        Err(_) => Err(failed(Trouble::TimedOut)),
    }
}

//! One SMTP conversation (RFC 5321), written so that nobody has to guess
//! whether a failure struck before or after the server became responsible.
//!
//! lettre gives the commands, addresses and SASL mechanisms; its transport is
//! not used, because it hides that moment and sends 22 mails a second. Here the
//! envelope goes out as one group where the server offers PIPELINING, and the
//! content in one write, by `BDAT … LAST` where it offers CHUNKING. The content
//! never travels together with the envelope: on a connection that the server
//! closed meanwhile, that would turn a harmless failure into an unknown one.
//!
//! A server that says more than it was asked is not believed: a surplus 250
//! could otherwise be taken for the answer to the next mail.

use std::time::{Duration, Instant};

use lettre::{
    Address,
    transport::smtp::{
        authentication::Credentials,
        commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Rset, Starttls},
        extension::{ClientId, MailBodyParameter, MailParameter},
        response::Response,
    },
};
use secrecy::ExposeSecret;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::{
    Enhanced, Letter, Outcome, Relay, Reply, Trouble, Verb,
    offer::Offer,
    relay::{Login, Timeouts, TlsMode},
    wire::{Duplex, Raw, Wire},
};

/// An open conversation, after EHLO, TLS and AUTH.
pub(super) struct Session {
    wire: Wire,
    offer: Offer,
    times: Timeouts,
    in_step: bool,
    mails: u32,
    last_used: Instant,
}

/// What came of one mail.
pub(super) struct Delivery {
    pub(super) outcome: Outcome,
    /// The server had left before it saw anything of this mail.
    pub(super) stale: bool,
}

/// Why a conversation went no further; all of it before the content.
pub(super) enum Setback {
    Said(Verb, Raw),
    Failed(Verb, Trouble),
    /// We know before asking that the server cannot take this mail.
    Known(Verb, Reply),
}

impl From<Setback> for Outcome {
    fn from(setback: Setback) -> Self {
        match setback {
            Setback::Said(verb, raw) if raw.is_deferral() => {
                Self::Later { reply: Some(raw.into()), verb }
            }
            Setback::Said(verb, raw) if raw.is_refusal() => {
                Self::Refused { reply: raw.into(), verb }
            }
            Setback::Said(verb, _) => Self::Unreachable { verb, why: Trouble::OutOfTurn },
            Setback::Failed(verb, why) => Self::Unreachable { verb, why },
            Setback::Known(verb, reply) => Self::Refused { reply, verb },
        }
    }
}

impl Setback {
    fn is_departure(&self) -> bool {
        match self {
            Self::Said(_, raw) => raw.is_farewell(),
            Self::Failed(_, why) => {
                matches!(why, Trouble::Closed | Trouble::Broken | Trouble::OutOfTurn)
            }
            Self::Known(..) => false,
        }
    }
}

impl Session {
    /// Connects, greets, starts TLS and logs in, as the relay's settings say.
    pub(super) async fn open(relay: &Relay) -> Result<Self, Setback> {
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

    /// Whether another mail may go over this connection.
    pub(super) fn is_usable(&self, relay: &Relay) -> bool {
        self.in_step
            && self.mails < relay.settings.mails_per_connection
            && self.last_used.elapsed() <= relay.settings.idle_max
    }

    /// Says QUIT, if the server still listens; its answer changes nothing.
    pub(super) async fn quit(mut self) {
        if self.in_step
            && self.wire.write(Quit.to_string().as_bytes(), self.times.goodbye).await.is_ok()
        {
            drop(self.wire.reply(self.times.goodbye).await);
        }
    }

    /// Offers one mail.
    pub(super) async fn deliver(
        &mut self,
        letter: &Letter,
        before_dot: &mut (dyn FnMut() -> bool + Send),
    ) -> Delivery {
        let envelope = self.envelope(letter).await;
        self.last_used = Instant::now();
        let delivery = match envelope {
            Ok(()) => Delivery { outcome: self.content(letter, before_dot).await, stale: false },
            Err(setback) => {
                let stale = setback.is_departure();
                if self.in_step && !matches!(setback, Setback::Known(..)) {
                    self.reset().await;
                }
                Delivery { outcome: setback.into(), stale }
            }
        };
        self.mails = self.mails.saturating_add(1);
        self.last_used = Instant::now();
        delivery
    }

    async fn ask(&mut self, verb: Verb, command: &str) -> Result<Raw, Setback> {
        let failed = |why| Setback::Failed(verb, why);
        self.wire.write(command.as_bytes(), self.times.write).await.map_err(failed)?;
        self.wire.reply(self.times.command).await.map_err(failed)
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

    /// Says MAIL and RCPT, and DATA where the content goes that way. On the way
    /// back nothing has been sent that could make the server responsible.
    async fn envelope(&mut self, letter: &Letter) -> Result<(), Setback> {
        let mut steps = vec![
            (Verb::Mail, self.mail_command(letter)?, self.times.command),
            (Verb::Rcpt, rcpt_command(letter)?, self.times.command),
        ];
        if !self.offer.chunking {
            steps.push((Verb::Data, Data.to_string(), self.times.data));
        }
        if self.offer.pipelining {
            let group: String = steps.iter().map(|(_, command, _)| command.as_str()).collect();
            self.send(Verb::Mail, &group).await?;
        }
        let mut refusal = None;
        for (verb, command, limit) in steps {
            if !self.offer.pipelining {
                self.send(verb, &command).await?;
            }
            let reply = match self.wire.reply(limit).await {
                Ok(reply) => reply,
                Err(why) => {
                    self.in_step = false;
                    // A refusal that was read stands, whatever broke after it.
                    return Err(refusal.unwrap_or(Setback::Failed(verb, why)));
                }
            };
            if is_go_ahead(verb, &reply) {
                // "Go ahead" to DATA after a refusal: the server now takes our
                // next command for content. Nothing to do but hang up.
                self.in_step &= !(verb == Verb::Data && refusal.is_some());
                continue;
            }
            let sane = reply.is_deferral() || reply.is_refusal();
            self.in_step &= sane && !reply.is_farewell();
            refusal = refusal.or(Some(Setback::Said(verb, reply)));
            if !self.offer.pipelining || !self.in_step {
                break;
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    async fn send(&mut self, verb: Verb, bytes: &str) -> Result<(), Setback> {
        let sent = match self.wire.expect_silence().await {
            Ok(()) => self.wire.write(bytes.as_bytes(), self.times.write).await,
            Err(why) => Err(why),
        };
        sent.map_err(|why| {
            self.in_step = false;
            Setback::Failed(verb, why)
        })
    }

    /// Sends the content. This is the only place after which an outcome can be
    /// unknown.
    async fn content(
        &mut self,
        letter: &Letter,
        before_dot: &mut (dyn FnMut() -> bool + Send),
    ) -> Outcome {
        if let Err(why) = self.wire.expect_silence().await {
            self.in_step = false;
            return Outcome::Unreachable { verb: Verb::Body, why };
        }
        let content =
            if self.offer.chunking { chunk(&letter.bytes) } else { dotted(&letter.bytes) };
        if !before_dot() {
            if self.offer.chunking {
                self.reset().await;
            } else {
                // Inside DATA there is no way to say RSET: hanging up before
                // the dot is how a mail is taken back (RFC 5321 §4.1.1.4).
                self.in_step = false;
            }
            return Outcome::Withheld;
        }
        let sent = self.wire.write(&content, self.times.write).await;
        match sent {
            Ok(()) => self.verdict().await,
            Err(why) => self.half_sent(why).await,
        }
    }

    /// Reads the answer to a mail that was sent whole.
    async fn verdict(&mut self) -> Outcome {
        let verb = Verb::Body;
        match self.wire.reply(self.times.body).await {
            Ok(raw) => {
                self.in_step &= !raw.is_farewell();
                if raw.is_success() {
                    Outcome::Accepted { reply: raw.into() }
                } else if raw.is_deferral() {
                    Outcome::Later { reply: Some(raw.into()), verb }
                } else if raw.is_refusal() {
                    Outcome::Refused { reply: raw.into(), verb }
                } else {
                    self.in_step = false;
                    Outcome::LostReply { why: Trouble::OutOfTurn }
                }
            }
            Err(why) => {
                self.in_step = false;
                Outcome::LostReply { why }
            }
        }
    }

    /// The last bytes never left this machine, so the server has no whole mail;
    /// perhaps it said why it hung up.
    async fn half_sent(&mut self, why: Trouble) -> Outcome {
        let verb = Verb::Body;
        self.in_step = false;
        match self.wire.reply(self.times.goodbye.min(Duration::from_secs(1))).await {
            Ok(raw) if raw.is_success() => Outcome::LostReply { why: Trouble::OutOfTurn },
            Ok(raw) => Setback::Said(verb, raw).into(),
            Err(_) => Outcome::Unreachable { verb, why },
        }
    }

    async fn reset(&mut self) {
        let sent = self.wire.write(Rset.to_string().as_bytes(), self.times.goodbye).await;
        let heard = match sent {
            Ok(()) => self.wire.reply(self.times.goodbye).await,
            Err(why) => Err(why),
        };
        self.in_step = heard.is_ok_and(|raw| raw.is_success());
    }

    fn mail_command(&self, letter: &Letter) -> Result<String, Setback> {
        let size = letter.bytes.len();
        let mut parameters = Vec::new();
        if let Some(limit) = self.offer.size {
            if limit > 0 && u64::try_from(size).is_ok_and(|size| size > limit) {
                return Err(known(Verb::Mail, 552, Enhanced(5, 3, 4), "mail_too_big"));
            }
            parameters.push(MailParameter::Size(size));
        }
        let ascii_envelope = letter.envelope_to.is_ascii() && letter.envelope_from.is_ascii();
        if !ascii_envelope || !letter.bytes.is_ascii() {
            if !self.offer.smtputf8 || !self.offer.eight_bit_mime {
                let code = Enhanced(5, 6, 7);
                return Err(known(Verb::Mail, 553, code, "address_requires_smtputf8"));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if self.offer.dsn {
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
}

fn rcpt_command(letter: &Letter) -> Result<String, Setback> {
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

fn is_go_ahead(verb: Verb, reply: &Raw) -> bool {
    if verb == Verb::Data { reply.code == 354 } else { reply.is_success() }
}

fn expect_success(verb: Verb, reply: Result<Raw, Trouble>) -> Result<Raw, Setback> {
    match reply {
        Ok(reply) if reply.is_success() => Ok(reply),
        Ok(reply) => Err(Setback::Said(verb, reply)),
        Err(why) => Err(Setback::Failed(verb, why)),
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

/// `BDAT … LAST` and the content, in one piece.
fn chunk(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let command = format!("BDAT {} LAST\r\n", bytes.len());
    let mut content = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_add(command.len())));
    content.extend_from_slice(command.as_bytes());
    content.extend_from_slice(bytes);
    content
}

/// The content with its dots doubled (RFC 5321 §4.5.2) and the final dot, in
/// one piece.
fn dotted(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
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

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

use lettre::transport::smtp::commands::{Data, Quit, Rset};

use self::commands::{chunk, dotted, mail_command, rcpt_command};
use super::{
    Letter, Outcome, Relay, Reply, Trouble, Verb,
    offer::Offer,
    relay::Timeouts,
    wire::{Raw, Wire},
};

mod commands;
mod opening;

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
    /// Whether another mail may go over this connection.
    pub(super) fn is_usable(&self, relay: &Relay) -> bool {
        self.in_step
            && self.mails < relay.settings.mails_per_connection
            && self.last_used.elapsed() <= relay.settings.idle_max
    }

    /// Whether both sides still agree on whose turn it is.
    pub(super) fn is_in_step(&self) -> bool {
        self.in_step
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
        self.wire.expect_silence().await.map_err(failed)?;
        self.wire.write(command.as_bytes(), self.times.write).await.map_err(failed)?;
        self.wire.reply(self.times.command).await.map_err(failed)
    }

    /// Says MAIL and RCPT, and DATA where the content goes that way. On the way
    /// back nothing has been sent that could make the server responsible.
    async fn envelope(&mut self, letter: &Letter) -> Result<(), Setback> {
        let mut steps = vec![
            (Verb::Mail, mail_command(letter, &self.offer)?, self.times.command),
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

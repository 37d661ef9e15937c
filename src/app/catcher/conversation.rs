//! One conversation of the mail catcher with a client (RFC 5321, server side).

use std::{io, sync::Arc, time::Duration};

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::{
    Catcher,
    input::{Content, Duplex, Input},
    script::Act,
};
use crate::dispatch::email::Verb;

/// RFC 5321 §4.5.3.1.8 asks for at least a hundred.
const RECIPIENTS_MAX: usize = 100;

/// Serves one client to its end.
pub(super) async fn hold(catcher: Catcher, stream: TcpStream) {
    catcher.count_connection();
    let seats = Arc::clone(&catcher.0.seats);
    let mut input = Input::new(Box::new(stream), catcher.0.settings.idle_max);
    let Ok(_seat) = seats.try_acquire() else {
        input.say("421 4.3.2 too many connections");
        // The client may be gone already; there is nobody else to tell.
        drop(input.flush().await);
        return;
    };
    // A client that hangs up in the middle is an ordinary event here.
    drop(serve(catcher, input).await);
}

async fn serve(catcher: Catcher, input: Input) -> io::Result<()> {
    let implicit = catcher.0.settings.implicit_tls;
    let mut talk = Talk {
        input,
        catcher,
        encrypted: false,
        known: false,
        from: None,
        to: Vec::new(),
        chunks: Zeroizing::new(Vec::new()),
        open: true,
    };
    if implicit {
        talk = talk.encrypt().await?;
    }
    talk.answer(Verb::Greeting, "220 catcher.invalid ESMTP kakitome mail catcher").await?;
    while talk.open {
        let Some(line) = talk.input.command().await? else {
            talk.input.say("500 5.5.2 line too long");
            continue;
        };
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let word = word.to_ascii_uppercase();
        if word == "STARTTLS" {
            talk.catcher.hear("STARTTLS");
            talk = talk.start_tls().await?;
        } else {
            talk.obey(&word, rest.trim()).await?;
        }
    }
    talk.input.flush().await
}

struct Talk {
    input: Input,
    catcher: Catcher,
    encrypted: bool,
    known: bool,
    from: Option<String>,
    to: Vec<String>,
    chunks: Zeroizing<Vec<u8>>,
    open: bool,
}

impl Talk {
    async fn obey(&mut self, word: &str, rest: &str) -> io::Result<()> {
        let locked = self.catcher.0.settings.login.is_some() && !self.known;
        match word {
            "EHLO" => {
                self.catcher.hear("EHLO");
                self.forget();
                let offers = self.offers();
                self.answer(Verb::Hello, &offers).await.map(drop)
            }
            "HELO" => {
                self.catcher.hear("HELO");
                self.forget();
                self.answer(Verb::Hello, "250 catcher.invalid").await.map(drop)
            }
            "AUTH" => {
                self.catcher.hear("AUTH");
                self.auth(rest).await
            }
            "MAIL" | "RCPT" | "DATA" | "BDAT" if locked => {
                self.input.say("530 5.7.0 authentication required");
                Ok(())
            }
            "MAIL" => self.mail(rest).await,
            "RCPT" => self.rcpt(rest).await,
            "DATA" => self.data().await,
            "BDAT" => self.bdat(rest).await,
            "RSET" => {
                self.catcher.hear("RSET");
                self.forget();
                self.input.say("250 2.0.0 forgotten");
                Ok(())
            }
            "NOOP" => {
                self.catcher.hear("NOOP");
                self.input.say("250 2.0.0 nothing done");
                Ok(())
            }
            "VRFY" => {
                self.input.say("252 2.1.5 try it");
                Ok(())
            }
            "QUIT" => {
                self.catcher.hear("QUIT");
                self.input.say("221 2.0.0 bye");
                self.open = false;
                Ok(())
            }
            _ => {
                self.input.say("500 5.5.1 unknown command");
                Ok(())
            }
        }
    }

    fn offers(&self) -> String {
        let settings = &self.catcher.0.settings;
        let mut offers = vec!["8BITMIME".to_owned(), "ENHANCEDSTATUSCODES".to_owned()];
        offers.push(format!("SIZE {}", settings.mail_bytes_max));
        for (offered, word) in [
            (settings.pipelining, "PIPELINING"),
            (settings.chunking, "CHUNKING"),
            (settings.smtputf8, "SMTPUTF8"),
            (settings.dsn, "DSN"),
            (settings.tls.is_some() && !settings.strip_starttls && !self.encrypted, "STARTTLS"),
        ] {
            if offered {
                offers.push(word.to_owned());
            }
        }
        if let Some(login) = &settings.login {
            offers.push(format!("AUTH {}", login.mechanisms));
        }
        format!("250-catcher.invalid\r\n250-{}\r\n250 HELP", offers.join("\r\n250-"))
    }

    async fn mail(&mut self, rest: &str) -> io::Result<()> {
        self.catcher.hear("MAIL");
        let Some((path, parameters)) = path(rest, "FROM:") else {
            self.input.say("501 5.5.4 MAIL FROM:<address>");
            return Ok(());
        };
        if self.from.is_some() {
            self.input.say("503 5.5.1 one mail at a time");
            return Ok(());
        }
        let size = parameters.to_ascii_uppercase();
        let size = size.split(' ').find_map(|p| p.strip_prefix("SIZE=")?.parse::<usize>().ok());
        if size.is_some_and(|size| size > self.catcher.0.settings.mail_bytes_max) {
            self.input.say("552 5.3.4 too large");
            return Ok(());
        }
        let path = path.to_owned();
        if self.answer(Verb::Mail, "250 2.1.0 ok").await? {
            self.from = Some(path);
        }
        Ok(())
    }

    async fn rcpt(&mut self, rest: &str) -> io::Result<()> {
        self.catcher.hear("RCPT");
        let refusal = match path(rest, "TO:") {
            None => Some("501 5.5.4 RCPT TO:<address>"),
            Some(("", _)) => Some("501 5.1.3 an empty address"),
            Some(_) if self.from.is_none() => Some("503 5.5.1 MAIL first"),
            Some(_) if self.to.len() >= RECIPIENTS_MAX => Some("452 4.5.3 too many recipients"),
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            self.input.say(refusal);
            return Ok(());
        }
        let address = path(rest, "TO:").map(|(address, _)| address.to_owned()).unwrap_or_default();
        self.to.push(address);
        if !self.answer(Verb::Rcpt, "250 2.1.5 ok").await? {
            self.to.pop();
        }
        Ok(())
    }

    async fn data(&mut self) -> io::Result<()> {
        self.catcher.hear("DATA");
        if self.to.is_empty() {
            self.input.say("554 5.5.1 no valid recipients");
            return Ok(());
        }
        if self.answer(Verb::Data, "354 end with a dot").await? && self.open {
            let content = self.input.dotted(self.catcher.0.settings.mail_bytes_max).await?;
            self.catcher.hear(".");
            self.finish(content).await?;
        }
        Ok(())
    }

    async fn bdat(&mut self, rest: &str) -> io::Result<()> {
        let mut words = rest.split_ascii_whitespace();
        let Some(count) = words.next().and_then(|word| word.parse::<usize>().ok()) else {
            self.input.say("501 5.5.4 BDAT count [LAST]");
            // What follows cannot be told from commands.
            self.open = false;
            return Ok(());
        };
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        self.catcher.hear("BDAT");
        let bytes_max = self.catcher.0.settings.mail_bytes_max;
        let room = bytes_max.saturating_sub(self.chunks.len());
        let content = self.input.counted(count, room).await?;
        if self.to.is_empty() {
            self.input.say("554 5.5.1 no valid recipients");
            return Ok(());
        }
        match content {
            Content::Whole(chunk) => self.chunks.extend_from_slice(&chunk),
            Content::TooLarge => return self.finish(Content::TooLarge).await,
        }
        if last {
            let chunks = std::mem::replace(&mut self.chunks, Zeroizing::new(Vec::new()));
            return self.finish(Content::Whole(chunks)).await;
        }
        self.input.say("250 2.0.0 chunk ok");
        Ok(())
    }

    /// Keeps the mail, or does what the script says.
    async fn finish(&mut self, content: Content) -> io::Result<()> {
        let Content::Whole(bytes) = content else {
            self.forget();
            self.input.say("552 5.3.4 too large");
            return Ok(());
        };
        let recipient = self.to.first().cloned();
        let act = self.catcher.0.settings.script.next(Verb::Body, recipient.as_deref());
        let kept = match &act {
            Some(Act::Say(lines)) => lines.starts_with('2'),
            Some(Act::HangUp | Act::Freeze | Act::HugeLine) => false,
            Some(Act::KeepAndHangUp | Act::DutyThenHangUp | Act::Late(_) | Act::Surplus) | None => {
                true
            }
        };
        if kept {
            let from = self.from.take().unwrap_or_default();
            self.catcher.keep(from, std::mem::take(&mut self.to), bytes);
        }
        self.forget();
        self.act(act, "250 2.0.0 caught").await.map(drop)
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
        self.chunks = Zeroizing::new(Vec::new());
    }

    async fn auth(&mut self, rest: &str) -> io::Result<()> {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let initial = initial.to_owned();
        let offered = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let reply = if initial.is_empty() { self.ask("").await? } else { initial };
                decode(&reply)
            }
            "LOGIN" => {
                let user = self.ask("Username:").await?;
                let password = self.ask("Password:").await?;
                format!("\0{}\0{}", decode(&user), decode(&password))
            }
            _ => {
                self.input.say("504 5.5.4 unknown mechanism");
                return Ok(());
            }
        };
        let right = self.catcher.0.settings.login.as_ref().is_some_and(|login| {
            offered.split_once('\0').map(|(_, rest)| rest)
                == Some(&format!("{}\0{}", login.user, login.password))
        });
        if !right {
            self.input.say("535 5.7.8 wrong user or password");
            return Ok(());
        }
        self.known = self.answer(Verb::Auth, "235 2.7.0 welcome").await?;
        Ok(())
    }

    async fn ask(&mut self, challenge: &str) -> io::Result<String> {
        let challenge = data_encoding::BASE64.encode(challenge.as_bytes());
        self.input.say(&format!("334 {challenge}"));
        Ok(self.input.command().await?.unwrap_or_default())
    }

    async fn start_tls(mut self) -> io::Result<Self> {
        if self.catcher.0.settings.tls.is_none() || self.encrypted {
            self.input.say("502 5.5.1 no TLS here");
            return Ok(self);
        }
        if self.answer(Verb::StartTls, "220 2.0.0 go ahead").await? && self.open {
            return self.encrypt().await;
        }
        Ok(self)
    }

    async fn encrypt(mut self) -> io::Result<Self> {
        let Some(config) = self.catcher.0.settings.tls.clone() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let idle_max = self.catcher.0.settings.idle_max;
        let bare = self.input.into_stream().await?;
        let stream: Box<dyn Duplex> = Box::new(TlsAcceptor::from(config).accept(bare).await?);
        self.input = Input::new(stream, idle_max);
        self.encrypted = true;
        self.from = None;
        self.to.clear();
        Ok(self)
    }

    /// Answers with `duty`, unless the script has other plans. True if the
    /// answer was a go-ahead.
    async fn answer(&mut self, verb: Verb, duty: &str) -> io::Result<bool> {
        let recipient = self.to.last().map(String::as_str);
        let act = self.catcher.0.settings.script.next(verb, recipient);
        self.act(act, duty).await
    }

    async fn act(&mut self, act: Option<Act>, duty: &str) -> io::Result<bool> {
        match act {
            None => self.input.say(duty),
            Some(Act::Say(lines)) => {
                self.input.say(&lines);
                return Ok(lines.starts_with(['2', '3']));
            }
            Some(Act::HangUp | Act::KeepAndHangUp) => {
                self.input.flush().await?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Some(Act::DutyThenHangUp) => {
                self.input.say(duty);
                self.open = false;
            }
            Some(Act::Late(time)) => {
                wait(time).await;
                self.input.say(duty);
            }
            Some(Act::Freeze) => {
                self.input.flush().await?;
                std::future::pending::<()>().await;
            }
            Some(Act::HugeLine) => {
                self.input.say(&format!("250 {}", "x".repeat(10 << 20)));
            }
            Some(Act::Surplus) => {
                self.input.say(duty);
                self.input.say("250 2.0.0 and one that nobody asked for");
            }
        }
        Ok(true)
    }
}

/// The address between angle brackets after `word`, and what follows it.
fn path<'a>(rest: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let (head, tail) = rest.split_at_checked(word.len())?;
    let tail = tail.trim_start().strip_prefix('<')?;
    head.eq_ignore_ascii_case(word).then_some(())?;
    // A quoted local part may hold a `>`.
    let mut quoted = false;
    let end = tail.find(|c| {
        quoted ^= c == '"';
        c == '>' && !quoted
    })?;
    let (address, parameters) = tail.split_at_checked(end)?;
    Some((address, parameters.trim_start_matches('>').trim()))
}

fn decode(base64: &str) -> String {
    let bytes = data_encoding::BASE64.decode(base64.trim().as_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "a scripted delay; this room is part of app")]
async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

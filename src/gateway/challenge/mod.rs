//! The question after the button, where the sender asked for a second factor:
//! the code that was mailed, or the passcode.
//!
//! The page's address holds a signed ticket that names the link and ends after
//! half an hour; only a press on the link's page makes one. Looking at it
//! changes nothing. An answer is counted by one conditional statement, which
//! has committed with its log event before anything is compared; a right one
//! opens, and its try is taken back. After twenty wrong ones the link locks:
//! it is revoked, the log says so, and the sender is told.
//!
//! It refuses an answer that is no code at all without counting it: a finger
//! that slipped is not an attack.

use std::sync::Arc;

use axum::{
    extract::{Form, FromRequest as _, Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    Inner,
    labels::Labels,
    opening::{Proof, Wish, see},
    pages::Notice,
    record::Fault,
    session::{Parsed, Purpose, Session},
    visitor::Visitor,
    words::{named, negotiate},
};
use crate::{
    crypto::{Key, Lookup, factor},
    domain::{
        event::EventKind,
        factor::{Passcode, SecondFactor, code_typed},
        locale::Locale,
        log::Kind,
        personal::Personal,
        reason::Reason,
    },
    store::{
        dossier::{self, DossierError},
        factors, ledger,
        links::{self, Found},
        outbox::News,
    },
};

mod show;

use show::{Asked, Problem};

/// The answer to the question, or the wish for another code.
#[derive(Deserialize)]
struct AnswerForm {
    ticket: String,
    answer: Option<String>,
    lang: Option<String>,
}

/// A request that holds a ticket of ours for a link that is alive.
struct Asker {
    text: String,
    link: Lookup,
    found: Found,
    personal: Personal,
    factor: SecondFactor,
    visitor: Visitor,
    labels: Labels,
    now: DateTime<Utc>,
}

impl Asker {
    fn wish(&self) -> Wish<'_> {
        Wish {
            link: &self.link,
            found: &self.found,
            personal: &self.personal,
            visitor: &self.visitor,
            labels: self.labels,
            now: self.now,
        }
    }
}

/// `GET /c/{ticket}`.
pub(super) async fn page(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let visitor = Visitor::of(&request, &gateway.proxies);
    let (head, _) = request.into_parts();
    let text = head.uri.path().strip_prefix("/c/").unwrap_or_default();
    let language = |otherwise| negotiate(&head.uri, &head.headers, otherwise);
    let labels = |sent, now| Labels::of(&head.method, &head.headers, sent, now);
    let asker = match gateway.asker(text, visitor, labels, language(Locale::Ja)).await {
        Ok(asker) => asker,
        Err(answer) => return *answer,
    };
    gateway.question(&asker, None, language(asker.personal.locale)).await
}

/// `POST /c`.
pub(super) async fn answer(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let (asker, form, locale) = match gateway.asked(request).await {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    let typed = form.answer.unwrap_or_default();
    match gateway.judge(&asker, &typed, &headers, locale).await {
        Ok(response) => response,
        Err(Fault::Dossier(DossierError::Destroyed)) => gateway.pages.notice(Notice::Gone, locale),
        Err(fault) => gateway.answer(&fault, Some(asker.found.link.job), locale),
    }
}

/// `POST /c/new`: another code.
pub(super) async fn another(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let (asker, _, locale) = match gateway.asked(request).await {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    if asker.factor == SecondFactor::EmailCode
        && let Err(fault) = gateway.draw_code(&asker.wish()).await
    {
        return gateway.answer(&fault, Some(asker.found.link.job), locale);
    }
    // What the page says of the codes is read from the books.
    see(&format!("/c/{}?lang={}", asker.text, locale.tag()))
}

impl Inner {
    /// Sends the person who pressed the button on to the question.
    pub(super) async fn challenge(
        &self,
        wish: &Wish<'_>,
        factor: &SecondFactor,
        locale: Locale,
    ) -> Result<Response, Fault> {
        if *factor == SecondFactor::EmailCode {
            self.code_on_press(wish).await?;
        }
        let key = self.parts.keys.page_key().await?;
        let ticket = Session::ask(*wish.link, wish.now, wish.found.link.expires_at);
        let text = ticket.text(Purpose::Challenge, &key);
        Ok(see(&format!("/c/{text}?lang={}", locale.tag())))
    }

    /// Reads a form of the question's page.
    async fn asked(&self, request: Request) -> Result<(Asker, AnswerForm, Locale), Box<Response>> {
        let wished = negotiate(request.uri(), request.headers(), Locale::Ja);
        let say = |notice| Err(Box::new(self.pages.notice(notice, wished)));
        let visitor = Visitor::of(&request, &self.proxies);
        if !self.site.sent_it(request.headers()) {
            return say(Notice::Refused);
        }
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let Ok(Form(form)) = Form::<AnswerForm>::from_request(request, &()).await else {
            return say(Notice::Wrong);
        };
        let locale = form.lang.as_deref().and_then(named).unwrap_or(wished);
        let labels = |sent, now| Labels::of(&method, &headers, sent, now);
        let asker = self.asker(&form.ticket, visitor, labels, locale).await?;
        Ok((asker, form, locale))
    }

    /// The delivery behind a ticket, if it may still be asked for; otherwise
    /// the answer.
    async fn asker(
        &self,
        text: &str,
        visitor: Visitor,
        labels: impl Fn(Option<DateTime<Utc>>, DateTime<Utc>) -> Labels,
        locale: Locale,
    ) -> Result<Asker, Box<Response>> {
        let now = self.parts.clock.now();
        let say = |notice| Box::new(self.pages.notice(notice, locale));
        let trouble = |fault: Fault, job| Box::new(self.answer(&fault, job, locale));
        let key = match self.parts.keys.page_key().await {
            Ok(key) => key,
            Err(error) => return Err(trouble(error.into(), None)),
        };
        let session = match Session::parse(text, Purpose::Challenge, &key, now) {
            Parsed::Live(session) => session,
            Parsed::Over => return Err(say(Notice::Over)),
            Parsed::Foreign => return Err(say(Notice::Missing)),
        };
        let found = match self.find(&session.link).await {
            Ok(Some(found)) if found.link.is_alive(now) => found,
            Ok(_) => return Err(say(Notice::Gone)),
            Err(fault) => return Err(trouble(fault, None)),
        };
        let personal = match dossier::personal(&self.parts.keys, &found.job).await {
            Ok(personal) => personal,
            Err(DossierError::Destroyed) => return Err(say(Notice::Gone)),
            Err(error) => return Err(trouble(error.into(), Some(found.link.job))),
        };
        // Only a press on a link with a second factor makes a ticket.
        let Some(factor) = personal.second_factor.clone() else {
            return Err(say(Notice::Missing));
        };
        let labels = labels(found.job.dispatched_at, now);
        let (text, link) = (text.to_owned(), session.link);
        Ok(Asker { text, link, found, personal, factor, visitor, labels, now })
    }

    /// Counts an answer, compares it, and opens or says why not.
    async fn judge(
        &self,
        asker: &Asker,
        typed: &str,
        headers: &HeaderMap,
        locale: Locale,
    ) -> Result<Response, Fault> {
        let key = self.parts.keys.factor_key().await?;
        let proof = match &asker.factor {
            SecondFactor::EmailCode => self.judge_code(asker, typed, &key).await?,
            SecondFactor::Passcode { verifier } => {
                self.judge_passcode(asker, typed, verifier, key).await?
            }
        };
        let problem = match proof {
            Asked::Busy => return Ok(self.pages.notice(Notice::Trouble, locale)),
            Asked::Not(problem) => problem,
            Asked::Held(proof) => {
                let opened = self.let_in(&asker.wish(), proof, headers, locale).await?;
                return Ok(opened.unwrap_or_else(|| self.pages.notice(Notice::Gone, locale)));
            }
        };
        let row = self.factor_row(&asker.wish()).await?;
        if row.is_used_up() {
            self.lock(asker).await?;
            return Ok(self.pages.notice(Notice::Gone, locale));
        }
        Ok(self.question(asker, Some(problem), locale).await)
    }

    async fn judge_code(&self, asker: &Asker, typed: &str, key: &Key) -> Result<Asked, Fault> {
        let Some(code) = code_typed(typed) else { return Ok(Asked::Not(Problem::NoCode)) };
        let event = self.tried(asker).await?;
        let mut tx = self.parts.db.begin().await?;
        if !factors::try_code(&mut tx, &asker.link, asker.now).await? {
            return Ok(Asked::Not(Problem::NoneHolds));
        }
        let row = factors::find(&mut tx, &asker.link).await?;
        ledger::append(&mut tx, &[event]).await?;
        tx.commit().await?;
        let mac = factor::code_mac(key, &asker.link.print, &code);
        match row.code_mac {
            Some(right) if crate::crypto::prints::same(&right, &mac) => {
                Ok(Asked::Held(Proof::Code(mac)))
            }
            Some(_) | None => Ok(Asked::Not(Problem::Wrong)),
        }
    }

    async fn judge_passcode(
        &self,
        asker: &Asker,
        typed: &str,
        verifier: &str,
        key: Arc<Key>,
    ) -> Result<Asked, Fault> {
        let passcode = Passcode::typed(typed);
        if passcode.as_str().is_empty() {
            return Ok(Asked::Not(Problem::NoPasscode));
        }
        // Room first: who finds none has not used up a try.
        let Ok(_seat) = Arc::clone(&self.passcodes.seats).try_acquire_owned() else {
            return Ok(Asked::Busy);
        };
        let event = self.tried(asker).await?;
        let mut tx = self.parts.db.begin().await?;
        let job = asker.found.link.job;
        if !factors::try_passcode(&mut tx, &asker.link, job, asker.now).await? {
            return Ok(Asked::Not(Problem::Closed));
        }
        ledger::append(&mut tx, &[event]).await?;
        tx.commit().await?;
        let turn = Arc::clone(&self.passcodes.at_once).acquire_owned().await;
        let turn = turn.map_err(|_| Fault::Stopping)?;
        let verifier = verifier.to_owned();
        let compared = tokio::task::spawn_blocking(move || {
            let held = factor::passcode_holds(&key, job, &verifier, &passcode);
            drop(turn);
            held
        });
        let held = compared.await.map_err(|_| Fault::Stopping)??;
        Ok(if held { Asked::Held(Proof::Passcode) } else { Asked::Not(Problem::Wrong) })
    }

    async fn tried(&self, asker: &Asker) -> Result<ledger::EventRow, Fault> {
        let mut facts = vec![("factor", asker.factor.kind().word().into())];
        if let Some(words) = asker.labels.words(1) {
            facts.push(("labels", words.into()));
        }
        let link = &asker.found.link;
        let (kind, job, visitor) = (Kind::FactorTried, Some(link.job), Some(&asker.visitor));
        self.event(kind, &link.tenant, job, asker.now, facts, visitor).await
    }

    /// Locks a link that was tried too often; locked twice is locked once.
    async fn lock(&self, asker: &Asker) -> Result<(), Fault> {
        let (link, reason) = (&asker.found.link, Reason::FactorLocked);
        let (kind, about) = (Kind::FactorLocked, (&link.tenant, Some(link.job)));
        let event = self.event_because(kind, Some(reason), about, asker.now, vec![], None).await?;
        let news = self.parts.announce.announce(&News {
            kind: EventKind::Undeliverable,
            tenant: &link.tenant,
            job: Some(link.job),
            key: Some(&asker.personal.key),
            reference: asker.personal.reference.as_deref(),
            code: Some(reason.code()),
            at: asker.now,
        })?;
        let outbox: Vec<_> = news.into_iter().collect();
        let mut tx = self.parts.db.begin().await?;
        let away = reason.code();
        links::turn_away(&mut tx, link.job, asker.now, away, event, &outbox).await?;
        factors::lock(&mut tx, &asker.link, asker.now).await?;
        Ok(tx.commit().await?)
    }

    /// The page with the question.
    async fn question(&self, asker: &Asker, problem: Option<Problem>, locale: Locale) -> Response {
        let row = match self.factor_row(&asker.wish()).await {
            Ok(row) => row,
            Err(fault) => return self.answer(&fault, Some(asker.found.link.job), locale),
        };
        let day = self.day_of(&asker.wish());
        let values = show::values(self, asker, &row, day, problem, locale);
        let status = problem.map_or(StatusCode::OK, Problem::status);
        self.pages.page("challenge.html", status, locale, values)
    }
}

//! Codes of second factors go out as mails.
//!
//! The gateway leaves each code in a row, sealed; a tick claims what is due,
//! writes the mail in memory and offers it over a connection that it shares
//! with the other mails. What the relay puts off is tried again every few
//! seconds until the code is over; then the log says that it was not mailed.
//! After the final dot nothing is sent again: the person has a button for
//! another code.
//!
//! The code is never logged, and rests nowhere but in its row.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::{
    app::{
        office::Office,
        worker::{Service, Tick, TickFuture},
    },
    config::Tenant,
    crypto::{delivery::DeliveryKey, prints},
    dispatch::email::{Carrier, Fate, Letter, MailOrder, Outcome, verp},
    domain::{
        crockford::LinkNumber,
        log::{Actor, Fact, Kind},
    },
    store::{
        code_mails::{self, CodeMail},
        dossier::{self, DossierError},
        jobs::{self, JobRow},
        ledger::{self, DetailKey, EventDraft},
    },
};

/// Codes looked at by one tick.
const TAKE: i64 = 8;
/// How long a code waits that the relay put off: it has ten minutes to live.
const AGAIN: TimeDelta = TimeDelta::seconds(5);

/// One carrier for two steps: mails with links and mails with codes.
#[derive(Clone)]
pub struct SharedCarrier(Arc<Mutex<Box<dyn Carrier>>>);

impl std::fmt::Debug for SharedCarrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedCarrier(..)")
    }
}

impl SharedCarrier {
    /// Clones share the connection, one mail after the other.
    pub fn new(carrier: Box<dyn Carrier>) -> Self {
        Self(Arc::new(Mutex::new(carrier)))
    }
}

impl Carrier for SharedCarrier {
    fn carry<'a>(
        &'a mut self,
        mail: &'a Letter,
        before_dot: &'a mut (dyn FnMut() -> bool + Send),
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { self.0.lock().await.carry(mail, before_dot).await })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.0.lock().await.close().await })
    }
}

/// Mails codes.
pub struct Codes {
    office: Arc<Office>,
    carrier: SharedCarrier,
    /// Whether it carries for tenants in test mode, or for all others.
    test_mode: bool,
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codes(..)")
    }
}

/// What became of the mail with a code.
enum Mailed {
    /// The relay took it.
    Taken(i64, String),
    /// It was not taken, or nobody knows.
    No(&'static str),
    /// It is tried again soon.
    Later,
}

impl Codes {
    /// Mails the codes of tenants in test mode, or those of all others.
    pub fn new(office: Arc<Office>, carrier: SharedCarrier, test_mode: bool) -> Self {
        Self { office, carrier, test_mode }
    }

    async fn mail_some(&mut self) -> anyhow::Result<Tick> {
        let now = self.office.clock.now();
        let mut tx = self.office.db.read().await?;
        let due = code_mails::due(&mut tx, now, TAKE).await?;
        let mut mine = Vec::with_capacity(due.len());
        for mail in due {
            let row = jobs::get(&mut tx, None, mail.job).await?;
            // A delivery without a row was purged; whoever comes first ends it.
            if row.as_ref().is_none_or(|row| row.test_mode == self.test_mode) {
                mine.push((mail, row));
            }
        }
        drop(tx);
        let mut moved: usize = 0;
        for (mail, row) in mine {
            let mut tx = self.office.db.begin().await?;
            let claimed = code_mails::claim(&mut tx, &mail, now).await?;
            tx.commit().await?;
            if claimed {
                self.mail_one(&mail, row.as_ref(), now).await?;
                moved = moved.saturating_add(1);
            }
        }
        Ok(if moved == 0 { Tick::Idle } else { Tick::Worked(moved) })
    }

    async fn mail_one(
        &mut self,
        mail: &CodeMail,
        row: Option<&JobRow>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let Some(row) = row else { return self.drop_row(mail).await };
        let key = match dossier::delivery_key(&self.office.keys, row).await {
            Ok(key) => key,
            Err(DossierError::Destroyed) => return self.drop_row(mail).await,
            Err(error) => return Err(error.into()),
        };
        let mailed = if mail.until <= now {
            Mailed::No("code_over")
        } else {
            match letter(&self.office, mail, row, &key, now) {
                Ok(letter) => self.offer(&letter).await,
                Err(fault) => {
                    tracing::error!(job.id = %mail.job, "a code's mail cannot be written: {fault:#}");
                    Mailed::No("mail_failed")
                }
            }
        };
        self.settle(mail, row, &key, mailed).await
    }

    async fn offer(&mut self, letter: &Letter) -> Mailed {
        let started = std::time::Instant::now();
        let lease = &self.office.lease;
        let mut before_dot = || lease.holds();
        let outcome = self.carrier.carry(letter, &mut before_dot).await;
        self.office.metrics.smtp_result(outcome.word(), started.elapsed());
        match (outcome.fate(), outcome.reply()) {
            (Fate::Sent, reply) => {
                let code = reply.map_or(250, |reply| i64::from(reply.code));
                Mailed::Taken(code, reply.map(|reply| reply.text.clone()).unwrap_or_default())
            }
            (Fate::Retry | Fate::SoftBounce | Fate::RelayAway | Fate::NotOffered, _) => {
                tracing::warn!(job.id = %letter.job, why = outcome.word(), "a code was put off");
                Mailed::Later
            }
            (Fate::Undeliverable | Fate::Park | Fate::Refused | Fate::Ambiguous, _) => {
                Mailed::No(outcome.word())
            }
        }
    }

    async fn settle(
        &self,
        mail: &CodeMail,
        row: &JobRow,
        key: &DeliveryKey,
        mailed: Mailed,
    ) -> anyhow::Result<()> {
        let office = &self.office;
        let at = office.clock.now();
        let (kind, fact, reply) = match mailed {
            Mailed::Later => {
                let mut tx = office.db.begin().await?;
                let again = at.checked_add_signed(AGAIN).unwrap_or(at);
                code_mails::again(&mut tx, mail, again).await?;
                return Ok(tx.commit().await?);
            }
            Mailed::Taken(code, reply) => {
                (Kind::CodeMailed, ("smtp_code", Fact::Int(code)), Some(reply))
            }
            Mailed::No(why) => (Kind::CodeNotMailed, ("why", Fact::from(why)), None),
        };
        let personal_key = key.personal_key();
        let attempt = ("attempt", Fact::Int(mail.attempt.saturating_add(1)));
        let event = office.scribe.event(EventDraft {
            tenant: &row.tenant,
            job: Some(row.id),
            at,
            kind,
            actor: Actor::Relay,
            code: None,
            facts: vec![attempt, fact],
            personal: reply.into_iter().map(|reply| ("smtp_reply", reply)).collect(),
            detail_key: DetailKey::Delivery(&personal_key),
        })?;
        let mut tx = office.db.begin().await?;
        // A newer code may have taken the row; what became of this one is true
        // all the same.
        code_mails::end(&mut tx, mail).await?;
        ledger::append(&mut tx, &[event]).await?;
        Ok(tx.commit().await?)
    }

    async fn drop_row(&self, mail: &CodeMail) -> anyhow::Result<()> {
        let mut tx = self.office.db.begin().await?;
        code_mails::end(&mut tx, mail).await?;
        Ok(tx.commit().await?)
    }
}

impl Service for Codes {
    fn name(&self) -> &'static str {
        if self.test_mode { "test-codes" } else { "codes" }
    }

    fn tick(&mut self) -> TickFuture<'_> {
        Box::pin(self.mail_some())
    }

    fn pause(&self) -> Duration {
        // A person waits at the other end.
        Duration::from_millis(500)
    }
}

/// Writes the mail of a code.
fn letter(
    office: &Office,
    mail: &CodeMail,
    row: &JobRow,
    key: &DeliveryKey,
    now: DateTime<Utc>,
) -> anyhow::Result<Letter> {
    let personal = dossier::personal_under(key, row)?;
    let code = key.open_code(mail.job, &mail.sealed)?;
    let nobody = Tenant::default();
    let tenant = office.config.tenants.get(&row.tenant).unwrap_or(&nobody);
    let from = &office.config.mail.from;
    let domain = from.rsplit('@').next().unwrap_or("localhost");
    let tag = prints::verp_tag(&office.verp_key, row.id.0.as_bytes());
    let composed = office.composer.compose_code(
        &MailOrder {
            locale: personal.locale,
            from_name: &tenant.name,
            from_address: from,
            reply_to: tenant.reply_to.as_deref(),
            to_name: Some(personal.person.as_deref().unwrap_or(&personal.recipient_name)),
            to_address: personal.email.as_deref().unwrap_or_default(),
            salutation: None,
            subject: None,
            tenant_name: &tenant.name,
            title: &personal.title,
            document_number: None,
            contact: tenant.contact.as_deref(),
            // Of the link only its host is said.
            link_url: &format!("{}/d/", office.config.office.public_url),
            expires_at: mail.until.with_timezone(&tenant.zone()),
            support: LinkNumber::of(row.id),
            message_id: &format!("<{}.code@{domain}>", mail.code_id.simple()),
            date: now,
            return_path: &verp::address(row.id, tag, &office.config.mail.bounce_domain),
        },
        &code,
    )?;
    Ok(Letter {
        job: row.id,
        envelope_from: composed.envelope_from,
        envelope_to: composed.envelope_to,
        bytes: Arc::new(composed.bytes),
    })
}

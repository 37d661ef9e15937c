//! Codes of eight digits: drawn, put on record, handed over to be mailed.
//!
//! The code goes into a row of its own, sealed under the delivery's key, in
//! the transaction that lets it hold; a worker mails it to the address that is
//! on record. Only a MAC of it stays. While a code holds, a press draws no
//! other: the robots that press right after a mail has arrived cost the person
//! one code of the day's three at the most.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Inner, opening::Wish, record::Fault};
use crate::{
    crypto::factor,
    domain::{
        calendar::retention::day_number,
        log::{Fact, Kind},
    },
    store::{
        code_mails::{self, CodeMail},
        dossier,
        factors::{self, FactorRow},
        ledger,
    },
};

/// What became of a wish for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drawn {
    /// One was drawn and will be mailed.
    New,
    /// None: the last one is too young, or the day's are used up.
    No,
}

impl Inner {
    /// Has a code mailed unless one is under way that still holds.
    pub(super) async fn code_on_press(&self, wish: &Wish<'_>) -> Result<(), Fault> {
        let row = self.factor_row(wish).await?;
        if !row.code_holds(wish.now) {
            self.draw_code(wish).await?;
        }
        Ok(())
    }

    /// How the second factor of a link stands.
    pub(super) async fn factor_row(&self, wish: &Wish<'_>) -> Result<FactorRow, Fault> {
        let mut tx = self.parts.db.read().await?;
        Ok(factors::find(&mut tx, wish.link).await?)
    }

    /// The day of the tenant's calendar, since 1970.
    pub(super) fn day_of(&self, wish: &Wish<'_>) -> i64 {
        let zone = self.parts.tenants.display(&wish.found.link.tenant).zone;
        day_number(wish.now.with_timezone(&zone).date_naive())
    }

    /// Draws a code, if the link may have one now.
    pub(super) async fn draw_code(&self, wish: &Wish<'_>) -> Result<Drawn, Fault> {
        let (tenant, job) = (&wish.found.link.tenant, wish.found.link.job);
        let key = self.parts.keys.factor_key().await?;
        let delivery = dossier::delivery_key(&self.parts.keys, &wish.found.job).await?;
        let code = factor::draw_code(&self.parts.entropy)?;
        let mac = factor::code_mac(&key, &wish.link.print, &code);
        let mail = CodeMail {
            job,
            code_id: Uuid::from_bytes(self.parts.entropy.array()?),
            sealed: delivery.seal_code(job, &code, &self.parts.entropy)?,
            until: until(wish.now),
            attempt: 0,
        };
        let mut facts: Vec<(&'static str, Fact)> = Vec::new();
        if let Some(words) = wish.labels.words(1) {
            facts.push(("labels", words.into()));
        }
        let kind = Kind::CodeDrawn;
        let event =
            self.event(kind, tenant, Some(job), wish.now, facts, Some(wish.visitor)).await?;
        let day = self.day_of(wish);
        let mut tx = self.parts.db.begin().await?;
        if !factors::draw_code(&mut tx, wish.link, job, &mac, day, wish.now).await? {
            return Ok(Drawn::No);
        }
        code_mails::want(&mut tx, &mail, wish.now).await?;
        ledger::append(&mut tx, &[event]).await?;
        tx.commit().await?;
        Ok(Drawn::New)
    }
}

fn until(now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_add_signed(factors::CODE_LIFE).unwrap_or(now)
}

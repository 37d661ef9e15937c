//! What the desk writes down of a job besides the job: its events, the evidence
//! that outlives its document, the personal data of its delivery.

use chrono::{DateTime, Datelike, Utc};

use super::desk::{Desk, DeskError};
use crate::{
    crypto::{delivery::DeliveryKey, prints, wrap},
    domain::{
        amount::Amount,
        calendar::retention::day_number,
        checked::CheckedJob,
        evidence::Evidence,
        ids::{JobId, TenantId},
        job::Document,
        log::{Actor, Kind},
        names,
        personal::Personal,
        refusal::{Refusal, Refused},
    },
    store::{
        jobs::NewEvidence,
        ledger::{DetailKey, EventDraft, EventRow, ScribeError},
    },
};

impl Desk {
    pub(super) fn accepted_event(
        &self,
        checked: &CheckedJob,
        job: JobId,
        key: &DeliveryKey,
        now: DateTime<Utc>,
    ) -> Result<EventRow, ScribeError> {
        let mut personal = vec![("recipient_name", checked.recipient.name.clone())];
        if let Some(email) = &checked.recipient.email {
            personal.push(("recipient_address", email.shown()));
        }
        let mut facts = vec![("channel", checked.channel.word().into())];
        if let Document::Upload { upload, .. } = &checked.document {
            facts.push(("upload", upload.0.as_bytes().as_slice().into()));
        }
        self.scribe.event(EventDraft {
            tenant: &checked.tenant,
            job: Some(job),
            at: now,
            kind: Kind::Accepted,
            actor: Actor::Application,
            code: None,
            facts,
            personal,
            detail_key: DetailKey::Delivery(&key.personal_key()),
        })
    }

    pub(super) fn refusal_event(
        &self,
        tenant: &TenantId,
        refused: &Refused,
        now: DateTime<Utc>,
    ) -> Result<EventRow, ScribeError> {
        let mut facts = Vec::new();
        if let Some(path) = refused.path {
            facts.push(("field", path.into()));
        }
        if let Some(flaw) = refused.flaw {
            facts.push(("reason", flaw.word().into()));
        }
        let wrong = refused.refusal == Refusal::WrongTenant;
        self.scribe.event(EventDraft {
            tenant,
            job: None,
            at: now,
            kind: if wrong { Kind::WrongTenant } else { Kind::Rejected },
            actor: Actor::Application,
            code: Some(refused.refusal.code()),
            facts,
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })
    }

    pub(super) fn echo_event(
        &self,
        tenant: &TenantId,
        job: JobId,
        kind: Kind,
        code: Option<&'static str>,
        now: DateTime<Utc>,
    ) -> Result<EventRow, ScribeError> {
        self.scribe.event(EventDraft {
            tenant,
            job: Some(job),
            at: now,
            kind,
            actor: Actor::Application,
            code,
            facts: Vec::new(),
            personal: Vec::new(),
            detail_key: DetailKey::None,
        })
    }

    /// What stays searchable when the document is gone.
    pub(super) async fn evidence(
        &self,
        checked: &CheckedJob,
        now: DateTime<Utc>,
    ) -> Result<NewEvidence, DeskError> {
        let tenant = &checked.tenant;
        let index = self.keys.index_key(tenant).await?;
        let Evidence { number, date, amount, currency, counterparty, counterparty_code } =
            checked.evidence.clone();
        let year = i64::from(now.year());
        let (counterparty_index, counterparty) = match counterparty {
            None => (None, None),
            Some(name) => {
                let key = self.keys.evidence_key(tenant, year).await?;
                let print =
                    prints::blind_index(&index, "counterparty", &names::counterparty_key(&name));
                let place = wrap::place(&[b"evidence", tenant.as_str().as_bytes()]);
                let sealed = wrap::wrap(&key, &place, name.as_bytes(), &self.entropy)?;
                (Some(print), Some(sealed))
            }
        };
        Ok(NewEvidence {
            recipient_index: recipient_index(&index, checked),
            number,
            transaction_day: date.map(day_number),
            amount_minor: amount.map(Amount::hundredths),
            currency: currency.map(|currency| currency.as_str().to_owned()),
            counterparty_index,
            counterparty,
            counterparty_code,
            evidence_year: year,
        })
    }
}

/// The print under which a recipient is found again: the mail address, or for
/// letters the name.
fn recipient_index(index: &crate::crypto::Key, checked: &CheckedJob) -> [u8; 16] {
    match &checked.recipient.email {
        Some(email) => prints::blind_index(index, "recipient", &email.canonical()),
        None => prints::blind_index(
            index,
            "recipient",
            &names::counterparty_key(&checked.recipient.name),
        ),
    }
}

/// What only the recipient's delivery needs.
pub(super) fn personal_of(checked: &CheckedJob) -> Personal {
    let recipient = &checked.recipient;
    let title = checked.filename.strip_suffix(".pdf").unwrap_or(&checked.filename);
    Personal {
        key: checked.key.clone(),
        filename: checked.filename.clone(),
        title: title.to_owned(),
        recipient_name: recipient.name.clone(),
        person: recipient.person.clone(),
        email: recipient.email.as_ref().map(crate::domain::mail_address::MailAddress::shown),
        locale: recipient.locale,
        reference: checked.reference.clone(),
        postal_code: recipient.address.as_ref().map(|one| one.postal_code.digits().to_owned()),
        address_lines: recipient
            .address
            .as_ref()
            .map_or_else(Vec::new, crate::domain::postal_address::PostalAddress::lines),
        second_factor: None,
    }
}

//! Composes the mail of a link that is issued again.
//!
//! The mail is made of what the delivery itself knows: it goes to the recorded
//! address, and nowhere else. It is sealed and on the books, with its link,
//! before it may leave; what is tried again is those very bytes. The link ends
//! no later than its document. Reminders are written here as well.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use zeroize::Zeroizing;

use crate::{
    app::office::{Delivery, Office},
    config::Tenant,
    crypto::{LinkToken, prints},
    dispatch::email::{FirstMail, Letter, MailOrder, verp},
    domain::{crockford::LinkNumber, personal::Personal},
    seal,
    store::{
        jobs::JobRow,
        keyring::hours,
        work::{self, NewLink, Reissue},
    },
};

/// Composes the mail, and writes it down with its link. Nothing when the
/// delivery was taken back, or taken over, meanwhile.
pub(super) async fn compose(
    office: &Office,
    delivery: &Delivery,
    row: &JobRow,
    personal: &Personal,
    asked: &Reissue,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<Letter>> {
    let purge_at = row.purge_at.context("a delivery without a day")?;
    let wished = now.checked_add_signed(TimeDelta::seconds(asked.ttl_seconds)).unwrap_or(purge_at);
    let expires_at = wished.min(purge_at);
    let expires_at =
        expires_at.with_second(0).and_then(|at| at.with_nanosecond(0)).unwrap_or(expires_at);
    anyhow::ensure!(expires_at > now, "its document is about to be destroyed");
    let link_keys = office.keys.link_keys().await?;
    let hour = hours::mail_hour(now);
    let mail_key = office.keys.mail_key(hour).await?;
    let token = LinkToken::mint(&link_keys, now, &office.entropy)?;
    let lookup = token.lookup(&link_keys)?;
    let words = Words {
        suffix: &asked.number.to_string(),
        document_number: asked.document_number.as_deref(),
        expires_at,
        first: None,
    };
    let letter = write(office, delivery, personal, &words, &token, now)?;
    let (tenant, job) = (&delivery.tenant, delivery.job);
    let sealed = seal::seal_mail(&letter.bytes, &mail_key, tenant, job, &office.entropy)?;
    let link = NewLink {
        day: lookup.day,
        print: lookup.print.to_vec(),
        expires_at,
        max_opens: asked.max_opens,
        reminder: None,
    };
    let mut tx = office.db.begin().await?;
    if !work::recomposed(&mut tx, office.epoch, job, (&sealed, hour), &link).await? {
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(letter))
}

/// What a later mail of a delivery says, besides what the delivery knows.
pub(super) struct Words<'w> {
    /// What tells its `Message-ID` from that of the first mail.
    pub(super) suffix: &'w str,
    /// The document's number, if it has one.
    pub(super) document_number: Option<&'w str>,
    /// Until when the link opens.
    pub(super) expires_at: DateTime<Utc>,
    /// When the mail left that it reminds of, and the suffix of that.
    pub(super) first: Option<(DateTime<Utc>, &'w str)>,
}

/// Writes a later mail of a delivery around a token.
pub(super) fn write(
    office: &Office,
    delivery: &Delivery,
    personal: &Personal,
    words: &Words<'_>,
    token: &LinkToken,
    now: DateTime<Utc>,
) -> anyhow::Result<Letter> {
    let nobody = Tenant::default();
    let tenant = office.config.tenants.get(&delivery.tenant).unwrap_or(&nobody);
    let text = token.text();
    let url = Zeroizing::new(format!("{}/d/{}", office.config.office.public_url, *text));
    let tag = prints::verp_tag(&office.verp_key, delivery.job.0.as_bytes());
    let return_path = verp::address(delivery.job, tag, &office.config.mail.bounce_domain);
    let domain = office.config.mail.from.rsplit('@').next().unwrap_or("localhost");
    let message_id_of = |suffix| format!("<{}.{suffix}@{domain}>", delivery.job.0.simple());
    let message_id = message_id_of(words.suffix);
    let email = personal.email.as_deref().context("a mail job without an address")?;
    let title = personal.filename.strip_suffix(".pdf").unwrap_or(&personal.filename);
    let order = MailOrder {
        locale: personal.locale,
        from_name: &tenant.name,
        from_address: &office.config.mail.from,
        reply_to: tenant.reply_to.as_deref(),
        to_name: Some(personal.person.as_deref().unwrap_or(&personal.recipient_name)),
        to_address: email,
        salutation: None,
        subject: None,
        tenant_name: &tenant.name,
        title,
        document_number: words.document_number,
        contact: tenant.contact.as_deref(),
        support: LinkNumber::of(delivery.job),
        link_url: &url,
        expires_at: words.expires_at.with_timezone(&tenant.zone()),
        message_id: &message_id,
        date: now,
        return_path: &return_path,
    };
    let composed = match words.first {
        None => office.composer.compose(&order)?,
        Some((sent_at, suffix)) => office.composer.compose_reminder(
            &order,
            &FirstMail {
                sent_at: sent_at.with_timezone(&tenant.zone()),
                message_id: &message_id_of(suffix),
            },
        )?,
    };
    Ok(Letter {
        job: delivery.job,
        envelope_from: composed.envelope_from,
        envelope_to: composed.envelope_to,
        bytes: Arc::new(composed.bytes),
    })
}

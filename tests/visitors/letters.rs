//! Sealed deliveries, made as the worker makes them.

use chrono::TimeDelta;
use kakitome::{
    clock::Clock as _,
    crypto::{DeliveryKey, LinkToken, delivery::artifact_aad, factor, prints, stream, wrap},
    domain::{
        factor::{Passcode, SecondFactor},
        ids::{JobId, TenantId},
        job::Channel,
        locale::Locale,
        log::{Actor, Kind},
        names,
        personal::Personal,
    },
    store::{
        dossier,
        jobs::{self, NewEvidence, NewJob},
        keyring::Service,
        ledger::{DetailKey, EventDraft},
        work::{self, DispatchedJob, NewLink, Next, SealedJob},
    },
};
use sha2::{Digest as _, Sha256};

use crate::house::{House, tenant};

/// A delivery with a link.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) job: JobId,
    pub(crate) tenant: TenantId,
    /// The token as it stands in the mail.
    pub(crate) token: String,
    pub(crate) pdf: Vec<u8>,
}

/// What a delivery is made with.
pub(crate) struct Order {
    pub(crate) tenant: &'static str,
    pub(crate) max_opens: i64,
    pub(crate) pdf: Vec<u8>,
    pub(crate) locale: Locale,
    pub(crate) number: &'static str,
    pub(crate) factor: Option<Factor>,
}

/// What a link asks for besides itself.
#[derive(Clone, Copy)]
pub(crate) enum Factor {
    Code,
    Passcode(&'static str),
}

impl Default for Order {
    fn default() -> Self {
        Self {
            tenant: "acme",
            max_opens: 5,
            pdf: pdf(100_000),
            locale: Locale::Ja,
            number: "INV-1",
            factor: None,
        }
    }
}

/// Bytes that begin like a PDF and do not repeat.
pub(crate) fn pdf(length: usize) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut state = 88_172_645_463_325_252_u64;
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

impl House {
    /// A dispatched delivery whose link lives for 14 days.
    pub(crate) async fn deliver(&self, order: Order) -> Delivery {
        let (job, key) = self.accept(&order, true).await;
        self.seal_and_send(job, &tenant(order.tenant), &key, &order).await
    }

    /// A job that is on the books, and held by nobody yet.
    pub(crate) async fn accept_later(&self, order: Order) -> JobId {
        self.accept(&order, false).await.0
    }

    async fn accept(&self, order: &Order, lease: bool) -> (JobId, DeliveryKey) {
        let now = self.clock.now();
        let tenant = tenant(order.tenant);
        let job = JobId(self.entropy.id(now).unwrap());
        let key = DeliveryKey::draw(&self.entropy).unwrap();
        let purge_day = now.timestamp().div_euclid(86_400) + 31;
        let day_key = self.keys.day_key(&tenant, Service::Mail, purge_day).await.unwrap();
        let personal = Personal {
            key: format!("key-{job}"),
            filename: "請求書 2026-11.pdf".into(),
            title: "請求書 2026年11月分".into(),
            recipient_name: "株式会社カナリア".into(),
            email: Some("canary@example.jp".into()),
            locale: order.locale,
            second_factor: self.kept(order, job).await,
            ..Personal::default()
        };
        let index = self.keys.index_key(&tenant).await.unwrap();
        let evidence_key = self.keys.evidence_key(&tenant, 2026).await.unwrap();
        let place = dossier::counterparty_place(&tenant);
        let counterparty = "カナリア".as_bytes();
        let name_key = names::counterparty_key("カナリア");
        let accepted = self
            .scribe
            .event(EventDraft {
                personal: vec![("recipient_name", personal.recipient_name.clone())],
                detail_key: DetailKey::Delivery(&key.personal_key()),
                ..EventDraft::of_job(&tenant, job, now, Kind::Accepted, Actor::Application)
            })
            .unwrap();
        let new = NewJob {
            id: job,
            tenant: tenant.clone(),
            channel: Channel::Email,
            test_mode: false,
            accepted_at: now,
            send_at: now,
            purge_day,
            wrapped_key: key.wrap(&day_key, &tenant, job, &self.entropy).unwrap(),
            personal: key.seal_personal(job, &personal.to_bytes().unwrap(), &self.entropy).unwrap(),
            payload: key.seal_payload(job, b"{}", &self.entropy).unwrap(),
            trace: None,
            dedupe_print: self.entropy.array().unwrap(),
            payload_mac: self.entropy.array().unwrap(),
            lease,
            evidence: NewEvidence {
                recipient_index: prints::blind_index(&index, "recipient", "canary@example.jp"),
                number: Some(order.number.into()),
                transaction_day: Some(20_778),
                amount_minor: Some(11_853_500),
                currency: Some("JPY".into()),
                counterparty_index: Some(prints::blind_index(&index, "counterparty", &name_key)),
                counterparty: Some(
                    wrap::wrap(&evidence_key, &place, counterparty, &self.entropy).unwrap(),
                ),
                counterparty_code: Some("C-7".into()),
                evidence_year: 2026,
            },
            event: accepted,
        };
        jobs::accept_now(&self.db, self.epoch, &[new], &[]).await.unwrap();
        (job, key)
    }

    /// The second factor as the desk keeps it.
    async fn kept(&self, order: &Order, job: JobId) -> Option<SecondFactor> {
        let key = self.keys.factor_key().await.unwrap();
        order.factor.map(|wanted| match wanted {
            Factor::Code => SecondFactor::EmailCode,
            Factor::Passcode(text) => {
                let passcode = Passcode::set(text).unwrap();
                let verifier = factor::verifier(&key, job, &passcode, &self.entropy).unwrap();
                SecondFactor::Passcode { verifier }
            }
        })
    }

    async fn seal_and_send(
        &self,
        job: JobId,
        tenant: &TenantId,
        key: &DeliveryKey,
        order: &Order,
    ) -> Delivery {
        let now = self.clock.now();
        let aad = artifact_aad(tenant, job);
        let sealed = stream::seal(&key.artifact_key(), &aad, &order.pdf, &self.entropy).unwrap();
        let appended = self.blobs.append(now, vec![sealed]).await.unwrap();
        let place = appended.places[0];
        let link_keys = self.keys.link_keys().await.unwrap();
        let token = LinkToken::mint(&link_keys, now, &self.entropy).unwrap();
        let lookup = token.lookup(&link_keys).unwrap();
        let row = SealedJob {
            job,
            artifact_offset: i64::try_from(place.offset).unwrap(),
            artifact_len: i64::try_from(place.len).unwrap(),
            mail: None,
            pdf_len: i64::try_from(order.pdf.len()).unwrap(),
            pdf_sha256: Sha256::digest(&order.pdf).into(),
            pages: 3,
            template: Some("invoice/1".into()),
            renderer: Some("1".into()),
            link: Some(NewLink {
                day: lookup.day,
                print: lookup.print.to_vec(),
                expires_at: now + TimeDelta::days(14),
                max_opens: order.max_opens,
                reminder: None,
            }),
            next: Next::SendNow,
            event: self.told(tenant, job, Kind::Sealed, Actor::Worker),
        };
        let held =
            work::seal_now(&self.db, self.epoch, now, place.segment, &[row], &[]).await.unwrap();
        assert_eq!(held, [job], "the lease holds");
        let sent = DispatchedJob {
            job,
            dispatched_at: now,
            purge_at: now + TimeDelta::days(31),
            purge_day: now.timestamp().div_euclid(86_400) + 31,
            rewrapped: None,
            event: self.told(tenant, job, Kind::Dispatched, Actor::Relay),
        };
        work::dispatched_now(&self.db, self.epoch, &[sent], &[]).await.unwrap();
        let token = token.text().to_string();
        Delivery { job, tenant: tenant.clone(), token, pdf: order.pdf.clone() }
    }
}

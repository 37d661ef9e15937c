//! What a sender hears back: one result event per thing that happened to a job.
//!
//! Events are CloudEvents 1.0 in structured JSON, published to a topic exchange
//! under `delivery.<event>.<tenant>`. They are at-least-once: the `id` stays the
//! same when one is published twice, and `sequence` orders the events of a job.
//! There is no personal data in them besides what the sender put into `key` and
//! `reference`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::ids::{EventId, JobId, TenantId};

/// The content type of an event.
pub const EVENT_CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

macro_rules! kinds {
    ($($name:ident $word:literal $means:literal)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $(#[doc = $means] $name,)*
        }

        impl EventKind {
            /// Every kind, in the order of docs/asyncapi.yaml.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in the routing key and in the type.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it means, in one sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }
    };
}

kinds! {
    Accepted "accepted" "The job is on our books; nothing more is needed from its sender."
    Rejected "rejected" "The job was refused, and nothing was accepted; `code` says why."
    Sealed "sealed" "The document is rendered and lies encrypted."
    Dispatched "dispatched" "The mail relay took the mail, or the print partner the letter."
    Ambiguous "ambiguous" "The relay's answer was lost; the mail may or may not have been taken."
    Opened "opened" "The recipient opened the document; sent for the first time only."
    OpenedVerified "opened_verified" "The recipient opened the document after the second factor held; sent for the first time only."
    Reminded "reminded" "Nobody had opened the link yet, and the relay took the reminder that the job asked for."
    NotReminded "not_reminded" "The reminder that the job asked for was not sent, or nobody knows whether it was; `code` says why. The delivery itself is not touched."
    Bounced "bounced" "The mail came back; `code` says whether for good."
    Undeliverable "undeliverable" "The document cannot be delivered to this recipient; `code` says why."
    Parked "parked" "A person has to look at the job; `code` says why."
    Cancelled "cancelled" "The sender took the job back before it was sent."
    Recalled "recalled" "The sender took the document back after it was sent."
    Purged "purged" "Document, key and personal data are destroyed."
}

impl EventKind {
    /// The kind with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }

    /// The CloudEvents type, `kakitome.delivery.accepted.v1`.
    pub fn event_type(self) -> String {
        format!("kakitome.delivery.{}.v1", self.word())
    }
}

/// One thing that happened to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultEvent {
    /// Stays the same when the event is published again.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// Whose job.
    pub tenant: TenantId,
    /// Our id of the job; absent when it was rejected.
    pub job: Option<JobId>,
    /// The sender's key; absent when it could not be read.
    pub key: Option<String>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The code of a refusal or reason.
    pub code: Option<&'static str>,
    /// The sender's own words.
    pub reference: Option<String>,
    /// Grows with each event of the job, from 0; gaps are possible.
    pub sequence: u64,
}

#[derive(Serialize)]
struct Wire<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    datacontenttype: &'static str,
    sequence: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    event: &'static str,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
}

impl ResultEvent {
    /// `delivery.<event>.<tenant>`.
    pub fn routing_key(&self) -> String {
        format!("delivery.{}.{}", self.kind.word(), self.tenant)
    }

    /// The event as CloudEvents 1.0 structured JSON. The same event gives the
    /// same bytes.
    ///
    /// # Panics
    /// Never: every value of this type has a JSON form.
    #[expect(clippy::expect_used, reason = "strings always serialise")]
    pub fn to_json(&self) -> Vec<u8> {
        let job = self.job.map(|job| job.to_string());
        let wire = Wire {
            specversion: "1.0",
            id: self.id.to_string(),
            source: format!("/kakitome/tenants/{}", self.tenant),
            r#type: self.kind.event_type(),
            time: self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            subject: job.clone(),
            datacontenttype: "application/json",
            // The extension wants a string that sorts (CloudEvents, Sequence).
            sequence: format!("{:010}", self.sequence),
            data: Data {
                event: self.kind.word(),
                tenant: self.tenant.as_str(),
                job,
                key: self.key.as_deref(),
                code: self.code,
                reference: self.reference.as_deref(),
            },
        };
        serde_json::to_vec(&wire).expect("an event is JSON")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_is_a_cloud_event() {
        let event = ResultEvent {
            id: EventId(Uuid::from_u128(1)),
            kind: EventKind::Parked,
            tenant: TenantId::parse("acme").unwrap(),
            job: Some(JobId(Uuid::from_u128(2))),
            key: Some("INV-2026-000042/1".into()),
            at: DateTime::from_timestamp_micros(1_795_000_000_000_001).unwrap(),
            code: Some("glyph_missing"),
            reference: None,
            sequence: 3,
        };
        assert_eq!(event.routing_key(), "delivery.parked.acme", "topic");
        let json: serde_json::Value = serde_json::from_slice(&event.to_json()).unwrap();
        let expected = serde_json::json!({
            "specversion": "1.0",
            "id": "00000000-0000-0000-0000-000000000001",
            "source": "/kakitome/tenants/acme",
            "type": "kakitome.delivery.parked.v1",
            "time": "2026-11-18T11:06:40.000001Z",
            "subject": "00000000-0000-0000-0000-000000000002",
            "datacontenttype": "application/json",
            "sequence": "0000000003",
            "data": {
                "event": "parked",
                "tenant": "acme",
                "job": "00000000-0000-0000-0000-000000000002",
                "key": "INV-2026-000042/1",
                "code": "glyph_missing"
            }
        });
        assert_eq!(json, expected, "the public form of an event");
        assert_eq!(event.to_json(), event.to_json(), "the same event gives the same bytes");
    }

    #[test]
    fn words_come_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.word()), Some(*kind), "{}", kind.word());
        }
    }
}

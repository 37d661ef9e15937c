//! Writes events: draws the salt, makes the commitments, seals the detail,
//! encodes the leaf.
//!
//! What is personal about an event goes into the sealed detail, together with
//! the salt, and stands in the leaf only as a commitment under that salt. The
//! detail is sealed under a key that dies: the delivery's own, or the month's
//! key for accesses. Afterwards nobody can open the commitments, not even by
//! guessing, and the leaf still verifies.
//!
//! Refuses to commit to something personal without a key to seal its salt
//! under: a commitment that nobody could ever open is not evidence.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::EventRow;
use crate::{
    crypto::{CryptoError, Key, column, prints},
    domain::{
        ids::{EventId, JobId, TenantId},
        log::{Actor, Fact, Kind, Leaf, LeafError, Name},
    },
    entropy::{Entropy, NoEntropy},
};

/// The key that a detail is sealed under.
#[derive(Clone, Debug)]
pub enum DetailKey<'k> {
    /// The delivery's own: the detail ends with the document.
    Delivery(&'k Key),
    /// The key of a month (`yyyymm`) for what is known of accesses.
    Access(&'k Key, String),
    /// There is nothing to seal.
    None,
}

/// An event, as the room that saw it tells it.
#[derive(Clone)]
pub struct EventDraft<'d> {
    /// Whose log it goes into.
    pub tenant: &'d TenantId,
    /// The delivery it is about, if it is about one.
    pub job: Option<JobId>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: Kind,
    /// Who did it.
    pub actor: Actor,
    /// Why, as a code of docs/ERRORS.md.
    pub code: Option<&'d str>,
    /// What is nobody's secret.
    pub facts: Vec<(&'static str, Fact)>,
    /// What is personal.
    pub personal: Vec<(&'static str, String)>,
    /// The key for what is personal.
    pub detail_key: DetailKey<'d>,
}

impl<'d> EventDraft<'d> {
    /// An event about a delivery, with nothing to add.
    pub fn of_job(
        tenant: &'d TenantId,
        job: JobId,
        at: DateTime<Utc>,
        kind: Kind,
        actor: Actor,
    ) -> Self {
        Self {
            tenant,
            job: Some(job),
            at,
            kind,
            actor,
            code: None,
            facts: vec![],
            personal: vec![],
            detail_key: DetailKey::None,
        }
    }
}

impl std::fmt::Debug for EventDraft<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventDraft")
            .field("job", &self.job)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Why an event could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ScribeError {
    /// There is no randomness for its id or its salt.
    #[error("no id and no salt for an event")]
    NoEntropy(#[from] NoEntropy),
    /// Its detail could not be sealed.
    #[error("an event's detail could not be sealed")]
    Crypto(#[from] CryptoError),
    /// It makes no leaf.
    #[error("an event makes no leaf")]
    Leaf(#[from] LeafError),
    /// It has something personal and no key for it.
    #[error("an event has something personal and no key to seal it under")]
    NoKey,
}

/// Writes events.
#[derive(Clone, Debug)]
pub struct Scribe {
    entropy: Entropy,
}

/// A detail, sealed, and what the leaf says of it.
struct SealedDetail {
    sealed: Vec<u8>,
    key: String,
    commitments: Vec<(Name, [u8; 32])>,
}

impl Scribe {
    /// Draws ids and salts from `entropy`.
    pub fn new(entropy: Entropy) -> Self {
        Self { entropy }
    }

    /// The row of an event, ready to be appended.
    pub fn event(&self, draft: EventDraft<'_>) -> Result<EventRow, ScribeError> {
        let id = EventId(self.entropy.id(draft.at)?);
        let detail = self.detail(id, &draft)?;
        let code = draft.code.map(str::to_owned);
        let leaf = Leaf {
            kind: draft.kind,
            at: draft.at,
            tenant: draft.tenant.clone(),
            event: id,
            job: draft.job,
            actor: draft.actor,
            code: code.clone(),
            facts: draft.facts.into_iter().map(|(name, fact)| (name.into(), fact)).collect(),
            commitments: detail.as_ref().map(|d| d.commitments.clone()).unwrap_or_default(),
            detail_sha256: detail.as_ref().map(|d| Sha256::digest(&d.sealed).into()),
        };
        let leaf = leaf.encode()?;
        let (detail, detail_key) = detail.map(|d| (d.sealed, d.key)).unzip();
        Ok(EventRow {
            id,
            tenant: draft.tenant.clone(),
            job: draft.job,
            at: draft.at,
            kind: draft.kind,
            code,
            leaf,
            detail,
            detail_key,
        })
    }

    fn detail(
        &self,
        id: EventId,
        draft: &EventDraft<'_>,
    ) -> Result<Option<SealedDetail>, ScribeError> {
        if draft.personal.is_empty() {
            return Ok(None);
        }
        let (key, name) = match &draft.detail_key {
            DetailKey::Delivery(key) => (*key, "delivery".to_owned()),
            DetailKey::Access(key, month) => (*key, format!("access/{month}")),
            DetailKey::None => return Err(ScribeError::NoKey),
        };
        let salt = Zeroizing::new(self.entropy.array::<32>()?);
        let commitments = draft.personal.iter().map(|(name, value)| {
            (Name::from(*name), prints::commitment(&salt, name, value.as_bytes()))
        });
        let commitments = commitments.collect();
        let sealed = seal(key, id, &Detail::of(&salt, &draft.personal), &self.entropy)?;
        Ok(Some(SealedDetail { sealed, key: name, commitments }))
    }
}

/// A detail as it is sealed: the salt, and the personal fields by name.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// The salt of the leaf's commitments, in lower-case hexadecimal.
    pub salt: String,
    /// The fields that the leaf commits to.
    pub fields: std::collections::BTreeMap<String, String>,
}

impl std::fmt::Debug for Detail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Detail(..)")
    }
}

impl Detail {
    fn of(salt: &[u8; 32], personal: &[(&'static str, String)]) -> Self {
        let fields = personal.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self { salt: data_encoding::HEXLOWER.encode(salt), fields: fields.collect() }
    }

    /// Opens the detail of a row of the log.
    pub fn open(key: &Key, id: EventId, sealed: &[u8]) -> Result<Self, CryptoError> {
        let json = column::open_column(key, "audit_events", "detail", id.0.as_bytes(), sealed)?;
        serde_json::from_slice(&json).map_err(|_| CryptoError::BrokenSeal)
    }

    /// Whether the leaf's commitments are to these fields: all of them, and
    /// nothing else.
    pub fn matches(&self, leaf: &Leaf) -> bool {
        let Ok(salt) = data_encoding::HEXLOWER.decode(self.salt.as_bytes()) else { return false };
        let Ok(salt) = <[u8; 32]>::try_from(salt) else { return false };
        leaf.commitments.len() == self.fields.len()
            && leaf.commitments.iter().all(|(name, commitment)| {
                self.fields.get(name.as_ref()).is_some_and(|value| {
                    prints::commitment(&salt, name, value.as_bytes()) == *commitment
                })
            })
    }
}

fn seal(
    key: &Key,
    id: EventId,
    detail: &Detail,
    entropy: &Entropy,
) -> Result<Vec<u8>, CryptoError> {
    let json = serde_json::to_vec(detail).map_err(|_| CryptoError::TooLong)?;
    let json = Zeroizing::new(json);
    column::seal_column(key, "audit_events", "detail", id.0.as_bytes(), &json, entropy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(tenant: &TenantId) -> EventDraft<'_> {
        let at = DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap();
        let job = JobId(uuid::Uuid::from_u128(7));
        EventDraft::of_job(tenant, job, at, Kind::Opened, Actor::Recipient)
    }

    #[test]
    fn a_detail_opens_its_leaf_and_no_other() {
        let entropy = Entropy::from_seed_number(1);
        let key = Key::draw(&entropy).unwrap();
        let tenant = TenantId::parse("acme").unwrap();
        let scribe = Scribe::new(entropy.clone());
        let event = |agent: &str| {
            let mut draft = draft(&tenant);
            draft.personal = vec![("user_agent", agent.to_owned()), ("ip", "192.0.2.1".to_owned())];
            draft.detail_key = DetailKey::Access(&key, "202611".to_owned());
            scribe.event(draft).unwrap()
        };
        let (ours, other) = (event("Firefox"), event("curl"));
        let leaf = Leaf::decode(&ours.leaf).unwrap();
        let sealed = ours.detail.as_deref().unwrap();
        let detail = Detail::open(&key, ours.id, sealed).unwrap();
        assert!(detail.matches(&leaf), "the detail opens the commitments");
        assert!(!detail.matches(&Leaf::decode(&other.leaf).unwrap()), "and no other's");
        assert_eq!(leaf.detail_sha256, Some(Sha256::digest(sealed).into()), "the digest is stored");
        assert_eq!(ours.detail_key.as_deref(), Some("access/202611"), "the key is named");
        assert!(Detail::open(&key, other.id, sealed).is_err(), "a detail stays with its row");
        let hay = String::from_utf8_lossy(&ours.leaf).into_owned();
        assert!(
            !hay.contains("Firefox") && !hay.contains("192.0.2.1"),
            "nothing personal in clear"
        );
    }

    #[test]
    fn nothing_personal_goes_without_a_key() {
        let tenant = TenantId::parse("acme").unwrap();
        let scribe = Scribe::new(Entropy::from_seed_number(1));
        let mut draft = draft(&tenant);
        draft.personal = vec![("ip", "192.0.2.1".to_owned())];
        assert!(matches!(scribe.event(draft), Err(ScribeError::NoKey)), "no key, no event");
    }
}

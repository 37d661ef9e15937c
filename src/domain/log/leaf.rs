//! The bytes of a leaf: one encoding for each leaf, and none for anything else.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use minicbor::{Decoder, Encoder, data::Type};
use uuid::Uuid;

use super::{Actor, Kind};
use crate::domain::ids::{EventId, JobId, TenantId};

/// The version of the leaf format that this program writes.
pub const LEAF_VERSION: u64 = 1;

/// The longest leaf, in bytes: what fits one entry of a C2SP tile.
pub const LEAF_BYTES_MAX: usize = 65_535;

/// Something about an event that is nobody's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A number; the unit is in the name.
    Int(i64),
    /// A word or a code.
    Text(String),
    /// A digest or an id.
    Bytes(Vec<u8>),
}

impl From<i64> for Fact {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Fact {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Fact {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&[u8]> for Fact {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<Uuid> for Fact {
    fn from(value: Uuid) -> Self {
        Self::Bytes(value.as_bytes().to_vec())
    }
}

/// The name of a fact or of a commitment, `[a-z0-9_]{1,64}`.
pub type Name = Cow<'static, str>;

/// One event as it stands in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// What happened.
    pub kind: Kind,
    /// When, to the microsecond.
    pub at: DateTime<Utc>,
    /// Whose log this is.
    pub tenant: TenantId,
    /// The event's id.
    pub event: EventId,
    /// The delivery it is about, if it is about one.
    pub job: Option<JobId>,
    /// Who did it.
    pub actor: Actor,
    /// Why, as a code of docs/ERRORS.md.
    pub code: Option<String>,
    /// Facts by name; sorted when encoded.
    pub facts: Vec<(Name, Fact)>,
    /// Salted commitments to personal fields by name; sorted when encoded.
    pub commitments: Vec<(Name, [u8; 32])>,
    /// SHA-256 of the sealed detail as it is stored.
    pub detail_sha256: Option<[u8; 32]>,
}

/// Why bytes are not a leaf, or a leaf has no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// The bytes are not CBOR of the agreed shape.
    #[error("not a leaf: {0}")]
    Malformed(&'static str),
    /// The bytes mean a leaf, but are not its one encoding.
    #[error("not the deterministic encoding of the leaf")]
    NotCanonical,
    /// The leaf was written by a later program.
    #[error("a leaf of an unknown version")]
    UnknownVersion,
    /// A name is not `[a-z0-9_]{1,64}` or is given twice.
    #[error("a name is malformed or given twice")]
    BadName,
    /// The encoding would be longer than a tile's entry.
    #[error("a leaf is at most {LEAF_BYTES_MAX} bytes")]
    TooLong,
}

// The keys of the map. They are never given another meaning.
const VERSION: u64 = 0;
const KIND: u64 = 1;
const AT: u64 = 2;
const TENANT: u64 = 3;
const EVENT: u64 = 4;
const JOB: u64 = 5;
const ACTOR: u64 = 6;
const CODE: u64 = 7;
const FACTS: u64 = 8;
const COMMITMENTS: u64 = 9;
const DETAIL_SHA256: u64 = 10;

type Out = Encoder<Vec<u8>>;
type Put<T> = Result<T, minicbor::encode::Error<std::convert::Infallible>>;

impl Leaf {
    /// The one encoding of this leaf. Absent and empty members are left out.
    pub fn encode(&self) -> Result<Vec<u8>, LeafError> {
        let facts = sorted(&self.facts)?;
        let commitments = sorted(&self.commitments)?;
        let mut out = Encoder::new(Vec::with_capacity(192));
        self.put(&mut out, &facts, &commitments)
            .map_err(|_| LeafError::Malformed("a vector took no bytes"))?;
        let bytes = out.into_writer();
        if bytes.len() > LEAF_BYTES_MAX { Err(LeafError::TooLong) } else { Ok(bytes) }
    }

    fn put(
        &self,
        out: &mut Out,
        facts: &[&(Name, Fact)],
        commitments: &[&(Name, [u8; 32])],
    ) -> Put<()> {
        let optional = [
            self.job.is_some(),
            self.code.is_some(),
            !facts.is_empty(),
            !commitments.is_empty(),
            self.detail_sha256.is_some(),
        ];
        let members = optional.into_iter().map(u64::from).fold(6, u64::saturating_add);
        out.map(members)?;
        out.u64(VERSION)?.u64(LEAF_VERSION)?;
        out.u64(KIND)?.str(self.kind.word())?;
        out.u64(AT)?.i64(self.at.timestamp_micros())?;
        out.u64(TENANT)?.str(self.tenant.as_str())?;
        out.u64(EVENT)?.bytes(self.event.0.as_bytes())?;
        if let Some(job) = self.job {
            out.u64(JOB)?.bytes(job.0.as_bytes())?;
        }
        out.u64(ACTOR)?.str(self.actor.word())?;
        if let Some(code) = &self.code {
            out.u64(CODE)?.str(code)?;
        }
        if !facts.is_empty() {
            out.u64(FACTS)?.map(length(facts))?;
            for (name, fact) in facts {
                out.str(name)?;
                match fact {
                    Fact::Int(value) => out.i64(*value)?,
                    Fact::Text(value) => out.str(value)?,
                    Fact::Bytes(value) => out.bytes(value)?,
                };
            }
        }
        if !commitments.is_empty() {
            out.u64(COMMITMENTS)?.map(length(commitments))?;
            for (name, commitment) in commitments {
                out.str(name)?.bytes(commitment)?;
            }
        }
        if let Some(digest) = &self.detail_sha256 {
            out.u64(DETAIL_SHA256)?.bytes(digest)?;
        }
        Ok(())
    }

    /// Reads a leaf and refuses every encoding but the one that
    /// [`Leaf::encode`] would write: two auditors never see two leaves in the
    /// same bytes, nor one leaf in two.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(LeafError::TooLong);
        }
        let mut input = Decoder::new(bytes);
        let mut draft = Draft::default();
        let members = some(input.map()).ok_or(LeafError::Malformed("not a map"))?;
        for _ in 0..members {
            let key = input.u64().map_err(|_| LeafError::Malformed("a key is no number"))?;
            draft.take(key, &mut input)?;
        }
        let leaf = draft.finish()?;
        if leaf.encode()? == bytes { Ok(leaf) } else { Err(LeafError::NotCanonical) }
    }
}

/// The members read so far.
#[derive(Default)]
struct Draft {
    version: Option<u64>,
    kind: Option<Kind>,
    at: Option<DateTime<Utc>>,
    tenant: Option<TenantId>,
    event: Option<EventId>,
    job: Option<JobId>,
    actor: Option<Actor>,
    code: Option<String>,
    facts: Vec<(Name, Fact)>,
    commitments: Vec<(Name, [u8; 32])>,
    detail_sha256: Option<[u8; 32]>,
}

impl Draft {
    fn take(&mut self, key: u64, input: &mut Decoder<'_>) -> Result<(), LeafError> {
        match key {
            VERSION => self.version = input.u64().ok(),
            KIND => self.kind = Some(word(input, Kind::parse, "unknown kind")?),
            AT => self.at = input.i64().ok().and_then(DateTime::from_timestamp_micros),
            TENANT => {
                self.tenant = Some(word(input, |text| TenantId::parse(text).ok(), "bad tenant")?);
            }
            EVENT => self.event = id(input).map(EventId),
            JOB => self.job = Some(JobId(id(input).ok_or(LeafError::Malformed("bad job id"))?)),
            ACTOR => self.actor = Some(word(input, Actor::parse, "unknown actor")?),
            CODE => self.code = Some(word(input, |text| Some(text.to_owned()), "bad code")?),
            FACTS => {
                let count = some(input.map()).ok_or(LeafError::Malformed("facts are no map"))?;
                for _ in 0..count {
                    self.facts.push((name(input)?, fact(input)?));
                }
            }
            COMMITMENTS => {
                let count =
                    some(input.map()).ok_or(LeafError::Malformed("commitments are no map"))?;
                for _ in 0..count {
                    self.commitments.push((name(input)?, digest(input)?));
                }
            }
            DETAIL_SHA256 => self.detail_sha256 = Some(digest(input)?),
            _ => return Err(LeafError::Malformed("unknown member")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Leaf, LeafError> {
        if self.version != Some(LEAF_VERSION) {
            return Err(LeafError::UnknownVersion);
        }
        let missing = LeafError::Malformed("a member is missing");
        Ok(Leaf {
            kind: self.kind.ok_or(missing)?,
            at: self.at.ok_or(missing)?,
            tenant: self.tenant.ok_or(missing)?,
            event: self.event.ok_or(missing)?,
            job: self.job,
            actor: self.actor.ok_or(missing)?,
            code: self.code,
            facts: self.facts,
            commitments: self.commitments,
            detail_sha256: self.detail_sha256,
        })
    }
}

/// The order of RFC 8949: shorter names first, then byte by byte.
fn sorted<T>(pairs: &[(Name, T)]) -> Result<Vec<&(Name, T)>, LeafError> {
    let fits = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort_by_key(|(name, _)| (name.len(), name.as_ref()));
    let twice = pairs.iter().zip(pairs.iter().skip(1)).any(|(a, b)| a.0 == b.0);
    if twice || !pairs.iter().all(|(name, _)| fits(name)) {
        return Err(LeafError::BadName);
    }
    Ok(pairs)
}

fn length<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// The length of a definite map; indefinite ones are never deterministic.
fn some(length: Result<Option<u64>, minicbor::decode::Error>) -> Option<u64> {
    length.ok().flatten()
}

fn word<T>(
    input: &mut Decoder<'_>,
    parse: impl Fn(&str) -> Option<T>,
    what: &'static str,
) -> Result<T, LeafError> {
    input.str().ok().and_then(parse).ok_or(LeafError::Malformed(what))
}

fn name(input: &mut Decoder<'_>) -> Result<Name, LeafError> {
    word(input, |text| Some(Cow::Owned(text.to_owned())), "a name is no text")
}

fn id(input: &mut Decoder<'_>) -> Option<Uuid> {
    Uuid::from_slice(input.bytes().ok()?).ok()
}

fn digest(input: &mut Decoder<'_>) -> Result<[u8; 32], LeafError> {
    let bytes = input.bytes().map_err(|_| LeafError::Malformed("a digest is no bytes"))?;
    bytes.try_into().map_err(|_| LeafError::Malformed("a digest has 32 bytes"))
}

fn fact(input: &mut Decoder<'_>) -> Result<Fact, LeafError> {
    let bad = LeafError::Malformed("a fact is a number, a text or bytes");
    let kind = input.datatype().map_err(|_| bad)?;
    if kind == Type::String {
        return input.str().map(Fact::from).map_err(|_| bad);
    }
    if kind == Type::Bytes {
        return input.bytes().map(Fact::from).map_err(|_| bad);
    }
    input.i64().map(Fact::Int).map_err(|_| bad)
}

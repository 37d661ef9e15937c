//! Ids are types, so that they never mix.

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

macro_rules! id {
    ($(#[doc = $doc:literal] $name:ident)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::from_str(text).map(Self)
            }
        }
    )*};
}

id! {
    /// One delivery: a document on its way to one recipient (UUID version 7).
    JobId
    /// One row of the log (UUID version 7).
    EventId
    /// One segment of sealed bytes (UUID version 7).
    SegmentId
    /// One life of one process, drawn at its start; never reused (UUID version 7).
    Epoch
    /// One finished PDF that a sender uploaded before the job (UUID version 7).
    UploadId
    /// One batch of letters handed to a print partner (UUID version 7).
    BatchId
}

/// A tenant's short name: `[a-z0-9-]{1,32}`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// The text is not a tenant's short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tenant id is 1 to 32 characters of a-z, 0-9 and -")]
pub struct BadTenantId;

impl TenantId {
    /// Checks and takes over a tenant's short name.
    pub fn parse(text: &str) -> Result<Self, BadTenantId> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits { Ok(Self(text.into())) } else { Err(BadTenantId) }
    }

    /// The office itself, in whose log stands what came from nobody we know.
    /// No configured tenant can have this name.
    pub fn office() -> Self {
        Self("-".into())
    }

    /// The short name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for TenantId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for TenantId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

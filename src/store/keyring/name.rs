//! The names of keys: what a key is for, whose it is, and which one.
//!
//! A name is the primary key of the key's row and part of what its wrap is
//! bound to; so the words below are never changed, only added to.

use crate::domain::ids::TenantId;

/// What a key belongs to; part of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Documents delivered by link.
    Mail,
    /// Documents delivered by letter.
    Postal,
    /// Uploads whose job is still to come.
    Upload,
    /// What is kept for years.
    Archive,
    /// Details of the log.
    Audit,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 5] = [Self::Mail, Self::Postal, Self::Upload, Self::Archive, Self::Audit];

    /// The word stored in the key store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Postal => "postal",
            Self::Upload => "upload",
            Self::Archive => "archive",
            Self::Audit => "audit",
        }
    }

    /// The service with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.word() == word)
    }
}

/// Each kind with its word, once: no list of them can be left behind.
macro_rules! kinds {
    ($($kind:ident $word:literal)*) => {
        /// What a key is for; the first part of its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(in crate::store) enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// Every kind.
            pub(in crate::store) const ALL: &[Self] = &[$(Self::$kind),*];

            pub(in crate::store) const fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }
        }
    };
}

kinds! {
    Probe "probe"
    Tenant "tenant"
    Day "day"
    Mail "mail"
    LinkTag "link-tag"
    LinkPepper "link-pepper"
    Dedupe "dedupe"
    Outbox "outbox"
    Page "page"
    Verp "verp"
    Factor "factor"
    Index "index"
    Evidence "evidence"
    Sealing "sealing"
    Access "access"
}

impl Kind {
    /// The kind with this word.
    pub(in crate::store) fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}

/// The name of a key: its primary key, and what its wrap is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct KeyName {
    pub(in crate::store) kind: Kind,
    pub(in crate::store) tenant: Option<TenantId>,
    pub(in crate::store) service: Option<Service>,
    pub(in crate::store) number: i64,
}

impl KeyName {
    pub(in crate::store) fn of_office(kind: Kind, number: i64) -> Self {
        Self { kind, tenant: None, service: None, number }
    }

    pub(in crate::store) fn of_tenant(kind: Kind, tenant: &TenantId, number: i64) -> Self {
        Self { kind, tenant: Some(tenant.clone()), service: None, number }
    }

    pub(in crate::store) fn of_service(
        kind: Kind,
        tenant: &TenantId,
        service: Service,
        number: i64,
    ) -> Self {
        Self { kind, tenant: Some(tenant.clone()), service: Some(service), number }
    }

    /// The name that a row's words spell, if they spell one.
    pub(in crate::store) fn from_words(
        kind: Kind,
        tenant: &str,
        service: &str,
        number: i64,
    ) -> Option<Self> {
        let name = Self {
            kind,
            tenant: TenantId::parse(tenant).ok(),
            service: Service::parse(service),
            number,
        };
        (name.tenant_word() == tenant && name.service_word() == service).then_some(name)
    }

    pub(in crate::store) fn tenant_word(&self) -> &str {
        self.tenant.as_ref().map_or("", TenantId::as_str)
    }

    pub(in crate::store) fn service_word(&self) -> &'static str {
        self.service.map_or("", Service::word)
    }
}

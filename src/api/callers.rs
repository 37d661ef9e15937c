//! Who is calling, and how much they may ask at once.
//!
//! A tenant is known by its bearer token and by nothing else: no header, no
//! path and no body can name one. We keep the SHA-256 of a token (the tokens
//! are random, so nothing slower is needed), and a presented token is compared
//! with every one of them in constant time.
//!
//! A tenant that asks faster than its allowance is told to come back; others
//! do not notice.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{crypto::prints, domain::ids::TenantId};

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// How much one tenant may ask.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Requests a second, on average.
    pub per_second: u32,
    /// Requests that may come at once after a pause.
    pub burst: u32,
    /// Requests that are worked on at the same time.
    pub at_once: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { per_second: 1_000, burst: 4_000, at_once: 256 }
    }
}

/// The tenants that may call, by the SHA-256 of their tokens.
#[derive(Clone, Default)]
pub struct Tokens(BTreeMap<TenantId, [u8; 32]>);

impl Tokens {
    /// Adds a tenant and its token; the token itself is not kept.
    #[must_use]
    pub fn with(mut self, tenant: TenantId, token: &[u8]) -> Self {
        self.0.insert(tenant, Sha256::digest(token).into());
        self
    }

    /// Whose token a request carries. Looks at all of them, whichever fits.
    fn caller(&self, headers: &HeaderMap) -> Option<&TenantId> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let presented: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        let mut found = None;
        for (tenant, known) in &self.0 {
            if prints::same(known, &presented) {
                found = Some(tenant);
            }
        }
        found
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// The tenants that may call, and how much each has asked lately.
#[derive(Debug)]
pub(super) struct Callers {
    tokens: Tokens,
    gates: BTreeMap<TenantId, Gate>,
}

/// One tenant's gate: the instant at which its allowance is whole again
/// (the generic cell rate algorithm), and its seats.
#[derive(Debug)]
struct Gate {
    interval: Duration,
    slack: Duration,
    whole_at: Mutex<Instant>,
    seats: Arc<Semaphore>,
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// Nobody we know.
    Unknown,
    /// Known, but too fast or too many at once.
    TooMuch,
}

/// A caller that was let in; gives the seat back when dropped.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) tenant: TenantId,
    _seat: OwnedSemaphorePermit,
}

impl Callers {
    pub(super) fn new(tokens: Tokens, allowance: Allowance, now: Instant) -> Self {
        let interval = Duration::from_secs(1).checked_div(allowance.per_second.max(1));
        let interval = interval.unwrap_or(Duration::from_secs(1));
        let gate = |tenant: &TenantId| {
            let gate = Gate {
                interval,
                slack: interval.saturating_mul(allowance.burst.max(1)),
                whole_at: Mutex::new(now),
                seats: Arc::new(Semaphore::new(allowance.at_once)),
            };
            (tenant.clone(), gate)
        };
        let gates = tokens.0.keys().map(gate).collect();
        Self { tokens, gates }
    }

    /// Lets a caller in, or says why not.
    pub(super) fn admit(&self, headers: &HeaderMap, now: Instant) -> Result<Caller, Turned> {
        let tenant = self.tokens.caller(headers).ok_or(Turned::Unknown)?;
        let gate = self.gates.get(tenant).ok_or(Turned::Unknown)?;
        if !gate.pass(now) {
            return Err(Turned::TooMuch);
        }
        let seat = Arc::clone(&gate.seats).try_acquire_owned().map_err(|_| Turned::TooMuch)?;
        Ok(Caller { tenant: tenant.clone(), _seat: seat })
    }
}

impl Gate {
    fn pass(&self, now: Instant) -> bool {
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*whole_at).max(now).checked_add(self.interval).unwrap_or(now);
        let fits = next.saturating_duration_since(now) <= self.slack;
        if fits {
            *whole_at = next;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn bearer(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    fn callers(allowance: Allowance, now: Instant) -> Callers {
        let tokens = Tokens::default().with(tenant("acme"), b"aaaa").with(tenant("other"), b"bbbb");
        Callers::new(tokens, allowance, now)
    }

    #[test]
    fn a_tenant_is_known_by_its_token_alone() {
        let now = Instant::now();
        let callers = callers(Allowance::default(), now);
        let who = |value: &str| callers.admit(&bearer(value), now).map(|caller| caller.tenant);
        assert_eq!(who("Bearer aaaa"), Ok(tenant("acme")), "acme's token");
        assert_eq!(who("bearer bbbb"), Ok(tenant("other")), "schemes have no case");
        for stranger in ["Bearer aaab", "Bearer ", "Basic aaaa", "aaaa", "Bearer aaaa bbbb"] {
            assert_eq!(who(stranger), Err(Turned::Unknown), "{stranger}");
        }
        let mut two = bearer("Bearer aaaa");
        two.append(header::AUTHORIZATION, "Bearer bbbb".parse().unwrap());
        assert_eq!(callers.admit(&two, now).err(), Some(Turned::Unknown), "two tokens are none");
        assert_eq!(format!("{:?}", callers.tokens), "Tokens(..)", "Debug must be mute");
    }

    #[test]
    fn one_tenants_haste_does_not_slow_another() {
        let now = Instant::now();
        let allowance = Allowance { per_second: 10, burst: 3, at_once: 100 };
        let callers = callers(allowance, now);
        let admit = |token: &str, at| callers.admit(&bearer(token), at).is_ok();
        let burst: Vec<_> = (0..5).map(|_| admit("Bearer aaaa", now)).collect();
        assert_eq!(burst, [true, true, true, false, false], "a burst of three");
        assert!(admit("Bearer bbbb", now), "another tenant has its own allowance");
        let later = now + Duration::from_millis(100);
        assert!(admit("Bearer aaaa", later), "one more after a tenth of a second");
        assert!(!admit("Bearer aaaa", later), "and no more");
    }

    #[test]
    fn seats_are_given_back() {
        let now = Instant::now();
        let allowance = Allowance { per_second: 1_000, burst: 1_000, at_once: 1 };
        let callers = callers(allowance, now);
        let first = callers.admit(&bearer("Bearer aaaa"), now).unwrap();
        let second = callers.admit(&bearer("Bearer aaaa"), now).err();
        assert_eq!(second, Some(Turned::TooMuch), "one at a time");
        drop(first);
        assert!(callers.admit(&bearer("Bearer aaaa"), now).is_ok(), "the seat is free again");
    }
}

//! How many connections there are, all in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use ipnet::{IpNet, Ipv6Net};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The seats of a listener.
pub(super) struct Seats {
    all: Arc<Semaphore>,
    of_one: usize,
    proxies: Vec<IpNet>,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A seat that is given back when it is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    /// Whose it is; nobody's where it is not counted.
    whose: Option<IpAddr>,
    _room: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(all: usize, of_one: usize, proxies: Vec<IpNet>) -> Self {
        let all = Arc::new(Semaphore::new(all));
        Self { all, of_one, proxies, taken: Mutex::default() }
    }

    /// Waits for room for one more.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    /// A seat for an address; none where it has too many.
    pub(super) fn take(self: &Arc<Self>, room: OwnedSemaphorePermit, from: IpAddr) -> Option<Seat> {
        let from = from.to_canonical();
        let seats = Arc::clone(self);
        if self.proxies.iter().any(|block| block.contains(&from)) {
            return Some(Seat { seats, whose: None, _room: room });
        }
        let whose = household(from);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.entry(whose).or_insert(0);
        if *own >= self.of_one {
            return None;
        }
        *own = own.saturating_add(1);
        Some(Seat { seats, whose: Some(whose), _room: room })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(whose) = self.whose else { return };
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&whose) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&whose);
            }
        }
    }
}

/// As many connections as the system allows, `most` at the most: a quarter of the
/// files that the process may open, so that two listeners, the pages and the
/// interface, leave half of them to databases, segments and the relay. Asks the
/// system for more than it gives unasked.
pub(super) fn allowed(most: usize) -> usize {
    let wanted = u64::try_from(most).unwrap_or(u64::MAX).saturating_mul(4);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|files| files < wanted) {
        let more = limit.maximum.map_or(wanted, |files| files.min(wanted));
        let raised = Rlimit { current: Some(more), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let share = limit.current.map_or(u64::MAX, |files| files / 4);
    usize::try_from(share).unwrap_or(usize::MAX).clamp(1, most)
}

/// The /56 that one customer of a provider has, or the one address of IPv4.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            Ipv6Net::new(v6, 56).map_or(address, |block| IpAddr::V6(block.trunc().addr()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_the_rest_of_the_office() {
        let all = allowed(4_000_000);
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(u64::try_from(all).unwrap() <= files / 2, "{all} of {files} files");
        assert_eq!(allowed(10), 10, "and no more than asked for");
    }

    #[tokio::test]
    async fn one_address_has_its_share_and_a_proxy_has_all() {
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let seats = Arc::new(Seats::new(100, 2, proxies));
        let sit = async |address: &str| {
            let room = seats.room().await.unwrap();
            seats.take(room, address.parse().unwrap())
        };
        let first = sit("203.0.113.7").await.unwrap();
        let _second = sit("::ffff:203.0.113.7").await.unwrap();
        assert!(sit("203.0.113.7").await.is_none(), "the third from one address");
        let _other = sit("203.0.113.8").await.unwrap();
        drop(first);
        let _again = sit("203.0.113.7").await.unwrap();
        let _a = sit("2001:db8::1").await.unwrap();
        let _b = sit("2001:db8:0:ff::1").await.unwrap();
        assert!(sit("2001:db8:0:42::9").await.is_none(), "one household");
        let mut proxied = Vec::new();
        for _ in 0..50 {
            proxied.push(sit("10.1.2.3").await.unwrap());
        }
        assert_eq!(proxied.len(), 50, "a proxy speaks for many");
        drop(proxied);
        assert_eq!(seats.taken.lock().unwrap().len(), 3, "nothing is kept of who left");
    }
}

//! Bounded memory between the steps.
//!
//! What stands in a queue also stands in the `work` table under a lease of
//! ours; losing a queue costs time and nothing else. Nobody waits inside a
//! queue: a step that finds no room does nothing this time, so that one tick
//! after the other can be run by hand.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::domain::ids::{JobId, TenantId};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while a queue was held leaves it whole: every change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// First in, first out, up to a capacity. Items count one each, or what their
/// queue says they weigh.
#[derive(Debug)]
pub struct Queue<T> {
    line: Mutex<Line<T>>,
    capacity: usize,
    weigh: fn(&T) -> usize,
    arrived: Arc<Notify>,
}

#[derive(Debug)]
struct Line<T> {
    items: VecDeque<T>,
    weight: usize,
}

impl<T> Queue<T> {
    /// An empty queue; `capacity` is what producers look at with [`Self::room`].
    pub fn new(capacity: usize) -> Arc<Self> {
        Self::weighed(capacity, |_| 1)
    }

    /// An empty queue whose items are not alike: `capacity`, room and what is
    /// taken are in the unit of `weigh`.
    pub fn weighed(capacity: usize, weigh: fn(&T) -> usize) -> Arc<Self> {
        let line = Mutex::new(Line { items: VecDeque::new(), weight: 0 });
        Arc::new(Self { line, capacity, weigh, arrived: Arc::new(Notify::new()) })
    }

    fn weight(&self, items: &[T]) -> usize {
        items.iter().map(self.weigh).fold(0, usize::saturating_add)
    }

    /// How many items fit. A producer that was told so may add as many; several
    /// producers at once may overshoot by what each was told.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(lock(&self.line).weight)
    }

    /// Adds items at the end and wakes whoever waits.
    pub fn push(&self, new: impl IntoIterator<Item = T>) {
        let new: Vec<T> = new.into_iter().collect();
        let mut line = lock(&self.line);
        line.weight = line.weight.saturating_add(self.weight(&new));
        line.items.extend(new);
        drop(line);
        self.arrived.notify_one();
    }

    /// Puts items back to the front, in their order: their step failed.
    pub fn put_back(&self, items: Vec<T>) {
        let mut line = lock(&self.line);
        line.weight = line.weight.saturating_add(self.weight(&items));
        for item in items.into_iter().rev() {
            line.items.push_front(item);
        }
    }

    /// Takes up to `most` items, or one that weighs more.
    pub fn take(&self, most: usize) -> Vec<T> {
        let mut line = lock(&self.line);
        let mut weight: usize = 0;
        let mut taken = Vec::new();
        while let Some(next) = line.items.front() {
            let more = weight.saturating_add((self.weigh)(next));
            if more > most && !taken.is_empty() {
                break;
            }
            weight = more;
            taken.extend(line.items.pop_front());
        }
        line.weight = line.weight.saturating_sub(weight);
        if !line.items.is_empty() {
            self.arrived.notify_one();
        }
        taken
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        lock(&self.line).items.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rings when something arrived.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.arrived)
    }

    /// Wakes everyone who takes from here: there is room behind them again.
    pub fn ring(&self) {
        self.arrived.notify_waiters();
        self.arrived.notify_one();
    }
}

/// One queue per tenant, served in turn: a tenant with a hundred thousand jobs
/// does not delay another one's only job.
#[derive(Debug)]
pub struct FairQueue<T> {
    state: Mutex<Fair<T>>,
    arrived: Arc<Notify>,
}

#[derive(Debug)]
struct Fair<T> {
    tenants: BTreeMap<TenantId, VecDeque<T>>,
    turn: VecDeque<TenantId>,
    len: usize,
}

impl<T> FairQueue<T> {
    /// An empty queue. Its bound is that of [`InFlight`].
    pub fn new() -> Arc<Self> {
        let state = Fair { tenants: BTreeMap::new(), turn: VecDeque::new(), len: 0 };
        Arc::new(Self { state: Mutex::new(state), arrived: Arc::new(Notify::new()) })
    }

    /// Adds items for a tenant.
    pub fn push(&self, tenant: &TenantId, item: T) {
        let mut fair = lock(&self.state);
        fair.len = fair.len.saturating_add(1);
        if let Some(queue) = fair.tenants.get_mut(tenant) {
            queue.push_back(item);
        } else {
            fair.tenants.insert(tenant.clone(), VecDeque::from([item]));
            fair.turn.push_back(tenant.clone());
        }
        drop(fair);
        self.arrived.notify_one();
    }

    /// Takes up to `most` items, one tenant after the other.
    pub fn take(&self, most: usize) -> Vec<T> {
        let mut guard = lock(&self.state);
        let fair = &mut *guard;
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(tenant) = fair.turn.pop_front() else { break };
            let Some(queue) = fair.tenants.get_mut(&tenant) else { continue };
            taken.extend(queue.pop_front());
            if queue.is_empty() {
                fair.tenants.remove(&tenant);
            } else {
                fair.turn.push_back(tenant);
            }
        }
        fair.len = fair.len.saturating_sub(taken.len());
        if fair.len > 0 {
            self.arrived.notify_one();
        }
        taken
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        lock(&self.state).len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rings when something arrived.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.arrived)
    }

    /// Wakes everyone who takes from here: there is room behind them again.
    pub fn ring(&self) {
        self.arrived.notify_waiters();
        self.arrived.notify_one();
    }
}

/// The jobs that this process holds leased in memory: the bound of everything
/// above, and the list of what is given back at shutdown.
#[derive(Debug)]
pub struct InFlight {
    held: Mutex<Held>,
    most: usize,
    most_per_tenant: usize,
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Held {
    jobs: HashMap<JobId, TenantId>,
    per_tenant: HashMap<TenantId, usize>,
}

impl InFlight {
    /// Nothing held yet.
    pub fn new(most: usize, most_per_tenant: usize) -> Arc<Self> {
        let held = Mutex::new(Held::default());
        Arc::new(Self { held, most, most_per_tenant, freed: Arc::new(Notify::new()) })
    }

    /// How many more jobs may be taken into memory.
    pub fn room(&self) -> usize {
        self.most.saturating_sub(lock(&self.held).jobs.len())
    }

    /// How many more jobs of one tenant may be taken into memory.
    pub fn room_of(&self, tenant: &TenantId) -> usize {
        let held = lock(&self.held);
        let mine = held.per_tenant.get(tenant).copied().unwrap_or(0);
        let room = self.most.saturating_sub(held.jobs.len());
        self.most_per_tenant.saturating_sub(mine).min(room)
    }

    /// Takes a job into memory; false when it is there already.
    pub fn enter(&self, job: JobId, tenant: &TenantId) -> bool {
        let mut held = lock(&self.held);
        if held.jobs.insert(job, tenant.clone()).is_some() {
            return false;
        }
        let count = held.per_tenant.entry(tenant.clone()).or_default();
        *count = count.saturating_add(1);
        true
    }

    /// Lets a job go: it is settled, or its lease was given back.
    pub fn leave(&self, job: JobId) {
        let mut held = lock(&self.held);
        let Some(tenant) = held.jobs.remove(&job) else { return };
        // Half empty: time to claim more.
        if held.jobs.len() <= self.most / 2 {
            self.freed.notify_one();
        }
        if let Some(count) = held.per_tenant.get_mut(&tenant) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.per_tenant.remove(&tenant);
            }
        }
    }

    /// Rings when there is room for more.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.freed)
    }

    /// Every job in memory.
    pub fn jobs(&self) -> Vec<JobId> {
        lock(&self.held).jobs.keys().copied().collect()
    }

    /// How many jobs are in memory.
    pub fn len(&self) -> usize {
        lock(&self.held).jobs.len()
    }

    /// Whether nothing is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[test]
    fn one_big_tenant_does_not_delay_a_small_one() {
        let queue = FairQueue::new();
        for n in 0..1_000 {
            queue.push(&tenant("big"), ("big", n));
        }
        queue.push(&tenant("small"), ("small", 0));
        let first = queue.take(2);
        assert_eq!(first, [("big", 0), ("small", 0)], "tenants take turns");
        assert_eq!(queue.len(), 999, "the rest waits");
    }

    #[test]
    fn what_failed_goes_back_in_order() {
        let queue = Queue::new(4);
        queue.push([1, 2, 3]);
        let taken = queue.take(2);
        queue.put_back(taken);
        assert_eq!(queue.take(9), [1, 2, 3], "the order is kept");
        assert_eq!(queue.room(), 4, "and the room is free again");
    }

    #[test]
    fn what_is_heavy_counts_for_more() {
        let queue = Queue::weighed(10, |item: &usize| *item);
        queue.push([3, 3, 9, 1]);
        assert_eq!(queue.room(), 0, "sixteen of ten");
        assert_eq!(queue.take(7), [3, 3], "the next would be too much");
        assert_eq!(queue.room(), 0, "ten of ten");
        assert_eq!(queue.take(7), [9], "too heavy for any hand, and taken alone");
        assert_eq!((queue.room(), queue.len()), (9, 1), "one is left");
    }

    #[test]
    fn memory_is_bounded_per_tenant() {
        let held = InFlight::new(3, 2);
        let job = |n: u128| JobId(uuid::Uuid::from_u128(n));
        assert!(held.enter(job(1), &tenant("a")), "the first goes in");
        assert!(!held.enter(job(1), &tenant("a")), "twice is once");
        assert!(held.enter(job(2), &tenant("a")), "the second goes in");
        assert_eq!(held.room_of(&tenant("a")), 0, "a has its share");
        assert_eq!(held.room_of(&tenant("b")), 1, "b still has room");
        held.leave(job(1));
        held.leave(job(1));
        assert_eq!(held.room_of(&tenant("a")), 1, "leaving twice counts once");
    }
}

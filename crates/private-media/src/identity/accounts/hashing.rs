//! The queue of passwords to hash.
//!
//! Hashing a password deliberately takes 19 MiB and 20 ms of CPU, so passwords are hashed one at a time, on the blocking pool. The queue is
//! bounded and fair: lanes take turns, where a lane is a client address, or the known devices of an account. A job is removed when all its
//! clients have disconnected. A client that has only closed its sending side may still wait for the response, so its job remains, but jobs
//! of connected clients run first.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::lock::locked;

/// The capacity of the queue. At 20 ms per hash, the last job of a full queue waits for 5 seconds.
const CAPACITY: Capacity = Capacity { total: 256, per_lane: 64 };
/// The `Retry-After` of a full queue.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The minimum time between two warnings about a full queue.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Whether a client has closed its sending side of the connection. A listener that detects this inserts it into the request extensions.
/// The password of such a client is hashed after those of others. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct ClientClosed(Arc<AtomicBool>);

/// Uses a flag that the listener sets, for listeners that do not depend on this crate.
impl From<Arc<AtomicBool>> for ClientClosed {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}

impl ClientClosed {
    /// Records that the client has closed its sending side.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the client has closed its sending side.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A group of clients that shares turns in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// All clients whose address is unknown.
    Unknown,
    /// A client address. An IPv6 /64 counts as one address.
    Network(IpAddr),
    /// The devices that have signed in to this account before. Other clients do not evict their jobs from a full queue.
    Known(String),
}

impl Lane {
    fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// The error of a full queue, or of a job that was evicted from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueFull;

/// Identifies the password and the account of a job.
type Key = [u8; 32];

#[derive(Debug, Clone, Copy)]
struct Capacity {
    total: usize,
    per_lane: usize,
}

/// Runs jobs one at a time, lane by lane. Cheap to clone; the clones share one queue.
pub(super) struct HashQueue<R>(Arc<Mutex<Queue<R>>>);

impl<R> Clone for HashQueue<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> Default for HashQueue<R> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Queue::new(CAPACITY))))
    }
}

impl<R: Clone + Send + 'static> HashQueue<R> {
    /// Waits for the turn of a lane, runs `work`, and returns its result. Waiting jobs of one lane with the same key run once. Dropping the
    /// future removes the job from the queue.
    pub(super) async fn run(
        &self,
        lane: Lane,
        key: Key,
        client: ClientClosed,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, QueueFull> {
        let (sender, result) = oneshot::channel();
        let (id, evicted) = locked(&self.0).enqueue(lane.clone(), key, client, sender, Box::new(work))?;
        // The captures of `work` are dropped after unlocking.
        drop(evicted);
        let waiting = Waiting { queue: self, lane, id };
        self.start();
        let result = result.await.map_err(|_| QueueFull);
        drop(waiting);
        result
    }

    /// Starts the thread that runs jobs, unless it is running.
    fn start(&self) {
        let mut queue = locked(&self.0);
        if !queue.is_running && !queue.turns.is_empty() {
            queue.is_running = true;
            let running = Running { queue: self.clone(), is_done: false };
            drop(queue);
            tokio::task::spawn_blocking(move || running.drain());
        }
    }
}

/// The thread that runs jobs. After a panic, another thread continues. After the end of its runtime, the next job starts one.
struct Running<R: Clone + Send + 'static> {
    queue: HashQueue<R>,
    is_done: bool,
}

impl<R: Clone + Send + 'static> Running<R> {
    fn drain(mut self) {
        while let Some(job) = self.next() {
            let result = (job.work)();
            for waiter in job.waiters {
                let _ = waiter.result.send(result.clone());
            }
        }
    }

    /// Returns the next job, or marks the thread as stopped. Both happen under one lock, so no job is missed.
    fn next(&mut self) -> Option<Job<R>> {
        let mut queue = locked(&self.queue.0);
        let job = queue.next();
        queue.is_running = job.is_some();
        self.is_done = job.is_none();
        job
    }
}

impl<R: Clone + Send + 'static> Drop for Running<R> {
    fn drop(&mut self) {
        if !self.is_done {
            locked(&self.queue.0).is_running = false;
            if std::thread::panicking() {
                self.queue.start();
            }
        }
    }
}

/// A place in the queue, released on drop.
struct Waiting<'a, R> {
    queue: &'a HashQueue<R>,
    lane: Lane,
    id: u64,
}

impl<R> Drop for Waiting<'_, R> {
    fn drop(&mut self) {
        let left = locked(&self.queue.0).leave(&self.lane, self.id);
        drop(left);
    }
}

/// The waiting jobs, by lane, and their order. [`HashQueue`] runs them.
struct Queue<R> {
    capacity: Capacity,
    /// The lanes, none of them empty.
    lanes: HashMap<Lane, VecDeque<Job<R>>>,
    /// Each lane once, in the order of their turns.
    turns: VecDeque<Lane>,
    waiting: usize,
    next_id: u64,
    is_running: bool,
    warned: Option<Instant>,
}

struct Job<R> {
    key: Key,
    waiters: Vec<Waiter<R>>,
    work: Box<dyn FnOnce() -> R + Send>,
}

struct Waiter<R> {
    id: u64,
    client: ClientClosed,
    result: oneshot::Sender<R>,
}

impl<R> Job<R> {
    /// Returns whether a client of the job is certainly connected.
    fn is_open(&self) -> bool {
        self.waiters.iter().any(|waiter| !waiter.client.get())
    }
}

impl<R> Queue<R> {
    fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            next_id: 0,
            is_running: false,
            warned: None,
        }
    }

    /// Adds a job, or joins one with the same key. Returns the id of the waiting client, and the job that was evicted.
    fn enqueue(
        &mut self,
        lane: Lane,
        key: Key,
        client: ClientClosed,
        result: oneshot::Sender<R>,
        work: Box<dyn FnOnce() -> R + Send>,
    ) -> Result<(u64, Option<Job<R>>), QueueFull> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let waiter = Waiter { id, client, result };
        let own = self.lanes.get_mut(&lane);
        if let Some(job) = own.and_then(|jobs| jobs.iter_mut().find(|job| job.key == key)) {
            job.waiters.push(waiter);
            return Ok((id, None));
        }
        let evicted = self.make_room(&lane).inspect_err(|_| self.warn())?;
        let jobs = self.lanes.entry(lane.clone()).or_insert_with(|| {
            self.turns.push_back(lane);
            VecDeque::new()
        });
        jobs.push_back(Job { key, waiters: vec![waiter], work });
        self.waiting += 1;
        Ok((id, evicted))
    }

    /// Makes room for a job of this lane. If the queue is full, evicts a job whose clients have closed, or else the newest job of the longest
    /// lane, if that lane is longer than this one will be. Jobs of known devices evict those of other clients, never the reverse.
    fn make_room(&mut self, lane: &Lane) -> Result<Option<Job<R>>, QueueFull> {
        let own = self.len(lane);
        if own >= self.capacity.per_lane {
            return self.evict_closed(lane).map(Some).ok_or(QueueFull);
        }
        if self.waiting < self.capacity.total {
            return Ok(None);
        }
        let closed = self.turns.iter().find(|lane| self.has_closed(lane)).cloned();
        if let Some(job) = closed.and_then(|lane| self.evict_closed(&lane)) {
            return Ok(Some(job));
        }
        let longest = |is_known: bool| {
            let lanes = self.turns.iter().filter(|lane| lane.is_known() == is_known);
            lanes.map(|lane| (self.len(lane), lane)).max_by_key(|(len, _)| *len)
        };
        let victim = match longest(false) {
            Some((_, stranger)) if lane.is_known() => stranger,
            longest_stranger => {
                let longest = if lane.is_known() { longest(true) } else { longest_stranger };
                longest.filter(|(len, _)| *len > own + 1).ok_or(QueueFull)?.1
            }
        };
        let (victim, newest) = (victim.clone(), self.len(victim).saturating_sub(1));
        self.remove(&victim, newest).map(Some).ok_or(QueueFull)
    }

    fn len(&self, lane: &Lane) -> usize {
        self.lanes.get(lane).map_or(0, VecDeque::len)
    }

    fn has_closed(&self, lane: &Lane) -> bool {
        self.lanes.get(lane).is_some_and(|jobs| jobs.iter().any(|job| !job.is_open()))
    }

    fn evict_closed(&mut self, lane: &Lane) -> Option<Job<R>> {
        let at = self.lanes.get(lane)?.iter().position(|job| !job.is_open())?;
        self.remove(lane, at)
    }

    /// Removes and returns the next job: that of the next lane with a connected client, or else of the next lane.
    fn next(&mut self) -> Option<Job<R>> {
        let open = |jobs: &VecDeque<Job<R>>| jobs.iter().position(Job::is_open);
        let lane = self.turns.iter().find(|lane| self.lanes.get(lane).and_then(open).is_some());
        let lane = lane.or(self.turns.front()).cloned()?;
        let at = self.lanes.get(&lane).and_then(open).unwrap_or(0);
        let job = self.remove(&lane, at)?;
        if let Some(turn) = self.turns.iter().position(|turn| *turn == lane) {
            self.turns.remove(turn);
            self.turns.push_back(lane);
        }
        Some(job)
    }

    /// Removes a waiting client, and its job if no other client waits for it. A running job is not in the queue.
    fn leave(&mut self, lane: &Lane, id: u64) -> Option<Job<R>> {
        let jobs = self.lanes.get_mut(lane)?;
        let at = jobs.iter().position(|job| job.waiters.iter().any(|waiter| waiter.id == id))?;
        let job = jobs.get_mut(at)?;
        job.waiters.retain(|waiter| waiter.id != id);
        if job.waiters.is_empty() { self.remove(lane, at) } else { None }
    }

    fn remove(&mut self, lane: &Lane, at: usize) -> Option<Job<R>> {
        let jobs = self.lanes.get_mut(lane)?;
        let job = jobs.remove(at)?;
        self.waiting -= 1;
        if jobs.is_empty() {
            self.lanes.remove(lane);
            self.turns.retain(|turn| turn != lane);
        }
        Some(job)
    }

    fn warn(&mut self) {
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now.saturating_duration_since(warned) >= WARN_EVERY) {
            self.warned = Some(now);
            tracing::warn!(
                waiting = self.waiting,
                addresses = self.lanes.len(),
                "too many passwords wait to be checked; further sign-ins get 503"
            );
        }
    }
}

impl<R> fmt::Debug for HashQueue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashQueue").field("waiting", &locked(&self.0).waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

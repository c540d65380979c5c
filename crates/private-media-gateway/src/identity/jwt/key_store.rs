//! The current keys of a source. A task keeps them up to date.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use private_media::IdentifyError;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::key_set::KeySet;
use crate::supervise::{self, Task};

/// The minimum time between the beginnings of two fetches for tokens with an unknown key.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);
/// How long a request with an unknown key waits for a fetch.
const UNKNOWN_KEY_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failed fetch. It doubles with each further failure.
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60);

/// The time of the next fetch of keys that are valid for longer than a clock can say.
const FAR_FUTURE: Duration = Duration::from_secs(366 * 86_400);

/// Keys, and how long to wait before they are fetched again.
pub(super) type Fetched = Result<(KeySet, Duration), String>;
/// Fetches the keys.
pub(super) type Fetch = Box<dyn Fn() -> BoxFuture<'static, Fetched> + Send + Sync>;

/// The current keys of a source. Cheap to clone. The task that fetches them ends with the last clone.
#[derive(Clone)]
pub(crate) struct KeyStore {
    keys: Keys,
    _task: Arc<Task>,
}

/// The keys, and how they are fetched.
#[derive(Clone)]
struct Keys(Arc<Inner>);

struct Inner {
    /// Where the keys come from, for the log.
    origin: String,
    fetch: Fetch,
    /// How long keys are used after the last successful fetch.
    max_stale: Duration,
    state: watch::Sender<State>,
    wanted: Notify,
}

struct State {
    keys: Option<Arc<KeySet>>,
    /// The number of the keys: it changes with them.
    generation: u64,
    /// The last successful fetch.
    fetched: Option<Instant>,
    /// The beginning of the last fetch.
    attempted: Option<Instant>,
    is_fetching: bool,
    /// The number of completed fetches.
    attempts: u64,
    /// The number of failures since the last success.
    failures: u32,
    next: Instant,
    error: Option<String>,
}

impl KeyStore {
    /// Fetches the keys, and starts a task that keeps them up to date. If the fetch fails, the store has no keys yet.
    pub(super) async fn open(origin: String, max_stale: Duration, fetch: Fetch) -> Self {
        let keys = Keys::new(origin, max_stale, fetch);
        keys.fetch().await;
        let fetched = keys.clone();
        let task = supervise::spawn("jwt keys", move || fetched.clone().keep_up_to_date());
        Self { keys, _task: Arc::new(task) }
    }

    /// Returns the current keys; an error if there are none, or only outdated ones.
    pub(super) fn current(&self) -> Result<Arc<KeySet>, IdentifyError> {
        self.keys.current()
    }

    /// Returns a number that changes with the keys.
    pub(super) fn generation(&self) -> u64 {
        self.keys.0.state.borrow().generation
    }

    /// Waits until the keys have been fetched again, because a token has an unknown key. Returns `false` immediately if they have
    /// been fetched within the last ten seconds. However many requests wait, there is one fetch.
    pub(super) async fn refresh(&self) -> bool {
        self.keys.refresh().await
    }
}

impl Keys {
    fn new(origin: String, max_stale: Duration, fetch: Fetch) -> Self {
        let state = State {
            keys: None,
            generation: 0,
            fetched: None,
            attempted: None,
            is_fetching: false,
            attempts: 0,
            failures: 0,
            next: Instant::now(),
            error: None,
        };
        let state = watch::Sender::new(state);
        Self(Arc::new(Inner { origin, fetch, max_stale, state, wanted: Notify::new() }))
    }

    fn current(&self) -> Result<Arc<KeySet>, IdentifyError> {
        let state = self.0.state.borrow();
        let error = || state.error.as_deref().unwrap_or("not fetched yet");
        match (&state.keys, state.fetched) {
            (Some(keys), Some(fetched)) if fetched.elapsed() <= self.0.max_stale => Ok(Arc::clone(keys)),
            (Some(_), _) => {
                Err(IdentifyError::new(format!("the keys of {} are too old: {}", self.0.origin, error())))
            }
            (None, _) => Err(IdentifyError::new(format!("no keys of {}: {}", self.0.origin, error()))),
        }
    }

    async fn refresh(&self) -> bool {
        let mut states = self.0.state.subscribe();
        let attempts = {
            let state = states.borrow();
            let is_recent = state.attempted.is_some_and(|at| at.elapsed() < UNKNOWN_KEY_INTERVAL);
            if is_recent && !state.is_fetching {
                return false;
            }
            state.attempts
        };
        self.0.wanted.notify_one();
        let fetched = states.wait_for(|state| state.attempts > attempts);
        timeout(UNKNOWN_KEY_TIMEOUT, fetched).await.is_ok_and(|fetched| fetched.is_ok())
    }

    async fn keep_up_to_date(self) {
        loop {
            let (next, attempted) = {
                let state = self.0.state.borrow();
                (state.next, state.attempted)
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.0.wanted.notified() => {
                    // The request may have been for the fetch that has just ended.
                    if attempted.is_some_and(|at| at.elapsed() < UNKNOWN_KEY_INTERVAL) {
                        continue;
                    }
                }
            }
            self.fetch().await;
        }
    }

    async fn fetch(&self) {
        self.0.state.send_modify(|state| {
            state.attempted = Some(Instant::now());
            state.is_fetching = true;
        });
        let fetched = (self.0.fetch)().await;
        self.apply(fetched);
    }

    fn apply(&self, fetched: Fetched) {
        let origin = &self.0.origin;
        self.0.state.send_modify(|state| {
            let now = Instant::now();
            state.is_fetching = false;
            state.attempts += 1;
            match fetched {
                Ok((keys, lifetime)) => {
                    if state.error.take().is_some() {
                        tracing::info!(origin, "the keys are available again");
                    }
                    if !state.keys.as_ref().is_some_and(|known| known.digest() == keys.digest()) {
                        if keys.is_empty() {
                            tracing::warn!(origin, "no key can verify a token, so every token is rejected");
                        }
                        state.keys = Some(Arc::new(keys));
                        state.generation += 1;
                    }
                    state.fetched = Some(now);
                    state.failures = 0;
                    state.next = now.checked_add(lifetime).unwrap_or(now + FAR_FUTURE);
                }
                Err(error) => {
                    if state.error.as_ref() != Some(&error) {
                        let effect = if state.keys.is_some() {
                            "the known keys stay in use"
                        } else {
                            "every token is denied"
                        };
                        tracing::error!(origin, error, "the keys cannot be fetched; {effect}");
                    }
                    state.error = Some(error);
                    let pause = MIN_RETRY.saturating_mul(2_u32.saturating_pow(state.failures));
                    state.failures = state.failures.saturating_add(1);
                    state.next = now + pause.min(MAX_RETRY);
                }
            }
        });
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("origin", &self.keys.0.origin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{advance, sleep};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// A key server that follows a script: the lifetime of its keys, or an error. It repeats the last line.
    #[derive(Clone)]
    struct Server {
        script: Arc<Mutex<VecDeque<Result<u64, &'static str>>>>,
        fetches: Arc<AtomicUsize>,
        latency: Duration,
    }

    impl Server {
        fn new(script: &[Result<u64, &'static str>]) -> Self {
            let script = Arc::new(Mutex::new(script.iter().copied().collect()));
            Self { script, fetches: Arc::default(), latency: Duration::ZERO }
        }

        fn fetches(&self) -> usize {
            self.fetches.load(Ordering::SeqCst)
        }

        /// The keys differ from fetch to fetch.
        async fn fetch(self) -> Fetched {
            let number = self.fetches.fetch_add(1, Ordering::SeqCst);
            sleep(self.latency).await;
            let mut script = self.script.lock().unwrap();
            let line = if script.len() > 1 { script.pop_front().unwrap() } else { script[0] };
            let json = format!("{{\"keys\": [], \"number\": {number}}}");
            Ok((KeySet::from_jwks(json.as_bytes()).unwrap(), Duration::from_secs(line?)))
        }

        async fn open(&self, max_stale: Duration) -> KeyStore {
            let server = self.clone();
            KeyStore::open("test".into(), max_stale, Box::new(move || Box::pin(server.clone().fetch()))).await
        }
    }

    /// Lets time pass in steps, so that tasks run in between.
    async fn pass(seconds: u64) {
        for _ in 0..seconds {
            sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fetched_when_their_lifetime_ends() {
        let server = Server::new(&[Ok(100)]);
        let store = server.open(DAY).await;
        assert_eq!((server.fetches(), store.generation()), (1, 1));
        pass(99).await;
        assert_eq!(server.fetches(), 1);
        pass(2).await;
        assert_eq!((server.fetches(), store.generation()), (2, 2));
        pass(1_000).await;
        assert_eq!(server.fetches(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_survive_an_outage_until_they_are_too_old() {
        let server = Server::new(&[Ok(100), Err("down")]);
        let store = server.open(Duration::from_secs(1_000)).await;
        let first = store.current().unwrap();
        pass(900).await;
        assert!(Arc::ptr_eq(&first, &store.current().unwrap()));
        // 1, 2, 4 … 60, 60 seconds after the first failure.
        assert!((12..25).contains(&server.fetches()), "{}", server.fetches());
        pass(200).await;
        let error = store.current().unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the keys of test are too old: down");
        *server.script.lock().unwrap() = [Ok(100)].into();
        pass(61).await;
        assert!(store.current().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn without_keys_there_is_an_error_until_the_server_is_up() {
        let server = Server::new(&[Err("down"), Err("down"), Ok(100)]);
        let store = server.open(DAY).await;
        let error = store.current().unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no keys of test: down");
        pass(4).await;
        assert!(store.current().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_cause_one_fetch_in_ten_seconds() {
        let mut server = Server::new(&[Ok(86_400)]);
        server.latency = Duration::from_secs(2);
        let store = server.open(DAY).await;
        assert!(!store.refresh().await, "the keys have just been fetched");
        pass(20).await;
        let stampede = (0..1_000).map(|_| store.refresh());
        let all = futures_util::future::join_all(stampede).await;
        assert!(all.iter().all(|refreshed| *refreshed));
        assert_eq!(server.fetches(), 2);
        for _ in 0..100 {
            store.refresh().await;
            advance(Duration::from_millis(100)).await;
        }
        pass(3).await;
        assert_eq!(server.fetches(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_does_not_wait_for_a_server_that_hangs() {
        let mut server = Server::new(&[Ok(86_400)]);
        let store = server.open(DAY).await;
        assert!(store.current().is_ok());
        server.latency = DAY;
        let slow = Keys::new("test".into(), DAY, Box::new(move || Box::pin(server.clone().fetch())));
        let begin = Instant::now();
        assert!(!slow.refresh().await);
        assert_eq!(begin.elapsed(), UNKNOWN_KEY_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_generation_changes_with_the_keys_only() {
        let same =
            || -> Fetched { Ok((KeySet::from_jwks(b"{\"keys\": []}").unwrap(), Duration::from_secs(60))) };
        let fetch: Fetch = Box::new(move || Box::pin(std::future::ready(same())));
        let store = KeyStore::open("test".into(), DAY, fetch).await;
        pass(600).await;
        assert_eq!(store.generation(), 1);
    }
}

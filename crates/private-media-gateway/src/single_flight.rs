//! One question at a time: requests that need the same answer wait for the same question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use private_media::decision_cache::CacheKey;

/// The questions that are being asked, by key. A question is asked as long as a request waits for it.
#[derive(Debug)]
pub(crate) struct SingleFlight<T> {
    running: Arc<Mutex<HashMap<CacheKey, Running<T>>>>,
}

type Question<T> = Shared<BoxFuture<'static, T>>;

#[derive(Debug)]
struct Running<T> {
    question: WeakShared<BoxFuture<'static, T>>,
    started: Instant,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    pub(crate) fn new() -> Self {
        Self { running: Arc::default() }
    }

    /// Returns the answer to the question with this key. A question that was started less than `max_age` ago is joined; otherwise
    /// `start` returns a new one, for the time at which it starts.
    pub(crate) async fn ask<F>(&self, key: CacheKey, max_age: Duration, start: impl FnOnce(Instant) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let now = Instant::now();
        let question = {
            let mut running = locked(&self.running);
            let joined = running.get(&key).filter(|running| now.duration_since(running.started) < max_age);
            match joined.and_then(|running| running.question.upgrade()) {
                Some(question) => question,
                None => self.start(&mut running, key, now, start(now)),
            }
        };
        question.await
    }

    fn start(
        &self,
        running: &mut HashMap<CacheKey, Running<T>>,
        key: CacheKey,
        started: Instant,
        question: impl Future<Output = T> + Send + 'static,
    ) -> Question<T> {
        let end = RemoveOnDrop { running: Arc::clone(&self.running), key, started };
        let question = async move {
            let _end = end;
            question.await
        };
        let question = question.boxed().shared();
        if let Some(weak) = question.downgrade() {
            running.insert(key, Running { question: weak, started });
        }
        question
    }
}

/// Removes a question that was answered, or that nobody waits for any more.
struct RemoveOnDrop<T> {
    running: Arc<Mutex<HashMap<CacheKey, Running<T>>>>,
    key: CacheKey,
    started: Instant,
}

impl<T> Drop for RemoveOnDrop<T> {
    fn drop(&mut self) {
        let mut running = locked(&self.running);
        // A later question may have the same key.
        if running.get(&self.key).is_some_and(|running| running.started == self.started) {
            running.remove(&self.key);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[derive(Clone)]
    struct Asked {
        flights: Arc<SingleFlight<usize>>,
        count: Arc<AtomicUsize>,
    }

    impl Asked {
        fn new() -> Self {
            Self { flights: Arc::new(SingleFlight::new()), count: Arc::default() }
        }

        /// Asks a question that takes 50 ms, and whose answer is its number.
        async fn ask(&self, key: &str, max_age: Duration) -> usize {
            let count = Arc::clone(&self.count);
            let question = |_| async move {
                let number = count.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(50)).await;
                number
            };
            self.flights.ask(CacheKey::of([key]), max_age, question).await
        }

        fn is_idle(&self) -> bool {
            locked(&self.flights.running).is_empty()
        }
    }

    #[tokio::test]
    async fn requests_at_the_same_time_share_a_question() {
        let asked = Asked::new();
        let answers = join_all((0..100).map(|n| asked.ask(if n % 2 == 0 { "a" } else { "b" }, MINUTE))).await;
        let (a, b): (Vec<_>, Vec<_>) = answers.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
        assert_eq!((a, b), (vec![0; 50], vec![1; 50]));
        assert_eq!((asked.ask("a", MINUTE).await, asked.is_idle()), (2, true));
    }

    /// An answer to an earlier question would be too old.
    #[tokio::test]
    async fn a_question_that_is_too_old_is_not_joined() {
        let asked = Asked::new();
        assert_eq!(tokio::join!(asked.ask("a", Duration::ZERO), asked.ask("a", Duration::ZERO)), (0, 1));
        let later = async {
            sleep(Duration::from_millis(20)).await;
            tokio::join!(asked.ask("a", Duration::from_millis(1)), asked.ask("a", MINUTE))
        };
        assert_eq!(tokio::join!(asked.ask("a", MINUTE), later), (2, (3, 3)));
        assert!(asked.is_idle());
    }

    #[tokio::test]
    async fn the_others_get_the_answer_if_the_first_leaves() {
        let asked = Asked::new();
        let (first, second) = (asked.clone(), asked.clone());
        let first = tokio::spawn(async move { first.ask("a", MINUTE).await });
        let second = tokio::spawn(async move { second.ask("a", MINUTE).await });
        sleep(Duration::from_millis(10)).await;
        first.abort();
        assert_eq!((second.await.unwrap(), asked.is_idle()), (0, true));
        // If all leave, nothing remains.
        let last = asked.clone();
        let last = tokio::spawn(async move { last.ask("a", MINUTE).await });
        sleep(Duration::from_millis(10)).await;
        assert!(!asked.is_idle());
        last.abort();
        assert!(last.await.is_err() && asked.is_idle());
        assert_eq!(asked.ask("a", MINUTE).await, 2);
    }

    /// Workers have runtimes of their own.
    #[test]
    fn a_question_is_shared_by_several_runtimes() {
        let (asked, all) = (Asked::new(), std::sync::Barrier::new(4));
        let ask = || {
            all.wait();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(asked.ask("a", MINUTE))
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|answer| *answer == 0), "{answers:?}");
    }
}

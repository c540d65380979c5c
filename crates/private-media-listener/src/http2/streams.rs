//! The tasks of a connection's streams.
//!
//! A stream waits for its client when the client's windows are full. The socket is writable then, so the minimum rate of the connection
//! does not notice. Each task measures its own stream instead, and resets it if the client receives too slowly.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::rt::Executor;
use tokio::task::JoinSet;

use crate::min_rate::MinRate;

/// The longest piece that a body returns. It bounds the memory of a stream whose client receives slowly, and is the usual length of a
/// frame.
pub(super) const PIECE: usize = 16 << 10;

/// The progress of one response.
#[derive(Debug, Default)]
pub(super) struct Progress {
    sent: AtomicU64,
    waits_for_client: AtomicBool,
}

impl Progress {
    /// The server has nothing to send yet.
    pub(super) fn waits_for_server(&self) {
        self.waits_for_client.store(false, Ordering::Relaxed);
    }

    /// This many bytes wait for the client.
    pub(super) fn waits_for_client(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.waits_for_client.store(true, Ordering::Relaxed);
    }
}

/// The executor of a connection: hyper gives it the task of each stream. Dropping the last clone aborts them.
#[derive(Clone)]
pub(super) struct Streams {
    shared: Arc<Mutex<Shared>>,
    min_rate: u64,
}

struct Shared {
    tasks: JoinSet<()>,
    /// The progress of the stream whose task hyper is going to spawn.
    next: Option<Arc<Progress>>,
}

impl Streams {
    pub(super) fn new(min_rate: u64) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { tasks: JoinSet::new(), next: None })), min_rate }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the progress of the next stream. hyper calls the service and spawns the task of its stream in one step.
    pub(super) fn expect_stream(&self) -> Arc<Progress> {
        Arc::clone(self.lock().next.insert(Arc::default()))
    }

    /// Returns the number of open streams. The current task is woken when one ends.
    pub(super) fn poll_open(&self, context: &mut Context<'_>) -> usize {
        let mut shared = self.lock();
        while let Poll::Ready(Some(_)) = shared.tasks.poll_join_next(context) {}
        shared.tasks.len()
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut shared = self.lock();
        let progress = shared.next.take().unwrap_or_default();
        let task = PacedStream::new(stream, progress, self.min_rate);
        shared.tasks.spawn(task);
    }
}

/// The task of a stream, which ends if its client receives too slowly. Dropping the stream resets it.
struct PacedStream<F> {
    stream: Pin<Box<F>>,
    progress: Arc<Progress>,
    rate: MinRate,
    counted: u64,
}

impl<F> PacedStream<F> {
    fn new(stream: F, progress: Arc<Progress>, min_rate: u64) -> Self {
        // Progress shows when a piece is sent, so a window is longer by the time that one may take.
        let rate = MinRate::in_steps(min_rate, PIECE as u64);
        Self { stream: Box::pin(stream), progress, rate, counted: 0 }
    }
}

impl<F: Future<Output = ()>> Future for PacedStream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let sent = self.progress.sent.load(Ordering::Relaxed);
        let new = sent - std::mem::replace(&mut self.counted, sent);
        if new > 0 {
            self.rate.count(usize::try_from(new).unwrap_or(usize::MAX));
        }
        if !self.progress.waits_for_client.load(Ordering::Relaxed) {
            self.rate.restart();
            return Poll::Pending;
        }
        ready!(self.rate.poll_too_slow(context));
        tracing::debug!("stream reset: the client receives too slowly");
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    /// Runs a stream that takes a piece every `pause`, or never. Returns when it is reset.
    async fn reset_after(pause: Option<Duration>) -> Option<Duration> {
        let streams = Streams::new(512);
        let progress = streams.expect_stream();
        let begin = Instant::now();
        streams.execute(async move {
            progress.waits_for_client(PIECE);
            if let Some(pause) = pause {
                for _ in 0..1000 {
                    sleep(pause).await;
                    progress.waits_for_server();
                    progress.waits_for_client(PIECE);
                }
            } else {
                pending::<()>().await;
            }
        });
        std::future::poll_fn(|context| match streams.poll_open(context) {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
        let took = begin.elapsed();
        (pause.is_none_or(|pause| took < 1000 * pause)).then_some(took)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_only_if_its_client_is_too_slow() {
        let seconds = Duration::from_secs;
        // 16 KiB in 31 seconds are more than 512 bytes per second.
        assert_eq!(reset_after(Some(seconds(31))).await, None);
        assert_eq!(reset_after(Some(seconds(1))).await, None);
        let slow = reset_after(Some(seconds(70))).await.unwrap();
        assert!(slow < seconds(140), "{slow:?}");
        let stalled = reset_after(None).await.unwrap();
        assert!(stalled < seconds(65), "{stalled:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_server_has_nothing_to_send_does_not_count() {
        let streams = Streams::new(512);
        let progress = streams.expect_stream();
        let begin = Instant::now();
        streams.execute(async move {
            for _ in 0..20 {
                progress.waits_for_client(100);
                sleep(Duration::from_secs(1)).await;
                progress.waits_for_server();
                sleep(Duration::from_secs(60)).await;
            }
        });
        std::future::poll_fn(|context| match streams.poll_open(context) {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
        assert_eq!(begin.elapsed(), Duration::from_secs(20 * 61));
    }
}

//! The deadline of a request head, or of an idle connection.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The deadline of a request head. Its timer is reset only when it fires, not for each request.
pub(crate) struct Deadline {
    timeout: Duration,
    at: Instant,
    timer: Pin<Box<Sleep>>,
    /// Whether the timer wakes the task when it rings.
    is_registered: bool,
    is_shortened: bool,
}

impl Deadline {
    pub(crate) fn new(timeout: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(timeout));
        Self { timeout, at: timer.deadline(), timer, is_registered: false, is_shortened: false }
    }

    pub(crate) fn restart(&mut self) {
        self.at = Instant::now() + self.timeout;
    }

    /// Sets an earlier deadline, once.
    pub(crate) fn shorten(&mut self, timeout: Duration) {
        let at = Instant::now() + timeout;
        if !self.is_shortened && at < self.at {
            self.at = at;
            self.timer.as_mut().reset(at);
            self.is_registered = false;
        }
        self.is_shortened = true;
    }

    /// Ready at the deadline. All calls have to come from one task: a timer that wakes it is not polled again before it rings.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.is_registered || self.timer.is_elapsed() {
            // A task without budget would get `Pending` from a timer that is not registered.
            let timer = pin!(tokio::task::unconstrained(self.timer.as_mut()));
            self.is_registered = timer.poll(context).is_pending();
            if !self.is_registered {
                if self.timer.deadline() >= self.at {
                    return Poll::Ready(());
                }
                self.timer.as_mut().reset(self.at);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_timer_serves_every_deadline() {
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        let mut deadline = Deadline::new(15 * second);
        // Heads that arrive in time, although the timer fires for an earlier deadline meanwhile.
        for _ in 0..100 {
            deadline.restart();
            let waiting = poll_fn(|context| deadline.poll(context));
            assert!(tokio::time::timeout(second, waiting).await.is_err());
        }
        deadline.restart();
        poll_fn(|context| deadline.poll(context)).await;
        assert_eq!(begin.elapsed().as_secs(), 115);
        deadline.restart();
        poll_fn(|context| deadline.poll(context)).await;
        assert_eq!(begin.elapsed().as_secs(), 130);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_shortened_once() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut deadline = Deadline::new(15 * second);
        let waiting = poll_fn(|context| deadline.poll(context));
        assert!(tokio::time::timeout(second, waiting).await.is_err());
        for _ in 0..3 {
            deadline.shorten(2 * second);
            let waiting = poll_fn(|context| deadline.poll(context));
            let _ = tokio::time::timeout(second, waiting).await;
        }
        poll_fn(|context| deadline.poll(context)).await;
        assert_eq!(begin.elapsed().as_secs(), 3);
    }
}

//! The deadlines of one connection, one after the other, on one timer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

/// Each request has a deadline, and hyper makes a timer for each. Here they share one, which is set anew only when it has rung: that
/// is once in the time that a request may take, and not at each. So each deadline has to be later than the one before.
#[derive(Clone)]
pub(crate) struct Deadlines(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl Deadlines {
    /// None of them is earlier than this.
    pub(crate) fn new(first: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(first)))))
    }
}

impl Timer for Deadlines {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline { timer: self.clone(), at: deadline.into() })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

struct Deadline {
    timer: Deadlines,
    at: Instant,
}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= self.at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.at);
        }
    }
}

impl Sleep for Deadline {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_rings_when_it_is_due() {
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        let deadlines = Deadlines::new(15 * second);
        // Some that are over before they ring, and one that rings while others would have.
        for _ in 0..100 {
            let waiting = deadlines.sleep(15 * second);
            assert!(tokio::time::timeout(second, waiting).await.is_err());
        }
        deadlines.sleep(15 * second).await;
        assert_eq!(begin.elapsed().as_secs(), 115);
        deadlines.sleep(20 * second).await;
        assert_eq!(begin.elapsed().as_secs(), 135);
    }
}

//! Shares a thread among connections that send files.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

/// How many bytes one connection may send before the others get their turn.
pub(crate) const TURN: usize = 1 << 20;
/// The same while other clients receive small responses, which would wait much longer for such a turn than for their own bytes.
pub(crate) const SHORT_TURN: usize = 64 << 10;

thread_local! {
    /// The number of small responses that this thread has sent.
    static SMALL: Cell<u64> = const { Cell::new(0) };
}

/// Counts a small response of this thread.
pub(crate) fn count_small() {
    SMALL.set(SMALL.get() + 1);
}

/// The turn of a connection that sends a file.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The number of bytes that were sent in this turn.
    sent: usize,
    /// The number of bytes that this turn allows.
    limit: usize,
    /// The value of [`SMALL`] when the turn began.
    small: u64,
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self { sent: 0, limit: TURN, small: SMALL.get() }
    }

    /// Starts a new turn at the next file.
    pub(crate) fn restart(&mut self) {
        self.sent = 0;
    }

    /// Counts bytes that were sent.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// Returns how many bytes may be sent. At the end of a turn, the task is polled again after the others.
    pub(crate) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        if self.sent >= self.limit {
            self.sent = 0;
            let mut turn = pin!(tokio::task::yield_now());
            if turn.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        if self.sent == 0 {
            let small = SMALL.get();
            self.limit = if std::mem::replace(&mut self.small, small) == small { TURN } else { SHORT_TURN };
        }
        Poll::Ready(self.limit - self.sent)
    }
}

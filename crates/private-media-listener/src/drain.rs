//! Tells connections that the server is draining.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use tokio::sync::watch;

/// Starts the drain when it is dropped.
pub(crate) struct StartDrain {
    retiring: Arc<AtomicBool>,
    _stop: watch::Sender<()>,
}

impl StartDrain {
    /// Lets each connection end after its next response. Idle ones stay open until their timeout.
    pub(crate) fn retire(&self) {
        self.retiring.store(true, Ordering::Relaxed);
    }
}

/// A connection's view of the drain.
pub(crate) struct Drain {
    retiring: Arc<AtomicBool>,
    started: watch::Receiver<()>,
    /// Wakes the connection's task when a drain starts; registered when the connection first becomes idle.
    wakeup: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Drain {
    pub(crate) fn new() -> (StartDrain, Self) {
        let (stop, started) = watch::channel(());
        let retiring = Arc::new(AtomicBool::new(false));
        (
            StartDrain { retiring: Arc::clone(&retiring), _stop: stop },
            Self { retiring, started, wakeup: None },
        )
    }

    /// Returns whether a connection ends after the current response.
    pub(crate) fn is_last_response(&self) -> bool {
        self.retiring.load(Ordering::Relaxed) || self.has_started()
    }

    /// Returns whether the drain has started, so that idle connections are closed.
    pub(crate) fn has_started(&self) -> bool {
        self.started.has_changed().unwrap_or(true)
    }

    /// Registers the current task to be woken when the drain starts.
    pub(crate) fn register(&mut self, context: &mut Context<'_>) {
        if self.wakeup.is_none() {
            let mut started = self.started.clone();
            let mut wakeup: Pin<Box<dyn Future<Output = ()> + Send + Sync>> = Box::pin(async move {
                let _ = started.changed().await;
            });
            let _ = wakeup.as_mut().poll(context);
            self.wakeup = Some(wakeup);
        }
    }
}

impl Clone for Drain {
    fn clone(&self) -> Self {
        Self { retiring: Arc::clone(&self.retiring), started: self.started.clone(), wakeup: None }
    }
}

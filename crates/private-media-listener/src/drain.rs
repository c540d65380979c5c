//! Tells connections that the server is draining.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use tokio::sync::watch;

/// Starts the drain when it is dropped.
pub(crate) type StartDrain = watch::Sender<()>;

/// A connection's view of the drain.
pub(crate) struct Drain {
    started: watch::Receiver<()>,
    /// Wakes the connection's task when a drain starts; registered when the connection first becomes idle.
    wakeup: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Drain {
    pub(crate) fn new() -> (StartDrain, Self) {
        let (start, started) = watch::channel(());
        (start, Self { started, wakeup: None })
    }

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
        Self { started: self.started.clone(), wakeup: None }
    }
}

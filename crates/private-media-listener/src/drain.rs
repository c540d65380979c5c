//! The state of a shutdown, as connections see it.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use tokio::sync::watch;

/// Starts a drain. Dropping it starts one too.
pub(crate) type StartDrain = watch::Sender<()>;

/// Tells a connection whether the server is draining.
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

    /// Has this task woken when a drain starts.
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

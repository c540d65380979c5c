//! Handles signals: SIGINT and SIGTERM stop the process, SIGHUP reloads the configuration, and SIGUSR2 upgrades the program.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::panic::AssertUnwindSafe;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::log;
use crate::notify;

/// How long the workers may take to stop after `limits.shutdown_timeout`, before the process exits without them.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long the workers may take after a second signal.
const FORCED_GRACE: Duration = Duration::from_secs(2);
/// How long the last audit records may take before the process exits without the workers.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The way in which the server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// Running downloads ended within the shutdown timeout, or were cut off after it.
    Graceful,
    /// A second signal ended it at once.
    Forced,
}

impl From<Shutdown> for ExitCode {
    /// A forced shutdown has exit code 130, as after ctrl-c.
    fn from(shutdown: Shutdown) -> Self {
        match shutdown {
            Shutdown::Graceful => Self::SUCCESS,
            Shutdown::Forced => Self::from(130),
        }
    }
}

/// What signals have requested. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    pub(crate) stop: Stop,
    /// The number of reloads that were requested.
    pub(crate) reloads: watch::Receiver<u64>,
    /// The number of upgrades that were requested.
    pub(crate) upgrades: watch::Receiver<u64>,
    /// Whether another process serves the same sockets, and this one accepts no more connections.
    pub(crate) retire: watch::Sender<bool>,
}

impl Signals {
    /// Waits until another process serves the same sockets.
    pub(crate) async fn retired(&self) {
        // This cannot fail, because `self` is a sender.
        let _ = self.retire.subscribe().wait_for(|is_retired| *is_retired).await;
    }

    pub(crate) fn is_retired(&self) -> bool {
        *self.retire.borrow()
    }
}

/// The request to stop the process, gracefully or immediately. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    requests: watch::Sender<u8>,
    /// Dropping the last clone ends the thread that handles signals.
    _running: mpsc::Sender<Infallible>,
}

impl Stop {
    /// Waits for the first request to stop.
    pub(crate) async fn requested(&self) {
        self.reached(1).await;
    }

    /// Waits for the request to stop immediately.
    pub(crate) async fn forced(&self) {
        self.reached(2).await;
    }

    /// Stops all workers immediately.
    pub(crate) fn force(&self) {
        self.requests.send_modify(|requests| *requests = (*requests).max(2));
    }

    async fn reached(&self, count: u8) {
        // This cannot fail, because `self` is a sender.
        let _ = self.requests.subscribe().wait_for(|requests| *requests >= count).await;
    }
}

/// Writes what must not be lost if the process exits while a worker hangs. Returns after the given time at the latest.
pub(crate) type Flush = Arc<dyn Fn(Duration) + Send + Sync>;

/// Starts a thread that handles signals, so that the process can exit while a worker hangs. A service can be upgraded, and reports to
/// systemd. `flush` is called before such an exit.
pub(crate) fn handle(shutdown_timeout: Duration, is_service: bool, flush: Flush) -> io::Result<Signals> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let received = {
        let _context = runtime.enter();
        Received::register(is_service)?
    };
    let (requests, (running, ended)) = (watch::Sender::new(0), mpsc::channel(1));
    let ((reload, reloads), (upgrade, upgrades)) = (watch::channel(0), watch::channel(0));
    let stop = Stop { requests: requests.clone(), _running: running };
    let retire = watch::Sender::new(false);
    let to = Senders { requests, reload, upgrade, retire: retire.clone(), is_service };
    let run = move || {
        let run = || run(&runtime, received, &to, ended, shutdown_timeout);
        match std::panic::catch_unwind(AssertUnwindSafe(run)) {
            Ok(None) => {}
            Ok(Some(code)) => exit("the workers did not stop in time", code, &*flush),
            Err(_) => exit("the thread that handles signals has panicked", 1, &*flush),
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(run)?;
    Ok(Signals { stop, reloads, upgrades, retire })
}

/// The receivers of the signals, which the thread that handles them notifies.
struct Senders {
    requests: watch::Sender<u8>,
    reload: watch::Sender<u64>,
    upgrade: watch::Sender<u64>,
    retire: watch::Sender<bool>,
    is_service: bool,
}

/// Handles signals until the workers have stopped. Returns the exit code if they have not stopped in time.
fn run(
    runtime: &Runtime,
    mut received: Received,
    to: &Senders,
    mut ended: mpsc::Receiver<Infallible>,
    shutdown_timeout: Duration,
) -> Option<i32> {
    let requests = &to.requests;
    let mut changes = requests.subscribe();
    let (mut is_forced, mut deadline) = (false, None);
    runtime.block_on(async {
        loop {
            tokio::select! {
                _ = ended.recv() => return None,
                () = received.hangup.recv() => {
                    tracing::info!("SIGHUP: reloading the configuration");
                    to.reload.send_modify(|count| *count = count.wrapping_add(1));
                }
                () = received.upgrade.recv() => to.upgrade.send_modify(|count| *count = count.wrapping_add(1)),
                () = received.stop.recv() => {
                    tracing::info!("stopping: running downloads may end; another signal stops at once");
                    if to.is_service && !*to.retire.borrow() {
                        notify::stopping();
                    }
                    requests.send_modify(|count| *count = count.saturating_add(1));
                }
                _ = changes.changed() => {
                    // Further signals do not extend the deadline.
                    if is_forced {
                        continue;
                    }
                    is_forced = *changes.borrow_and_update() > 1;
                    let (grace, code) =
                        if is_forced { (FORCED_GRACE, 130) } else { (shutdown_timeout.saturating_add(STOP_GRACE), 1) };
                    deadline = Instant::now().checked_add(grace).map(|time| (time, code));
                }
                code = expired(deadline) => return Some(code),
            }
        }
    })
}

async fn expired(deadline: Option<(Instant, i32)>) -> i32 {
    let Some((time, code)) = deadline else { return pending().await };
    sleep_until(time).await;
    code
}

fn exit(problem: &str, code: i32, flush: &dyn Fn(Duration)) -> ! {
    tracing::error!("{problem}; the process ends");
    flush(FLUSH_TIMEOUT);
    log::flush(log::FLUSH_TIMEOUT);
    process::exit(code)
}

struct Received {
    stop: StopSignals,
    hangup: Ignorable,
    upgrade: Ignorable,
}

impl Received {
    fn register(is_service: bool) -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let upgrade = is_service.then(|| signal(SignalKind::user_defined2())).transpose()?;
        let stop = StopSignals { interrupt, terminate };
        Ok(Self { stop, hangup: Ignorable::hangup()?, upgrade: Ignorable(upgrade) })
    }
}

/// Receives SIGINT and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Receives a signal, or never.
struct Ignorable(Option<Signal>);

impl Ignorable {
    /// Receives SIGHUP. If it was ignored when the process started, as under nohup, it stays ignored.
    fn hangup() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let is_ignored = is_ignored(&status, SignalKind::hangup());
        Ok(Self(if is_ignored { None } else { Some(signal(SignalKind::hangup())?) }))
    }

    async fn recv(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => pending().await,
        }
    }
}

/// Returns whether a process with this `/proc/PID/status` ignores a signal.
fn is_ignored(status: &str, signal: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal.as_raw_value() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_parsed_from_the_status() {
        for (status, ignored) in [
            ("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("SigIgn:\tnone\n", false),
            ("", false),
        ] {
            assert_eq!(is_ignored(status, SignalKind::hangup()), ignored, "{status:?}");
        }
    }

    #[tokio::test]
    async fn a_forced_stop_reaches_every_clone() {
        let stop = handle(Duration::from_secs(60), false, Arc::new(|_| ())).unwrap().stop;
        let other = stop.clone();
        other.force();
        stop.requested().await;
        stop.forced().await;
    }
}

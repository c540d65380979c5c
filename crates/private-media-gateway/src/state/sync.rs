//! Keeps the memory of a gateway and the store in sync.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use private_media::Accounts;
use tokio::sync::watch;

use super::State;
use super::error::StateError;
use super::gateways::digest_text;
use super::revocations::StoredRevocations;
use super::url::StateUrl;
use crate::health::Health;
use crate::supervise;

/// The interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The interval of purges.
const PURGE: Duration = Duration::from_secs(3600);
/// If the clock runs ahead by more than this between two purges, the purge is skipped.
const CLOCK_JUMP: Duration = Duration::from_secs(300);

/// A store that is synced in the background, as long as the runtime runs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RunningState {
    state: State,
    health: Health,
    accounts: watch::Sender<Synced>,
}

/// The accounts whose revocations are synced, and how late those of other gateways may take effect.
#[derive(Clone)]
struct Synced {
    accounts: Option<Accounts>,
    cache_ttl: Duration,
}

/// Opens the store of a gateway, loads it, and syncs it in the background. Revocations of other gateways take effect here within
/// `cache_ttl`. `None` if the state is in memory.
pub(crate) async fn start(
    url: &StateUrl,
    accounts: Option<Accounts>,
    name: String,
    cache_ttl: Duration,
    health: Health,
) -> Result<Option<RunningState>, StateError> {
    let Some(state) = State::open(url).await? else { return Ok(None) };
    let id =
        format!("{:016x}", getrandom::u64().map_err(|error| StateError::Io(std::io::Error::other(error)))?);
    let (sender, receiver) = watch::channel(Synced { accounts: None, cache_ttl });
    let running = RunningState { state: state.clone(), health: health.clone(), accounts: sender };
    running.prepare(accounts.as_ref()).await?;
    running.replace_accounts(accounts, cache_ttl);
    let sync = Sync { state, accounts: receiver, id, name, health };
    sync.clone().round(&mut Progress::default()).await?;
    supervise::spawn("state", move || sync.clone().run()).detach();
    Ok(Some(running))
}

impl RunningState {
    /// Puts all stored revocations in force for new accounts, and stores theirs from now on.
    pub(crate) async fn prepare(&self, accounts: Option<&Accounts>) -> Result<(), StateError> {
        let Some(accounts) = accounts else { return Ok(()) };
        let (state, health) = (self.state.clone(), self.health.clone());
        accounts.set_revocation_store(Arc::new(StoredRevocations { state, health }));
        accounts.apply_revocations(self.state.load_revocations(0).await?.revocations);
        Ok(())
    }

    /// Syncs these accounts from now on.
    pub(crate) fn replace_accounts(&self, accounts: Option<Accounts>, cache_ttl: Duration) {
        self.accounts.send_replace(Synced { accounts, cache_ttl });
    }
}

/// Puts the revocations of an existing store in force once, for commands that serve nothing.
pub(crate) async fn apply_revocations(url: &StateUrl, accounts: &Accounts) -> Result<(), StateError> {
    if let Some(state) = State::open_to_read(url).await? {
        accounts.apply_revocations(state.load_revocations(0).await?.revocations);
    }
    Ok(())
}

#[derive(Clone)]
struct Sync {
    state: State,
    accounts: watch::Receiver<Synced>,
    /// The identifier of this process.
    id: String,
    name: String,
    health: Health,
}

/// The progress of the sync.
#[derive(Default)]
struct Progress {
    seq: i64,
    recorded: Option<(Instant, String)>,
    purged: Option<(Instant, SystemTime)>,
}

impl Sync {
    async fn run(mut self) {
        let mut progress = Progress::default();
        loop {
            match self.round(&mut progress).await {
                Ok(()) => self.health.set("state", Ok(())),
                Err(error) => self.health.set("state", Err(&error)),
            }
            // Half of the promised time, because a round takes time, too.
            let every = (self.accounts.borrow().cache_ttl / 2)
                .clamp(Duration::from_millis(100), Duration::from_secs(30));
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                // Without a sender, the accounts do not change.
                Ok(()) = self.accounts.changed() => progress.seq = 0,
            }
        }
    }

    async fn round(&mut self, progress: &mut Progress) -> Result<(), StateError> {
        let accounts = self.accounts.borrow().accounts.clone();
        if self.state.reopen_if_replaced().await? {
            tracing::warn!("the state file was removed or replaced; storing the revocations in memory again");
            *progress = Progress::default();
            if let Some(accounts) = &accounts {
                accounts.mark_revocations_unstored().await;
            }
        }
        if let Some(accounts) = &accounts {
            let loaded = self.state.load_revocations(progress.seq).await?;
            if loaded.is_older {
                tracing::warn!(
                    "the state store is older than before; storing the revocations in memory again"
                );
                accounts.mark_revocations_unstored().await;
            }
            accounts.apply_revocations(loaded.revocations);
            progress.seq = loaded.seq;
            accounts
                .store_revocations()
                .await
                .map_err(|error| StateError::Io(std::io::Error::other(error.to_string())))?;
            self.purge(accounts, progress).await?;
        }
        self.record(accounts.as_ref(), progress).await
    }

    async fn record(&self, accounts: Option<&Accounts>, progress: &mut Progress) -> Result<(), StateError> {
        let accounts = accounts.map(|accounts| digest_text(accounts.digest())).unwrap_or_default();
        let is_recorded =
            |(at, recorded): &(Instant, String)| at.elapsed() < HEARTBEAT && *recorded == accounts;
        if !progress.recorded.as_ref().is_some_and(is_recorded) {
            self.state.record_gateway(&self.id, &self.name, &accounts).await?;
            progress.recorded = Some((Instant::now(), accounts));
        }
        Ok(())
    }

    /// Deletes expired sessions once an hour, unless the clock has jumped.
    async fn purge(&self, accounts: &Accounts, progress: &mut Progress) -> Result<(), StateError> {
        let now = (Instant::now(), SystemTime::now());
        let Some((then, clock_then)) = progress.purged else {
            progress.purged = Some(now);
            return Ok(());
        };
        let elapsed = now.0.duration_since(then);
        if elapsed < PURGE {
            return Ok(());
        }
        progress.purged = Some(now);
        if is_steady(elapsed, clock_then, now.1) {
            accounts.purge_revocations();
            self.state.purge_revocations(now.1).await?;
        }
        Ok(())
    }
}

/// Returns whether the clock advanced by about the elapsed time.
fn is_steady(elapsed: Duration, before: SystemTime, after: SystemTime) -> bool {
    after.duration_since(before).is_ok_and(|by_clock| by_clock < elapsed + CLOCK_JUMP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_skips_the_purge() {
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let hour = Duration::from_secs(3600);
        assert!(is_steady(hour, before, before + hour));
        assert!(is_steady(hour, before, before + hour + Duration::from_secs(60)));
        assert!(!is_steady(hour, before, before + 24 * hour));
        assert!(!is_steady(hour, before, before - hour), "back");
    }
}

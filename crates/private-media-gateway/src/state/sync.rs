//! Keeps the memory of a gateway and the store alike.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use private_media::Accounts;

use super::gateways::digest_text;
use super::revocations::StoredRevocations;
use super::{State, StateError, StateUrl};
use crate::health::Health;
use crate::supervise;

/// How often a gateway says that it runs.
const HEARTBEAT: Duration = Duration::from_secs(5);
const PURGE: Duration = Duration::from_secs(3600);
/// A clock that ran ahead by more than this since the last purge is not believed until the next.
const CLOCK_JUMP: Duration = Duration::from_secs(300);

/// Opens the store for a gateway, takes up what it holds, and keeps at it in the background: what another gateway stores is in force
/// here within `cache`.
pub(crate) async fn start(
    url: &StateUrl,
    accounts: Option<Accounts>,
    name: String,
    cache: Duration,
    health: Health,
) -> Result<(), StateError> {
    let Some(state) = State::open(url).await? else { return Ok(()) };
    let id =
        format!("{:016x}", getrandom::u64().map_err(|error| StateError::Io(std::io::Error::other(error)))?);
    let sync = Arc::new(Sync { state, accounts, id, name, health });
    if let Some(accounts) = &sync.accounts {
        accounts.set_revocation_store(Arc::new(StoredRevocations {
            state: sync.state.clone(),
            health: sync.health.clone(),
        }));
    }
    sync.round(&mut Progress::default()).await?;
    // Twice as often as promised, as a round takes its time.
    let every = (cache / 2).clamp(Duration::from_millis(100), Duration::from_secs(30));
    supervise::spawn("state", move || Arc::clone(&sync).run(every));
    Ok(())
}

struct Sync {
    state: State,
    accounts: Option<Accounts>,
    /// Of this process.
    id: String,
    name: String,
    health: Health,
}

/// How far the memory is.
#[derive(Default)]
struct Progress {
    seq: i64,
    recorded: Option<(Instant, String)>,
    purged: Option<(Instant, SystemTime)>,
}

impl Sync {
    async fn run(self: Arc<Self>, every: Duration) {
        let mut progress = Progress::default();
        loop {
            match self.round(&mut progress).await {
                Ok(()) => self.health.set("state", Ok(())),
                Err(error) => self.health.set("state", Err(&error)),
            }
            tokio::time::sleep(every).await;
        }
    }

    async fn round(&self, progress: &mut Progress) -> Result<(), StateError> {
        if self.state.reopen_if_replaced().await? {
            tracing::warn!("the state file was removed or replaced; storing again what is in memory");
            *progress = Progress::default();
            if let Some(accounts) = &self.accounts {
                accounts.mark_revocations_unstored().await;
            }
        }
        if let Some(accounts) = &self.accounts {
            let loaded = self.state.load_revocations(progress.seq).await?;
            if loaded.is_older {
                tracing::warn!("the state store is older than it was; storing again what is in memory");
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
        self.record(progress).await
    }

    async fn record(&self, progress: &mut Progress) -> Result<(), StateError> {
        let accounts =
            self.accounts.as_ref().map(|accounts| digest_text(accounts.digest())).unwrap_or_default();
        let is_recorded =
            |(at, recorded): &(Instant, String)| at.elapsed() < HEARTBEAT && *recorded == accounts;
        if !progress.recorded.as_ref().is_some_and(is_recorded) {
            self.state.record_gateway(&self.id, &self.name, &accounts).await?;
            progress.recorded = Some((Instant::now(), accounts));
        }
        Ok(())
    }

    /// Forgets expired sessions once an hour, if the clock did not jump meanwhile.
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

/// Returns whether the clock went on as much as time did.
fn is_steady(elapsed: Duration, before: SystemTime, after: SystemTime) -> bool {
    after.duration_since(before).is_ok_and(|by_clock| by_clock < elapsed + CLOCK_JUMP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ahead_is_not_believed() {
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let hour = Duration::from_secs(3600);
        assert!(is_steady(hour, before, before + hour));
        assert!(is_steady(hour, before, before + hour + Duration::from_secs(60)));
        assert!(!is_steady(hour, before, before + 24 * hour));
        assert!(!is_steady(hour, before, before - hour), "back");
    }
}

//! Sessions that have ended before their expiry.
//!
//! Each request is decided in memory. A store, if there is one, is written after memory, and read by a background task.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use foldhash::fast::RandomState;

use super::revocation::{Revocation, RevocationError, RevocationStore};
use super::session::{Session, microseconds, seconds};

/// The maximum number of ended sessions of an account that are stored individually. With more, all sessions issued until then are void.
const MAX_PER_ACCOUNT: usize = 1000;
/// The maximum number of revocations that are stored in one call.
const MAX_BATCH: usize = 500;
/// How long an expired session is still stored, because the clock may be wrong.
const PURGE_MARGIN: Duration = Duration::from_secs(86_400);
/// The minimum number of sessions before expired ones are purged.
const MIN_PURGE: usize = 10_000;

type Id = [u8; 16];

#[derive(Default)]
pub(super) struct EndedSessions {
    sets: RwLock<Sets>,
    pub(super) store: OnceLock<Arc<dyn RevocationStore>>,
    /// Locked while revocations are stored, so that waiting sign-outs are stored together.
    storing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Sets {
    sessions: HashMap<Id, Ended, RandomState>,
    /// The last void time of issue, by account.
    cutoffs: HashMap<Arc<str>, u64, RandomState>,
    ids: HashMap<Arc<str>, HashSet<Id, RandomState>, RandomState>,
    unstored_sessions: HashSet<Id, RandomState>,
    unstored_cutoffs: HashSet<Arc<str>, RandomState>,
    /// The number of sessions at which expired ones are purged.
    purge_at: usize,
}

struct Ended {
    account: Arc<str>,
    issued: u64,
    expires: u64,
}

impl Ended {
    fn is_purgeable(&self, now: SystemTime) -> bool {
        self.expires.saturating_add(PURGE_MARGIN.as_secs()) < seconds(now)
    }
}

impl EndedSessions {
    /// Returns whether a session has ended.
    pub(super) fn contains(&self, session: &Session) -> bool {
        let sets = self.read();
        sets.sessions.contains_key(&session.id) || sets.is_cut_off(&session.name, session.issued)
    }

    /// Returns the time of issue of a new session: now, or just after the cutoff of the account.
    pub(super) fn issue_time(&self, account: &str, now: SystemTime) -> u64 {
        let after_cutoff = self.read().cutoffs.get(account).map_or(0, |cutoff| cutoff.saturating_add(1));
        microseconds(now).max(after_cutoff)
    }

    pub(super) fn end(&self, session: &Session, now: SystemTime) {
        let ended = Ended {
            account: session.name.as_str().into(),
            issued: session.issued,
            expires: seconds(session.expires),
        };
        let has_store = self.store.get().is_some();
        let mut sets = self.write();
        if !has_store {
            // With a store, the background task purges memory and store.
            sets.purge_if_large(now);
        }
        sets.add(session.id, ended, has_store, now);
    }

    pub(super) fn apply(&self, stored: impl IntoIterator<Item = Revocation>, now: SystemTime) {
        let mut sets = self.write();
        for revocation in stored {
            match revocation {
                Revocation::Session { account, id, issued, expires } => {
                    sets.unstored_sessions.remove(&id);
                    sets.add(id, Ended { account, issued, expires }, false, now);
                }
                Revocation::IssuedUntil { account, until } => sets.cut_off(account, until, false),
            }
        }
    }

    /// Waits until the end of this session is stored.
    pub(super) async fn store_session(&self, session: &Session) -> Result<(), RevocationError> {
        let Some(store) = self.store.get() else { return Ok(()) };
        let _storing = self.storing.lock().await;
        loop {
            let batch = {
                let sets = self.read();
                let Some(first) = sets.unstored(session) else { return Ok(()) };
                let others = sets.all_unstored().filter(|other| *other != first);
                std::iter::once(first.clone()).chain(others).take(MAX_BATCH).collect()
            };
            self.save(&**store, batch).await?;
        }
    }

    /// Stores the revocations that are not stored yet.
    pub(super) async fn flush(&self) -> Result<(), RevocationError> {
        let Some(store) = self.store.get() else { return Ok(()) };
        let _storing = self.storing.lock().await;
        let unstored: Vec<_> = self.read().all_unstored().collect();
        for batch in unstored.chunks(MAX_BATCH) {
            self.save(&**store, batch.to_vec()).await?;
        }
        Ok(())
    }

    async fn save(&self, store: &dyn RevocationStore, batch: Vec<Revocation>) -> Result<(), RevocationError> {
        store.save(&batch).await?;
        self.write().mark_stored(&batch);
        Ok(())
    }

    pub(super) async fn mark_unstored(&self) {
        // Otherwise a running save would mark its batch as stored afterwards.
        let _storing = self.storing.lock().await;
        let mut sets = self.write();
        let sets = &mut *sets;
        sets.unstored_sessions.extend(sets.sessions.keys());
        sets.unstored_cutoffs.extend(sets.cutoffs.keys().cloned());
    }

    pub(super) fn purge(&self, now: SystemTime) {
        self.write().purge(now);
    }

    fn read(&self) -> RwLockReadGuard<'_, Sets> {
        self.sets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Sets> {
        self.sets.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sets {
    fn is_cut_off(&self, account: &str, issued: u64) -> bool {
        // There is nearly never a cutoff, and then no name is hashed.
        !self.cutoffs.is_empty() && self.cutoffs.get(account).is_some_and(|until| issued <= *until)
    }

    fn add(&mut self, id: Id, ended: Ended, is_unstored: bool, now: SystemTime) {
        if self.is_cut_off(&ended.account, ended.issued) || self.sessions.contains_key(&id) {
            return;
        }
        let account = Arc::clone(&ended.account);
        let ids = self.ids.entry(Arc::clone(&account)).or_default();
        ids.insert(id);
        let is_full = ids.len() > MAX_PER_ACCOUNT;
        self.sessions.insert(id, ended);
        if is_unstored {
            self.unstored_sessions.insert(id);
        }
        if is_full {
            self.end_all(account, now);
        }
    }

    /// Ends all sessions of an account that has ended too many to store them individually.
    fn end_all(&mut self, account: Arc<str>, now: SystemTime) {
        self.retain_of(&account, |ended| !ended.is_purgeable(now));
        if self.ids.get(&account).map_or(0, HashSet::len) <= MAX_PER_ACCOUNT {
            return;
        }
        let ids = self.ids.get(&account).into_iter().flatten();
        // The clock may have been set back since a session was issued.
        let last = ids.filter_map(|id| self.sessions.get(id)).map(|ended| ended.issued).max();
        let until = microseconds(now).max(last.unwrap_or_default());
        tracing::warn!(
            account = &*account,
            "more than {MAX_PER_ACCOUNT} sessions of one account were ended; ending all sessions issued until now"
        );
        self.cut_off(account, until, true);
    }

    /// Removes the sessions of an account that do not match.
    fn retain_of(&mut self, account: &Arc<str>, matches: impl Fn(&Ended) -> bool) {
        let Some(ids) = self.ids.get_mut(account) else { return };
        ids.retain(|id| {
            let is_kept = self.sessions.get(id).is_some_and(&matches);
            if !is_kept {
                self.sessions.remove(id);
                self.unstored_sessions.remove(id);
            }
            is_kept
        });
        if ids.is_empty() {
            self.ids.remove(account);
        }
    }

    fn cut_off(&mut self, account: Arc<str>, until: u64, is_unstored: bool) {
        let current = self.cutoffs.get(&account).copied();
        match current {
            Some(current) if current > until => return,
            // The same cutoff was stored, for example by another process.
            Some(current) if current == until && !is_unstored => {
                self.unstored_cutoffs.remove(&account);
                return;
            }
            _ => {}
        }
        self.retain_of(&account, |ended| ended.issued > until);
        if is_unstored {
            self.unstored_cutoffs.insert(Arc::clone(&account));
        } else {
            self.unstored_cutoffs.remove(&account);
        }
        self.cutoffs.insert(account, until);
    }

    /// Returns the revocation of this session, if it is not stored.
    fn unstored(&self, session: &Session) -> Option<Revocation> {
        if self.unstored_sessions.contains(&session.id) {
            return self.session(session.id);
        }
        let account = self.unstored_cutoffs.get(session.name.as_str())?;
        self.is_cut_off(account, session.issued).then(|| self.cutoff(account)).flatten()
    }

    fn all_unstored(&self) -> impl Iterator<Item = Revocation> {
        let cutoffs = self.unstored_cutoffs.iter().filter_map(|account| self.cutoff(account));
        cutoffs.chain(self.unstored_sessions.iter().filter_map(|id| self.session(*id)))
    }

    fn session(&self, id: Id) -> Option<Revocation> {
        let Ended { account, issued, expires } = self.sessions.get(&id)?;
        Some(Revocation::Session { account: Arc::clone(account), id, issued: *issued, expires: *expires })
    }

    fn cutoff(&self, account: &Arc<str>) -> Option<Revocation> {
        let until = *self.cutoffs.get(account)?;
        Some(Revocation::IssuedUntil { account: Arc::clone(account), until })
    }

    fn mark_stored(&mut self, stored: &[Revocation]) {
        for revocation in stored {
            match revocation {
                Revocation::Session { id, .. } => {
                    self.unstored_sessions.remove(id);
                }
                // The cutoff may have advanced meanwhile.
                Revocation::IssuedUntil { account, until } => {
                    if self.cutoffs.get(account) == Some(until) {
                        self.unstored_cutoffs.remove(account);
                    }
                }
            }
        }
    }

    fn purge_if_large(&mut self, now: SystemTime) {
        if self.sessions.len() >= self.purge_at.max(MIN_PURGE) {
            self.purge(now);
            self.purge_at = self.sessions.len() * 2;
        }
    }

    fn purge(&mut self, now: SystemTime) {
        let void = self.sessions.extract_if(|_, ended| ended.is_purgeable(now));
        for (id, ended) in void {
            self.unstored_sessions.remove(&id);
            if let Some(ids) = self.ids.get_mut(&ended.account) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.ids.remove(&ended.account);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

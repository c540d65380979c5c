//! A cache of verified sessions.

use std::sync::{Arc, Mutex};

use super::lock::locked;
use super::session::Session;
use crate::cache_counts::CacheCounter;
use crate::identity::Identity;
use crate::two_generation_cache::{TwoGenerationCache, Weigh};

/// The maximum number of sessions in one of the two generations. Each takes about 300 bytes.
const GENERATION: usize = 50_000;

/// The verified sessions by token, so that each signature is computed once. The cache belongs to one version of the accounts, so it is never
/// stale. Whether a session has ended is checked for each request.
pub(super) struct SessionCache {
    sessions: Mutex<TwoGenerationCache<Box<[u8]>, SignedIn>>,
    counter: Arc<CacheCounter>,
}

impl Weigh for SignedIn {}

/// A session and its user.
pub(super) type SignedIn = (Arc<Session>, Identity);

impl SessionCache {
    /// Returns an empty cache that continues a counter.
    pub(super) fn new(counter: Arc<CacheCounter>) -> Self {
        Self { sessions: Mutex::new(TwoGenerationCache::new([GENERATION, 0])), counter }
    }

    pub(super) fn get(&self, token: &[u8]) -> Option<SignedIn> {
        self.counter.count(locked(&self.sessions).get(token).cloned())
    }

    /// Only validly signed tokens are inserted, so forged ones evict nothing.
    pub(super) fn insert(&self, token: &[u8], signed_in: &SignedIn) {
        let evicted = locked(&self.sessions).insert(token.into(), signed_in.clone());
        drop(evicted);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        locked(&self.sessions).values().count()
    }
}

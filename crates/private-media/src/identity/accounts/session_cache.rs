//! Sessions whose signature was right before.

use std::sync::{Arc, Mutex};

use super::lock::locked;
use super::session::Session;
use crate::identity::Identity;
use crate::two_generation_cache::{TwoGenerationCache, Weigh};

/// The most sessions in one generation; there are two. Each takes some 300 bytes.
const GENERATION: usize = 50_000;

/// Whose session each token is, so that its signature is computed once. It belongs to one state of the accounts and goes with it, so
/// what it says stays true; whether the session has ended is asked each time.
pub(super) struct SessionCache(Mutex<TwoGenerationCache<Box<[u8]>, SignedIn>>);

impl Default for SessionCache {
    fn default() -> Self {
        Self(Mutex::new(TwoGenerationCache::new([GENERATION, 0])))
    }
}

impl Weigh for SignedIn {}

/// A session, and whose it is.
pub(super) type SignedIn = (Arc<Session>, Identity);

impl SessionCache {
    pub(super) fn get(&self, token: &[u8]) -> Option<SignedIn> {
        locked(&self.0).get(token).cloned()
    }

    /// Only what was signed gets here, so nobody who makes up tokens drives anybody out.
    pub(super) fn insert(&self, token: &[u8], signed_in: &SignedIn) {
        let evicted = locked(&self.0).insert(token.into(), signed_in.clone());
        drop(evicted);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        locked(&self.0).values().count()
    }
}

//! Sessions whose signature was right before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;

use super::locked;
use super::session::Session;
use crate::identity::Identity;

/// The most sessions in one generation; there are two. Each takes some 300 bytes.
const GENERATION: usize = 50_000;

/// Whose session each token is, so that its signature is computed once. It belongs to one state of the accounts and goes with it, so
/// what it says stays true; whether the session has ended is asked each time.
#[derive(Default)]
pub(super) struct SessionCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Box<[u8]>, SignedIn, RandomState>,
    old: HashMap<Box<[u8]>, SignedIn, RandomState>,
}

/// A session, and whose it is.
pub(super) type SignedIn = (Arc<Session>, Identity);

impl SessionCache {
    pub(super) fn get(&self, token: &[u8]) -> Option<SignedIn> {
        let known = locked(&self.0);
        known.young.get(token).or_else(|| known.old.get(token)).cloned()
    }

    /// Only what was signed gets here, so nobody who makes up tokens drives anybody out.
    pub(super) fn insert(&self, token: &[u8], signed_in: &SignedIn) {
        let mut known = locked(&self.0);
        if known.young.len() >= GENERATION {
            known.old = std::mem::take(&mut known.young);
        }
        known.young.insert(token.into(), signed_in.clone());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let known = locked(&self.0);
        known.young.len() + known.old.len()
    }
}

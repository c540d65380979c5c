//! Answers that were given a moment ago.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::identity::Identity;

/// The most answers in one generation; there are two of somebody, and two of nobody.
const GENERATION: usize = 5_000;

/// Who sends which cookie, kept for a while.
#[derive(Default)]
pub(super) struct Answers {
    keep: Duration,
    somebody: Mutex<Recent>,
    /// On their own, so that cookies that anybody can make up drive out nobody's answer who has signed in.
    nobody: Mutex<Recent>,
}

/// What stands for a cookie: who can read the memory learns no session from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(cookie: &str) -> Self {
        Self(Sha256::digest(cookie).into())
    }
}

impl Answers {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, ..Self::default() }
    }

    pub(super) fn get(&self, cookie: Fingerprint, now: Instant) -> Option<Identity> {
        let of =
            |recent: &Mutex<Recent>| recent.lock().unwrap_or_else(PoisonError::into_inner).get(cookie, now);
        of(&self.somebody).or_else(|| of(&self.nobody))
    }

    /// Keeps an answer to what was asked at that time: what has changed since then counts when the time to keep is over.
    pub(super) fn keep(&self, cookie: Fingerprint, identity: &Identity, asked: Instant) {
        if self.keep.is_zero() {
            return;
        }
        let recent = if identity.user().is_some() { &self.somebody } else { &self.nobody };
        let answer = (identity.clone(), asked + self.keep);
        recent.lock().unwrap_or_else(PoisonError::into_inner).insert(cookie, answer);
    }
}

/// The answers that were given last, in bounded memory: when one generation is full, the one before it goes.
#[derive(Default)]
struct Recent {
    young: HashMap<Fingerprint, Answer>,
    old: HashMap<Fingerprint, Answer>,
}

type Answer = (Identity, Instant);

impl Recent {
    fn get(&self, cookie: Fingerprint, now: Instant) -> Option<Identity> {
        let (identity, until) = self.young.get(&cookie).or_else(|| self.old.get(&cookie))?;
        (*until > now).then(|| identity.clone())
    }

    fn insert(&mut self, cookie: Fingerprint, answer: Answer) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(cookie, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::User;

    #[test]
    fn answers_are_kept_as_long_as_was_said() {
        let (now, alice) = (Instant::now(), Identity::from(User::new("7")));
        let cookie = Fingerprint::of("a");
        let answers = Answers::new(Duration::from_secs(5));
        assert_eq!(answers.get(cookie, now), None);
        answers.keep(cookie, &alice, now);
        assert_eq!(answers.get(cookie, now + Duration::from_secs(4)), Some(alice.clone()));
        assert_eq!(answers.get(cookie, now + Duration::from_secs(5)), None);
        assert_eq!(answers.get(Fingerprint::of("b"), now), None);
        let none = Answers::new(Duration::ZERO);
        none.keep(cookie, &alice, now);
        assert_eq!(none.get(cookie, now), None);
    }

    #[test]
    fn made_up_cookies_take_bounded_memory_and_drive_nobody_out() {
        let (now, alice) = (Instant::now(), Identity::from(User::new("7")));
        let answers = Answers::new(Duration::from_secs(60));
        answers.keep(Fingerprint::of("alice"), &alice, now);
        for made_up in 0..3 * GENERATION {
            answers.keep(Fingerprint::of(&made_up.to_string()), &Identity::Anonymous, now);
        }
        let nobody = answers.nobody.lock().unwrap();
        assert!(nobody.young.len() + nobody.old.len() <= 2 * GENERATION);
        drop(nobody);
        assert_eq!(answers.get(Fingerprint::of("alice"), now), Some(alice));
        assert_eq!(answers.get(Fingerprint::of("14999"), now), Some(Identity::Anonymous));
    }
}

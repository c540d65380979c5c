//! Answers that were given a moment ago.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::two_generation_cache::{TwoGenerationCache, Weigh};

/// The most answers in one generation; there are two of the favourable, and two of the others.
const GENERATION: usize = 5_000;

/// Answers that are kept for a while, in bounded memory: for whoever is asked the same again and again, and has to go far for it.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use private_media::decision_cache::{DecisionCache, CacheKey};
///
/// let (answers, asked) = (DecisionCache::new(Duration::from_secs(5)), Instant::now());
/// let question = CacheKey::of(["sessionid=abc", "cars/7/photo.jpg"]);
/// answers.keep(question, "alice".to_owned(), true, asked);
/// assert_eq!(answers.get(question, asked + Duration::from_secs(4)).as_deref(), Some("alice"));
/// assert_eq!(answers.get(question, asked + Duration::from_secs(5)), None);
/// ```
#[derive(Debug)]
pub struct DecisionCache<T> {
    keep: Duration,
    favourable: Mutex<Recent<T>>,
    /// On their own, so that questions that anybody can make up drive out nobody's answer who has signed in.
    others: Mutex<Recent<T>>,
}

/// What stands for a question: who can read the memory learns no session from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// That of a question in several parts. The same bytes, cut up in another way, are another question.
    pub fn of<B: AsRef<[u8]>>(parts: impl IntoIterator<Item = B>) -> Self {
        let hash = parts.into_iter().fold(Sha256::new(), |hash, part| {
            let part = part.as_ref();
            hash.chain_update((part.len() as u64).to_le_bytes()).chain_update(part)
        });
        Self(hash.finalize().into())
    }
}

impl<T: Clone> DecisionCache<T> {
    /// None yet. Each is kept so long; no time at all keeps none.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        let new = || Mutex::new(TwoGenerationCache::new([GENERATION, 0]));
        Self { keep, favourable: new(), others: new() }
    }

    /// The answer to a question, if it is kept and may still be given.
    pub fn get(&self, question: CacheKey, now: Instant) -> Option<T> {
        let of = |recent: &Mutex<Recent<T>>| {
            let recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.get(&question).filter(|answer| answer.until > now).map(|answer| answer.value.clone())
        };
        of(&self.favourable).or_else(|| of(&self.others))
    }

    /// Keeps an answer to what was asked at that time: what has changed since then counts when the time to keep is over.
    /// A favourable one lets somebody in.
    pub fn keep(&self, question: CacheKey, answer: T, is_favourable: bool, asked: Instant) {
        if self.keep.is_zero() {
            return;
        }
        let recent = if is_favourable { &self.favourable } else { &self.others };
        let answer = Expiring { value: answer, until: asked + self.keep };
        recent.lock().unwrap_or_else(PoisonError::into_inner).insert(question, answer);
    }
}

type Recent<T> = TwoGenerationCache<CacheKey, Expiring<T>>;

#[derive(Debug)]
struct Expiring<T> {
    value: T,
    until: Instant,
}

impl<T> Weigh for Expiring<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_as_long_as_was_said() {
        let now = Instant::now();
        let question = CacheKey::of(["a"]);
        let answers = DecisionCache::new(Duration::from_secs(5));
        assert_eq!(answers.get(question, now), None);
        answers.keep(question, "alice", true, now);
        assert_eq!(answers.get(question, now + Duration::from_secs(4)), Some("alice"));
        assert_eq!(answers.get(question, now + Duration::from_secs(5)), None);
        assert_eq!(answers.get(CacheKey::of(["b"]), now), None);
        let none = DecisionCache::new(Duration::ZERO);
        none.keep(question, "alice", true, now);
        assert_eq!(none.get(question, now), None);
    }

    #[test]
    fn what_is_cut_up_in_another_way_is_another_question() {
        assert_ne!(CacheKey::of(["ab", "c"]), CacheKey::of(["a", "bc"]));
        assert_ne!(CacheKey::of(["abc"]), CacheKey::of(["abc", ""]));
    }

    #[test]
    fn made_up_questions_take_bounded_memory_and_drive_nobody_out() {
        let now = Instant::now();
        let answers = DecisionCache::new(Duration::from_secs(60));
        answers.keep(CacheKey::of(["alice"]), true, true, now);
        for made_up in 0..3 * GENERATION {
            answers.keep(CacheKey::of([made_up.to_string()]), false, false, now);
        }
        let others = answers.others.lock().unwrap();
        assert!(others.values().count() <= 2 * GENERATION);
        drop(others);
        assert_eq!(answers.get(CacheKey::of(["alice"]), now), Some(true));
        assert_eq!(answers.get(CacheKey::of(["14999"]), now), Some(false));
    }
}

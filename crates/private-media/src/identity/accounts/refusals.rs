//! The log of refused sign-ins. Users may type their password as the name, and anyone can cause refusals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::lock::locked;
use super::login_error::LoginError;
use crate::identity::ClientAddr;

/// The maximum number of refusals that are logged in a window. Further ones are counted.
const BURST: usize = 10;
const WINDOW: Duration = Duration::from_secs(10);
/// The maximum length of a logged name, in characters.
const MAX_NAME: usize = 64;

/// Limits how many refused sign-ins are logged. Needs a Tokio runtime.
#[derive(Default)]
pub(super) struct Refusals(Arc<Mutex<Window>>);

/// The refusals since the start of a window.
#[derive(Default)]
struct Window {
    began: Option<Instant>,
    logged: usize,
    suppressed: usize,
}

impl Refusals {
    /// Logs a refused sign-in, or counts it. A name that is not that of an account is logged only at debug level.
    pub(super) fn log(&self, name: &str, is_account: bool, from: Option<ClientAddr>, refused: &LoginError) {
        if !self.admit() {
            return;
        }
        let from = from.map(tracing::field::display);
        if is_account {
            tracing::warn!(account = shown(name), from, %refused, "a sign-in was refused");
        } else {
            tracing::warn!(from, %refused, "a sign-in was refused: no such account");
            tracing::debug!(name = shown(name), "the name of the refused sign-in");
        }
    }

    /// Returns whether another refusal may be logged in this window, or counts it.
    fn admit(&self) -> bool {
        let mut window = locked(&self.0);
        // A task closes each window, unless its runtime has ended.
        if window.began.is_some_and(|began| began.elapsed() > 2 * WINDOW) {
            window.close();
        }
        if window.began.is_none() {
            window.began = Some(Instant::now());
            let shared = Arc::clone(&self.0);
            tokio::spawn(async move {
                tokio::time::sleep(WINDOW).await;
                locked(&shared).close();
            });
        }
        if window.logged == BURST {
            window.suppressed += 1;
            return false;
        }
        window.logged += 1;
        true
    }
}

impl Window {
    /// Ends the window, and logs the number of suppressed refusals.
    fn close(&mut self) {
        let Self { suppressed, .. } = std::mem::take(self);
        if suppressed > 0 {
            tracing::warn!(suppressed, "more sign-ins were refused in the last {} s", WINDOW.as_secs());
        }
    }
}

/// Returns the beginning of a name. Characters that could forge a line, or change its direction, are replaced.
pub(super) fn shown(name: &str) -> String {
    let is_unsafe = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let characters = name.chars().take(MAX_NAME);
    characters
        .map(|character| if is_unsafe(character) { char::REPLACEMENT_CHARACTER } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_window_logs_a_burst_and_counts_the_rest() {
        let refusals = Refusals::default();
        for _ in 0..3 {
            let admitted: Vec<_> = (0..BURST + 7).map(|_| refusals.admit()).collect();
            assert_eq!(admitted, [vec![true; BURST], vec![false; 7]].concat());
            assert_eq!(locked(&refusals.0).suppressed, 7);
            tokio::time::sleep(WINDOW + Duration::from_millis(1)).await;
            assert_eq!(locked(&refusals.0).suppressed, 0);
        }
        assert!(refusals.admit());
    }

    #[test]
    fn a_window_ends_even_if_its_runtime_has_ended() {
        let refusals = Refusals::default();
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime().unwrap().block_on(async { while refusals.admit() {} });
        runtime().unwrap().block_on(async {
            tokio::time::sleep(3 * WINDOW).await;
            assert!(refusals.admit());
        });
    }

    #[test]
    fn names_are_shortened_and_printable() {
        for (name, expected) in [
            ("alice", "alice".to_owned()),
            ("é\r\n\u{1b}[2J\u{202e}", "é\u{fffd}\u{fffd}\u{fffd}[2J\u{fffd}".to_owned()),
            (&"é".repeat(8000), "é".repeat(64)),
        ] {
            assert_eq!(shown(name), expected);
        }
    }
}

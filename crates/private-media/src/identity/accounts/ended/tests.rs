use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_core::future::BoxFuture;

use super::super::{Accounts, AccountsFile, AccountsOptions, NewAccount};
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// A store in memory that can fail or hang.
#[derive(Debug, Default)]
struct TestStore {
    saved: Mutex<Vec<Revocation>>,
    saves: AtomicUsize,
    fails: AtomicBool,
    hangs: AtomicBool,
}

impl RevocationStore for TestStore {
    fn save<'a>(&'a self, revocations: &'a [Revocation]) -> BoxFuture<'a, Result<(), RevocationError>> {
        Box::pin(async move {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            tokio::task::yield_now().await;
            if self.fails.load(Ordering::SeqCst) {
                return Err(RevocationError::new("disk full"));
            }
            self.saves.fetch_add(1, Ordering::SeqCst);
            self.saved.lock().unwrap().extend_from_slice(revocations);
            Ok(())
        })
    }
}

impl TestStore {
    fn saved(&self) -> Vec<Revocation> {
        self.saved.lock().unwrap().clone()
    }
}

fn file() -> AccountsFile {
    let mut file = AccountsFile::parse(&format!("secret = \"{}\"", "A".repeat(43))).unwrap();
    for (name, id) in [("alice", "7"), ("bob", "8")] {
        file.add(NewAccount::new(name, id, "a long password")).unwrap();
    }
    file
}

fn accounts_with_store() -> (Accounts, Arc<TestStore>) {
    let accounts = Accounts::new(file(), AccountsOptions::default()).unwrap();
    let store = Arc::new(TestStore::default());
    accounts.set_revocation_store(Arc::clone(&store) as Arc<dyn RevocationStore>);
    (accounts, store)
}

fn token(accounts: &Accounts, name: &str, now: SystemTime) -> String {
    accounts.begin_session(&accounts.current().accounts[name], now + 14 * DAY).unwrap()
}

#[tokio::test]
async fn many_sign_outs_of_one_account_do_not_affect_another() {
    let (accounts, store) = accounts_with_store();
    let now = SystemTime::now();
    let (signed_out, signed_in) = (token(&accounts, "bob", now), token(&accounts, "bob", now));
    accounts.end_session(&signed_out, now).await.unwrap();
    let kept = token(&accounts, "alice", now);
    let mut ended = Vec::new();
    for _ in 0..10_050 {
        let token = token(&accounts, "alice", now);
        accounts.end_session(&token, now).await.unwrap();
        ended.push(token);
    }
    assert!(accounts.session(&signed_out, now).is_err());
    assert!(accounts.session(&signed_in, now).is_ok());
    assert!(
        ended.iter().all(|token| accounts.session(token, now).is_err()),
        "the ended sessions of alice are void"
    );
    assert!(accounts.session(&kept, now).is_err(), "and so are her other sessions");
    let later = token(&accounts, "bob", now);
    accounts.end_session(&later, now).await.unwrap();
    assert!(accounts.session(&later, now).is_err(), "bob can still sign out");
    assert!(accounts.session(token(&accounts, "alice", now), now).is_ok(), "alice can sign in again");
    assert!(accounts.0.memory.ended.read().sessions.len() <= MAX_PER_ACCOUNT + 2);

    // Another process applies the same revocations.
    let other = Accounts::new(copy(&accounts), AccountsOptions::default()).unwrap();
    assert!(other.session(&signed_out, now).is_ok(), "it is valid without the store");
    other.apply_revocations(store.saved());
    for void in ended.iter().chain([&signed_out, &kept, &later]) {
        assert!(other.session(void, now).is_err());
    }
    assert!(other.session(&signed_in, now).is_ok());
}

/// Returns the same accounts for another process, with the same password hashes.
fn copy(accounts: &Accounts) -> AccountsFile {
    let current = accounts.current();
    let accounts = ["alice", "bob"].map(|name| {
        let account = &current.accounts[name];
        let (id, hash) = (account.user.id(), account.password.expose());
        format!("[[account]]\nname = \"{name}\"\nid = \"{id}\"\npassword = \"{hash}\"\n")
    });
    AccountsFile::parse(&format!("secret = \"{}\"\n{}", "A".repeat(43), accounts.concat())).unwrap()
}

#[tokio::test]
async fn an_unstored_sign_out_is_effective_and_stored_later() {
    let (accounts, store) = accounts_with_store();
    let now = SystemTime::now();
    let token = token(&accounts, "alice", now);
    store.fails.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let error = accounts.end_session(&token, now).await.unwrap_err();
        assert_eq!(error.to_string(), "disk full", "also for a second sign-out");
    }
    assert!(accounts.session(&token, now).is_err());
    assert!(accounts.store_revocations().await.is_err());
    store.fails.store(false, Ordering::SeqCst);
    accounts.store_revocations().await.unwrap();
    assert_eq!(store.saved().len(), 1);
    accounts.store_revocations().await.unwrap();
    accounts.end_session(&token, now).await.unwrap();
    assert_eq!(store.saved().len(), 1, "it is stored once");
    accounts.mark_revocations_unstored().await;
    accounts.store_revocations().await.unwrap();
    assert_eq!(store.saved().len(), 2, "it is stored again in a store that lost it");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_store_delays_a_sign_out_for_five_seconds() {
    let (accounts, store) = accounts_with_store();
    store.hangs.store(true, Ordering::SeqCst);
    let now = SystemTime::now();
    let begin = tokio::time::Instant::now();
    let token = token(&accounts, "alice", now);
    assert!(accounts.end_session(&token, now).await.is_err());
    assert_eq!(begin.elapsed(), Duration::from_secs(5));
    assert!(accounts.session(&token, now).is_err());
}

#[tokio::test]
async fn concurrent_sign_outs_are_stored_together() {
    let (accounts, store) = accounts_with_store();
    let now = SystemTime::now();
    let tokens: Vec<_> = (0..200).map(|_| token(&accounts, "alice", now)).collect();
    let tasks: Vec<_> = tokens
        .iter()
        .cloned()
        .map(|token| {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.end_session(&token, now).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.saved().len(), 200);
    assert!(store.saves.load(Ordering::SeqCst) < 10, "{:?}", store.saves);
}

#[tokio::test]
async fn ended_sessions_are_stored_for_a_day_after_their_expiry() {
    let (accounts, _) = accounts_with_store();
    let now = SystemTime::now();
    let token = token(&accounts, "alice", now);
    accounts.end_session(&token, now).await.unwrap();
    let ended = &accounts.0.memory.ended;
    ended.purge(now + 14 * DAY + DAY / 2);
    assert!(accounts.session(&token, now).is_err(), "expired for less than a day");
    ended.purge(now + 16 * DAY);
    assert!(accounts.session(&token, now).is_ok(), "expired for more, and purged");
    assert!(ended.read().ids.is_empty());
}

#[test]
fn sessions_issued_after_a_cutoff_are_valid_even_if_the_clock_is_behind() {
    let ended = EndedSessions::default();
    let now = SystemTime::now();
    let cutoff = Revocation::IssuedUntil { account: "alice".into(), until: microseconds(now + DAY) };
    ended.apply([cutoff], now);
    let session =
        |issued| Session { id: [1; 16], issued, expires: now + DAY, stamp: [0; 16], name: "alice".into() };
    assert!(ended.contains(&session(microseconds(now))));
    assert!(!ended.contains(&session(ended.issue_time("alice", now))));
    assert!(!ended.contains(&Session { name: "bob".into(), ..session(microseconds(now)) }));
    // An older cutoff changes nothing.
    ended.apply([Revocation::IssuedUntil { account: "alice".into(), until: 5 }], now);
    assert!(ended.contains(&session(microseconds(now))));
}

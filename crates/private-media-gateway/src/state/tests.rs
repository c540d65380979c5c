use std::path::Path;
use std::time::{Duration, SystemTime};

use private_media::identity::accounts::Revocation;

use super::pool::CONNECTIONS;
use super::*;

fn session(id: u8, account: &str, issued: u64, expires: u64) -> Revocation {
    Revocation::Session { account: account.into(), id: [id; 16], issued, expires }
}

async fn sqlite_state(folder: &Path) -> State {
    State::open(&StateUrl::Sqlite(folder.join("state.db"))).await.unwrap().unwrap()
}

#[tokio::test]
async fn saved_revocations_are_loaded_and_a_cutoff_deletes_earlier_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let state = sqlite_state(folder.path()).await;
    let (one, other) = (session(1, "alice", 10, 100), session(2, "bob", 10, 100));
    state.save_revocations(&[one.clone(), other.clone()]).await.unwrap();
    state.save_revocations(std::slice::from_ref(&one)).await.unwrap();
    let loaded = state.load_revocations(0).await.unwrap();
    assert_eq!((loaded.revocations, loaded.seq), (vec![one, other.clone()], 2));
    assert!(state.load_revocations(2).await.unwrap().revocations.is_empty());

    let cutoff = |until| Revocation::IssuedUntil { account: "alice".into(), until };
    let later = session(3, "alice", 21, 100);
    state.save_revocations(&[later.clone(), cutoff(20)]).await.unwrap();
    state.save_revocations(&[cutoff(15)]).await.unwrap();
    let loaded = state.load_revocations(0).await.unwrap();
    assert_eq!(loaded.revocations, [cutoff(20), other, later], "an older cutoff changes nothing");

    // After a restore from a backup, all revocations are loaded.
    let loaded = state.load_revocations(1000).await.unwrap();
    assert!(loaded.is_older && loaded.revocations.len() == 3);

    let day = 86_400;
    for (now, left) in [(100 + day, 3), (101 + day, 1)] {
        state.purge_revocations(SystemTime::UNIX_EPOCH + Duration::from_secs(now)).await.unwrap();
        assert_eq!(state.load_revocations(0).await.unwrap().revocations.len(), left);
    }
}

#[tokio::test]
async fn a_batch_is_stored_in_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let state = sqlite_state(folder.path()).await;
    let pool = state.pool().unwrap();
    let Pool::Sqlite(pool, _) = pool else { panic!("a file") };
    sqlx::query("DROP TABLE private_media_cutoff").execute(&pool).await.unwrap();
    let cutoff = Revocation::IssuedUntil { account: "alice".into(), until: 1 };
    assert!(state.save_revocations(&[session(1, "alice", 10, 100), cutoff]).await.is_err());
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM private_media_ended_session")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

/// A sign-out is durable, and the file alone is a backup.
#[tokio::test]
async fn connections_sync_fully_and_use_a_rollback_journal() {
    let folder = tempfile::tempdir().unwrap();
    let state = sqlite_state(folder.path()).await;
    let Pool::Sqlite(pool, _) = state.pool().unwrap() else { panic!("a file") };
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = pool.acquire().await.unwrap();
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await.unwrap();
        let journal: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
        assert_eq!((synchronous, &*journal), (3, "delete"));
        connections.push(connection);
    }
}

#[tokio::test]
async fn a_damaged_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let state = sqlite_state(folder.path()).await;
    let sessions: Vec<_> = (0..200).map(|id| session(id, "alice", 10, 100)).collect();
    state.save_revocations(&sessions).await.unwrap();
    state.pool().unwrap().close().await;
    let good = std::fs::read(&path).unwrap();
    for (from, to) in [(0, 16), (100, 200), (4096, good.len())] {
        let mut bad = good.clone();
        bad[from..to].fill(0xff);
        std::fs::write(&path, bad).unwrap();
        let opened = State::open(&StateUrl::Sqlite(path.clone())).await;
        assert!(opened.is_err(), "{from}..{to}");
    }
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(State::open(&StateUrl::Sqlite(path)).await.is_err(), "cut off");
}

#[test]
fn urls() {
    for (value, expected) in [
        ("memory", "memory"),
        ("sqlite:state.db", "sqlite:/srv/state.db"),
        ("sqlite://state.db", "sqlite:/srv/state.db"),
        ("sqlite:///var/state.db", "sqlite:/var/state.db"),
        ("postgres://a:secret@db.example/x", "postgres://db.example:5432"),
    ] {
        assert_eq!(format!("{:?}", StateUrl::parse(value, Path::new("/srv")).unwrap()), expected);
    }
    for value in ["", "sqlite:", "sqlite://", "mysql://localhost/x", "postgres://a:b", "state.db"] {
        let error = StateUrl::parse(value, Path::new("/srv")).unwrap_err();
        assert!(error.contains("sqlite:PATH"), "{value}: {error}");
    }
}

//! The state store: revocations and running gateways, in SQLite or PostgreSQL. It survives restarts, and gateways can share it.
//!
//! Requests do not wait for it, except a sign-out. Decisions use memory, and `sync.rs` keeps memory and store in sync.

mod error;
mod gateways;
mod pool;
mod revocations;
mod schema;
mod sync;
mod url;

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use error::StateError;
pub(crate) use gateways::{Gateway, digest_text};
use pool::{Pool, within_timeout};
pub(crate) use sync::{RunningState, apply_revocations, start};
pub(crate) use url::StateUrl;

/// An open state store. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct State(Arc<Inner>);

struct Inner {
    url: StateUrl,
    pool: RwLock<Pool>,
}

impl State {
    /// Opens the store, creates a missing SQLite file, and migrates an older schema. `None` if the state is in memory.
    pub(crate) async fn open(url: &StateUrl) -> Result<Option<Self>, StateError> {
        let Some(pool) = open_pool(url).await? else { return Ok(None) };
        Ok(Some(Self(Arc::new(Inner { url: url.clone(), pool: RwLock::new(pool) }))))
    }

    /// Opens an existing store to read it. `None` if the state is in memory, or no gateway has created the
    /// store.
    pub(crate) async fn open_to_read(url: &StateUrl) -> Result<Option<Self>, StateError> {
        let Some(pool) = Pool::connect_read_only(url) else { return Ok(None) };
        if !within_timeout(Box::pin(schema::is_current(&pool))).await? {
            return Ok(None);
        }
        Ok(Some(Self(Arc::new(Inner { url: url.clone(), pool: RwLock::new(pool) }))))
    }

    /// Reopens a SQLite file that was removed or replaced. Returns whether it was.
    async fn reopen_if_replaced(&self) -> Result<bool, StateError> {
        if self.pool().is_ok() {
            return Ok(false);
        }
        if let Some(pool) = open_pool(&self.0.url).await? {
            let old =
                std::mem::replace(&mut *self.0.pool.write().unwrap_or_else(PoisonError::into_inner), pool);
            old.close().await;
        }
        Ok(true)
    }

    /// Returns the pool. A removed or replaced SQLite file is an error, because writes to it would be lost.
    fn pool(&self) -> Result<Pool, StateError> {
        let pool = self.0.pool.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Pool::Sqlite(_, opened), StateUrl::Sqlite(path)) = (&pool, &self.0.url) {
            let file = std::fs::metadata(path);
            if !file.is_ok_and(|file| (file.dev(), file.ino()) == *opened) {
                return Err(StateError::Replaced);
            }
        }
        Ok(pool)
    }
}

/// Connects to the store and migrates its schema.
async fn open_pool(url: &StateUrl) -> Result<Option<Pool>, StateError> {
    let Some(pool) = Pool::connect(url).await? else { return Ok(None) };
    within_timeout(Box::pin(schema::migrate(&pool))).await?;
    Ok(Some(pool))
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.0.url).finish()
    }
}

#[cfg(test)]
mod tests;

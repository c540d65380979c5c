//! Revocations in the store: ended sessions and cutoffs.
//!
//! Each batch has a number from a counter, whose row is locked until the batch is committed. So a gateway that has loaded a number has
//! also loaded all earlier batches.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use private_media::identity::accounts::{Revocation, RevocationError, RevocationStore};

use super::State;
use super::error::StateError;
use super::pool::{on_pool, transaction, within_timeout};
use crate::health::Health;

/// How long an expired session stays in the store, in seconds, because the clock of a gateway may be wrong.
const PURGE_MARGIN: i64 = 86_400;

/// The revocations stored after a batch.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) revocations: Vec<Revocation>,
    /// The number of the last batch.
    pub(super) seq: i64,
    /// Whether the store has fewer batches than before, as after a restore from a backup.
    pub(super) is_older: bool,
}

impl State {
    /// Stores revocations as one batch.
    pub(super) async fn save_revocations(&self, revocations: &[Revocation]) -> Result<(), StateError> {
        let pool = self.pool()?;
        within_timeout(Box::pin(async {
            transaction!(&pool, transaction => {
                let seq: i64 = sqlx::query_scalar(
                    "UPDATE private_media_counter SET value = value + 1 WHERE name = 'revocations' RETURNING value",
                )
                .fetch_one(&mut *transaction)
                .await?;
                for revocation in revocations {
                    match revocation {
                        Revocation::Session { account, id, issued, expires } => {
                            sqlx::query(
                                "INSERT INTO private_media_ended_session (id, account, issued, expires, seq)
                                    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
                            )
                            .bind(hex(id))
                            .bind(account.as_ref())
                            .bind(signed(*issued))
                            .bind(signed(*expires))
                            .bind(seq)
                            .execute(&mut *transaction)
                            .await?;
                        }
                        Revocation::IssuedUntil { account, until } => {
                            sqlx::query(
                                "INSERT INTO private_media_cutoff (account, issued_until, seq) VALUES ($1, $2, $3)
                                    ON CONFLICT (account) DO UPDATE
                                        SET issued_until = excluded.issued_until, seq = excluded.seq
                                        WHERE private_media_cutoff.issued_until < excluded.issued_until",
                            )
                            .bind(account.as_ref())
                            .bind(signed(*until))
                            .bind(seq)
                            .execute(&mut *transaction)
                            .await?;
                            sqlx::query(
                                "DELETE FROM private_media_ended_session WHERE account = $1 AND issued <= $2",
                            )
                            .bind(account.as_ref())
                            .bind(signed(*until))
                            .execute(&mut *transaction)
                            .await?;
                        }
                    }
                }
            });
            Ok(())
        }))
        .await
    }

    /// Returns the revocations of the batches after this number.
    pub(super) async fn load_revocations(&self, after: i64) -> Result<Loaded, StateError> {
        type Session = (String, String, i64, i64);
        let pool = self.pool()?;
        within_timeout(Box::pin(async {
            on_pool!(&pool, pool => {
                let seq: i64 = sqlx::query_scalar("SELECT value FROM private_media_counter WHERE name = 'revocations'")
                    .fetch_one(pool)
                    .await?;
                let is_older = seq < after;
                let after = if is_older { 0 } else { after };
                let mut revocations = Vec::new();
                if seq > after {
                    let cutoffs: Vec<(String, i64)> =
                        sqlx::query_as("SELECT account, issued_until FROM private_media_cutoff WHERE seq > $1")
                            .bind(after)
                            .fetch_all(pool)
                            .await?;
                    let sessions: Vec<Session> = sqlx::query_as(
                        "SELECT id, account, issued, expires FROM private_media_ended_session WHERE seq > $1",
                    )
                    .bind(after)
                    .fetch_all(pool)
                    .await?;
                    revocations.extend(cutoffs.into_iter().map(|(account, until)| Revocation::IssuedUntil {
                        account: account.into(),
                        until: unsigned(until),
                    }));
                    revocations.extend(sessions.into_iter().filter_map(|(id, account, issued, expires)| {
                        let (account, id) = (Arc::from(account), unhex(&id)?);
                        let (issued, expires) = (unsigned(issued), unsigned(expires));
                        Some(Revocation::Session { account, id, issued, expires })
                    }));
                }
                Ok(Loaded { revocations, seq, is_older })
            })
        }))
        .await
    }

    /// Deletes the sessions that expired more than a day ago.
    pub(super) async fn purge_revocations(&self, now: SystemTime) -> Result<(), StateError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let pool = self.pool()?;
        within_timeout(Box::pin(async {
            on_pool!(&pool, pool => {
                sqlx::query("DELETE FROM private_media_ended_session WHERE expires < $1")
                    .bind(signed(now).saturating_sub(PURGE_MARGIN))
                    .execute(pool)
                    .await?;
            });
            Ok(())
        }))
        .await
    }
}

/// Implements the revocation store of the accounts. A failure changes the gateway's health immediately.
#[derive(Debug)]
pub(super) struct StoredRevocations {
    pub(super) state: State,
    pub(super) health: Health,
}

impl RevocationStore for StoredRevocations {
    fn save<'a>(&'a self, revocations: &'a [Revocation]) -> BoxFuture<'a, Result<(), RevocationError>> {
        Box::pin(async move {
            self.state.save_revocations(revocations).await.map_err(|error| {
                self.health.set("state", Err(&error));
                RevocationError::new(error)
            })
        })
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

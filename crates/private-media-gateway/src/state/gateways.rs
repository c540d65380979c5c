//! Which gateways run, and which accounts file each has in force.

use super::{Pool, State, StateError, on_pool, transaction, within_timeout};
use crate::state::revocations::hex;

/// How long after its last sign of life a gateway counts as running, in milliseconds.
const LIVE: i64 = 15_000;
/// When the row of a gateway that does not run any more is removed.
const FORGOTTEN: i64 = 86_400_000;

/// The database's own clock in milliseconds, as the gateways' clocks may differ.
const SQLITE_NOW: &str = "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)";
const POSTGRES_NOW: &str = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// For people.
    pub(crate) name: String,
    /// The digest of its accounts file.
    pub(crate) accounts: String,
}

impl State {
    /// Records that a gateway runs, with the digest of the accounts file that is in force there.
    pub(super) async fn record_gateway(
        &self,
        id: &str,
        name: &str,
        accounts: &str,
    ) -> Result<(), StateError> {
        let pool = self.pool()?;
        within_timeout(Box::pin(async {
            let now = now(&pool).await?;
            transaction!(&pool, transaction => {
                sqlx::query(
                    "INSERT INTO private_media_gateway (id, name, accounts, seen) VALUES ($1, $2, $3, $4)
                        ON CONFLICT (id) DO UPDATE SET accounts = excluded.accounts, seen = excluded.seen",
                )
                .bind(id)
                .bind(name)
                .bind(accounts)
                .bind(now)
                .execute(&mut *transaction)
                .await?;
                sqlx::query("DELETE FROM private_media_gateway WHERE seen < $1")
                    .bind(now - FORGOTTEN)
                    .execute(&mut *transaction)
                    .await?;
            });
            Ok(())
        }))
        .await
    }

    /// Returns the running gateways that use accounts.
    pub(crate) async fn gateways(&self) -> Result<Vec<Gateway>, StateError> {
        let pool = self.pool()?;
        within_timeout(Box::pin(async {
            let now = now(&pool).await?;
            let rows: Vec<(String, String)> = on_pool!(&pool, pool => {
                sqlx::query_as("SELECT name, accounts FROM private_media_gateway WHERE seen >= $1 AND accounts <> ''")
                    .bind(now - LIVE)
                    .fetch_all(pool)
                    .await?
            });
            Ok(rows.into_iter().map(|(name, accounts)| Gateway { name, accounts }).collect())
        }))
        .await
    }
}

/// How a digest of an accounts file is written.
pub(crate) fn digest_text(digest: Option<[u8; 32]>) -> String {
    hex(&digest.unwrap_or_default())
}

async fn now(pool: &Pool) -> Result<i64, StateError> {
    Ok(match pool {
        Pool::Sqlite(pool, _) => sqlx::query_scalar(SQLITE_NOW).fetch_one(pool).await?,
        Pool::Postgres(pool) => sqlx::query_scalar(POSTGRES_NOW).fetch_one(pool).await?,
    })
}

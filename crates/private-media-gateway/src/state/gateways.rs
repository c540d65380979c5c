//! The running gateways, and the accounts file that each of them uses.

use super::State;
use super::error::StateError;
use super::pool::{Pool, on_pool, transaction, within_timeout};
use super::revocations::hex;

/// How long a gateway counts as running after its last heartbeat, in milliseconds.
const LIVE: i64 = 15_000;
/// How long after the last heartbeat the row of a gateway is deleted, in milliseconds.
const EXPIRED: i64 = 86_400_000;

/// The database's clock in milliseconds. The clocks of the gateways may differ.
const SQLITE_NOW: &str = "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)";
const POSTGRES_NOW: &str = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// A description for people.
    pub(crate) name: String,
    /// The digest of the accounts file that it uses.
    pub(crate) accounts: String,
}

impl State {
    /// Records the heartbeat of a gateway, with the digest of the accounts file that it uses.
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
                    .bind(now - EXPIRED)
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

/// Returns the hexadecimal digits of the digest of an accounts file.
pub(crate) fn digest_text(digest: Option<[u8; 32]>) -> String {
    hex(&digest.unwrap_or_default())
}

async fn now(pool: &Pool) -> Result<i64, StateError> {
    Ok(match pool {
        Pool::Sqlite(pool, _) => sqlx::query_scalar(SQLITE_NOW).fetch_one(pool).await?,
        Pool::Postgres(pool) => sqlx::query_scalar(POSTGRES_NOW).fetch_one(pool).await?,
    })
}

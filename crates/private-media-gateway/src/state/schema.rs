//! The tables and their migrations.

use super::error::StateError;
use super::pool::{Pool, on_pool};

/// The statements that migrate the schema from each version to the next. A release adds entries and never changes one.
const MIGRATIONS: [&[&str]; 1] = [&[
    "CREATE TABLE private_media_counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
    "INSERT INTO private_media_counter (name, value) VALUES ('revocations', 0)",
    "CREATE TABLE private_media_ended_session (
        id TEXT PRIMARY KEY, account TEXT NOT NULL, issued BIGINT NOT NULL, expires BIGINT NOT NULL, seq BIGINT NOT NULL)",
    "CREATE INDEX private_media_ended_session_seq ON private_media_ended_session (seq)",
    "CREATE INDEX private_media_ended_session_account ON private_media_ended_session (account)",
    "CREATE TABLE private_media_cutoff (account TEXT PRIMARY KEY, issued_until BIGINT NOT NULL, seq BIGINT NOT NULL)",
    "CREATE TABLE private_media_gateway (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, accounts TEXT NOT NULL, seen BIGINT NOT NULL)",
]];

/// The number of migrations.
const VERSION: i64 = 1;

/// Serializes the migrations of gateways that start at the same time. The number is arbitrary, but no other program should use it.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7018390154023)";
const CREATE: &str = "CREATE TABLE IF NOT EXISTS private_media_schema (version BIGINT NOT NULL)";
const SELECT: &str = "SELECT MAX(version) FROM private_media_schema";

/// Runs the missing migrations in a transaction of either database.
macro_rules! migrate_in {
    ($transaction:ident) => {
        sqlx::query(CREATE).execute(&mut *$transaction).await?;
        let version: Option<i64> = sqlx::query_scalar(SELECT).fetch_one(&mut *$transaction).await?;
        let version = version.unwrap_or_default();
        if version > VERSION {
            return Err(StateError::Newer { found: version, supported: VERSION });
        }
        for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
            for statement in *migration {
                sqlx::query(*statement).execute(&mut *$transaction).await?;
            }
        }
        if version < VERSION {
            sqlx::query("INSERT INTO private_media_schema (version) VALUES ($1)")
                .bind(VERSION)
                .execute(&mut *$transaction)
                .await?;
        }
    };
}

/// Migrates the schema to this version, in one transaction. A newer schema is an error.
pub(super) async fn migrate(pool: &Pool) -> Result<(), StateError> {
    match pool {
        Pool::Sqlite(pool, _) => {
            let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await?;
            if found != "ok" {
                return Err(StateError::Damaged(found));
            }
            let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            migrate_in!(transaction);
            transaction.commit().await?;
        }
        Pool::Postgres(pool) => {
            let mut transaction = pool.begin().await?;
            sqlx::query(LOCK).execute(&mut *transaction).await?;
            migrate_in!(transaction);
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// Returns whether the store has tables that this program can read.
pub(super) async fn is_current(pool: &Pool) -> Result<bool, StateError> {
    let version: Result<Option<i64>, _> =
        on_pool!(pool, pool => sqlx::query_scalar(SELECT).fetch_one(pool).await);
    match version {
        Ok(Some(version)) if version > VERSION => {
            Err(StateError::Newer { found: version, supported: VERSION })
        }
        Ok(version) => Ok(version == Some(VERSION)),
        // The table does not exist yet.
        Err(sqlx::Error::Database(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

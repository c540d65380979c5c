//! The limits of connection pools.

use std::time::Duration;

use sqlx::pool::PoolOptions;

/// The maximum number of connections. Decisions are cached, so there are few queries.
const MAX_CONNECTIONS: u32 = 8;
/// How long a query may wait for a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the options of a pool for any database.
pub(super) fn pool<DB: sqlx::Database>() -> PoolOptions<DB> {
    PoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(CONNECT_TIMEOUT)
}

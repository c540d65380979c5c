//! The limits of connections.

use std::time::Duration;

use sqlx::pool::PoolOptions;

/// The maximum number of connections to a database. Results are cached, so there are few queries.
pub(crate) const MAX_CONNECTIONS: u32 = 8;
/// How long a query may wait for a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the options of a pool of connections to a server.
pub(crate) fn pool<DB: sqlx::Database>() -> PoolOptions<DB> {
    PoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(CONNECT_TIMEOUT)
}

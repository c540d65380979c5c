//! The limits of connections.

use std::time::Duration;

use sqlx::pool::PoolOptions;

/// The largest number of connections to one database. Results are cached, so there are few queries.
pub(crate) const CONNECTIONS: u32 = 8;
/// How long a query may wait for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// Returns the options of a pool of connections to a server.
pub(crate) fn pool<DB: sqlx::Database>() -> PoolOptions<DB> {
    PoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT)
}

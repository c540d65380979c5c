//! The result of a request that several readers wait for.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

/// The block that is verified or fetched by a task. All who wait get its result. If the task ends without one, they begin again.
pub(crate) type Flight = watch::Receiver<Option<Landed>>;

/// The result of a flight.
#[derive(Debug, Clone)]
pub(crate) enum Landed {
    /// The block is in the file.
    Stored,
    /// The block could not be stored.
    Unstored(Bytes),
    Failed(Arc<io::Error>),
}

/// Returns an error that several readers get.
pub(crate) fn shared_error(error: &Arc<io::Error>) -> io::Error {
    io::Error::new(error.kind(), Arc::clone(error))
}

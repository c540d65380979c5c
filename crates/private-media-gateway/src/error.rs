//! Why a gateway does not serve.

use std::fmt;
use std::io;

use private_media_listener::TooFewOpenFiles;

/// Why a gateway does not serve.
#[derive(Debug)]
pub enum GatewayError<E> {
    /// Private media could not be opened.
    Open(E),
    /// No address could be listened on.
    Listen(io::Error),
    /// The limit of open files leaves no room for connections.
    OpenFiles(TooFewOpenFiles),
    /// The threads, or what receives signals, could not be started.
    Start(io::Error),
    /// A worker failed while it served, and the others were stopped. The log says why.
    Worker,
}

impl<E: fmt::Display> fmt::Display for GatewayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Listen(error) => write!(f, "nothing can listen there: {error}"),
            Self::OpenFiles(error) => error.fmt(f),
            Self::Worker => f.write_str("a worker has failed; the log says why"),
            Self::Start(error) => write!(f, "its threads cannot be started: {error}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for GatewayError<E> {}

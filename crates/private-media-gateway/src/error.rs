//! Why a gateway does not serve.

use std::error::Error;
use std::fmt;
use std::io;

use private_media_listener::TooFewOpenFiles;

use crate::addresses::InvalidAddress;

/// Why a gateway does not serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum GatewayError<E> {
    /// `GatewayBuilder::run` was called in a Tokio runtime.
    InsideRuntime,
    /// The address is invalid.
    Address(InvalidAddress),
    /// The private media cannot be opened.
    Open(E),
    /// No address can be bound.
    Bind(io::Error),
    /// No address of the redirect to HTTPS can be bound.
    BindRedirect(io::Error),
    /// The limit of open files leaves no room for connections.
    OpenFiles(TooFewOpenFiles),
    /// The threads or the signal handler cannot be started.
    Start(io::Error),
    /// A worker failed, and the others were stopped. The log has the cause.
    Worker,
}

impl<E: fmt::Display> fmt::Display for GatewayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsideRuntime => f.write_str(
                "cannot run workers inside a Tokio runtime; use Gateway::serve, or spawn_blocking",
            ),
            Self::Address(error) => write!(f, "invalid address: {error}"),
            Self::Open(error) => error.fmt(f),
            Self::Bind(error) => write!(f, "cannot listen on this address: {error}"),
            Self::BindRedirect(error) => write!(f, "cannot listen on the address for http: {error}"),
            Self::OpenFiles(error) => error.fmt(f),
            Self::Start(error) => write!(f, "cannot start the workers: {error}"),
            Self::Worker => f.write_str("a worker failed; the log has the cause"),
        }
    }
}

impl<E: Error + 'static> Error for GatewayError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InsideRuntime | Self::Worker => None,
            Self::Address(error) => Some(error),
            Self::Open(error) => error.source(),
            Self::Bind(error) | Self::BindRedirect(error) | Self::Start(error) => Some(error),
            Self::OpenFiles(error) => Some(error),
        }
    }
}

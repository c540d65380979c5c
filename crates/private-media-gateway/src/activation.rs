//! Listening sockets that this process inherits (the protocol of `sd_listen_fds(3)`).

use listenfd::ListenFd;
use rustix::net::sockopt;

use crate::config::ConfigError;
use crate::listeners::{Socket, StdListener};

/// The name of a socket that the caller has not named.
const UNNAMED: &str = "unknown";

/// Returns the sockets of `LISTEN_FDS`, with their names. Call this before any thread is started, as it changes the environment.
pub(crate) fn take() -> Result<Vec<Socket>, ConfigError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty()).map(str::to_owned);
    let mut inherited = ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..inherited.len() {
        let tcp = inherited.take_tcp_listener(number).ok().flatten().map(StdListener::Tcp);
        let listener =
            tcp.or_else(|| inherited.take_unix_listener(number).ok().flatten().map(StdListener::Unix));
        let Some(listener) = listener.filter(is_listening) else {
            return Err(ConfigError::new(format!(
                "LISTEN_FDS: file descriptor {} is not a listening TCP or Unix socket; use ListenStream= and Accept=no in the socket unit",
                number + 3
            )));
        };
        sockets.push(Socket { name: names.next().unwrap_or_else(|| UNNAMED.into()), listener });
    }
    Ok(sockets)
}

fn is_listening(listener: &StdListener) -> bool {
    let listens = match listener {
        StdListener::Tcp(listener) => sockopt::socket_acceptconn(listener),
        StdListener::Unix(listener) => sockopt::socket_acceptconn(listener),
    };
    listens.unwrap_or(false)
}

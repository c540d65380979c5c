//! Several sockets that listen on one address. The kernel distributes the clients among them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::{AddressFamily, SocketFlags, SocketType, listen, socket_with, sockopt};

/// The number of connections that may wait at each socket to be accepted.
pub(crate) const BACKLOG: i32 = 1024;

/// Listens on the first available address, with `count` sockets and at least one. Each worker thread serves one of them, and the kernel
/// distributes the clients (`SO_REUSEPORT`). The sockets are non-blocking.
///
/// ```
/// let sockets = private_media_listener::bind(&["127.0.0.1:0".parse().unwrap()], 2)?;
/// assert_eq!(sockets[0].local_addr()?, sockets[1].local_addr()?);
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn bind(addresses: &[SocketAddr], count: usize) -> io::Result<Vec<TcpListener>> {
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match share(*address, count) {
            Ok(listeners) => return Ok(listeners),
            Err(problem) => error = problem,
        }
    }
    Err(error)
}

fn share(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // The first socket sets SO_REUSEPORT after bind(2). So it is an error if another program listens there, even one of the same user.
    let first = socket(address)?;
    rustix::net::bind(&first, &address)?;
    sockopt::set_socket_reuseport(&first, true)?;
    listen(&first, BACKLOG)?;
    let first = TcpListener::from(first);
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        let next = socket(address)?;
        sockopt::set_socket_reuseport(&next, true)?;
        rustix::net::bind(&next, &address)?;
        listen(&next, BACKLOG)?;
        listeners.push(TcpListener::from(next));
    }
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    Ok(listeners)
}

/// Creates a socket that can be bound while connections of a previous process are in `TIME_WAIT`.
fn socket(address: SocketAddr) -> io::Result<rustix::fd::OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn sockets_share_a_port_and_exclude_other_programs() {
        // No other test uses this address, so none gets the released port.
        let listeners = bind(&["127.9.8.7:0".parse().unwrap()], 4).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert!(address.port() != 0 && listeners.iter().all(|own| own.local_addr().unwrap() == address));
        let clients: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
        let accepted = |own: &TcpListener| std::iter::from_fn(|| own.accept().ok()).count();
        let shares: Vec<_> = listeners.iter().map(accepted).collect();
        assert!(shares.iter().sum::<usize>() == clients.len() && shares.iter().all(|share| *share > 0));
        let error = bind(&[address], 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listeners);
        bind(&[address], 2).unwrap();
    }
}

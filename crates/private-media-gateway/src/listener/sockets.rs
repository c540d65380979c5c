//! One address, and a socket on it for each worker: the kernel shares the clients out among them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

/// How many clients may wait at each socket to be accepted.
const BACKLOG: i32 = 1024;

/// Listens on the first of these addresses that can be had, by this many sockets, and at least one.
pub(crate) fn listen_on(addresses: &[SocketAddr], count: usize) -> io::Result<Vec<TcpListener>> {
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
    // The first one does not share while it is bound: where another program listens, a gateway of the same user too, that is an
    // error. It shares from then on, with those that ask for the same, which are ours.
    let first = socket(address)?;
    bind(&first, &address)?;
    sockopt::set_socket_reuseport(&first, true)?;
    listen(&first, BACKLOG)?;
    let first = TcpListener::from(first);
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        let next = socket(address)?;
        sockopt::set_socket_reuseport(&next, true)?;
        bind(&next, &address)?;
        listen(&next, BACKLOG)?;
        listeners.push(TcpListener::from(next));
    }
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    Ok(listeners)
}

/// What may be bound although connections of the last program linger there.
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
    fn several_sockets_share_a_port_and_nobody_else_does() {
        let listeners = listen_on(&["127.0.0.1:0".parse().unwrap()], 4).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert!(address.port() != 0 && listeners.iter().all(|own| own.local_addr().unwrap() == address));
        let clients: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
        let accepted = |own: &TcpListener| std::iter::from_fn(|| own.accept().ok()).count();
        let shares: Vec<_> = listeners.iter().map(accepted).collect();
        assert!(shares.iter().sum::<usize>() == clients.len() && shares.iter().all(|share| *share > 0));
        let error = listen_on(&[address], 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listeners);
        listen_on(&[address], 2).unwrap();
    }
}

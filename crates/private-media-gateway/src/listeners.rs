//! Listening sockets: those that this process binds, and those that it inherits from systemd or from the program before an upgrade.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use private_media_listener::{Listener, SocketFile};

use crate::addresses::{Endpoint, ListenAddr};

/// The names of sockets that this program has bound, for the program after an upgrade.
const OWN: &str = "private-media";
pub(crate) const OWN_ADMIN: &str = "private-media-admin";

/// A listening socket.
#[derive(Debug)]
pub(crate) enum StdListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl StdListener {
    /// Returns the listener in the current runtime.
    pub(crate) fn register(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp(listener) => tokio::net::TcpListener::from_std(listener)?.into(),
            Self::Unix(listener) => tokio::net::UnixListener::from_std(listener)?.into(),
        })
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }

    pub(crate) fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        Ok(match self.try_clone()? {
            Self::Tcp(listener) => listener.into(),
            Self::Unix(listener) => listener.into(),
        })
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.set_nonblocking(true),
            Self::Unix(listener) => listener.set_nonblocking(true),
        }
    }

    fn endpoint(&self) -> io::Result<Endpoint> {
        match self {
            Self::Tcp(listener) => Ok(Endpoint::Tcp(listener.local_addr()?)),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let name =
                    address.as_abstract_name().map(|name| format!("@{}", String::from_utf8_lossy(name)));
                let path = address.as_pathname().map(PathBuf::from).or(name.map(PathBuf::from));
                path.map(Endpoint::Unix).ok_or_else(|| ErrorKind::AddrNotAvailable.into())
            }
        }
    }
}

/// A listening socket with the name that tells its purpose, as in `FileDescriptorName=` of systemd.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) name: String,
    pub(crate) listener: StdListener,
}

/// The file of a Unix socket that this program has bound, in this process or before an upgrade.
#[derive(Debug)]
pub(crate) enum BoundFile {
    /// It is removed when this is dropped.
    New(SocketFile),
    /// It stays, because the previous process serves on if this one fails.
    Inherited(PathBuf),
}

impl BoundFile {
    /// Returns the file, which this process removes at its end. Call this when nothing can fail any more.
    pub(crate) fn take_over(self) -> io::Result<SocketFile> {
        match self {
            Self::New(file) => Ok(file),
            Self::Inherited(path) => SocketFile::take_over(&path),
        }
    }
}

/// The listening sockets of a process.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) sockets: Vec<Socket>,
    /// The addresses, at least one.
    pub(crate) endpoints: Vec<Endpoint>,
    /// The file of a Unix socket.
    pub(crate) socket_file: Option<BoundFile>,
}

impl Bound {
    /// Listens at an address, with a TCP socket for each worker.
    pub(crate) fn bind(listen: &ListenAddr, workers: usize) -> io::Result<Self> {
        let (listeners, socket_file): (Vec<_>, _) = match listen {
            ListenAddr::Tcp(addresses) => {
                let listeners = private_media_listener::bind(addresses, workers)?;
                (listeners.into_iter().map(StdListener::Tcp).collect(), None)
            }
            ListenAddr::Unix(path) => {
                let (listeners, file) = private_media_listener::bind_unix(path, 1)?;
                (listeners.into_iter().map(StdListener::Unix).collect(), Some(BoundFile::New(file)))
            }
        };
        let own = |listener| Socket { name: OWN.into(), listener };
        Self::new(listeners.into_iter().map(own).collect(), socket_file)
    }

    /// Uses inherited sockets, at least one.
    pub(crate) fn inherit(sockets: Vec<Socket>) -> io::Result<Self> {
        let mut socket_file = None;
        for socket in &sockets {
            socket.listener.set_nonblocking()?;
            if let (Endpoint::Unix(path), OWN | OWN_ADMIN) = (socket.listener.endpoint()?, &*socket.name) {
                socket_file = Some(BoundFile::Inherited(path));
            }
        }
        Self::new(sockets, socket_file)
    }

    fn new(sockets: Vec<Socket>, socket_file: Option<BoundFile>) -> io::Result<Self> {
        let mut endpoints = Vec::new();
        for socket in &sockets {
            let endpoint = socket.listener.endpoint()?;
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        Ok(Self { sockets, endpoints, socket_file })
    }

    /// Returns the sockets of each worker: at least one of each address. Every socket has a worker, because the kernel has already assigned
    /// it clients.
    pub(crate) fn assign(&self, workers: usize) -> io::Result<Vec<Vec<StdListener>>> {
        let mut assigned: Vec<Vec<StdListener>> = (0..workers).map(|_| Vec::new()).collect();
        for endpoint in &self.endpoints {
            let mut same = Vec::new();
            for Socket { listener, .. } in &self.sockets {
                if listener.endpoint()? == *endpoint {
                    same.push(listener);
                }
            }
            for number in 0..workers.max(same.len()) {
                let listener = same.get(number % same.len().max(1)).ok_or(ErrorKind::NotFound)?;
                let worker = assigned.get_mut(number % workers.max(1)).ok_or(ErrorKind::NotFound)?;
                worker.push(listener.try_clone()?);
            }
        }
        Ok(assigned)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn tcp(count: usize) -> Vec<Socket> {
        let listen = ListenAddr::Tcp(vec!["127.0.0.1:0".parse().unwrap()]);
        Bound::bind(&listen, count).unwrap().sockets
    }

    /// However many sockets and workers there are, each worker gets a client of each address, and each client a worker.
    #[test]
    fn each_socket_has_a_worker_and_each_worker_every_address() {
        let folder = tempfile::tempdir().unwrap();
        let unix = Bound::bind(&ListenAddr::Unix(folder.path().join("s")), 1).unwrap();
        for (sockets, workers) in [(1, 1), (1, 4), (4, 1), (2, 3), (3, 2), (4, 4), (7, 3)] {
            let mut all = tcp(sockets);
            let clone = unix.sockets[0].listener.try_clone().unwrap();
            all.push(Socket { name: "other".into(), listener: clone });
            let bound = Bound::inherit(all).unwrap();
            assert_eq!(bound.endpoints.len(), 2);
            let assigned = bound.assign(workers).unwrap();
            assert_eq!(assigned.len(), workers);
            let Endpoint::Tcp(address) = bound.endpoints[0] else { panic!("{:?}", bound.endpoints) };
            let clients: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
            let mut accepted = 0;
            for listener in assigned.iter().flatten() {
                if let StdListener::Tcp(listener) = listener {
                    accepted += std::iter::from_fn(|| listener.accept().ok()).count();
                }
            }
            assert_eq!(accepted, clients.len(), "{sockets} {workers}");
            for worker in &assigned {
                let has =
                    |is_unix: bool| worker.iter().any(|own| matches!(own, StdListener::Unix(_)) == is_unix);
                assert!(has(true) && has(false), "{sockets} {workers}: {worker:?}");
            }
        }
    }

    #[test]
    fn the_file_of_an_own_socket_is_removed_by_the_process_that_took_it_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = Bound::bind(&ListenAddr::Unix(path.clone()), 1).unwrap();
        first.socket_file.unwrap().take_over().unwrap().leave();
        let clone = |name: &str| {
            let listener = first.sockets[0].listener.try_clone().unwrap();
            Bound::inherit(vec![Socket { name: name.into(), listener }]).unwrap()
        };
        assert!(clone("private-media.socket").socket_file.is_none(), "it is that of systemd");
        // A new program that fails does not serve.
        drop(clone(OWN));
        UnixStream::connect(&path).unwrap();
        drop(clone(OWN).socket_file.unwrap().take_over().unwrap());
        assert!(!path.exists());
    }
}

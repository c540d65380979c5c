//! A listening socket at a path of the file system.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, listen, socket_with};

use crate::sockets::BACKLOG;

/// The mode of the socket: its owner and its group may connect.
const MODE: u32 = 0o660;
/// How often the lock of the folder is tried, and the pause between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Listens at a path of the file system, with this many sockets and at least one. Each worker thread serves one of them; the first
/// worker that is free accepts a client. The sockets are non-blocking.
///
/// The owner of the process and its group may connect (mode 0660). A socket that an earlier process left behind is replaced. It is an
/// error if a process listens at the path ([`ErrorKind::AddrInUse`]), or if another kind of file is there
/// ([`ErrorKind::AlreadyExists`]).
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("app.sock");
/// let (listeners, socket_file) = private_media_listener::bind_unix(&path, 2)?;
/// assert_eq!(listeners.len(), 2);
/// std::os::unix::net::UnixStream::connect(&path)?;
/// drop(socket_file);
/// assert!(!path.exists());
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn bind_unix(path: &Path, count: usize) -> io::Result<(Vec<UnixListener>, SocketFile)> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the path of the socket is empty"));
    }
    let address = SocketAddrUnix::new(path)?;
    // No other process may replace the socket between the check and the bind.
    let _lock = lock_folder_of(path)?;
    remove_stale(path, &address)?;
    let socket = socket(SocketFlags::empty())?;
    rustix::net::bind(&socket, &address)?;
    let file = SocketFile { id: id_of(path)?, path: path.to_owned(), is_left: false };
    // Nobody can connect before this process listens, so the mode is in force from the beginning.
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    listen(&socket, BACKLOG)?;
    let first = UnixListener::from(socket);
    first.set_nonblocking(true)?;
    let mut listeners = Vec::new();
    for _ in 1..count {
        listeners.push(first.try_clone()?);
    }
    listeners.push(first);
    Ok((listeners, file))
}

/// The file of a listening socket. Dropping this removes the file, unless another process has replaced it.
#[derive(Debug)]
#[must_use = "dropping this removes the socket, so no client can connect"]
pub struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
    is_left: bool,
}

impl SocketFile {
    /// Takes over the socket at a path from a process that leaves it there. This process listens on the same socket.
    ///
    /// ```
    /// use private_media_listener::{SocketFile, bind_unix};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("app.sock");
    /// let (listeners, socket_file) = bind_unix(&path, 1)?;
    /// socket_file.leave();
    /// assert!(path.exists());
    /// drop(SocketFile::take_over(&path)?);
    /// assert!(!path.exists());
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn take_over(path: &Path) -> io::Result<Self> {
        Ok(Self { id: id_of(path)?, path: path.to_owned(), is_left: false })
    }

    /// Leaves the file where it is, for another process.
    pub fn leave(mut self) {
        self.is_left = true;
    }

    /// Returns the path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        let Ok(_lock) = lock_folder_of(&self.path) else { return };
        if id_of(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket at this path that no process listens at.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::new(ErrorKind::AlreadyExists, "the file exists and is not a socket")),
        Err(error) => return Err(error),
    }
    // It does not wait if the queue of the other process is full.
    match connect(socket(SocketFlags::NONBLOCK)?, address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        Ok(()) | Err(Errno::AGAIN) => Err(ErrorKind::AddrInUse.into()),
        Err(error) => Err(error.into()),
    }
}

fn socket(flags: SocketFlags) -> io::Result<rustix::fd::OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | flags, None)?)
}

/// Returns the device and inode of the file at a path.
fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Locks the folder of a path against other processes that bind or remove a socket there.
fn lock_folder_of(path: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder)?;
    for _ in 0..TRIES {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(folder),
        }
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "another process has locked the folder of the socket"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn socket(&self) -> PathBuf {
            self.0.path().join("app.sock")
        }

        /// Leaves a socket that no process listens at.
        fn leave_stale(&self) {
            drop(UnixListener::bind(self.socket()).unwrap());
            assert_eq!(UnixStream::connect(self.socket()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
    }

    fn kind(path: &Path) -> ErrorKind {
        bind_unix(path, 1).unwrap_err().kind()
    }

    #[test]
    fn several_sockets_share_a_path_that_only_owner_and_group_may_use() {
        let place = Place::new();
        let (listeners, file) = bind_unix(&place.socket(), 3).unwrap();
        let metadata = fs::symlink_metadata(file.path()).unwrap();
        assert_eq!((listeners.len(), metadata.mode() & 0o7777), (3, MODE));
        let _clients: Vec<_> = (0..30).map(|_| UnixStream::connect(file.path()).unwrap()).collect();
        let accepted = |own: &UnixListener| own.accept().is_ok();
        assert!((0..10).all(|_| listeners.iter().all(accepted)));
        assert_eq!(listeners[0].accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn only_a_stale_socket_is_replaced() {
        let place = Place::new();
        place.leave_stale();
        let (listeners, file) = bind_unix(&place.socket(), 1).unwrap();
        UnixStream::connect(file.path()).unwrap();
        assert_eq!(kind(&place.socket()), ErrorKind::AddrInUse);
        // Also while more clients wait than the queue can hold.
        let connect_once =
            || connect(socket(SocketFlags::NONBLOCK).unwrap(), &SocketAddrUnix::new(file.path()).unwrap());
        while connect_once().is_ok() {}
        assert_eq!(kind(&place.socket()), ErrorKind::AddrInUse);
        drop((listeners, file));
        assert!(!place.socket().exists());
        for (name, make) in [
            ("file", (|path| fs::write(path, "kept")) as fn(&Path) -> io::Result<()>),
            ("folder", |path| fs::create_dir(path)),
            ("link", |path| std::os::unix::fs::symlink("app.sock", path)),
        ] {
            let path = place.0.path().join(name);
            make(&path).unwrap();
            assert_eq!(kind(&path), ErrorKind::AlreadyExists, "{name}");
            assert!(fs::symlink_metadata(&path).is_ok(), "{name}");
        }
    }

    #[test]
    fn invalid_paths_are_errors() {
        let place = Place::new();
        let long = place.0.path().join("x".repeat(110));
        let missing = place.0.path().join("missing/app.sock");
        for (path, expected) in [
            (Path::new(""), ErrorKind::InvalidInput),
            (&long, ErrorKind::InvalidFilename),
            (&missing, ErrorKind::NotFound),
        ] {
            assert_eq!(kind(path), expected, "{path:?}");
        }
    }

    #[test]
    fn a_socket_that_was_replaced_is_not_removed() {
        let place = Place::new();
        let (listeners, file) = bind_unix(&place.socket(), 1).unwrap();
        fs::remove_file(file.path()).unwrap();
        let (_second, _other) = bind_unix(&place.socket(), 1).unwrap();
        drop((listeners, file));
        UnixStream::connect(place.socket()).unwrap();
    }

    /// Two processes that start at once both find the stale socket; one of them gets the path.
    #[test]
    fn of_several_concurrent_binds_one_succeeds() {
        for _ in 0..20 {
            let place = Place::new();
            place.leave_stale();
            let bound: Vec<_> = std::thread::scope(|scope| {
                let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| bind_unix(&place.socket(), 1))).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            });
            let (won, lost): (Vec<_>, Vec<_>) = bound.into_iter().partition(Result::is_ok);
            assert!(lost.iter().all(|lost| lost.as_ref().unwrap_err().kind() == ErrorKind::AddrInUse));
            assert_eq!(won.len(), 1);
            UnixStream::connect(place.socket()).unwrap();
        }
    }
}

//! The handle of the root, which is opened again when another folder is at its path.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::{Access, AtFlags, Mode, OFlags};

use super::super::StorageError;
use super::error::io_error;
use super::file_id::FileId;
use super::temporary;

/// Opens a folder for reading, fsync(2) and fchmod(2). A handle of `Resolver::open_folder` is only for lookups.
pub(super) const READ_FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The root of all clones of a storage.
#[derive(Debug)]
pub(super) struct Root {
    path: Arc<Path>,
    state: RwLock<State>,
    /// Increases with each change of the state. A cache compares it without a lock.
    generation: AtomicU64,
    /// Serializes checks.
    checking: Mutex<()>,
}

#[derive(Debug, Clone)]
enum State {
    Open(Arc<OpenRoot>, Location),
    /// No folder at the path can be served. The handle is closed, so that its file system can be unmounted.
    Lost {
        last: Location,
        reason: Arc<str>,
    },
}

/// A folder that is or was the root. A running request holds the one in which it began.
#[derive(Debug)]
pub(super) struct OpenRoot {
    pub(super) dir: Arc<Dir>,
    id: FileId,
    path: Arc<Path>,
}

/// The identity of a root and its parents when it was opened.
#[derive(Debug, Clone)]
struct Location {
    id: FileId,
    /// The folders above the root.
    above: Arc<[FileId]>,
}

/// The check of a folder that replaces the root.
#[derive(Clone)]
pub(super) struct Accept(pub(super) Arc<AcceptFn>);

type AcceptFn = dyn Fn(&Path) -> Result<(), String> + Send + Sync;

impl fmt::Debug for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accept")
    }
}

impl Root {
    /// Opens an existing folder, and removes abandoned temporary files.
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let path: Arc<Path> = path.into();
        let opened = OpenRoot::open(&path).map_err(open_error)?;
        temporary::sweep(&opened.dir);
        Ok(Self {
            path,
            state: RwLock::new(State::open(opened)),
            generation: AtomicU64::new(0),
            checking: Mutex::default(),
        })
    }

    /// Returns the folder that is currently served.
    pub(super) fn current(&self) -> Result<Arc<OpenRoot>, StorageError> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(opened, _) => Ok(Arc::clone(opened)),
            State::Lost { reason, .. } => Err(open_error(io::Error::other(reason.to_string()))),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Compares the folder at the path with the open one. Opens it if it is another one that can be served. Returns whether the state changed.
    pub(super) fn check(&self, accept: Option<&Accept>) -> (bool, Result<(), StorageError>) {
        let _one = self.checking.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (last, is_lost) = match &state {
            State::Open(_, location) => (location.clone(), false),
            State::Lost { last, .. } => (last.clone(), true),
        };
        match self.reopen(&last, is_lost, accept) {
            Ok(None) => (false, Ok(())),
            Ok(Some(opened)) => {
                if opened.id != last.id {
                    tracing::warn!(
                        root = %self.path.display(), from = %last.id, to = %opened.id,
                        "the root was replaced; serving the new folder"
                    );
                }
                temporary::sweep(&opened.dir);
                self.set(State::open(opened));
                (true, Ok(()))
            }
            Err(error) => {
                let error = error.to_string();
                if !matches!(&state, State::Lost { reason, .. } if **reason == *error) {
                    self.set(State::Lost { last, reason: error.as_str().into() });
                }
                (!is_lost, Err(open_error(io::Error::other(error))))
            }
        }
    }

    /// Opens the folder at the path. Returns `None` if it is the open one.
    fn reopen(
        &self,
        last: &Location,
        is_lost: bool,
        accept: Option<&Accept>,
    ) -> io::Result<Option<OpenRoot>> {
        // This needs no file descriptor, so a process without free descriptors does not lose its root.
        if !is_lost && is_readable(&self.path) && FileId::at(&self.path).is_ok_and(|id| id == last.id) {
            return Ok(None);
        }
        let opened = OpenRoot::open(&self.path)?;
        if opened.is_below_unmounted(last) {
            return Err(io::Error::other(format!(
                "{} is now the mount point of an unmounted file system ({}; the root was {}): mount the file system again, or restart \
                 to serve this folder",
                self.path.display(),
                opened.id,
                last.id,
            )));
        }
        if let Some(Accept(accept)) = accept {
            accept(&self.path).map_err(io::Error::other)?;
            // The check used the path, which may lead to another folder by now.
            if FileId::at(&self.path)? != opened.id {
                return Err(io::Error::other(format!("{} is being replaced", self.path.display())));
            }
        }
        Ok(Some(opened))
    }

    fn set(&self, state: State) {
        let mut current = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *current = state;
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl State {
    fn open(opened: OpenRoot) -> Self {
        let mut above: Vec<FileId> = Vec::new();
        let mut path = "..".to_owned();
        // The loop ends at `/`, where `..` is the same folder, or at a folder that this user cannot search.
        while let Ok(found) = rustix::fs::statat(&*opened.dir, &path, AtFlags::empty()) {
            let id = FileId::from_stat(&found);
            if above.last() == Some(&id) {
                break;
            }
            above.push(id);
            path.push_str("/..");
        }
        let location = Location { id: opened.id, above: above.into() };
        Self::Open(Arc::new(opened), location)
    }
}

impl OpenRoot {
    fn open(path: &Arc<Path>) -> io::Result<Self> {
        let open = || {
            let dir = Dir::open_ambient_dir(path, ambient_authority())?;
            // The handle is only for lookups, so it could be opened for an unreadable folder, too.
            rustix::fs::openat(&dir, ".", READ_FOLDER, Mode::empty())?;
            let id = FileId::of(&dir)?;
            Ok(Self { dir: Arc::new(dir), id, path: Arc::clone(path) })
        };
        open().map_err(|error: io::Error| {
            let problem = match error.kind() {
                io::ErrorKind::NotFound => "does not exist".to_owned(),
                io::ErrorKind::NotADirectory => "is not a folder".to_owned(),
                _ => format!("cannot be opened: {error}"),
            };
            io::Error::new(error.kind(), format!("{} {problem}", path.display()))
        })
    }

    /// Returns whether the path still leads to this folder. A front server opens files by that path.
    pub(super) fn is_at_its_path(&self) -> bool {
        FileId::at(&self.path).is_ok_and(|id| id == self.id)
    }

    /// Returns whether this folder is on the file system on which that of the last root was mounted.
    fn is_below_unmounted(&self, last: &Location) -> bool {
        !self.id.is_on_device_of(&last.id) && last.above.iter().any(|above| self.id.is_on_device_of(above))
    }

    #[cfg(test)]
    pub(super) fn for_test(path: &Path) -> Arc<Self> {
        Arc::new(Self::open(&path.into()).unwrap())
    }
}

/// Returns whether this user can list and search a folder.
fn is_readable(folder: &Path) -> bool {
    rustix::fs::access(folder, Access::READ_OK | Access::EXEC_OK).is_ok()
}

fn open_error(source: io::Error) -> StorageError {
    io_error("opening the root")(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(device: u64, inode: u64) -> FileId {
        FileId::for_test(device, inode)
    }

    /// A root on device 3, mounted on a folder of device 2, which is mounted on device 1.
    #[test]
    fn the_mount_point_of_an_unmounted_file_system_is_recognized() {
        let above = [id(3, 9), id(2, 5), id(1, 2)];
        let last = Location { id: id(3, 10), above: above.into() };
        let folder = tempfile::tempdir().unwrap();
        for (device, is_left) in [(3, false), (2, true), (1, true), (4, false)] {
            let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
            let opened = OpenRoot { dir: Arc::new(dir), id: id(device, 77), path: folder.path().into() };
            assert_eq!(opened.is_below_unmounted(&last), is_left, "{device}");
        }
    }

    /// The generation changes only with the served folder.
    #[test]
    fn the_generation_follows_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("root"), folder.path().join("moved"));
        std::fs::create_dir(&path).unwrap();
        let root = Root::open(&path).unwrap();
        let check = || (root.check(None).1.is_ok(), root.current().is_ok(), root.generation());
        assert_eq!((check(), check()), ((true, true, 0), (true, true, 0)));
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!((check(), check()), ((false, false, 1), (false, false, 1)));
        std::fs::write(&path, "").unwrap();
        assert_eq!((check(), check()), ((false, false, 2), (false, false, 2)));
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&moved, &path).unwrap();
        assert_eq!((check(), check()), ((true, true, 3), (true, true, 3)));
        let refuse = Accept(Arc::new(|_| Err("refused".into())));
        assert!(root.check(Some(&refuse)).1.is_ok(), "the open folder is not checked again");
        std::fs::rename(&path, &moved).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(root.check(Some(&refuse)).1.is_err() && root.current().is_err());
        assert_eq!(check(), (true, true, 5));
    }
}

//! Changes the accounts file while other processes read and change it.
//!
//! The lock is an exclusive `flock` of the file itself. A change replaces the file by a rename, so after locking, the name must still lead
//! to the locked inode. The new file is locked before it gets the name, so no other command finds it unlocked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::file::{AccountsError, AccountsFile};

/// How long to wait for the lock of another command.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(10);
const DRAFT_SUFFIX: &str = ".draft";

impl AccountsFile {
    /// Changes the file at `path` under an exclusive lock: reads it, calls `change`, and replaces it, atomically and durably. Returns the
    /// file as written. A missing file is created, readable only by its owner.
    ///
    /// An error leaves the file unchanged. Owner, group and mode are preserved; if that is not possible, it is an error. If the path is a
    /// symlink, its target is changed. `change` may be called again if another process creates the file meanwhile.
    ///
    /// ```
    /// use private_media::identity::accounts::{AccountsFile, NewAccount};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("accounts.toml");
    /// AccountsFile::update(&path, |file| {
    ///     file.add(NewAccount::new("alice", "7", "correct horse"))
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update(
        path: impl AsRef<Path>,
        mut change: impl FnMut(&mut Self) -> Result<(), AccountsError>,
    ) -> Result<Self, AccountsError> {
        let path = path.as_ref();
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let target = resolve(path)?;
        let failed = |error: io::Error| AccountsError::io(path, error);
        loop {
            let mut locked = lock(&target, deadline).map_err(failed)?;
            sweep(&target, locked.as_ref());
            let mut file = match &mut locked {
                Some(locked) => Self::load_from(locked, path)?,
                None => Self::default(),
            };
            change(&mut file)?;
            let text = file.serialize_with_secret().map_err(failed)?;
            let replaced = locked.as_ref().map(File::metadata).transpose().map_err(failed)?;
            let mut draft = Draft::create(&target).map_err(failed)?;
            if let Some(replaced) = replaced {
                draft.take_owner(&replaced).map_err(failed)?;
            }
            draft.write(&text).map_err(failed)?;
            // Without a file to lock, two commands may run concurrently. The second finds the file of the first and starts over.
            match draft.publish(&target, locked.is_some()) {
                Ok(()) => {}
                Err(error) if is_race(&error) && locked.is_none() && Instant::now() < deadline => continue,
                Err(error) => return Err(failed(error)),
            }
            sync_folder(&target).map_err(|error| {
                AccountsError::at(
                    path,
                    format_args!(
                        "changed, but the change may be lost in a power failure ({error}); check the disk"
                    ),
                )
            })?;
            return Ok(file);
        }
    }
}

fn is_race(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound)
}

/// Returns the path of the file that a path leads to, through symlinks. The file need not exist.
#[expect(clippy::disallowed_methods, reason = "not below the root; after locking, the name is checked again")]
fn resolve(path: &Path) -> Result<PathBuf, AccountsError> {
    match fs::canonicalize(path) {
        Ok(target) => Ok(target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(AccountsError::at(
                    path,
                    "a symlink to a file that does not exist; create the file or remove the link",
                ));
            }
            Ok(path.to_path_buf())
        }
        Err(error) => Err(AccountsError::io(path, error)),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens and locks a file; `None` if it does not exist.
fn lock(target: &Path, deadline: Instant) -> io::Result<Option<File>> {
    loop {
        // Otherwise opening a FIFO would wait for a writer.
        let opened = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(target);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file; use another with --accounts"));
        }
        match file.try_lock() {
            Ok(()) => match fs::metadata(target) {
                Ok(named) if is_same(&named, &file.metadata()?) => return Ok(Some(file)),
                // Another command has replaced the file meanwhile.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(format!(
                    "locked by another process for {} s; wait for the other account command to end",
                    LOCK_TIMEOUT.as_secs()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Removes the drafts of killed commands. A draft of a running command is locked.
fn sweep(target: &Path, locked: Option<&File>) {
    let Ok(entries) = fs::read_dir(folder(target)) else { return };
    let locked = locked.and_then(|file| file.metadata().ok());
    for entry in entries.flatten().filter(|entry| is_draft(entry, target)) {
        let draft = OpenOptions::new().read(true).custom_flags(NOFOLLOW | NONBLOCK).open(entry.path());
        let Ok(draft) = draft else { continue };
        // A killed command may have left its draft as a second name of the file, which this command has locked.
        let is_second_name = match (&locked, draft.metadata()) {
            (Some(locked), Ok(draft)) => is_same(locked, &draft),
            _ => false,
        };
        if is_second_name || draft.try_lock().is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();
const NOFOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();

fn is_draft(entry: &fs::DirEntry, target: &Path) -> bool {
    let (name, of) = (entry.file_name(), target.file_name().unwrap_or_default());
    let random = (|| {
        let rest = name.as_encoded_bytes().strip_prefix(of.as_encoded_bytes())?;
        rest.strip_prefix(b".")?.strip_suffix(DRAFT_SUFFIX.as_bytes())
    })();
    random.is_some_and(|random| random.len() == 16 && random.iter().all(u8::is_ascii_hexdigit))
        && entry.file_type().is_ok_and(|kind| kind.is_file())
}

/// The next version of a file, in the same folder. Dropping it removes it unless it was published.
struct Draft {
    file: File,
    path: PathBuf,
    is_published: bool,
}

impl Draft {
    fn create(target: &Path) -> io::Result<Self> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{random:016x}{DRAFT_SUFFIX}"));
        let path = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot create a file next to it ({error}); let this user write to the folder"),
            )
        })?;
        let draft = Self { file, path, is_published: false };
        // If a sweep locks it first, it removes the draft. Publishing then fails, and the change starts over.
        let _ = draft.file.try_lock();
        Ok(draft)
    }

    /// Gives the draft the owner, group and mode of the file that it replaces.
    fn take_owner(&mut self, replaced: &fs::Metadata) -> io::Result<()> {
        let own = self.file.metadata()?;
        let (uid, gid) = (replaced.uid(), replaced.gid());
        if (own.uid(), own.gid()) != (uid, gid) {
            fchown(&self.file, Some(uid), Some(gid)).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!(
                        "cannot preserve its owner {uid}:{gid} ({error}); run this as the owner or as root"
                    ),
                )
            })?;
        }
        self.file.set_permissions(fs::Permissions::from_mode(replaced.mode() & 0o7777))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all())
    }

    /// Gives the draft the target's name. Without `replace`, an existing file is an error.
    fn publish(&mut self, target: &Path, replace: bool) -> io::Result<()> {
        if replace {
            fs::rename(&self.path, target)?;
            self.is_published = true;
        } else {
            // Dropping the draft removes its own name.
            fs::hard_link(&self.path, target)?;
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn sync_folder(target: &Path) -> io::Result<()> {
    File::open(folder(target))?.sync_all()
}

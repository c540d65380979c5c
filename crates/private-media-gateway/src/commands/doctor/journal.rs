//! The journal of a run: the files and folders that it creates. It is written first, so that a later run can remove what a killed one
//! left.
//!
//! Other users may write below the root, and the doctor may run as root. So a journal is read only if no other user can have
//! written it. A file in it is deleted only if it is a canary of that run, a folder only if that run created it.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use private_media::MediaPath;
use rustix::fs::{AtFlags, FlockOperation, Mode, flock};
use rustix::io::Errno;

use super::canary::{self, PREFIX};
use super::removal::{open_parent, open_regular, remove_canary, remove_folder, unlink_same};

/// The largest journal that is read, in bytes.
const MAX_LEN: u64 = 64 << 10;

/// A hidden file in the root, locked while its doctor runs.
#[derive(Debug)]
pub(super) struct Journal {
    root: Arc<Dir>,
    nonce: String,
    created: Created,
    /// The open and locked file.
    file: File,
}

/// The files and folders that a run creates.
#[derive(Debug, Default, PartialEq, Eq)]
struct Created {
    files: Vec<MediaPath>,
    /// Parents first, each with its inode, to tell it from another folder of the same name.
    folders: Vec<(u64, MediaPath)>,
}

impl Journal {
    /// Writes the journal of canaries that are about to be created.
    pub(super) fn write(root: Arc<Dir>, nonce: &str, files: Vec<MediaPath>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = root.open_with(name(nonce), &options)?.into_std();
        let lines: String = files.iter().map(|path| format!("file {path}\n")).collect();
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        // A sweep between the two calls holds the lock, or has removed the name.
        if locked.is_err() || file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("another doctor is running here; try again"));
        }
        // A later doctor of another user, such as the gateway's, has to be able to read it.
        let written = rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(lines.as_bytes()));
        let created = Created { files, folders: vec![] };
        let journal = Self { root, nonce: nonce.to_owned(), created, file };
        match written {
            Ok(()) => Ok(journal),
            Err(error) => {
                journal.clear();
                Err(error)
            }
        }
    }

    /// Makes a folder and adds it to the journal. Returns false if the folder exists already.
    pub(super) fn make_folder(&mut self, path: &MediaPath) -> io::Result<bool> {
        let parent = open_parent(&self.root, path)?;
        match rustix::fs::mkdirat(&parent, path.file_name(), Mode::from_raw_mode(0o750)) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let inode = rustix::fs::statat(&parent, path.file_name(), AtFlags::SYMLINK_NOFOLLOW)?.st_ino;
        self.created.folders.push((inode, path.clone()));
        writeln!(self.file, "folder {inode} {path}")?;
        Ok(true)
    }

    /// Removes the files and folders, and then the journal.
    pub(super) fn clear(self) {
        let _ = self.created.remove(&self.root, &self.nonce);
        let _ = unlink_same(&self.root, &name(&self.nonce), &self.file);
    }

    /// Removes the files and folders of killed doctors.
    pub(super) fn sweep(root: &Dir) {
        let Ok(entries) = root.entries() else { return };
        for entry in entries.flatten() {
            let file_name = entry.file_name();
            let nonce = file_name.to_str().and_then(|name| name.strip_prefix('.')?.strip_prefix(PREFIX));
            if let Some(nonce) = nonce.filter(|nonce| canary::is_nonce(nonce)) {
                // A later run tries again.
                let _ = sweep_one(root, nonce);
            }
        }
    }
}

fn name(nonce: &str) -> String {
    format!(".{PREFIX}{nonce}")
}

fn sweep_one(root: &Dir, nonce: &str) -> io::Result<()> {
    let file = open_regular(root, &name(nonce))?;
    let metadata = file.metadata()?;
    if !is_trusted(&metadata) || metadata.len() > MAX_LEN {
        return Ok(());
    }
    // A running doctor holds the lock.
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let mut text = String::new();
    (&file).take(MAX_LEN).read_to_string(&mut text)?;
    Created::parse(&text).remove(root, nonce)?;
    unlink_same(root, &name(nonce), &file)
}

/// Returns whether only root or this user can have written a file: nobody else can write to it, and it has no second name.
fn is_trusted(metadata: &Metadata) -> bool {
    let owner = metadata.uid();
    (owner == 0 || owner == rustix::process::geteuid().as_raw())
        && metadata.nlink() == 1
        && metadata.mode() & 0o022 == 0
}

impl Created {
    /// Parses a journal. An incomplete last line is ignored.
    fn parse(text: &str) -> Self {
        let mut created = Self::default();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            if let Some(path) = line.strip_prefix("file ") {
                created.files.extend(MediaPath::new(path));
            } else if let Some((inode, path)) =
                line.strip_prefix("folder ").and_then(|rest| rest.split_once(' '))
                && let (Ok(inode), Ok(path)) = (inode.parse(), MediaPath::new(path))
            {
                created.folders.push((inode, path));
            }
        }
        created
    }

    /// Removes all files and folders, except replaced ones. Fails if one could not be removed.
    fn remove(&self, root: &Dir, nonce: &str) -> io::Result<()> {
        let files = self.files.iter().map(|path| remove_canary(root, nonce, path));
        let mut results: Vec<_> = files.collect();
        results.extend(self.folders.iter().rev().map(|(inode, path)| remove_folder(root, *inode, path)));
        let is_gone = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        };
        results
            .into_iter()
            .find(|result| result.as_ref().is_err_and(|error| !is_gone(error)))
            .unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::Path;

    use cap_std::ambient_authority;

    use super::*;

    const NONCE: &str = "0123456789abcdef";
    const CANARY: &str = "private-media doctor: 0123456789abcdef0123456789abcdef .jpg\n";
    const NAME: &str = "private-media-doctor-0123456789abcdef.jpg";

    fn root() -> (tempfile::TempDir, Arc<Dir>) {
        let folder = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        (folder, Arc::new(root))
    }

    fn path(path: &str) -> MediaPath {
        MediaPath::new(path).unwrap()
    }

    #[test]
    fn files_of_a_killed_doctor_are_removed() {
        let (_folder, root) = root();
        root.create_dir_all("there").unwrap();
        let files = ["a/b", "there"].map(|folder| path(&format!("{folder}/{NAME}")));
        let mut alive = Journal::write(Arc::clone(&root), NONCE, files.to_vec()).unwrap();
        for (folder, is_new) in [("there", false), ("a", true), ("a/b", true)] {
            assert_eq!(alive.make_folder(&path(folder)).unwrap(), is_new, "{folder}");
        }
        for file in &files {
            root.write(file.as_str(), CANARY).unwrap();
        }
        Journal::sweep(&root);
        assert!(files.iter().all(|file| root.exists(file.as_str())), "a running doctor keeps its files");
        drop(alive);
        Journal::sweep(&root);
        assert!(!root.exists("a") && root.exists("there"));
        assert_eq!(root.entries().unwrap().count(), 1, "the journal is removed, too");
    }

    type Change = fn(&Path);

    /// The journal of a killed doctor, and changes by another user.
    #[test]
    fn nothing_but_canaries_is_deleted() {
        let cases: [(&str, Change, &[&str]); 8] = [
            ("no change", |_| (), &[]),
            (
                "an upload replaces the canary",
                |root| std::fs::write(root.join("a").join(NAME), "mine").unwrap(),
                &["a"],
            ),
            (
                "a hard link",
                |root| std::fs::hard_link(root.join("a").join(NAME), root.join("mine")).unwrap(),
                &["a", "mine"],
            ),
            (
                "a symbolic link",
                |root| {
                    std::fs::rename(root.join("a").join(NAME), root.join("mine")).unwrap();
                    symlink("../mine", root.join("a").join(NAME)).unwrap();
                },
                &["a", "mine"],
            ),
            (
                "a folder",
                |root| {
                    std::fs::remove_file(root.join("a").join(NAME)).unwrap();
                    std::fs::create_dir(root.join("a").join(NAME)).unwrap();
                },
                &["a"],
            ),
            (
                "a FIFO",
                |root| {
                    std::fs::remove_file(root.join("a").join(NAME)).unwrap();
                    fifo(&root.join("a").join(NAME));
                },
                &["a"],
            ),
            (
                "a large file",
                |root| {
                    let file = File::create(root.join("a").join(NAME)).unwrap();
                    file.set_len(1 << 40).unwrap();
                },
                &["a"],
            ),
            (
                "another folder of the same name",
                |root| {
                    std::fs::rename(root.join("a"), root.join("mine")).unwrap();
                    std::fs::remove_file(root.join("mine").join(NAME)).unwrap();
                    std::fs::create_dir(root.join("a")).unwrap();
                },
                &["a", "mine"],
            ),
        ];
        for (what, change, stays) in cases {
            let (folder, root) = root();
            let mut journal =
                Journal::write(Arc::clone(&root), NONCE, vec![path(&format!("a/{NAME}"))]).unwrap();
            assert!(journal.make_folder(&path("a")).unwrap());
            root.write(format!("a/{NAME}"), CANARY).unwrap();
            drop(journal);
            change(folder.path());
            Journal::sweep(&root);
            let mut left: Vec<_> = root
                .entries()
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            left.sort();
            assert_eq!(left, stays, "{what}");
        }
    }

    /// A doctor that runs as root ignores journals that another user has put into the root.
    #[test]
    fn journals_of_other_users_are_ignored() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this test is for root");
            eprintln!("skipped: a test that needs root");
            return;
        }
        let cases: [(&str, Change, bool); 9] = [
            ("a journal of root", |_| (), true),
            ("a journal of another user", |journal| chown(journal, Some(23_456), None).unwrap(), false),
            ("writable by the group", |journal| mode(journal, 0o664), false),
            ("writable by everyone", |journal| mode(journal, 0o646), false),
            (
                "a hard link",
                |journal| std::fs::hard_link(journal, journal.with_extension("x")).unwrap(),
                false,
            ),
            (
                "a symbolic link",
                |journal| {
                    std::fs::rename(journal, journal.with_extension("x")).unwrap();
                    symlink(journal.with_extension("x"), journal).unwrap();
                },
                false,
            ),
            (
                "a huge file",
                |journal| File::options().append(true).open(journal).unwrap().set_len(1 << 40).unwrap(),
                false,
            ),
            (
                "a FIFO",
                |journal| {
                    std::fs::remove_file(journal).unwrap();
                    fifo(journal);
                },
                false,
            ),
            ("another name", |journal| std::fs::rename(journal, journal.with_extension("x")).unwrap(), false),
        ];
        for (what, change, is_read) in cases {
            let (folder, root) = root();
            drop(Journal::write(Arc::clone(&root), NONCE, vec![path(NAME)]).unwrap());
            root.write(NAME, CANARY).unwrap();
            change(&folder.path().join(name(NONCE)));
            Journal::sweep(&root);
            assert_eq!(root.exists(NAME), !is_read, "{what}");
        }
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn fifo(path: &Path) {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RWXU).unwrap();
    }

    #[test]
    fn incomplete_and_invalid_lines_are_ignored() {
        for (text, files, folders) in [
            ("file a/x.jpg\nfolder 7 a\n", &["a/x.jpg"][..], &[(7, "a")][..]),
            ("folder 7 a b\n", &[], &[(7, "a b")]),
            ("file a/x.j", &[], &[]),
            (
                "folder 7\nfolder x a\nfolder -1 a\nfolder 7 ../a\nfile /etc/passwd\nfile .hidden\na\n\n",
                &[],
                &[],
            ),
        ] {
            let files = files.iter().map(|file| path(file)).collect();
            let folders = folders.iter().map(|(inode, folder)| (*inode, path(folder))).collect();
            assert_eq!(Created::parse(text), Created { files, folders }, "{text:?}");
        }
    }
}

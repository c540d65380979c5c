//! What the doctor has put below a root, written down first: whatever ends it, the next one takes it away.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use private_media::MediaPath;
use rustix::fs::{AtFlags, FlockOperation, flock};

use super::canary::PREFIX;

/// The most that is read of one, in bytes.
const MOST: u64 = 64 << 10;

/// A hidden file at the root, which nobody is served, locked as long as its doctor lives.
#[derive(Debug)]
pub(super) struct Journal {
    root: Arc<Dir>,
    name: String,
    paths: Vec<MediaPath>,
    _locked: File,
}

impl Journal {
    /// Writes down what is about to be made: files first, then folders, parents first.
    pub(super) fn write(root: Arc<Dir>, word: &str, paths: Vec<MediaPath>) -> io::Result<Self> {
        let name = format!(".{PREFIX}{word}");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = root.open_with(&name, &options)?.into_std();
        // From here on it is taken away again, also if it cannot be written.
        let text: String = paths.iter().map(|path| format!("{path}\n")).collect();
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        if rustix::process::geteuid().is_root() {
            // So that a doctor who is not root can clear up after this one.
            let owner = rustix::fs::Uid::from_raw(rustix::fs::statat(&*root, ".", AtFlags::empty())?.st_uid);
            rustix::fs::fchown(&file, Some(owner), None)?;
        }
        let written = file.write_all(text.as_bytes());
        let journal = Self { root, name, paths, _locked: file };
        match written {
            Ok(()) => Ok(journal),
            Err(error) => {
                journal.clear();
                Err(error)
            }
        }
    }

    /// Takes away what was made, and the journal at last.
    pub(super) fn clear(self) {
        remove(&self.root, &self.paths);
        let _ = self.root.remove_file(&self.name);
    }

    /// Takes away what doctors have left that were killed.
    pub(super) fn sweep(root: &Dir) {
        let Ok(entries) = root.entries() else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with(&format!(".{PREFIX}"))) else {
                continue;
            };
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let _ = sweep_one(root, name);
            }
        }
    }
}

fn sweep_one(root: &Dir, name: &str) -> io::Result<()> {
    let file = root.open(name)?.into_std();
    // Whoever holds the lock is alive.
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text)?;
    let paths: Vec<_> = text.lines().filter_map(|line| MediaPath::new(line).ok()).collect();
    remove(root, &paths);
    root.remove_file(name)
}

/// Removes files of the doctor's names, and then folders, as far as they are empty: nothing else, whatever a journal says.
fn remove(root: &Dir, paths: &[MediaPath]) {
    let (files, folders): (Vec<_>, Vec<_>) = paths
        .iter()
        .partition(|path| root.symlink_metadata(path.as_str()).is_ok_and(|found| found.is_file()));
    for file in files.iter().filter(|path| path.file_name().starts_with(PREFIX)) {
        let _ = root.remove_file(file.as_str());
    }
    for folder in folders.iter().rev() {
        let _ = root.remove_dir(folder.as_str());
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn what_a_killed_doctor_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let root = Arc::new(Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap());
        let paths = ["a/private-media-doctor-1.jpg", "b/upload.jpg", "a", "a/b", "b"];
        root.create_dir_all("a/b").unwrap();
        root.create_dir("b").unwrap();
        root.write("a/private-media-doctor-1.jpg", "x").unwrap();
        root.write("b/upload.jpg", "x").unwrap();
        let paths = paths.iter().map(|path| MediaPath::new(path).unwrap()).collect();
        let alive = Journal::write(Arc::clone(&root), "1", paths).unwrap();
        Journal::sweep(&root);
        assert!(root.exists("a/private-media-doctor-1.jpg"), "a doctor that is alive keeps its own");
        drop(alive);
        Journal::sweep(&root);
        assert!(!root.exists("a") && root.exists("b/upload.jpg"));
        assert!(!root.exists(".private-media-doctor-1"));
    }
}

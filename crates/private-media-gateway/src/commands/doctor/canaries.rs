//! Creates the canaries, which the doctor requests from outside, and removes them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use private_media::storage::{SaveOptions, StorageError, content};
use private_media::{MediaPath, Permit, PrivateMedia};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use super::canary::{
    ANONYMOUS_FIRST, CLOSED, Canary, DENIED, LETTER, Nonces, PAGE, PERCENT, PHOTO, USER_FIRST,
};
use super::journal::Journal;
use super::probe_accounts::ProbeAccounts;
use crate::config::Config;

/// The library's folder of named temporary files.
const UPLOADS: &str = ".private-media-uploads";

/// All test files. When this is dropped, they are removed with the folders that were created for them.
#[derive(Debug)]
pub(super) struct Canaries {
    pub(super) nonces: Nonces,
    /// A picture with a plain name.
    pub(super) photo: Canary,
    /// A page that a browser could run, with a name that is hard to encode.
    pub(super) page: Canary,
    /// A name with `%41`, and one with the letter that `%41` decodes to.
    pub(super) percent: Canary,
    pub(super) letter: Canary,
    /// Requested without signing in only.
    pub(super) closed: Canary,
    /// Requested by clients with and without permission in turn, to detect a shared cache.
    pub(super) anonymous_first: Canary,
    pub(super) user_first: Canary,
    /// In a folder in which a signed-in user may not read.
    pub(super) denied: Option<Canary>,
    /// The difference between the file system's clock and this machine's, in seconds.
    pub(super) clock_difference: u64,
    cleanup: Cleanup,
}

impl Canaries {
    /// Creates the test files in a folder that the accounts may read, as an upload would.
    pub(super) async fn create(
        config: &Config,
        media: &PrivateMedia,
        nonces: Nonces,
        accounts: &ProbeAccounts,
    ) -> io::Result<Self> {
        // The test files get the permissions of uploads, independently of the shell's umask.
        rustix::process::umask(Mode::from_raw_mode(0o027));
        let root = Arc::new(Dir::open_ambient_dir(&config.root, ambient_authority())?);
        Journal::sweep(&root);
        let folder = &accounts.folder;
        let denied = accounts.denied.as_ref().map(|denied| nonces.canary(&denied.folder, DENIED));
        let mut canaries = Self {
            photo: nonces.canary(folder, PHOTO)?,
            page: nonces.canary(folder, PAGE)?,
            percent: nonces.canary(folder, PERCENT)?,
            letter: nonces.canary(folder, LETTER)?,
            closed: nonces.canary(folder, CLOSED)?,
            anonymous_first: nonces.canary(folder, ANONYMOUS_FIRST)?,
            user_first: nonces.canary(folder, USER_FIRST)?,
            denied: denied.transpose()?,
            clock_difference: 0,
            cleanup: Cleanup::default(),
            nonces,
        };
        let all: Vec<Canary> = canaries.all().cloned().collect();
        let had_uploads = root.exists(UPLOADS);
        let files = all.iter().map(|canary| canary.path.clone()).collect();
        let journal = Journal::write(root.clone(), &canaries.nonces.name, files)?;
        let journal = canaries.cleanup.journal.insert(journal);
        let mut created = Vec::new();
        for folder in folders_to_make(&root, &all) {
            if journal.make_folder(&folder)? {
                created.push(folder);
            }
        }
        for canary in &all {
            let permit = Permit::trusted(canary.path.clone());
            let saved =
                media.storage().save(&permit, content(canary.content.clone()), &SaveOptions::default()).await;
            saved.map_err(|error| match error {
                StorageError::Io { source, .. } => source,
                error => io::Error::other(error),
            })?;
        }
        let own = rustix::process::geteuid().as_raw();
        let uploads = rustix::fs::statat(&*root, UPLOADS, AtFlags::SYMLINK_NOFOLLOW);
        if !had_uploads && uploads.is_ok_and(|uploads| uploads.st_uid == own) {
            // This process created the folder, and the gateway's user may not be able to use it.
            let _ = root.remove_dir(UPLOADS);
        }
        canaries.clock_difference = clock_difference(&root, &canaries.photo)?;
        if rustix::process::geteuid().is_root() {
            chown_to_root_owner(&root, &created, &all)?;
        }
        Ok(canaries)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Canary> {
        let Self { photo, page, percent, letter, closed, anonymous_first, user_first, denied, .. } = self;
        [photo, page, percent, letter, closed, anonymous_first, user_first].into_iter().chain(denied)
    }
}

/// Removes the test files when it is dropped.
#[derive(Debug, Default)]
struct Cleanup {
    journal: Option<Journal>,
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Some(journal) = self.journal.take() {
            journal.clear();
        }
    }
}

/// Returns the folders that do not exist yet, parents first.
fn folders_to_make(root: &Dir, canaries: &[Canary]) -> Vec<MediaPath> {
    let mut folders = Vec::new();
    for canary in canaries {
        let above: Vec<_> = std::iter::successors(canary.path.parent(), MediaPath::parent).collect();
        for folder in above.into_iter().rev() {
            if !folders.contains(&folder) && !root.exists(folder.as_str()) {
                folders.push(folder);
            }
        }
    }
    folders
}

/// Gives the test files of a doctor that runs as root the owner and group of the root folder, so that servers can read them like
/// uploads. In a folder with the setgid bit they have the right group already.
fn chown_to_root_owner(root: &Dir, folders: &[MediaPath], canaries: &[Canary]) -> io::Result<()> {
    let top = rustix::fs::statat(root, ".", AtFlags::empty())?;
    let owner = Uid::from_raw(top.st_uid);
    // Another user may replace a file, so the open handle is checked and changed, not the name.
    let chown = |name: &MediaPath, flags: OFlags, is_own: &dyn Fn(&File) -> io::Result<bool>| {
        let parent = name.parent();
        let folder = root.open_dir(parent.as_ref().map_or(".", MediaPath::as_str))?;
        let has_setgid = rustix::fs::statat(&folder, ".", AtFlags::empty())?.st_mode & 0o2000 != 0;
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&folder, name.file_name(), flags, Mode::empty())?);
        if file.metadata()?.uid() != 0 || !is_own(&file)? {
            return Err(io::Error::other(format!("another user replaced {name}")));
        }
        let group = (!has_setgid).then(|| Gid::from_raw(top.st_gid));
        Ok(rustix::fs::fchown(&file, Some(owner), group)?)
    };
    for canary in canaries {
        chown(&canary.path, OFlags::empty(), &|file| {
            let mut content = Vec::new();
            let metadata = file.metadata()?;
            file.take(canary.content.len() as u64 + 1).read_to_end(&mut content)?;
            Ok(metadata.is_file() && metadata.nlink() == 1 && content == canary.content)
        })?;
    }
    for folder in folders {
        let names = || folders.iter().chain(canaries.iter().map(|canary| &canary.path));
        let is_own_name =
            |name: &str| names().any(|own| own.file_name() == name && own.parent().as_ref() == Some(folder));
        chown(folder, OFlags::DIRECTORY, &|handle| {
            let mut entries = Dir::from_std_file(handle.try_clone()?).entries()?;
            entries
                .try_fold(true, |all, entry| Ok(all && entry?.file_name().to_str().is_some_and(is_own_name)))
        })?;
    }
    Ok(())
}

fn clock_difference(root: &Dir, canary: &Canary) -> io::Result<u64> {
    let written = root.metadata(canary.path.as_str())?.modified()?.into_std();
    let now = SystemTime::now();
    let apart = now.duration_since(written).or_else(|_| written.duration_since(now));
    Ok(apart.unwrap_or_default().as_secs())
}

/// Describes the group and mode of the root, which a front server has to be able to read.
pub(super) fn group_and_mode(config: &Config) -> String {
    match std::fs::metadata(&config.root) {
        Ok(metadata) => format!(
            "group {}, mode {:04o}",
            super::local::group_name(metadata.gid()),
            metadata.mode() & 0o7777
        ),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&std::path::Path);

    /// Files and folders that another user has replaced keep their owner.
    #[test]
    fn only_canaries_get_another_owner() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this test is for root");
            eprintln!("skipped: a test that needs root");
            return;
        }
        let cases: [(&str, Change, bool); 6] = [
            ("no change", |_| (), true),
            (
                "another file",
                |root| std::fs::write(root.join("made/private-media-doctor-1.jpg"), "root's").unwrap(),
                false,
            ),
            (
                "a hard link",
                |root| {
                    std::fs::hard_link(root.join("made/private-media-doctor-1.jpg"), root.join("x")).unwrap();
                },
                false,
            ),
            (
                "a symbolic link",
                |root| {
                    let canary = root.join("made/private-media-doctor-1.jpg");
                    std::fs::rename(&canary, root.join("x")).unwrap();
                    std::os::unix::fs::symlink("../x", canary).unwrap();
                },
                false,
            ),
            (
                "a folder with another file",
                |root| std::fs::write(root.join("made/secret"), "root's").unwrap(),
                false,
            ),
            (
                "another user's file",
                |root| {
                    let canary = root.join("made/private-media-doctor-1.jpg");
                    std::os::unix::fs::chown(canary, Some(23_456), None).unwrap();
                },
                false,
            ),
        ];
        for (what, change, is_changed) in cases {
            let folder = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(folder.path(), Some(12_345), None).unwrap();
            let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
            let path = |name: &str| MediaPath::new(name).unwrap();
            let canary =
                Canary { path: path("made/private-media-doctor-1.jpg"), content: "the canary".into() };
            std::fs::create_dir(folder.path().join("made")).unwrap();
            std::fs::write(folder.path().join(canary.path.as_str()), &canary.content).unwrap();
            change(folder.path());
            let result = chown_to_root_owner(&root, &[path("made")], &[canary]);
            assert_eq!(result.is_ok(), is_changed, "{what}: {result:?}");
            let owner = |name: &str| {
                std::fs::symlink_metadata(folder.path().join(name)).map(|found| found.uid()).ok()
            };
            assert_eq!(owner("made"), Some(if is_changed { 12_345 } else { 0 }), "{what}");
            for name in ["x", "made/secret"] {
                assert!(owner(name).is_none_or(|owner| owner == 0), "{what}: {name}");
            }
        }
    }
}

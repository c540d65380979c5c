//! Small files of the doctor's own below the root, which it looks for from outside, and takes away again.
//!
//! Their names hold one random word and their contents another, so that an answer that repeats the name it was asked for is told
//! apart from one that gives the content away.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use private_media::storage::{SaveOptions, StorageError, content};
use private_media::{MediaPath, Permit, PrivateMedia};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use super::journal::Journal;
use super::readers::{Readers, path_in};
use crate::config::Config;

/// How the name of each begins, for whoever finds one.
pub(super) const PREFIX: &str = "private-media-doctor-";

/// How the names of canaries end.
const ENDINGS: [&str; 8] = [PHOTO, PAGE, PERCENT, LETTER, CLOSED, STRANGER_FIRST, READER_FIRST, DENIED];
const PHOTO: &str = ".jpg";
const PAGE: &str = " it's a café 🚗.html";
const PERCENT: &str = "-%41.txt";
const LETTER: &str = "-A.txt";
const CLOSED: &str = "-closed.jpg";
const STRANGER_FIRST: &str = "-stranger.jpg";
const READER_FIRST: &str = "-reader.jpg";
const DENIED: &str = "-denied.jpg";

/// How the content of each begins, before the secret word.
const CONTENT: &str = "private-media doctor: ";

/// Where the library writes what has no name yet, on file systems that cannot do without.
const UPLOADS: &str = ".private-media-uploads";

/// One file, and what is in it.
#[derive(Debug, Clone)]
pub(super) struct Canary {
    pub(super) path: MediaPath,
    pub(super) content: Bytes,
}

/// The random words of one run.
#[derive(Debug, Clone)]
pub(super) struct Words {
    /// In each name.
    pub(super) name: String,
    /// In each content.
    pub(super) secret: String,
}

/// All of them. They are removed, with the folders that were made for them, when this is dropped.
#[derive(Debug)]
pub(super) struct Canaries {
    pub(super) words: Words,
    /// A picture with a plain name.
    pub(super) photo: Canary,
    /// A page that a browser could run, with a hard name.
    pub(super) page: Canary,
    /// `%41` in its name, beside one that has the letter that this is when decoded.
    pub(super) percent: Canary,
    pub(super) letter: Canary,
    /// Asked for by strangers only.
    pub(super) closed: Canary,
    /// Asked for by strangers and the reader in turn: for what a cache would mix up.
    pub(super) stranger_first: Canary,
    pub(super) reader_first: Canary,
    /// Where somebody who is signed in may read nothing.
    pub(super) denied: Option<Canary>,
    /// How far the file system's clock is from this process's, in seconds.
    pub(super) clock_apart: u64,
    planted: Planted,
}

impl Words {
    /// `None` if the system gives no random numbers.
    pub(super) fn new() -> Option<Self> {
        let word = || Some(format!("{:016x}", getrandom::u64().ok()?));
        Some(Self { name: word()?, secret: format!("{}{}", word()?, word()?) })
    }

    /// The name of a canary that ends like this, and the path of it in a folder.
    fn canary(&self, folder: &str, ending: &str) -> io::Result<Canary> {
        let path = path_in(folder, &format!("{PREFIX}{}{ending}", self.name));
        let content = format!("{CONTENT}{} {ending}\n", self.secret);
        let too_long = || io::Error::other(format!("the folder {folder} leaves no room for a file's name"));
        Ok(Canary { path: path.ok_or_else(too_long)?, content: content.into() })
    }
}

/// Whether this may be the word in the names of one run.
pub(super) fn is_word(word: &str) -> bool {
    word.len() == 16 && word.bytes().all(is_lower_hex)
}

/// Whether this is the name and the content of a canary of the run with this word in its names.
pub(super) fn is_canary(word: &str, name: &str, content: &[u8]) -> bool {
    let ending = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(word));
    let Some(ending) = ending.filter(|ending| ENDINGS.contains(ending)) else { return false };
    let secret = content
        .strip_prefix(CONTENT.as_bytes())
        .and_then(|rest| rest.strip_suffix(format!(" {ending}\n").as_bytes()));
    secret.is_some_and(|secret| secret.len() == 32 && secret.iter().copied().all(is_lower_hex))
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

impl Canaries {
    /// Puts them where the readers may read, as files of an upload are put there.
    pub(super) async fn plant(
        config: &Config,
        media: &PrivateMedia,
        words: Words,
        readers: &Readers,
    ) -> io::Result<Self> {
        // As the library would: whatever umask the doctor's shell has, these are what the gateway's own files are.
        rustix::process::umask(Mode::from_raw_mode(0o027));
        let root = Arc::new(Dir::open_ambient_dir(&config.root, ambient_authority())?);
        Journal::sweep(&root);
        let folder = &readers.folder;
        let denied = readers.denied.as_ref().map(|denied| words.canary(&denied.folder, DENIED));
        let mut canaries = Self {
            photo: words.canary(folder, PHOTO)?,
            page: words.canary(folder, PAGE)?,
            percent: words.canary(folder, PERCENT)?,
            letter: words.canary(folder, LETTER)?,
            closed: words.canary(folder, CLOSED)?,
            stranger_first: words.canary(folder, STRANGER_FIRST)?,
            reader_first: words.canary(folder, READER_FIRST)?,
            denied: denied.transpose()?,
            clock_apart: 0,
            planted: Planted::default(),
            words,
        };
        let all: Vec<Canary> = canaries.all().cloned().collect();
        let had_uploads = root.exists(UPLOADS);
        let files = all.iter().map(|canary| canary.path.clone()).collect();
        let journal = Journal::write(root.clone(), &canaries.words.name, files)?;
        let journal = canaries.planted.journal.insert(journal);
        let mut made = Vec::new();
        for folder in folders_to_make(&root, &all) {
            if journal.make_folder(&folder)? {
                made.push(folder);
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
            // Made by this process, it may be closed to the gateway's user.
            let _ = root.remove_dir(UPLOADS);
        }
        canaries.clock_apart = clock_apart(&root, &canaries.photo)?;
        if rustix::process::geteuid().is_root() {
            chown_to_root_owner(&root, &made, &all)?;
        }
        Ok(canaries)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Canary> {
        let Self { photo, page, percent, letter, closed, stranger_first, reader_first, denied, .. } = self;
        [photo, page, percent, letter, closed, stranger_first, reader_first].into_iter().chain(denied)
    }
}

/// Takes all away again.
#[derive(Debug, Default)]
struct Planted {
    journal: Option<Journal>,
}

impl Drop for Planted {
    fn drop(&mut self) {
        if let Some(journal) = self.journal.take() {
            journal.clear();
        }
    }
}

/// The folders that are not there yet, parents first.
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

/// Root's own files would be nobody's else: they get the owner and the group that the root folder has, so that whoever serves them
/// meets what uploads are. In a folder that hands its group on, they have the right group already.
fn chown_to_root_owner(root: &Dir, folders: &[MediaPath], canaries: &[Canary]) -> io::Result<()> {
    let top = rustix::fs::statat(root, ".", AtFlags::empty())?;
    let owner = Uid::from_raw(top.st_uid);
    // Whoever may write there can put something else under a name, so it is the open handle that is looked at, and given away.
    let give = |name: &MediaPath, flags: OFlags, is_own: &dyn Fn(&File) -> io::Result<bool>| {
        let parent = name.parent();
        let folder = root.open_dir(parent.as_ref().map_or(".", MediaPath::as_str))?;
        let hands_on = rustix::fs::statat(&folder, ".", AtFlags::empty())?.st_mode & 0o2000 != 0;
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&folder, name.file_name(), flags, Mode::empty())?);
        if file.metadata()?.uid() != 0 || !is_own(&file)? {
            return Err(io::Error::other(format!("somebody has put something else in the place of {name}")));
        }
        let group = (!hands_on).then(|| Gid::from_raw(top.st_gid));
        Ok(rustix::fs::fchown(&file, Some(owner), group)?)
    };
    for canary in canaries {
        give(&canary.path, OFlags::empty(), &|file| {
            let mut content = Vec::new();
            let metadata = file.metadata()?;
            file.take(canary.content.len() as u64 + 1).read_to_end(&mut content)?;
            Ok(metadata.is_file() && metadata.nlink() == 1 && content == canary.content)
        })?;
    }
    for folder in folders {
        let names = || folders.iter().chain(canaries.iter().map(|canary| &canary.path));
        let is_made = |name: &str| {
            names().any(|made| made.file_name() == name && made.parent().as_ref() == Some(folder))
        };
        give(folder, OFlags::DIRECTORY, &|handle| {
            let mut entries = Dir::from_std_file(handle.try_clone()?).entries()?;
            entries.try_fold(true, |all, entry| Ok(all && entry?.file_name().to_str().is_some_and(is_made)))
        })?;
    }
    Ok(())
}

fn clock_apart(root: &Dir, canary: &Canary) -> io::Result<u64> {
    let written = root.metadata(canary.path.as_str())?.modified()?.into_std();
    let now = SystemTime::now();
    let apart = now.duration_since(written).or_else(|_| written.duration_since(now));
    Ok(apart.unwrap_or_default().as_secs())
}

/// Who owns the root, and with which group and mode: what a front server has to be able to read.
pub(super) fn described(config: &Config) -> String {
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

    #[test]
    fn what_a_canary_is() {
        let word = "0123456789abcdef";
        let secret = "fedcba9876543210fedcba9876543210";
        for ending in ENDINGS {
            let words = Words { name: word.into(), secret: secret.into() };
            let canary = words.canary("a", ending).unwrap();
            assert!(is_canary(word, canary.path.file_name(), &canary.content), "{ending}");
        }
        let content = format!("{CONTENT}{secret} .jpg\n");
        for (word, name, content) in [
            (word, "private-media-doctor-0123456789abcdef.jpg", "an upload"),
            (word, "private-media-doctor-0123456789abcdef.jpg", ""),
            (word, "private-media-doctor-0123456789abcdef-A.txt", &content),
            (word, "private-media-doctor-0123456789abcdef.png", &content),
            (word, "private-media-doctor-1123456789abcdef.jpg", &content),
            (word, "photo.jpg", &content),
            (word, "private-media-doctor-0123456789abcdef.jpg", &format!("{content}more")),
            (word, "private-media-doctor-0123456789abcdef.jpg", &content.replace('f', "F")),
            (word, "private-media-doctor-0123456789abcdef.jpg", &content.replace('f', "")),
        ] {
            assert!(!is_canary(word, name, content.as_bytes()), "{name}: {content}");
        }
        for word in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "../456789abcdef"] {
            assert!(!is_word(word), "{word}");
        }
        assert!(is_word(&Words::new().unwrap().name));
    }

    type Put = fn(&std::path::Path);

    /// What somebody has put in the place of a canary, or of a folder that was made, stays root's.
    #[test]
    fn only_what_was_made_is_given_away() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this test is for root");
            eprintln!("left out: a test that needs root");
            return;
        }
        let cases: [(&str, Put, bool); 6] = [
            ("nothing else", |_| (), true),
            (
                "another file",
                |root| std::fs::write(root.join("made/private-media-doctor-1.jpg"), "root's").unwrap(),
                false,
            ),
            (
                "a second name of the file",
                |root| {
                    std::fs::hard_link(root.join("made/private-media-doctor-1.jpg"), root.join("x")).unwrap();
                },
                false,
            ),
            (
                "a link",
                |root| {
                    let canary = root.join("made/private-media-doctor-1.jpg");
                    std::fs::rename(&canary, root.join("x")).unwrap();
                    std::os::unix::fs::symlink("../x", canary).unwrap();
                },
                false,
            ),
            (
                "a folder with more in it",
                |root| std::fs::write(root.join("made/secret"), "root's").unwrap(),
                false,
            ),
            (
                "somebody's own file",
                |root| {
                    let canary = root.join("made/private-media-doctor-1.jpg");
                    std::os::unix::fs::chown(canary, Some(23_456), None).unwrap();
                },
                false,
            ),
        ];
        for (what, put, is_given) in cases {
            let folder = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(folder.path(), Some(12_345), None).unwrap();
            let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
            let path = |name: &str| MediaPath::new(name).unwrap();
            let canary =
                Canary { path: path("made/private-media-doctor-1.jpg"), content: "the canary".into() };
            std::fs::create_dir(folder.path().join("made")).unwrap();
            std::fs::write(folder.path().join(canary.path.as_str()), &canary.content).unwrap();
            put(folder.path());
            let given = chown_to_root_owner(&root, &[path("made")], &[canary]);
            assert_eq!(given.is_ok(), is_given, "{what}: {given:?}");
            let owner = |name: &str| {
                std::fs::symlink_metadata(folder.path().join(name)).map(|found| found.uid()).ok()
            };
            assert_eq!(owner("made"), Some(if is_given { 12_345 } else { 0 }), "{what}");
            for name in ["x", "made/secret"] {
                assert!(owner(name).is_none_or(|owner| owner == 0), "{what}: {name}");
            }
        }
    }
}

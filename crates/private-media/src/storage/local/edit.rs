//! Opens files below the root for changes in place.

use std::fs::File;
use std::io;

use cap_std::fs::{self as cap_fs, OpenOptionsExt};
use rustix::fs::{Mode, OFlags};

use super::super::StorageError;
use super::error::io_error;
use super::resolve::{NO_WAIT, Resolver, regular};
use crate::request::MediaPath;

/// Options of [`LocalStorage::edit`](super::LocalStorage::edit), which always opens a file for writing.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "these are independent flags of open(2)")]
#[non_exhaustive]
pub struct OpenOptions {
    /// Whether the file is opened for reading, too.
    pub read: bool,
    /// Whether each write is appended to the end.
    pub append: bool,
    /// Whether the file is truncated first.
    pub truncate: bool,
    /// Whether the file is created if it does not exist.
    pub create: bool,
    /// Whether the file is created; an error if it exists.
    pub create_new: bool,
}

macro_rules! setters {
    ($($name:ident)*) => {$(
        #[doc = concat!("Sets [`OpenOptions::", stringify!($name), "`].")]
        #[must_use]
        pub const fn $name(mut self, $name: bool) -> Self {
            self.$name = $name;
            self
        }
    )*};
}

impl OpenOptions {
    /// Returns the default options: write to an existing file.
    #[must_use]
    pub const fn new() -> Self {
        Self { read: false, append: false, truncate: false, create: false, create_new: false }
    }

    setters!(read append truncate create create_new);
}

/// Opens a regular file for writing.
pub(super) fn edit(
    resolver: &Resolver,
    path: &MediaPath,
    options: OpenOptions,
    mode: u32,
) -> Result<File, StorageError> {
    let opened = if resolver.follows_links() {
        open_through_links(resolver, path, options, mode)
    } else {
        let folder = resolver.open_folder(path.parent().as_ref())?;
        let flags = options.flags() | NO_WAIT | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&folder, path.file_name(), flags, Mode::from_raw_mode(mode));
        opened.map(File::from).map_err(io::Error::from)
    };
    let file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io_error("creating the file")(error),
        _ => resolver.refused(path.as_str().as_ref(), error),
    })?;
    let file = regular(file)?.file;
    if options.truncate {
        // O_TRUNC would take effect before the file is known to be a regular one.
        file.set_len(0).map_err(io_error("truncating the file"))?;
    }
    Ok(file)
}

fn open_through_links(
    resolver: &Resolver,
    path: &MediaPath,
    options: OpenOptions,
    mode: u32,
) -> io::Result<File> {
    let mut all = cap_fs::OpenOptions::new();
    all.read(options.read).append(options.append).write(!options.append);
    all.create(options.create).create_new(options.create_new).mode(mode);
    all.custom_flags(NO_WAIT.bits().cast_signed());
    resolver.dir().open_with(path.as_str(), &all).map(cap_fs::File::into_std)
}

impl OpenOptions {
    /// Returns the flags of open(2), without `O_TRUNC`.
    fn flags(self) -> OFlags {
        let access = if self.read { OFlags::RDWR } else { OFlags::WRONLY };
        [
            (self.append, OFlags::APPEND),
            (self.create, OFlags::CREATE),
            (self.create_new, OFlags::CREATE | OFlags::EXCL),
        ]
        .into_iter()
        .fold(access, |flags, (is_set, flag)| if is_set { flags | flag } else { flags })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::folder::remove_folder;
    use super::*;

    #[test]
    fn links_lead_to_no_change_outside() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("file"), "kept").unwrap();
        std::fs::create_dir(outside.path().join("empty")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("file"), folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("new"), folder.path().join("dangling")).unwrap();
        let all = OpenOptions::new().read(true).truncate(true).create(true);
        for resolver in [false, true].map(|follow_links| Resolver::for_test(folder.path(), follow_links)) {
            for name in ["out/file", "link", "out/new", "dangling"] {
                let edited = edit(&resolver, &MediaPath::new(name).unwrap(), all, 0o600);
                assert!(matches!(edited, Err(StorageError::NotFound { .. })), "{name}: {edited:?}");
            }
            assert!(remove_folder(&resolver, &MediaPath::new("out/empty").unwrap(), true).is_err());
            assert!(remove_folder(&resolver, &MediaPath::new("out").unwrap(), true).is_err());
        }
        assert_eq!(std::fs::read(outside.path().join("file")).unwrap(), b"kept");
        assert!(outside.path().join("empty").exists() && !outside.path().join("new").exists());
    }

    #[test]
    fn options_behave_like_those_of_std() {
        for follow_links in [false, true] {
            check_options(follow_links);
        }
    }

    fn check_options(follow_links: bool) {
        let folder = tempfile::tempdir().unwrap();
        let resolver = Resolver::for_test(folder.path(), follow_links);
        let path = MediaPath::new("a.txt").unwrap();
        let open = |options: OpenOptions| edit(&resolver, &path, options, 0o600);
        assert!(matches!(open(OpenOptions::default()), Err(StorageError::NotFound { .. })));
        open(OpenOptions::new().create_new(true)).unwrap().write_all(b"one").unwrap();
        assert!(matches!(
            open(OpenOptions::new().create_new(true)),
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists
        ));
        open(OpenOptions::new().append(true)).unwrap().write_all(b" two").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.txt")).unwrap(), b"one two");
        open(OpenOptions::new().truncate(true)).unwrap().write_all(b"3").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.txt")).unwrap(), b"3");
    }
}

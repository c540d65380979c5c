//! The folder of a cache, which one process uses at a time.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::fs::{flock, fstat, futimens, open, openat, statat, unlinkat};

use super::blocks::Blocks;
use super::layout::{EntryId, Layout, header, parse_map};

/// `statat` counts allocated space in blocks of this length, in bytes.
const STAT_BLOCK: u64 = 512;

/// The names of an entry's files, without their endings: its id, and a number that no other files have. So files that are being removed
/// are not those of a new entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) id: EntryId,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Data,
    Map,
}

impl FileName {
    /// Returns new names.
    pub(crate) fn new(id: EntryId) -> io::Result<Self> {
        let number = getrandom::u64().map_err(io::Error::other)?;
        Ok(Self { id, number })
    }

    fn of(self, part: Part) -> String {
        let ending = match part {
            Part::Data => "data",
            Part::Map => "map",
        };
        format!("{}.{:016x}.{ending}", blake3::Hash::from(self.id.0).to_hex(), self.number)
    }

    /// Parses the name of a file; `None` if it is none of the cache.
    fn parse(name: &OsStr) -> Option<(Self, Part)> {
        let name = name.to_str()?;
        let (stem, part) = match name.strip_suffix(".data") {
            Some(stem) => (stem, Part::Data),
            None => (name.strip_suffix(".map")?, Part::Map),
        };
        let (id, number) = stem.split_once('.')?;
        let id = EntryId(blake3::Hash::from_hex(id).ok()?.into());
        let parsed = Self { id, number: u64::from_str_radix(number, 16).ok()? };
        // Only the spelling that this program writes.
        (parsed.of(part) == name).then_some((parsed, part))
    }
}

/// An entry that an earlier process left.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: FileName,
    pub(crate) layout: Layout,
    /// The allocated space, in bytes.
    pub(crate) cost: u64,
    /// When it was last used, in nanoseconds since 1970.
    pub(crate) used: i128,
}

/// The locked folder.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    /// Opens and locks a folder, which is created if it is missing. If another process has locked it, this is an error of the kind
    /// [`io::ErrorKind::WouldBlock`].
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty())?;
        let stat = fstat(&folder)?;
        let problem = if stat.st_uid != rustix::process::geteuid().as_raw() {
            Some("another user owns the folder")
        } else if stat.st_mode & 0o022 != 0 {
            Some("other users may write to the folder")
        } else {
            None
        };
        if let Some(problem) = problem {
            let problem = format!("{problem}; give it to the user of this process, with mode 0700");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self(folder))
    }

    /// Returns the entries of earlier processes, and removes what remains of others. Files of other programs stay.
    pub(crate) fn scan(&self) -> io::Result<Vec<Found>> {
        let mut parts: HashMap<(EntryId, u64), (bool, bool)> = HashMap::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let Some((name, part)) = FileName::parse(OsStr::from_bytes(entry.file_name().to_bytes())) else {
                continue;
            };
            let (data, map) = parts.entry((name.id, name.number)).or_default();
            *(if part == Part::Data { data } else { map }) = true;
        }
        let mut found: HashMap<EntryId, Found> = HashMap::new();
        for ((id, number), has) in parts {
            let name = FileName { id, number };
            let entry = if has == (true, true) { self.found(name) } else { None };
            match entry {
                // Of two entries of one version, a kill left the older one.
                Some(entry) if found.get(&id).is_none_or(|other| other.used < entry.used) => {
                    if let Some(other) = found.insert(id, entry) {
                        self.remove(other.name)?;
                    }
                }
                _ => self.remove(name)?,
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by_key(|entry| entry.used);
        Ok(found)
    }

    fn found(&self, name: FileName) -> Option<Found> {
        let stat = |part| statat(&self.0, name.of(part), AtFlags::SYMLINK_NOFOLLOW).ok().filter(is_regular);
        let (data, map) = (stat(Part::Data)?, stat(Part::Map)?);
        let allocated = |stat: &Stat| u64::try_from(stat.st_blocks).ok()?.checked_mul(STAT_BLOCK);
        let layout = Layout { len: u64::try_from(data.st_size).ok()? };
        let cost = allocated(&data)?.saturating_add(allocated(&map)?).max(layout.map_cost());
        let used = i128::from(data.st_mtime) * 1_000_000_000 + i128::from(data.st_mtime_nsec);
        Some(Found { name, layout, cost, used })
    }

    /// Creates the files of an entry without blocks. Returns that of the content.
    pub(crate) fn create(&self, name: FileName, layout: Layout) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let create = || {
            let create =
                |part| openat(&self.0, name.of(part), flags, Mode::RUSR | Mode::WUSR).map(File::from);
            let (data, map) = (create(Part::Data)?, create(Part::Map)?);
            data.set_len(layout.len)?;
            map.set_len(layout.map_len())?;
            map.write_all_at(&header(&name.id, layout.len), 0)?;
            Ok(data)
        };
        create().inspect_err(|_| drop(self.remove(name)))
    }

    /// Opens the content of an entry, and reads its map if that is needed. `None` if the files are not those of the entry.
    pub(crate) fn open_entry(
        &self,
        name: FileName,
        layout: Layout,
        needs_map: bool,
    ) -> io::Result<Option<(File, Option<Blocks>)>> {
        let data = self.open_part(name, Part::Data)?;
        if data.metadata()?.len() != layout.len {
            return Ok(None);
        }
        if !needs_map {
            return Ok(Some((data, None)));
        }
        let map = self.open_part(name, Part::Map)?;
        if map.metadata()?.len() != layout.map_len() {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(layout.map_len()).map_err(io::Error::other)?];
        map.read_exact_at(&mut bytes, 0)?;
        let blocks = parse_map(&name.id, layout, &bytes);
        Ok(blocks.map(|blocks| (data, Some(Blocks::recorded(blocks)))))
    }

    /// Writes a record into the map.
    pub(crate) fn write_record(&self, name: FileName, block: u64, record: &[u8]) -> io::Result<()> {
        self.open_part(name, Part::Map)?.write_all_at(record, Layout::record_start(block))
    }

    /// Removes the files of an entry. Open ones can still be read.
    pub(crate) fn remove(&self, name: FileName) -> io::Result<()> {
        for part in [Part::Map, Part::Data] {
            match unlinkat(&self.0, name.of(part), AtFlags::empty()) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn open_part(&self, name: FileName, part: Part) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.0, name.of(part), flags, Mode::empty())?))
    }
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Records that a file is used now.
pub(crate) fn mark_used(data: &File) -> io::Result<()> {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps {
        last_access: time(rustix::fs::UTIME_OMIT),
        last_modification: time(rustix::fs::UTIME_NOW),
    };
    Ok(futimens(data, &times)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cache::layout::{BLOCK_LEN, record};

    fn id(tag: &str) -> EntryId {
        EntryId::new("s3://b", "a", tag, 10)
    }

    #[test]
    fn names_are_parsed_as_they_are_written() {
        let name = FileName { id: id("t"), number: 0x1f };
        for part in [Part::Data, Part::Map] {
            let text = name.of(part);
            assert_eq!(FileName::parse(text.as_ref()), Some((name, part)));
            for other in
                [text.to_uppercase(), format!("{text}~"), format!("x{text}"), text.replace(".0", ".+")]
            {
                assert_eq!(FileName::parse(other.as_ref()), None, "{other}");
            }
        }
        for other in ["", ".data", "a.data", "a.b.map", "photo.jpg"] {
            assert_eq!(FileName::parse(other.as_ref()), None, "{other}");
        }
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cache");
        drop(Folder::open(&path).unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for (mode, is_refused) in
            [(0o755, false), (0o770, true), (0o702, true), (0o1777, true), (0o700, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let opened = Folder::open(&path).map_err(|error| error.kind());
            assert_eq!(opened.err(), is_refused.then_some(io::ErrorKind::PermissionDenied), "{mode:o}");
        }
        assert!(Folder::open(&place.path().join("none/cache")).is_err());
        std::fs::write(place.path().join("file"), "").unwrap();
        assert!(Folder::open(&place.path().join("file")).is_err());
    }

    #[test]
    fn one_process_uses_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let error = Folder::open(place.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(folder);
        Folder::open(place.path()).unwrap();
    }

    #[test]
    fn a_scan_finds_entries_and_removes_the_rest() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let names = || {
            let entries = std::fs::read_dir(place.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let layout = Layout { len: BLOCK_LEN + 5 };
        let create = |id, number, used| {
            let name = FileName { id, number };
            let data = folder.create(name, layout).unwrap();
            data.write_all_at(b"x", 0).unwrap();
            folder.write_record(name, 1, &record(&id, 1, &[3; 32])).unwrap();
            data.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(used)).unwrap();
            name
        };
        let (newer, older) = (create(id("newer"), 1, 2000), create(id("older"), 1, 1000));
        let (replaced, replacing) = (create(id("twice"), 1, 3000), create(id("twice"), 2, 4000));
        let (without_map, without_data) = (create(id("no map"), 1, 5000), create(id("no data"), 1, 5000));
        let at = |name: FileName, part| place.path().join(name.of(part));
        std::fs::remove_file(at(without_map, Part::Map)).unwrap();
        std::fs::remove_file(at(without_data, Part::Data)).unwrap();
        let linked = FileName { id: id("link"), number: 1 };
        std::os::unix::fs::symlink("/etc/passwd", at(linked, Part::Data)).unwrap();
        std::fs::write(at(linked, Part::Map), "").unwrap();
        std::fs::write(place.path().join("photo.jpg"), "of another program").unwrap();

        let found = folder.scan().unwrap();
        assert_eq!(found.iter().map(|entry| entry.name).collect::<Vec<_>>(), [older, newer, replacing]);
        assert!(found.iter().all(|entry| entry.layout == layout && entry.cost >= layout.map_cost()));
        let mut expected: Vec<std::ffi::OsString> = [older, newer, replacing]
            .iter()
            .flat_map(|name| [Part::Data, Part::Map].map(|part| name.of(part).into()))
            .chain(["photo.jpg".to_owned().into()])
            .collect();
        expected.sort();
        assert_eq!(names(), expected, "{replaced:?}");

        let (_, blocks) = folder.open_entry(older, layout, true).unwrap().unwrap();
        assert_eq!(format!("{:?}", blocks.unwrap()), format!("{:?}", Blocks::recorded([(1, [3; 32])])));
        // Files of another length, or with another map, are not those of the entry.
        assert!(folder.open_entry(older, Layout { len: BLOCK_LEN }, true).unwrap().is_none());
        std::fs::copy(at(newer, Part::Map), at(older, Part::Map)).unwrap();
        assert!(folder.open_entry(older, layout, true).unwrap().is_none());
        assert!(folder.open_entry(older, layout, false).unwrap().is_some());
        folder.remove(older).unwrap();
        folder.remove(older).unwrap();
        assert_eq!(folder.open_entry(older, layout, true).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

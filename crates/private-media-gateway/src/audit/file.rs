//! The audit file: appends records to the chain, on behalf of every process that writes to it.
//!
//! Each batch is appended under the lock of the head. So a process that is replaced in an upgrade, and the one that replaces it, continue one
//! chain. What other processes have appended or rotated in between is read before.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::counters::Counters;
use super::entry::entries;
use super::event::{self, Event};
use super::group::GroupWriter;
use super::head::{Head, HeadContent, HeadError};
use super::line::{Chain, Line, Times, now, record_sequence};
use super::scan::{Scan, scan};
use super::seal::Seal;
use super::segments;
use crate::folders::parent;

/// When files are rotated, and how many are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    /// In bytes.
    pub(super) size: u64,
    /// Zero is never.
    pub(super) age: Duration,
    /// How many rotated files are kept; 0 keeps all.
    pub(super) keep: usize,
}

/// The open audit file.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    rotation: Rotation,
    seal: Seal,
    counters: Arc<Counters>,
    head: Arc<Head>,
    current: Current,
    chain: Chain,
    /// Records about the audit itself, to be written before the next entries.
    events: Vec<Event>,
    /// Files to be deleted when their event is on disk.
    expired: Vec<PathBuf>,
    /// Whether something was appended since the last sync.
    is_dirty: bool,
    /// The size from which the next rotation is tried, after one has failed.
    rotate_from: u64,
    lines: Vec<u8>,
    times: Times,
}

/// The file that records are appended to.
#[derive(Debug)]
struct Current {
    file: File,
    /// The device and inode.
    id: (u64, u64),
    length: u64,
    /// The sequence number of the first record; 0 if there is none.
    first: u64,
    /// The time of the first record.
    begun: SystemTime,
    /// The id of the key of the first record.
    key: Option<String>,
}

impl AuditFile {
    /// Opens or creates the audit file, and repairs an incomplete last line.
    pub(super) fn open(
        path: &Path,
        rotation: Rotation,
        seal: Seal,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let head = Arc::new(Head::open(path)?);
        let locked = Arc::clone(&head);
        let _locked = locked.lock()?;
        let current = Current::open(path, None)?;
        let mut file = Self {
            path: path.to_owned(),
            rotation,
            seal,
            counters,
            head,
            current,
            chain: Chain::default(),
            events: Vec::new(),
            expired: Vec::new(),
            is_dirty: false,
            rotate_from: 0,
            lines: Vec::new(),
            times: Times::default(),
        };
        file.recover()?;
        Ok(file)
    }

    /// Adds a record about the audit itself to the next batch.
    pub(super) fn add_event(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Appends events and entries, all or none.
    pub(super) fn append(&mut self, batch: &[u8]) -> io::Result<()> {
        let head = Arc::clone(&self.head);
        {
            let _locked = head.lock()?;
            self.refresh()?;
            if self.is_rotation_due() {
                self.try_rotate();
            }
            self.append_lines(batch)?;
        }
        if self.expired.is_empty() { Ok(()) } else { self.delete_expired() }
    }

    fn append_lines(&mut self, batch: &[u8]) -> io::Result<()> {
        let Self { seal, events, lines, times, .. } = self;
        lines.clear();
        let mut group = GroupWriter::new(self.chain, seal, lines);
        if self.current.length == 0 {
            group.append(times.text(now()), event::opened(seal.key_id()).body());
        }
        for event in &*events {
            group.append(times.text(now()), event.body());
        }
        for entry in entries(batch) {
            group.append(times.text(entry.time), entry.body);
        }
        let chain = group.end();
        if let Err(error) = (&self.current.file).write_all(lines) {
            // Without the rest, the part would be a torn line.
            let _ = self.current.file.set_len(self.current.length);
            return Err(error);
        }
        if self.current.length == 0 {
            self.current.first = self.chain.sequence.saturating_add(1);
            self.current.begun = SystemTime::now();
            self.current.key = seal.key_id().map(str::to_owned);
        }
        self.current.length += lines.len() as u64;
        self.counters.appended(chain.sequence - self.chain.sequence, self.current.length);
        self.chain = chain;
        self.events.clear();
        self.is_dirty = true;
        Ok(())
    }

    /// Returns whether there are records about the audit itself to be written.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Returns whether something was appended since the last sync.
    pub(super) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Waits until all records are on disk, and then says so in the head.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let head = Arc::clone(&self.head);
        let _locked = head.lock()?;
        self.refresh()?;
        self.sync_current()
    }

    fn sync_current(&mut self) -> io::Result<()> {
        self.current.file.sync_data()?;
        self.head.write(&HeadContent { chain: self.chain, length: self.current.length }, &self.seal)?;
        self.is_dirty = false;
        self.counters.synced();
        Ok(())
    }

    /// Reads what has happened to the file since the last batch. The head is locked.
    fn refresh(&mut self) -> io::Result<()> {
        let found = match std::fs::metadata(&self.path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match found {
            Some(metadata) if (metadata.dev(), metadata.ino()) == self.current.id => {
                if metadata.len() == self.current.length {
                    return Ok(());
                }
                if metadata.len() < self.current.length {
                    return self.recover();
                }
                let scan = scan(&self.current.file, self.current.length, Some(self.chain), Some(&self.seal))?;
                self.continue_after(&scan, self.chain.sequence)
            }
            _ => self.reopen(),
        }
    }

    /// Opens the file that now has the path, or creates it.
    fn reopen(&mut self) -> io::Result<()> {
        let old = self.current.file.metadata();
        let mode = old.as_ref().ok().map(|old| old.mode() & 0o777);
        let is_removed = old.is_ok_and(|old| old.nlink() == 0);
        let current = Current::open(&self.path, mode)?;
        // Another gateway has synced the file before it rotated; another program may not.
        let _ = self.current.file.sync_data();
        self.current = current;
        if is_removed {
            tracing::error!(
                path = %self.path.display(),
                "the audit file was removed while the gateway was running; a new one was begun"
            );
            self.events.push(event::removed(self.chain.sequence));
        }
        self.recover()
    }

    /// Finds the end of the chain, after a start or a change by others. The head is locked.
    fn recover(&mut self) -> io::Result<()> {
        let known = self.chain;
        let head = self.head.read(&self.seal)?;
        let length = self.current.file.metadata()?.len();
        let head = match head {
            Ok(head) => head,
            Err(HeadError::OtherKey(_, content)) => Some(content),
            Err(HeadError::Invalid) => {
                self.report("the head of the audit is unreadable or was changed");
                None
            }
        };
        self.current.read_first_line()?;
        // A file has one key: that of its first record.
        let is_own_key = length == 0 || self.current.key.as_deref() == self.seal.key_id();
        let seal = Some(&self.seal).filter(|_| is_own_key);
        let found = match self.scan_from_head(head, length, seal)? {
            Some(found) => found,
            None if length == 0 => Scan { chain: self.last_rotated()?, ..Scan::default() },
            None => scan(&self.current.file, 0, None, seal)?,
        };
        if head.is_none() && found.chain.sequence > 0 && known.sequence == 0 {
            self.report("the head of the audit is missing");
        }
        let head = head.map_or(Chain::default(), |head| head.chain);
        let newest = if known.sequence > head.sequence { known } else { head };
        self.chain = newest;
        self.continue_after(&found, newest.sequence)?;
        if !is_own_key {
            self.try_rotate();
        }
        Ok(())
    }

    /// Reads what follows the last record that the head names; `None` if it is not there. The head may belong to the file before.
    fn scan_from_head(
        &self,
        head: Option<HeadContent>,
        length: u64,
        seal: Option<&Seal>,
    ) -> io::Result<Option<Scan>> {
        let Some(head) = head.filter(|head| (1..=length).contains(&head.length)) else { return Ok(None) };
        if head.length == length {
            let line = segments::last_line(&self.current.file)?;
            if Line::parse(&line).is_none_or(|line| line.end() != head.chain) {
                return Ok(None);
            }
        }
        let found = scan(&self.current.file, head.length, Some(head.chain), seal)?;
        Ok(Some(found).filter(|found| found.faults == 0))
    }

    /// Continues after the last line of the file. Records up to `newest` should be there.
    fn continue_after(&mut self, found: &Scan, newest: u64) -> io::Result<()> {
        let chain = found.chain;
        if found.lacks_line_end {
            (&self.current.file).write_all(b"\n")?;
        } else if !found.torn.is_empty() {
            self.current.file.set_len(found.end)?;
            tracing::warn!(
                path = %self.path.display(), bytes = found.torn.len(),
                "removed incomplete lines at the end of the audit file"
            );
            self.events.push(event::repaired(&found.torn));
        }
        self.current.length = found.end + u64::from(found.lacks_line_end);
        if found.faults > 0 {
            self.report("lines of the audit file do not continue the chain");
        }
        if chain.sequence < newest {
            tracing::error!(
                path = %self.path.display(), from = chain.sequence + 1, to = newest,
                "records at the end of the audit file are missing"
            );
            self.events.push(event::missing(chain.sequence + 1, newest));
        } else {
            self.chain = chain;
        }
        Ok(())
    }

    /// Records and logs that something is wrong with the files.
    fn report(&mut self, problem: &'static str) {
        tracing::error!(path = %self.path.display(), "{problem}; run: private-media audit verify");
        self.events.push(event::fault(problem));
    }

    /// Returns the last record of the newest rotated file.
    fn last_rotated(&self) -> io::Result<Chain> {
        let Some(newest) = segments::rotated(&self.path)?.pop() else { return Ok(Chain::default()) };
        let line = segments::last_line(&File::open(newest)?)?;
        Ok(Line::parse(&line).map_or(Chain::default(), |line| line.end()))
    }

    fn is_rotation_due(&self) -> bool {
        let Current { length, begun, .. } = self.current;
        // A clock that was set back makes a file older later, not sooner.
        let age = SystemTime::now().duration_since(begun).unwrap_or_default();
        let is_old = !self.rotation.age.is_zero() && age >= self.rotation.age;
        length > 0 && length >= self.rotate_from && (length >= self.rotation.size || is_old)
    }

    /// Rotates the file. If that fails, the file grows, and the next try is after another megabyte.
    fn try_rotate(&mut self) {
        if let Err(error) = self.rotate() {
            self.rotate_from = self.current.length.saturating_add(1 << 20);
            tracing::error!(
                path = %self.path.display(), %error,
                "cannot rotate the audit file, so it grows; make its folder writable for this user"
            );
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.sync_current()?;
        let mode = self.current.file.metadata()?.mode() & 0o777;
        let target = segments::rotated_path(&self.path, self.current.first);
        renameat_with(CWD, &self.path, CWD, &target, RenameFlags::NOREPLACE)?;
        self.rotate_from = 0;
        self.current = Current::open(&self.path, Some(mode))?;
        File::open(parent(&self.path))?.sync_all()?;
        if self.rotation.keep > 0 {
            let rotated = segments::rotated(&self.path)?;
            let superfluous = rotated.len().saturating_sub(self.rotation.keep);
            for path in rotated.into_iter().take(superfluous) {
                let line = segments::last_line(&File::open(&path)?)?;
                let end = Line::parse(&line).map_or(Chain::default(), |line| line.end());
                self.events.push(event::expired(&path, end));
                self.expired.push(path);
            }
        }
        Ok(())
    }

    /// Deletes files whose number exceeds `audit.keep`, after the record of it is on disk.
    fn delete_expired(&mut self) -> io::Result<()> {
        self.sync()?;
        for path in self.expired.drain(..) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::error!(path = %path.display(), %error, "cannot delete an old audit file; delete it");
            }
        }
        Ok(())
    }
}

impl Current {
    /// Opens or creates the file. A new one gets this mode, or 600.
    fn open(path: &Path, mode: Option<u32>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::IsADirectory, "not a regular file"));
        }
        if let Some(mode) = mode.filter(|_| metadata.len() == 0) {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        let id = (metadata.dev(), metadata.ino());
        let begun = SystemTime::now();
        Ok(Self { file, id, length: 0, first: 0, begun, key: None })
    }

    fn read_first_line(&mut self) -> io::Result<()> {
        let line = segments::first_line(&self.file)?;
        let first = event::FirstLine::parse(&line);
        self.first = record_sequence(&line).unwrap_or_default();
        self.begun = first.time.unwrap_or_else(SystemTime::now);
        self.key = first.key;
        Ok(())
    }
}

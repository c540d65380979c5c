//! The head: a small file beside the audit file that names the last record that is on disk.
//!
//! It shows that records at the end were removed. It is overwritten in place, in one sector, so it is whole after a crash and needs no space
//! on a full disk. It is the lock of the chain, too: every process that appends locks it first.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::line::Chain;
use super::seal::Seal;

/// The size of the file: one sector, which disks write whole.
const SIZE: usize = 512;
/// How often, and how many times, a locked head is tried again. Others hold the lock for one batch.
const RETRY: (Duration, u32) = (Duration::from_millis(10), 300);

/// Returns the path of the head of an audit file.
pub(crate) fn path_of(audit: &Path) -> PathBuf {
    let mut path = audit.as_os_str().to_owned();
    path.push(".head");
    path.into()
}

/// The open head of an audit file.
#[derive(Debug)]
pub(super) struct Head(File);

/// What the head says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HeadContent {
    /// The last record that is on disk.
    pub(crate) chain: Chain,
    /// The length of the audit file after this record.
    pub(crate) length: u64,
}

/// The head is locked until this is dropped.
pub(super) struct Locked<'a>(&'a File);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Closing the file unlocks it, too.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

impl Head {
    /// Opens or creates the head of an audit file, to write it.
    pub(super) fn open(audit: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(path_of(audit)).map(Self)
    }

    /// Opens the head of an audit file, to read it.
    pub(super) fn open_read_only(audit: &Path) -> io::Result<Self> {
        File::open(path_of(audit)).map(Self)
    }

    /// Waits for other processes that append to the audit file.
    pub(super) fn lock(&self) -> io::Result<Locked<'_>> {
        self.lock_as(FlockOperation::NonBlockingLockExclusive)
    }

    /// Keeps other processes from appending.
    pub(super) fn lock_shared(&self) -> io::Result<Locked<'_>> {
        self.lock_as(FlockOperation::NonBlockingLockShared)
    }

    fn lock_as(&self, operation: FlockOperation) -> io::Result<Locked<'_>> {
        for _ in 0..RETRY.1 {
            match flock(&self.0, operation) {
                Ok(()) => return Ok(Locked(&self.0)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY.0),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::new(ErrorKind::WouldBlock, "another process has locked the head for 3 s"))
    }

    /// Returns what the head says; `None` if it was never written. The error is what is wrong with it.
    pub(super) fn read(&self, seal: &Seal) -> io::Result<Result<Option<HeadContent>, HeadError>> {
        let mut bytes = [0; SIZE];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, length as u64)? {
                0 => break,
                read => length += read,
            }
        }
        let text = bytes.get(..length).unwrap_or_default();
        Ok(if text.iter().all(|byte| *byte == 0) { Ok(None) } else { parse(text, seal).map(Some) })
    }

    /// Overwrites the head, on disk.
    pub(super) fn write(&self, content: &HeadContent, seal: &Seal) -> io::Result<()> {
        let mut line = sealed_text(content, seal);
        line.resize(SIZE - 1, b' ');
        line.push(b'\n');
        self.0.write_all_at(&line, 0)?;
        self.0.sync_data()
    }
}

/// What is wrong with a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeadError {
    /// The text is not that of a head, or its hash does not match.
    Invalid,
    /// It is sealed with the key of this id, or without a key. The content cannot be checked.
    OtherKey(Option<String>, HeadContent),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadText {
    sequence: u64,
    hash: String,
    length: u64,
    key: Option<String>,
    seal: String,
}

/// Returns the text that is sealed, which cannot be a line of an audit file.
fn sealed_part(sequence: u64, hash: &str, length: u64) -> String {
    format!("head {sequence} {hash} {length}")
}

fn sealed_text(content: &HeadContent, seal: &Seal) -> Vec<u8> {
    let HeadContent { chain, length } = *content;
    let hash = String::from_utf8_lossy(&chain.hash).into_owned();
    let own = seal.of(sealed_part(chain.sequence, &hash, length).as_bytes());
    let key = seal.key_id().map(str::to_owned);
    let seal = String::from_utf8_lossy(&own).into_owned();
    let text = HeadText { sequence: chain.sequence, hash, length, key, seal };
    serde_json::to_vec(&text).unwrap_or_default()
}

fn parse(text: &[u8], seal: &Seal) -> Result<HeadContent, HeadError> {
    let head: HeadText = serde_json::from_slice(text).map_err(|_| HeadError::Invalid)?;
    let hash = head.hash.as_bytes().try_into().map_err(|_| HeadError::Invalid)?;
    let content = HeadContent { chain: Chain { sequence: head.sequence, hash }, length: head.length };
    if head.key.as_deref() != seal.key_id() {
        return Err(HeadError::OtherKey(head.key, content));
    }
    let own = seal.of(sealed_part(head.sequence, &head.hash, head.length).as_bytes());
    if own == head.seal.as_bytes() { Ok(content) } else { Err(HeadError::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let audit = folder.path().join("audit.jsonl");
        let (plain, keyed) = (Seal::default(), Seal::with_key(b"key"));
        let head = Head::open(&audit).unwrap();
        assert_eq!(head.read(&plain).unwrap(), Ok(None));
        for (seal, other) in [(&plain, &keyed), (&keyed, &plain)] {
            for sequence in [7, u64::MAX, 8] {
                let chain = Chain { sequence, hash: seal.of(b"x") };
                let content = HeadContent { chain, length: u64::MAX - sequence };
                head.write(&content, seal).unwrap();
                assert_eq!(head.read(seal).unwrap(), Ok(Some(content)));
                let id = seal.key_id().map(str::to_owned);
                assert_eq!(head.read(other).unwrap(), Err(HeadError::OtherKey(id, content)));
            }
            let path = path_of(&audit);
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.len(), SIZE);
            std::fs::write(&path, text.replace("\"sequence\":8", "\"sequence\":9")).unwrap();
            assert_eq!(head.read(seal).unwrap(), Err(HeadError::Invalid));
            std::fs::write(&path, &text[..100]).unwrap();
            assert_eq!(head.read(seal).unwrap(), Err(HeadError::Invalid));
        }
    }

    #[test]
    fn one_process_at_a_time_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let audit = folder.path().join("audit.jsonl");
        let (one, other) = (Head::open(&audit).unwrap(), Head::open_read_only(&audit));
        let other = other.unwrap();
        let locked = one.lock().unwrap();
        let waiting = std::thread::spawn(move || other.lock_shared().map(drop));
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waiting.is_finished());
        drop(locked);
        waiting.join().unwrap().unwrap();
    }
}

//! Verifies the files of an audit: `private-media audit verify`.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::checker::{Checker, Findings, Keys};
use super::fault::{Fault, FaultKind, Place};
use super::head::{Head, HeadContent, HeadError, path_of};
use super::line::{Chain, LineEnd, read_line};
use super::seal::Seal;
use super::segments;

/// The result of a verification.
#[derive(Debug)]
pub(crate) struct Verification {
    /// The files, in the order of the chain.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) findings: Findings,
    /// The id of the key that the newest records are sealed with.
    pub(crate) key: Option<String>,
}

/// The files of an audit as they were at one moment, while a gateway may append to them.
pub(crate) struct Snapshot {
    pub(crate) files: Vec<(PathBuf, File)>,
    /// The length of the last file at that moment.
    last_length: u64,
    /// What the head said; `None` if it is missing.
    head: Option<Result<Option<HeadContent>, HeadError>>,
}

impl Snapshot {
    /// Opens the files of an audit, and reads the head with this seal.
    pub(crate) fn open(audit: &Path, seal: &Seal) -> io::Result<Self> {
        let head = match Head::open_read_only(audit) {
            Ok(head) => Some(head),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let locked = head.as_ref().map(Head::lock_shared).transpose()?;
        let rotated = segments::rotated(audit)?;
        let mut files = Vec::new();
        for path in rotated {
            let file = File::open(&path)?;
            files.push((path, file));
        }
        // The gateway may have stopped between a rotation and the first record of the new file.
        match File::open(audit) {
            Ok(file) => files.push((audit.to_owned(), file)),
            Err(error) if error.kind() == ErrorKind::NotFound && head.is_some() && !files.is_empty() => {}
            Err(error) => return Err(error),
        }
        let last_length = files.last().map_or(Ok(0), |(_, file)| file.metadata().map(|file| file.len()))?;
        // Read under the lock, or the head may name records beyond this length.
        let content = head.as_ref().map(|head| head.read(seal)).transpose()?;
        drop(locked);
        Ok(Self { files, last_length, head: content })
    }

    /// Returns a reader of a file, from its beginning to its end at the moment of the snapshot.
    pub(crate) fn reader<'a>(
        &self,
        number: usize,
        mut file: &'a File,
    ) -> io::Result<impl io::BufRead + use<'a>> {
        file.seek(SeekFrom::Start(0))?;
        let limit = if number + 1 == self.files.len() { self.last_length } else { u64::MAX };
        Ok(BufReader::with_capacity(256 << 10, file.take(limit)))
    }
}

/// Verifies the audit at this path.
pub(crate) fn verify(audit: &Path, keys: &Keys) -> io::Result<Verification> {
    let seal = keys.current.clone().unwrap_or_default();
    let mut snapshot = Snapshot::open(audit, &seal)?;
    let head = snapshot.head.take();
    let mut checker = Checker::new(keys.clone());
    let mut text = Vec::new();
    let mut torn = 0;
    for (number, (_, file)) in snapshot.files.iter().enumerate() {
        checker.file(number, &segments::first_line(file)?);
        let is_last = number + 1 == snapshot.files.len();
        let mut reader = snapshot.reader(number, file)?;
        while let Some(end) = read_line(&mut reader, &mut text)? {
            if end == LineEnd::Torn && is_last {
                torn = text.len();
            } else {
                checker.line(&text);
            }
        }
    }
    let mut files: Vec<_> = snapshot.files.into_iter().map(|(path, _)| path).collect();
    let place = Place { file: files.len(), line: 0 };
    files.push(path_of(audit));
    let head = check_head(head, keys, place);
    let mut findings = checker.end(head.as_ref().ok().copied().flatten(), torn);
    if let Err(fault) = head {
        findings.fault_count += 1;
        findings.faults.push(fault);
    }
    Ok(Verification { files, findings, key: seal.key_id().map(str::to_owned) })
}

/// Returns what the head names, or what is wrong with it.
fn check_head(
    head: Option<Result<Option<HeadContent>, HeadError>>,
    keys: &Keys,
    place: Place,
) -> Result<Option<Chain>, Fault> {
    let fault = |kind, detail: &str| Err(Fault { place, kind, detail: detail.to_owned() });
    match head {
        Some(Ok(Some(head))) => Ok(Some(head.chain)),
        None => fault(FaultKind::Removed, "the head is missing, so records at the end may be missing, too"),
        Some(Ok(None)) => {
            fault(FaultKind::Truncated, "the head is empty, so records at the end may be missing")
        }
        Some(Err(HeadError::Invalid)) => fault(FaultKind::Changed, "the head is not what was written"),
        Some(Err(HeadError::OtherKey(None, _))) => {
            fault(FaultKind::Unsealed, "the head is not sealed with the key")
        }
        Some(Err(HeadError::OtherKey(Some(id), _))) => {
            let fix = if keys.current.is_none() { "; give its file with --audit-key-file" } else { "" };
            fault(FaultKind::UnknownKey, &format!("the head is sealed with another key, {id}{fix}"))
        }
    }
}

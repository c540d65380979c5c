//! The files of an audit: the current one, and rotated ones with a number after their name.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::line::{read_line, record_sequence};
use crate::folders::parent;

/// How much of the end of a file is read to find its last line.
const TAIL: u64 = 256 << 10;

/// Returns the name of a rotated file: that of the audit file, and the number of its first record.
pub(super) fn rotated_path(audit: &Path, first: u64) -> PathBuf {
    let mut path = audit.as_os_str().to_owned();
    path.push(format!(".{first:012}"));
    path.into()
}

/// Returns the rotated files in the order of their first records. Other tools rotate with other numbers, so the content decides.
pub(super) fn rotated(audit: &Path) -> io::Result<Vec<PathBuf>> {
    let prefix = audit.file_name().unwrap_or_default().as_encoded_bytes();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(parent(audit))? {
        let name = entry?.file_name();
        let digits = name.as_encoded_bytes().strip_prefix(prefix).and_then(|rest| rest.strip_prefix(b"."));
        let number = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let Some(number) = number.and_then(|digits| str::from_utf8(digits).ok()?.parse::<u64>().ok()) else {
            continue;
        };
        let path = audit.with_file_name(name);
        let first = File::open(&path).and_then(|file| first_line(&file)).ok();
        let first = first.and_then(|line| record_sequence(&line));
        files.push((first.unwrap_or(number), path));
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// Returns the first line of a file.
pub(super) fn first_line(mut file: &File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    read_line(&mut BufReader::new(file), &mut line)?;
    Ok(line)
}

/// Returns the last complete line of a file; empty if there is none.
pub(super) fn last_line(mut file: &File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let Some(end) = memchr::memrchr(b'\n', &tail) else { return Ok(Vec::new()) };
    tail.truncate(end);
    let start = memchr::memrchr(b'\n', &tail).map_or(0, |before| before + 1);
    Ok(tail.split_off(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::group::sealed_line;
    use crate::audit::line::Chain;
    use crate::audit::seal::Seal;

    #[test]
    fn rotated_files_are_in_the_order_of_their_records() {
        let folder = tempfile::tempdir().unwrap();
        let audit = folder.path().join("audit.jsonl");
        let mut chain = Chain::default();
        // logrotate numbers backwards.
        for name in ["audit.jsonl.000000000001", "audit.jsonl.2", "audit.jsonl.1", "audit.jsonl"] {
            let line = sealed_line(&mut chain, b"\"a\":1", &Seal::default());
            std::fs::write(folder.path().join(name), line).unwrap();
        }
        for other in ["audit.jsonl.head", "audit.jsonl.1.gz", "audit.jsonl.", "other.jsonl.3"] {
            std::fs::write(folder.path().join(other), "x").unwrap();
        }
        let names = rotated(&audit).unwrap();
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["audit.jsonl.000000000001", "audit.jsonl.2", "audit.jsonl.1"]);
        assert_eq!(rotated_path(&audit, 1).file_name().unwrap(), "audit.jsonl.000000000001");
    }

    #[test]
    fn first_and_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let long = "x".repeat(100_000);
        for (content, first, last) in [
            (String::new(), "", ""),
            ("a".to_owned(), "a", ""),
            ("a\n".to_owned(), "a", "a"),
            ("a\nb\ntorn".to_owned(), "a", "b"),
            (format!("a\n{long}\n{long}\n{long}\nb\n"), "a", "b"),
        ] {
            std::fs::write(&path, content).unwrap();
            let file = File::open(&path).unwrap();
            assert_eq!(first_line(&file).unwrap(), first.as_bytes());
            assert_eq!(last_line(&file).unwrap(), last.as_bytes());
        }
    }
}

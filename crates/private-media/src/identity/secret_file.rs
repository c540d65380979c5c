//! Files that hold secrets.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Reads a file that holds secrets. If other users may read or change it, that is an error which says how to fix its mode.
pub fn read_secret_file(path: &Path) -> io::Result<String> {
    read_from(&mut File::open(path)?, path)
}

/// Like [`read_secret_file`], for a file that is open.
pub(super) fn read_from(file: &mut File, path: &Path) -> io::Result<String> {
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "its mode {mode:03o} lets others read or change it; mend it with: chmod 600 {}",
            path.display()
        )));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

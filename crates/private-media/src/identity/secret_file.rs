//! Reads files that contain secrets.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Reads a file that contains secrets. It is an error, with the fix, if other users can read or change the file.
pub fn read_secret_file(path: &Path) -> io::Result<String> {
    read_from(&mut File::open(path)?, path)
}

/// Like [`read_secret_file`], for an open file.
pub(super) fn read_from(file: &mut File, path: &Path) -> io::Result<String> {
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "its mode {mode:03o} lets others read or change it; run: chmod 600 {}",
            path.display()
        )));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

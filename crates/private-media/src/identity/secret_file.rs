//! Files that hold secrets.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Reads a file that holds secrets. One that others than its owner may read is refused, as what it holds may be known already.
#[cfg(feature = "django")]
pub(super) fn read(path: &Path) -> io::Result<String> {
    read_from(&mut File::open(path)?, path)
}

/// Reads an open file that holds secrets, as `read` does.
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

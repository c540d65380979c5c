//! Reads the files of the certificate and the key.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use private_media_listener::Certificate;

use crate::config::TlsConfig;

/// The maximum length of a file, in bytes.
const MAX_LEN: u64 = 1 << 20;

/// Why a certificate and its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadError {
    /// Whether this is about the key, and not about the certificate.
    pub(crate) is_about_key: bool,
    pub(crate) problem: String,
    pub(crate) fix: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.fix)
    }
}

/// Reads the certificate and its key.
pub(crate) fn load(files: &TlsConfig) -> Result<Certificate, LoadError> {
    let chain = read(&files.certificate, false)?;
    let key = read(&files.key, true)?;
    Certificate::from_pem(&chain, &key).map_err(|error| LoadError {
        is_about_key: error.is_about_key(),
        problem: error.to_string(),
        fix: error.fix().to_owned(),
    })
}

fn read(path: &Path, is_key: bool) -> Result<Vec<u8>, LoadError> {
    let error = |problem: String, fix: String| LoadError { is_about_key: is_key, problem, fix };
    let unreadable = |cause: std::io::Error| {
        error(format!("cannot be read: {cause}"), "name a file that the user of the gateway can read".into())
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    // A group may read the key, as Debian's group ssl-cert does.
    if is_key && metadata.mode() & 0o027 != 0 {
        let problem =
            format!("its mode {:03o} lets other users read or change the key", metadata.mode() & 0o777);
        return Err(error(problem, format!("run: chmod 640 {}", path.display())));
    }
    let mut bytes = Vec::new();
    file.take(MAX_LEN).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// What changes with the files: modification and change time, inode and length of each. Names may be links, as those of certbot are.
pub(super) type Stamp = [Option<[i64; 6]>; 2];

/// Returns the stamp of the files.
pub(super) fn stamp(files: &TlsConfig) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        let (inode, len) = (metadata.ino().cast_signed(), metadata.len().cast_signed());
        Some([metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec(), inode, len])
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_that_others_can_read_or_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let [certificate, key] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let files = TlsConfig { certificate, key, redirect_http: None, hsts: None };
        for (mode, is_allowed) in [
            (0o600, true),
            (0o400, true),
            (0o640, true),
            (0o440, true),
            (0o644, false),
            (0o604, false),
            (0o660, false),
            (0o602, false),
        ] {
            std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = load(&files).err();
            assert_eq!(error.is_none(), is_allowed, "{mode:o}");
            assert!(error.is_none_or(|error| error.is_about_key && error.fix.contains("chmod 640")));
        }
        std::fs::remove_file(&files.key).unwrap();
        assert!(load(&files).unwrap_err().is_about_key);
        std::fs::write(&files.certificate, "").unwrap();
        assert!(!load(&files).unwrap_err().is_about_key || !files.key.exists());
    }

    #[test]
    fn every_change_of_the_files_changes_the_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a1", "a2", "k"] {
            std::fs::write(path(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("a1", path("a")).unwrap();
        let files = TlsConfig { certificate: path("a"), key: path("k"), redirect_http: None, hsts: None };
        let mut stamps = vec![stamp(&files)];
        assert_eq!(stamps[0], stamp(&files));
        // As certbot does.
        std::os::unix::fs::symlink("a2", path("b")).unwrap();
        std::fs::rename(path("b"), path("a")).unwrap();
        stamps.push(stamp(&files));
        std::fs::write(path("a2"), "longer").unwrap();
        stamps.push(stamp(&files));
        std::fs::remove_file(path("k")).unwrap();
        stamps.push(stamp(&files));
        assert!(stamps.windows(2).all(|pair| pair[0] != pair[1]), "{stamps:?}");
    }
}

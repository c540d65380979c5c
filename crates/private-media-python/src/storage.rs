//! The private root on the local disk.

use std::fs::File;
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use private_media::storage::OpenOptions;
use private_media::{LocalStorage, MediaPath, MediaRequest, Permit, SaveOptions, Storage, StorageError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator};

use crate::blocking::block_on;
use crate::content::next_chunk;
use crate::delivery::{Content, Delivery, Response};
use crate::errors::storage_error;
use crate::request::{parse_path, parse_request};
use crate::time::system_time;

/// A local folder with private files. Files are opened relative to its handle, so none outside is reached.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Root {
    storage: LocalStorage,
    location: PathBuf,
}

#[pymethods]
impl Root {
    /// Opens an existing folder. The umask does not restrict `file_mode` and `dir_mode`.
    #[new]
    #[pyo3(signature = (location, *, file_mode=None, dir_mode=None, durable=true, follow_links=false))]
    fn new(
        py: Python<'_>,
        location: &str,
        file_mode: Option<u32>,
        dir_mode: Option<u32>,
        durable: bool,
        follow_links: bool,
    ) -> PyResult<Self> {
        let storage = py
            .detach(|| LocalStorage::open_root(location))
            .map_err(|error| storage_error(location.as_ref(), error))?;
        let storage = storage.durable(durable).follow_links(follow_links).share_group();
        // Without a mode, the umask applies, as it does for Python's open() and mkdir().
        let storage = match file_mode {
            Some(mode) => storage.exact_file_mode(mode),
            None => storage.file_mode(0o666),
        };
        let storage = match dir_mode {
            Some(mode) => storage.exact_dir_mode(mode),
            None => storage.dir_mode(0o777),
        };
        Ok(Self { storage, location: PathBuf::from(location) })
    }

    /// Responds to an authorized request. Raises `FileNotFoundError` if the file does not exist.
    #[pyo3(signature = (delivery, method, path, meta, *, download=false))]
    fn respond(
        &self,
        py: Python<'_>,
        delivery: &Delivery,
        method: &str,
        path: &str,
        meta: &Bound<'_, PyDict>,
        download: bool,
    ) -> PyResult<Response> {
        let request = parse_request(method, parse_path(path)?, meta, download)?;
        let response = block_on(py, self.deliver(delivery, &request))?;
        Response::new(py, response.map_err(|error| self.error(path, without_cause(error)))?)
    }

    /// Opens a file with a mode of Python's `open()`. Returns its descriptor, which the caller has to close.
    fn open(&self, py: Python<'_>, path: &str, mode: &str) -> PyResult<RawFd> {
        let path = parse_path(path)?;
        let opened = match open_options(mode)? {
            None => block_on(py, self.read(path.clone()))?,
            Some(options) => py.detach(|| self.storage.edit(&Permit::trusted(path.clone()), options)),
        };
        Ok(opened.map_err(|error| self.error(path.as_str(), error))?.into_raw_fd())
    }

    /// Saves the chunks of an iterator atomically. Returns the path that was used, which is another one if the given path was taken.
    /// `modified_ns` is the time of a copied file, in nanoseconds since 1970.
    #[pyo3(signature = (path, content, *, replace=false, expected_len=None, modified_ns=None))]
    fn save(
        &self,
        py: Python<'_>,
        path: &str,
        content: &Bound<'_, PyIterator>,
        replace: bool,
        expected_len: Option<u64>,
        modified_ns: Option<u64>,
    ) -> PyResult<String> {
        let path = parse_path(path)?;
        let options = SaveOptions::new().replace(replace).expected_len(expected_len);
        let options = options.modified(modified_ns.and_then(system_time));
        let content = chunks(content.clone().unbind());
        let permit = Permit::trusted(path.clone());
        let saved = py.detach(|| self.storage.save_blocking(&permit, content, &options));
        Ok(saved.map_err(|error| self.error(path.as_str(), error))?.as_str().to_owned())
    }

    /// Deletes a file. Raises `FileNotFoundError` if it does not exist or is a folder.
    fn delete(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = parse_path(path)?;
        block_on(py, self.storage.delete(&Permit::trusted(path.clone())))?
            .map_err(|error| self.error(path.as_str(), error))
    }

    /// Removes an empty folder.
    fn remove_folder(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = parse_path(path)?;
        let permit = Permit::trusted(path.clone());
        py.detach(|| self.storage.remove_folder(&permit)).map_err(|error| self.error(path.as_str(), error))
    }

    /// Lists the entries of a folder (None: the root) that can be served, as pairs of a name and whether it is a folder.
    #[pyo3(signature = (folder=None))]
    fn list(&self, py: Python<'_>, folder: Option<&str>) -> PyResult<Vec<(String, bool)>> {
        let folder = folder.map(parse_path).transpose()?;
        let listed = block_on(py, self.storage.list(&Permit::trusted(folder.clone())))?;
        let name = folder.as_ref().map_or("", MediaPath::as_str);
        let entries = listed.map_err(|error| self.error(name, error))?;
        Ok(entries.iter().map(|entry| (entry.path.file_name().to_owned(), entry.is_folder)).collect())
    }

    /// Returns whether the entry is a folder, its size in bytes, and its atime, mtime and ctime. The empty name is the root. Raises
    /// `FileNotFoundError` also for entries that cannot be served.
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths only")]
    fn stat(&self, py: Python<'_>, name: PathBuf) -> PyResult<(bool, u64, f64, f64, f64)> {
        let found =
            py.detach(|| self.storage.trusted_stat(&name)).map_err(|error| self.error(&name, error))?;
        let is_legal = |name: &str| name.is_empty() || MediaPath::new(name).is_ok();
        if !name.to_str().is_some_and(is_legal) {
            return Err(self.error(&name, StorageError::not_found("not a valid name of a private file")));
        }
        let [accessed, modified, changed] = [
            (found.atime(), found.atime_nsec()),
            (found.mtime(), found.mtime_nsec()),
            (found.ctime(), found.ctime_nsec()),
        ]
        .map(seconds);
        Ok((found.is_dir(), found.len(), accessed, modified, changed))
    }

    /// Removes a file, a link or an empty folder. The name need not be a valid path.
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths only")]
    fn remove(&self, py: Python<'_>, name: PathBuf) -> PyResult<()> {
        py.detach(|| self.storage.trusted_remove(&name)).map_err(|error| self.error(&name, error))
    }

    /// Returns a file's size in bytes and its entity tag. Raises `FileNotFoundError` for a folder.
    fn metadata(&self, py: Python<'_>, path: &str) -> PyResult<(u64, String)> {
        let path = parse_path(path)?;
        let found = block_on(py, self.storage.metadata(&Permit::trusted(path.clone())))?
            .map_err(|error| self.error(path.as_str(), without_cause(error)))?;
        Ok((found.len, found.etag))
    }
}

impl Root {
    /// Converts an error. Its file name is the full path, as in errors of Django's storage.
    fn error(&self, name: impl AsRef<Path>, error: StorageError) -> PyErr {
        let name = name.as_ref();
        // Joining an empty name would append a slash.
        if name.as_os_str().is_empty() {
            storage_error(&self.location, error)
        } else {
            storage_error(&self.location.join(name), error)
        }
    }

    async fn deliver(
        &self,
        delivery: &Delivery,
        request: &MediaRequest,
    ) -> Result<http::Response<Content>, StorageError> {
        // The view has authorized the request.
        let permit = Permit::trusted(request.path.clone());
        let file = self.storage.open(&permit).await?;
        let (head, body) = delivery.deliver(request, &permit, file, SystemTime::now()).into_parts();
        let reading = |source| StorageError::Io { doing: "reading the file", source };
        Ok(http::Response::from_parts(head, Content::of(body).await.map_err(reading)?))
    }

    async fn read(&self, path: MediaPath) -> Result<File, StorageError> {
        let file = self.storage.open(&Permit::trusted(path)).await?;
        let reading = |source| StorageError::Io { doing: "opening the file", source };
        let file = file.bytes().as_file().map(|file| file.try_clone());
        file.unwrap_or_else(|| Err(io::ErrorKind::Unsupported.into())).map_err(reading)
    }
}

/// Converts every kind of missing file to `FileNotFoundError`, so that a client cannot distinguish them. The reason remains for the log.
fn without_cause(error: StorageError) -> StorageError {
    match error {
        StorageError::NotFound { source: Some(ref source), .. }
            if source.kind() == io::ErrorKind::NotFound =>
        {
            error
        }
        StorageError::NotFound { reason, .. } => StorageError::not_found(reason),
        error => error,
    }
}

/// Parses a mode of Python's `open()`. `None` is read-only.
fn open_options(mode: &str) -> PyResult<Option<OpenOptions>> {
    let kinds: Vec<char> = mode.chars().filter(|kind| "rwax".contains(*kind)).collect();
    let read = mode.contains('+');
    Ok(match kinds.as_slice() {
        ['r'] if !read => None,
        ['r'] => Some(OpenOptions::new().read(read)),
        ['w'] => Some(OpenOptions::new().read(read).truncate(true).create(true)),
        ['a'] => Some(OpenOptions::new().read(read).append(true).create(true)),
        ['x'] => Some(OpenOptions::new().read(read).create_new(true)),
        _ => {
            return Err(PyValueError::new_err(format!(
                "invalid mode {mode:?}; expected one of open(), e.g. rb"
            )));
        }
    })
}

/// Converts a time to seconds, like Python's `os.stat_result`.
#[expect(clippy::cast_precision_loss, reason = "os.stat_result has the same precision")]
fn seconds((seconds, nanoseconds): (i64, i64)) -> f64 {
    seconds as f64 + 1e-9 * nanoseconds as f64
}

/// Iterates over the chunks of a Python iterator, in the thread that saves. Each chunk is fetched with the lock of the interpreter.
fn chunks(iterator: Py<PyIterator>) -> impl Iterator<Item = io::Result<Bytes>> + Send {
    std::iter::from_fn(move || {
        Python::attach(|py| next_chunk(iterator.bind(py)).map(|chunk| chunk.map_err(io::Error::from)))
    })
}

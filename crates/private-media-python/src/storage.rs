//! Where are the bytes?

use std::fs::File;
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use http::Response;
use private_media::storage::OpenOptions;
use private_media::{LocalStorage, MediaPath, MediaRequest, Permit, SaveOptions, Storage, StorageError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator};

use crate::delivery::{Answer, Content, Delivery};
use crate::errors::failed;
use crate::request::{parse_path, parse_request};
use crate::waiting::wait;

/// A folder of the local disk as a private root. Everything is opened beneath its handle.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Root {
    storage: LocalStorage,
    location: PathBuf,
}

#[pymethods]
impl Root {
    /// Opens a folder that exists. A file mode, and a folder mode that is exact, are what they say whatever the umask is.
    #[new]
    #[pyo3(signature = (location, *, file_mode=None, dir_mode=None, durable=true))]
    fn new(
        py: Python<'_>,
        location: &str,
        file_mode: Option<u32>,
        dir_mode: Option<u32>,
        durable: bool,
    ) -> PyResult<Self> {
        let storage = py
            .detach(|| LocalStorage::open_root(location))
            .map_err(|error| failed(location.as_ref(), error))?;
        let storage = storage.durable(durable).share_group();
        // Without a mode of its own, a file or a folder gets what the umask leaves, as everywhere in Python.
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

    /// The answer to a request for a path that its reader may read. Raises `FileNotFoundError` if there is no such file.
    #[pyo3(signature = (delivery, method, path, meta, *, download=false))]
    fn answer(
        &self,
        py: Python<'_>,
        delivery: &Delivery,
        method: &str,
        path: &str,
        meta: &Bound<'_, PyDict>,
        download: bool,
    ) -> PyResult<Answer> {
        let request = parse_request(method, parse_path(path)?, meta, download)?;
        let answered = wait(py, self.answered(delivery, &request))?;
        Answer::new(py, answered.map_err(|error| self.failed(path, missing(error)))?)
    }

    /// The number of an open file, to be closed by whoever gets it. The mode is that of Python's `open()`.
    fn open(&self, py: Python<'_>, path: &str, mode: &str) -> PyResult<RawFd> {
        let path = parse_path(path)?;
        let opened = match edit(mode)? {
            None => wait(py, self.read(path.clone()))?,
            Some(edit) => py.detach(|| self.storage.edit(&Permit::trusted(path.clone()), edit)),
        };
        Ok(opened.map_err(|error| self.failed(path.as_str(), error))?.into_raw_fd())
    }

    /// Stores the pieces that an iterator gives, whole or not at all, and returns the path that was really used.
    #[pyo3(signature = (path, content, *, replace=false, expected_len=None))]
    fn save(
        &self,
        py: Python<'_>,
        path: &str,
        content: &Bound<'_, PyIterator>,
        replace: bool,
        expected_len: Option<u64>,
    ) -> PyResult<String> {
        let path = parse_path(path)?;
        let options = SaveOptions::new().replace(replace).expected_len(expected_len);
        let content = pieces(content.clone().unbind());
        let permit = Permit::trusted(path.clone());
        let saved = py.detach(|| self.storage.save_blocking(&permit, content, &options));
        Ok(saved.map_err(|error| self.failed(path.as_str(), error))?.as_str().to_owned())
    }

    /// Deletes a file. Raises `FileNotFoundError` if there is none of that name, or a folder.
    fn delete(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = parse_path(path)?;
        wait(py, self.storage.delete(&Permit::trusted(path.clone())))?
            .map_err(|error| self.failed(path.as_str(), error))
    }

    /// Removes a folder that is empty.
    fn remove_folder(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = parse_path(path)?;
        let permit = Permit::trusted(path.clone());
        py.detach(|| self.storage.remove_folder(&permit)).map_err(|error| self.failed(path.as_str(), error))
    }

    /// What a folder (None: the root) holds that could be served: pairs of a name and whether it is a folder.
    #[pyo3(signature = (folder=None))]
    fn list(&self, py: Python<'_>, folder: Option<&str>) -> PyResult<Vec<(String, bool)>> {
        let folder = folder.map(parse_path).transpose()?;
        let listed = wait(py, self.storage.list(&Permit::trusted(folder.clone())))?;
        let name = folder.as_ref().map_or("", MediaPath::as_str);
        let entries = listed.map_err(|error| self.failed(name, error))?;
        Ok(entries.iter().map(|entry| (entry.path.file_name().to_owned(), entry.is_folder)).collect())
    }

    /// Whether it is a folder, the size in bytes, and the times of access, content and status of a file or a folder, by any
    /// name; an empty one is the root. Raises `FileNotFoundError` for what is there and cannot be served.
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths only")]
    fn stat(&self, py: Python<'_>, name: PathBuf) -> PyResult<(bool, u64, f64, f64, f64)> {
        let found =
            py.detach(|| self.storage.trusted_stat(&name)).map_err(|error| self.failed(&name, error))?;
        let is_legal = |name: &str| name.is_empty() || MediaPath::new(name).is_ok();
        if !name.to_str().is_some_and(is_legal) {
            return Err(self.failed(&name, StorageError::not_found("no private file has such a name")));
        }
        let [accessed, modified, changed] = [
            (found.atime(), found.atime_nsec()),
            (found.mtime(), found.mtime_nsec()),
            (found.ctime(), found.ctime_nsec()),
        ]
        .map(seconds);
        Ok((found.is_dir(), found.len(), accessed, modified, changed))
    }

    /// Removes a file, a link or an empty folder, by any name.
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths only")]
    fn remove(&self, py: Python<'_>, name: PathBuf) -> PyResult<()> {
        py.detach(|| self.storage.trusted_remove(&name)).map_err(|error| self.failed(&name, error))
    }

    /// Size in bytes and entity tag of a file. Raises `FileNotFoundError` for a folder, too.
    fn metadata(&self, py: Python<'_>, path: &str) -> PyResult<(u64, String)> {
        let path = parse_path(path)?;
        let found = wait(py, self.storage.metadata(&Permit::trusted(path.clone())))?
            .map_err(|error| self.failed(path.as_str(), missing(error)))?;
        Ok((found.len, found.etag))
    }
}

impl Root {
    /// An error about this name, by its full path as Django's own storage has it.
    fn failed(&self, name: impl AsRef<Path>, error: StorageError) -> PyErr {
        let name = name.as_ref();
        // Joined with an empty name, the location would get a slash.
        if name.as_os_str().is_empty() {
            failed(&self.location, error)
        } else {
            failed(&self.location.join(name), error)
        }
    }

    async fn answered(
        &self,
        delivery: &Delivery,
        request: &MediaRequest,
    ) -> Result<Response<Content>, StorageError> {
        // The view asked the project's permissions.
        let permit = Permit::trusted(request.path.clone());
        let file = self.storage.open(&permit).await?;
        let (head, body) = delivery.deliver(request, &permit, file, SystemTime::now()).into_parts();
        let reading = |source| StorageError::Io { doing: "reading the file", source };
        Ok(Response::from_parts(head, Content::of(body).await.map_err(reading)?))
    }

    async fn read(&self, path: MediaPath) -> Result<File, StorageError> {
        let file = self.storage.open(&Permit::trusted(path)).await?;
        let reading = |source| StorageError::Io { doing: "opening the file", source };
        let file = file.bytes().as_file().map(File::try_clone);
        file.unwrap_or_else(|| Err(io::ErrorKind::Unsupported.into())).map_err(reading)
    }
}

/// Leaves out why there is no such file: a request is told that there is none, and no more.
fn missing(error: StorageError) -> StorageError {
    match error {
        StorageError::NotFound { reason, .. } => StorageError::not_found(reason),
        error => error,
    }
}

/// What Python's modes mean; `None` is to read only.
fn edit(mode: &str) -> PyResult<Option<OpenOptions>> {
    let kinds: Vec<char> = mode.chars().filter(|kind| "rwax".contains(*kind)).collect();
    let read = mode.contains('+');
    Ok(match kinds.as_slice() {
        ['r'] if !read => None,
        ['r'] => Some(OpenOptions::new().read(read)),
        ['w'] => Some(OpenOptions::new().read(read).truncate(true).create(true)),
        ['a'] => Some(OpenOptions::new().read(read).append(true).create(true)),
        ['x'] => Some(OpenOptions::new().read(read).create_new(true)),
        _ => return Err(PyValueError::new_err(format!("mode {mode:?} is not one of open()"))),
    })
}

/// Seconds as Python's `os.stat_result` has them.
#[expect(clippy::cast_precision_loss, reason = "it is what os.stat_result does")]
fn seconds((seconds, nanoseconds): (i64, i64)) -> f64 {
    seconds as f64 + 1e-9 * nanoseconds as f64
}

/// The pieces of a Python iterator. Each is asked for under the interpreter's lock, in the thread that saves.
fn pieces(iterator: Py<PyIterator>) -> impl Iterator<Item = io::Result<Bytes>> + Send {
    std::iter::from_fn(move || {
        Python::attach(|py| {
            let piece = iterator.bind(py).clone().next()?;
            let piece =
                piece.and_then(|piece| Ok(Bytes::copy_from_slice(piece.cast::<PyBytes>()?.as_bytes())));
            Some(piece.map_err(io::Error::from))
        })
    })
}

//! Where are the bytes?

use std::fs::File;
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::time::SystemTime;

use bytes::Bytes;
use http::Response;
use private_media::storage::Edit;
use private_media::{
    Identity, LocalStorage, MediaPath, MediaRequest, Permit, SaveOptions, Storage, StorageError,
};
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
}

#[pymethods]
impl Root {
    /// Opens a folder that exists. A file mode, and a folder mode that is exact, are what they say whatever the umask is.
    #[new]
    #[pyo3(signature = (location, *, file_mode=None, dir_mode=None))]
    fn new(py: Python<'_>, location: &str, file_mode: Option<u32>, dir_mode: Option<u32>) -> PyResult<Self> {
        let storage =
            py.detach(|| LocalStorage::open_root(location)).map_err(|error| failed(location, error))?;
        // Without a mode of its own, a file or a folder gets what the umask leaves, as everywhere in Python.
        let storage = match file_mode {
            Some(mode) => storage.exact_file_mode(mode),
            None => storage.file_mode(0o666),
        };
        let storage = match dir_mode {
            Some(mode) => storage.exact_dir_mode(mode),
            None => storage.dir_mode(0o777),
        };
        Ok(Self { storage })
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
        Answer::new(py, answered.map_err(|error| failed(path, error))?)
    }

    /// The number of an open file, to be closed by whoever gets it. The mode is that of Python's `open()`.
    fn open(&self, py: Python<'_>, path: &str, mode: &str) -> PyResult<RawFd> {
        let path = parse_path(path)?;
        let opened = match edit(mode)? {
            None => wait(py, self.read(path.clone()))?,
            Some(edit) => py.detach(|| self.storage.edit(&path, edit)),
        };
        Ok(opened.map_err(|error| failed(path.as_str(), error))?.into_raw_fd())
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
        let options = SaveOptions { replace, expected_len, ..SaveOptions::default() };
        let content = pieces(content.clone().unbind());
        let saved = wait(py, self.storage.save(&path, content, &options))?;
        Ok(saved.map_err(|error| failed(path.as_str(), error))?.as_str().to_owned())
    }

    /// Deletes a file. Raises `FileNotFoundError` if there is none of that name, or a folder.
    fn delete(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = parse_path(path)?;
        wait(py, self.storage.delete(&path))?.map_err(|error| failed(path.as_str(), error))
    }

    /// Removes a folder that is empty.
    fn remove_folder(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = parse_path(path)?;
        py.detach(|| self.storage.remove_folder(&path)).map_err(|error| failed(path.as_str(), error))
    }

    /// What a folder (None: the root) holds that could be served: pairs of a name and whether it is a folder.
    #[pyo3(signature = (folder=None))]
    fn list(&self, py: Python<'_>, folder: Option<&str>) -> PyResult<Vec<(String, bool)>> {
        let folder = folder.map(parse_path).transpose()?;
        let listed = wait(py, self.storage.list(folder.as_ref()))?;
        let name = folder.as_ref().map_or("", MediaPath::as_str);
        let entries = listed.map_err(|error| failed(name, error))?;
        Ok(entries.iter().map(|entry| (entry.path.file_name().to_owned(), entry.is_folder)).collect())
    }

    /// Size in bytes and entity tag of a file.
    fn metadata(&self, py: Python<'_>, path: &str) -> PyResult<(u64, String)> {
        let path = parse_path(path)?;
        let found = wait(py, self.storage.metadata(&path))?.map_err(|error| failed(path.as_str(), error))?;
        Ok((found.len, found.etag))
    }
}

impl Root {
    async fn answered(
        &self,
        delivery: &Delivery,
        request: &MediaRequest,
    ) -> Result<Response<Content>, StorageError> {
        let permit = permitted(request.path.clone()).await?;
        let file = self.storage.open(&permit).await?;
        let (head, body) = delivery.deliver(request, &permit, file, SystemTime::now()).into_parts();
        let reading = |source| StorageError::Io { doing: "reading the file", source };
        Ok(Response::from_parts(head, Content::of(body).await.map_err(reading)?))
    }

    async fn read(&self, path: MediaPath) -> Result<File, StorageError> {
        let file = self.storage.open(&permitted(path).await?).await?;
        let reading = |source| StorageError::Io { doing: "opening the file", source };
        let file = file.bytes().as_file().map(File::try_clone);
        file.unwrap_or_else(|| Err(io::ErrorKind::Unsupported.into())).map_err(reading)
    }
}

/// The permission was asked for in Python, by the view, or the application reads what is its own.
async fn permitted(path: MediaPath) -> Result<Permit, StorageError> {
    let in_python = |_: &Identity, _: &MediaPath| true;
    Permit::ask(&in_python, Identity::Anonymous, path).await.map_err(StorageError::not_found)
}

/// What Python's modes mean; `None` is to read only.
fn edit(mode: &str) -> PyResult<Option<Edit>> {
    let kinds: Vec<char> = mode.chars().filter(|kind| "rwax".contains(*kind)).collect();
    let read = mode.contains('+');
    Ok(match kinds.as_slice() {
        ['r'] if !read => None,
        ['r'] => Some(Edit { read, ..Edit::default() }),
        ['w'] => Some(Edit { read, truncate: true, create: true, ..Edit::default() }),
        ['a'] => Some(Edit { read, append: true, create: true, ..Edit::default() }),
        ['x'] => Some(Edit { read, create_new: true, ..Edit::default() }),
        _ => return Err(PyValueError::new_err(format!("mode {mode:?} is not one of open()"))),
    })
}

/// The pieces of a Python iterator. Each is asked for under the interpreter's lock, in the thread that waits for the save.
fn pieces<'a>(iterator: Py<PyIterator>) -> private_media::storage::Content<'a> {
    Box::pin(futures_util::stream::iter(std::iter::from_fn(move || {
        Python::attach(|py| {
            let piece = iterator.bind(py).clone().next()?;
            let piece =
                piece.and_then(|piece| Ok(Bytes::copy_from_slice(piece.cast::<PyBytes>()?.as_bytes())));
            Some(piece.map_err(io::Error::from))
        })
    })))
}

//! The private root in a bucket.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use private_media::storage::Metadata;
use private_media::{MediaPath, MediaRequest, Permit, SaveOptions, Storage as _, StorageError};
use private_media_buckets::{BucketOptions, BucketUrl, ConnectError, ObjectStorage};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator};
use rustix::io::Errno;

use crate::bucket_file::BucketFile;
use crate::content;
use crate::delivery::{Content, Delivery, Response};
use crate::django_bridge::duration;
use crate::errors::{os_error, storage_error};
use crate::network::Network;
use crate::request::{parse_path, parse_request};
use crate::time::{system_time, timestamp};

/// How often a file is opened again if it was replaced after it was opened.
const MAX_REOPENED: usize = 2;

/// A bucket with private files. It has the methods of `Root`. Connections belong to one process; a forked process makes its own.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Bucket {
    url: BucketUrl,
    options: BucketOptions,
    storage: Mutex<OfProcess>,
}

struct OfProcess {
    process: u32,
    storage: ObjectStorage,
}

#[pymethods]
impl Bucket {
    /// Validates a URL and options. Nothing is requested. Timeouts are in seconds. Credentials are those of the environment.
    #[new]
    #[pyo3(signature = (
        location, *, endpoint=None, region=None, path_style=None, allow_http=false, connect_timeout=None, read_timeout=None,
        open_timeout=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keyword arguments in Python")]
    fn new(
        location: &str,
        endpoint: Option<String>,
        region: Option<String>,
        path_style: Option<bool>,
        allow_http: bool,
        connect_timeout: Option<f64>,
        read_timeout: Option<f64>,
        open_timeout: Option<f64>,
    ) -> PyResult<Self> {
        let invalid = |problem: String| PyValueError::new_err(problem);
        let url: BucketUrl = location.parse().map_err(|problem| invalid(format!("{problem}")))?;
        if endpoint.as_ref().is_some_and(|endpoint| endpoint.contains('@')) {
            return Err(invalid("endpoint: a URL has no credentials; set them in the environment".into()));
        }
        let mut options = BucketOptions::new()
            .endpoint(endpoint)
            .region(region)
            .path_style(path_style)
            .allow_http(allow_http);
        if let Some(timeout) = connect_timeout {
            options = options.connect_timeout(duration(timeout)?);
        }
        if let Some(timeout) = read_timeout {
            options = options.read_timeout(duration(timeout)?);
        }
        if let Some(timeout) = open_timeout {
            options = options.open_timeout(duration(timeout)?);
        }
        let storage = ObjectStorage::from_url(&url, options.clone());
        let storage = storage.map_err(|problem| invalid(format!("{problem}")))?;
        Ok(Self { url, options, storage: Mutex::new(OfProcess { process: std::process::id(), storage }) })
    }

    /// The URL of the bucket.
    #[getter(url)]
    fn location(&self) -> String {
        self.url.to_string()
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
        let (network, storage) = self.connected(py)?;
        let response = network.block_on(py, deliver(&storage, delivery, &request, &network))?;
        Response::new(py, response.map_err(|error| self.error(path, error))?)
    }

    /// Opens a file for reading.
    fn open(&self, py: Python<'_>, path: &str) -> PyResult<BucketFile> {
        let permit = Permit::trusted(parse_path(path)?);
        let (network, storage) = self.connected(py)?;
        let file = network.block_on(py, storage.open(&permit))?.map_err(|error| self.error(path, error))?;
        Ok(BucketFile::new(network, self.name(path), &file))
    }

    /// Saves the chunks of an iterator atomically. Returns the path that was used, which is another one if the given path was taken. With
    /// `create_new`, that is a `FileExistsError`. `modified_ns` is the time of a copied file, in nanoseconds since 1970.
    #[pyo3(signature = (path, content, *, replace=false, create_new=false, expected_len=None, modified_ns=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keyword arguments in Python")]
    fn save(
        &self,
        py: Python<'_>,
        path: &str,
        content: &Bound<'_, PyIterator>,
        replace: bool,
        create_new: bool,
        expected_len: Option<u64>,
        modified_ns: Option<u64>,
    ) -> PyResult<String> {
        let permit = Permit::trusted(parse_path(path)?);
        let options = SaveOptions::new().replace(replace).create_new(create_new).expected_len(expected_len);
        let options = options.modified(modified_ns.and_then(system_time));
        let (network, storage) = self.connected(py)?;
        let (sender, chunks) = content::channel();
        let saving = network.handle()?.spawn(async move { storage.save(&permit, chunks, &options).await });
        let sent = sender.send_all(py, content);
        let saved = network.block_on(py, saving)?;
        // An exception of the iterator is raised again, unchanged.
        sent?;
        let saved = saved.map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(saved.map_err(|error| self.error(path, error))?.as_str().to_owned())
    }

    /// Deletes a file. Raises `FileNotFoundError` if it does not exist or is a folder. With the entity tag of another version, the file stays,
    /// and it is an `OSError`.
    #[pyo3(signature = (path, etag=None))]
    fn delete(&self, py: Python<'_>, path: &str, etag: Option<&str>) -> PyResult<()> {
        let permit = Permit::trusted(parse_path(path)?);
        let (network, storage) = self.connected(py)?;
        let delete = async {
            match etag {
                Some(etag) => storage.delete_version(&permit, etag).await,
                None => storage.delete(&permit).await,
            }
        };
        network.block_on(py, delete)?.map_err(|error| self.error(path, error))
    }

    /// Lists the entries of a folder (None: the root) that can be served, as pairs of a name and whether it is a folder.
    #[pyo3(signature = (folder=None))]
    fn list(&self, py: Python<'_>, folder: Option<&str>) -> PyResult<Vec<(String, bool)>> {
        let permit = Permit::trusted(folder.map(parse_path).transpose()?);
        let (network, storage) = self.connected(py)?;
        let listed = network.block_on(py, storage.list(&permit))?;
        let entries = listed.map_err(|error| self.error(folder.unwrap_or_default(), error))?;
        Ok(entries.iter().map(|entry| (entry.path.file_name().to_owned(), entry.is_folder)).collect())
    }

    /// Returns what `Root.stat` returns for a file. Objects have no access time. Raises `IsADirectoryError` for a folder, which has none of
    /// that, and `FileNotFoundError` also for entries that cannot be served.
    fn stat(&self, py: Python<'_>, name: &str) -> PyResult<(bool, u64, f64, f64, f64)> {
        let is_a_folder = || os_error(Path::new(&self.name(name)), Errno::ISDIR.raw_os_error(), None);
        if name.is_empty() {
            return Err(is_a_folder());
        }
        let path = self.existing(name)?;
        let (network, storage) = self.connected(py)?;
        let find = async {
            let found = storage.metadata(&Permit::trusted(path.clone())).await;
            unless_folder(&storage, path, found).await
        };
        match network.block_on(py, find)?.map_err(|error| self.error(name, error))? {
            None => Err(is_a_folder()),
            Some(Metadata { len, modified, created, .. }) => {
                let times = [modified, modified, created.unwrap_or(modified)].map(timestamp);
                let [accessed, modified, changed] = times;
                Ok((false, len, accessed, modified, changed))
            }
        }
    }

    /// Deletes a file. Raises `OSError` for a folder: only one with files exists.
    fn remove(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let path = self.existing(name)?;
        let (network, storage) = self.connected(py)?;
        let remove = async {
            let deleted = storage.delete(&Permit::trusted(path.clone())).await;
            unless_folder(&storage, path, deleted).await
        };
        let deleted = network.block_on(py, remove)?.map_err(|error| self.error(name, error))?;
        let not_empty = || os_error(Path::new(&self.name(name)), Errno::NOTEMPTY.raw_os_error(), None);
        deleted.ok_or_else(not_empty)
    }

    /// Returns a file's size in bytes and its entity tag. Raises `FileNotFoundError` for a folder.
    fn metadata(&self, py: Python<'_>, path: &str) -> PyResult<(u64, String)> {
        let permit = Permit::trusted(parse_path(path)?);
        let (network, storage) = self.connected(py)?;
        let found = network.block_on(py, storage.metadata(&permit))?;
        let found = found.map_err(|error| self.error(path, error))?;
        Ok((found.len, found.etag))
    }

    /// Requests an object. Raises `OSError` if the bucket does not exist, denies access or does not respond.
    fn check_access(&self, py: Python<'_>) -> PyResult<()> {
        let (network, storage) = self.connected(py)?;
        network.block_on(py, storage.ready())?.map_err(|error| self.error("", error))
    }

    /// Verifies with a temporary object that saves replace nothing. Raises `OSError` if the server ignores conditions.
    fn check_conditional_writes(&self, py: Python<'_>) -> PyResult<()> {
        let (network, storage) = self.connected(py)?;
        let checked = network.block_on(py, storage.check_conditional_writes())?;
        checked.map_err(|error| self.error("", error))
    }

    /// Returns whether a client without credentials can list the bucket, and whether it can read a file (None: there is no file).
    fn exposure(&self, py: Python<'_>) -> PyResult<(bool, Option<bool>)> {
        let stranger = ObjectStorage::from_url(&self.url, self.options.clone().anonymous(true));
        let stranger = stranger.map_err(|problem| PyValueError::new_err(problem.to_string()))?;
        let (network, storage) = self.connected(py)?;
        let found = network.block_on(py, storage.exposure_to(&stranger))?;
        let found = found.map_err(|error| self.error("", error))?;
        Ok((found.is_listable, found.is_readable))
    }
}

impl Bucket {
    pub(crate) fn url(&self) -> &BucketUrl {
        &self.url
    }

    /// Returns a storage with connections of its own.
    pub(crate) fn connect(&self) -> Result<ObjectStorage, ConnectError> {
        ObjectStorage::from_url(&self.url, self.options.clone())
    }

    /// Returns the storage of this process, and its runtime. As in [`Network`], only the holder of the interpreter's lock locks the mutex.
    fn connected(&self, py: Python<'_>) -> PyResult<(Network, ObjectStorage)> {
        let network = Network::of_this_process(py)?;
        let mut own = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        if own.process != std::process::id() {
            let storage = self.connect().map_err(|problem| PyValueError::new_err(problem.to_string()))?;
            let copied = std::mem::replace(&mut *own, OfProcess { process: std::process::id(), storage });
            // Dropping it could wait for threads of the other process.
            std::mem::forget(copied);
        }
        Ok((network, own.storage.clone()))
    }

    /// Returns the path of an existing file.
    fn existing(&self, name: &str) -> PyResult<MediaPath> {
        let invalid = StorageError::not_found("not a valid name of a private file");
        MediaPath::new(name).map_err(|_| self.error(name, invalid))
    }

    /// Returns the URL of a file, for messages.
    fn name(&self, path: &str) -> String {
        if path.is_empty() { self.url.to_string() } else { format!("{}/{path}", self.url) }
    }

    fn error(&self, path: &str, error: StorageError) -> PyErr {
        storage_error(Path::new(&self.name(path)), error)
    }
}

/// Responds to an authorized request after the first bytes of the file have arrived: until then, a failure is a response and no broken
/// download.
async fn deliver(
    storage: &ObjectStorage,
    delivery: &Delivery,
    request: &MediaRequest,
    network: &Network,
) -> Result<http::Response<Content>, StorageError> {
    // The view has authorized the request.
    let permit = Permit::trusted(request.path.clone());
    let mut reopened = 0;
    loop {
        let file = storage.open(&permit).await?;
        let (head, body) = delivery.deliver(request, &permit, file, SystemTime::now()).into_parts();
        match Content::of_bucket(body, network).await {
            Ok(content) => return Ok(http::Response::from_parts(head, content)),
            Err(error)
                if error.kind() == std::io::ErrorKind::StaleNetworkFileHandle && reopened < MAX_REOPENED =>
            {
                reopened += 1;
            }
            Err(source) => return Err(StorageError::Unavailable { doing: "reading the file", source }),
        }
    }
}

/// Returns what was found, or `None` if it is not a file but a folder.
async fn unless_folder<T>(
    storage: &ObjectStorage,
    path: MediaPath,
    found: Result<T, StorageError>,
) -> Result<Option<T>, StorageError> {
    match found {
        Err(missing @ StorageError::NotFound { .. }) => {
            if storage.is_folder(&Permit::trusted(path)).await? {
                Ok(None)
            } else {
                Err(missing)
            }
        }
        found => found.map(Some),
    }
}

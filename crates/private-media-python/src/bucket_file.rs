//! The content of an object, for Python's files.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use private_media::MediaFile;
use private_media::storage::{ByteStream, ReadAt};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::read_error;
use crate::network::Network;
use crate::time::nanoseconds;

/// An open object of a bucket: one version, which each read requires.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct BucketFile {
    network: Network,
    name: String,
    bytes: Arc<dyn ReadAt>,
    /// Size in bytes.
    #[pyo3(get)]
    size: u64,
    /// The opaque part of the entity tag.
    #[pyo3(get)]
    etag: String,
    /// The time of the last change, in nanoseconds since 1970.
    #[pyo3(get)]
    modified_ns: u64,
    /// The stream of a sequential read, and its position.
    stream: Mutex<Option<(u64, ByteStream)>>,
}

impl BucketFile {
    pub(crate) fn new(network: Network, name: String, file: &MediaFile) -> Self {
        let metadata = file.metadata();
        Self {
            network,
            name,
            bytes: Arc::clone(file.bytes()),
            size: metadata.len,
            etag: metadata.etag.clone(),
            modified_ns: nanoseconds(metadata.modified),
            stream: Mutex::new(None),
        }
    }

    fn take_stream(&self) -> Option<(u64, ByteStream)> {
        // The position belongs to the stream, so a panic does not invalidate them.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns the stream of the rest of the file, whose request is sent when it is read.
    fn rest(&self, offset: u64) -> io::Result<ByteStream> {
        let rest = Arc::clone(&self.bytes).read_range(offset, self.size.saturating_sub(offset));
        rest.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    async fn next(&self, offset: u64) -> io::Result<Bytes> {
        let open = self.take_stream().filter(|(position, _)| *position == offset);
        let mut stream = open.map_or_else(|| self.rest(offset), |(_, stream)| Ok(stream))?;
        let piece = stream.try_next().await?.unwrap_or_default();
        let position = offset.saturating_add(piece.len() as u64);
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some((position, stream));
        Ok(piece)
    }
}

#[pymethods]
impl BucketFile {
    /// Returns `length` bytes at an offset, fewer at the end of the file. It is one request.
    fn read_at<'py>(&self, py: Python<'py>, offset: u64, length: usize) -> PyResult<Bound<'py, PyBytes>> {
        let read = self.network.block_on(py, Arc::clone(&self.bytes).read_at(offset, length))?;
        Ok(PyBytes::new(py, &read.map_err(|error| read_error(&self.name, error))?))
    }

    /// Returns the next piece at an offset, or empty bytes at the end. Reads that follow each other are one request for the rest of the file.
    fn read_next<'py>(&self, py: Python<'py>, offset: u64) -> PyResult<Bound<'py, PyBytes>> {
        let read = self.network.block_on(py, self.next(offset))?;
        Ok(PyBytes::new(py, &read.map_err(|error| read_error(&self.name, error))?))
    }

    /// Ends the request of a sequential read.
    fn close(&self) {
        let stream = self.take_stream();
        if self.network.handle().is_err() {
            // After a fork, the connection belongs to the other process.
            std::mem::forget(stream);
        }
    }
}

impl Drop for BucketFile {
    fn drop(&mut self) {
        self.close();
    }
}

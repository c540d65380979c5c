//! Responses, and the delivery of files.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http_body::Body as _;
use private_media::delivery::{ContentType, SendfileEncoding, common_headers};
use private_media::permission::Read;
use private_media::raw::FileRanges as _;
use private_media::{
    ApacheXSendfile, Direct, MediaBody, MediaFile, MediaRequest, NginxXAccelRedirect, Permit,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::blocking::{block_on, poll_once};
use crate::network::Network;

/// Returns the media type for a file name, and whether browsers may show it inline.
#[pyfunction]
pub(crate) fn content_type(file_name: &str) -> (String, bool) {
    let found = ContentType::of(file_name);
    (found.as_str().to_owned(), found.is_inline())
}

/// Sends files from this process or through a front server.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Delivery(Arc<dyn private_media::Delivery>);

#[pymethods]
impl Delivery {
    /// Sends files from this process.
    #[staticmethod]
    fn direct() -> Self {
        Self(Arc::new(Direct))
    }

    /// Hands files off to nginx, by URLs below `internal_url`.
    #[staticmethod]
    fn nginx(internal_url: &str) -> Self {
        Self(Arc::new(NginxXAccelRedirect::new(internal_url)))
    }

    /// Hands files off to nginx, by full paths.
    #[staticmethod]
    fn nginx_full_path(root: &str) -> PyResult<Self> {
        Ok(Self(Arc::new(NginxXAccelRedirect::full_path(root)?)))
    }

    /// Hands files off to Apache with `mod_xsendfile`, or to lighttpd. The encoding is auto, plain or encoded.
    #[staticmethod]
    #[pyo3(signature = (root, encoding="auto"))]
    fn apache(root: &str, encoding: &str) -> PyResult<Self> {
        let encoding = parse_encoding(encoding)?;
        Ok(Self(Arc::new(ApacheXSendfile::new(root)?.encoding(encoding))))
    }
}

pub(crate) fn parse_encoding(encoding: &str) -> PyResult<SendfileEncoding> {
    match encoding {
        "auto" => Ok(SendfileEncoding::Auto),
        "plain" => Ok(SendfileEncoding::Plain),
        "encoded" => Ok(SendfileEncoding::Encoded),
        other => Err(PyValueError::new_err(format!(
            "unknown encoding {other:?}; use auto, plain (mod_xsendfile 0.12) or encoded (mod_xsendfile 1.0, lighttpd)"
        ))),
    }
}

impl Delivery {
    pub(crate) fn shared(&self) -> Arc<dyn private_media::Delivery> {
        Arc::clone(&self.0)
    }

    pub(crate) fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> http::Response<MediaBody> {
        self.0.deliver(request, permit, file, now).into()
    }
}

/// The content of a response: bytes if it is small, otherwise a stream.
pub(crate) enum Content {
    Bytes(Vec<u8>),
    Body(Body),
}

impl Content {
    /// The maximum length of content that is not a stream, in bytes: one chunk.
    const MAX_BYTES: u64 = 32 << 10;

    pub(crate) async fn of(mut body: MediaBody) -> io::Result<Self> {
        if body.remaining() > Self::MAX_BYTES {
            return Ok(Self::Body(Body::new(Bytes::new(), body, None)));
        }
        let mut bytes = Vec::new();
        loop {
            let next = next(&mut body).await?;
            match (next.is_empty(), bytes.is_empty()) {
                (true, _) => return Ok(Self::Bytes(bytes)),
                // The common case: one chunk, no copy.
                (false, true) => bytes = next.into(),
                (false, false) => bytes.extend_from_slice(&next),
            }
        }
    }

    /// Reads the first chunk of a file in a bucket ahead, so that its failure shows before the response begins.
    pub(crate) async fn of_bucket(mut body: MediaBody, network: &Network) -> io::Result<Self> {
        if body.remaining() <= Self::MAX_BYTES {
            return Self::of(body).await;
        }
        let first = next(&mut body).await?;
        Ok(Self::Body(Body::new(first, body, Some(network.clone()))))
    }

    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::Bytes(bytes) => PyBytes::new(py, &bytes).into_any().unbind(),
            Self::Body(body) => Py::new(py, body)?.into_any(),
        })
    }
}

/// A response. Its content is bytes or a `Body`.
#[pyclass(frozen, get_all, module = "private_media._core")]
pub(crate) struct Response {
    status: u16,
    headers: Py<PyDict>,
    content: Py<PyAny>,
}

impl Response {
    pub(crate) fn new(py: Python<'_>, response: http::Response<Content>) -> PyResult<Self> {
        let (head, content) = response.into_parts();
        let headers = dict_of(py, common_headers().iter().chain(&head.headers))?;
        Ok(Self {
            status: head.status.as_u16(),
            headers: headers.unbind(),
            content: content.into_python(py)?,
        })
    }
}

/// Converts headers to a dict.
pub(crate) fn dict_of<'py, 'h>(
    py: Python<'py>,
    fields: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
) -> PyResult<Bound<'py, PyDict>> {
    let headers = PyDict::new(py);
    for (name, value) in fields {
        headers.set_item(PyString::intern(py, &title(name.as_str())), latin1(value))?;
    }
    Ok(headers)
}

/// Capitalizes a header name like Django.
fn title(name: &str) -> String {
    let mut is_first = true;
    let cased = |c: char| {
        let cased = if is_first { c.to_ascii_uppercase() } else { c };
        is_first = c == '-';
        cased
    };
    if name == "etag" { "ETag".to_owned() } else { name.chars().map(cased).collect() }
}

/// Decodes a header value as Latin-1, like WSGI and Django.
fn latin1(value: &HeaderValue) -> String {
    value.to_str().map_or_else(|_| value.as_bytes().iter().copied().map(char::from).collect(), str::to_owned)
}

fn poll(body: &mut MediaBody, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    Pin::new(body).poll_frame(context).map(|frame| match frame {
        None => Ok(Bytes::new()),
        // Responses have no trailers.
        Some(frame) => frame.map(|frame| frame.into_data().unwrap_or_default()),
    })
}

/// Returns the next chunk, which is empty at the end.
async fn next(body: &mut MediaBody) -> io::Result<Bytes> {
    std::future::poll_fn(|context| poll(body, context)).await
}

/// A stream of a response's content.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Body {
    rest: Mutex<Rest>,
    /// `None` for a file of the local disk.
    network: Option<Network>,
}

/// The content that was not returned yet.
struct Rest {
    /// Its beginning, if that was read ahead.
    ahead: Bytes,
    body: MediaBody,
}

#[pymethods]
impl Body {
    /// Returns the next chunk, or empty bytes at the end. May wait for the disk or the bucket.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let next = std::future::poll_fn(|context| self.poll(context));
        let next = match &self.network {
            None => block_on(py, next)?,
            Some(network) => network.block_on(py, next)?,
        };
        Ok(PyBytes::new(py, &next?))
    }

    /// Returns the next chunk if it is in memory. Otherwise returns None, and `read()` has to be called.
    fn read_now<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let polled = match &self.network {
            None => poll_once(|context| self.poll(context))?,
            Some(network) => {
                let _entered = network.handle()?.enter();
                self.poll(&mut Context::from_waker(Waker::noop()))
            }
        };
        match polled {
            Poll::Pending => Ok(None),
            Poll::Ready(next) => Ok(Some(PyBytes::new(py, &next?))),
        }
    }

    /// Returns the descriptor of the file if the content begins at its start, for servers that use sendfile(2).
    fn fileno(&self) -> Option<RawFd> {
        let rest = self.lock();
        let (file, offset, _) = rest.body.as_file_range()?;
        if offset == 0 { file.as_file().map(AsRawFd::as_raw_fd) } else { None }
    }

    /// The number of remaining bytes.
    #[getter]
    fn remaining(&self) -> u64 {
        let rest = self.lock();
        rest.body.remaining().saturating_add(rest.ahead.len() as u64)
    }

    /// Closes the file, and discards the remaining content.
    fn close(&self) {
        let rest = Rest { ahead: Bytes::new(), body: MediaBody::empty() };
        let discarded = std::mem::replace(&mut *self.lock(), rest);
        if self.network.as_ref().is_some_and(|network| network.handle().is_err()) {
            // After a fork, the connection belongs to the other process.
            std::mem::forget(discarded);
        }
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let next = self.read(py)?;
        Ok(if next.as_bytes().is_empty() { None } else { Some(next) })
    }
}

impl Body {
    fn new(ahead: Bytes, body: MediaBody, network: Option<Network>) -> Self {
        Self { rest: Mutex::new(Rest { ahead, body }), network }
    }

    // The content is consistent between chunks, so a panic does not invalidate it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut rest = self.lock();
        if rest.ahead.is_empty() {
            return poll(&mut rest.body, context);
        }
        Poll::Ready(Ok(std::mem::take(&mut rest.ahead)))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.network.is_some() {
            self.close();
        }
    }
}

//! Parses paths and requests.

use http::Method;
use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use private_media::{MediaPath, MediaRequest};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::errors::path_error;

/// The request headers that the library uses, with their WSGI names.
static HEADERS: [(HeaderName, &str); 6] = [
    (RANGE, "HTTP_RANGE"),
    (IF_MATCH, "HTTP_IF_MATCH"),
    (IF_NONE_MATCH, "HTTP_IF_NONE_MATCH"),
    (IF_MODIFIED_SINCE, "HTTP_IF_MODIFIED_SINCE"),
    (IF_UNMODIFIED_SINCE, "HTTP_IF_UNMODIFIED_SINCE"),
    (IF_RANGE, "HTTP_IF_RANGE"),
];

pub(crate) fn parse_path(path: &str) -> PyResult<MediaPath> {
    MediaPath::new(path).map_err(|error| path_error(path, error))
}

/// Returns a path if it is valid. Raises `IllegalPath` otherwise.
#[pyfunction]
pub(crate) fn media_path(path: &str) -> PyResult<String> {
    Ok(parse_path(path)?.as_str().to_owned())
}

/// Decodes a URL, relative to `PRIVATE_MEDIA_URL`, to its path. Raises `IllegalPath` if that is invalid.
#[pyfunction]
pub(crate) fn path_of_url(url: &str) -> PyResult<String> {
    let path = MediaPath::from_url(url).map_err(|error| path_error(url, error))?;
    Ok(path.as_str().to_owned())
}

/// Encodes a path as a URL, relative to `PRIVATE_MEDIA_URL`.
#[pyfunction]
pub(crate) fn url_of_path(path: &str) -> PyResult<String> {
    Ok(parse_path(path)?.to_url())
}

/// Returns a valid file name for an upload with this name.
#[pyfunction]
pub(crate) fn safe_name(raw: &str) -> String {
    private_media::request::safe_name(raw)
}

/// Creates a request of the library from Django's `request.META`.
pub(crate) fn parse_request(
    method: &str,
    path: MediaPath,
    meta: &Bound<'_, PyDict>,
    download: bool,
) -> PyResult<MediaRequest> {
    let unsupported = || PyValueError::new_err(format!("method {method} is not supported; use GET or HEAD"));
    let known: Method = method.parse().map_err(|_| unsupported())?;
    let headers = headers(meta, &HEADERS)?;
    let query = text(meta, "QUERY_STRING")?.unwrap_or_default();
    let mut request = MediaRequest::new(&known, path, &query, &headers).map_err(|_| unsupported())?;
    request.download |= download;
    Ok(request)
}

/// Returns the headers of `request.META` with these names and WSGI names.
pub(crate) fn headers(meta: &Bound<'_, PyDict>, names: &[(HeaderName, &str)]) -> PyResult<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, key) in names {
        if let Some(value) = text(meta, key)?.and_then(|value| header_value(&value)) {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

fn text(meta: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<String>> {
    let Some(value) = meta.get_item(key)? else { return Ok(None) };
    let Ok(value) = value.cast::<PyString>() else { return Ok(None) };
    Ok(Some(value.to_string_lossy().into_owned()))
}

/// Encodes a header value, which WSGI decodes as Latin-1.
fn header_value(text: &str) -> Option<HeaderValue> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    HeaderValue::from_bytes(&bytes?).ok()
}

//! What is asked for?

use http::header::{
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::request::Parts;
use http::{Method, Request, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use private_media::{MediaPath, MediaRequest, storage};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::errors::illegal;

/// What a request says beyond its path, by the names that WSGI and Django have for it.
static FIELDS: [(HeaderName, &str); 6] = [
    (RANGE, "HTTP_RANGE"),
    (IF_MATCH, "HTTP_IF_MATCH"),
    (IF_NONE_MATCH, "HTTP_IF_NONE_MATCH"),
    (IF_MODIFIED_SINCE, "HTTP_IF_MODIFIED_SINCE"),
    (IF_UNMODIFIED_SINCE, "HTTP_IF_UNMODIFIED_SINCE"),
    (IF_RANGE, "HTTP_IF_RANGE"),
];

pub(crate) fn parse_path(path: &str) -> PyResult<MediaPath> {
    MediaPath::new(path).map_err(|error| illegal(path, error))
}

/// The canonical name that a path stands for, which is the path itself; raises `IllegalPath` if it is none.
#[pyfunction]
pub(crate) fn media_path(path: &str) -> PyResult<String> {
    Ok(parse_path(path)?.as_str().to_owned())
}

/// The canonical name that a URL stands for, relative to where private media is mounted; raises `IllegalPath` if it is none.
#[pyfunction]
pub(crate) fn path_of_url(url: &str) -> PyResult<String> {
    let path = MediaPath::from_url(url).map_err(|error| illegal(url, error))?;
    Ok(path.as_str().to_owned())
}

/// A path as it stands in a URL, relative to where private media is mounted.
#[pyfunction]
pub(crate) fn url_of_path(path: &str) -> PyResult<String> {
    Ok(parse_path(path)?.to_url())
}

/// A safe file name from whatever a browser sends as one.
#[pyfunction]
pub(crate) fn safe_name(raw: &str) -> String {
    storage::safe_name(raw)
}

/// The request for this path with this `request.META`.
pub(crate) fn parse_request(
    method: &str,
    path: &MediaPath,
    meta: &Bound<'_, PyDict>,
    download: bool,
) -> PyResult<MediaRequest> {
    let head = head(method, path, meta)?;
    let mut request = MediaRequest::parse(&head)
        .map_err(|_| PyValueError::new_err(format!("private files are for GET and HEAD, not {method}")))?;
    request.download |= download;
    Ok(request)
}

fn head(method: &str, path: &MediaPath, meta: &Bound<'_, PyDict>) -> PyResult<Parts> {
    // A server hands on queries that are no URL's. They mean nothing to us but `download`, so they are encoded, not refused.
    const QUERY: &AsciiSet =
        &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`');
    let query = text(meta, "QUERY_STRING")?.unwrap_or_default();
    let uri = format!("/{}?{}", path.to_url(), utf8_percent_encode(&query, QUERY));
    let invalid = |error: http::Error| PyValueError::new_err(error.to_string());
    let uri: Uri = uri.parse().map_err(|error: http::uri::InvalidUri| invalid(error.into()))?;
    let method: Method =
        method.parse().map_err(|error: http::method::InvalidMethod| invalid(error.into()))?;
    let mut request = Request::builder().method(method).uri(uri).body(()).map_err(invalid)?;
    for (name, key) in &FIELDS {
        if let Some(value) = text(meta, key)?.and_then(|value| field(&value)) {
            request.headers_mut().append(name, value);
        }
    }
    Ok(request.into_parts().0)
}

fn text(meta: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<String>> {
    let Some(value) = meta.get_item(key)? else { return Ok(None) };
    let Ok(value) = value.cast::<PyString>() else { return Ok(None) };
    Ok(Some(value.to_string_lossy().into_owned()))
}

/// WSGI has each byte of a field as the character of that number.
fn field(text: &str) -> Option<HeaderValue> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    HeaderValue::from_bytes(&bytes?).ok()
}

//! What is asked for?

use http::Method;
use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use private_media::{MediaPath, MediaRequest};
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
    private_media::request::safe_name(raw)
}

/// The request for this path with this `request.META`.
pub(crate) fn parse_request(
    method: &str,
    path: MediaPath,
    meta: &Bound<'_, PyDict>,
    download: bool,
) -> PyResult<MediaRequest> {
    let refused = || PyValueError::new_err(format!("private files are for GET and HEAD, not {method}"));
    let known: Method = method.parse().map_err(|_| refused())?;
    let mut headers = HeaderMap::new();
    for (name, key) in &FIELDS {
        if let Some(value) = text(meta, key)?.and_then(|value| field(&value)) {
            headers.append(name, value);
        }
    }
    let query = text(meta, "QUERY_STRING")?.unwrap_or_default();
    let mut request = MediaRequest::new(&known, path, &query, &headers).map_err(|_| refused())?;
    request.download |= download;
    Ok(request)
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

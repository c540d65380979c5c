//! Cross-origin requests.

use futures_util::FutureExt as _;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, REFERER};
use http::{Method, Request, StatusCode};
use private_media::cors::{CorsOptions, Origin};
use private_media::raw::RespondRaw as _;
use private_media::{MediaService, MemoryStorage, PrivateMedia};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::delivery::dict_of;
use crate::request::headers;

/// The request headers of CORS, with their WSGI names.
static HEADERS: [(HeaderName, &str); 3] = [
    (ORIGIN, "HTTP_ORIGIN"),
    (REFERER, "HTTP_REFERER"),
    (ACCESS_CONTROL_REQUEST_METHOD, "HTTP_ACCESS_CONTROL_REQUEST_METHOD"),
];

/// The origins whose pages may use the files.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Cors {
    options: CorsOptions,
    /// A service without files: its preflight responses and common headers are those of the view.
    service: MediaService,
}

#[pymethods]
impl Cors {
    #[new]
    #[pyo3(signature = (origins, *, credentials=false))]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned values")]
    fn new(origins: Vec<String>, credentials: bool) -> PyResult<Self> {
        let origins = origins.iter().map(|origin| origin.parse::<Origin>()).collect::<Result<Vec<_>, _>>();
        let origins = origins.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let options = CorsOptions::new(origins).credentials(credentials);
        let media = PrivateMedia::builder(MemoryStorage::new()).cors(options.clone()).build();
        Ok(Self { options, service: media.service() })
    }

    /// Returns the headers that all responses to a request with this `META` have in common.
    fn headers<'py>(&self, py: Python<'py>, meta: &Bound<'_, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        dict_of(py, self.service.common_headers(&headers(meta, &HEADERS)?).fields().iter())
    }

    /// Returns the headers of the response to a preflight request of an allowed origin; None for all other requests.
    fn preflight<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        meta: &Bound<'_, PyDict>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        if method != Method::OPTIONS.as_str() {
            return Ok(None);
        }
        let mut request = Request::new(());
        *request.method_mut() = Method::OPTIONS;
        *request.headers_mut() = headers(meta, &HEADERS)?;
        // Responses without a file are immediate.
        match self.service.respond(&request.into_parts().0).now_or_never() {
            Some((response, _)) if response.status() == StatusCode::NO_CONTENT => {
                dict_of(py, response.headers().iter()).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Cors {
    pub(crate) fn options(&self) -> CorsOptions {
        self.options.clone()
    }
}

//! Checks that pages of an allowed origin may use files through the front server.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::super::client::{RequestError, RequestOptions};
use super::super::report::{Finding, Findings, or_ok};
use super::headers::judge;
use super::probe::Probe;

/// Sends a request and a preflight request of the first allowed origin. Without one, there is nothing to check.
pub(super) async fn an_allowed_origin_may_read(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let Some(cors) = &probe.config.cors else { return Ok(vec![]) };
    let origin = cors.origins.first().and_then(|origin| HeaderValue::try_from(origin.to_string()).ok());
    let Some(origin) = origin else { return Ok(vec![]) };
    let url = probe.url(&probe.canaries.photo);
    let fields = vec![(ORIGIN, origin.clone())];
    let options =
        RequestOptions { cookie: probe.cookie(), fields: fields.clone(), ..RequestOptions::default() };
    let response = probe.front.send(&url, &options).await?;
    let mut expected = HeaderMap::new();
    expected.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    expected.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if cors.credentials {
        expected.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    let shown = origin.to_str().unwrap_or_default();
    let mut problems = judge(probe, &response, &expected, &format!("a picture for {shown}"));
    let preflight = RequestOptions {
        method: Method::OPTIONS,
        fields: [fields, vec![(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"))]].concat(),
        ..RequestOptions::default()
    };
    let response = probe.front.send(&url, &preflight).await?;
    if response.status != StatusCode::NO_CONTENT || !is_allowed(&response.headers, &origin) {
        problems.push(Finding::problem(
            format!("a preflight request of {shown} gets {}, expected 204 of the gateway", response.status),
            format!("let the front server pass OPTIONS and Origin below {} on unchanged", probe.config.url),
        ));
    }
    Ok(or_ok(problems, format!("pages of {shown} may use files")))
}

fn is_allowed(headers: &HeaderMap, origin: &HeaderValue) -> bool {
    let name: HeaderName = ACCESS_CONTROL_ALLOW_ORIGIN;
    headers.get_all(name).iter().eq([origin])
}

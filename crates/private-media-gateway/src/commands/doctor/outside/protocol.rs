//! Checks ranges, conditional requests and HEAD, as players and browsers use them.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE};
use http::{Method, StatusCode};

use super::super::client::{RequestError, RequestOptions, Response};
use super::super::report::{Finding, Findings, or_ok};
use super::front::Front;
use super::probe::Probe;

/// Requests a range, a 304 and the headers of the picture.
pub(super) async fn ranges_and_conditions(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let canary = &probe.canaries.photo;
    let url = probe.url(canary);
    let whole = probe.get_as_user(&url).await?;
    if whole.status != StatusCode::OK || whole.body != canary.content {
        return Ok(vec![Finding::note("the file did not arrive, so ranges were not checked")]);
    }
    let with = async |name: HeaderName, value: HeaderValue| {
        let options = RequestOptions {
            cookie: probe.cookie(),
            fields: vec![(name, value)],
            ..RequestOptions::default()
        };
        probe.front.send(&url, &options).await
    };
    let mut problems = Findings::new();
    let part = with(RANGE, HeaderValue::from_static("bytes=0-3")).await?;
    if !is_part(&part, &canary.content) {
        problems.push(Finding::problem(
            format!(
                "Range: bytes=0-3 gets {} with {} bytes, expected 206 with 4",
                part.status,
                part.body.len()
            ),
            match probe.kind {
                Front::Nginx => "no proxy_force_ranges, slice, gzip or filter there; max_ranges not 0",
                Front::Apache => "MaxRanges not none, and no filter (SetOutputFilter, Substitute) there",
                Front::Lighttpd => "server.range-requests = \"enable\"",
                Front::Caddy | Front::Other => "let Range pass to the gateway, and its 206 back",
            },
        ));
    }
    let Some(etag) = whole.headers.get(ETAG) else {
        problems.push(Finding::problem(
            "the file has no ETag, so browsers download it each time",
            match probe.kind {
                Front::Nginx => "etag on; and no gzip or filter there",
                Front::Apache => "no FileETag None and no Header unset ETag there",
                Front::Lighttpd | Front::Caddy | Front::Other => "let ETag pass unchanged",
            },
        ));
        return Ok(problems);
    };
    let same = with(IF_NONE_MATCH, etag.clone()).await?;
    if same.status != StatusCode::NOT_MODIFIED || !same.body.is_empty() {
        problems.push(Finding::problem(
            format!("If-None-Match with the ETag of the file gets {}, expected 304", same.status),
            "let If-None-Match and ETag pass unchanged",
        ));
    }
    let options =
        RequestOptions { method: Method::HEAD, cookie: probe.cookie(), ..RequestOptions::default() };
    let head = probe.front.send(&url, &options).await?;
    let len = whole.body.len().to_string();
    if head.status != StatusCode::OK || !head.body.is_empty() || head.text(&CONTENT_LENGTH) != len {
        problems.push(Finding::problem(
            format!(
                "HEAD gets {} with length {:?}, but GET 200 with {len}",
                head.status,
                head.text(&CONTENT_LENGTH)
            ),
            "let HEAD pass to the gateway unchanged (nginx: no proxy_method)",
        ));
    }
    Ok(or_ok(problems, "ranges, conditional requests and HEAD get correct responses"))
}

fn is_part(response: &Response, content: &[u8]) -> bool {
    let expected = format!("bytes 0-3/{}", content.len());
    response.status == StatusCode::PARTIAL_CONTENT
        && Some(&*response.body) == content.get(..4)
        && response.text(&CONTENT_RANGE) == expected
}

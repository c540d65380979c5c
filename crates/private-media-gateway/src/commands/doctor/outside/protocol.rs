//! Ranges, conditions and HEAD, as a player and a browser use them.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE};
use http::{Method, StatusCode};

use super::super::client::{Answer, Ask, Unanswered};
use super::super::report::{Finding, Findings, unless_ok};
use super::{Front, Probe};

/// A part, a 304 and a head of the picture.
pub(super) async fn ranges_and_conditions(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let canary = &probe.canaries.photo;
    let url = probe.url(canary);
    let whole = probe.as_reader(&url).await?;
    if whole.status != StatusCode::OK || whole.body != canary.content {
        return Ok(vec![Finding::note("the file did not arrive, so parts of it were not asked for")]);
    }
    let with = async |name: HeaderName, value: HeaderValue| {
        let ask = Ask { cookie: probe.cookie(), fields: vec![(name, value)], ..Ask::default() };
        probe.front.send(&url, &ask).await
    };
    let mut problems = Findings::new();
    let part = with(RANGE, HeaderValue::from_static("bytes=0-3")).await?;
    if !is_part(&part, &canary.content) {
        problems.push(Finding::problem(
            format!(
                "Range: bytes=0-3 is answered {} with {} bytes, and not 206 with 4",
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
            "the file has no ETag, so a browser fetches it anew each time",
            match probe.kind {
                Front::Nginx => "etag on; and no gzip or filter there",
                Front::Apache => "no FileETag None and no Header unset ETag there",
                Front::Lighttpd | Front::Caddy | Front::Other => "let ETag pass as the gateway sends it",
            },
        ));
        return Ok(problems);
    };
    let same = with(IF_NONE_MATCH, etag.clone()).await?;
    if same.status != StatusCode::NOT_MODIFIED || !same.body.is_empty() {
        problems.push(Finding::problem(
            format!("If-None-Match with the ETag that was sent is answered {}, and not 304", same.status),
            "let If-None-Match and ETag pass as they are sent",
        ));
    }
    let ask = Ask { method: Method::HEAD, cookie: probe.cookie(), ..Ask::default() };
    let head = probe.front.send(&url, &ask).await?;
    let len = whole.body.len().to_string();
    if head.status != StatusCode::OK || !head.body.is_empty() || head.text(&CONTENT_LENGTH) != len {
        problems.push(Finding::problem(
            format!(
                "HEAD is answered {} with the length {:?}, and GET 200 with {len}",
                head.status,
                head.text(&CONTENT_LENGTH)
            ),
            "let HEAD pass to the gateway as it is (in nginx no proxy_method there)",
        ));
    }
    Ok(unless_ok(problems, "ranges, conditions and HEAD are answered as they have to be"))
}

fn is_part(answer: &Answer, content: &[u8]) -> bool {
    let expected = format!("bytes 0-3/{}", content.len());
    answer.status == StatusCode::PARTIAL_CONTENT
        && Some(&*answer.body) == content.get(..4)
        && answer.text(&CONTENT_RANGE) == expected
}

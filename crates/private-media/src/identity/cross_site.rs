//! Detects cross-site requests (CSRF).

use http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;

/// Returns whether a browser sent this request on behalf of another site (CSRF). Check this before a request with a cookie changes
/// anything.
///
/// `Sec-Fetch-Site` (Fetch Metadata) decides. Browsers send it only to secure origins. Without it, `Origin` must equal `Host`. A request
/// with neither header is not from a browser, so it has no cookie of a browser.
///
/// ```
/// use private_media::identity::is_cross_site;
///
/// let request = |name, value| http::Request::post("/").header("host", "example.com").header(name, value).body(()).unwrap();
/// assert!(is_cross_site(&request("sec-fetch-site", "cross-site").into_parts().0));
/// assert!(is_cross_site(&request("origin", "https://example.org").into_parts().0));
/// assert!(!is_cross_site(&request("origin", "https://example.com").into_parts().0));
/// ```
#[must_use]
pub fn is_cross_site(head: &Parts) -> bool {
    let header = |name: &HeaderName| head.headers.get(name).map(HeaderValue::as_bytes);
    if let Some(site) = header(&HeaderName::from_static("sec-fetch-site")) {
        return site != b"same-origin" && site != b"none";
    }
    let Some(origin) = header(&ORIGIN) else { return false };
    let host = head.uri.authority().map(|authority| authority.as_str().as_bytes()).or(header(&HOST));
    let of_origin = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    of_origin.is_none() || host.is_none() || of_origin != host
}

//! Requests of HTTP/2 in the form of HTTP/1.1, so that services need not know the difference.

use std::error::Error;
use std::fmt;

use http::header::{COOKIE, Entry, HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Method, uri};

use crate::head::parse::MAX_FIELDS;

/// A request that is malformed (RFC 9113 section 8.1.1). Its stream is reset.
#[derive(Debug)]
pub(super) struct Malformed(h2::Error);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed request")
    }
}

impl Error for Malformed {
    /// hyper resets the stream with the reason of this error.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl Malformed {
    fn new() -> Self {
        Self(h2::Reason::PROTOCOL_ERROR.into())
    }
}

/// Gives a request the form that it has in HTTP/1.1: a path as target, one `Host` and one `Cookie`.
pub(super) fn normalize(head: &mut Parts) -> Result<(), Malformed> {
    if head.headers.len() > MAX_FIELDS || !head.headers.values().all(is_trimmed) {
        return Err(Malformed::new());
    }
    set_host(&head.uri, &mut head.headers)?;
    join_cookies(&mut head.headers)?;
    if head.method != Method::CONNECT {
        head.uri = target(&head.uri).ok_or_else(Malformed::new)?;
    }
    Ok(())
}

/// Returns whether a value has no white space at its ends (RFC 9113 section 8.2.1).
fn is_trimmed(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().len() == value.len()
}

/// Sets `Host` to the authority. If the request has both, they have to agree (RFC 9113 section 8.3.1).
fn set_host(uri: &Uri, headers: &mut HeaderMap) -> Result<(), Malformed> {
    let Some(authority) = uri.authority().map(uri::Authority::as_str) else {
        return if headers.get_all(HOST).iter().count() == 1 { Ok(()) } else { Err(Malformed::new()) };
    };
    if authority.contains('@') {
        return Err(Malformed::new());
    }
    let value = HeaderValue::from_str(authority).map_err(|_| Malformed::new())?;
    if !headers.get_all(HOST).iter().all(|own| own.as_bytes().eq_ignore_ascii_case(value.as_bytes())) {
        return Err(Malformed::new());
    }
    headers.insert(HOST, value);
    Ok(())
}

/// Joins the lines of `Cookie`, which clients may split (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Malformed> {
    let Entry::Occupied(mut cookies) = headers.entry(COOKIE) else { return Ok(()) };
    if cookies.iter().nth(1).is_none() {
        return Ok(());
    }
    let lines: Vec<_> = cookies.iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&lines.join(&b"; "[..])).map_err(|_| Malformed::new())?;
    cookies.insert(joined);
    Ok(())
}

/// Returns the path and query.
fn target(uri: &Uri) -> Option<Uri> {
    let path: &PathAndQuery = uri.path_and_query()?;
    Uri::builder().path_and_query(path.clone()).build().ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn requests_look_like_those_of_http_1() {
        let long = ["x"; MAX_FIELDS + 1].map(|name| (name, "y"));
        for (method, uri, headers, expected) in [
            ("GET", "https://a.example/b?c", &[][..], Some(("/b?c", "a.example", ""))),
            ("GET", "https://a.example/b", &[("host", "A.example")], Some(("/b", "a.example", ""))),
            ("GET", "/b", &[("host", "a.example:8443")], Some(("/b", "a.example:8443", ""))),
            ("OPTIONS", "*", &[("host", "a.example")], Some(("*", "a.example", ""))),
            ("CONNECT", "a.example:443", &[], Some(("a.example:443", "a.example:443", ""))),
            ("GET", "https://a.example/", &[("cookie", "a=b")], Some(("/", "a.example", "a=b"))),
            (
                "GET",
                "https://a.example/",
                &[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e=f")],
                Some(("/", "a.example", "a=b; c=d; e=f")),
            ),
            ("GET", "https://a.example/b", &[("host", "b.example")], None),
            ("GET", "https://a.example/b", &[("host", "a.example"), ("host", "b.example")], None),
            ("GET", "https://user@a.example/b", &[], None),
            ("GET", "/b", &[], None),
            ("GET", "/b", &[("host", "a"), ("host", "a")], None),
            ("GET", "https://a.example/b", &[("x", " y")], None),
            ("GET", "https://a.example/b", &[("x", "y\t")], None),
            ("GET", "https://a.example/b", &long, None),
        ] {
            let mut request = Request::builder().method(method).uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (mut head, ()) = request.body(()).unwrap().into_parts();
            let result = normalize(&mut head).ok().map(|()| {
                let line =
                    |name| head.headers.get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap());
                assert!(head.headers.get_all(COOKIE).iter().count() <= 1);
                (head.uri.to_string(), line(HOST).to_owned(), line(COOKIE).to_owned())
            });
            let result = result.as_ref().map(|(uri, host, cookie)| (&**uri, &**host, &**cookie));
            assert_eq!(result, expected, "{method} {uri} {headers:?}");
        }
    }
}

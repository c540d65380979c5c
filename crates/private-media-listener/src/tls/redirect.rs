//! Sends clients of plain HTTP to HTTPS.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION};
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;

use super::Tls;
use crate::handler::{Handler, RawResponse};
use crate::peer::PeerState;
use crate::request_body::RequestBody;

/// Responds to each request with a redirect (308) to the same URL with `https`, which keeps the method, path and query.
///
/// The certificate says for which hosts this server speaks. A request for any other `Host` gets 421, so no redirect leads to another site.
///
/// ```
/// use private_media_listener::{Certificate, HttpsRedirect, Limits, Server, Tls};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
/// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let tls = Tls::new(Certificate::from_pem(chain.as_bytes(), key.as_bytes())?)?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// // The port of the server with TLS.
/// let redirect = HttpsRedirect::new(tls, 443);
/// let server = Server::new(listener, Limits::default());
/// tokio::spawn(server.serve_handler(redirect, std::future::pending(), std::future::pending()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpsRedirect {
    tls: Tls,
    port: u16,
}

impl HttpsRedirect {
    /// Returns a handler that redirects to the hosts of this certificate, at this port.
    #[must_use]
    pub fn new(tls: Tls, port: u16) -> Self {
        Self { tls, port }
    }

    fn response(&self, uri: &Uri, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let location = self.location(uri, headers).and_then(|url| HeaderValue::try_from(url).ok());
        let (status, text) = match location {
            Some(_) => (StatusCode::PERMANENT_REDIRECT, "use https\n"),
            None => {
                (StatusCode::MISDIRECTED_REQUEST, "the certificate of this server is not for this host\n")
            }
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.extend(location.map(|location| (LOCATION, location)));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        // A cache that ignores `Host` would send other clients to the wrong host.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Returns the same URL with `https`; `None` if the certificate is not for its host.
    fn location(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = match uri.authority() {
            Some(authority) => authority.clone(),
            None => host?.parse().ok()?,
        };
        let host = authority.host();
        if authority.as_str().contains('@') || !self.tls.certificate().is_for(host) {
            return None;
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        // `*`, as in `OPTIONS *`, is no path.
        let path = if path.starts_with('/') { path } else { "/" };
        Some(match self.port {
            443 => format!("https://{host}{path}"),
            port => format!("https://{host}:{port}{path}"),
        })
    }
}

impl Handler for HttpsRedirect {
    type Body = Full<Bytes>;
    type Headers = HeaderMap;

    async fn respond_to_head(&self, head: &mut Parts, _: &PeerState) -> RawResponse<Full<Bytes>> {
        self.response(&head.uri, &head.headers).into()
    }

    async fn respond(&self, request: Request<RequestBody>, _: &PeerState) -> Response<Full<Bytes>> {
        self.response(request.uri(), request.headers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Certificate;

    #[test]
    fn only_hosts_of_the_certificate_are_redirected_to() {
        let names = ["media.example", "*.media.example", "127.0.0.1", "::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = made.signing_key.serialize_pem();
        let certificate = Certificate::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
        let tls = Tls::new(certificate).unwrap();
        for (port, target, host, expected) in [
            (443, "/a/b?c=d%2e", Some("media.example"), Some("https://media.example/a/b?c=d%2e")),
            (443, "/", Some("MEDIA.example:80"), Some("https://MEDIA.example/")),
            (443, "//evil.example/", Some("media.example"), Some("https://media.example//evil.example/")),
            (8443, "/a", Some("x.media.example:8080"), Some("https://x.media.example:8443/a")),
            (443, "/a", Some("127.0.0.1:8080"), Some("https://127.0.0.1/a")),
            (443, "/a", Some("[::1]:8080"), Some("https://[::1]/a")),
            (443, "http://media.example/a", Some("evil.example"), Some("https://media.example/a")),
            (443, "*", Some("media.example"), Some("https://media.example/")),
            (443, "/a", Some("evil.example"), None),
            (443, "http://evil.example/a", Some("media.example"), None),
            (443, "/a", Some("media.example@evil.example"), None),
            (443, "/a", Some("evil.example@media.example"), None),
            (443, "/a", Some("media.example/evil"), None),
            (443, "/a", Some("media.example."), Some("https://media.example./a")),
            (443, "/a", Some(""), None),
            (443, "/a", None, None),
        ] {
            let redirect = HttpsRedirect::new(tls.clone(), port);
            let headers: HeaderMap = host.map(|host| (HOST, host.parse().unwrap())).into_iter().collect();
            let response = redirect.response(&target.parse().unwrap(), &headers);
            let location = response.headers().get(LOCATION).map(|location| location.to_str().unwrap());
            assert_eq!(location, expected, "{target} {host:?}");
            assert_eq!(response.status(), if expected.is_some() { 308 } else { 421 });
        }
    }
}

//! The address of a server: of the public URL, or of the gateway itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use http::Uri;

use crate::addresses::Endpoint;

/// A scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) is_https: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of the `Host` header.
    pub(super) authority: String,
    /// The Unix socket to connect to, instead of host and port.
    pub(super) socket: Option<PathBuf>,
    /// The file of the only certificate that is trusted, instead of authorities: that of a gateway, which has another name.
    pub(super) pinned: Option<PathBuf>,
}

impl Target {
    /// Parses a public URL, whose path may be `private_url`. The error says what to write.
    pub(super) fn parse(text: &str, private_url: &str) -> Result<Self, String> {
        const WRITE: &str = "write scheme and host, e.g. https://www.example.org";
        let invalid = || format!("not a public URL; {WRITE}");
        if text.contains(['#', '?', '@']) {
            return Err(format!("a query, a fragment or a user is not allowed; {WRITE}"));
        }
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid()),
        };
        let authority = uri.authority().ok_or_else(invalid)?;
        let path = uri.path();
        if !matches!(path, "" | "/") && format!("{}/", path.trim_end_matches('/')) != private_url {
            return Err(format!(
                "path {path} is not the private URL {private_url}; omit the path, or set --private-url"
            ));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.as_str().strip_prefix(authority.host()) {
            None | Some("") => Some(if is_https { 443 } else { 80 }),
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()),
        };
        let port = port.ok_or_else(invalid)?;
        if host.is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            is_https,
            host,
            port,
            authority: authority.as_str().to_owned(),
            socket: None,
            pinned: None,
        })
    }

    /// Returns the address by which this machine reaches a listener, which may have a certificate; `None` if its port is not known.
    pub(super) fn of_listener(endpoint: Endpoint, pinned: Option<PathBuf>) -> Option<Self> {
        let is_https = matches!(endpoint, Endpoint::Https(_));
        let mut address = match endpoint {
            Endpoint::Tcp(address) | Endpoint::Https(address) if address.port() == 0 => return None,
            Endpoint::Tcp(address) | Endpoint::Https(address) => address,
            Endpoint::Unix(path) => {
                let (host, authority) = ("localhost".to_owned(), "localhost".to_owned());
                return Some(Self { is_https, host, port: 80, authority, socket: Some(path), pinned });
            }
        };
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let (host, port) = (address.ip().to_string(), address.port());
        Some(Self { is_https, host, port, authority: address.to_string(), socket: None, pinned })
    }

    /// Returns the full URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        if let Some(socket) = &self.socket {
            return format!("{path} at unix:{}", socket.display());
        }
        format!("{}://{}{path}", if self.is_https { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_are_parsed() {
        for (text, expected) in [
            ("http://example.org", Some(("example.org", 80, false))),
            ("https://example.org/", Some(("example.org", 443, true))),
            ("https://example.org:8443/private/", Some(("example.org", 8443, true))),
            ("http://example.org/private", Some(("example.org", 80, false))),
            ("http://[::1]:8000", Some(("::1", 8000, false))),
            ("example.org", None),
            ("ftp://example.org", None),
            ("http://", None),
            ("http:///private/", None),
            ("http://example.org:99999", None),
            ("http://example.org/other/", None),
            ("http://example.org/private/x", None),
            ("http://example.org/?x", None),
            ("http://user@example.org/", None),
            ("/private/", None),
            ("", None),
        ] {
            let target = Target::parse(text, "/private/").ok();
            let found = target.as_ref().map(|target| (&*target.host, target.port, target.is_https));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn listeners_are_reached_on_this_machine() {
        for (address, url) in [
            ("127.0.0.1:8000", Some("http://127.0.0.1:8000/x")),
            ("0.0.0.0:8000", Some("http://127.0.0.1:8000/x")),
            ("[::]:8000", Some("http://[::1]:8000/x")),
            ("127.0.0.1:0", None),
        ] {
            let target = Target::of_listener(Endpoint::Tcp(address.parse().unwrap()), None);
            assert_eq!(target.map(|target| target.url("/x")).as_deref(), url);
        }
        let target = Target::of_listener(Endpoint::Https(([0, 0, 0, 0], 8443).into()), None).unwrap();
        assert_eq!(target.url("/x"), "https://127.0.0.1:8443/x");
        let target = Target::of_listener(Endpoint::Unix("/run/x.sock".into()), None).unwrap();
        assert_eq!(target.url("/x"), "/x at unix:/run/x.sock");
    }
}

//! The server of a bucket.

use std::net::IpAddr;

use super::config::FrontField;
use super::error::FrontError;

/// The server of presigned URLs. Its parts can be written into a configuration without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Store {
    is_https: bool,
    /// A name, or an IP address in the form of a URL.
    host: String,
    port: Option<u16>,
}

impl Store {
    /// Parses an origin, for example `https://s3.example.org:9000`.
    pub(super) fn parse(origin: &str) -> Result<Self, FrontError> {
        let invalid = || {
            let fix = "expected e.g. https://s3.example.org";
            FrontError::new(FrontField::Store, format!("invalid origin {origin:?}"), fix)
        };
        let (scheme, authority) = origin.split_once("://").ok_or_else(invalid)?;
        let is_https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(invalid()),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| invalid())?)),
            _ => (authority, None),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if host.is_empty() || !host.chars().all(is_plain) {
            return Err(invalid());
        }
        if is_https && host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            let problem = "nginx cannot verify the certificate of an IP address";
            return Err(FrontError::new(FrontField::Store, problem, "use the name of the host"));
        }
        Ok(Self { is_https, host: host.to_owned(), port })
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the `Host` header of the presigned URLs.
    pub(super) fn authority(&self) -> String {
        let port = self.port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{}{port}", self.host)
    }

    /// Returns host and port to connect to.
    pub(super) fn address(&self) -> String {
        let port = self.port.unwrap_or(if self.is_https { 443 } else { 80 });
        format!("{}:{port}", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_parsed() {
        for (origin, expected) in [
            ("https://s3.example.org", Some(("s3.example.org", "s3.example.org:443"))),
            ("https://s3.example.org:9000", Some(("s3.example.org:9000", "s3.example.org:9000"))),
            ("http://127.0.0.1:9000", Some(("127.0.0.1:9000", "127.0.0.1:9000"))),
            ("http://[::1]", Some(("[::1]", "[::1]:80"))),
            ("http://[::1]:9000", Some(("[::1]:9000", "[::1]:9000"))),
            ("https://127.0.0.1:9000", None),
            ("https://[::1]", None),
            ("https://a;b", None),
            ("https://a/b", None),
            ("https://a$b", None),
            ("https://a b", None),
            ("https://", None),
            ("https://a:x", None),
            ("ftp://a", None),
            ("a", None),
        ] {
            let store = Store::parse(origin).ok().map(|store| (store.authority(), store.address()));
            let expected = expected.map(|(host, address)| (host.to_owned(), address.to_owned()));
            assert_eq!(store, expected, "{origin}");
        }
    }
}

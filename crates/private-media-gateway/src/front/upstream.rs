//! The upstream of the private URL, as each front server writes it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::config::FrontField;
use super::error::FrontError;
use crate::addresses::Endpoint;

/// The upstream of the private URL, as seen from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Upstream {
    Tcp(SocketAddr),
    /// The path of a Unix socket. No server has to quote it.
    Unix(String),
}

impl Upstream {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, FrontError> {
        match endpoint {
            Endpoint::Tcp(address) => local(FrontField::Gateway, *address).map(Self::Tcp),
            Endpoint::Https(_) => {
                let problem = "the gateway serves https to clients, so it needs no front server";
                let fix = "remove listen.tls, and let the front server serve https";
                Err(FrontError::new(FrontField::Gateway, problem, fix))
            }
            Endpoint::Unix(path) => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
                let path = path.to_str().filter(|path| path.starts_with('/') && path.chars().all(is_plain));
                path.map(|path| Self::Unix(path.to_owned())).ok_or_else(|| {
                    let problem = "the path of this socket would have to be quoted";
                    let fix = "use an absolute path of letters, digits, `.`, `_` and `-`";
                    FrontError::new(FrontField::Gateway, problem, fix)
                })
            }
        }
    }

    /// Returns the part of names in the configuration that distinguishes this upstream.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Tcp(address) => address.port().to_string(),
            Self::Unix(path) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
            }
        }
    }

    /// Returns the parameter of `server` in an `upstream` block of nginx.
    pub(super) fn nginx(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{path}"),
        }
    }

    /// Returns the second parameter of Apache's `ProxyPass`.
    pub(super) fn apache(&self, url: &str) -> String {
        match self {
            Self::Tcp(address) => format!("http://{address}{url}"),
            Self::Unix(path) => format!("unix:{path}|http://localhost{url}"),
        }
    }

    /// Returns the parameter of Caddy's `reverse_proxy`.
    pub(super) fn caddy(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix/{path}"),
        }
    }

    /// Returns the keys of lighttpd's `proxy.server`.
    pub(super) fn lighttpd(&self) -> String {
        match self {
            Self::Tcp(address) => {
                format!("\"host\" => \"{}\",\n        \"port\" => {}", address.ip(), address.port())
            }
            Self::Unix(path) => format!("\"host\" => \"{path}\""),
        }
    }
}

/// Returns the address at which a local client reaches a listener.
pub(super) fn local(field: FrontField, mut address: SocketAddr) -> Result<SocketAddr, FrontError> {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    if address.port() > 0 {
        Ok(address)
    } else {
        let fix = "set a fixed port, e.g. 127.0.0.1:8000";
        Err(FrontError::new(field, "the front server cannot know port 0", fix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_its_own_form() {
        for (endpoint, expected) in [
            (
                Endpoint::Tcp(([0, 0, 0, 0], 8000).into()),
                Some(["8000", "127.0.0.1:8000", "http://127.0.0.1:8000/private/", "127.0.0.1:8000"]),
            ),
            (
                Endpoint::Unix("/run/private-media/a.sock".into()),
                Some([
                    "a_sock",
                    "unix:/run/private-media/a.sock",
                    "unix:/run/private-media/a.sock|http://localhost/private/",
                    "unix//run/private-media/a.sock",
                ]),
            ),
            (Endpoint::Tcp(([127, 0, 0, 1], 0).into()), None),
            (Endpoint::Https(([127, 0, 0, 1], 8443).into()), None),
            (Endpoint::Unix("run/a.sock".into()), None),
            (Endpoint::Unix("/run/a b.sock".into()), None),
            (Endpoint::Unix("/run/a|b".into()), None),
            (Endpoint::Unix("/run/a;b".into()), None),
        ] {
            let upstream = Upstream::new(&endpoint).ok();
            let forms = upstream.map(|own| [own.label(), own.nginx(), own.apache("/private/"), own.caddy()]);
            assert_eq!(forms, expected.map(|expected| expected.map(str::to_owned)), "{endpoint}");
        }
    }
}

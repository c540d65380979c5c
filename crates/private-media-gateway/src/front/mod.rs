//! `private-media config nginx|apache|lighttpd|caddy`: what a front server needs, from the configuration in force.

mod apache;
mod caddy;
mod lighttpd;
mod nginx;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{Config, ConfigError};

/// A front server, by the name that `config` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Apache,
    Lighttpd,
    Caddy,
}

pub(crate) const KINDS: [(&str, Kind); 4] =
    [("nginx", Kind::Nginx), ("apache", Kind::Apache), ("lighttpd", Kind::Lighttpd), ("caddy", Kind::Caddy)];

/// One whole server block, to be included as it is.
pub(crate) fn block(config: &Config, kind: Kind, front: &str) -> Result<String, ConfigError> {
    let site = Site::new(config, front)?;
    match kind {
        Kind::Nginx => nginx::block(config, &site),
        Kind::Apache => apache::block(config, &site),
        Kind::Lighttpd => lighttpd::block(config, &site),
        Kind::Caddy => caddy::block(config, &site),
    }
}

/// What every front server has to know.
struct Site {
    front: Front,
    /// Where the gateway is for a program of this machine.
    gateway: SocketAddr,
    /// The private URL, with a slash on both sides.
    url: String,
    /// The root's whole path, without a slash at its end, fit to stand between `"`.
    root: String,
}

/// Where the front server listens, and for which host.
#[derive(Debug, PartialEq, Eq)]
struct Front {
    host: Host,
    port: u16,
}

#[derive(Debug, PartialEq, Eq)]
enum Host {
    Any,
    Address(IpAddr),
    Name(String),
}

impl Site {
    fn new(config: &Config, front: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            front: Front::parse(front).ok_or_else(|| {
                ConfigError::new(format!(
                    "--front {front:?}: it is no address; write HOST:PORT, such as example.org:80 or 127.0.0.1:8080"
                ))
            })?,
            gateway: gateway(config)?,
            url: config.url.clone(),
            root: root(config)?,
        })
    }
}

impl Front {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let host = match host {
            "" | "*" | "0.0.0.0" | "[::]" => Host::Any,
            _ => match host.trim_matches(['[', ']']).parse() {
                Ok(address) if host.starts_with('[') == IpAddr::is_ipv6(&address) => Host::Address(address),
                _ => Host::Name(host_name(host)?),
            },
        };
        Some(Self { host, port })
    }

    /// The address to listen on, `*` for all of them.
    fn address(&self) -> String {
        match self.host {
            Host::Address(IpAddr::V4(address)) => address.to_string(),
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Host::Any | Host::Name(_) => "*".into(),
        }
    }

    fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => Some(name),
            Host::Any | Host::Address(_) => None,
        }
    }
}

/// RFC 1123 section 2.1: letters, digits and inner hyphens, between dots.
fn host_name(host: &str) -> Option<String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (host.len() <= 253 && host.split('.').all(is_label)).then(|| host.to_ascii_lowercase())
}

fn gateway(config: &Config) -> Result<SocketAddr, ConfigError> {
    let address = config.listen.first().filter(|address| address.port() > 0);
    let Some(mut address) = address.copied() else {
        return Err(config
            .listen_setting
            .error("a front server has to know the port", "write it, such as 127.0.0.1:8000"));
    };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

fn root(config: &Config) -> Result<String, ConfigError> {
    let root = config.absolute_root()?;
    // Each server has its own marks for variables and escapes; none of them has one for all of these.
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '$' | '{' | '}' | '%');
    match root.to_str().filter(|root| root.chars().all(is_plain)) {
        Some("/") => Err(config.root_is("it is the whole machine", "name the folder of the private files")),
        Some(root) => Ok(root.trim_end_matches('/').to_owned()),
        None => Err(config.root_is(
            &format!("{} cannot be written into a front server's configuration", root.display()),
            "name it by a path without quotes, \\, $, %, braces and control characters; a link will do",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fronts() {
        let front = |host, port| Some(Front { host, port });
        for (text, parsed) in [
            (":80", front(Host::Any, 80)),
            ("*:80", front(Host::Any, 80)),
            ("0.0.0.0:80", front(Host::Any, 80)),
            ("[::]:80", front(Host::Any, 80)),
            ("127.0.0.1:8080", front(Host::Address([127, 0, 0, 1].into()), 8080)),
            ("[::1]:8080", front(Host::Address(Ipv6Addr::LOCALHOST.into()), 8080)),
            ("Example.org:443", front(Host::Name("example.org".into()), 443)),
            ("localhost:80", front(Host::Name("localhost".into()), 80)),
            ("example.org", None),
            ("example.org:0", None),
            ("example.org:65536", None),
            ("example.org:http", None),
            ("::1:80", None),
            ("[127.0.0.1]:80", None),
            ("a b:80", None),
            ("a;b:80", None),
            ("-a:80", None),
            ("a..b:80", None),
            ("a\nb:80", None),
            ("", None),
        ] {
            assert_eq!(Front::parse(text), parsed, "{text:?}");
        }
    }
}

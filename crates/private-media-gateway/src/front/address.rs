//! Where a front server listens, and for which host.

use std::net::IpAddr;

/// Where the front server listens, and for which host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) host: Host,
    pub(super) port: u16,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Host {
    Any,
    Address(IpAddr),
    Name(String),
}

impl Front {
    pub(super) fn parse(text: &str) -> Option<Self> {
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

    /// Returns the address to listen on, or `*` for all addresses.
    pub(super) fn address(&self) -> String {
        match self.host {
            Host::Address(IpAddr::V4(address)) => address.to_string(),
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Host::Any | Host::Name(_) => "*".into(),
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => Some(name),
            Host::Any | Host::Address(_) => None,
        }
    }
}

/// Checks a host name (RFC 1123 section 2.1), and returns it in lower case.
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

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn addresses_of_front_servers() {
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

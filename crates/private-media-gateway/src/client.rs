//! The client of a request: its address, which a trusted proxy may name.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use private_media::identity::ClientAddr;

use crate::peers::PeerRange;

/// The most proxies that are followed from the peer towards the client.
const MAX_PROXIES: usize = 32;

/// The address that the connection of a request comes from. It is in the request extensions beside [`ClientAddr`], which a trusted proxy
/// may have named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectPeer(pub(crate) ClientAddr);

/// The proxies whose word about the address of a client counts, and the header in which they name it.
#[derive(Debug, Clone)]
pub(crate) struct TrustedProxies {
    ranges: Vec<PeerRange>,
    header: HeaderName,
}

impl Default for TrustedProxies {
    fn default() -> Self {
        Self::new(vec![], HeaderName::from_static("x-forwarded-for"))
    }
}

impl TrustedProxies {
    pub(crate) fn new(ranges: Vec<PeerRange>, header: HeaderName) -> Self {
        Self { ranges, header }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn contains(&self, client: ClientAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(client))
    }

    /// Returns the client of a request that a peer has sent.
    ///
    /// Each proxy appends the address of its own peer to the header, so the list is read from its end, as long as the address is that of a
    /// trusted proxy. What is left of the first other address may be a lie of the client. Without a valid address, the client is the last
    /// proxy that is known.
    pub(crate) fn client(&self, peer: ClientAddr, headers: &HeaderMap) -> ClientAddr {
        if !self.contains(peer) {
            return peer;
        }
        let mut client = peer;
        let mut proxies = 0;
        for value in headers.get_all(&self.header).iter().rev() {
            // Commas in a quoted string of `Forwarded` are allowed, but in no address.
            for element in value.as_bytes().rsplit(|byte| *byte == b',') {
                let text = str::from_utf8(element).unwrap_or_default();
                let named = if self.header == FORWARDED { forwarded_for(text) } else { Some(text) };
                let Some(ip) = named.and_then(address) else { return client };
                client = ClientAddr::Ip(ip);
                proxies += 1;
                if !self.contains(client) || proxies == MAX_PROXIES {
                    return client;
                }
            }
        }
        client
    }

    /// Returns the request id of a trusted proxy, if it is a reasonable one.
    pub(crate) fn request_id<'a>(&self, peer: ClientAddr, id: Option<&'a HeaderValue>) -> Option<&'a str> {
        let id = id.filter(|_| self.contains(peer))?.to_str().ok()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        ((1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_plain)).then_some(id)
    }
}

/// The most bytes of a proxy's request id.
const MAX_REQUEST_ID: usize = 128;

/// Returns the parameter `for` of an element of `Forwarded` (RFC 7239 section 4), without quotes.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut found = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    // An element that names two is ambiguous.
    let value = found.next().filter(|_| found.next().is_none())?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"'),
        None => Some(value),
    }
}

/// Returns the address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let address = address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addr(text: &str) -> ClientAddr {
        if text == "unix" { ClientAddr::Unix } else { ClientAddr::Ip(text.parse().unwrap()) }
    }

    fn proxies(header: &str) -> TrustedProxies {
        let ranges = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix"].map(|range| range.parse().unwrap());
        TrustedProxies::new(ranges.into(), header.parse().unwrap())
    }

    fn headers(name: &str, lines: &[&str]) -> HeaderMap {
        let name: HeaderName = name.parse().unwrap();
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        for (peer, lines, expected) in [
            // Nobody else may name a client.
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("unix", &[], "unix"),
            ("127.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:127.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("unix", &["198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("127.0.0.1", &["2001:db9::7"], "2001:db9::7"),
            ("127.0.0.1", &["[2001:db9::7]"], "2001:db9::7"),
            ("127.0.0.1", &["[2001:db9::7]:80"], "2001:db9::7"),
            ("127.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            // The first address was sent by the client itself.
            ("127.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            // Two proxies.
            ("127.0.0.1", &["203.0.113.9, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
            ("127.0.0.1", &["203.0.113.9, 198.51.100.7", "10.1.2.3"], "198.51.100.7"),
            ("127.0.0.1", &["198.51.100.7, 2001:db8::5"], "198.51.100.7"),
            // All are proxies.
            ("127.0.0.1", &["10.1.2.3, 10.9.9.9"], "10.1.2.3"),
            // Unknown addresses end the search.
            ("127.0.0.1", &["198.51.100.7, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7, unknown, 10.1.2.3"], "10.1.2.3"),
            ("127.0.0.1", &["198.51.100.7,"], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7", ""], "127.0.0.1"),
            ("127.0.0.1", &["unix"], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7 203.0.113.9"], "127.0.0.1"),
        ] {
            let client = proxies("x-forwarded-for").client(addr(peer), &headers("x-forwarded-for", lines));
            assert_eq!(client, addr(expected), "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_client_in_forwarded() {
        for (lines, expected) in [
            (&["for=198.51.100.7"][..], "198.51.100.7"),
            (&["For=198.51.100.7;proto=https;by=203.0.113.43"], "198.51.100.7"),
            (&["for=203.0.113.9, for=198.51.100.7;proto=http"], "198.51.100.7"),
            (&["for=\"[2001:db9::7]:4711\""], "2001:db9::7"),
            (&["for=\"198.51.100.7:80\", for=\"[2001:db8:cafe::17]\""], "198.51.100.7"),
            (&["for=_hidden"], "127.0.0.1"),
            (&["for=unknown"], "127.0.0.1"),
            (&["proto=https"], "127.0.0.1"),
            (&["for=198.51.100.7;for=203.0.113.9"], "127.0.0.1"),
            (&["for=\"198.51.100.7"], "127.0.0.1"),
            (&["198.51.100.7"], "127.0.0.1"),
        ] {
            let client = proxies("forwarded").client(addr("127.0.0.1"), &headers("forwarded", lines));
            assert_eq!(client, addr(expected), "{lines:?}");
            // Another header than the configured one is that of anyone.
            let other = proxies("x-forwarded-for").client(addr("127.0.0.1"), &headers("forwarded", lines));
            assert_eq!(other, addr("127.0.0.1"), "{lines:?}");
        }
    }

    #[test]
    fn request_ids_of_trusted_proxies_are_kept() {
        let (long, longest) = ("x".repeat(129), "x".repeat(128));
        for (peer, id, expected) in [
            ("127.0.0.1", "6d1e2f0c-9f3b-4e57", true),
            ("unix", "Root=1-67891233-abcdef", false),
            ("unix", "1-67891233:abcdef_0.1", true),
            ("192.0.2.1", "6d1e2f0c", false),
            ("127.0.0.1", "", false),
            ("127.0.0.1", "a b", false),
            ("127.0.0.1", "a\"b", false),
            ("127.0.0.1", &longest, true),
            ("127.0.0.1", &long, false),
        ] {
            let header: HeaderValue = id.parse().unwrap();
            let kept = proxies("x-forwarded-for").request_id(addr(peer), Some(&header));
            assert_eq!(kept, expected.then_some(id), "{peer} {id:?}");
        }
    }

    proptest! {
        /// A client cannot choose its address, whatever it sends: the proxy appends the real one.
        #[test]
        fn a_client_cannot_choose_its_address(lies in prop::collection::vec("[0-9a-f.:, \\[\\]]{0,40}", 0..4), real: [u8; 4]) {
            let real = IpAddr::from(real);
            prop_assume!(!proxies("x-forwarded-for").contains(ClientAddr::Ip(real)));
            let real_text = real.to_string();
            let mut lines: Vec<&str> = lies.iter().map(String::as_str).collect();
            let appended = lines.pop().map(|last| format!("{last}, {real_text}"));
            lines.push(appended.as_deref().unwrap_or(&real_text));
            let client = proxies("x-forwarded-for").client(addr("127.0.0.1"), &headers("x-forwarded-for", &lines));
            prop_assert_eq!(client, ClientAddr::Ip(real));
        }
    }
}

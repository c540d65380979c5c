//! The peers that a setting names: addresses, networks, and Unix sockets.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use private_media::identity::ClientAddr;

/// A peer, or a network of peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerRange {
    /// Clients of a Unix socket.
    Unix,
    /// The addresses that begin with the first `prefix` bits of this one.
    Network { address: IpAddr, prefix: u32 },
}

impl PeerRange {
    /// Returns whether this is one machine.
    pub(crate) fn is_single(&self) -> bool {
        match self {
            Self::Unix | Self::Network { address: IpAddr::V4(_), prefix: 32 } => true,
            Self::Network { address, prefix } => address.is_ipv6() && *prefix == 128,
        }
    }

    /// Returns whether a client is one of these peers.
    pub(crate) fn contains(&self, client: ClientAddr) -> bool {
        match (self, client.ip()) {
            (Self::Unix, None) => true,
            (Self::Network { address, prefix }, Some(client)) => match (address, client.to_canonical()) {
                (IpAddr::V4(network), IpAddr::V4(client)) => {
                    (network.to_bits() ^ client.to_bits()).leading_zeros() >= *prefix
                }
                (IpAddr::V6(network), IpAddr::V6(client)) => {
                    (network.to_bits() ^ client.to_bits()).leading_zeros() >= *prefix
                }
                _ => false,
            },
            (Self::Unix, Some(_)) | (Self::Network { .. }, None) => false,
        }
    }
}

impl FromStr for PeerRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected an address such as 127.0.0.1, a network such as 10.0.0.0/8, or unix";
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
        let address = if prefix.is_none() { address.to_canonical() } else { address };
        let max = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => max,
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().ok().filter(|prefix| *prefix <= max).ok_or(EXPECTED)?
            }
            Some(_) => return Err(EXPECTED),
        };
        if prefix == 0 {
            return Err("this trusts every client; list the addresses of the front server");
        }
        Ok(Self::Network { address, prefix })
    }
}

impl fmt::Display for PeerRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => f.write_str("unix"),
            Self::Network { address, .. } if self.is_single() => address.fmt(f),
            Self::Network { address, prefix } => write!(f, "{address}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_is_a_peer() {
        let peers = [
            "127.0.0.1",
            "127.0.0.2",
            "10.1.2.3",
            "11.0.0.0",
            "::1",
            "2001:db8::1",
            "2001:db9::1",
            "::ffff:127.0.0.1",
            "unix",
        ];
        for (range, expected) in [
            ("127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1"][..]),
            ("127.0.0.0/8", &["127.0.0.1", "127.0.0.2", "::ffff:127.0.0.1"]),
            ("::ffff:127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1"]),
            ("10.0.0.0/8", &["10.1.2.3"]),
            ("10.9.9.9/8", &["10.1.2.3"]),
            ("10.0.0.0/7", &["10.1.2.3", "11.0.0.0"]),
            ("10.1.2.3/32", &["10.1.2.3"]),
            ("::1", &["::1"]),
            ("2001:db8::/32", &["2001:db8::1"]),
            ("2001:db8::/31", &["2001:db8::1", "2001:db9::1"]),
            ("unix", &["unix"]),
        ] {
            let range: PeerRange = range.parse().unwrap();
            let is_peer = |peer: &&str| match peer.parse() {
                Ok(ip) => range.contains(ClientAddr::Ip(ip)),
                Err(_) => range.contains(ClientAddr::Unix),
            };
            assert_eq!(peers.into_iter().filter(is_peer).collect::<Vec<_>>(), expected, "{range}");
        }
    }

    #[test]
    fn invalid_peers() {
        for text in [
            "",
            "localhost",
            "127.0.0.1:80",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/x",
            "10/8",
            "unix:/run/x",
            "127.1",
        ] {
            assert!(text.parse::<PeerRange>().unwrap_err().starts_with("expected"), "{text}");
        }
        for text in ["0.0.0.0/0", "::/0", "1.2.3.4/0"] {
            assert!(text.parse::<PeerRange>().unwrap_err().contains("every client"), "{text}");
        }
    }

    proptest! {
        /// Compared with the text of the first bits.
        #[test]
        fn networks_are_prefixes(network: u32, client: u32, prefix in 1_u32..=32) {
            let range = PeerRange::Network { address: IpAddr::V4(network.into()), prefix };
            let bits = |address: u32| format!("{address:032b}")[..prefix as usize].to_owned();
            let client_addr = ClientAddr::Ip(IpAddr::V4(client.into()));
            prop_assert_eq!(range.contains(client_addr), bits(network) == bits(client));
            prop_assert!(range.contains(ClientAddr::Ip(IpAddr::V4(network.into()))));
        }
    }
}

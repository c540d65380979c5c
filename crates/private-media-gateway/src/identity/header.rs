//! The identity source `header`: a trusted front server has signed the user in, and names the user in a request header.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{BoxFuture, ready};
use http::HeaderName;
use http::request::Parts;
use private_media::identity::Rejection;
use private_media::{Identify, IdentifyError, Identity, User};

use super::user_headers::{MAX_ID, MAX_NAME, list, single};
use crate::client::DirectPeer;
use crate::peers::PeerRange;

/// The name of the source.
const SOURCE: &str = "header";

/// The settings of the source.
#[derive(Debug, Clone)]
pub(crate) struct HeaderOptions {
    /// The header that has the id of the user.
    pub(crate) header: HeaderName,
    pub(crate) name_header: Option<HeaderName>,
    pub(crate) groups_header: Option<HeaderName>,
    /// What separates groups.
    pub(crate) groups_separator: char,
    /// The group whose members are staff.
    pub(crate) staff_group: Option<String>,
    /// The peers whose headers are trusted.
    pub(crate) from: Vec<PeerRange>,
}

/// Identifies users by the headers of a trusted front server.
#[derive(Debug)]
pub(crate) struct HeaderIdentity {
    options: HeaderOptions,
    has_warned: AtomicBool,
}

impl HeaderIdentity {
    pub(crate) fn new(options: HeaderOptions) -> Self {
        Self { options, has_warned: AtomicBool::new(false) }
    }

    /// Returns whether the peer that sent this request may name a user. Without an address, it may not.
    fn trusts(&self, request: &Parts) -> bool {
        let peer = request.extensions.get::<DirectPeer>();
        peer.is_some_and(|DirectPeer(peer)| self.options.from.iter().any(|range| range.contains(*peer)))
    }

    /// Returns the user that a trusted request names. The error says why it names none.
    fn user(&self, request: &Parts) -> Result<Option<User>, String> {
        let HeaderOptions { header, name_header, groups_header, groups_separator, staff_group, .. } =
            &self.options;
        let headers = &request.headers;
        let Some(id) = single(headers, header, MAX_ID)? else { return Ok(None) };
        let mut user = User::new(id).source(SOURCE);
        if let Some(header) = name_header
            && let Some(name) = single(headers, header, MAX_NAME)?
        {
            user = user.name(name);
        }
        if let Some(header) = groups_header {
            user = list(headers, header, *groups_separator)?.into_iter().fold(user, User::group);
        }
        let is_staff = staff_group.as_deref().is_some_and(|group| user.in_group(group));
        Ok(Some(user.staff(is_staff)))
    }

    fn identity(&self, request: &Parts) -> Identity {
        if !self.recognizes(request) {
            return Identity::Anonymous;
        }
        match self.user(request) {
            Ok(user) => user.map(Identity::from).unwrap_or_default(),
            Err(reason) => Rejection::new(SOURCE, reason).into(),
        }
    }

    /// Warns about the first header of a peer that is not trusted: either it is spoofed, or `from` is incomplete.
    fn warn(&self, request: &Parts) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            let from = request.extensions.get::<DirectPeer>().map(|peer| tracing::field::display(peer.0));
            let header = self.options.header.as_str();
            tracing::warn!(
                header,
                from,
                "ignored a header that names a user, because its sender is not listed in identity.from; further ones are ignored silently"
            );
        }
    }
}

impl Identify for HeaderIdentity {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(ready(Ok(self.identity(request))))
    }

    fn recognizes(&self, request: &Parts) -> bool {
        let mut lines = request.headers.get_all(&self.options.header).iter();
        // A front server without a user may send the header empty. Several lines are a credential, if an ambiguous one.
        let is_present = lines.next().is_some_and(|line| !line.as_bytes().trim_ascii().is_empty())
            || lines.next().is_some();
        if !is_present {
            return false;
        }
        let is_trusted = self.trusts(request);
        if !is_trusted {
            self.warn(request);
        }
        is_trusted
    }

    fn vary(&self) -> Vec<HeaderName> {
        let HeaderOptions { header, name_header, groups_header, .. } = &self.options;
        [Some(header), name_header.as_ref(), groups_header.as_ref()].into_iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use private_media::identity::ClientAddr;
    use proptest::prelude::*;

    use super::*;

    fn source() -> HeaderIdentity {
        HeaderIdentity::new(HeaderOptions {
            header: HeaderName::from_static("remote-user"),
            name_header: Some(HeaderName::from_static("remote-name")),
            groups_header: Some(HeaderName::from_static("remote-groups")),
            groups_separator: ',',
            staff_group: Some("admins".into()),
            from: vec!["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap(), "unix".parse().unwrap()],
        })
    }

    fn request(from: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/private/a");
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        match from {
            "nowhere" => {}
            "unix" => drop(head.extensions.insert(DirectPeer(ClientAddr::Unix))),
            ip => drop(head.extensions.insert(DirectPeer(ClientAddr::Ip(ip.parse().unwrap())))),
        }
        head
    }

    #[test]
    fn users_of_a_front_server() {
        let alice = || User::new("alice").source("header");
        let (long, longest) = ("x".repeat(256), "x".repeat(255));
        for (headers, expected) in [
            (&[][..], Ok(None)),
            (&[("remote-name", "Alice"), ("remote-groups", "admins")], Ok(None)),
            (&[("remote-user", "")], Ok(None)),
            (&[("remote-user", " ")], Ok(None)),
            (&[("remote-user", "alice")], Ok(Some(alice()))),
            (&[("Remote-User", " alice ")], Ok(Some(alice()))),
            (&[("remote-user", &longest)], Ok(Some(User::new(&*longest).source("header")))),
            (
                &[("remote-user", "alice"), ("remote-name", "Alice"), ("remote-groups", "a,b")],
                Ok(Some(alice().name("Alice").group("a").group("b"))),
            ),
            (
                &[("remote-user", "alice"), ("remote-groups", "a, admins")],
                Ok(Some(alice().group("a").group("admins").staff(true))),
            ),
            (
                &[("remote-user", "alice"), ("remote-groups", "a"), ("remote-groups", "b")],
                Ok(Some(alice().group("a").group("b"))),
            ),
            (
                &[("remote-user", "alice"), ("remote-groups", "admins2, xadmins, Admins")],
                Ok(Some(alice().group("admins2").group("xadmins").group("Admins"))),
            ),
            (&[("remote-user", "alice"), ("remote-user", "carol")], Err("more than once")),
            (&[("remote-user", "alice"), ("remote-user", "")], Err("more than once")),
            (&[("remote-user", ""), ("remote-user", "alice")], Err("more than once")),
            (&[("remote-user", "alice"), ("remote-name", "a"), ("remote-name", "b")], Err("more than once")),
            (&[("remote-user", "al\tice")], Err("printable")),
            (&[("remote-user", "alice"), ("remote-groups", "a\tb")], Err("printable")),
            (&[("remote-user", &long)], Err("longer than 255")),
            (&[("remote_user", "alice"), ("x-remote-user", "alice"), ("remote-user2", "alice")], Ok(None)),
        ] {
            for from in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "unix"] {
                let identity = source().identity(&request(from, headers));
                match &expected {
                    Ok(user) => assert_eq!(
                        identity,
                        user.clone().map(Identity::from).unwrap_or_default(),
                        "{headers:?}"
                    ),
                    Err(reason) => assert!(
                        identity.rejection().is_some_and(|own| own.reason().contains(reason)),
                        "{headers:?}: {identity:?}"
                    ),
                }
            }
            for from in ["127.0.0.2", "192.0.2.1", "::1", "11.0.0.1", "nowhere"] {
                let (source, request) = (source(), request(from, headers));
                assert_eq!(source.identity(&request), Identity::Anonymous, "{from} {headers:?}");
                assert!(!source.recognizes(&request), "{from} {headers:?}");
            }
        }
    }

    proptest! {
        /// No header of another peer identifies anybody, and no header but the configured one does.
        #[test]
        fn nobody_else_is_believed(name in "[a-z-]{1,20}", value in "[ -~]{0,20}", ip: [u8; 4]) {
            let head = [(&*name, &*value), ("remote-user", "alice")];
            let from = std::net::IpAddr::from(ip).to_string();
            if !["127.0.0.1"].contains(&&*from) && ip[0] != 10 {
                prop_assert_eq!(source().identity(&request(&from, &head)), Identity::Anonymous);
            }
            if name != "remote-user" {
                prop_assert_eq!(source().identity(&request("127.0.0.1", &head[..1])), Identity::Anonymous);
            }
        }
    }
}

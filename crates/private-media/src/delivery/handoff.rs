//! The bytes leave by a front server: the response names the file, and the server sends it in this response's place.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use percent_encoding::percent_encode;

use super::headers::with_content_headers;
use super::{Delivery, Direct, MediaResponse, Plan};
use crate::permission::{Permit, Read};
use crate::request::{ENCODED, MediaRequest};
use crate::storage::MediaFile;

/// Has nginx send the file: `X-Accel-Redirect` names it below a `location` that is `internal`.
///
/// nginx decodes the value once, so it is percent-encoded, and comes to exactly the bytes of the file's name. It keeps
/// `Content-Type`, `Content-Disposition` and `Cache-Control`, and judges ranges and conditions itself, by an entity tag of its
/// own. The other headers have to be added back in the location; `private-media config nginx` prints one that does.
///
/// The name handed off is that of the file that the storage opened beneath its root, without a link in it. A file that has
/// none, such as one in memory, is sent [`Direct`].
///
/// ```
/// use private_media::delivery::NginxXAccelRedirect;
/// use private_media::{MemoryStorage, PrivateMedia};
///
/// let media = PrivateMedia::builder(MemoryStorage::new())
///     .delivery(NginxXAccelRedirect::new("/private-media-internal/"))
///     .build();
/// ```
#[derive(Debug, Clone)]
pub struct NginxXAccelRedirect {
    /// Encoded, with a slash on both sides.
    prefix: String,
}

impl NginxXAccelRedirect {
    /// Below this internal URL, as it is written behind `location`; a slash that lacks on either side is added.
    #[must_use]
    pub fn new(internal_url: &str) -> Self {
        Self { prefix: encoded(&with_slashes(internal_url.as_bytes())) }
    }

    /// Below the root's own path, as old configurations have it: `location /srv/private/ { internal; root /; }`. A relative
    /// path is one below the working directory; an error means that there is none.
    pub fn full_path(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = std::path::absolute(root)?;
        Ok(Self { prefix: encoded(&with_slashes(root.as_os_str().as_bytes())) })
    }

    fn value(&self, name: &Path) -> Option<HeaderValue> {
        let value = format!("{}{}", self.prefix, encoded(name.as_os_str().as_bytes()));
        HeaderValue::try_from(value).ok()
    }
}

impl Delivery for NginxXAccelRedirect {
    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> MediaResponse {
        match file.local_name().and_then(|name| self.value(&name)) {
            Some(value) => hand_off((X_ACCEL_REDIRECT, value), request, permit, &file, now),
            None => Direct.deliver(request, permit, file, now),
        }
    }
}

/// Has Apache with `mod_xsendfile`, or lighttpd, send the file: `X-Sendfile` names its full path.
///
/// Both keep the headers and the entity tag of the response. They take a range of the file as the client asks; all that can be
/// answered without its bytes, such as a 304, is answered as [`Direct`] does. `private-media config apache` and `private-media
/// config lighttpd` print what they need.
///
/// The name handed off is that of the file that the storage opened beneath its root, without a link in it. A file that has
/// none, or none that the [`SendfileEncoding`] can say, is sent [`Direct`].
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use private_media::delivery::ApacheXSendfile;
/// use private_media::{LocalStorage, PrivateMedia};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let root = tempfile::tempdir()?;
/// # let root = root.path();
/// let media = PrivateMedia::builder(LocalStorage::open_root(root)?)
///     .delivery(ApacheXSendfile::new(root)?)
///     .build();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ApacheXSendfile {
    root: PathBuf,
    encoding: SendfileEncoding,
}

/// How `X-Sendfile` writes a name. The servers differ: `mod_xsendfile` 0.12, as in Debian, opens what it reads; `mod_xsendfile` 1.0
/// and lighttpd decode it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SendfileEncoding {
    /// A name without `%`, as it is: it means the same to all of them. A name with `%` could lead a server of the other kind to
    /// another file, so that one is sent [`Direct`].
    #[default]
    Auto,
    /// Every name as it is: for `mod_xsendfile` up to 0.12.
    Plain,
    /// Every name percent-encoded: for `mod_xsendfile` 1.0 and lighttpd.
    Encoded,
}

impl ApacheXSendfile {
    /// For a root at this path, as the server is to see it. A relative path is one below the working directory; an error means
    /// that there is none.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self { root: std::path::absolute(root)?, encoding: SendfileEncoding::default() })
    }

    /// How names are written; [`SendfileEncoding::Auto`] unless told.
    #[must_use]
    pub fn encoding(mut self, encoding: SendfileEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    fn value(&self, name: &Path) -> Option<HeaderValue> {
        let path = self.root.join(name);
        let path = path.as_os_str().as_bytes();
        if self.encoding == SendfileEncoding::Encoded {
            return HeaderValue::try_from(encoded(path)).ok();
        }
        // White space at the end is no part of a field's value (RFC 9110 section 5.5): it would name another file.
        let says_itself = !matches!(path.last(), Some(b' ' | b'\t'))
            && (self.encoding == SendfileEncoding::Plain || !path.contains(&b'%'));
        // What no field can hold, such as a line break, is refused here.
        says_itself.then(|| HeaderValue::from_bytes(path).ok())?
    }
}

impl Delivery for ApacheXSendfile {
    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> MediaResponse {
        // The server keeps the entity tag of this response, so what needs no bytes, and what the servers do in ways of their own
        // (several ranges), is answered here.
        let plan = Plan::new(request, file.metadata(), now);
        let is_for_server = !request.is_head && matches!(plan, Plan::Whole | Plan::Part(_));
        let name = if is_for_server { file.local_name() } else { None };
        match name.and_then(|name| self.value(&name)) {
            Some(value) => hand_off((X_SENDFILE, value), request, permit, &file, now),
            None => Direct.deliver(request, permit, file, now),
        }
    }
}

const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// The whole file, as far as the headers go: the server takes a range or a 304 of it, as the client asks.
fn hand_off(
    (name, value): (HeaderName, HeaderValue),
    request: &MediaRequest,
    permit: &Permit<Read>,
    file: &MediaFile,
    now: SystemTime,
) -> MediaResponse {
    let mut response = with_content_headers(permit.path(), file, request.download, now);
    response.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response.headers.insert(name, value);
    response
}

/// As in the path of a URL.
fn encoded(path: &[u8]) -> String {
    percent_encode(path, ENCODED).to_string()
}

fn with_slashes(path: &[u8]) -> Vec<u8> {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let inner = inner.strip_suffix(b"/").unwrap_or(inner);
    if inner.is_empty() { b"/".to_vec() } else { [b"/", inner, b"/"].concat() }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use percent_encoding::percent_decode;
    use proptest::prelude::*;

    use super::*;
    use crate::storage::conformance::NAMES;

    fn nginx(prefix: &str, name: &str) -> String {
        let value = NginxXAccelRedirect::new(prefix).value(Path::new(name)).unwrap();
        value.to_str().unwrap().to_owned()
    }

    fn apache(encoding: SendfileEncoding, name: &str) -> Option<Vec<u8>> {
        let delivery = ApacheXSendfile::new("/srv/private").unwrap().encoding(encoding);
        delivery.value(Path::new(name)).map(|value| value.as_bytes().to_vec())
    }

    #[test]
    fn what_nginx_is_told() {
        for (prefix, name, value) in [
            ("/internal/", "cars/7/photo.jpg", "/internal/cars/7/photo.jpg"),
            ("internal", "a", "/internal/a"),
            ("/", "a", "/a"),
            ("", "a", "/a"),
            ("/in ternal/x", "a", "/in%20ternal/x/a"),
            ("/i/", "50%41.jpg", "/i/50%2541.jpg"),
            ("/i/", "%2e%2e%2f", "/i/%252e%252e%252f"),
            ("/i/", "who?.txt", "/i/who%3F.txt"),
            ("/i/", "a#b", "/i/a%23b"),
            ("/i/", "a+b", "/i/a%2Bb"),
            ("/i/", "café 🚗.jpg", "/i/caf%C3%A9%20%F0%9F%9A%97.jpg"),
            ("/i/", "@named", "/i/%40named"),
        ] {
            assert_eq!(nginx(prefix, name), value);
        }
        let full = NginxXAccelRedirect::full_path("/srv/the root").unwrap();
        assert_eq!(full.value(Path::new("cars/7/é.jpg")).unwrap(), "/srv/the%20root/cars/7/%C3%A9.jpg");
        assert_eq!(NginxXAccelRedirect::full_path("/").unwrap().prefix, "/");
    }

    /// A value that two servers read in two ways is never written by the default.
    #[test]
    fn what_apache_is_told() {
        use SendfileEncoding::{Auto, Encoded, Plain};
        for (name, auto, plain, encoded) in [
            ("a/photo.jpg", Some("a/photo.jpg"), Some("a/photo.jpg"), "a/photo.jpg"),
            ("café.jpg", Some("café.jpg"), Some("café.jpg"), "caf%C3%A9.jpg"),
            ("a b?#+;.jpg", Some("a b?#+;.jpg"), Some("a b?#+;.jpg"), "a%20b%3F%23%2B%3B.jpg"),
            ("50%41.jpg", None, Some("50%41.jpg"), "50%2541.jpg"),
            ("%2e%2e%2f", None, Some("%2e%2e%2f"), "%252e%252e%252f"),
            ("ends ", None, None, "ends%20"),
            ("ends\t", None, None, "ends%09"),
            ("line\nbreak", None, None, "line%0Abreak"),
        ] {
            let bytes = |text: Option<&str>| text.map(|text| format!("/srv/private/{text}").into_bytes());
            assert_eq!(apache(Auto, name), bytes(auto), "{name:?}");
            assert_eq!(apache(Plain, name), bytes(plain), "{name:?}");
            assert_eq!(apache(Encoded, name), bytes(Some(encoded)), "{name:?}");
        }
        let percent = ApacheXSendfile::new("/srv/100%/").unwrap();
        assert_eq!(percent.value(Path::new("photo.jpg")), None, "the root's own name counts");
    }

    proptest! {
        /// What a server makes of the value is the name, for every name and every kind of server.
        #[test]
        fn values_come_back_to_the_name(
            name in prop::collection::vec(prop_oneof![9 => b' '..=b'~', 1 => 1..=255_u8], 1..20)
                .prop_filter("no root", |name| name[0] != b'/'),
            end in prop::sample::select(&["", "", " ", "\t", "%20"][..]),
        ) {
            let name = [name.as_slice(), end.as_bytes()].concat();
            let path = Path::new(OsStr::from_bytes(&name));
            let decoded = |value: &HeaderValue| percent_decode(value.as_bytes()).collect::<Vec<u8>>();
            let whole = [b"/srv/private/", name.as_slice()].concat();

            let value = NginxXAccelRedirect::full_path("/srv/private").unwrap().value(path).unwrap();
            prop_assert_eq!(decoded(&value), whole.clone());
            let apache = ApacheXSendfile::new("/srv/private").unwrap();
            let encoded = apache.clone().encoding(SendfileEncoding::Encoded).value(path).unwrap();
            prop_assert_eq!(decoded(&encoded), whole.clone());
            // As a field arrives, with the white space around it gone.
            let arrived = |value: HeaderValue| value.as_bytes().trim_ascii().to_vec();
            if let Some(plain) = apache.clone().encoding(SendfileEncoding::Plain).value(path) {
                prop_assert_eq!(arrived(plain), whole.clone());
            }
            if let Some(auto) = apache.value(path) {
                prop_assert_eq!(decoded(&auto), whole.clone());
                prop_assert_eq!(arrived(auto), whole);
            }
        }
    }

    #[test]
    fn every_name_of_the_table_is_handed_off_or_sent() {
        for name in NAMES {
            assert_eq!(
                percent_decode(nginx("/", name).as_bytes()).collect::<Vec<u8>>(),
                format!("/{name}").into_bytes()
            );
            assert_eq!(apache(SendfileEncoding::Auto, name).is_none(), name.contains('%'), "{name}");
        }
    }
}

//! Lets a front server send files: the response contains the name of the file.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_encode;

use super::headers::{X_ACCEL_REDIRECT, with_content_headers};
use super::redirect::is_redirect;
use super::response::PreparedHeaders;
use super::{Delivery, Direct, MediaResponse, Plan, proxied};
use crate::permission::{Permit, Read};
use crate::request::{ENCODED, MediaRequest};
use crate::storage::MediaFile;

/// Lets nginx send files: `X-Accel-Redirect` names a file below an `internal` location.
///
/// nginx percent-decodes the value once, so it is encoded. nginx preserves `Content-Type`, `Content-Disposition` and `Cache-Control`, and
/// evaluates ranges and conditions with its own entity tag. The location has to add the other headers, as the one that
/// `private-media config nginx` prints.
///
/// The value is the name of the open file, without symbolic links. [`Direct`] sends a file without such a name, for example one in memory.
///
/// If the storage is a bucket that [signs URLs](crate::storage::ReadAt::signed_url), nginx fetches the file from there: the query of the value
/// is the signed URL without its host, which the location sets. `X-Private-Media-Range` and `X-Private-Media-If-Match` are for nginx's
/// request, and `X-Private-Media-Disposition` is for its response. [`Direct`] makes responses without content, and those with several ranges.
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
    /// Percent-encoded, with a slash at both ends.
    prefix: String,
}

impl NginxXAccelRedirect {
    /// Returns a delivery below an internal URL, as written after `location`. Missing slashes at its ends are added.
    #[must_use]
    pub fn new(internal_url: &str) -> Self {
        Self { prefix: encoded(&with_slashes(internal_url.as_bytes())) }
    }

    /// Returns a delivery below the path of the root, as in older configurations: `location /srv/private/ { internal; root /; }`. A
    /// relative path is resolved against the working directory, which is an error if there is none.
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
    fn sends_content(&self) -> bool {
        false
    }

    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> MediaResponse {
        if let Some(value) = file.local_name().and_then(|name| self.value(&name)) {
            return hand_off((X_ACCEL_REDIRECT, value), request, permit, &file, now);
        }
        proxied::hand_off(&self.prefix, request, permit, &file, now)
            .unwrap_or_else(|| Direct.deliver(request, permit, file, now))
    }
}

/// Lets Apache with `mod_xsendfile`, or lighttpd, send files: `X-Sendfile` contains the full path of the file.
///
/// Both preserve the headers and the entity tag of the response, and apply a single range themselves. [`Direct`] makes responses without
/// content, such as a 304, and those with several ranges. `private-media config apache` and `private-media config lighttpd` print
/// configurations of the servers.
///
/// The path is that of the open file, without symbolic links. [`Direct`] sends a file without such a path, and one whose path the
/// [`SendfileEncoding`] cannot express.
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

/// The encoding of paths in `X-Sendfile`. `mod_xsendfile` 1.0 and lighttpd decode them, `mod_xsendfile` 0.12 (Debian) does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SendfileEncoding {
    /// Not encoded, for every server. [`Direct`] sends files whose path contains `%`, because some servers would decode it.
    #[default]
    Auto,
    /// Not encoded, for `mod_xsendfile` up to 0.12.
    Plain,
    /// Percent-encoded, for `mod_xsendfile` 1.0 and lighttpd.
    Encoded,
}

impl ApacheXSendfile {
    /// Returns a delivery for a root at this path, as the server sees it. A relative path is resolved against the working directory, which
    /// is an error if there is none.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self { root: std::path::absolute(root)?, encoding: SendfileEncoding::default() })
    }

    /// Sets the encoding of paths. The default is [`SendfileEncoding::Auto`].
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
        // Trailing white space is not part of a field value (RFC 9110 section 5.5), so the server would open another file.
        let is_literal = !matches!(path.last(), Some(b' ' | b'\t'))
            && (self.encoding == SendfileEncoding::Plain || !path.contains(&b'%'));
        // This fails for a name that no field value can contain, such as one with a line break.
        is_literal.then(|| HeaderValue::from_bytes(path).ok())?
    }
}

impl Delivery for ApacheXSendfile {
    fn sends_content(&self) -> bool {
        false
    }

    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> MediaResponse {
        // The server preserves the entity tag of this response, so conditions are evaluated here. So are several ranges, which the servers
        // implement differently.
        let plan = Plan::new(request, file.metadata(), now);
        let is_for_server = !request.is_head && matches!(plan, Plan::Whole | Plan::Part(_));
        let name = if is_for_server { file.local_name() } else { None };
        match name.and_then(|name| self.value(&name)) {
            Some(value) => hand_off((X_SENDFILE, value), request, permit, &file, now),
            None => Direct.deliver(request, permit, file, now),
        }
    }
}

const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// Returns whether a response lets another server send the file.
pub(crate) fn is_handed_off(response: &MediaResponse) -> bool {
    let is_for_server =
        |headers: &HeaderMap| [X_ACCEL_REDIRECT, X_SENDFILE].iter().any(|name| headers.contains_key(name));
    is_redirect(response) || response.others().is_some_and(is_for_server)
}

/// Returns a response with the headers of the whole file. The server applies ranges and conditions.
fn hand_off(
    (name, value): (HeaderName, HeaderValue),
    request: &MediaRequest,
    permit: &Permit<Read>,
    file: &MediaFile,
    now: SystemTime,
) -> MediaResponse {
    let mut response = with_content_headers(permit, file, request.download, now);
    response.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response.insert(name, value);
    response
}

/// Percent-encodes a name as in the path of a URL.
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
    fn values_for_nginx_are_encoded_once() {
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

    /// The default writes no value that two servers interpret differently.
    #[test]
    fn values_for_apache_are_unambiguous() {
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
        assert_eq!(percent.value(Path::new("photo.jpg")), None, "the path of the root has a %");
    }

    proptest! {
        #[test]
        fn every_server_decodes_the_value_to_the_name(
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
            // The server trims the field value.
            let received = |value: HeaderValue| value.as_bytes().trim_ascii().to_vec();
            if let Some(plain) = apache.clone().encoding(SendfileEncoding::Plain).value(path) {
                prop_assert_eq!(received(plain), whole.clone());
            }
            if let Some(auto) = apache.value(path) {
                prop_assert_eq!(decoded(&auto), whole.clone());
                prop_assert_eq!(received(auto), whole);
            }
        }
    }

    #[test]
    fn every_legal_name_has_a_value_for_nginx() {
        for name in NAMES {
            assert_eq!(
                percent_decode(nginx("/", name).as_bytes()).collect::<Vec<u8>>(),
                format!("/{name}").into_bytes()
            );
            assert_eq!(apache(SendfileEncoding::Auto, name).is_none(), name.contains('%'), "{name}");
        }
    }
}

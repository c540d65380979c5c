//! Presigned URLs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{Attribute, Attributes};
use private_media::storage::SignedHeaders;

/// The maximum number of URLs that are kept for their next use.
const MAX_RECENT: usize = 10_000;

/// Makes presigned URLs, and returns each again for half of its lifetime, so that browsers can cache what they got from it.
pub(crate) struct SignedUrls {
    signer: UrlSigner,
    lifetime: Duration,
    /// The names of user metadata that an object with a URL may have. `None` for any.
    metadata: Option<Vec<String>>,
    recent: Mutex<Recent>,
}

/// The URLs that are used again.
#[derive(Debug, Default)]
struct Recent {
    urls: HashMap<Target, (Arc<str>, Instant)>,
    /// When old URLs were removed. All are visited for that, so it is rare.
    purged: Option<Instant>,
}

/// Signs the URLs of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct UrlSigner {
    pub(crate) signer: Arc<dyn Signer>,
    /// The parameter that pins a version of an object.
    pub(crate) version: &'static str,
}

/// What a URL returns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    key: Path,
    /// The entity tag: a new version of an object has another URL.
    tag: String,
    content_type: String,
    content_disposition: String,
}

impl SignedUrls {
    pub(crate) fn new(signer: UrlSigner, lifetime: Duration) -> Self {
        Self { signer, lifetime, metadata: None, recent: Mutex::default() }
    }

    /// Restricts the URLs to objects whose user metadata has no other names than these.
    pub(crate) fn with_metadata(mut self, names: &[&str]) -> Self {
        self.metadata = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Returns whether an object with these attributes may have a URL.
    pub(crate) fn is_for(&self, attributes: &Attributes) -> bool {
        let Some(names) = &self.metadata else { return true };
        attributes.iter().all(|(attribute, _)| match attribute {
            Attribute::Metadata(name) => names.iter().any(|own| own.eq_ignore_ascii_case(name)),
            _ => true,
        })
    }

    /// Returns the URL of an object. `version` pins a version of a bucket that has several. `None` if the credentials are not at hand.
    pub(crate) fn url(
        &self,
        key: &Path,
        tag: &str,
        version: Option<&str>,
        headers: &SignedHeaders<'_>,
    ) -> Option<String> {
        let target = Target {
            key: key.clone(),
            tag: tag.to_owned(),
            content_type: headers.content_type.to_owned(),
            content_disposition: headers.content_disposition.to_owned(),
        };
        let now = Instant::now();
        if let Some(url) = self.recent(&target, now) {
            return Some(url.as_ref().to_owned());
        }
        let url: Arc<str> = self.sign(&target, version)?.into();
        self.keep(target, Arc::clone(&url), now);
        Some(url.as_ref().to_owned())
    }

    fn recent(&self, target: &Target, now: Instant) -> Option<Arc<str>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (url, made) = recent.urls.get(target)?;
        self.is_recent(*made, now).then(|| Arc::clone(url))
    }

    fn is_recent(&self, made: Instant, now: Instant) -> bool {
        now.saturating_duration_since(made) < self.lifetime / 2
    }

    fn keep(&self, target: Target, url: Arc<str>, now: Instant) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = recent.purged.is_none_or(|purged| !self.is_recent(purged, now));
        if recent.urls.len() >= MAX_RECENT && is_due {
            recent.urls.retain(|_, (_, made)| self.is_recent(*made, now));
            recent.purged = Some(now);
        }
        if recent.urls.len() < MAX_RECENT {
            recent.urls.insert(target, (url, now));
        }
    }

    fn sign(&self, target: &Target, version: Option<&str>) -> Option<String> {
        let max_age = self.lifetime.as_secs();
        let query = [
            ("response-content-type", target.content_type.clone()),
            ("response-content-disposition", target.content_disposition.clone()),
            ("response-cache-control", format!("private, max-age={max_age}")),
        ];
        let version = version.map(|version| (self.signer.version, version.to_owned()));
        let options = SignedUrlOptions::new().with_query(query.into_iter().chain(version));
        // The request that has opened the object has just used the credentials, so they are there. If they expire now, the file is sent
        // without a URL.
        let signed = self.signer.signer.signed_url_opts(Method::GET, &target.key, self.lifetime, &options);
        match signed.now_or_never() {
            Some(Ok(url)) => Some(url.into()),
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot sign a URL, so the file is sent by this process");
                None
            }
            None => None,
        }
    }
}

impl fmt::Debug for SignedUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedUrls").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use object_store::signer::Url;

    use super::*;

    /// Counts the URLs that it signs.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    #[async_trait::async_trait]
    impl Signer for Counting {
        async fn signed_url(&self, _: Method, _: &Path, _: Duration) -> object_store::Result<Url> {
            panic!("the media type has to be signed")
        }

        async fn signed_url_opts(
            &self,
            method: Method,
            path: &Path,
            lifetime: Duration,
            options: &SignedUrlOptions,
        ) -> object_store::Result<Url> {
            assert_eq!((method, lifetime), (Method::GET, Duration::from_secs(1000)));
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            let mut url: Url = format!("https://bucket/{path}?number={number}").parse().unwrap();
            url.query_pairs_mut().extend_pairs(&options.extra_query);
            Ok(url)
        }
    }

    fn urls() -> SignedUrls {
        let signer = UrlSigner { signer: Arc::new(Counting::default()), version: "versionId" };
        SignedUrls::new(signer, Duration::from_secs(1000))
    }

    #[test]
    fn a_url_is_signed_once_for_each_content() {
        let urls = urls();
        let inline = SignedHeaders::new("image/jpeg", "inline");
        let saved = SignedHeaders::new("image/jpeg", "attachment");
        let url = |key: &str, tag, headers| urls.url(&Path::from(key), tag, None, headers).unwrap();
        let first = url("a", "1", &inline);
        assert!(first.contains("response-content-type=image%2Fjpeg&response-content-disposition=inline"));
        assert!(first.contains("max-age%3D1000"));
        assert_eq!(url("a", "1", &inline), first);
        for other in [url("b", "1", &inline), url("a", "2", &inline), url("a", "1", &saved)] {
            assert_ne!(other, first);
        }
        let pinned = urls.url(&Path::from("c"), "1", Some("v7"), &inline).unwrap();
        assert!(pinned.contains("versionId=v7"));
    }

    #[test]
    fn objects_with_unknown_metadata_have_no_url() {
        let known = urls().with_metadata(&["mtime"]);
        for (names, expected) in [
            (&[][..], true),
            (&["mtime"], true),
            (&["MTime"], true),
            (&["owner"], false),
            (&["mtime", "owner"], false),
        ] {
            let mut attributes = Attributes::new();
            attributes.insert(Attribute::ContentType, "image/png".into());
            for name in names {
                attributes.insert(Attribute::Metadata((*name).into()), "x".into());
            }
            assert_eq!(known.is_for(&attributes), expected, "{names:?}");
            assert!(urls().is_for(&attributes), "{names:?}");
        }
    }

    #[test]
    fn a_url_is_returned_for_half_of_its_lifetime() {
        let urls = urls();
        let now = Instant::now();
        for (age, expected) in [(0, true), (499, true), (500, false), (1000, false)] {
            assert_eq!(urls.is_recent(now, now + Duration::from_secs(age)), expected, "{age}");
        }
    }

    #[test]
    fn the_number_of_kept_urls_is_bounded() {
        let urls = urls();
        let headers = SignedHeaders::new("image/jpeg", "inline");
        for number in 0..MAX_RECENT + 10 {
            urls.url(&Path::from(number.to_string()), "1", None, &headers).unwrap();
        }
        assert_eq!(urls.recent.lock().unwrap().urls.len(), MAX_RECENT);
    }
}

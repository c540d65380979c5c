//! Cross-origin requests: [`CorsOptions`] name the other origins whose pages may show and read files.
//!
//! Without options, each response says `Cross-Origin-Resource-Policy: same-origin`, and browsers let no other origin use a file. With
//! options, a page of a listed origin may embed files (`<img>`, `<video>`), and its scripts may read them (`fetch`). The permissions
//! decide as before: an origin only gets what its user may read.
//!
//! | request | `Cross-Origin-Resource-Policy` | `Access-Control-Allow-Origin` |
//! |---|---|---|
//! | `Origin` is listed | `cross-origin` | the origin |
//! | `Origin` is another one, `null`, or sent twice | `same-origin` | – |
//! | no `Origin`; `Referer` is of a listed origin | `cross-origin` | – |
//! | no `Origin`, and no such `Referer` | `same-origin` | – |
//!
//! A browser sends no `Origin` for an `<img>` or a `<video>` without the attribute `crossorigin`. It sends a `Referer`, which a page
//! can leave out but not forge, unless the policy of the page forbids it.

mod headers;
mod origin;

use std::time::Duration;

use http::header::{HeaderMap, ORIGIN, REFERER};

pub(crate) use headers::CommonHeaders;
pub use origin::{Origin, OriginError};

/// The origins whose pages may use private files, and how. Set by [`Builder::cors`](crate::Builder::cors).
///
/// ```
/// use private_media::cors::CorsOptions;
/// use private_media::{MemoryStorage, PrivateMedia};
///
/// let cors = CorsOptions::new(["https://app.example".parse()?]).credentials(true);
/// let media = PrivateMedia::builder(MemoryStorage::new()).cors(cors).build();
/// # Ok::<(), private_media::cors::OriginError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorsOptions {
    /// The origins that are allowed.
    pub origins: Vec<Origin>,
    /// Whether scripts may read responses to requests with cookies: `fetch(url, {credentials: "include"})`. The default is no.
    pub credentials: bool,
    /// How long a browser may cache the response to a preflight request. The default is an hour; browsers have limits of their own.
    pub max_age: Duration,
}

impl CorsOptions {
    /// Returns options that allow these origins.
    pub fn new(origins: impl IntoIterator<Item = Origin>) -> Self {
        let origins = origins.into_iter().collect();
        Self { origins, credentials: false, max_age: Duration::from_secs(3600) }
    }

    /// Sets [`CorsOptions::credentials`].
    #[must_use]
    pub fn credentials(mut self, credentials: bool) -> Self {
        self.credentials = credentials;
        self
    }

    /// Sets [`CorsOptions::max_age`].
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Decides what the page that sent a request may do with the response.
    fn access(&self, request: &HeaderMap) -> Access {
        let (mut origins, mut referers) = (request.get_all(ORIGIN).iter(), request.get_all(REFERER).iter());
        match (origins.next(), origins.next(), referers.next(), referers.next()) {
            (Some(origin), None, ..) => {
                let allowed = self.origins.iter().position(|allowed| allowed.value() == origin);
                allowed.map_or(Access::SameOrigin, Access::Read)
            }
            (None, _, Some(page), None) if self.origins.iter().any(|allowed| allowed.contains(page)) => {
                Access::Embed
            }
            _ => Access::SameOrigin,
        }
    }
}

/// What the page that sent a request may do with the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Nothing, unless its origin is that of the files.
    SameOrigin,
    /// Show it.
    Embed,
    /// Show it, and read it by a script. The number is that of the origin.
    Read(usize),
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn listed_origins_may_embed_and_read() {
        const APP: &str = "https://app.example";
        let origins = [APP, "http://localhost:3000"].map(|origin| origin.parse().unwrap());
        let options = CorsOptions::new(origins);
        for (fields, expected) in [
            (&[][..], Access::SameOrigin),
            (&[("origin", APP)], Access::Read(0)),
            (&[("origin", "http://localhost:3000")], Access::Read(1)),
            // An origin has to be equal.
            (&[("origin", "http://app.example")], Access::SameOrigin),
            (&[("origin", "https://app.example:443")], Access::SameOrigin),
            (&[("origin", "https://app.example/")], Access::SameOrigin),
            (&[("origin", "https://app.example.evil.example")], Access::SameOrigin),
            (&[("origin", "https://evil-app.example")], Access::SameOrigin),
            (&[("origin", "https://sub.app.example")], Access::SameOrigin),
            (&[("origin", "HTTPS://APP.EXAMPLE")], Access::SameOrigin),
            (&[("origin", "http://localhost")], Access::SameOrigin),
            (&[("origin", "http://localhost:30000")], Access::SameOrigin),
            (&[("origin", "https://app.example, http://localhost:3000")], Access::SameOrigin),
            (&[("origin", "null")], Access::SameOrigin),
            (&[("origin", "")], Access::SameOrigin),
            (&[("origin", "*")], Access::SameOrigin),
            (&[("origin", APP), ("origin", APP)], Access::SameOrigin),
            // An `<img>` without `crossorigin`.
            (&[("referer", "https://app.example/")], Access::Embed),
            (&[("referer", "https://app.example/cars/7?tab=photos")], Access::Embed),
            (&[("referer", "http://localhost:3000/")], Access::Embed),
            (&[("referer", APP)], Access::Embed),
            (&[("referer", "https://evil.example/")], Access::SameOrigin),
            (&[("referer", "https://evil.example/https://app.example/")], Access::SameOrigin),
            (&[("referer", "https://app.example.evil.example/")], Access::SameOrigin),
            (&[("referer", "https://app.example:8443/")], Access::SameOrigin),
            (&[("referer", "https://app.example@evil.example/")], Access::SameOrigin),
            (&[("referer", "http://app.example/")], Access::SameOrigin),
            (&[("referer", "https://app.example/"), ("referer", "https://app.example/")], Access::SameOrigin),
            // `Origin` is decisive.
            (&[("origin", "https://evil.example"), ("referer", "https://app.example/")], Access::SameOrigin),
            (&[("origin", "null"), ("referer", "https://app.example/")], Access::SameOrigin),
            (&[("origin", APP), ("referer", "https://evil.example/")], Access::Read(0)),
        ] {
            let mut request = HeaderMap::new();
            for (name, value) in fields {
                request.append(*name, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(options.access(&request), expected, "{fields:?}");
        }
    }
}

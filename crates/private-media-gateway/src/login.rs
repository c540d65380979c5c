//! Sends signed-out browsers to a sign-in page.

use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use private_media::identity::Rejection;
use private_media::{AccessRecord, MediaPath, User};

/// Characters that are encoded in the value of a query parameter.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A sign-in page, and how it gets the URL to return to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginPage {
    /// The URL up to the value of the parameter.
    prefix: String,
}

impl LoginPage {
    /// Creates a page from an absolute path of this site or an HTTP URL, the name of the query parameter, and what is put in front
    /// of the path to return to.
    pub(crate) fn new(url: &str, parameter: &str, origin: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "expected a path such as /login/, a URL such as https://example.org/login, or none";
        let is_path = url.starts_with('/') && !url.starts_with("//");
        let is_text = url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\'));
        if !is_text || !(is_path || is_http_url(url)) {
            return Err(EXPECTED);
        }
        let separator = if url.contains('?') { '&' } else { '?' };
        let origin = utf8_percent_encode(origin, ENCODED);
        Ok(Self { prefix: format!("{url}{separator}{parameter}={origin}") })
    }

    /// Parses the name of the query parameter.
    pub(crate) fn parameter(value: &str) -> Result<String, &'static str> {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !value.is_empty() && value.bytes().all(is_legal) {
            Ok(value.to_owned())
        } else {
            Err("not the name of a query parameter; expected e.g. next or rd")
        }
    }

    /// Parses a scheme and a host.
    pub(crate) fn origin(value: &str) -> Result<String, &'static str> {
        let has_path = value.matches('/').count() > 2;
        if value.is_empty() || (is_http_url(value) && !has_path && !value.contains(['?', '#'])) {
            Ok(value.to_owned())
        } else {
            Err("not an origin; expected scheme and host, e.g. https://media.example.org")
        }
    }

    /// Returns the URL of the page for a path of this site with its query.
    fn url_for(&self, path: &str) -> String {
        format!("{}{}", self.prefix, utf8_percent_encode(path, ENCODED))
    }
}

fn is_http_url(url: &str) -> bool {
    let has_scheme = url.starts_with("https://") || url.starts_with("http://");
    let authority = url.parse::<Uri>().ok().and_then(|url| url.authority().cloned());
    has_scheme && authority.is_some_and(|authority| !authority.as_str().contains('@'))
}

/// The sign-in pages of the identity sources, in their order. Without any, browsers get a 404 as all clients do.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoginPages(Vec<(&'static str, LoginPage)>);

impl LoginPages {
    /// Creates the pages from the names of their sources.
    pub(crate) fn new(pages: impl IntoIterator<Item = (&'static str, LoginPage)>) -> Self {
        Self(pages.into_iter().collect())
    }

    /// Returns the sign-in page for a request that was refused, if a signed-out browser navigates by it. Nothing but the request
    /// decides, so the response does not disclose whether the file exists. `url` is the URL prefix of the private files.
    pub(crate) fn location(&self, head: &Parts, record: &AccessRecord, url: &str) -> Option<HeaderValue> {
        let path = record.path.as_ref().filter(|_| record.needs_sign_in)?;
        let page = self.of(record.identity.rejection().map(Rejection::source))?;
        if !is_navigation(&head.method, &head.headers) {
            return None;
        }
        HeaderValue::try_from(page.url_for(&full_path(path, url, head.uri.query()))).ok()
    }

    /// Returns the sign-in page for a request that was refused, if a signed-in browser navigates by it: there, the user may sign in as
    /// someone else. Empty if there is no such page.
    pub(crate) fn location_of_other(&self, head: &Parts, record: &AccessRecord, url: &str) -> Option<String> {
        let path = record.path.as_ref().filter(|_| is_navigation(&head.method, &head.headers))?;
        let page = self.of(record.identity.user().and_then(User::identified_by));
        Some(page.map(|page| page.url_for(&full_path(path, url, head.uri.query()))).unwrap_or_default())
    }

    /// Returns the URL of the first page, for a path of this site to return to.
    pub(crate) fn url_of_first(&self, path: &str) -> Option<String> {
        self.of(None).map(|page| page.url_for(path))
    }

    /// Returns the page of a source, or else the first one.
    fn of(&self, source: Option<&str>) -> Option<&LoginPage> {
        let of_source = self.0.iter().find(|(name, _)| Some(*name) == source);
        of_source.or(self.0.first()).map(|(_, page)| page)
    }
}

/// Returns the URL of a file on this site. The canonical path has neither an empty segment nor a backslash, so it never names a host.
fn full_path(path: &MediaPath, url: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{url}{}?{query}", path.to_url()),
        None => format!("{url}{}", path.to_url()),
    }
}

/// Returns whether a browser sends this request to show a page. Old browsers, and all over plain HTTP, send no `Sec-Fetch` headers.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is_html = |range: &str| {
        range.split(';').next().is_some_and(|range| range.trim().eq_ignore_ascii_case("text/html"))
    };
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    matches!(*method, Method::GET | Method::HEAD)
        && accepted.flat_map(|value| value.split(',')).any(is_html)
        && match headers.get("sec-fetch-mode") {
            Some(mode) => mode == "navigate",
            None => !headers.keys().any(|name| name.as_str().starts_with("sec-fetch-")),
        }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use private_media::Identity;
    use proptest::prelude::*;

    use super::*;

    fn page(url: &str) -> LoginPage {
        LoginPage::new(url, "next", "").unwrap()
    }

    #[test]
    fn urls_of_sign_in_pages() {
        for (url, expected) in [
            ("/login/", Some("/login/?next=/p/a")),
            ("/login/?theme=dark", Some("/login/?theme=dark&next=/p/a")),
            ("https://example.org/login", Some("https://example.org/login?next=/p/a")),
            ("http://example.org:8080", Some("http://example.org:8080?next=/p/a")),
            ("", None),
            ("login", None),
            ("//evil.example/login", None),
            ("/\\evil.example/login", None),
            ("/a b", None),
            ("/a\r\nset-cookie: a=b", None),
            ("/login#form", None),
            ("https://user:pencil@example.org/", None),
            ("https://", None),
            ("ftp://example.org/", None),
            ("javascript:alert(1)", None),
        ] {
            let location = LoginPage::new(url, "next", "").ok().map(|page| page.url_for("/p/a"));
            assert_eq!(location.as_deref(), expected, "{url:?}");
        }
        let away = LoginPage::new("https://auth.example.org/", "rd", "https://media.example.org").unwrap();
        let location = "https://auth.example.org/?rd=https%3A//media.example.org/p/a%20b%3Fx%3D1%262";
        assert_eq!(away.url_for("/p/a b?x=1&2"), location);
    }

    #[test]
    fn parameters_and_origins() {
        for (value, is_valid) in
            [("next", true), ("rd", true), ("", false), ("a=b", false), ("a&b", false), ("ä", false)]
        {
            assert_eq!(LoginPage::parameter(value).is_ok(), is_valid, "{value:?}");
        }
        for (value, is_valid) in [
            ("", true),
            ("https://media.example.org", true),
            ("http://[::1]:8000", true),
            ("https://media.example.org/", false),
            ("https://media.example.org?a", false),
            ("https://a@media.example.org", false),
            ("media.example.org", false),
        ] {
            assert_eq!(LoginPage::origin(value).is_ok(), is_valid, "{value:?}");
        }
    }

    const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

    #[test]
    fn only_browsers_that_show_a_page_navigate() {
        for (method, headers, expected) in [
            ("GET", &[HTML, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")][..], true),
            ("HEAD", &[HTML, ("sec-fetch-mode", "navigate")], true),
            // Old browsers, and those on plain HTTP.
            ("GET", &[HTML], true),
            ("GET", &[("accept", "Text/HTML;q=0.5")], true),
            ("GET", &[("accept", "image/png"), ("accept", "text/html")], true),
            ("POST", &[HTML, ("sec-fetch-mode", "navigate")], false),
            // An <img>, a script, fetch().
            ("GET", &[HTML, ("sec-fetch-mode", "no-cors")], false),
            ("GET", &[HTML, ("sec-fetch-mode", "cors")], false),
            ("GET", &[HTML, ("sec-fetch-mode", "same-origin")], false),
            ("GET", &[HTML, ("sec-fetch-site", "same-origin")], false),
            ("GET", &[("accept", "image/avif,image/webp,*/*;q=0.8")], false),
            ("GET", &[("accept", "*/*")], false),
            ("GET", &[("accept", "text/*")], false),
            ("GET", &[("accept", "application/x-text/html")], false),
            ("GET", &[("sec-fetch-mode", "navigate")], false),
            ("GET", &[], false),
        ] {
            let request = Request::builder().method(method);
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_navigation(&head.method, &head.headers), expected, "{method} {headers:?}");
        }
    }

    fn record(identity: Identity, needs_sign_in: bool) -> AccessRecord {
        let mut record = AccessRecord::default();
        record.path = Some(MediaPath::new("cars/7/a photo.jpg").unwrap());
        record.needs_sign_in = needs_sign_in;
        record.identity = identity;
        record
    }

    #[test]
    fn the_source_that_rejects_a_credential_has_the_page() {
        let rejected = |source: &'static str| Identity::from(Rejection::new(source, "expired"));
        let pages = LoginPages::new([("django", page("/login/")), ("jwt", page("https://sso.example/"))]);
        let path = "/private/cars/7/a%2520photo.jpg%3Fdownload";
        for (identity, needs_sign_in, expected) in [
            (Identity::Anonymous, true, Some("/login/?next=")),
            (rejected("django"), true, Some("/login/?next=")),
            (rejected("jwt"), true, Some("https://sso.example/?next=")),
            (rejected("forward"), true, Some("/login/?next=")),
            (Identity::Anonymous, false, None),
            (User::new("8").into(), false, None),
        ] {
            let request = Request::get("/private/cars/7/a%20photo.jpg?download").header(HTML.0, HTML.1);
            let (head, ()) = request.body(()).unwrap().into_parts();
            let record = record(identity, needs_sign_in);
            let location = pages.location(&head, &record, "/private/");
            assert_eq!(location, expected.map(|page| format!("{page}{path}").parse().unwrap()), "{record:?}");
            assert_eq!(LoginPages::default().location(&head, &record, "/private/"), None);
        }
    }

    proptest! {
        /// No request leads to another page, or changes another parameter.
        #[test]
        fn the_request_is_the_value_of_one_parameter(path in "[a-z0-9 ä%&=?#+.-]{1,20}", query in "[!-~&&[^#]]{0,40}") {
            let Ok(path) = MediaPath::new(&path) else { return Ok(()) };
            let uri = format!("/private/{}?{query}", path.to_url());
            let Ok(request) = Request::get(&uri).header(HTML.0, HTML.1).body(()) else { return Ok(()) };
            let (head, ()) = request.into_parts();
            let mut record = record(Identity::Anonymous, true);
            record.path = Some(path);
            let pages = LoginPages::new([("accounts", page("/private/-/sign-in"))]);
            let location = pages.location(&head, &record, "/private/").unwrap();
            let value = location.to_str().unwrap().strip_prefix("/private/-/sign-in?next=").unwrap();
            prop_assert!(!value.contains(['&', '=', '#', '+', ' ']), "{value}");
            let decoded = percent_encoding::percent_decode_str(value).decode_utf8().unwrap();
            prop_assert_eq!(decoded, uri);
        }
    }
}

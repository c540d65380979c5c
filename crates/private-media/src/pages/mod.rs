//! The look of the built-in pages: the sign-in page, and pages of a server that match it.

mod logo;

use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use sha2::{Digest, Sha256};

pub use logo::{Logo, LogoError};

/// The name and the logo of a site, on all of its built-in pages. By default there is neither.
///
/// ```
/// use http::StatusCode;
/// use private_media::pages::Branding;
///
/// let page = Branding::new("Car Club").page(StatusCode::NOT_FOUND, "Not found", "<h1>Not found</h1>");
/// assert_eq!(page.status(), 404);
/// assert_eq!(page.headers()["cache-control"], "no-store");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Branding {
    name: String,
    logo: Option<Logo>,
}

impl Branding {
    /// Returns the branding of a site with this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), logo: None }
    }

    /// Sets the logo, which is shown in front of the name.
    #[must_use]
    pub fn logo(mut self, logo: Logo) -> Self {
        self.logo = Some(logo);
        self
    }

    /// Returns a page with a title, which is text, and this content, which is HTML and in which values must be escaped.
    ///
    /// No cache stores the page. Its content security policy allows no script, no other style and no resource of any host.
    #[must_use]
    pub fn page(&self, status: StatusCode, title: &str, content: &str) -> Response<Full<Bytes>> {
        let mut html = String::with_capacity(STYLE.len() + content.len() + 1024);
        html.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        html.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
        let separator = if self.name.is_empty() { "" } else { " · " };
        // Writing to a string cannot fail.
        let _ = writeln!(html, "<title>{}{separator}{}</title>", escape(title), escape(&self.name));
        let _ = writeln!(html, "<style>{STYLE}</style>\n</head>\n<body>\n<main>");
        match &self.logo {
            Some(logo) => {
                let _ = writeln!(
                    html,
                    "<p class=\"brand\"><img src=\"{}\" alt=\"\">{}</p>",
                    logo.url(),
                    escape(&self.name)
                );
            }
            None if self.name.is_empty() => {}
            None => {
                let _ = writeln!(html, "<p class=\"brand\">{LOCK}{}</p>", escape(&self.name));
            }
        }
        let _ = writeln!(html, "{content}\n</main>\n</body>\n</html>");
        let mut response = Response::new(Full::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
        add_safety(&mut response);
        response
    }
}

/// Adds the headers that all pages have in common.
pub(crate) fn add_safety<B>(response: &mut Response<B>) {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer`, browsers would send `Origin: null` with the forms of a page.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// Escapes a text for HTML, also in an attribute with quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// The content security policy: only the style of the page applies, which is identified by its digest. A logo is part of the page.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::try_from(policy)
        .unwrap_or(HeaderValue::from_static("default-src 'none'; form-action 'self'"))
});

const STYLE: &str = include_str!("page.css");
const LOCK: &str = "<svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" aria-hidden=\"true\">\
    <path d=\"M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3\"/></svg>";

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn html(response: Response<Full<Bytes>>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn names_are_text() {
        let branding = Branding::new("<b>Cars & \"Co\"</b>");
        let page = html(branding.page(StatusCode::OK, "<i>", "<h1>x</h1>")).await;
        assert!(
            page.contains("<title>&lt;i&gt; · &lt;b&gt;Cars &amp; &quot;Co&quot;&lt;/b&gt;</title>"),
            "{page}"
        );
        assert!(!page.contains("<b>") && !page.contains("<i>") && page.contains("<h1>x</h1>"), "{page}");
    }

    #[tokio::test]
    async fn a_page_without_branding_has_no_line_for_it() {
        let page = html(Branding::default().page(StatusCode::OK, "Sign in", "<h1>x</h1>")).await;
        assert!(page.contains("<title>Sign in</title>") && !page.contains("class=\"brand\""), "{page}");
    }

    #[tokio::test]
    async fn the_policy_allows_the_style_of_the_page() {
        let logo = Logo::new(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
        let page = Branding::new("Cars").logo(logo).page(StatusCode::OK, "x", "");
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let page = html(page).await;
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let digest = STANDARD.encode(Sha256::digest(style));
        assert!(policy.contains(&format!("style-src 'sha256-{digest}'")), "{policy}");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(page.contains("<img src=\"data:image/svg+xml;base64,PHN2Z"), "{page}");
        assert!(!page.contains(" style=") && !page.contains("<script"), "{page}");
    }
}

//! The sign-in and sign-out pages.
//!
//! A form of another site could sign the visitor in as another user, or out (CSRF). [`is_cross_site`] rejects such forms, so the pages need
//! neither a token nor a script.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use sha2::{Digest, Sha256};

use super::file::Account;
use super::{Accounts, LoginError, device, session};
use crate::identity::{self, ClientAddr, is_cross_site, whole_seconds};

/// The maximum length of a form, in bytes.
const MAX_FORM: usize = 8 << 10;
/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);
const NOT_STORED: &str = "You are signed out here, but this could not be stored. \
    Until it is, a copy of your session is valid again after a restart of this server, and on other servers.\n";

impl Accounts {
    /// Responds to requests for `/-/sign-in` and `/-/sign-out`, relative to the mount of private media. Returns `None` for other paths.
    ///
    /// The sign-in form has the fields `name`, `password` and `next`, a path of this site to which the response redirects.
    pub async fn page<B>(&self, request: Request<B>) -> Option<Response<Full<Bytes>>>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let page = match head.uri.path() {
            "/-/sign-in" => Page::SignIn,
            "/-/sign-out" => Page::SignOut,
            _ => return None,
        };
        let response = match head.method {
            Method::GET | Method::HEAD => {
                let next = head.uri.query().and_then(|query| field(query.as_bytes(), "next"));
                self.form(page, StatusCode::OK, &next.unwrap_or_default(), None)
            }
            Method::POST if is_cross_site(&head) => {
                plain(StatusCode::FORBIDDEN, "this form was submitted by another site\n")
            }
            Method::POST => match read(body).await {
                Ok(form) => self.post(page, &head, &form).await,
                Err(status) => plain(status, "the form is too large or did not arrive in time\n"),
            },
            _ => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
                response
            }
        };
        let is_head = head.method == Method::HEAD;
        Some(if is_head { response.map(|_| Full::default()) } else { response })
    }

    async fn post(&self, page: Page, head: &Parts, form: &[u8]) -> Response<Full<Bytes>> {
        let next = field(form, "next").unwrap_or_default();
        let now = SystemTime::now();
        if let Page::SignOut = page {
            let cleared = self.session_cookie("", Duration::ZERO, head);
            let Some(token) = identity::cookie(&head.headers, session::NAME).single() else {
                return Self::redirect(&next, cleared);
            };
            if let Err(error) = self.end_session(token, now).await {
                tracing::error!(%error, "a sign-out could not be stored");
                let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, NOT_STORED);
                response.headers_mut().extend(cleared.map(|cookie| (SET_COOKIE, cookie)));
                return response;
            }
            return Self::redirect(&next, cleared);
        }
        let name = field(form, "name").unwrap_or_default();
        let password = field(form, "password").unwrap_or_default();
        let from: Option<ClientAddr> = head.extensions.get().copied();
        let guesser = self.guesser(&name, head);
        let closed = head.extensions.get().cloned().unwrap_or_default();
        match self.verify_account(&name, &password, guesser, closed).await {
            Ok(account) => match self.begin_session(&account, now + self.0.options.session_lifetime) {
                Some(token) => {
                    let session = self.session_cookie(&token, self.0.options.session_lifetime, head);
                    let mut response = Self::redirect(&next, session);
                    if let Some(device) = self.device_cookie(&account, head, now) {
                        response.headers_mut().append(SET_COOKIE, device);
                    }
                    response
                }
                None => plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot create a session\n"),
            },
            Err(refused) if refused.overloaded => {
                self.refuse(page, StatusCode::SERVICE_UNAVAILABLE, &next, refused)
            }
            Err(refused) => {
                let is_account = self.current().accounts.contains_key(&name);
                self.0.refusals.log(&name, is_account, from, &refused);
                // 401 needs a challenge (RFC 9110 section 15.5.2), for which a browser opens its own dialog.
                let status = if refused.wait.is_some() {
                    StatusCode::TOO_MANY_REQUESTS
                } else {
                    StatusCode::FORBIDDEN
                };
                self.refuse(page, status, &next, refused)
            }
        }
    }

    fn refuse(
        &self,
        page: Page,
        status: StatusCode,
        next: &str,
        refused: LoginError,
    ) -> Response<Full<Bytes>> {
        let mut response = self.form(page, status, next, Some(refused));
        if let Some(wait) = refused.wait {
            response.headers_mut().insert(RETRY_AFTER, whole_seconds(wait).into());
        }
        response
    }

    fn session_cookie(&self, token: &str, lifetime: Duration, head: &Parts) -> Option<HeaderValue> {
        cookie(session::NAME, token, &self.0.options.cookie_path, lifetime, head)
    }

    /// Returns the cookie that identifies this browser at its next sign-in to the account. Only the sign-in page receives it.
    fn device_cookie(&self, account: &Account, head: &Parts, now: SystemTime) -> Option<HeaderValue> {
        let current = self.current();
        let known = device::known(&head.headers, account, &current.device_key, now);
        let token = device::token(known, account, &current.device_key, now)?;
        cookie(device::NAME, &token, &format!("{}-/sign-in", self.0.options.url), device::LIFETIME, head)
    }

    /// Redirects to `next` if it is a path of this site, or else to `/`.
    fn redirect(next: &str, cookie: Option<HeaderValue>) -> Response<Full<Bytes>> {
        let mut response = plain(StatusCode::SEE_OTHER, "");
        let location = HeaderValue::try_from(safe_next(next)).unwrap_or(HeaderValue::from_static("/"));
        response.headers_mut().insert(LOCATION, location);
        response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        response
    }

    fn form(
        &self,
        page: Page,
        status: StatusCode,
        next: &str,
        refused: Option<LoginError>,
    ) -> Response<Full<Bytes>> {
        let url = &self.0.options.url;
        let next = escape(safe_next(next));
        let html = match page {
            Page::SignIn => {
                let alert = refused.map(|refused| {
                    format!("<p role=\"alert\">{}.</p>", escape(&capital(&refused.to_string())))
                });
                SIGN_IN.replace("{alert}", &alert.unwrap_or_default())
            }
            Page::SignOut => SIGN_OUT.to_owned(),
        };
        // Values are inserted last, because they may contain a placeholder.
        let html = PAGE
            .replace("{form}", &html)
            .replace("{style}", STYLE)
            .replace("{url}", &escape(url))
            .replace("{next}", &next);
        let mut response = Response::new(Full::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
        add_safety(&mut response);
        response
    }
}

fn cookie(name: &str, token: &str, path: &str, lifetime: Duration, head: &Parts) -> Option<HeaderValue> {
    // Origin has the scheme that the browser uses, even behind a front server.
    let origin = head.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let is_https = origin.starts_with("https://") || head.uri.scheme_str() == Some("https");
    let secure = if is_https { "; Secure" } else { "" };
    let seconds = lifetime.as_secs();
    let cookie = format!("{name}={token}; HttpOnly; SameSite=Lax{secure}; Path={path}; Max-Age={seconds}");
    HeaderValue::try_from(cookie).ok()
}

#[derive(Debug, Clone, Copy)]
enum Page {
    SignIn,
    SignOut,
}

/// Returns `next` if a browser resolves it to a path of this site, or else `/`. Percent-encoding cannot introduce a host.
fn safe_next(next: &str) -> &str {
    // Browsers treat `\` as `/`, and remove tabs and line ends. Two slashes introduce a host.
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    if is_path && next.bytes().all(|byte| (0x21..0x7f).contains(&byte)) { next } else { "/" }
}

async fn read<B>(body: B) -> Result<Bytes, StatusCode>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let form = tokio::time::timeout(FORM_TIMEOUT, Limited::new(body, MAX_FORM).collect());
    match form.await {
        Ok(Ok(form)) => Ok(form.to_bytes()),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Returns a form field that occurs exactly once.
fn field(form: &[u8], name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(form).filter(|(own, _)| own == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.into_owned())
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = crate::text::text(status, text);
    add_safety(&mut response);
    response
}

fn add_safety<B>(response: &mut Response<B>) {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer`, browsers would send `Origin: null` with this page's form.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

fn escape(text: &str) -> String {
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

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The content security policy: only the style of the page applies, which is identified by its digest.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::try_from(policy)
        .unwrap_or(HeaderValue::from_static("default-src 'none'; form-action 'self'"))
});

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SIGN_IN: &str = r#"<h1>Sign in</h1>
{alert}<form method="post" action="{url}-/sign-in">
<input type="hidden" name="next" value="{next}">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form>"#;
const SIGN_OUT: &str = r#"<h1>Sign out?</h1>
<form method="post" action="{url}-/sign-out">
<input type="hidden" name="next" value="{next}">
<button>Sign out</button>
</form>"#;

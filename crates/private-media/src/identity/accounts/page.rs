//! The sign-in and sign-out pages.
//!
//! A form of another site could sign the visitor in as another user, or out (CSRF). [`is_cross_site`] rejects such forms, so the pages need
//! neither a token nor a script.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};

use super::file::Account;
use super::{Accounts, LoginError, SessionRecord, device, session};
use crate::identity::{self, Https, is_cross_site, whole_seconds};
use crate::pages::{add_safety, escape};

/// The maximum length of a form, in bytes.
const MAX_FORM: usize = 8 << 10;
/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum length of a name that the form shows again, in bytes.
const MAX_SHOWN_NAME: usize = 256;
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
                let next = next.unwrap_or_default();
                match page {
                    Page::SignIn => self.sign_in_page(StatusCode::OK, &next, "", None),
                    Page::SignOut => self.sign_out_page(&next),
                }
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
                return self.redirect(&next, cleared);
            };
            let session = self.current().signed_in(token).ok().filter(|(session, _)| session.expires > now);
            if let Err(error) = self.end_session(token, now).await {
                tracing::error!(%error, "a sign-out could not be stored");
                let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, NOT_STORED);
                response.headers_mut().extend(cleared.map(|cookie| (SET_COOKIE, cookie)));
                return response;
            }
            let mut response = self.redirect(&next, cleared);
            if let Some((session, identity)) = session {
                Self::signed_out(&session.name, head);
                let user = identity.shared_user();
                response.extensions_mut().insert(SessionRecord::signed_out(user));
            }
            return response;
        }
        let name = field(form, "name").unwrap_or_default();
        let password = field(form, "password").unwrap_or_default();
        let guesser = self.guesser(&name, head);
        let closed = head.extensions.get().cloned().unwrap_or_default();
        match self.verify_account(&name, &password, guesser, closed).await {
            Ok(account) => match self.begin_session(&account, now + self.0.options.session_lifetime) {
                Some(token) => {
                    self.signed_in(account.name(), head);
                    let session = self.session_cookie(&token, self.0.options.session_lifetime, head);
                    let mut response = self.redirect(&next, session);
                    if let Some(device) = self.device_cookie(&account, head, now) {
                        response.headers_mut().append(SET_COOKIE, device);
                    }
                    response.extensions_mut().insert(SessionRecord::signed_in(&account.user));
                    response
                }
                None => plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot create a session\n"),
            },
            Err(refused) => {
                self.sign_in_refused(&name, head, &refused);
                let user = self.current().accounts.get(&name).map(|account| Arc::clone(&account.user));
                let mut response = self.refuse(&next, &name, refused);
                response.extensions_mut().insert(SessionRecord::refused(user, refused));
                response
            }
        }
    }

    fn refuse(&self, next: &str, name: &str, refused: LoginError) -> Response<Full<Bytes>> {
        let status = match refused {
            // 401 needs a challenge (RFC 9110 section 15.5.2), for which a browser opens its own dialog.
            LoginError::Wrong => StatusCode::FORBIDDEN,
            LoginError::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            LoginError::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = self.sign_in_page(status, next, name, Some(refused));
        if let Some(wait) = refused.retry_after() {
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

    /// Redirects to `next` if it is a path of this site, or else to the home page.
    fn redirect(&self, next: &str, cookie: Option<HeaderValue>) -> Response<Full<Bytes>> {
        let mut response = plain(StatusCode::SEE_OTHER, "");
        let location = HeaderValue::try_from(self.next(next)).unwrap_or(HeaderValue::from_static("/"));
        response.headers_mut().insert(LOCATION, location);
        response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        response
    }

    /// Returns `next` if it is a path of this site, or else the home page.
    fn next<'a>(&'a self, next: &'a str) -> &'a str {
        if is_path(next) { next } else { &self.0.options.home }
    }

    /// Returns the sign-in form. After a failed attempt, it contains the name, and why the attempt failed.
    fn sign_in_page(
        &self,
        status: StatusCode,
        next: &str,
        name: &str,
        refused: Option<LoginError>,
    ) -> Response<Full<Bytes>> {
        let (url, next) = (escape(&self.0.options.url), escape(self.next(next)));
        let name = if name.len() <= MAX_SHOWN_NAME { escape(name) } else { String::new() };
        let (alert, described) = match refused {
            Some(refused) => (
                format!("<p role=\"alert\" id=\"problem\">{}.</p>\n", escape(&capital(&refused.to_string()))),
                " aria-describedby=\"problem\"",
            ),
            None => (String::new(), ""),
        };
        let invalid = if let Some(LoginError::Wrong) = refused { " aria-invalid=\"true\"" } else { "" };
        let (focus_name, focus_password) =
            if name.is_empty() { (" autofocus", "") } else { ("", " autofocus") };
        let content = format!(
            r#"<h1>Sign in</h1>
{alert}<form method="post" action="{url}-/sign-in">
<input type="hidden" name="next" value="{next}">
<label for="name">Name</label>
<input id="name" name="name" value="{name}" autocomplete="username" autocapitalize="none" spellcheck="false"{described}{invalid} required{focus_name}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password"{described}{invalid} required{focus_password}>
<button>Sign in</button>
</form>"#
        );
        self.0.options.branding.page(status, "Sign in", &content)
    }

    fn sign_out_page(&self, next: &str) -> Response<Full<Bytes>> {
        let (url, next) = (escape(&self.0.options.url), escape(self.next(next)));
        let content = format!(
            r#"<h1>Sign out?</h1>
<form method="post" action="{url}-/sign-out">
<input type="hidden" name="next" value="{next}">
<button>Sign out</button>
</form>"#
        );
        self.0.options.branding.page(StatusCode::OK, "Sign out", &content)
    }
}

fn cookie(name: &str, token: &str, path: &str, lifetime: Duration, head: &Parts) -> Option<HeaderValue> {
    // Origin has the scheme that the browser uses, even behind a front server.
    let origin = head.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let is_https = origin.starts_with("https://")
        || head.uri.scheme_str() == Some("https")
        || head.extensions.get::<Https>().is_some();
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

/// Returns whether a browser resolves a URL to a path of this site. Percent-encoding cannot introduce a host.
fn is_path(next: &str) -> bool {
    // Browsers treat `\` as `/`, and remove tabs and line ends. Two slashes introduce a host.
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    is_path && next.bytes().all(|byte| (0x21..0x7f).contains(&byte))
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

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

//! Origins, in the format of browsers.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use http::HeaderValue;

/// The origin of a page: scheme, host and port, exactly as browsers send it in `Origin` (RFC 6454 section 6.2). There is no wildcard,
/// and `null`, the origin of sandboxed pages and local files, is none.
///
/// ```
/// use private_media::cors::Origin;
///
/// assert!("https://app.example".parse::<Origin>().is_ok());
/// assert!("http://localhost:3000".parse::<Origin>().is_ok());
/// let error = "https://app.example/".parse::<Origin>().unwrap_err();
/// assert_eq!(error.to_string(), "invalid origin \"https://app.example/\": it has a path; expected https://app.example");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl Origin {
    pub(super) fn value(&self) -> &HeaderValue {
        &self.0
    }

    /// Returns whether a URL, such as that of a `Referer`, is of this origin.
    pub(super) fn contains(&self, url: &HeaderValue) -> bool {
        let path = url.as_bytes().strip_prefix(self.0.as_bytes());
        path.is_some_and(|path| path.is_empty() || path.starts_with(b"/"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let error = |problem: String| OriginError { origin: text.to_owned(), problem };
        let expected = parse(text).map_err(error)?;
        if expected != text {
            let problem = if text.contains(char::is_uppercase) {
                "it has upper-case letters"
            } else if after_authority(text).is_some() {
                "it has a path"
            } else {
                "it has the default port"
            };
            return Err(error(format!("{problem}; expected {expected}")));
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| error("it has a control character".into()))
    }
}

/// Returns the origin of a URL in the format of browsers.
fn parse(text: &str) -> Result<String, String> {
    match text {
        "*" => return Err("a wildcard would allow every page; list each origin".into()),
        "null" => return Err("sandboxed pages of every site have this origin; list each origin".into()),
        _ => {}
    }
    let (scheme, rest) =
        text.split_once("://").ok_or("expected scheme and host, e.g. https://app.example")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match &*scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err("the scheme is neither http nor https; expected e.g. https://app.example".into()),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if !host.is_ascii() {
        return Err("the host is not ASCII; write it in Punycode (xn--…)".into());
    }
    if host.contains('*') {
        return Err("a wildcard is not supported; list each origin".into());
    }
    if !is_host(host) {
        return Err(format!("{host:?} is not a host; expected e.g. https://app.example"));
    }
    let host = host.to_ascii_lowercase();
    let port = match port {
        None => None,
        Some(digits) => {
            let port = digits.parse::<u16>().ok().filter(|port| port.to_string() == digits && *port != 0);
            Some(port.ok_or_else(|| format!("{digits:?} is not a port; expected 1 to 65535"))?)
        }
    };
    match port.filter(|port| *port != default_port) {
        Some(port) => Ok(format!("{scheme}://{host}:{port}")),
        None => Ok(format!("{scheme}://{host}")),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    host.split('.').all(|label| !label.is_empty() && label.chars().all(is_legal))
}

/// Returns the path, query or fragment of a URL.
fn after_authority(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    rest.find(['/', '?', '#']).and_then(|at| rest.get(at..))
}

/// The error of an invalid [`Origin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginError {
    origin: String,
    problem: String,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid origin {:?}: {}", self.origin, self.problem)
    }
}

impl std::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn origins_are_accepted_as_browsers_send_them() {
        for text in [
            "https://app.example",
            "http://app.example:8080",
            "https://app.example:80",
            "http://localhost:3000",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "https://xn--bcher-kva.example",
            "https://my_app.example",
        ] {
            assert_eq!(text.parse::<Origin>().map(|origin| origin.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn invalid_origins_are_rejected_with_the_fix() {
        for (text, problem) in [
            ("*", "a wildcard would allow every page; list each origin"),
            ("null", "sandboxed pages of every site have this origin; list each origin"),
            ("", "expected scheme and host, e.g. https://app.example"),
            ("app.example", "expected scheme and host, e.g. https://app.example"),
            ("//app.example", "expected scheme and host, e.g. https://app.example"),
            ("ftp://app.example", "neither http nor https"),
            ("file:///", "neither http nor https"),
            ("https://", "\"\" is not a host"),
            ("https://*.example", "a wildcard is not supported"),
            ("https://app.example/", "it has a path; expected https://app.example"),
            ("https://app.example/cars?x", "it has a path; expected https://app.example"),
            ("https://app.example?x", "it has a path; expected https://app.example"),
            ("https://App.Example", "upper-case letters; expected https://app.example"),
            ("HTTPS://app.example", "upper-case letters; expected https://app.example"),
            ("https://app.example:443", "it has the default port; expected https://app.example"),
            ("http://app.example:80", "it has the default port; expected http://app.example"),
            ("https://app.example:", "\"\" is not a port"),
            ("https://app.example:0", "\"0\" is not a port"),
            ("https://app.example:0443", "\"0443\" is not a port"),
            ("https://app.example:65536", "\"65536\" is not a port"),
            ("https://app.example:+443", "\"+443\" is not a port"),
            ("https://me@app.example", "\"me@app.example\" is not a host"),
            ("https://app..example", "is not a host"),
            ("https://app.example.", "is not a host"),
            ("https://app example", "is not a host"),
            ("https://[::1", "is not a host"),
            ("https://[x]", "is not a host"),
            ("https://bücher.example", "Punycode"),
            ("https://a.example https://b.example", "is not a host"),
            ("https://a.example,https://b.example", "is not a host"),
            ("https://a.example\r\nx: y", "is not a host"),
        ] {
            let error = text.parse::<Origin>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid origin {text:?}: ")), "{error}");
            assert!(error.contains(problem), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn only_a_path_may_follow_the_origin_of_a_url(rest in "[:/@.?#a-z0-9]{0,8}") {
            let origin: Origin = "https://app.example".parse().unwrap();
            let url = HeaderValue::try_from(format!("https://app.example{rest}")).unwrap();
            prop_assert_eq!(origin.contains(&url), rest.is_empty() || rest.starts_with('/'));
        }

        #[test]
        fn a_valid_origin_prints_as_its_text(text in "(https?|HTTP|x)://[a-zA-Z0-9.:\\[\\]@/*-]{0,12}") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(origin.to_string(), text);
            }
        }
    }
}

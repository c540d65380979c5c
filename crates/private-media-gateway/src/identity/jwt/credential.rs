//! Finds the token of a request: a bearer token, or a cookie.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use percent_encoding::percent_decode_str;
use private_media::identity::{has_cookie, single_cookie};
use serde_json::Value;

/// The maximum length of a bearer token, in bytes.
const MAX_BEARER: usize = 8 << 10;
/// The maximum length of a cookie, in bytes, all chunks together.
const MAX_COOKIE: usize = 16 << 10;
/// The maximum number of chunks of a cookie.
const MAX_CHUNKS: usize = 16;

/// The credential of a request, before it is decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// A token in the `Authorization` header.
    Bearer(&'a str),
    /// The chunks of a cookie's value.
    Cookie(Vec<&'a str>),
}

/// The name of a cookie that contains a token, and of its chunks.
#[derive(Debug, Clone)]
pub(super) struct CookieName {
    name: String,
    /// `NAME.0`, `NAME.1` and so on: browsers limit the size of a cookie, so Supabase splits its own.
    chunks: Vec<String>,
}

impl CookieName {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), chunks: (0..MAX_CHUNKS).map(|at| format!("{name}.{at}")).collect() }
    }
}

impl<'a> Credential<'a> {
    /// Finds the credential of a request, or the reason why it cannot be valid. The `Authorization` header takes precedence over the
    /// cookie.
    pub(super) fn find(
        headers: &'a HeaderMap,
        cookie: Option<&CookieName>,
    ) -> Option<Result<Self, &'static str>> {
        Self::bearer(headers).or_else(|| Self::cookie(headers, cookie?))
    }

    fn bearer(headers: &'a HeaderMap) -> Option<Result<Self, &'static str>> {
        let lines = || headers.get_all(AUTHORIZATION).iter();
        let token = lines().find_map(bearer_token)?;
        Some(if lines().nth(1).is_some() {
            Err("the request has several Authorization headers")
        } else if token.len() > MAX_BEARER {
            Err("the token is longer than 8 KiB")
        } else {
            Ok(Self::Bearer(token))
        })
    }

    fn cookie(headers: &'a HeaderMap, cookie: &CookieName) -> Option<Result<Self, &'static str>> {
        let names = std::slice::from_ref(&cookie.name);
        let names = if has_cookie(headers, &cookie.name) { names } else { &cookie.chunks };
        let mut chunks = Vec::new();
        for name in names.iter().take_while(|name| has_cookie(headers, name)) {
            match single_cookie(headers, name) {
                Some(chunk) => chunks.push(chunk),
                None => return Some(Err("the cookie is sent twice, or is not ASCII")),
            }
        }
        if chunks.iter().map(|chunk| chunk.len()).sum::<usize>() > MAX_COOKIE {
            return Some(Err("the cookie is longer than 16 KiB"));
        }
        (!chunks.is_empty()).then_some(Ok(Self::Cookie(chunks)))
    }

    /// Returns the parts that identify the credential in a cache.
    pub(super) fn parts(&self) -> &[&'a str] {
        match self {
            Self::Bearer(token) => std::slice::from_ref(token),
            Self::Cookie(chunks) => chunks,
        }
    }

    /// Returns the token, or the reason why there is none.
    pub(super) fn token(&self) -> Result<Cow<'a, str>, &'static str> {
        match self {
            Self::Bearer(token) => Ok(Cow::Borrowed(token)),
            Self::Cookie(chunks) => decode_cookie(chunks.concat()).map(Cow::Owned),
        }
    }
}

/// Returns the token of an `Authorization: Bearer` header (RFC 6750 section 2.1) if it looks like a JWS (RFC 7515 section 3.1): three
/// parts, the first of which is a JSON object. Other bearer tokens are left to other identity sources.
fn bearer_token(line: &HeaderValue) -> Option<&str> {
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_jws = token.starts_with("ey") && token.bytes().filter(|byte| *byte == b'.').count() == 2;
    (is_jws && scheme.eq_ignore_ascii_case("bearer")).then_some(token)
}

/// Returns the token in the value of a cookie: the value itself, or the access token of a session that Supabase stored as base64 or,
/// in older versions, as JSON.
fn decode_cookie(value: String) -> Result<String, &'static str> {
    const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let json = match (value.strip_prefix("base64-"), value.as_bytes().first()) {
        (Some(encoded), _) => ANY_PADDING.decode(encoded).ok(),
        (None, Some(b'%')) => Some(percent_decode_str(&value).collect()),
        (None, Some(b'{' | b'[')) => Some(value.into_bytes()),
        (None, _) => return Ok(value),
    };
    let session: Option<Value> = json.and_then(|json| serde_json::from_slice(&json).ok());
    // `@supabase/auth-helpers` stored a list that begins with the access token.
    match session.as_ref().and_then(|session| session.get("access_token").or_else(|| session.get(0))) {
        Some(Value::String(token)) => Ok(token.clone()),
        _ => Err("the cookie contains no session with an access_token"),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http::header::{COOKIE, HeaderName};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    const TOKEN: &str = "eyJh.eyJi.c2ln";

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        lines.collect()
    }

    /// Returns the token of a request; the reason, if it cannot be valid.
    fn find(lines: &[(HeaderName, &str)]) -> Option<Result<String, &'static str>> {
        let (headers, cookie) = (headers(lines), CookieName::new("at"));
        let found = Credential::find(&headers, Some(&cookie))?;
        Some(found.and_then(|credential| credential.token().map(Cow::into_owned)))
    }

    fn session(json: &str) -> String {
        format!("base64-{}", URL_SAFE_NO_PAD.encode(json))
    }

    #[test]
    fn bearer_tokens() {
        let token = Some(Ok(TOKEN));
        for (lines, expected) in [
            (&["Bearer eyJh.eyJi.c2ln"][..], token),
            (&["bearer  eyJh.eyJi.c2ln "], token),
            (&["BEARER eyJh.eyJi.c2ln"], token),
            (&["Bearer eyJh.eyJi."], Some(Ok("eyJh.eyJi."))),
            (&["Bearer ey.."], Some(Ok("ey.."))),
            (&["Bearer eyJh.eyJi.c2ln", "Bearer eyJh.eyJi.c2ln"], Some(Err("several"))),
            (&["Basic YTpi", "Bearer eyJh.eyJi.c2ln"], Some(Err("several"))),
            // These are no JWS.
            (&["Bearer eyJh.eyJi"], None),
            (&["Bearer eyJh.a.b.c.d"], None),
            (&["Bearer v4.public.payload"], None),
            (&["Bearer 0123456789abcdef"], None),
            (&["Bearer"], None),
            (&["Basic eyJh.eyJi.c2ln"], None),
            (&["Bearereyjh.eyJi.c2ln"], None),
            (&["eyJh.eyJi.c2ln"], None),
            (&["Bearer eyJh.eyJi.\u{e9}"], None),
            (&[], None),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| (AUTHORIZATION, *line)).collect();
            check(&lines, expected);
        }
        let long = |len: usize| format!("Bearer ey.{}.", "x".repeat(len - 4));
        assert!(find(&[(AUTHORIZATION, &long(MAX_BEARER))]).unwrap().is_ok());
        assert!(find(&[(AUTHORIZATION, &long(MAX_BEARER + 1))]).unwrap().unwrap_err().contains("8 KiB"));
    }

    #[test]
    fn cookies() {
        let whole = session("{\"access_token\": \"eyJh.eyJi.c2ln\", \"user\": {\"id\": 7}}");
        let (first, second) = whole.split_at(30);
        let padded = format!("at={whole}=");
        let chunks = format!("at.1={second}; theme=dark; at.0={first}");
        let gap = format!("at.0={first}; at.2={second}");
        let both = format!("at.0={first}; at.1={second}; at=eyJh.eyJi.c2ln");
        let twice = format!("at.0={first}; at.1={second}; at.1={second}");
        let token = Some(Ok(TOKEN));
        for (cookie, expected) in [
            ("at=eyJh.eyJi.c2ln", token),
            ("theme=dark; at=eyJh.eyJi.c2ln", token),
            ("at.0=eyJh; at.1=.eyJi.c2ln", token),
            (&format!("at={whole}"), token),
            (&padded, token),
            (&chunks, token),
            (&both, token),
            (&gap, Some(Err("no session"))),
            (&twice, Some(Err("twice"))),
            ("at=a; at=a", Some(Err("twice"))),
            ("at=\u{e9}", Some(Err("ASCII"))),
            ("at=base64-", Some(Err("no session"))),
            ("at=base64-!", Some(Err("no session"))),
            (&format!("at={}", session("{}")), Some(Err("no session"))),
            (&format!("at={}", session("[]")), Some(Err("no session"))),
            (&format!("at={}", session("[[\"a\"]]")), Some(Err("no session"))),
            (&format!("at={}", session("{\"access_token\": 7}")), Some(Err("no session"))),
            ("at=", None),
            ("at.1=x", None),
            ("atx=x; xat=x; AT=x", None),
        ] {
            check(&[(COOKIE, cookie)], expected);
        }
        let quarter = "x".repeat(MAX_COOKIE / 4);
        let four: String = (0..4).map(|at| format!("at.{at}={quarter}; ")).collect();
        check(&[(COOKIE, &four)], Some(Ok(&quarter.repeat(4))));
        check(&[(COOKIE, &format!("{four}at.4=x"))], Some(Err("16 KiB")));
        let many: String = (0..=MAX_CHUNKS).map(|at| format!("at.{at}=x; ")).collect();
        check(&[(COOKIE, &many)], Some(Ok(&"x".repeat(MAX_CHUNKS))));
    }

    /// Versions of `@supabase/ssr` before 0.5 and `@supabase/auth-helpers` stored JSON, percent-encoded by most frameworks.
    #[test]
    fn cookies_with_json() {
        let session = "{\"access_token\":\"eyJh.eyJi.c2ln\",\"user\":{\"name\":\"100 % %41\"}}";
        let list = "[\"eyJh.eyJi.c2ln\",\"refresh\",null,null,null]";
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let lower_case = encode(session).replace("%7B", "%7b");
        for value in [session, list, &encode(session), &encode(list), &lower_case] {
            check(&[(COOKIE, &format!("theme=dark; at={value}"))], Some(Ok(TOKEN)));
            // A split in the middle of the token, and one in an escape.
            for at in [value.len() / 3, 20] {
                let (first, second) = value.split_at(at);
                check(&[(COOKIE, &format!("at.1={second}; at.0={first}"))], Some(Ok(TOKEN)));
                check(&[(COOKIE, &format!("at.0={first}"))], Some(Err("no session")));
            }
        }
        for value in [
            "{}",
            "[]",
            "{",
            "%7B%7D",
            "%",
            "%zz",
            "%7B%FF%7D",
            "[7]",
            "[null,\"eyJh.eyJi.c2ln\"]",
            "{\"0\":\"a\"}",
        ] {
            check(&[(COOKIE, &format!("at={value}"))], Some(Err("no session")));
        }
    }

    #[test]
    fn the_authorization_header_takes_precedence() {
        let cookie = (COOKIE, "at=cookie");
        check(&[cookie.clone(), (AUTHORIZATION, "Bearer eyJh.eyJi.c2ln")], Some(Ok(TOKEN)));
        check(&[cookie.clone(), (AUTHORIZATION, "Basic YTpi")], Some(Ok("cookie")));
        check(&[cookie.clone(), (AUTHORIZATION, "Bearer opaque")], Some(Ok("cookie")));
        let headers = headers(&[cookie]);
        assert_eq!(Credential::find(&headers, None), None, "no cookie is configured");
    }

    fn check(lines: &[(HeaderName, &str)], expected: Option<Result<&str, &str>>) {
        match (find(lines), expected) {
            (None, None) => {}
            (Some(Ok(token)), Some(Ok(expected))) => assert_eq!(token, expected, "{lines:?}"),
            (Some(Err(reason)), Some(Err(expected))) => {
                assert!(reason.contains(expected), "{lines:?}: {reason}");
            }
            (found, _) => panic!("{lines:?}: {found:?}"),
        }
    }
}

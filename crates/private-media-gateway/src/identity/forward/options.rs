//! The settings of the source.

use std::time::Duration;

use http::Uri;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

use crate::trace_context::{TRACEPARENT, TRACESTATE};

/// The settings of the source.
#[derive(Debug, Clone)]
pub(crate) struct ForwardOptions {
    /// The URL of the application that is asked.
    pub(crate) url: Uri,
    /// The URL prefix of the private files, with a slash on both sides.
    pub(crate) private_url: String,
    /// The headers of the client that go along.
    pub(crate) pass: PassedHeaders,
    /// The cookies that go along. Empty: all of them.
    pub(crate) cookies: Vec<String>,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// How long an answer is used at most.
    pub(crate) cache_ttl: Duration,
    /// Whether the application also decides about the path.
    pub(crate) permission: bool,
    /// With it, clients get 503 with this `Retry-After` while the application does not answer; without it, they are denied.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) names: HeaderNames,
}

impl ForwardOptions {
    /// Returns whether another source with these settings is never asked.
    pub(crate) fn shadows(&self, other: &Self) -> bool {
        self.pass.credentials == other.pass.credentials && self.cookies == other.cookies
    }
}

/// The headers by which the application names the user.
#[derive(Debug, Clone)]
pub(crate) struct HeaderNames {
    pub(crate) id: HeaderName,
    pub(crate) name: HeaderName,
    pub(crate) groups: HeaderName,
    pub(crate) staff: HeaderName,
}

/// The headers of the client that go along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PassedHeaders {
    /// A request without any of these is not recognized.
    pub(super) credentials: Vec<HeaderName>,
    /// Headers that describe the client or its connection.
    pub(super) context: Vec<HeaderName>,
}

impl PassedHeaders {
    /// Checks the names. The error says what is wrong.
    pub(crate) fn new(names: impl IntoIterator<Item = HeaderName>) -> Result<Self, String> {
        let mut passed = Self { credentials: Vec::new(), context: Vec::new() };
        for name in names {
            if !may_pass(&name) {
                return Err(format!(
                    "{name} belongs to the gateway's own request, so it cannot go along; remove it"
                ));
            }
            let names = if is_credential(&name) { &mut passed.credentials } else { &mut passed.context };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if passed.credentials.is_empty() {
            return Err("no header with a credential; add e.g. cookie or authorization".into());
        }
        Ok(passed)
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.iter().any(|own| own == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &HeaderName> {
        self.credentials.iter().chain(&self.context)
    }
}

pub(super) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) static X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
pub(super) static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
pub(super) static X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
pub(super) static X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");

/// Returns whether a header of the client may go along. The others would change the question, its framing or its connection.
fn may_pass(name: &HeaderName) -> bool {
    let own = [
        ACCEPT,
        CONNECTION,
        CONTENT_LENGTH,
        IF_MATCH,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        IF_RANGE,
        IF_UNMODIFIED_SINCE,
        RANGE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    let asked = [
        &X_FORWARDED_METHOD,
        &X_FORWARDED_URI,
        &X_ORIGINAL_METHOD,
        &X_ORIGINAL_URI,
        // These differ in each request, so no answer would be cached, and a client could choose its trace.
        &TRACEPARENT,
        &TRACESTATE,
    ];
    !own.contains(name) && !asked.contains(&name) && !name.as_str().starts_with("proxy-")
}

fn is_credential(name: &HeaderName) -> bool {
    const CONTEXT: [&str; 6] = ["accept-", "forwarded", "sec-", "x-forwarded-", "x-real-", "x-request-"];
    let is_context = CONTEXT.iter().any(|prefix| name.as_str().starts_with(prefix));
    !is_context && *name != HOST && *name != USER_AGENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_go_along() {
        for (names, expected) in [
            (&["cookie", "authorization"][..], Ok((&["cookie", "authorization"][..], &[][..]))),
            (
                &["X-Api-Key", "Host", "X-Forwarded-Proto"],
                Ok((&["x-api-key"], &["host", "x-forwarded-proto"])),
            ),
            (&["cookie", "cookie", "user-agent"], Ok((&["cookie"], &["user-agent"]))),
            (&[], Err("no header with a credential")),
            (&["host", "accept-language"], Err("no header with a credential")),
            (&["cookie", "range"], Err("range belongs to")),
            (&["cookie", "If-None-Match"], Err("if-none-match belongs to")),
            (&["cookie", "connection"], Err("connection belongs to")),
            (&["cookie", "Proxy-Authorization"], Err("proxy-authorization belongs to")),
            (&["cookie", "X-Original-URI"], Err("x-original-uri belongs to")),
            (&["cookie", "traceparent"], Err("traceparent belongs to")),
            (&["cookie", "TraceState"], Err("tracestate belongs to")),
        ] {
            let parsed = PassedHeaders::new(names.iter().map(|name| name.parse().unwrap()));
            match (parsed, expected) {
                (Ok(PassedHeaders { credentials, context }), Ok((expected, others))) => {
                    assert_eq!(credentials, expected, "{names:?}");
                    assert_eq!(context, others, "{names:?}");
                }
                (Err(error), Err(text)) => assert!(error.starts_with(text), "{names:?}: {error}"),
                (parsed, _) => panic!("{names:?}: {parsed:?}"),
            }
        }
    }
}

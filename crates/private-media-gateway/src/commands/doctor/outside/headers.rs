//! Checks that the headers of the gateway reach the client.

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use private_media::delivery::file_headers;

use super::super::canary::PREFIX;
use super::super::client::{RequestError, Response};
use super::super::report::{Finding, Findings, or_ok};
use super::front::Front;
use super::probe::Probe;
use crate::send_mode::SendMode;

/// Checks the headers of a picture, and of a page that must not run.
pub(super) async fn of_files(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let mut problems = Findings::new();
    let mut checked = 0;
    for canary in [&probe.canaries.photo, &probe.canaries.page] {
        let response = probe.get_as_user(&probe.url(canary)).await?;
        // Another check reports wrong bytes.
        if response.status != StatusCode::OK || !probe.contains_secret(&response) {
            continue;
        }
        checked += 1;
        let mut expected = file_headers(&canary.path, false);
        expected.extend(probe.common_headers.clone());
        let what = if canary.path == probe.canaries.page.path { "a page" } else { "a picture" };
        for problem in judge(probe, &response, &expected, what) {
            if problems.iter().all(|other| other.fix != problem.fix) {
                problems.push(problem);
            }
        }
    }
    if checked == 0 {
        return Ok(vec![Finding::note("no file arrived, so its headers were not checked")]);
    }
    Ok(or_ok(problems, "all headers of a file arrive: type, attachment, sandbox, caching"))
}

/// Checks the headers of a 404.
pub(super) async fn of_refusals(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let response = probe.get_anonymously(&format!("{}{PREFIX}missing", probe.config.url)).await?;
    if response.status != StatusCode::NOT_FOUND {
        return Ok(vec![Finding::note(format!("a missing file gets {}", response.status))]);
    }
    let mut problems = judge(probe, &response, &probe.common_headers, "a 404");
    if *response.body != *b"not found\n" && !problems.is_empty() {
        let names: Vec<_> = problems.iter().map(|problem| problem.message.clone()).collect();
        let intercept = match probe.kind {
            Front::Nginx => format!("proxy_intercept_errors off; in location {}", probe.config.url),
            Front::Apache => "ProxyErrorOverride Off".into(),
            Front::Lighttpd | Front::Caddy | Front::Other => "pass the gateway's 404".into(),
        };
        let message =
            format!("the front server replaces the gateway's 404 with its own page: {}", names.join("; "));
        problems = vec![Finding::problem(message, intercept)];
    }
    Ok(or_ok(problems, "a 404 arrives unchanged: private, no-cache"))
}

/// Checks that hand-off headers do not reach the client.
pub(super) fn hand_off_is_hidden(probe: &Probe<'_>) -> Findings {
    let seen = probe.front.hand_offs();
    match seen.first() {
        None => vec![Finding::ok("no response contains the path of a file")],
        Some(first) => vec![Finding::problem(
            format!("clients get the path of a file: {first}; {} such responses in total", seen.len()),
            match (&probe.config.send_mode, probe.kind) {
                (_, Front::Nginx) => {
                    "proxy_hide_header X-Accel-Redirect; proxy_hide_header X-Sendfile; and delivery.mode = \"nginx\""
                }
                (SendMode::Apache(_), Front::Apache) => "XSendFile On in the <Location> of the gateway",
                (_, Front::Apache) => "delivery.mode = \"apache\" (or \"direct\")",
                (_, Front::Lighttpd) => {
                    "\"x-sendfile\" => \"enable\" in proxy.server, and delivery.mode = \"apache\""
                }
                (_, Front::Caddy | Front::Other) => {
                    "delivery.mode = \"direct\": this front server supports no hand-off"
                }
            },
        )],
    }
}

/// Returns a finding for each wrong or missing header.
pub(super) fn judge(probe: &Probe<'_>, response: &Response, expected: &HeaderMap, what: &str) -> Findings {
    let mut problems = Findings::new();
    for (name, value) in expected {
        let value = value.to_str().unwrap_or_default();
        let got: Vec<_> = response.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let got: Vec<_> = got.into_iter().map(String::from_utf8_lossy).collect();
        if !arrived(name, value, &got.iter().map(AsRef::as_ref).collect::<Vec<_>>()) {
            let seen = if got.is_empty() { "is missing".into() } else { format!("is {:?}", got.join(", ")) };
            let message = format!("{} of {what} {seen}, expected {value:?}", title(name));
            problems.push(Finding::problem(message, fix(probe, name, !got.is_empty())));
        }
    }
    for name in [SET_COOKIE, CONTENT_ENCODING] {
        if response.headers.contains_key(&name) {
            let message = format!("{name} of {what} is {:?}, expected none", response.text(&name));
            let fix = format!("let the front server add no {name} below {}", probe.config.url);
            problems.push(Finding::problem(message, fix));
        }
    }
    problems
}

/// Returns whether a header has its value. A front server may add to some headers.
fn arrived(name: &HeaderName, value: &str, got: &[&str]) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(',').map(|word| word.trim().to_ascii_lowercase()).collect()
    };
    let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if *name == VARY {
        let all: Vec<_> = got.iter().flat_map(|line| words(line)).collect();
        return words(value).iter().all(|word| all.contains(word) || all.iter().any(|all| all == "*"));
    }
    if *name == CONTENT_SECURITY_POLICY {
        // All policies apply, so an additional one weakens nothing (CSP level 3, section 8.1).
        return got.contains(&value);
    }
    // A front server may add a charset (RFC 9110 section 8.3.2).
    let is_same = |line: &&str| {
        if *name == CONTENT_TYPE {
            essence(line) == essence(value)
        } else {
            **line == *value || (*name != CONTENT_DISPOSITION && words(line) == words(value))
        }
    };
    !got.is_empty() && got.iter().all(is_same)
}

fn fix(probe: &Probe<'_>, name: &HeaderName, is_other: bool) -> String {
    let url = &probe.config.url;
    let shown = title(name);
    let variable = name.as_str().replace('-', "_");
    let is_nginx_hand_off =
        matches!(probe.config.send_mode, SendMode::Nginx(_)) && probe.kind == Front::Nginx;
    // nginx passes these headers of a hand-off itself (ngx_http_upstream_process_headers).
    let is_kept = [CONTENT_TYPE, CONTENT_DISPOSITION, CACHE_CONTROL].contains(name);
    match probe.kind {
        Front::Nginx if is_other && *name == CACHE_CONTROL => {
            "no expires and no add_header Cache-Control in that location (expires off;)".into()
        }
        Front::Nginx if is_other && *name == CONTENT_TYPE => {
            format!(
                "no add_header Content-Type and no types or default_type for location {url} or the internal one"
            )
        }
        Front::Nginx if is_nginx_hand_off && !is_kept => {
            format!(
                "add_header {shown} $upstream_http_{variable} always; in the internal location, and no other add_header {shown}"
            )
        }
        Front::Nginx if is_other => format!("no add_header {shown} in location {url}"),
        Front::Nginx => format!("no proxy_hide_header {shown} in location {url}"),
        Front::Apache if *name == CONTENT_TYPE => {
            format!("no ForceType, AddType or Header set Content-Type for {url} and the root")
        }
        Front::Apache => {
            format!("no Header set, unset or append of {shown} for {url} (and no ExpiresActive)")
        }
        Front::Lighttpd => format!("no setenv.set-response-header of {shown} for {url}"),
        Front::Caddy => format!("no header directive about {shown} for {url}*"),
        Front::Other => format!("let {shown} pass unchanged below {url}"),
    }
}

/// Returns the name of a header as configurations write it.
fn title(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| {
        let mut letters = word.chars();
        letters
            .next()
            .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_count_as_unchanged() {
        for (name, value, got, is_right) in [
            ("cache-control", "private, no-cache", &["private, no-cache"][..], true),
            ("cache-control", "private, no-cache", &["private,no-cache"], true),
            ("cache-control", "private, no-cache", &["max-age=3600"], false),
            ("cache-control", "private, no-cache", &["private, no-cache", "max-age=3600"], false),
            ("cache-control", "private, no-cache", &[], false),
            ("vary", "cookie, authorization", &["Cookie, Authorization"], true),
            ("vary", "cookie, authorization", &["Accept-Encoding", "Cookie", "authorization"], true),
            ("vary", "cookie, authorization", &["*"], true),
            ("vary", "cookie, authorization", &["Cookie"], false),
            ("x-content-type-options", "nosniff", &["nosniff", "nosniff"], true),
            ("content-type", "text/html", &["text/html; charset=utf-8"], true),
            ("content-type", "image/jpeg", &["text/plain"], false),
            ("content-security-policy", "sandbox", &["default-src 'self'", "sandbox"], true),
            ("content-security-policy", "sandbox", &["default-src 'self'"], false),
            ("content-disposition", "inline; filename=\"a\"", &["inline; filename=\"A\""], false),
        ] {
            assert_eq!(arrived(&HeaderName::from_static(name), value, got), is_right, "{name} {got:?}");
        }
    }
}

//! Checks that no shared cache stores responses.

use http::{HeaderMap, HeaderName};

use super::super::canary::Canary;
use super::super::client::{RequestError, Response};
use super::super::report::{Finding, Findings, or_ok};
use super::probe::Probe;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Requests one URL with and without permission in turn; each client has to get its own response.
pub(super) async fn responses_are_not_shared(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let canaries = &probe.canaries;
    let orders = [
        (&canaries.anonymous_first, [false, true, false, true, true]),
        (&canaries.user_first, [true, true, false, true, false]),
    ];
    let mut problems = Vec::new();
    for (canary, order) in orders {
        let responses = in_turn(probe, canary, &order).await?;
        if let Some(problem) = judge(probe, canary, &responses) {
            problems.push(problem);
            break;
        }
    }
    Ok(or_ok(problems, "clients with and without permission get their own responses, none from a cache"))
}

/// Sends requests in this order, with permission (`true`) or without, and returns the responses.
async fn in_turn(
    probe: &Probe<'_>,
    canary: &Canary,
    order: &[bool],
) -> Result<Vec<(bool, Response)>, RequestError> {
    let url = probe.url(canary);
    let mut responses = Vec::new();
    for has_permission in order {
        let response = if *has_permission {
            probe.get_as_user(&url).await?
        } else {
            probe.get_anonymously(&url).await?
        };
        responses.push((*has_permission, response));
    }
    Ok(responses)
}

fn judge(probe: &Probe<'_>, canary: &Canary, responses: &[(bool, Response)]) -> Option<Finding> {
    let fix = || probe.kind.no_cache(probe.config);
    let url = probe.url(canary);
    if let Some((_, copy)) = responses.iter().find(|(_, response)| copied(&response.headers).is_some()) {
        let how = copied(&copy.headers).unwrap_or_default();
        return Some(Finding::problem(format!("{url} gets a response from a cache: {how}"), fix()));
    }
    let got = |has_permission: bool| {
        responses
            .iter()
            .filter(move |(by, _)| *by == has_permission)
            .map(|(_, response)| probe.contains_secret(response))
    };
    let leaks = got(false).any(|got| got);
    let first_leaks = responses
        .first()
        .is_some_and(|(has_permission, response)| !has_permission && probe.contains_secret(response));
    // If clients without permission always get the file, the next check reports it.
    if leaks && !first_leaks {
        let message =
            format!("{url} gives a client that is not signed in the copy of a user with permission");
        return Some(Finding::problem(message, fix()));
    }
    if let Some(id) = repeated(responses) {
        let message =
            format!("{url} gives two requests the same response (x-request-id {id}): a cache stores copies");
        return Some(Finding::problem(message, fix()));
    }
    (got(true).any(|got| got) && !got(true).all(|got| got)).then(|| {
        Finding::problem(
            format!("{url} gives a user with permission the cached 404 of a client that is not signed in"),
            fix(),
        )
    })
}

/// Returns an id that two responses have. The gateway gives each response another id.
fn repeated(responses: &[(bool, Response)]) -> Option<String> {
    let mut seen = Vec::new();
    responses.iter().find_map(|(_, response)| {
        let id = response.text(&REQUEST_ID);
        let is_repeated = !id.is_empty() && seen.contains(&id);
        seen.push(id.clone());
        is_repeated.then_some(id)
    })
}

/// Returns the header that marks a response as cached.
fn copied(headers: &HeaderMap) -> Option<String> {
    const WORDS: [&str; 5] = ["hit", "stale", "updating", "revalidated", "expired"];
    headers.iter().find_map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let is_cache = name.as_str().contains("cache") && name != http::header::CACHE_CONTROL;
        let low = value.to_ascii_lowercase();
        let words = low.split(|c: char| !c.is_ascii_alphanumeric());
        let is_copy =
            name == http::header::AGE || (is_cache && words.into_iter().any(|word| WORDS.contains(&word)));
        is_copy.then(|| format!("{name}: {value}"))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn cached_responses_are_recognized() {
        for (name, value, is_copy) in [
            ("age", "12", true),
            ("x-cache", "HIT", true),
            ("x-cache", "Hit from cloudfront", true),
            ("x-cache", "TCP_HIT", true),
            ("x-cache-status", "MISS", false),
            ("x-cache-status", "STALE", true),
            ("x-cache", "MISS from squid", false),
            ("cf-cache-status", "DYNAMIC", false),
            ("cf-cache-status", "HIT", true),
            ("x-proxy-cache", "BYPASS", false),
            ("cache-control", "private, no-cache", false),
            ("x-white", "hit", false),
        ] {
            let name = HeaderName::from_static(name);
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(value))]);
            assert_eq!(copied(&headers).is_some(), is_copy, "{name}: {value}");
        }
    }
}

//! Checks that denied and missing files get the same response through the front server.

use http::header::{AGE, DATE};
use http::{HeaderMap, HeaderValue};

use super::super::canary::{Canary, PREFIX};
use super::super::client::{RequestError, Response};
use super::super::report::{Finding, Findings};
use super::cache::REQUEST_ID;
use super::probe::Probe;

/// Checks that a client that is not signed in cannot tell a denied file from a missing one.
pub(super) async fn anonymous_clients_learn_nothing(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    if probe.accounts.everyone {
        return Ok(Vec::new());
    }
    compare(probe, &probe.canaries.closed, None, "a client that is not signed in").await
}

/// Checks the same for a signed-in user without permission.
pub(super) async fn denied_users_learn_nothing(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let (Some(denied), Some(canary)) = (&probe.accounts.denied, &probe.canaries.denied) else {
        return Ok(Vec::new());
    };
    let account = &denied.account;
    compare(probe, canary, Some(&account.cookie), &format!("{}, without permission,", account.name)).await
}

async fn compare(
    probe: &Probe<'_>,
    canary: &Canary,
    cookie: Option<&HeaderValue>,
    who: &str,
) -> Result<Findings, RequestError> {
    let url = probe.url(canary);
    let denied = probe.front.get(&url, cookie).await?;
    if probe.contains_secret(&denied) {
        let fix = if refused_by_gateway(probe, &url, cookie).await {
            let pass = probe.kind.pass(probe.config);
            format!(
                "the front server sends it without asking the gateway, which denies access; pass the URL on: {pass}"
            )
        } else {
            "restart the gateway with this configuration: the running one has other grants".into()
        };
        return Ok(vec![Finding::problem(format!("{url} gives {who} the file"), fix)]);
    }
    // Two missing files show which parts of a response change with each request.
    let word = &probe.canaries.nonces.name;
    let reversed: String = word.chars().rev().collect();
    let rotated = format!("{}{}", word.get(1..).unwrap_or_default(), word.get(..1).unwrap_or_default());
    let first = probe.front.get(&url.replace(word.as_str(), &reversed), cookie).await?;
    let second = probe.front.get(&url.replace(word.as_str(), &rotated), cookie).await?;
    let difference =
        difference(&neutral(&denied, word), &neutral(&first, &reversed), &neutral(&second, &rotated));
    Ok(vec![match difference {
        Some(difference) => Finding::problem(
            format!("{who} can tell a denied file from a missing one: {difference}"),
            if probe.config.debug {
                "debug = false".to_owned()
            } else {
                format!(
                    "let the front server pass 404 responses of the gateway unchanged below {}",
                    probe.config.url
                )
            },
        ),
        None if denied.status == 404 => {
            Finding::ok(format!("{who} gets the same 404 for a denied and a missing file"))
        }
        None => Finding::problem(
            format!("{url} responds {} to {who}, not 404", denied.status),
            match denied.status.as_u16() {
                403 => "debug = false, and let the front server deny nothing itself below the private URL"
                    .to_owned(),
                _ => format!(
                    "let the front server pass responses of the gateway: {}",
                    probe.kind.pass(probe.config)
                ),
            },
        ),
    }])
}

async fn refused_by_gateway(probe: &Probe<'_>, url: &str, cookie: Option<&HeaderValue>) -> bool {
    match &probe.gateway {
        Some(gateway) => gateway.get(url, cookie).await.is_ok_and(|response| response.status != 200),
        None => true,
    }
}

/// Removes the name of the requested file from a response.
fn neutral(response: &Response, word: &str) -> Response {
    let mut response = response.clone();
    let body = String::from_utf8_lossy(&response.body).replace(&format!("{PREFIX}{word}"), "");
    response.body = body.into();
    let headers = response.headers.iter().filter(|(name, _)| ![DATE, AGE, REQUEST_ID].contains(name));
    response.headers = headers
        .filter_map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).replace(word, "");
            Some((name.clone(), HeaderValue::try_from(text).ok()?))
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
    response
}

/// Describes what differs for a denied file and is the same for two missing ones.
fn difference(denied: &Response, first: &Response, second: &Response) -> Option<String> {
    if first.status == second.status && denied.status != first.status {
        return Some(format!(
            "status {} for one, {} for the other",
            denied.status.as_u16(),
            first.status.as_u16()
        ));
    }
    for name in denied.headers.keys().chain(first.headers.keys()) {
        let (there, not, nor) = (denied.text(name), first.text(name), second.text(name));
        if not == nor && there != not {
            return Some(format!("{name} is {there:?} for one, {not:?} for the other"));
        }
    }
    (first.body == second.body && denied.body != first.body)
        .then(|| format!("a body of {} bytes for one, {} for the other", denied.body.len(), first.body.len()))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::{ETAG, SERVER};

    use super::*;

    fn response(status: u16, etag: &'static str, body: &'static str) -> Response {
        let headers = [(SERVER, HeaderValue::from_static("x")), (ETAG, HeaderValue::from_static(etag))];
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter(headers),
            body: body.into(),
        }
    }

    #[test]
    fn only_differences_from_missing_files_count() {
        let missing = response(404, "a", "not found");
        for (denied, second, differs) in [
            (response(404, "a", "not found"), &missing, None),
            (response(403, "a", "not found"), &missing, Some("status 403")),
            (response(404, "b", "not found"), &missing, Some("etag is \"b\"")),
            (response(404, "b", "not found"), &response(404, "c", "not found"), None),
            (response(404, "a", "denied"), &missing, Some("a body of 6 bytes")),
            (response(404, "a", "denied"), &response(404, "a", "id 12"), None),
        ] {
            let found = difference(&denied, &missing, second);
            assert_eq!(found.is_some(), differs.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().starts_with(differs.unwrap_or_default()));
        }
    }
}

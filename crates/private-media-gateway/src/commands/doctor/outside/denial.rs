//! Denied and missing are one answer, through the front too.

use http::header::{AGE, DATE};
use http::{HeaderMap, HeaderValue};

use super::super::canary::PREFIX;
use super::super::client::{Answer, Unanswered};
use super::super::report::{Finding, Findings};
use super::cache::REQUEST_ID;
use super::{Canary, Probe};

/// A stranger gets what there would be if there were no file.
pub(super) async fn strangers_learn_nothing(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    if probe.readers.everyone {
        return Ok(Vec::new());
    }
    compare(probe, &probe.canaries.closed, None, "a stranger").await
}

/// So does somebody who is signed in and may not read it.
pub(super) async fn other_readers_learn_nothing(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let (Some(denied), Some(canary)) = (&probe.readers.denied, &probe.canaries.denied) else {
        return Ok(Vec::new());
    };
    let reader = &denied.reader;
    compare(probe, canary, Some(&reader.cookie), &format!("{}, who may not read it,", reader.name)).await
}

async fn compare(
    probe: &Probe<'_>,
    canary: &Canary,
    cookie: Option<&HeaderValue>,
    who: &str,
) -> Result<Findings, Unanswered> {
    let url = probe.url(canary);
    let denied = probe.front.get(&url, cookie).await?;
    if probe.gives_away(&denied) {
        let fix = if refused_by_gateway(probe, &url, cookie).await {
            let pass = probe.kind.pass(probe.config);
            format!("the front serves it without asking the gateway, which refuses; hand the URL on: {pass}")
        } else {
            "start the gateway anew with this configuration: the one that runs has other grants".into()
        };
        return Ok(vec![Finding::problem(format!("{url} gives {who} the file"), fix)]);
    }
    // Two that are missing show what is another in every answer, and so is no sign of anything.
    let word = &probe.canaries.words.name;
    let reversed: String = word.chars().rev().collect();
    let rotated = format!("{}{}", word.get(1..).unwrap_or_default(), word.get(..1).unwrap_or_default());
    let first = probe.front.get(&url.replace(word.as_str(), &reversed), cookie).await?;
    let second = probe.front.get(&url.replace(word.as_str(), &rotated), cookie).await?;
    let difference =
        difference(&neutral(&denied, word), &neutral(&first, &reversed), &neutral(&second, &rotated));
    Ok(vec![match difference {
        Some(difference) => Finding::problem(
            format!("{who} can tell a file that is there from one that is not: {difference}"),
            if probe.config.debug {
                "debug = false".to_owned()
            } else {
                format!("let the front change nothing in a 404 of the gateway below {}", probe.config.url)
            },
        ),
        None if denied.status == 404 => {
            Finding::ok(format!("{who} gets the same 404 for a file and for none"))
        }
        None => Finding::problem(
            format!("{url} answers {who} {} and not 404", denied.status),
            match denied.status.as_u16() {
                403 => {
                    "debug = false, and let the front itself deny nothing below the private URL".to_owned()
                }
                _ => format!(
                    "let the front pass on what the gateway answers: {}",
                    probe.kind.pass(probe.config)
                ),
            },
        ),
    }])
}

async fn refused_by_gateway(probe: &Probe<'_>, url: &str, cookie: Option<&HeaderValue>) -> bool {
    match &probe.gateway {
        Some(gateway) => gateway.get(url, cookie).await.is_ok_and(|answer| answer.status != 200),
        None => true,
    }
}

/// An answer without what names the file that was asked for.
fn neutral(answer: &Answer, word: &str) -> Answer {
    let mut answer = answer.clone();
    let body = String::from_utf8_lossy(&answer.body).replace(&format!("{PREFIX}{word}"), "");
    answer.body = body.into();
    let headers = answer.headers.iter().filter(|(name, _)| ![DATE, AGE, REQUEST_ID].contains(name));
    answer.headers = headers
        .filter_map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).replace(word, "");
            Some((name.clone(), HeaderValue::try_from(text).ok()?))
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
    answer
}

/// What is another for a file that is there, and the same for two that are not.
fn difference(denied: &Answer, first: &Answer, second: &Answer) -> Option<String> {
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

    fn answer(status: u16, etag: &'static str, body: &'static str) -> Answer {
        let headers = [(SERVER, HeaderValue::from_static("x")), (ETAG, HeaderValue::from_static(etag))];
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter(headers),
            body: body.into(),
        }
    }

    #[test]
    fn differences() {
        let missing = answer(404, "a", "not found");
        for (denied, second, differs) in [
            (answer(404, "a", "not found"), &missing, None),
            (answer(403, "a", "not found"), &missing, Some("status 403")),
            (answer(404, "b", "not found"), &missing, Some("etag is \"b\"")),
            (answer(404, "b", "not found"), &answer(404, "c", "not found"), None),
            (answer(404, "a", "denied"), &missing, Some("a body of 6 bytes")),
            (answer(404, "a", "denied"), &answer(404, "a", "id 12"), None),
        ] {
            let found = difference(&denied, &missing, second);
            assert_eq!(found.is_some(), differs.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().starts_with(differs.unwrap_or_default()));
        }
    }
}

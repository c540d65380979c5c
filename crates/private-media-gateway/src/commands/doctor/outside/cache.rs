//! Does something between the reader and the gateway keep copies?

use http::{HeaderMap, HeaderName};

use super::super::client::{Answer, Unanswered};
use super::super::report::{Finding, Findings, unless_ok};
use super::{Canary, Probe};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Readers and strangers in turn, at one URL: each gets their own answer.
pub(super) async fn mixes_nobody_up(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let canaries = &probe.canaries;
    let orders = [
        (&canaries.stranger_first, [false, true, false, true, true]),
        (&canaries.reader_first, [true, true, false, true, false]),
    ];
    let mut problems = Vec::new();
    for (canary, order) in orders {
        let answers = in_turn(probe, canary, &order).await?;
        if let Some(problem) = judge(probe, canary, &answers) {
            problems.push(problem);
            break;
        }
    }
    Ok(unless_ok(problems, "readers and strangers in turn get their own answers, and none is a copy"))
}

/// Who asked, in turn, and what they got.
async fn in_turn(
    probe: &Probe<'_>,
    canary: &Canary,
    order: &[bool],
) -> Result<Vec<(bool, Answer)>, Unanswered> {
    let url = probe.url(canary);
    let mut answers = Vec::new();
    for is_reader in order {
        let answer = if *is_reader { probe.as_reader(&url).await? } else { probe.as_stranger(&url).await? };
        answers.push((*is_reader, answer));
    }
    Ok(answers)
}

fn judge(probe: &Probe<'_>, canary: &Canary, answers: &[(bool, Answer)]) -> Option<Finding> {
    let fix = || probe.kind.no_cache(probe.config);
    let url = probe.url(canary);
    if let Some((_, copy)) = answers.iter().find(|(_, answer)| copied(&answer.headers).is_some()) {
        let how = copied(&copy.headers).unwrap_or_default();
        return Some(Finding::problem(format!("{url} is answered out of a cache: {how}"), fix()));
    }
    let got = |is_reader: bool| {
        answers.iter().filter(move |(by, _)| *by == is_reader).map(|(_, answer)| probe.gives_away(answer))
    };
    let leaks = got(false).any(|got| got);
    let first_leaks =
        answers.first().is_some_and(|(is_reader, answer)| !is_reader && probe.gives_away(answer));
    // Whom nothing keeps out at all is the next check's matter.
    if leaks && !first_leaks {
        let message = format!("{url} gives a stranger the copy that was sent to a reader before");
        return Some(Finding::problem(message, fix()));
    }
    if let Some(id) = repeated(answers) {
        let message =
            format!("{url} gives two requests one answer (x-request-id {id}): something keeps copies");
        return Some(Finding::problem(message, fix()));
    }
    (got(true).any(|got| got) && !got(true).all(|got| got)).then(|| {
        Finding::problem(
            format!("{url} gives a reader the refusal that was sent to a stranger before"),
            fix(),
        )
    })
}

/// The gateway gives each of its answers another id.
fn repeated(answers: &[(bool, Answer)]) -> Option<String> {
    let mut seen = Vec::new();
    answers.iter().find_map(|(_, answer)| {
        let id = answer.text(&REQUEST_ID);
        let is_repeated = !id.is_empty() && seen.contains(&id);
        seen.push(id.clone());
        is_repeated.then_some(id)
    })
}

/// How a field says that an answer is a copy.
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
    fn copies_by_their_fields() {
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

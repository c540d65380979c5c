//! The path that the gateway decides about is the one that was sent.

use super::super::client::Unanswered;
use super::super::report::{Finding, Findings};
use super::{Front, Probe};

/// Other spellings of a canary's URL reach the gateway as they are, and it knows none of them.
pub(super) async fn paths_arrive_as_sent(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let url = probe.url(&probe.canaries.photo);
    let mut rewritten = Vec::new();
    for spelling in spellings(&url, &probe.config.url) {
        let answer = probe.as_reader(&spelling).await?;
        if probe.gives_away(&answer) {
            rewritten.push(spelling);
        }
    }
    let Some(first) = rewritten.first() else {
        return Ok(vec![Finding::ok(
            "paths reach the gateway as they are sent: //, /./, /../ and %2F lead nowhere",
        )]);
    };
    let pass = probe.kind.pass(probe.config);
    Ok(vec![Finding::problem(
        format!("{first} gives the file: the front rewrites paths, so the gateway decides about another one than was asked for"),
        match probe.kind {
            Front::Nginx => format!("{pass}, and no rewrite"),
            Front::Apache => format!("{pass}, AllowEncodedSlashes NoDecode, and no RewriteRule"),
            Front::Lighttpd => {
                "server.http-parseopts = ( \"url-path-2f-decode\" => \"disable\", \"url-path-dotseg-remove\" => \"disable\" )"
                    .into()
            }
            Front::Caddy | Front::Other => pass,
        },
    )])
}

/// The same path to whoever cleans it up, and another one to whoever does not.
fn spellings(url: &str, private: &str) -> Vec<String> {
    let (folder, name) = url.rsplit_once('/').unwrap_or(("", url));
    let below = url.strip_prefix(private).unwrap_or(url);
    let mut spellings =
        vec![format!("{folder}//{name}"), format!("{folder}/./{name}"), format!("{folder}/x/../{name}")];
    if let Some((above, inner)) = below.rsplit_once('/') {
        spellings.push(format!("{private}{above}%2F{inner}"));
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_path() {
        assert_eq!(
            spellings("/private/cars/7/a.jpg", "/private/"),
            [
                "/private/cars/7//a.jpg",
                "/private/cars/7/./a.jpg",
                "/private/cars/7/x/../a.jpg",
                "/private/cars/7%2Fa.jpg",
            ]
        );
        assert_eq!(spellings("/private/a.jpg", "/private/").len(), 3);
    }
}

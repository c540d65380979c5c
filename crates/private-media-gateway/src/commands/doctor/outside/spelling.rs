//! Checks that the front server does not rewrite paths.

use super::super::client::RequestError;
use super::super::report::{Finding, Findings};
use super::front::Front;
use super::probe::Probe;

/// Checks that other spellings of a canary's URL reach the gateway unchanged, which finds no file for them.
pub(super) async fn paths_arrive_as_sent(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let url = probe.url(&probe.canaries.photo);
    let mut rewritten = Vec::new();
    for spelling in spellings(&url, &probe.config.url) {
        let response = probe.get_as_user(&spelling).await?;
        if probe.contains_secret(&response) {
            rewritten.push(spelling);
        }
    }
    let Some(first) = rewritten.first() else {
        return Ok(vec![Finding::ok(
            "paths reach the gateway unchanged: //, /./, /../ and %2F lead to no file",
        )]);
    };
    let pass = probe.kind.pass(probe.config);
    Ok(vec![Finding::problem(
        format!("{first} sends the file: the front server rewrites paths, so the gateway decides about another path"),
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

/// Returns other spellings of a path: equal only if a server normalizes them.
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
    fn each_spelling_is_another_path() {
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

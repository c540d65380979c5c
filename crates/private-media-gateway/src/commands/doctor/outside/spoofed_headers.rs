//! Checks that a client's own headers for users and hand-offs are ignored.

use http::{HeaderName, HeaderValue};

use super::super::canary::PREFIX;
use super::super::client::{RequestError, RequestOptions};
use super::super::report::{Finding, Findings, or_ok};
use super::front::{Front, absolute_root};
use super::probe::Probe;
use crate::send_mode::{InternalUrl, SendMode};

/// Sends headers that name the file, its location or a user, without signing in.
pub(super) async fn are_ignored(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let private = &probe.config.url;
    let file = probe.url(&probe.canaries.closed);
    let elsewhere =
        ["/".to_owned(), private.clone(), format!("{private}{PREFIX}missing"), format!("/{PREFIX}missing")];
    let mut problems = Findings::new();
    for (name, value) in spoofed(probe, &file) {
        let Ok(value) = HeaderValue::try_from(value) else { continue };
        let names_user = matches!(name, "x-forwarded-user" | "x-remote-user");
        // If everyone gets the file, the name of a user changes nothing.
        if names_user && (probe.accounts.everyone || probe.is_open) {
            continue;
        }
        let urls = if names_user { std::slice::from_ref(&file) } else { &elsewhere[..] };
        for url in urls {
            let fields = vec![(HeaderName::from_static(name), value.clone())];
            let response =
                probe.front.send(url, &RequestOptions { fields, ..RequestOptions::default() }).await?;
            if probe.contains_secret(&response) {
                let message = format!(
                    "{url} sends the file to a client that is not signed in and sends {name}: {}",
                    value.to_str().unwrap_or("…")
                );
                problems.push(Finding::problem(message, fix(probe, name)));
                break;
            }
        }
    }
    Ok(or_ok(problems, "headers of a client that name a file, a location or a user are ignored"))
}

fn spoofed(probe: &Probe<'_>, file: &str) -> Vec<(&'static str, String)> {
    let path = probe.canaries.closed.path.to_url();
    let root = absolute_root(probe.config);
    let internal = match &probe.config.send_mode {
        SendMode::Nginx(InternalUrl::Prefix(internal)) => internal.clone(),
        SendMode::Nginx(InternalUrl::FullPath) => format!("{root}/"),
        SendMode::Direct | SendMode::Redirect | SendMode::Apache(_) => "/private-media-internal/".into(),
    };
    let mut headers = vec![
        ("x-accel-redirect", format!("{internal}{path}")),
        ("x-sendfile", format!("{root}/{}", probe.canaries.closed.path)),
        ("x-accel-mapping", format!("{root}/={internal}")),
        ("x-original-url", file.to_owned()),
        ("x-rewrite-url", file.to_owned()),
    ];
    if let Some(account) = &probe.accounts.permitted {
        headers.push(("x-forwarded-user", account.name.clone()));
        headers.push(("x-remote-user", account.id.clone()));
    }
    headers
}

fn fix(probe: &Probe<'_>, name: &str) -> String {
    match (probe.kind, name) {
        (Front::Nginx, "x-accel-redirect" | "x-accel-mapping") => format!(
            "an application returns the client's own header, and nginx obeys it: proxy_set_header {name} \"\"; and \
             proxy_ignore_headers X-Accel-Redirect; in every location but {}",
            probe.config.url
        ),
        (Front::Apache, "x-sendfile") => format!(
            "an application returns the client's own header, and Apache obeys it: RequestHeader unset X-Sendfile early, and \
             XSendFile On only for {}",
            probe.config.url
        ),
        (Front::Nginx, _) => format!("proxy_set_header {name} \"\";"),
        (Front::Apache, _) => format!("RequestHeader unset {name} early"),
        (Front::Caddy, _) => format!("request_header -{name}"),
        (Front::Lighttpd | Front::Other, _) => format!("let the front server remove {name} from requests"),
    }
}

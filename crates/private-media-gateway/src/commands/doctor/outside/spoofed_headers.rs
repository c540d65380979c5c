//! What a client says of itself, or of what it is to be sent, counts for nothing.

use http::{HeaderName, HeaderValue};

use super::super::canary::PREFIX;
use super::super::client::{Ask, Unanswered};
use super::super::report::{Finding, Findings, unless_ok};
use super::front::absolute_root;
use super::{Front, Probe};
use crate::front::{InternalUrl, Server};

/// A stranger who names the file, the location or the reader in a field gets no file by it.
pub(super) async fn count_for_nothing(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let private = &probe.config.url;
    let file = probe.url(&probe.canaries.closed);
    let elsewhere =
        ["/".to_owned(), private.clone(), format!("{private}{PREFIX}missing"), format!("/{PREFIX}missing")];
    let mut problems = Findings::new();
    for (name, value) in claims(probe, &file) {
        let Ok(value) = HeaderValue::try_from(value) else { continue };
        let who_asks = matches!(name, "x-forwarded-user" | "x-remote-user");
        // Where everybody gets the file as it is, the name of a reader changes nothing.
        if who_asks && (probe.readers.everyone || probe.is_open) {
            continue;
        }
        let urls = if who_asks { std::slice::from_ref(&file) } else { &elsewhere[..] };
        for url in urls {
            let fields = vec![(HeaderName::from_static(name), value.clone())];
            let answer = probe.front.send(url, &Ask { fields, ..Ask::default() }).await?;
            if probe.gives_away(&answer) {
                let message = format!(
                    "{url} gives a stranger the file who sends {name}: {}",
                    value.to_str().unwrap_or("…")
                );
                problems.push(Finding::problem(message, fix(probe, name)));
                break;
            }
        }
    }
    Ok(unless_ok(problems, "fields of a client that name a file, a location or a user change nothing"))
}

fn claims(probe: &Probe<'_>, file: &str) -> Vec<(&'static str, String)> {
    let path = probe.canaries.closed.path.to_url();
    let root = absolute_root(probe.config);
    let internal = match &probe.config.server {
        Server::Nginx(InternalUrl::Prefix(internal)) => internal.clone(),
        Server::Nginx(InternalUrl::FullPath) => format!("{root}/"),
        Server::Direct | Server::Apache(_) => "/private-media-internal/".into(),
    };
    let mut claims = vec![
        ("x-accel-redirect", format!("{internal}{path}")),
        ("x-sendfile", format!("{root}/{}", probe.canaries.closed.path)),
        ("x-accel-mapping", format!("{root}/={internal}")),
        ("x-original-url", file.to_owned()),
        ("x-rewrite-url", file.to_owned()),
    ];
    if let Some(reader) = &probe.readers.reader {
        claims.push(("x-forwarded-user", reader.name.clone()));
        claims.push(("x-remote-user", reader.id.clone()));
    }
    claims
}

fn fix(probe: &Probe<'_>, name: &str) -> String {
    match (probe.kind, name) {
        (Front::Nginx, "x-accel-redirect" | "x-accel-mapping") => format!(
            "an application answers with the client's own field, and nginx obeys: proxy_set_header {name} \"\"; and \
             proxy_ignore_headers X-Accel-Redirect; in every location but {}",
            probe.config.url
        ),
        (Front::Apache, "x-sendfile") => format!(
            "an application answers with the client's own field, and Apache obeys: RequestHeader unset X-Sendfile early, and \
             XSendFile On only for {}",
            probe.config.url
        ),
        (Front::Nginx, _) => format!("proxy_set_header {name} \"\";"),
        (Front::Apache, _) => format!("RequestHeader unset {name} early"),
        (Front::Caddy, _) => format!("request_header -{name}"),
        (Front::Lighttpd | Front::Other, _) => format!("let the front drop {name} of each request"),
    }
}

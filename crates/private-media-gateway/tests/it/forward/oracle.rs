//! nginx asks the same application by `auth_request`, and decides about every request as the gateway does.

use std::io::Read;
use std::net::SocketAddr;

use super::app::{App, SESSIONS, field};
use super::{FILES, place, serve, serve_permission, url};
use crate::fronts::server::{Front, FrontServer, Installed, free_address, open_to_all};
use crate::support::{Gateway, Place, Response, send};

/// nginx as an application has it today: it asks about each request, and sends the file.
fn nginx(place: &Place, app: &App) -> Front {
    let address = free_address();
    let block = format!(
        "server {{
    listen {address};
    location /private/ {{
        auth_request /permission;
        alias {}/;
    }}
    location = /permission {{
        internal;
        proxy_pass http://{};
        proxy_pass_request_body off;
        proxy_set_header Content-Length \"\";
        proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Original-Method $request_method;
    }}
}}
",
        place.path("private").display(),
        app.address
    );
    open_to_all(&place.path(""));
    std::fs::set_permissions(
        place.path("accounts.toml"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    Front::start(FrontServer::Nginx, address, &block)
}

fn ask(address: SocketAddr, line: &str, fields: &[(&str, &str)]) -> Response {
    let mut bytes = Vec::new();
    send(address, line, fields, b"").read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

/// The credentials of a client, as the header fields that it sends.
fn credentials() -> Vec<Vec<(&'static str, String)>> {
    let mut all: Vec<_> =
        SESSIONS.iter().map(|(token, ..)| vec![("cookie", format!("session={token}"))]).collect();
    all.push(vec![]);
    all.push(vec![("cookie", String::new())]);
    all.push(vec![("cookie", "theme=dark".into())]);
    all.push(vec![("cookie", "session=unknown".into())]);
    all.push(vec![("cookie", "theme=dark; session=alice-1; lang=en".into())]);
    for token in ["alice-1", "carol", "expired", "unknown"] {
        all.push(vec![("authorization", format!("Bearer {token}"))]);
    }
    // What the client says about itself says nothing.
    let spoofed = [
        ("x-user-id", "9"),
        ("x-user-staff", "true"),
        ("x-original-uri", "/private/shared/photo.jpg"),
        ("x-forwarded-user", "carol"),
    ];
    all.push(
        [
            vec![("cookie", "session=bob".to_owned())],
            spoofed.map(|(name, value)| (name, value.to_owned())).to_vec(),
        ]
        .concat(),
    );
    all.push(spoofed.map(|(name, value)| (name, value.to_owned())).to_vec());
    all
}

fn decides_as_nginx(place: &Place, app: &App, gateway: &Gateway) {
    let nginx = nginx(place, app);
    let (mut cases, mut allowed) = (0, 0);
    for fields in credentials() {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for file in FILES.into_iter().chain(["cars/7/none.jpg", "cars/8/none.jpg"]) {
            for method in ["GET", "HEAD"] {
                let line = format!("{method} {}", url(file));
                let (ours, theirs) =
                    (ask(gateway.address, &line, &fields), ask(nginx.address, &line, &fields));
                let case = format!("{line} {fields:?}: {} {}", ours.status, theirs.status);
                // nginx does not read who the user is, so it takes an answer that names two.
                let is_ambiguous = fields.iter().any(|(_, value)| value.contains("=two-"));
                // It says 401, 403 or 500 where we say that there is nothing.
                let is_allowed = theirs.status == 200 && !is_ambiguous;
                assert_eq!(ours.status, if is_allowed { 200 } else { 404 }, "{case}");
                if is_allowed {
                    assert_eq!(ours.body, theirs.body, "{case}");
                }
                cases += 1;
                allowed += usize::from(is_allowed);
            }
        }
    }
    assert!(cases >= 300 && allowed >= 50 && cases - allowed >= 100, "{cases} cases, {allowed} allowed");
}

#[test]
fn permission_decides_as_auth_request() {
    if FrontServer::Nginx.is_installed() {
        let (place, app) = (place(), App::start());
        let gateway = serve_permission(&place, &app.source("/permission", ", permission=true"), &[]);
        decides_as_nginx(&place, &app, &gateway);
    }
}

/// The grants say what the application does, and the application says who asks.
#[test]
fn identity_with_grants_decides_as_auth_request() {
    if FrontServer::Nginx.is_installed() {
        let (place, app) = (place(), App::start());
        let gateway = serve(&place, &app.source("/whoami", ""), &[]);
        decides_as_nginx(&place, &app, &gateway);
    }
}

/// Nothing is kept, so each request is a question to the application.
#[test]
fn without_a_cache_it_is_the_same() {
    if FrontServer::Nginx.is_installed() {
        let (place, app) = (place(), App::start());
        app.set_cache_control(Some("no-store"));
        let source = app.source("/permission", ", permission=true, cache_ttl=\"0s\"");
        decides_as_nginx(&place, &app, &serve_permission(&place, &source, &[]));
    }
}

/// One id leads from nginx's log to that of the gateway, to the application, and to the client.
#[test]
fn a_request_has_one_id_from_nginx_to_the_application() {
    let (place, app) = (place(), App::start());
    let gateway = serve(&place, &app.source("/identity", ""), &["--trusted-proxy", "127.0.0.1"]);
    let address = free_address();
    let block = format!(
        "log_format id '$request_id $status';
server {{
    listen {address};
    access_log {} id;
    location /private/ {{
        proxy_pass http://{};
        proxy_set_header X-Request-Id $request_id;
    }}
}}
",
        place.path("nginx.log").display(),
        gateway.address
    );
    let _nginx = Front::start(FrontServer::Nginx, address, &block);
    app.take_questions();
    let response =
        ask(address, &format!("GET {}", url("cars/7/photo.jpg")), &[("cookie", "session=alice-1")]);
    assert_eq!(response.status, 200);
    let id = response.header("x-request-id").unwrap().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let questions = app.take_questions();
    assert_eq!(questions.len(), 1, "{questions:?}");
    assert_eq!(field(&questions[0], "x-request-id"), Some(id.as_str()));
    let log = gateway.access_log();
    assert!(log.iter().any(|line| line["id"] == *id && line["status"] == 200), "{log:?}");
    let nginx = std::fs::read_to_string(place.path("nginx.log")).unwrap();
    assert_eq!(nginx, format!("{id} 200\n"));
}

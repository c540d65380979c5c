//! nginx's `server` block.

use super::address::Host;
use super::{Checked, InternalUrl, Server, SiteError};

pub(super) fn block(site: &Checked<'_>) -> Result<String, SiteError> {
    let location = match site.server {
        Server::Direct => None,
        Server::Nginx(InternalUrl::Prefix(url)) => Some(url.clone()),
        Server::Nginx(InternalUrl::FullPath) => Some(format!("{}/", site.root)),
        Server::Apache(_) => {
            return Err(SiteError::server("nginx knows no X-Sendfile", &["nginx", "direct"]));
        }
    };
    let (forgotten, internal) = location.map_or_else(Default::default, |location| internal(site, &location));
    let Checked { front, gateway, url, root, idle, printed_by, .. } = site;
    let who = site.who();
    let listen = match front.host {
        Host::Any | Host::Name(_) => front.port.to_string(),
        Host::Address(_) => format!("{}:{}", front.address(), front.port),
    };
    let name = front.name().map_or_else(String::new, |name| format!("    server_name {name};\n"));
    let upstream = upstream(site);
    let (application, forwarded) = application(site);
    Ok(format!(
        "\
# Private media behind nginx: printed by `{printed_by}`. To be included in nginx's http block, as all of
# /etc/nginx/conf.d/*.conf is in Debian. nginx's user has to be able to read what is in {root}.

{forgotten}upstream {upstream} {{
    server {gateway};
    keepalive 32;
    # Less than the {who} waits for the next request, so that nginx lets go first.
    keepalive_timeout {idle}s;
}}

server {{
    listen {listen};
{name}    # A redirect names no host.
    absolute_redirect off;

    # The most that one upload to your application may be; without this nginx takes 1 MiB.
    client_max_body_size 100m;

{application}    # Who asks, and may they? The {who} knows. No location with a pattern, such as one for all pictures, takes over: ^~
    location ^~ {url} {{
        # Nothing behind the name: so the path arrives as the client wrote it.
        proxy_pass http://{upstream};
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        # The sign-in form is accepted from this host only.
        proxy_set_header Host $http_host;
{forwarded}        # Long names make long headers.
        proxy_buffer_size 16k;
        proxy_buffers 8 16k;
        # A download waits for its client, not on this disk.
        proxy_max_temp_file_size 0;
        # Nobody gets another's answer.
        proxy_cache off;
        gzip off;
        client_max_body_size 64k;
    }}
{internal}}}
"
    ))
}

fn upstream(site: &Checked<'_>) -> String {
    format!("private_media_{}", site.gateway.port())
}

/// The locations that have the rest of the site, and the fields that its application may believe.
fn application(site: &Checked<'_>) -> (String, &'static str) {
    const FORWARDED: &str = "        # It may believe these: what a client says of them goes.
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Host $http_host;
";
    let Some(address) = site.application else {
        let example = "    # Your application, where it is at the same address:
    #location / {
    #    proxy_pass http://127.0.0.1:9000;
    #    proxy_set_header Host $http_host;
    #    proxy_ignore_headers X-Accel-Redirect;  # only the gateway hands off
    #}

";
        return (example.into(), "");
    };
    let to = if address == site.gateway { upstream(site) } else { address.to_string() };
    let public = site.public.as_ref().map_or_else(String::new, |(url, folder)| {
        format!("    # For everybody.\n    location ^~ {url} {{\n        alias \"{folder}/\";\n    }}\n\n")
    });
    let application = format!(
        "{public}    # Your application has the rest.
    location / {{
        proxy_pass http://{to};
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_set_header Host $http_host;
{FORWARDED}        # Only what is below the private URL hands off.
        proxy_ignore_headers X-Accel-Redirect;
    }}

"
    );
    (application, FORWARDED)
}

/// The location that the gateway hands files off to, and what has to stand before the server for it.
fn internal(site: &Checked<'_>, location: &str) -> (String, String) {
    const LOST: [&str; 6] = [
        "Vary",
        "X-Content-Type-Options",
        "Content-Security-Policy",
        "Cross-Origin-Resource-Policy",
        "Referrer-Policy",
        "X-Request-Id",
    ];
    /// Of the middleware of an application.
    const LOST_OF_APPLICATIONS: [&str; 3] =
        ["X-Frame-Options", "Strict-Transport-Security", "Cross-Origin-Opener-Policy"];
    let who = site.who();
    let more = if site.application == Some(site.gateway) { &LOST_OF_APPLICATIONS[..] } else { &[] };
    let added: String = LOST
        .iter()
        .chain(more)
        .map(|name| {
            let variable = name.to_lowercase().replace('-', "_");
            format!("        add_header {name} $upstream_http_{variable} always;\n")
        })
        .collect();
    let root = &site.root;
    let variable = format!("private_media_{}_cache_control", site.gateway.port());
    let forgotten = format!(
        "\
# Of an answer that is 412 nginx forgets what it keeps of the others.
map $status ${variable} {{
    412 $upstream_http_cache_control;
}}

"
    );
    let internal = format!(
        "
    # The {who} has answered that this reader may have the file: here are its bytes.
    location ^~ \"{location}\" {{
        # No request of a client gets here.
        internal;
        # A slash at the end of both, or `..` leads out.
        alias \"{root}/\";
        # The {who} names files without links; a link that is met now was put there since.
        disable_symlinks on \"from={root}/\";
        autoindex off;
        # A file that was replaced a moment ago is not sent as it was before.
        open_file_cache off;
        # As many ranges as the gateway itself takes.
        max_ranges 16;
        sendfile on;
        tcp_nopush on;
        gzip off;
        # What nginx keeps of the {who}'s answer is its type, disposition and Cache-Control; these it would lose.
{added}        add_header Cache-Control ${variable} always;
    }}
"
    );
    (forgotten, internal)
}

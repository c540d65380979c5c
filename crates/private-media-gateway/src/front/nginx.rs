//! The `server` block of nginx.

use super::address::Host;
use super::checked::{Checked, CheckedRoot};
use super::error::FrontError;
use super::nginx_store::{self, DROPPED};
use crate::send_mode::{InternalUrl, SendMode};

pub(super) fn block(config: &Checked<'_>) -> Result<String, FrontError> {
    let location = match config.send_mode {
        SendMode::Direct | SendMode::Redirect => None,
        SendMode::Nginx(InternalUrl::Prefix(url)) => Some(url.clone()),
        SendMode::Nginx(InternalUrl::FullPath) => Some(format!("{}/", config.root.folder())),
        SendMode::Apache(_) => {
            return Err(FrontError::send_mode("nginx does not support X-Sendfile", &["nginx", "direct"]));
        }
    };
    let (before, internal) = match (location, &config.root) {
        (None, _) | (_, CheckedRoot::Bucket(None)) => Default::default(),
        (Some(location), CheckedRoot::Folder(root)) => internal(config, root, &location),
        (Some(location), CheckedRoot::Bucket(Some(store))) => {
            nginx_store::internal(&upstream(config), store, &location)
        }
    };
    let Checked { front, url, keep_alive, printed_by, .. } = config;
    let access = config.root.access("nginx");
    let (gateway, upstream_name) = (config.gateway.nginx(), config.upstream_name());
    let listen = match front.host {
        Host::Any | Host::Name(_) => front.port.to_string(),
        Host::Address(_) => format!("{}:{}", front.address(), front.port),
    };
    let name = front.name().map_or_else(String::new, |name| format!("    server_name {name};\n"));
    let upstream = upstream(config);
    let (application, forwarded) = application(config);
    Ok(format!(
        "\
# Private media behind nginx, printed by `{printed_by}`. Include it in nginx's http block; Debian includes
# /etc/nginx/conf.d/*.conf there. {access}

{before}upstream {upstream} {{
    server {gateway};
    keepalive 32;
    # Shorter than the {upstream_name}'s own timeout, so that nginx closes idle connections first.
    keepalive_timeout {keep_alive}s;
}}

server {{
    listen {listen};
{name}    # Redirects without a host name.
    absolute_redirect off;

    # The largest upload to your application; nginx's default is 1 MiB.
    client_max_body_size 100m;

{application}    # The {upstream_name} authenticates and authorizes each request. ^~ keeps regular-expression locations, e.g. for images, from taking over.
    location ^~ {url} {{
        # Without a path after the upstream's name, so that the request path is passed on unchanged.
        proxy_pass http://{upstream};
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        # The sign-in form is accepted only from this host.
        proxy_set_header Host $http_host;
{forwarded}        # Long file names make long response headers.
        proxy_buffer_size 16k;
        proxy_buffers 8 16k;
        # Slow downloads are not buffered on disk.
        proxy_max_temp_file_size 0;
        # Responses differ by user.
        proxy_cache off;
        gzip off;
        client_max_body_size 64k;
    }}
{internal}}}
"
    ))
}

fn upstream(config: &Checked<'_>) -> String {
    format!("private_media_{}", config.gateway.label())
}

/// Returns the locations of the application, and the headers that it may trust.
fn application(config: &Checked<'_>) -> (String, &'static str) {
    const CLIENT: &str = "        # The gateway reads it if listen.trusted_proxies names this server.
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
";
    const FORWARDED: &str = "        # Trusted by the application; client-supplied values are overwritten.
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Host $http_host;
";
    let Some(address) = config.application else {
        let example = "    # Your application, if it has the same address:
    #location / {
    #    proxy_pass http://127.0.0.1:9000;
    #    proxy_set_header Host $http_host;
    #    proxy_ignore_headers X-Accel-Redirect;  # only the gateway may send it
    #}

";
        return (example.into(), CLIENT);
    };
    let to = if config.is_served_by_application() { upstream(config) } else { address.to_string() };
    let public = config.public.as_ref().map_or_else(String::new, |(url, folder)| {
        format!("    # Public files.\n    location ^~ {url} {{\n        alias \"{folder}/\";\n    }}\n\n")
    });
    let application = format!(
        "{public}    # Your application serves all other URLs.
    location / {{
        proxy_pass http://{to};
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_set_header Host $http_host;
{FORWARDED}        # Only the private URL may send X-Accel-Redirect.
        proxy_ignore_headers X-Accel-Redirect;
    }}

"
    );
    (application, FORWARDED)
}

/// Returns the blocks before the server, and the internal location from which nginx sends the files of a folder.
fn internal(config: &Checked<'_>, root: &str, location: &str) -> (String, String) {
    /// Dropped headers that an application's middleware sets.
    const DROPPED_OF_APPLICATIONS: [&str; 3] =
        ["X-Frame-Options", "Strict-Transport-Security", "Cross-Origin-Opener-Policy"];
    let upstream_name = config.upstream_name();
    let more = if config.is_served_by_application() { &DROPPED_OF_APPLICATIONS[..] } else { &[] };
    let added: String = DROPPED
        .iter()
        .chain(more)
        .map(|name| {
            let variable = name.to_lowercase().replace('-', "_");
            format!("        add_header {name} $upstream_http_{variable} always;\n")
        })
        .collect();
    let variable = format!("{}_cache_control", upstream(config));
    let map = format!(
        "\
# nginx drops Cache-Control from 412 responses; restore it.
map $status ${variable} {{
    412 $upstream_http_cache_control;
}}

"
    );
    let internal = format!(
        "
    # nginx sends the files that the {upstream_name} has authorized.
    location ^~ \"{location}\" {{
        # Not reachable by clients.
        internal;
        # Both with a trailing slash, or `..` escapes the folder.
        alias \"{root}/\";
        # The {upstream_name} resolves symbolic links, so a link here was created after the check.
        disable_symlinks on \"from={root}/\";
        autoindex off;
        # A replaced file is not sent from a stale handle. If it may be sent for another second, a third more requests are possible with:
        #open_file_cache max=200 inactive=10s;
        #open_file_cache_valid 1s;
        open_file_cache off;
        # The same limit as in the gateway.
        max_ranges 16;
        sendfile on;
        tcp_nopush on;
        gzip off;
        # nginx keeps only Content-Type, Content-Disposition and Cache-Control of the {upstream_name}'s response; restore the others.
{added}        add_header Cache-Control ${variable} always;
    }}
"
    );
    (map, internal)
}

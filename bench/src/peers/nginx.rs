//! nginx: the baseline, and its own ways to serve private files.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::{Server, Testbed, free_address};
use crate::tls;
use crate::work::OF_TLS;

/// Starts nginx without authorization, configured for speed.
pub(super) fn public(bed: &Testbed) -> Result<RunningPeer> {
    serve(bed, "nginx-public", "")
}

/// Like [`public`], with an access log in a file.
pub(super) fn public_with_log(bed: &Testbed) -> Result<RunningPeer> {
    serve(bed, "nginx-public-log", &format!("access_log {};\n", bed.path("nginx-access.log").display()))
}

/// Like [`public`], with TLS 1.3. Sessions are resumed by tickets, as those of the gateway.
pub(super) fn public_with_tls(bed: &Testbed) -> Result<RunningPeer> {
    let folder = bed.path("");
    tls::make_certificate(&folder)?;
    let certificate = folder.join("cert.pem");
    let lines = format!(
        "ssl_certificate {};\nssl_certificate_key {};\nssl_protocols TLSv1.3;\nssl_conf_command Ciphersuites {};\n",
        certificate.display(),
        folder.join("key.pem").display(),
        tls::CIPHER
    );
    let peer = serve_on(bed, "nginx-public-tls", " ssl", &lines)?;
    Ok(RunningPeer { certificate: Some(certificate), only: Some(OF_TLS), ..peer })
}

fn serve(bed: &Testbed, name: &str, more: &str) -> Result<RunningPeer> {
    serve_on(bed, name, "", more)
}

fn serve_on(bed: &Testbed, name: &str, parameters: &str, more: &str) -> Result<RunningPeer> {
    let address = free_address()?;
    let root = bed.root().display().to_string();
    let server = start(
        bed,
        name,
        address,
        &format!(
            "open_file_cache max=10000 inactive=60s;\nopen_file_cache_valid 30s;\nserver {{\n listen {address}{parameters} backlog=4096;\n {more} \
             location /private/ {{ alias {root}/; }}\n}}\n"
        ),
    )?;
    Ok(RunningPeer::public(address, vec![server]))
}

/// Starts nginx with `auth_request`: a trivial upstream in the same nginx authorizes each request.
pub(super) fn auth_request(bed: &Testbed) -> Result<RunningPeer> {
    let (address, upstream) = (free_address()?, free_address()?);
    let root = bed.root().display().to_string();
    let server = start(
        bed,
        "nginx-auth-request",
        address,
        &format!(
            "upstream auth {{ server {upstream}; keepalive 64; }}\n\
             server {{ listen {upstream} backlog=4096; location / {{ if ($http_x_user = 7) {{ return 204; }} return 403; }} }}\n\
             server {{\n listen {address} backlog=4096;\n location /private/ {{ auth_request /auth; alias {root}/; }}\n \
             location = /auth {{ internal; proxy_pass http://auth; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_pass_request_body off; proxy_set_header Content-Length \"\"; }}\n}}\n"
        ),
    )?;
    Ok(RunningPeer {
        denied_status: 403,
        ..RunningPeer::private(address, vec![server], ("X-User", "7".into()))
    })
}

/// Starts nginx with this in its http block.
pub(super) fn start(bed: &Testbed, name: &str, address: SocketAddr, block: &str) -> Result<Server> {
    let main = configure(bed, name, block)?;
    bed.start(name, address, |command| {
        command.arg("nginx").arg("-c").arg(&main);
    })
}

/// Like [`start`], for a server that is not measured.
pub(super) fn start_beside_client(
    bed: &Testbed,
    name: &str,
    address: SocketAddr,
    block: &str,
) -> Result<Server> {
    let main = configure(bed, name, block)?;
    bed.start_beside_client(name, address, |command| {
        command.arg("nginx").arg("-c").arg(&main);
    })
}

/// Writes a configuration, and returns its path.
fn configure(bed: &Testbed, name: &str, block: &str) -> Result<PathBuf> {
    let folder = bed.path(name);
    std::fs::create_dir_all(&folder)?;
    let shown = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("{what}_temp_path {shown}/{what};\n"))
        .collect();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let workers = bed.workers();
    let main = folder.join("nginx.conf");
    std::fs::write(
        &main,
        format!(
            "{user}daemon off;\nworker_processes {workers};\npid {shown}/pid;\nerror_log {shown}/error.log;\n\
             worker_rlimit_nofile 20000;\nevents {{ worker_connections 8192; }}\nhttp {{\naccess_log off;\n\
             include /etc/nginx/mime.types;\nsendfile on;\ntcp_nopush on;\nkeepalive_requests 1000000;\n{temporary}{block}}}\n"
        ),
    )?;
    Ok(main)
}

//! nginx: the bar, and what its users do for private files.

use std::net::SocketAddr;

use super::{Place, Running, Server, free_address};
use crate::Result;

/// Serves the files to everybody, as fast as it can be told to.
pub(super) fn public(place: &Place) -> Result<Running> {
    serve(place, "nginx-public", "")
}

/// The same, with a line in a file for each request.
pub(super) fn public_with_log(place: &Place) -> Result<Running> {
    serve(place, "nginx-public-log", &format!("access_log {};\n", place.path("nginx-access.log").display()))
}

fn serve(place: &Place, name: &str, log: &str) -> Result<Running> {
    let address = free_address()?;
    let root = place.root().display().to_string();
    let server = start(
        place,
        name,
        address,
        &format!(
            "open_file_cache max=10000 inactive=60s;\nopen_file_cache_valid 30s;\nserver {{\n listen {address} backlog=4096;\n {log} \
             location /private/ {{ alias {root}/; }}\n}}\n"
        ),
    )?;
    Ok(Running::public(address, vec![server]))
}

/// Asks a trivial upstream for each request whether it may: what the question itself costs, with an answer for nothing.
pub(super) fn auth_request(place: &Place) -> Result<Running> {
    let (address, upstream) = (free_address()?, free_address()?);
    let root = place.root().display().to_string();
    let server = start(
        place,
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
    Ok(Running { denied_status: 403, ..Running::private(address, vec![server], ("X-User", "7".into())) })
}

/// Starts nginx with this in its http block.
pub(super) fn start(place: &Place, name: &str, address: SocketAddr, block: &str) -> Result<Server> {
    let folder = place.path(name);
    std::fs::create_dir_all(&folder)?;
    let shown = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("{what}_temp_path {shown}/{what};\n"))
        .collect();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let workers = place.workers();
    let main = folder.join("nginx.conf");
    std::fs::write(
        &main,
        format!(
            "{user}daemon off;\nworker_processes {workers};\npid {shown}/pid;\nerror_log {shown}/error.log;\n\
             worker_rlimit_nofile 20000;\nevents {{ worker_connections 8192; }}\nhttp {{\naccess_log off;\n\
             include /etc/nginx/mime.types;\nsendfile on;\ntcp_nopush on;\nkeepalive_requests 1000000;\n{temporary}{block}}}\n"
        ),
    )?;
    place.start(name, address, |command| {
        command.arg("nginx").arg("-c").arg(&main);
    })
}

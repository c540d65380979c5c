//! The site block of Caddy.

use super::address::Host;
use super::checked::Checked;
use super::error::FrontError;

pub(super) fn block(config: &Checked<'_>) -> Result<String, FrontError> {
    config.check_no_application()?;
    if config.send_mode.is_by_front_server() {
        return Err(FrontError::send_mode(
            "Caddy supports neither X-Accel-Redirect nor X-Sendfile",
            &["direct"],
        ));
    }
    let Checked { front, url, printed_by, .. } = config;
    let gateway = config.gateway.caddy();
    // Caddy requests a certificate for a host name, except on plain HTTP.
    let (address, bind) = match &front.host {
        Host::Name(name) if front.port == 443 => (name.clone(), String::new()),
        Host::Name(name) => (format!("http://{name}:{}", front.port), String::new()),
        Host::Any => (format!("http://:{}", front.port), String::new()),
        Host::Address(_) => (format!("http://:{}", front.port), format!("\tbind {}\n", front.address())),
    };
    Ok(format!(
        "\
# Private media behind Caddy, printed by `{printed_by}`. Import it in the Caddyfile, e.g.
# import /etc/caddy/private-media.caddy

{address} {{
{bind}\t# The gateway authenticates and authorizes each request, and sends the file. Do not use `encode` below {url}.
\thandle {url}* {{
\t\treverse_proxy {gateway}
\t}}
\t# Your application, if it has the same address, replaces the 404:
\t#reverse_proxy 127.0.0.1:9000
\thandle {{
\t\trespond 404
\t}}
}}
"
    ))
}

//! Caddy's site block.

use super::address::Host;
use super::{Checked, Server, SiteError};

pub(super) fn block(site: &Checked<'_>) -> Result<String, SiteError> {
    site.alone()?;
    if *site.server != Server::Direct {
        return Err(SiteError::server(
            "Caddy takes no hand-off; it passes on what the gateway sends",
            &["direct"],
        ));
    }
    let Checked { front, gateway, url, printed_by, .. } = site;
    // Caddy gets a certificate for a name by itself; for the port of plain HTTP it does not.
    let (address, bind) = match &front.host {
        Host::Name(name) if front.port == 443 => (name.clone(), String::new()),
        Host::Name(name) => (format!("http://{name}:{}", front.port), String::new()),
        Host::Any => (format!("http://:{}", front.port), String::new()),
        Host::Address(_) => (format!("http://:{}", front.port), format!("\tbind {}\n", front.address())),
    };
    Ok(format!(
        "\
# Private media behind Caddy: printed by `{printed_by}`. To be imported as it is, as in
# import /etc/caddy/private-media.caddy

{address} {{
{bind}\t# Who asks, and may they? The gateway knows, and sends the file. Do not `encode` what is below {url}.
\thandle {url}* {{
\t\treverse_proxy {gateway}
\t}}
\t# Your application, where it is at the same address, in place of the 404:
\t#reverse_proxy 127.0.0.1:9000
\thandle {{
\t\trespond 404
\t}}
}}
"
    ))
}

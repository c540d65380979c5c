//! lighttpd's condition.

use std::path::{Component, Path, PathBuf};

use private_media::delivery::SendfileEncoding;

use super::{Checked, Part, Server, SiteError};

pub(super) fn block(site: &Checked<'_>) -> Result<String, SiteError> {
    site.alone()?;
    let sends = match site.server {
        Server::Direct => false,
        Server::Apache(SendfileEncoding::Auto | SendfileEncoding::Encoded) => true,
        Server::Apache(SendfileEncoding::Plain) => {
            return Err(SiteError::new(Part::Encoding, "lighttpd decodes X-Sendfile", "write encoded"));
        }
        Server::Nginx(_) => {
            return Err(SiteError::server(
                "lighttpd knows no X-Accel-Redirect, but X-Sendfile",
                &["apache", "direct"],
            ));
        }
    };
    let Checked { front, gateway, url, root, printed_by, .. } = site;
    let (sendfile, links) = if sends { (sendfile(root), links(root)) } else { Default::default() };
    // The name of a host is looked at inside the server's one address.
    let (begin, end) = match front.name() {
        Some(name) => {
            (format!("$HTTP[\"host\"] =~ \"^{}(:[0-9]+)?$\" {{\n", name.replace('.', "\\.")), "}\n")
        }
        None => (String::new(), ""),
    };
    let expression = url.replace('.', "\\.");
    Ok(format!(
        "\
# Private media behind lighttpd: printed by `{printed_by}`. To be included as it is, as all of
# /etc/lighttpd/conf-enabled/*.conf is in Debian. lighttpd has one address for everything: server.port = {port}
# lighttpd's user has to be able to read what is in {root}.

server.modules += ( \"mod_proxy\" )
# Paths arrive as the client wrote them.
server.http-parseopts := ( \"url-normalize\" => \"disable\" )
# A file that was replaced a moment ago is not sent as it was before.
server.stat-cache-engine = \"disable\"

{begin}$HTTP[\"url\"] =~ \"^{expression}\" {{
    # Who asks, and may they? The gateway knows.
    proxy.server = ( \"\" => ( (
        \"host\" => \"{host}\",
        \"port\" => {gateway_port},
{sendfile}    ) ) )
    # A download waits for its client, not on this disk.
    server.stream-response-body = 2
    # Any name is a name: Debian denies those that end in ~. A server without mod_access or mod_deflate warns that it does not
    # know the key, and goes on.
    url.access-deny = ( )
    # Compressed content would have another entity tag, and no length.
    deflate.mimetypes = ( )
{links}}}
{end}",
        port = front.port,
        host = gateway.ip(),
        gateway_port = gateway.port(),
    ))
}

fn sendfile(root: &str) -> String {
    format!(
        "        # The gateway has answered that this reader may have the file: lighttpd sends it, if it is below this folder.
        \"x-sendfile\" => \"enable\",
        \"x-sendfile-docroot\" => ( \"{root}\" ),
"
    )
}

/// lighttpd looks for links in the whole path, the root's own too.
fn links(root: &str) -> &'static str {
    let mut path = PathBuf::new();
    let has_link = Path::new(root).components().any(|component| {
        path.push(component);
        matches!(component, Component::Normal(_)) && path.is_symlink()
    });
    if has_link {
        "    # There is a link in the root's own path, so others cannot be refused: nobody but the application may make one below.\n"
    } else {
        "    # The gateway names files without links; a link that is met now was put there since.
    server.follow-symlink = \"disable\"\n"
    }
}

//! The conditional block of lighttpd.

use std::path::{Component, Path, PathBuf};

use private_media::delivery::SendfileEncoding;

use super::checked::Checked;
use super::config::FrontField;
use super::error::FrontError;
use crate::send_mode::SendMode;

pub(super) fn block(config: &Checked<'_>) -> Result<String, FrontError> {
    config.check_no_application()?;
    let sends = match config.send_mode {
        SendMode::Direct | SendMode::Redirect => false,
        SendMode::Apache(SendfileEncoding::Auto | SendfileEncoding::Encoded) => true,
        SendMode::Apache(_) => {
            return Err(FrontError::new(FrontField::Encoding, "lighttpd decodes X-Sendfile", "use encoded"));
        }
        SendMode::Nginx(_) => {
            return Err(FrontError::send_mode(
                "lighttpd supports X-Sendfile, not X-Accel-Redirect",
                &["apache", "direct"],
            ));
        }
    };
    let Checked { front, url, printed_by, .. } = config;
    let (access, root) = (config.root.access("lighttpd"), config.root.folder());
    let gateway = config.gateway.lighttpd();
    let (sendfile, links) = if sends { (sendfile(root), links(root)) } else { Default::default() };
    // lighttpd listens on one address; the host name is a condition inside it.
    let (begin, end) = match front.name() {
        Some(name) => {
            (format!("$HTTP[\"host\"] =~ \"^{}(:[0-9]+)?$\" {{\n", name.replace('.', "\\.")), "}\n")
        }
        None => (String::new(), ""),
    };
    let expression = url.replace('.', "\\.");
    Ok(format!(
        "\
# Private media behind lighttpd, printed by `{printed_by}`. Debian includes
# /etc/lighttpd/conf-enabled/*.conf. lighttpd listens on one port for all sites; requires: server.port = {port}
# {access}

server.modules += ( \"mod_proxy\" )
# The request path is passed on unchanged.
server.http-parseopts := ( \"url-normalize\" => \"disable\" )
# A replaced file is not sent from a stale handle.
server.stat-cache-engine = \"disable\"

{begin}$HTTP[\"url\"] =~ \"^{expression}\" {{
    # The gateway authenticates and authorizes each request.
    proxy.server = ( \"\" => ( (
        {gateway},
{sendfile}    ) ) )
    # Slow downloads are not buffered on disk.
    server.stream-response-body = 2
    # Debian denies names that end in ~. Without mod_access or mod_deflate, lighttpd warns about unknown keys and ignores them.
    url.access-deny = ( )
    # Compression would change the entity tag and drop the length.
    deflate.mimetypes = ( )
{links}}}
{end}",
        port = front.port,
    ))
}

fn sendfile(root: &str) -> String {
    format!(
        "        # lighttpd sends the files that the gateway has authorized, if they are below this folder.
        \"x-sendfile\" => \"enable\",
        \"x-sendfile-docroot\" => ( \"{root}\" ),
"
    )
}

/// Returns whether links are refused. lighttpd checks the whole path, including the path of the root.
fn links(root: &str) -> &'static str {
    let mut path = PathBuf::new();
    let has_link = Path::new(root).components().any(|component| {
        path.push(component);
        matches!(component, Component::Normal(_)) && path.is_symlink()
    });
    if has_link {
        "    # The path of the root contains a symbolic link, so lighttpd cannot refuse links: only the application may create links below it.\n"
    } else {
        "    # The gateway resolves symbolic links, so a link here was created after the check.
    server.follow-symlink = \"disable\"\n"
    }
}

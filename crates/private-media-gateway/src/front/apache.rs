//! Apache's `<VirtualHost>`.

use super::Site;
use crate::config::{Config, ConfigError, Server};

pub(super) fn block(config: &Config, site: &Site) -> Result<String, ConfigError> {
    let sends = match &config.server {
        Server::Direct => false,
        Server::Apache(_) => true,
        Server::Nginx(_) => {
            return Err(config.server_is("Apache knows no X-Accel-Redirect", "write apache, or direct"));
        }
    };
    let Site { front, gateway, url, root } = site;
    let (address, port) = (front.address(), front.port);
    let name = front.name().map_or_else(String::new, |name| format!("    ServerName {name}\n"));
    let (modules, sendfile) = if sends {
        ("proxy proxy_http env xsendfile", sendfile(root))
    } else {
        ("proxy proxy_http env", String::new())
    };
    Ok(format!(
        "\
# Private media behind Apache: printed by `private-media config apache`. To be included as it is, as all of
# /etc/apache2/sites-enabled is in Debian. It needs `Listen {port}`, and a2enmod {modules}.
# Apache's user has to be able to read what is in {root}.

<VirtualHost {address}:{port}>
{name}    # Paths arrive as the client wrote them: an encoded slash is no slash, and nothing is encoded anew (nocanon).
    AllowEncodedSlashes NoDecode
    # Who asks, and may they? The gateway knows.
    ProxyPass \"{url}\" \"http://{gateway}{url}\" nocanon
    # Your application, where it is at the same address; Apache takes the first line that fits:
    #ProxyPass \"/\" \"http://127.0.0.1:9000/\"
    # The sign-in form is accepted from this host only.
    ProxyPreserveHost On

    <Location \"{url}\">
        # The sign-in form is all that is sent there; your application's uploads have a limit of their own.
        LimitRequestBody 65536
        # As many ranges as the gateway itself takes.
        MaxRanges 16
        # Compressed content would have another entity tag, and no length.
        SetEnv no-gzip 1
        SetEnv no-brotli 1
        <IfModule mod_expires.c>
            ExpiresActive Off
        </IfModule>
{sendfile}    </Location>
    # Nobody gets another's answer.
    <IfModule mod_cache.c>
        CacheDisable \"{url}\"
    </IfModule>
</VirtualHost>
"
    ))
}

fn sendfile(root: &str) -> String {
    format!(
        "        # The gateway has answered that this reader may have the file: Apache sends it, if it is below this folder. It follows
        # links that lead out of there: nobody but the application may be able to make one. Only the gateway is obeyed.
        XSendFile On
        XSendFilePath \"{root}\"
"
    )
}

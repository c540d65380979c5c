//! Apache's `<VirtualHost>`.

use super::{Checked, Server, SiteError};

pub(super) fn block(site: &Checked<'_>) -> Result<String, SiteError> {
    let sends = match site.server {
        Server::Direct => false,
        Server::Apache(_) => true,
        Server::Nginx(_) => {
            return Err(SiteError::server("Apache knows no X-Accel-Redirect", &["apache", "direct"]));
        }
    };
    let Checked { front, gateway, url, root, idle, printed_by, .. } = site;
    let (address, port, who) = (front.address(), front.port, site.who());
    let name = front.name().map_or_else(String::new, |name| format!("    ServerName {name}\n"));
    let mut modules = vec!["proxy", "proxy_http", "env"];
    modules.extend(site.application.map(|_| "headers"));
    modules.extend(sends.then_some("xsendfile"));
    let (modules, sendfile) = (modules.join(" "), if sends { sendfile(root, who) } else { String::new() });
    let (slashes, application) = application(site);
    Ok(format!(
        "\
# Private media behind Apache: printed by `{printed_by}`. To be included as it is, as all of
# /etc/apache2/sites-enabled is in Debian. It needs `Listen {port}`, and a2enmod {modules}.
# Apache's user has to be able to read what is in {root}.

<VirtualHost {address}:{port}>
{name}{slashes}    # Who asks, and may they? The {who} knows.
    ProxyPass \"{url}\" \"http://{gateway}{url}\" nocanon ttl={idle}
{application}    # The sign-in form is accepted from this host only.
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

/// What an encoded slash is, and where the rest of the site is.
fn application(site: &Checked<'_>) -> (&'static str, String) {
    let Some(address) = site.application else {
        return (
            "    # Paths arrive as the client wrote them: an encoded slash is no slash, and nothing is encoded anew (nocanon).
    AllowEncodedSlashes NoDecode
",
            "    # Your application, where it is at the same address; Apache takes the first line that fits:
    #ProxyPass \"/\" \"http://127.0.0.1:9000/\"
"
            .into(),
        );
    };
    let public = site.public.as_ref().map_or_else(String::new, |(url, folder)| {
        format!(
            "    # For everybody.
    ProxyPass \"{url}\" \"!\"
    Alias \"{url}\" \"{folder}/\"
    <Directory \"{folder}\">
        Require all granted
    </Directory>
"
        )
    });
    let idle = site.idle;
    (
        "    # Paths arrive as the client wrote them (nocanon). An encoded slash is a slash to the application, so it is one here.
    AllowEncodedSlashes On
",
        format!(
            "{public}    # Your application has the rest. Apache takes the first line that fits.
    ProxyPass \"/\" \"http://{address}/\" nocanon ttl={idle}
    # It may believe these: what a client says of them goes.
    RequestHeader set X-Forwarded-Proto \"expr=%{{REQUEST_SCHEME}}\"
    RequestHeader unset X-Forwarded-For
    RequestHeader unset X-Forwarded-Host
"
        ),
    )
}

fn sendfile(root: &str, who: &str) -> String {
    format!(
        "        # The {who} has answered that this reader may have the file: Apache sends it, if it is below this folder. It follows
        # links that lead out of there: nobody but the application may be able to make one. Only the private URL is obeyed.
        XSendFile On
        XSendFilePath \"{root}\"
"
    )
}

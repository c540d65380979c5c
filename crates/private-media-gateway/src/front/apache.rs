//! The `<VirtualHost>` of Apache.

use super::checked::Checked;
use super::error::FrontError;
use crate::send_mode::SendMode;

pub(super) fn block(config: &Checked<'_>) -> Result<String, FrontError> {
    let sends = match config.send_mode {
        SendMode::Direct | SendMode::Redirect => false,
        SendMode::Apache(_) => true,
        SendMode::Nginx(_) => {
            return Err(FrontError::send_mode(
                "Apache does not support X-Accel-Redirect",
                &["apache", "direct"],
            ));
        }
    };
    let Checked { front, url, keep_alive, printed_by, .. } = config;
    let (access, root) = (config.root.access("Apache"), config.root.folder());
    let gateway = config.gateway.apache(url);
    let (address, port, upstream_name) = (front.address(), front.port, config.upstream_name());
    let name = front.name().map_or_else(String::new, |name| format!("    ServerName {name}\n"));
    let mut modules = vec!["proxy", "proxy_http", "env"];
    modules.extend(config.application.map(|_| "headers"));
    modules.extend(sends.then_some("xsendfile"));
    let (modules, sendfile) =
        (modules.join(" "), if sends { sendfile(root, upstream_name) } else { String::new() });
    let (slashes, application) = application(config);
    Ok(format!(
        "\
# Private media behind Apache, printed by `{printed_by}`. Debian includes
# /etc/apache2/sites-enabled/*.conf. Requires `Listen {port}` and: a2enmod {modules}
# {access}

<VirtualHost {address}:{port}>
{name}{slashes}    # The {upstream_name} authenticates and authorizes each request.
    ProxyPass \"{url}\" \"{gateway}\" nocanon ttl={keep_alive}
{application}    # The sign-in form is accepted only from this host.
    ProxyPreserveHost On

    <Location \"{url}\">
        # Only the sign-in form is sent here. This does not limit uploads to your application.
        LimitRequestBody 65536
        # The same limit as in the gateway.
        MaxRanges 16
        # Compression would change the entity tag and drop the length.
        SetEnv no-gzip 1
        SetEnv no-brotli 1
        <IfModule mod_expires.c>
            ExpiresActive Off
        </IfModule>
{sendfile}    </Location>
    # Responses differ by user.
    <IfModule mod_cache.c>
        CacheDisable \"{url}\"
    </IfModule>
</VirtualHost>
"
    ))
}

/// Returns how encoded slashes are handled, and the upstream of all other URLs.
fn application(config: &Checked<'_>) -> (&'static str, String) {
    let Some(address) = config.application else {
        return (
            "    # The request path is passed on unchanged (nocanon); an encoded slash stays encoded.
    AllowEncodedSlashes NoDecode
",
            "    # Your application, if it has the same address; Apache uses the first matching line:
    #ProxyPass \"/\" \"http://127.0.0.1:9000/\"
"
            .into(),
        );
    };
    let public = config.public.as_ref().map_or_else(String::new, |(url, folder)| {
        format!(
            "    # Public files.
    ProxyPass \"{url}\" \"!\"
    Alias \"{url}\" \"{folder}/\"
    <Directory \"{folder}\">
        Require all granted
    </Directory>
"
        )
    });
    let keep_alive = config.keep_alive;
    (
        "    # The request path is passed on unchanged (nocanon). The application decodes an encoded slash, so Apache does, too.
    AllowEncodedSlashes On
",
        format!(
            "{public}    # Your application serves all other URLs. Apache uses the first matching line.
    ProxyPass \"/\" \"http://{address}/\" nocanon ttl={keep_alive}
    # Trusted by the application; client-supplied values are overwritten.
    RequestHeader set X-Forwarded-Proto \"expr=%{{REQUEST_SCHEME}}\"
    RequestHeader unset X-Forwarded-For
    RequestHeader unset X-Forwarded-Host
"
        ),
    )
}

fn sendfile(root: &str, upstream_name: &str) -> String {
    format!(
        "        # Apache sends the files that the {upstream_name} has authorized, if they are below this folder. mod_xsendfile follows symbolic
        # links out of it: only the application may be able to create links there. Other URLs cannot use X-Sendfile.
        XSendFile On
        XSendFilePath \"{root}\"
"
    )
}

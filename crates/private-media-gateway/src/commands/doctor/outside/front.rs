//! The kind of front server, and the directives for its configuration.

use http::HeaderMap;

use crate::addresses::Endpoint;
use crate::config::Config;
use crate::send_mode::{InternalUrl, SendMode};

/// The server in front of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands::doctor) enum Front {
    Nginx,
    Apache,
    Lighttpd,
    Caddy,
    /// Another server, or none.
    Other,
}

impl Front {
    /// Recognizes the server by its `Server` header, else by the configuration.
    pub(super) fn of(headers: &HeaderMap, config: &Config) -> Self {
        let server = headers.get("server").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let server = server.to_ascii_lowercase();
        let known = [
            ("nginx", Self::Nginx),
            ("openresty", Self::Nginx),
            ("apache", Self::Apache),
            ("lighttpd", Self::Lighttpd),
            ("caddy", Self::Caddy),
        ];
        match (known.iter().find(|(name, _)| server.starts_with(name)), &config.send_mode) {
            (Some((_, front)), _) => *front,
            (None, SendMode::Nginx(_)) => Self::Nginx,
            (None, SendMode::Apache(_)) => Self::Apache,
            (None, SendMode::Direct | SendMode::Redirect) => Self::Other,
        }
    }

    /// Returns the directive that passes the private URL to the gateway.
    pub(super) fn pass(self, config: &Config) -> String {
        let url = &config.url;
        let endpoint = config.endpoint();
        let listen = match &endpoint {
            Some(Endpoint::Tcp(address)) => address.to_string(),
            Some(endpoint @ Endpoint::Https(_)) => {
                return format!(
                    "no front server is needed for {endpoint}; or remove listen.tls, and pass {url} to the gateway"
                );
            }
            Some(unix @ Endpoint::Unix(_)) => {
                return format!("pass {url} to {unix}, path unchanged (private-media config prints how)");
            }
            None => String::new(),
        };
        match self {
            Self::Nginx => {
                format!("location ^~ {url} {{ proxy_pass http://{listen}; }} (no path after the port)")
            }
            Self::Apache => format!("ProxyPass \"{url}\" \"http://{listen}{url}\" nocanon"),
            Self::Lighttpd => {
                let (host, port) = listen.rsplit_once(':').unwrap_or((&listen, ""));
                format!(
                    "$HTTP[\"url\"] =^ \"{url}\" {{ proxy.server = ( \"\" => (( \"host\" => \"{host}\", \"port\" => {port} )) ) }}"
                )
            }
            Self::Caddy => format!("reverse_proxy {url}* {listen}"),
            Self::Other => format!("let the front server pass {url} to http://{listen}, path unchanged"),
        }
    }

    /// Returns the directive that turns caching off.
    pub(super) fn no_cache(self, config: &Config) -> String {
        let url = &config.url;
        match self {
            Self::Nginx => format!(
                "proxy_cache off; in location {url}, and no proxy_ignore_headers Cache-Control or Vary there"
            ),
            Self::Apache => format!("CacheDisable \"{url}\""),
            Self::Lighttpd | Self::Caddy | Self::Other => {
                format!("let no cache or CDN store responses below {url}, which have Cache-Control: private")
            }
        }
    }
}

/// Returns the directive that a front server needs to send files of a hand-off.
pub(super) fn hand_off(config: &Config, front: Front) -> String {
    let root = absolute_root(config);
    match (&config.send_mode, front) {
        (_, Front::Caddy) => "delivery.mode = \"direct\": this front server supports no hand-off".into(),
        (SendMode::Nginx(InternalUrl::Prefix(internal)), _) => {
            format!(
                "location ^~ {internal} {{ internal; alias \"{root}/\"; }} (with a slash at the end of both)"
            )
        }
        (SendMode::Nginx(InternalUrl::FullPath), _) => format!("location ^~ {root}/ {{ internal; root /; }}"),
        (_, Front::Lighttpd) => {
            format!("\"x-sendfile\" => \"enable\", \"x-sendfile-docroot\" => ( \"{root}\" ) in proxy.server")
        }
        _ => format!("XSendFile On and XSendFilePath \"{root}\" in <Location \"{}\">", config.url),
    }
}

/// Returns the root's full path without a final slash.
pub(super) fn absolute_root(config: &Config) -> String {
    let root = config.absolute_root().unwrap_or_else(|_| config.root.clone());
    root.display().to_string().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_server_header_decides_before_the_configuration() {
        let config = |arguments: &[&str]| {
            let command = clap::Command::new("x").args(crate::config::args(crate::config::Scope::All));
            Config::load(&command.get_matches_from([&["x"], arguments].concat())).unwrap()
        };
        for (field, arguments, front) in [
            ("nginx/1.22.1", &[][..], Front::Nginx),
            ("Apache/2.4.62 (Debian)", &["--mode", "nginx"], Front::Apache),
            ("lighttpd/1.4.69", &["--mode", "apache"], Front::Lighttpd),
            ("Caddy", &[], Front::Caddy),
            ("cloudflare", &["--mode", "nginx"], Front::Nginx),
            ("cloudflare", &["--mode", "apache"], Front::Apache),
            ("cloudflare", &[], Front::Other),
        ] {
            let headers = HeaderMap::from_iter([(http::header::SERVER, HeaderValue::from_static(field))]);
            assert_eq!(Front::of(&headers, &config(arguments)), front, "{field} {arguments:?}");
        }
    }
}

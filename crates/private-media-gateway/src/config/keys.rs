//! The table of settings.

pub(crate) mod audit;
pub(crate) mod cache;
pub(crate) mod cors;
pub(crate) mod forward;
pub(crate) mod header;
pub(crate) mod identity;
pub(crate) mod jwt;
pub(crate) mod lookup;
pub(crate) mod site;
pub(crate) mod storage;
pub(crate) mod tls;

use super::key::{Heading, Key, Kind, Scope};

pub(crate) static LISTEN: Key = Key {
    name: "listen",
    flag: "listen",
    kind: Kind::Text,
    value_name: "ADDR",
    heading: Heading::Server,
    scopes: &[Scope::Deployment, Scope::Front],
    default: "127.0.0.1:8000",
    help: "Address to listen on, as HOST:PORT or unix:PATH; port 0 picks a free one",
};
pub(crate) static TRUSTED_PROXIES: Key = Key {
    name: "listen.trusted_proxies",
    flag: "trusted-proxy",
    kind: Kind::List,
    value_name: "PEER",
    heading: Heading::Server,
    scopes: &[],
    default: "",
    help: "Proxy that may name the client: an address, a network such as 10.0.0.0/8, or unix; may be repeated",
};
pub(crate) static CLIENT_HEADER: Key = Key {
    name: "listen.client_header",
    flag: "client-header",
    kind: Kind::Text,
    value_name: "HEADER",
    heading: Heading::Server,
    scopes: &[],
    default: "X-Forwarded-For",
    help: "Header in which trusted proxies name the client: X-Forwarded-For, Forwarded, or one with a single address",
};
pub(crate) static ADMIN_LISTEN: Key = Key {
    name: "admin.listen",
    flag: "admin-listen",
    kind: Kind::Text,
    value_name: "ADDR",
    heading: Heading::Server,
    scopes: &[],
    default: "",
    help: "Address for monitoring, as HOST:PORT or unix:PATH: /metrics for Prometheus, and /health; off by default",
};
pub(crate) static ROOT: Key = Key {
    name: "root",
    flag: "root",
    kind: Kind::Roots,
    value_name: "DIR",
    heading: Heading::Storage,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::Front, Scope::Relocation],
    default: "private",
    help: "Folder of the private files, or a bucket: s3://bucket/prefix, gs://… or az://…",
};
pub(crate) static URL: Key = Key {
    name: "url",
    flag: "url",
    kind: Kind::Text,
    value_name: "PREFIX",
    heading: Heading::Server,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::Front, Scope::Identity],
    default: "/private/",
    help: "URL prefix of the private files",
};
pub(crate) static DEBUG: Key = Key {
    name: "debug",
    flag: "debug",
    kind: Kind::Boolean,
    value_name: "BOOL",
    heading: Heading::Permissions,
    scopes: &[Scope::Deployment],
    default: "false",
    help: "Respond to denied requests with 403 and the reason; for development",
};
pub(crate) static PUBLIC: Key = Key {
    name: "public",
    flag: "public",
    kind: Kind::List,
    value_name: "DIR",
    heading: Heading::Storage,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::Relocation],
    default: "",
    help: "Folder that the application serves publicly; the root must be outside it; may be repeated",
};
pub(crate) static WORKERS: Key = Key {
    name: "workers",
    flag: "workers",
    kind: Kind::NumberOrText,
    value_name: "COUNT",
    heading: Heading::Server,
    scopes: &[],
    default: "auto",
    help: "Threads that serve requests; auto is one per core",
};
pub(crate) static LOG: Key = Key {
    name: "log",
    flag: "log",
    kind: Kind::Text,
    value_name: "LEVEL",
    heading: Heading::Log,
    scopes: &[],
    default: "info",
    help: "Log level: error, warn, info, debug or trace",
};
pub(crate) static LOG_FORMAT: Key = Key {
    name: "log.format",
    flag: "log-format",
    kind: Kind::Text,
    value_name: "FORMAT",
    heading: Heading::Log,
    scopes: &[],
    default: "auto",
    help: "Format of the log: text, json, or auto for text at a terminal and JSON elsewhere",
};
pub(crate) static STATE: Key = Key {
    name: "state",
    flag: "state",
    kind: Kind::Url,
    value_name: "URL",
    heading: Heading::Identity,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::AccountChange, Scope::Identity],
    default: "sqlite:state.db",
    help: "Store of ended sessions: sqlite:PATH, postgres://… to share it between gateways, or memory",
};
pub(crate) static GRANT: Key = Key {
    name: "grant",
    flag: "grant",
    kind: Kind::Grants,
    value_name: "GRANT",
    heading: Heading::Permissions,
    scopes: &[Scope::Decision, Scope::Deployment],
    default: "",
    help: "Who may read which files, e.g. 'cars/{owner}/{*file}=owner,staff'; may be repeated [default: {*file}=staff]",
};
pub(crate) static REVALIDATE_AFTER: Key = Key {
    name: "storage.revalidate_after",
    flag: "revalidate-after",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Storage,
    scopes: &[],
    default: "1s",
    help: "How long a cached file is used before it is re-checked; 0s checks every request",
};
pub(crate) static FOLLOW_LINKS: Key = Key {
    name: "storage.follow_links",
    flag: "follow-links",
    kind: Kind::Boolean,
    value_name: "BOOL",
    heading: Heading::Storage,
    scopes: &[Scope::Decision, Scope::Deployment],
    default: "false",
    help: "Follow symbolic links below the root, never out of it; a link gives a file a second path",
};
pub(crate) static MODE: Key = Key {
    name: "delivery.mode",
    flag: "mode",
    kind: Kind::Text,
    value_name: "MODE",
    heading: Heading::Delivery,
    scopes: &[Scope::Deployment, Scope::Front],
    default: "direct",
    help: "Which server sends the files: direct, nginx (X-Accel-Redirect), apache (X-Sendfile; lighttpd too), or redirect (the bucket of the root)",
};
pub(crate) static URL_LIFETIME: Key = Key {
    name: "delivery.url_lifetime",
    flag: "url-lifetime",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Delivery,
    scopes: &[Scope::Deployment],
    default: "60s",
    help: "With redirect, or with nginx and a bucket: how long a presigned URL is valid",
};
pub(crate) static INTERNAL_URL: Key = Key {
    name: "delivery.internal_url",
    flag: "internal-url",
    kind: Kind::Text,
    value_name: "PREFIX",
    heading: Heading::Delivery,
    scopes: &[Scope::Deployment, Scope::Front],
    default: "/private-media-internal/",
    help: "Internal location of nginx that serves the root; full-path uses absolute paths",
};
pub(crate) static SENDFILE_ENCODING: Key = Key {
    name: "delivery.sendfile_encoding",
    flag: "sendfile-encoding",
    kind: Kind::Text,
    value_name: "ENCODING",
    heading: Heading::Delivery,
    scopes: &[Scope::Deployment, Scope::Front],
    default: "auto",
    help: "How X-Sendfile encodes names: auto, plain (mod_xsendfile 0.12) or encoded (1.0, lighttpd)",
};
pub(crate) static MAX_CONNECTIONS: Key = Key {
    name: "limits.max_connections",
    flag: "max-connections",
    kind: Kind::Number,
    value_name: "COUNT",
    heading: Heading::Limits,
    scopes: &[],
    default: "10000",
    help: "Maximum number of open connections",
};
pub(crate) static CONNECTIONS_PER_CLIENT: Key = Key {
    name: "limits.connections_per_client",
    flag: "connections-per-client",
    kind: Kind::Number,
    value_name: "COUNT",
    heading: Heading::Limits,
    scopes: &[],
    default: "0",
    help: "Maximum number of open connections of one address, except proxies and Unix sockets; 0 is no limit",
};
pub(crate) static REQUESTS_PER_SECOND: Key = Key {
    name: "limits.requests_per_second",
    flag: "requests-per-second",
    kind: Kind::Number,
    value_name: "COUNT",
    heading: Heading::Limits,
    scopes: &[],
    default: "0",
    help: "Requests per second of one client, of which those of five seconds may come at once; 0 is no limit",
};
pub(crate) static HEADER_TIMEOUT: Key = Key {
    name: "limits.header_timeout",
    flag: "header-timeout",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Limits,
    scopes: &[Scope::Front],
    default: "15s",
    help: "Timeout for the header of a request, and for idle connections",
};
pub(crate) static MIN_RATE: Key = Key {
    name: "limits.min_rate",
    flag: "min-rate",
    kind: Kind::Number,
    value_name: "BYTES",
    heading: Heading::Limits,
    scopes: &[],
    default: "512",
    help: "Minimum transfer rate of a client, in bytes per second",
};
pub(crate) static SHUTDOWN_TIMEOUT: Key = Key {
    name: "limits.shutdown_timeout",
    flag: "shutdown-timeout",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Limits,
    scopes: &[],
    default: "30s",
    help: "How long running downloads may continue after a signal to stop",
};

/// All settings, in the order in which they are shown.
pub(crate) static KEYS: [&Key; 59] = [
    &LISTEN,
    &TRUSTED_PROXIES,
    &CLIENT_HEADER,
    &tls::CERTIFICATE,
    &tls::KEY,
    &tls::REDIRECT_HTTP,
    &tls::HSTS,
    &ADMIN_LISTEN,
    &ROOT,
    &URL,
    &DEBUG,
    &PUBLIC,
    &WORKERS,
    &LOG,
    &LOG_FORMAT,
    &STATE,
    &identity::IDENTITY,
    &identity::ACCOUNTS,
    &identity::CACHE_TTL,
    &identity::SESSION_LIFETIME,
    &identity::DATABASE,
    &identity::SECRET_FILE,
    &identity::SESSION_ENGINE,
    &identity::SESSION_COOKIE,
    &identity::BACKENDS,
    &lookup::LOOKUP,
    &GRANT,
    &site::NAME,
    &site::LOGO,
    &REVALIDATE_AFTER,
    &FOLLOW_LINKS,
    &storage::ENDPOINT,
    &storage::REGION,
    &storage::PATH_STYLE,
    &storage::ALLOW_HTTP,
    &storage::CONDITIONAL_WRITES,
    &cache::PATH,
    &cache::SIZE,
    &MODE,
    &URL_LIFETIME,
    &INTERNAL_URL,
    &SENDFILE_ENCODING,
    &cors::ORIGINS,
    &cors::CREDENTIALS,
    &cors::MAX_AGE,
    &MAX_CONNECTIONS,
    &CONNECTIONS_PER_CLIENT,
    &REQUESTS_PER_SECOND,
    &HEADER_TIMEOUT,
    &MIN_RATE,
    &SHUTDOWN_TIMEOUT,
    &audit::PATH,
    &audit::OVERFLOW,
    &audit::ROTATE_SIZE,
    &audit::ROTATE_AGE,
    &audit::KEEP,
    &audit::FOLD,
    &audit::SYNC,
    &audit::KEY_FILE,
];

/// Returns the column of a key that is also a table: `listen = "…"` is short for `listen.address = "…"`, and `log = "…"` for
/// `log.level = "…"`.
pub(crate) fn column_of_table(key: &Key) -> Option<&'static str> {
    let columns = [(&LISTEN, "address"), (&LOG, "level")];
    columns.into_iter().find_map(|(own, column)| (own.name == key.name).then_some(column))
}

/// Returns whether a key belongs to `[[…]]` tables.
pub(crate) fn is_in_tables(key: &Key) -> bool {
    let table = key.name.split_once('.').map(|(table, _)| table);
    KEYS.iter().any(|key| Some(key.name) == table && matches!(key.kind, Kind::Tables(_)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Returns how the row of a key begins in the reference.
    fn row(key: &Key) -> String {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}` |", key.default) };
        // A key without a flag of its own is set in a table.
        if is_in_tables(key) && KEYS.iter().all(|other| !std::ptr::eq(*other, key)) {
            return format!("| `{}` | | | {default}", key.column());
        }
        let flag = match key.kind {
            Kind::Boolean => format!("--{}[={}]", key.flag, key.value_name),
            _ => format!("--{} {}", key.flag, key.value_name),
        };
        format!(
            "| `{}` | `{flag}` | `{}` | {default}",
            if is_in_tables(key) { key.column() } else { key.name },
            key.environment()
        )
    }

    #[test]
    fn the_reference_has_a_row_for_each_setting() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
        // The packaged crate has no documentation.
        let Ok(page) = std::fs::read_to_string(page) else { return };
        let mut sections: Vec<(String, Vec<&Key>)> =
            vec![("## Settings".into(), KEYS.into_iter().filter(|key| !is_in_tables(key)).collect())];
        for key in KEYS {
            let Kind::Tables(tables) = key.kind else { continue };
            for variant in tables.variants {
                sections.push((format!("### `[[{}]]`: {}", key.name, variant.name), variant.keys.to_vec()));
            }
        }
        for (heading, keys) in sections {
            let from = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
            let section = &page[from + heading.len() + 1..];
            let section = &section[..section.find("\n#").unwrap_or(section.len())];
            for key in &keys {
                let row = row(key);
                assert!(
                    section.contains(&row),
                    "docs/reference/configuration.md, {heading}: no row begins with {row}"
                );
            }
            let rows = section.lines().filter(|line| line.starts_with("| `"));
            assert_eq!(rows.count(), keys.len(), "{heading}");
        }
    }
}

//! Loads a configuration for a fuzz target, which must not use the network.

use super::error::ConfigError;
use super::keys::KEYS;
use super::layers::Layers;
use super::load::Config;
use crate::addresses;

/// The placeholder of settings that may contain the name of a host.
const ADDRESS: &str = "ADDR";

impl Config {
    /// Loads arguments; `None` if an address needs a DNS query.
    pub(crate) fn load_offline(matches: &clap::ArgMatches) -> Option<Result<Self, ConfigError>> {
        let layers = match Layers::load(matches) {
            Ok(layers) => layers,
            Err(error) => return Some(Err(error)),
        };
        let mut addresses = KEYS.into_iter().filter(|key| key.value_name == ADDRESS);
        let is_offline = addresses
            .all(|key| layers.settings.get(key).values().iter().all(|value| addresses::is_literal(value)));
        is_offline.then(|| Self::new(layers))
    }

    /// Returns all values without their origins. Two configurations with the same meaning behave the same.
    #[cfg(fuzzing)]
    pub(crate) fn meaning(&self) -> String {
        let Self {
            listen,
            admin_listen,
            tls,
            trusted_proxies,
            root,
            url,
            debug,
            workers,
            log,
            log_format,
            identity,
            ..
        } = self;
        let Self {
            grants,
            lookups,
            revalidate_after,
            follow_links,
            send_mode,
            cors,
            limits,
            site_name,
            audit,
            connections_per_client,
            requests_per_second,
            bucket,
            others,
            ..
        } = self;
        let logo = self.layers.settings.path(&super::keys::site::LOGO);
        let settings = format!(
            "{listen:?} {admin_listen:?} {tls:?} {trusted_proxies:?} {root:?} {url:?} {debug} {workers} {log:?} {log_format:?} {identity:?}"
        );
        let grants: Vec<_> = grants.iter().map(ToString::to_string).collect();
        let public = self.public_folders();
        let others: Vec<_> = others.iter().map(|other| (&other.prefix, other.config.meaning())).collect();
        format!(
            "{settings} {lookups:?} {grants:?} {revalidate_after:?} {follow_links} {send_mode:?} {cors:?} {limits:?} {public:?} {site_name:?} {logo:?} {audit:?} {connections_per_client} {requests_per_second} {bucket:?} {others:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::super::args;
    use super::super::key::{Key, Kind, Scope};
    use super::*;

    /// A name that no server knows, in each form in which a setting may have one.
    const HOSTS: [&str; 4] =
        ["host.invalid:80", "host.invalid", "http://host.invalid/", "postgres://user@host.invalid/database"];

    /// Returns a file with a value for a key.
    fn files(key: &Key, value: &str) -> Vec<String> {
        match key.kind {
            Kind::Tables(tables) => {
                let of_variant = |variant: &super::super::key::Variant| {
                    let table = format!("[[{}]]\n", key.name);
                    let selector =
                        tables.selector.map(|selector| format!("{selector} = \"{}\"\n", variant.name));
                    let begin = table + &selector.unwrap_or_default();
                    let lines = |key: &&Key| {
                        [
                            format!("{} = \"{value}\"\n", key.column()),
                            format!("{} = [\"{value}\"]\n", key.column()),
                        ]
                    };
                    variant.keys.iter().flat_map(lines).map(|line| begin.clone() + &line).collect::<Vec<_>>()
                };
                tables.variants.iter().flat_map(of_variant).collect()
            }
            Kind::Grants => vec![format!("[[grant]]\npath = \"{value}\"\nto = [\"{value}\"]\n")],
            _ => vec![format!("{} = \"{value}\"\n", key.name), format!("{} = [\"{value}\"]\n", key.name)],
        }
    }

    #[test]
    fn no_setting_causes_a_dns_query() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private-media.toml");
        let command = Command::new("show").args(args(Scope::All));
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let arguments = ["show", "--config", path.to_str().unwrap()];
            Config::load_offline(&command.clone().try_get_matches_from(arguments).unwrap())
        };
        let mut refused = vec![];
        for key in KEYS {
            for text in HOSTS.iter().flat_map(|host| files(key, host)) {
                if load(&text).is_none() {
                    refused.push(key.name);
                }
                assert_eq!(addresses::queries(), 0, "{text}");
            }
        }
        refused.dedup();
        assert_eq!(refused, ["listen", "listen.redirect_http", "admin.listen"]);
        // The counter counts.
        assert!(addresses::ListenAddr::parse("host.invalid:80", folder.path()).is_err());
        assert_eq!(addresses::queries(), 1);
        for literal in ["127.0.0.1:1", "[::1]:1", "unix:a.sock"] {
            assert!(
                load(&format!("listen = \"{literal}\"")).is_some_and(|config| config.is_ok()),
                "{literal}"
            );
        }
    }
}

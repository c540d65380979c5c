//! Several roots, each with the files below a folder. One root has all other files.

use clap::ArgMatches;
use private_media::MediaPath;

use super::error::ConfigError;
use super::keys::{MODE, ROOT};
use super::layers::Layers;
use super::load::{Config, OtherRoot};
use super::root_tables::{has_bucket, tables};
use crate::folders::{ancestors, dev_ino};
use crate::send_mode::SendMode;

/// Loads the roots of the tables with a path.
fn others(layers: &Layers, mode: &SendMode) -> Result<Vec<OtherRoot>, ConfigError> {
    let setting = layers.settings.get(&ROOT);
    let mut others: Vec<OtherRoot> = Vec::new();
    for (path, location) in tables(&setting) {
        let Some(path) = path else { continue };
        if mode.is_by_front_server() {
            let problem = "a front server sends files of one root, and there are several";
            return Err(layers
                .settings
                .get(&MODE)
                .error(problem, "use direct or redirect, or a single root"));
        }
        let error = |problem: &str, fix: &str| setting.with_value(location).error(problem, fix);
        let prefix = MediaPath::new(path.strip_suffix('/').unwrap_or(path)).map_err(|problem| {
            error(&format!("path {path:?}: {problem}"), "write it as in a grant, e.g. \"archive/\"")
        })?;
        if others.iter().any(|other| other.prefix == prefix) {
            return Err(error(&format!("another table has the path {path:?}, too"), "remove one of the two"));
        }
        let mut layers = layers.clone();
        layers.settings.insert(setting.with_value(location));
        others.push(OtherRoot { prefix, config: Config::parse(layers, true)? });
    }
    Ok(others)
}

impl Config {
    /// Loads the configuration from these command-line arguments, the environment and the TOML file.
    pub(crate) fn load(matches: &ArgMatches) -> Result<Self, ConfigError> {
        Self::new(Layers::load(matches)?)
    }

    /// Loads the configuration of a command that uses other buckets than the root.
    pub(crate) fn load_with_buckets(matches: &ArgMatches) -> Result<Self, ConfigError> {
        Self::of_roots(Layers::load(matches)?, true)
    }

    pub(super) fn new(layers: Layers) -> Result<Self, ConfigError> {
        Self::of_roots(layers, false)
    }

    fn of_roots(layers: Layers, has_other_bucket: bool) -> Result<Self, ConfigError> {
        let has_other_bucket = has_other_bucket || has_bucket(&layers.settings);
        let mut main = Self::parse(layers, has_other_bucket)?;
        main.others = others(&main.layers, &main.send_mode)?;
        Ok(main)
    }

    /// Checks each root before anything is served from it.
    pub(crate) fn check_roots(&self) -> Result<(), ConfigError> {
        self.each_root().try_for_each(Self::check_root)?;
        self.check_roots_apart()
    }

    /// Returns a configuration for each root, of which the first is this one.
    pub(crate) fn each_root(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.others.iter().map(|other| &other.config))
    }

    /// Returns the configuration of the root of a file.
    pub(crate) fn root_of(&self, path: &MediaPath) -> &Self {
        let is_inside = |other: &&OtherRoot| {
            path.as_str().strip_prefix(other.prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let longest = self.others.iter().filter(is_inside).max_by_key(|other| other.prefix.as_str().len());
        longest.map_or(self, |other| &other.config)
    }

    /// Returns whether a root is a bucket.
    pub(crate) fn has_bucket(&self) -> bool {
        self.each_root().any(|root| root.bucket.is_some())
    }

    /// Checks that no root is inside another, where its files would have two paths, of which a grant may allow one.
    fn check_roots_apart(&self) -> Result<(), ConfigError> {
        let roots: Vec<&Self> = self.each_root().collect();
        for outer in &roots {
            let inside =
                roots.iter().find(|inner| !std::ptr::eq(**inner, *outer) && outer.contains_root(inner));
            if let Some(inner) = inside {
                let problem = format!("it is inside the root {:?}", outer.location());
                return Err(inner.get(&ROOT).error(&problem, "files would have two paths; move it out"));
            }
        }
        Ok(())
    }

    fn location(&self) -> String {
        self.get(&ROOT).shown().into_iter().next().unwrap_or_default()
    }

    fn contains_root(&self, other: &Self) -> bool {
        match (&self.bucket, &other.bucket) {
            #[cfg(feature = "buckets")]
            (Some(own), Some(other)) => own.url.contains(&other.url),
            (None, None) => {
                let own = dev_ino(&self.root).ok().flatten();
                own.is_some_and(|own| ancestors(&other.root).any(|id| id == own))
            }
            _ => false,
        }
    }
}

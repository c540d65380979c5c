//! The files that `--match` names.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::config::ConfigError;

/// Parses the values of `--match`.
pub(super) fn parse<'a>(globs: impl Iterator<Item = &'a String>) -> Result<GlobSet, ConfigError> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let error = |problem: globset::Error| {
            ConfigError::new(format!("invalid value {glob:?} for --match: {}", problem.kind()))
        };
        set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(error)?);
    }
    set.build().map_err(|error| ConfigError::new(format!("--match: {error}")))
}

/// Returns whether a path below FROM is to be moved.
pub(super) fn is_wanted(globs: &GlobSet, name: &str) -> bool {
    globs.is_empty() || globs.is_match(name)
}

//! The settings of the audit.

use std::path::PathBuf;

use super::error::ConfigError;
use super::keys::audit as keys;
use super::settings::{Setting, Settings};
use super::values;
use crate::audit::{AuditOptions, Overflow};

/// Returns the options; `None` if nothing is recorded.
pub(super) fn options(settings: &Settings) -> Result<Option<AuditOptions>, ConfigError> {
    let overflow = settings.get(&keys::OVERFLOW).parse_with(|value| match value {
        "drop" => Ok(Overflow::Drop),
        "deny" => Ok(Overflow::Deny),
        _ => Err("expected drop or deny"),
    })?;
    let options = AuditOptions {
        path: settings.path(&keys::PATH),
        rotate_size: settings.get(&keys::ROTATE_SIZE).parse_with(values::size)?,
        rotate_age: settings.get(&keys::ROTATE_AGE).parse_with(values::duration)?,
        keep: settings.get(&keys::KEEP).parse_with(values::count)?,
        overflow,
        fold: settings.get(&keys::FOLD).parse_with(values::duration)?,
        sync: settings.get(&keys::SYNC).parse_with(values::duration)?,
        key_file: is_given(&settings.get(&keys::KEY_FILE)).then(|| settings.path(&keys::KEY_FILE)),
    };
    let is_on = is_given(&settings.get(&keys::PATH));
    if options.key_file.is_some() && !is_on {
        return Err(settings.get(&keys::KEY_FILE).error("nothing is recorded", "name a file in audit.path"));
    }
    Ok(is_on.then_some(options))
}

/// Returns the files of the audit.
pub(super) fn files(settings: &Settings) -> Vec<(Setting, PathBuf)> {
    let files = [&keys::PATH, &keys::KEY_FILE].map(|key| (settings.get(key), settings.path(key)));
    files.into_iter().filter(|(setting, _)| is_given(setting)).collect()
}

/// An empty text is no file, so that a variable can turn the audit off.
fn is_given(setting: &Setting) -> bool {
    setting.values().iter().any(|value| !value.is_empty())
}

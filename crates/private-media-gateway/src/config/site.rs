//! The name and the logo on the pages of the gateway.

use std::fs::File;
use std::io::Read;

use private_media::pages::{Branding, Logo};

use super::error::ConfigError;
use super::keys::site as keys;
use super::settings::Settings;

/// The maximum length of a name, in characters.
const MAX_NAME: usize = 100;

/// Parses the name of the site.
pub(super) fn name(value: &str) -> Result<String, String> {
    let len = value.chars().count();
    if (1..=MAX_NAME).contains(&len) && !value.chars().any(char::is_control) {
        Ok(value.to_owned())
    } else {
        Err(format!("expected a text of 1 to {MAX_NAME} characters in one line, e.g. Car Club"))
    }
}

/// Returns the branding of the pages. Reads the logo.
pub(super) fn branding(settings: &Settings, name: &str) -> Result<Branding, ConfigError> {
    let branding = Branding::new(name);
    let setting = settings.get(&keys::LOGO);
    if setting.values().iter().all(String::is_empty) {
        return Ok(branding);
    }
    let mut content = Vec::new();
    // One byte more than the limit is enough to know.
    let limit = Logo::MAX_LEN as u64 + 1;
    File::open(settings.path(&keys::LOGO))
        .and_then(|file| file.take(limit).read_to_end(&mut content))
        .map_err(|cause| {
            setting.error(&format!("cannot be read: {cause}"), "name a file that this user can read")
        })?;
    let logo = Logo::new(&content).map_err(|error| setting.error_with(&error.to_string()))?;
    Ok(branding.logo(logo))
}

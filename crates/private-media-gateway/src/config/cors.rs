//! The settings of cross-origin requests.

use private_media::cors::{CorsOptions, Origin};

use super::error::ConfigError;
use super::keys::cors as keys;
use super::settings::Settings;
use super::values;

/// Returns the options; `None` if no origin is allowed.
pub(super) fn options(settings: &Settings) -> Result<Option<CorsOptions>, ConfigError> {
    let setting = settings.get(&keys::ORIGINS);
    let origins =
        setting.values().iter().map(|value| setting.with_value(value).parse_with(str::parse::<Origin>));
    let origins = origins.collect::<Result<Vec<_>, _>>()?;
    let credentials = settings.get(&keys::CREDENTIALS);
    let is_credentials = credentials.parse("true or false")?;
    let max_age = settings.get(&keys::MAX_AGE).parse_with(values::duration)?;
    if origins.is_empty() && is_credentials {
        return Err(
            credentials.error("no origin is allowed", "name each in cors.origins, e.g. https://app.example")
        );
    }
    let options = CorsOptions::new(origins).credentials(is_credentials).max_age(max_age);
    Ok((!options.origins.is_empty()).then_some(options))
}

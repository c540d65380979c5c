//! The settings of delivery.

use private_media::delivery::SendfileEncoding;

use super::error::ConfigError;
use super::keys;
use super::settings::Settings;
use crate::send_mode::{InternalUrl, SendMode};
use crate::{folders, urls};

pub(super) fn send_mode(settings: &Settings, private: &str) -> Result<SendMode, ConfigError> {
    let encoding = settings.get(&keys::SENDFILE_ENCODING).parse_with(|value| match value {
        "auto" => Ok(SendfileEncoding::Auto),
        "plain" => Ok(SendfileEncoding::Plain),
        "encoded" => Ok(SendfileEncoding::Encoded),
        _ => Err("expected auto, plain or encoded"),
    })?;
    let setting = settings.get(&keys::INTERNAL_URL);
    let internal = setting.parse_with(internal_url)?;
    let mode = settings.get(&keys::MODE).parse_with(|value| match value {
        "direct" => Ok(SendMode::Direct),
        "nginx" => Ok(SendMode::Nginx(internal.clone())),
        "apache" => Ok(SendMode::Apache(encoding)),
        "redirect" => Ok(SendMode::Redirect),
        _ => Err("expected direct, nginx, apache or redirect"),
    })?;
    let location = match &mode {
        SendMode::Nginx(InternalUrl::Prefix(internal)) => internal.clone(),
        SendMode::Nginx(InternalUrl::FullPath) => match folders::absolute(&settings.path(&keys::ROOT)) {
            Ok(root) => format!("{}/", root.display()),
            // A missing root is an error when it is opened.
            Err(_) => return Ok(mode),
        },
        SendMode::Direct | SendMode::Apache(_) | SendMode::Redirect => return Ok(mode),
    };
    urls::check_disjoint(&location, private).map_err(|overlap| setting.error_with(&overlap.to_string()))?;
    Ok(mode)
}

fn internal_url(value: &str) -> Result<InternalUrl, String> {
    match value {
        "full-path" => Ok(InternalUrl::FullPath),
        _ => match urls::internal(value) {
            Ok(url) => Ok(InternalUrl::Prefix(url.into())),
            Err(error) => Err(format!("{error}, or full-path")),
        },
    }
}

//! Who sends the bytes.

use private_media::delivery::SendfileEncoding;

use super::layers::Layers;
use super::{ConfigError, absolute, keys};
use crate::front::{InternalUrl, Server, urls};

pub(super) fn server(layers: &Layers, private: &str) -> Result<Server, ConfigError> {
    // All three are read, so that no mistake waits for the day on which the server changes.
    let encoding = layers.get(&keys::SENDFILE_ENCODING).parse_with(|value| match value {
        "auto" => Ok(SendfileEncoding::Auto),
        "plain" => Ok(SendfileEncoding::Plain),
        "encoded" => Ok(SendfileEncoding::Encoded),
        _ => Err("it is no encoding; write auto, plain or encoded".into()),
    })?;
    let setting = layers.get(&keys::INTERNAL_URL);
    let internal = setting.parse_with(internal_url)?;
    let server = layers.get(&keys::MODE).parse_with(|value| match value {
        "direct" => Ok(Server::Direct),
        "nginx" => Ok(Server::Nginx(internal.clone())),
        "apache" => Ok(Server::Apache(encoding)),
        _ => Err("this version knows direct, nginx and apache; write one of them".into()),
    })?;
    let location = match &server {
        Server::Nginx(InternalUrl::Prefix(internal)) => internal.clone(),
        Server::Nginx(InternalUrl::FullPath) => match absolute(&layers.path(&keys::ROOT)) {
            Ok(root) => format!("{}/", root.display()),
            // One that is not to be found has an error of its own, when it is opened.
            Err(_) => return Ok(server),
        },
        Server::Direct | Server::Apache(_) => return Ok(server),
    };
    urls::apart(&location, private).map_err(|(problem, fix)| setting.error(&problem, &fix))?;
    Ok(server)
}

fn internal_url(value: &str) -> Result<InternalUrl, String> {
    match value {
        "full-path" => Ok(InternalUrl::FullPath),
        _ => match urls::internal(value) {
            Ok(url) => Ok(InternalUrl::Prefix(url.into())),
            Err(problem) => Err(format!("{problem}; {}, or full-path", urls::FIX)),
        },
    }
}

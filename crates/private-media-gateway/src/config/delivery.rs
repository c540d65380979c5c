//! Who sends the bytes.

use private_media::delivery::SendfileEncoding;

use super::layers::Layers;
use super::{ConfigError, keys, url};

/// Who sends the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    Direct,
    Nginx(InternalUrl),
    Apache(SendfileEncoding),
}

/// Where nginx has the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InternalUrl {
    /// At a location with a slash on both sides.
    Prefix(String),
    /// At the root's own path.
    FullPath,
}

pub(super) fn server(layers: &Layers, private: &str) -> Result<Server, ConfigError> {
    // All three are read, so that no mistake waits for the day on which the server changes.
    let encoding = layers.get(&keys::ENCODING).parse_with(|value| match value {
        "auto" => Ok(SendfileEncoding::Auto),
        "plain" => Ok(SendfileEncoding::Plain),
        "encoded" => Ok(SendfileEncoding::Encoded),
        _ => Err("it is no encoding; write auto, plain or encoded".into()),
    })?;
    let setting = layers.get(&keys::INTERNAL_URL);
    let internal = setting.parse_with(internal_url)?;
    let server = layers.get(&keys::SERVER).parse_with(|value| match value {
        "direct" => Ok(Server::Direct),
        "nginx" => Ok(Server::Nginx(internal.clone())),
        "apache" => Ok(Server::Apache(encoding)),
        _ => Err("this version knows direct, nginx and apache; write one of them".into()),
    })?;
    let location = match &server {
        Server::Nginx(InternalUrl::Prefix(internal)) => internal.clone(),
        Server::Nginx(InternalUrl::FullPath) => {
            format!("{}/", std::path::absolute(layers.path(&keys::ROOT)).unwrap_or_default().display())
        }
        Server::Direct | Server::Apache(_) => return Ok(server),
    };
    if shadows(&location, private) {
        return Err(setting.error(
            &format!("the location {location} and the private URL {private} lie in one another"),
            &format!("write another, such as {private}-/files/"),
        ));
    }
    Ok(server)
}

fn internal_url(value: &str) -> Result<InternalUrl, String> {
    match value {
        "full-path" => Ok(InternalUrl::FullPath),
        // `-` is no segment of a file's path, but may be one of this.
        _ => match url(&value.replacen("/-/", "/", 1)) {
            Ok(_) => Ok(InternalUrl::Prefix(value.into())),
            Err(problem) => Err(format!("{problem}, or full-path")),
        },
    }
}

/// Whether nginx would take requests for files to the internal location, or the other way round. Below `-/` there are no files.
fn shadows(internal: &str, private: &str) -> bool {
    private.starts_with(internal)
        || internal.strip_prefix(private).is_some_and(|rest| !rest.starts_with("-/"))
}

//! Configuration of front servers for a Django project.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use private_media_gateway::front::{self, FrontField, FrontServer};
use private_media_gateway::{InternalUrl, SendMode};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::delivery::parse_encoding;

pyo3::create_exception!(
    private_media._core,
    FrontError,
    PyValueError,
    "A field of the configuration that no front server supports: the field's name, and the problem with its fix."
);

/// The configuration of a front server. Nothing is handed off by default.
#[pyclass(module = "private_media._core")]
pub(crate) struct FrontConfig(front::FrontConfig);

#[pymethods]
impl FrontConfig {
    /// Without a gateway, the application serves the private URL.
    #[new]
    #[pyo3(signature = (front, url, root, *, application, gateway=None, keep_alive, printed_by))]
    fn new(
        front: &str,
        url: &str,
        root: PathBuf,
        application: &str,
        gateway: Option<&str>,
        keep_alive: u64,
        printed_by: &str,
    ) -> PyResult<Self> {
        let application = parse_address(FrontField::Application, application)?;
        let gateway =
            gateway.map_or(Ok(application), |gateway| parse_address(FrontField::Gateway, gateway))?;
        let mut config = front::FrontConfig::new(front, gateway, url, root);
        config.keep_alive = Duration::from_secs(keep_alive);
        config.application = Some(application);
        printed_by.clone_into(&mut config.printed_by);
        Ok(Self(config))
    }

    /// Hands files off to nginx: below an internal URL, or by full paths.
    #[pyo3(signature = (internal_url=None))]
    fn hand_off_to_nginx(&mut self, internal_url: Option<&str>) {
        self.0.send_mode = SendMode::Nginx(internal_url.map_or(InternalUrl::FullPath, |url| {
            // Adds missing slashes, as the delivery does.
            let inner = url.strip_prefix('/').unwrap_or(url);
            let inner = inner.strip_suffix('/').unwrap_or(inner);
            InternalUrl::Prefix(if inner.is_empty() { "/".into() } else { format!("/{inner}/") })
        }));
    }

    /// Hands files off to Apache.
    fn hand_off_to_apache(&mut self, encoding: &str) -> PyResult<()> {
        self.0.send_mode = SendMode::Apache(parse_encoding(encoding)?);
        Ok(())
    }

    /// Publishes a folder at a URL.
    fn publish(&mut self, url: &str, folder: PathBuf) {
        self.0.public = Some((url.to_owned(), folder));
    }

    /// Returns the configuration for nginx, apache, or another server of `private-media config`.
    fn render(&self, server: &str) -> PyResult<String> {
        let Some(server) = FrontServer::from_name(server) else {
            return Err(PyValueError::new_err(format!("unknown front server {server:?}")));
        };
        server.block(&self.0).map_err(|error| {
            let class = |mode| match mode {
                "nginx" => "private_media.servers.NginxXAccelRedirectServer",
                "apache" => "private_media.servers.ApacheXSendfileServer",
                _ => "private_media.servers.DefaultServer",
            };
            field_error(error.field(), error.problem_and_fix(class))
        })
    }
}

fn parse_address(field: FrontField, value: &str) -> PyResult<SocketAddr> {
    let found = value.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| field_error(field, "expected HOST:PORT, e.g. 127.0.0.1:8000".into()))
}

fn field_error(field: FrontField, problem_and_fix: String) -> PyErr {
    let name = match field {
        FrontField::Front => "front",
        FrontField::Url => "url",
        FrontField::Root | FrontField::Store => "root",
        FrontField::SendMode => "server",
        FrontField::InternalUrl => "internal_url",
        FrontField::Encoding => "encoding",
        FrontField::Gateway => "gateway",
        FrontField::Application => "application",
        FrontField::Public => "public",
    };
    FrontError::new_err((name, problem_and_fix))
}

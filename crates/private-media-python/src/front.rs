//! What a front server has to know of a Django project.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use private_media_gateway::front::{self, FrontConfig, FrontField, FrontServer};
use private_media_gateway::{InternalUrl, SendMode};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::delivery::parse_encoding;

pyo3::create_exception!(
    private_media._core,
    FrontError,
    PyValueError,
    "What no front server can be told: which part of the site it is, and what is wrong with it."
);

/// A site, as nginx or Apache is to be told of it. It hands off to none of them until it is told to.
#[pyclass(module = "private_media._core")]
pub(crate) struct FrontSite(FrontConfig);

#[pymethods]
impl FrontSite {
    /// The application answers for the private URL itself, unless a gateway does.
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
        let application = address(FrontField::Application, application)?;
        let gateway = gateway.map_or(Ok(application), |gateway| address(FrontField::Gateway, gateway))?;
        Ok(Self(FrontConfig {
            front: front.to_owned(),
            url: url.to_owned(),
            root,
            send_mode: SendMode::Direct,
            gateway,
            keep_alive: Duration::from_secs(keep_alive),
            application: Some(application),
            public: None,
            printed_by: printed_by.to_owned(),
        }))
    }

    /// Hands files off to nginx: below an internal URL, or by their full paths.
    #[pyo3(signature = (internal_url=None))]
    fn hand_off_to_nginx(&mut self, internal_url: Option<&str>) {
        self.0.send_mode = SendMode::Nginx(internal_url.map_or(InternalUrl::FullPath, |url| {
            // A slash that lacks is added, as the delivery does it.
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

    /// A URL at which everybody may read a folder.
    fn publish(&mut self, url: &str, folder: PathBuf) {
        self.0.public = Some((url.to_owned(), folder));
    }

    /// The configuration of one of the front servers that `private-media config` knows, to be included as it is.
    fn block(&self, server: &str) -> PyResult<String> {
        let Some(server) = FrontServer::from_name(server) else {
            return Err(PyValueError::new_err(format!("unknown front server {server:?}")));
        };
        server.block(&self.0).map_err(|error| failed(&error))
    }
}

fn address(field: FrontField, value: &str) -> PyResult<SocketAddr> {
    let found = value.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| raised(field, "expected HOST:PORT, e.g. 127.0.0.1:8000".into()))
}

fn failed(error: &front::FrontError) -> PyErr {
    let class = |mode| match mode {
        "nginx" => "private_media.servers.NginxXAccelRedirectServer",
        "apache" => "private_media.servers.ApacheXSendfileServer",
        _ => "private_media.servers.DefaultServer",
    };
    raised(error.field(), error.problem_and_fix(class))
}

fn raised(field: FrontField, problem_and_fix: String) -> PyErr {
    let name = match field {
        FrontField::Front => "front",
        FrontField::Url => "url",
        FrontField::Root => "root",
        FrontField::SendMode => "server",
        FrontField::InternalUrl => "internal_url",
        FrontField::Encoding => "encoding",
        FrontField::Gateway => "gateway",
        FrontField::Application => "application",
        FrontField::Public => "public",
    };
    FrontError::new_err((name, problem_and_fix))
}

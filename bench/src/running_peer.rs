//! A server that is up.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::http;
use crate::result::Result;
use crate::testbed::Server;
use crate::usage::{Usage, of_sessions};
use crate::work::{RequestKind, Work};

/// A server that is up: how to address it, and what it can do.
pub(crate) struct RunningPeer {
    pub(crate) address: SocketAddr,
    pub(crate) servers: Vec<Server>,
    /// Servers that are not measured, such as the store of a bucket.
    pub(crate) others: Vec<Server>,
    /// The certificate of a peer with TLS.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) prefix: &'static str,
    /// The headers of user 7.
    pub(crate) credentials: Vec<(String, String)>,
    pub(crate) denied_status: u16,
    pub(crate) is_public: bool,
    /// The names of the work that it can do; `None` means all.
    pub(crate) only: Option<&'static [&'static str]>,
}

impl RunningPeer {
    /// Returns a server without authorization.
    pub(crate) fn public(address: SocketAddr, servers: Vec<Server>) -> Self {
        Self {
            address,
            servers,
            others: vec![],
            certificate: None,
            prefix: "/private/",
            credentials: vec![],
            denied_status: 404,
            is_public: true,
            only: None,
        }
    }

    /// Returns a server that accepts this header as the credentials of user 7.
    pub(crate) fn private(address: SocketAddr, servers: Vec<Server>, (name, value): (&str, String)) -> Self {
        let credentials = vec![(name.to_owned(), value)];
        Self { credentials, is_public: false, ..Self::public(address, servers) }
    }

    pub(crate) fn target(&self, file: &str) -> String {
        format!("{}cars/7/{file}", self.prefix)
    }

    pub(crate) fn can(&self, work: &Work) -> bool {
        let denies = work.kind != RequestKind::Denied || !self.is_public;
        denies && self.only.is_none_or(|only| only.contains(&work.name))
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        of_sessions(&self.servers.iter().map(Server::id).collect::<Vec<_>>())
    }

    /// Returns the entity tag of a file on this server.
    pub(crate) fn etag(&self, file: &str) -> Result<String> {
        let fields = format!("Connection: close\r\n{}", http::lines(&self.credentials));
        let mut stream = http::send_with(
            self.certificate.as_deref(),
            self.address,
            &format!("HEAD {}", self.target(file)),
            &fields,
        )?;
        let (head, _) = http::read_head(&mut stream)?;
        Ok(http::field(&head, "etag").unwrap_or("\"none\"").to_owned())
    }
}

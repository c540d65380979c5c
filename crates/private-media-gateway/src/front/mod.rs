//! What a front server needs: `private-media config nginx|apache|lighttpd|caddy` prints it from the configuration in force, and
//! whoever serves private media out of another program from a [`Site`].

mod address;
mod apache;
mod caddy;
mod lighttpd;
mod nginx;
mod site;
pub(crate) mod urls;

use site::Checked;

pub use site::{InternalUrl, Part, Server, Site, SiteError};

/// A front server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are names")]
pub enum Kind {
    Nginx,
    Apache,
    Lighttpd,
    Caddy,
}

/// Each by the name that `config` takes.
pub const KINDS: [(&str, Kind); 4] =
    [("nginx", Kind::Nginx), ("apache", Kind::Apache), ("lighttpd", Kind::Lighttpd), ("caddy", Kind::Caddy)];

/// One whole server block, to be included as it is.
pub fn block(site: &Site, kind: Kind) -> Result<String, SiteError> {
    let site = Checked::new(site)?;
    match kind {
        Kind::Nginx => nginx::block(&site),
        Kind::Apache => apache::block(&site),
        Kind::Lighttpd => lighttpd::block(&site),
        Kind::Caddy => caddy::block(&site),
    }
}

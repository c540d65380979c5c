//! What a front server has to know of a site, and whether it can be said to one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use private_media::delivery::SendfileEncoding;

use super::address::Front;
use super::urls;
use crate::config::is_inside;

/// What a front server has to know of a site with private media.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where the front server listens, as `HOST:PORT`: a name, an address, or `*` for any.
    pub front: String,
    /// The private URL, with a slash on both sides.
    pub url: String,
    /// The root's whole path.
    pub root: PathBuf,
    /// Who sends the bytes.
    pub server: Server,
    /// Who answers for the private URL: the gateway, or the application itself where it is at that address.
    pub gateway: SocketAddr,
    /// How long that one keeps a connection on which nothing is asked.
    pub keep_alive: Duration,
    /// The application that has the rest of the site, if nginx or Apache is to be told of it.
    pub application: Option<SocketAddr>,
    /// A URL that is not the application's, and the folder that everybody may read there; it takes an application.
    pub public: Option<(String, PathBuf)>,
    /// The command that prints this, which the first line names.
    pub printed_by: String,
}

/// Who sends the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// Whoever answers.
    Direct,
    /// nginx, by `X-Accel-Redirect`.
    Nginx(InternalUrl),
    /// Apache with `mod_xsendfile`, or lighttpd, by `X-Sendfile`.
    Apache(SendfileEncoding),
}

/// Where nginx has the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InternalUrl {
    /// At a location with a slash on both sides.
    Prefix(String),
    /// At the root's own path.
    FullPath,
}

/// What of a [`Site`] no front server can be told.
#[derive(Debug)]
pub struct SiteError {
    part: Part,
    problem: String,
    fix: Fix,
}

/// A part of a [`Site`] that a setting says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the fields of Site, and what is in its server")]
pub enum Part {
    Front,
    Url,
    Root,
    Server,
    InternalUrl,
    Encoding,
    Gateway,
    Application,
    Public,
}

#[derive(Debug)]
enum Fix {
    Text(String),
    /// These would do: `direct`, `nginx` or `apache`.
    Servers(&'static [&'static str]),
}

impl SiteError {
    pub(super) fn new(part: Part, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { part, problem: problem.into(), fix: Fix::Text(fix.into()) }
    }

    pub(super) fn server(problem: &str, fits: &'static [&'static str]) -> Self {
        Self { part: Part::Server, problem: problem.into(), fix: Fix::Servers(fits) }
    }

    /// Which part it is.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// What is wrong with it, and what to write; `called` gives what the caller's settings call a server that is `direct`, `nginx`
    /// or `apache`.
    #[must_use]
    pub fn problem_and_fix(&self, called: impl Fn(&'static str) -> &'static str) -> String {
        let fix = match &self.fix {
            Fix::Text(fix) => fix.clone(),
            Fix::Servers(fits) => {
                format!("write {}", fits.iter().map(|name| called(name)).collect::<Vec<_>>().join(", or "))
            }
        };
        format!("{}; {fix}", self.problem)
    }
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.part, self.problem_and_fix(|name| name))
    }
}

impl std::error::Error for SiteError {}

/// A [`Site`] whose every part is fit to stand in a front server's configuration.
pub(super) struct Checked<'a> {
    pub(super) front: Front,
    /// Who answers for the private URL, as a program of this machine gets there.
    pub(super) gateway: SocketAddr,
    pub(super) url: &'a str,
    /// Without a slash at its end.
    pub(super) root: String,
    pub(super) server: &'a Server,
    /// Less than whoever answers waits for the next request, in seconds, so that the front server lets go first.
    pub(super) idle: u64,
    pub(super) application: Option<SocketAddr>,
    pub(super) public: Option<(&'a str, String)>,
    pub(super) printed_by: &'a str,
}

impl<'a> Checked<'a> {
    pub(super) fn new(site: &'a Site) -> Result<Self, SiteError> {
        let root = folder(Part::Root, &site.root)?;
        let url = urls::prefix(&site.url).map_err(|problem| url_error(Part::Url, problem))?;
        if let Server::Nginx(internal) = &site.server {
            let location = match internal {
                InternalUrl::FullPath => format!("{root}/"),
                InternalUrl::Prefix(url) => {
                    urls::internal(url).map_err(|problem| url_error(Part::InternalUrl, problem))?.to_owned()
                }
            };
            urls::apart(&location, url)
                .map_err(|(problem, fix)| SiteError::new(Part::InternalUrl, problem, fix))?;
        }
        if site.application.is_some() && url == "/" {
            let problem = "it is the whole site, which leaves nothing to the application";
            return Err(SiteError::new(Part::Url, problem, "write a prefix, such as /private/"));
        }
        let public = site.public.as_ref().map(|(public, path)| public_folder(public, path, site));
        Ok(Self {
            front: Front::parse(&site.front).ok_or_else(|| {
                let fix = "write HOST:PORT, such as example.org:80 or 127.0.0.1:8080";
                SiteError::new(Part::Front, "it is no address", fix)
            })?,
            gateway: local(Part::Gateway, site.gateway)?,
            url,
            root,
            server: &site.server,
            idle: (site.keep_alive.as_secs() * 2 / 3).max(1),
            application: site.application.map(|address| local(Part::Application, address)).transpose()?,
            public: public.transpose()?,
            printed_by: &site.printed_by,
        })
    }

    /// Of servers for which only the part of the private URL is printed.
    pub(super) fn alone(&self) -> Result<(), SiteError> {
        if self.application.is_none() {
            return Ok(());
        }
        let problem = "of this front server only the part of the private URL is printed";
        Err(SiteError::new(Part::Application, problem, "leave the application out"))
    }

    /// Who answers for the private URL, in a word.
    pub(super) fn who(&self) -> &'static str {
        if self.application == Some(self.gateway) { "application" } else { "gateway" }
    }
}

fn public_folder<'a>(url: &'a str, path: &Path, site: &Site) -> Result<(&'a str, String), SiteError> {
    let url = urls::prefix(url).map_err(|problem| url_error(Part::Public, problem))?;
    if url.starts_with(&site.url) || site.url.starts_with(url) {
        let problem = format!("its URL {url} and the private URL {} lie in one another", site.url);
        return Err(SiteError::new(Part::Public, problem, "write another"));
    }
    if is_inside(&site.root, path) {
        let problem = format!("the private files lie in {}, which everybody may read", path.display());
        return Err(SiteError::new(Part::Root, problem, "move them out of there"));
    }
    Ok((url, folder(Part::Public, path)?))
}

fn url_error(part: Part, problem: &str) -> SiteError {
    SiteError::new(part, problem, urls::FIX)
}

/// Where something that listens is for a program of this machine.
fn local(part: Part, mut address: SocketAddr) -> Result<SocketAddr, SiteError> {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    if address.port() > 0 {
        Ok(address)
    } else {
        let fix = "write it, such as 127.0.0.1:8000";
        Err(SiteError::new(part, "a front server has to know the port", fix))
    }
}

/// A folder's path, without a slash at its end, fit to stand between `"`.
fn folder(part: Part, path: &Path) -> Result<String, SiteError> {
    // Each server has its own marks for variables and escapes; none of them has one for all of these.
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '$' | '{' | '}' | '%');
    match path.to_str().filter(|path| path.chars().all(is_plain)) {
        Some("/") => {
            Err(SiteError::new(part, "it is the whole machine", "name the folder of the private files"))
        }
        Some(path) => Ok(path.trim_end_matches('/').to_owned()),
        None => Err(SiteError::new(
            part,
            format!("{} cannot be written into a front server's configuration", path.display()),
            "name it by a path without quotes, \\, $, %, braces and control characters; a link will do",
        )),
    }
}

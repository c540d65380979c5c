//! Checks a [`FrontConfig`] before any of it is written into a configuration file.

use std::net::SocketAddr;
use std::path::Path;

use super::address::Front;
use super::config::{FrontConfig, FrontField, FrontRoot};
use super::error::FrontError;
use super::store::Store;
use super::upstream::{Upstream, local};
use crate::folders::is_inside;
use crate::send_mode::{InternalUrl, SendMode};
use crate::urls::{self, InvalidUrl};

/// A [`FrontConfig`] whose values can be written into a front server's configuration.
pub(super) struct Checked<'a> {
    pub(super) front: Front,
    /// The upstream of the private URL, as seen from this machine.
    pub(super) gateway: Upstream,
    pub(super) url: &'a str,
    pub(super) root: CheckedRoot,
    pub(super) send_mode: &'a SendMode,
    /// Seconds; shorter than the upstream's own timeout, so that the front server closes an idle connection first.
    pub(super) keep_alive: u64,
    pub(super) application: Option<SocketAddr>,
    pub(super) public: Option<(&'a str, String)>,
    pub(super) printed_by: &'a str,
}

pub(super) enum CheckedRoot {
    /// The path of a folder, without a trailing slash.
    Folder(String),
    /// The server of the presigned URLs of a bucket, if they are used.
    Bucket(Option<Store>),
}

impl CheckedRoot {
    fn new(config: &FrontConfig) -> Result<Self, FrontError> {
        let origin = match &config.root {
            FrontRoot::Folder(path) => return folder(FrontField::Root, path).map(Self::Folder),
            FrontRoot::Bucket { origin } => origin.as_deref(),
        };
        let problem = match &config.send_mode {
            SendMode::Direct | SendMode::Redirect => return Ok(Self::Bucket(None)),
            SendMode::Nginx(InternalUrl::Prefix(_)) => match origin {
                Some(origin) => return Store::parse(origin).map(|store| Self::Bucket(Some(store))),
                None => "this bucket has no presigned URLs",
            },
            SendMode::Nginx(InternalUrl::FullPath) | SendMode::Apache(_) => "the root is a bucket",
        };
        Err(FrontError::send_mode(problem, &["direct"]))
    }

    /// Returns the line of a comment about the access to the files.
    pub(super) fn access(&self, server: &str) -> String {
        match self {
            Self::Folder(path) => format!("{server}'s user needs read access to {path}."),
            Self::Bucket(None) => "The gateway reads the files from a bucket.".into(),
            Self::Bucket(Some(store)) => format!("{server} needs access to {}.", store.authority()),
        }
    }

    /// Returns the path of a folder; empty for a bucket.
    pub(super) fn folder(&self) -> &str {
        match self {
            Self::Folder(path) => path,
            Self::Bucket(_) => "",
        }
    }
}

impl<'a> Checked<'a> {
    pub(super) fn new(config: &'a FrontConfig) -> Result<Self, FrontError> {
        let root = CheckedRoot::new(config)?;
        let url = urls::prefix(&config.url).map_err(|_| url_error(FrontField::Url))?;
        if let SendMode::Nginx(internal) = &config.send_mode {
            let location = match internal {
                InternalUrl::FullPath => format!("{}/", root.folder()),
                InternalUrl::Prefix(url) => {
                    urls::internal(url).map_err(|_| url_error(FrontField::InternalUrl))?.to_owned()
                }
            };
            urls::check_disjoint(&location, url).map_err(|overlap| {
                FrontError::new(FrontField::InternalUrl, overlap.problem(), overlap.fix())
            })?;
        }
        if config.application.is_some() && url == "/" {
            let problem = "the private URL covers the whole site and leaves no URL to the application";
            return Err(FrontError::new(FrontField::Url, problem, "use a prefix, e.g. /private/"));
        }
        let public = config.public.as_ref().map(|(public, path)| public_folder(public, path, config));
        let front = Front::parse(&config.front).ok_or_else(|| {
            let fix = "expected HOST:PORT, e.g. example.org:80 or 127.0.0.1:8080";
            FrontError::new(FrontField::Front, "invalid address", fix)
        })?;
        let application = config.application.map(|address| local(FrontField::Application, address));
        Ok(Self {
            front,
            gateway: Upstream::new(&config.gateway)?,
            url,
            root,
            send_mode: &config.send_mode,
            keep_alive: (config.keep_alive.as_secs() * 2 / 3).max(1),
            application: application.transpose()?,
            public: public.transpose()?,
            printed_by: &config.printed_by,
        })
    }

    /// Rejects an application, for servers whose printed configuration covers the private URL only.
    pub(super) fn check_no_application(&self) -> Result<(), FrontError> {
        if self.application.is_none() {
            return Ok(());
        }
        let problem = "the configuration of this front server covers the private URL only";
        Err(FrontError::new(FrontField::Application, problem, "remove the application"))
    }

    /// Returns whether the application itself is the upstream of the private URL.
    pub(super) fn is_served_by_application(&self) -> bool {
        self.application.is_some_and(|application| self.gateway == Upstream::Tcp(application))
    }

    /// Returns the name of the upstream of the private URL, for comments.
    pub(super) fn upstream_name(&self) -> &'static str {
        if self.is_served_by_application() { "application" } else { "gateway" }
    }
}

fn public_folder<'a>(
    url: &'a str,
    path: &Path,
    config: &FrontConfig,
) -> Result<(&'a str, String), FrontError> {
    let url = urls::prefix(url).map_err(|_| url_error(FrontField::Public))?;
    if url.starts_with(&config.url) || config.url.starts_with(url) {
        let problem = format!("the public URL {url} and the private URL {} overlap", config.url);
        return Err(FrontError::new(FrontField::Public, problem, "use another public URL"));
    }
    if let FrontRoot::Folder(root) = &config.root
        && is_inside(root, path)
    {
        let problem = format!("the root is inside the public folder {}", path.display());
        return Err(FrontError::new(FrontField::Root, problem, "move the root elsewhere"));
    }
    Ok((url, folder(FrontField::Public, path)?))
}

fn url_error(field: FrontField) -> FrontError {
    FrontError::new(field, InvalidUrl::PROBLEM, InvalidUrl::FIX)
}

/// Returns a folder's path without a trailing slash. It can be quoted with `"` in the configuration of every server.
fn folder(field: FrontField, path: &Path) -> Result<String, FrontError> {
    // Each server has its own characters for variables and escapes, and no server can escape all of them.
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '$' | '{' | '}' | '%');
    match path.to_str().filter(|path| path.chars().all(is_plain)) {
        Some("/") => {
            Err(FrontError::new(field, "/ is the whole file system", "use the folder of the private files"))
        }
        Some(path) => Ok(path.trim_end_matches('/').to_owned()),
        None => Err(FrontError::new(
            field,
            format!("{} cannot be quoted in a front server's configuration", path.display()),
            "use a path without quotes, \\, $, %, braces and control characters, e.g. a symbolic link",
        )),
    }
}

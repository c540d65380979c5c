//! The gateway as something that another program can run.

use std::net::SocketAddr;
use std::time::Duration;

use private_media::PrivateMedia;
use private_media::storage::CacheOptions;
use private_media_listener::Limits;

use crate::addresses::{self, InvalidAddress};
use crate::error::GatewayError;
use crate::health::Health;
use crate::open;
use crate::output;
use crate::root_watch;
use crate::signals::Shutdown;
use crate::site::Site;
use crate::urls::{self, InvalidUrl};
use crate::workers;

/// A gateway: private media behind an address.
///
/// ```no_run
/// use private_media::{Grants, LocalStorage, PrivateMedia};
/// use private_media_gateway::Gateway;
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// Gateway::listen("127.0.0.1:8001")?.at("/media/private/")?.run(async || {
///     Ok::<_, private_media::StorageError>(PrivateMedia::builder(LocalStorage::open_root("private")?).build())
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Gateway {
    listen: Vec<SocketAddr>,
    url: String,
    workers: usize,
    limits: Limits,
    pages: Option<axum::Router>,
}

impl Gateway {
    /// A gateway that listens on `HOST:PORT`, port 0 for a free one, and serves below `/private/`. It has one worker a core, and the
    /// default [`Limits`]. An error says what is wrong with the address, and the fix.
    pub fn listen(address: &str) -> Result<Self, InvalidAddress> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let (listen, url) = (addresses::resolve(address)?, "/private/".into());
        Ok(Self { listen, url, workers, limits: Limits::default(), pages: None })
    }

    /// Sets the URL below which it serves, which has a slash on both sides. An error says what is wrong with it, and the fix.
    pub fn at(self, url: &str) -> Result<Self, InvalidUrl> {
        Ok(Self { url: urls::prefix(url)?.to_owned(), ..self })
    }

    /// Sets how many threads serve.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Sets what one client may take.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets what answers beside the private URL: an axum application, on the same address. Files are then sent as fast as the gateway
    /// can, without passing through it; who asks for one is what the media's own [`Identify`](private_media::Identify) says, and no
    /// layer of the application.
    ///
    /// ```no_run
    /// use axum::{Router, routing::get};
    /// use private_media::{LocalStorage, PrivateMedia};
    /// use private_media_gateway::Gateway;
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = Router::new().route("/", get(|| async { "cars" }));
    /// Gateway::listen("127.0.0.1:8001")?.pages(app).run(async || {
    ///     let root = LocalStorage::open_root("private")?.cache(Gateway::keep(std::time::Duration::from_secs(1)));
    ///     Ok::<_, private_media::StorageError>(PrivateMedia::builder(root).build())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn pages(mut self, pages: axum::Router) -> Self {
        self.pages = Some(pages);
        self
    }

    /// What to keep of the files of a [`LocalStorage`](private_media::LocalStorage) that this process sends itself; it is noticed so
    /// late that one has changed. One that a front server sends is not to be kept.
    #[must_use]
    pub fn keep(fresh: Duration) -> CacheOptions {
        open::cache_options(fresh)
    }

    /// Opens private media, says `listening on http://HOST:PORT` on standard output, and serves until ctrl-c or SIGTERM; downloads
    /// that run then may end. Returns how serving ended.
    ///
    /// `open` is called within the runtime that serves.
    pub fn run<E>(
        self,
        open: impl AsyncFnOnce() -> Result<PrivateMedia, E>,
    ) -> Result<Shutdown, GatewayError<E>> {
        let site = async || {
            let (media, health) = (open().await?, Health::default());
            root_watch::spawn(&media, &health, Duration::from_secs(1));
            let site = Site::new(&media, None, &self.url).health(health);
            Ok(match self.pages {
                Some(pages) => site.pages(pages),
                None => site,
            })
        };
        let options = workers::Options {
            listen: &self.listen,
            workers: self.workers,
            limits: self.limits,
            max_connections_is_set: self.limits.max_connections != Limits::default().max_connections,
        };
        workers::serve(&options, site, output::listening)
    }
}

//! The gateway as a library.

use std::fmt;
use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use private_media::PrivateMedia;
use private_media::storage::CacheOptions;
use private_media_listener::{Drained, Limits, Listener, Server, Tls};
use tokio::runtime::Handle;

use crate::addresses::{Endpoint, ListenAddr};
use crate::error::GatewayError;
use crate::health::Health;
use crate::live_site::LiveSite;
use crate::open;
use crate::root_watch;
use crate::signals::{Shutdown, Signals};
use crate::site::Site;
use crate::supervise::Task;
use crate::urls::{self, InvalidUrl};
use crate::workers;

/// Configures a gateway, which serves private media below a URL prefix.
///
/// [`run`](Self::run) has threads of its own, and handles signals. In a Tokio runtime, [`build`](Self::build) the gateway and
/// [`serve`](Gateway::serve) a listener.
///
/// ```no_run
/// use private_media::{LocalStorage, PrivateMedia, StorageError};
/// use private_media_gateway::Gateway;
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// Gateway::builder()
///     .url("/media/private/")?
///     .on_bound(|endpoint| println!("listening on {endpoint}"))
///     .run("127.0.0.1:8001", async || {
///         Ok::<_, StorageError>(PrivateMedia::builder(LocalStorage::open_root("private")?).build())
///     })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GatewayBuilder {
    url: String,
    workers: usize,
    limits: Limits,
    tls: Option<Tls>,
    pages: Option<axum::Router>,
    on_bound: Arc<dyn Fn(&Endpoint) + Send + Sync>,
}

impl GatewayBuilder {
    /// Sets the URL prefix of the private files, with a slash on both sides. The default is `/private/`.
    pub fn url(self, url: &str) -> Result<Self, InvalidUrl> {
        Ok(Self { url: urls::prefix(url)?.to_owned(), ..self })
    }

    /// Sets the number of threads that [`run`](Self::run) serves with. The default is one per core.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Sets the limits of clients.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Serves HTTPS instead of HTTP, with HTTP/2. [`Tls::replace`] replaces the certificate while the gateway runs.
    ///
    /// ```no_run
    /// use private_media::{LocalStorage, PrivateMedia, StorageError};
    /// use private_media_gateway::{Certificate, Gateway, Tls};
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let (chain, key) = (std::fs::read("fullchain.pem")?, std::fs::read("privkey.pem")?);
    /// let tls = Tls::new(Certificate::from_pem(&chain, &key)?)?;
    /// Gateway::builder().tls(tls).run("0.0.0.0:443", async || {
    ///     Ok::<_, StorageError>(PrivateMedia::builder(LocalStorage::open_root("private")?).build())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the application that serves all URLs outside the prefix.
    ///
    /// Private files are sent by the gateway and do not pass through the application or its layers. The
    /// [`Identify`](private_media::Identify) of the media authenticates their requests.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use axum::{Router, routing::get};
    /// use private_media::{LocalStorage, PrivateMedia, StorageError};
    /// use private_media_gateway::Gateway;
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = Router::new().route("/", get(|| async { "cars" }));
    /// Gateway::builder().pages(app).run("127.0.0.1:8001", async || {
    ///     let root = LocalStorage::open_root("private")?.cache(Gateway::default_cache(Duration::from_secs(1)));
    ///     Ok::<_, StorageError>(PrivateMedia::builder(root).build())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn pages(mut self, pages: axum::Router) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Sets a function that [`run`](Self::run) calls with the address, once clients can connect.
    #[must_use]
    pub fn on_bound(mut self, on_bound: impl Fn(&Endpoint) + Send + Sync + 'static) -> Self {
        self.on_bound = Arc::new(on_bound);
        self
    }

    /// Serves on `HOST:PORT` or `unix:PATH` until ctrl-c or SIGTERM; port 0 picks a free port. Running downloads may then end within the
    /// [shutdown timeout](Limits::shutdown_timeout).
    ///
    /// `open` is called in the runtime of the first worker. In a Tokio runtime this is [`GatewayError::InsideRuntime`]; use
    /// [`Gateway::serve`] there.
    pub fn run<E>(
        self,
        address: &str,
        open: impl AsyncFnOnce() -> Result<PrivateMedia, E>,
    ) -> Result<Shutdown, GatewayError<E>> {
        if Handle::try_current().is_ok() {
            return Err(GatewayError::InsideRuntime);
        }
        let listen = ListenAddr::parse(address, Path::new("")).map_err(GatewayError::Address)?;
        let options = workers::Options {
            listen: &listen,
            https: self.tls.as_ref().map(|tls| workers::HttpsOptions { tls, redirect_http: None }),
            workers: self.workers,
            limits: self.limits,
            max_connections_is_set: self.limits.max_connections != Limits::default().max_connections,
            metrics: None,
            client_limit: None,
            site_files: 0,
            inherited: vec![],
            admin: &Mutex::default(),
            flush: Arc::new(|_| ()),
            program: None,
        };
        let (on_bound, builder) = (Arc::clone(&self.on_bound), self.clone());
        let site = async |_: &Signals| {
            let (site, root_watch) = builder.build(open().await?).site();
            Ok(LiveSite::new(site, root_watch))
        };
        workers::serve(options, site, |endpoints| endpoints.iter().take(1).for_each(&*on_bound))
    }

    /// Returns a gateway for [`Gateway::serve`].
    #[must_use]
    pub fn build(self, media: PrivateMedia) -> Gateway {
        Gateway { media, url: self.url, limits: self.limits, tls: self.tls, pages: self.pages }
    }
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, workers, limits, .. } = self;
        let mut builder = f.debug_struct("GatewayBuilder");
        builder.field("url", url).field("workers", workers).field("limits", limits).finish_non_exhaustive()
    }
}

/// A gateway that serves on a listener of the caller's Tokio runtime.
///
/// ```no_run
/// use private_media::{LocalStorage, PrivateMedia};
/// use private_media_gateway::Gateway;
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let media = PrivateMedia::builder(LocalStorage::open_root("private")?).build();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8001").await?;
/// Gateway::builder().build(media).serve(listener).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Gateway {
    media: PrivateMedia,
    url: String,
    limits: Limits,
    tls: Option<Tls>,
    pages: Option<axum::Router>,
}

impl Gateway {
    /// Returns a builder with the default settings.
    #[must_use]
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder {
            url: "/private/".into(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::default(),
            tls: None,
            pages: None,
            on_bound: Arc::new(|_| ()),
        }
    }

    /// Returns the cache options of the gateway, for a [`LocalStorage`](private_media::LocalStorage) whose files the gateway sends itself.
    ///
    /// A cached file is used for the time `revalidate_after` before it is re-checked. Do not cache files that a front server sends.
    #[must_use]
    pub fn default_cache(revalidate_after: Duration) -> CacheOptions {
        open::cache_options(revalidate_after)
    }

    /// Serves a listener. Drop the future to stop at once.
    ///
    /// Neither threads are started nor signals handled. The limit of open files is not raised.
    pub async fn serve(self, listener: impl Into<Listener>) {
        self.serve_until(listener, pending()).await;
    }

    /// Serves a listener until `shutdown` is ready. Running downloads may then end within the
    /// [shutdown timeout](Limits::shutdown_timeout). Returns whether they did.
    pub async fn serve_until(
        self,
        listener: impl Into<Listener>,
        shutdown: impl Future<Output = ()>,
    ) -> Drained {
        let (site, _root_watch) = self.site();
        let server = Server::new(listener, self.limits);
        self.tls.into_iter().fold(server, Server::tls).serve_handler(site, shutdown, pending()).await
    }

    /// Returns what the gateway serves, and the task that watches the root.
    fn site(&self) -> (Site, Task) {
        let health = Health::default();
        let watch = root_watch::spawn(&self.media, &health, Duration::from_secs(1));
        let site = Site::new(&self.media, &self.url).health(health);
        let site = match &self.pages {
            Some(pages) => site.pages(pages.clone()),
            None => site,
        };
        (site, watch)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use private_media::{MemoryStorage, StorageError};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;

    use super::*;

    fn media() -> PrivateMedia {
        PrivateMedia::builder(MemoryStorage::default()).build()
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        response
    }

    /// Serves on a runtime of the caller, and shuts down on request.
    async fn serves_until_shutdown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = axum::Router::new().route("/", axum::routing::get(async || "the application"));
        let gateway = Gateway::builder().url("/media/").unwrap().pages(app).build(media());
        let (shutdown, requested) = oneshot::channel::<()>();
        let server = tokio::spawn(gateway.serve_until(listener, async { requested.await.unwrap() }));
        assert!(get(address, "/media/-/health").await.ends_with("\r\n\r\nok\n"));
        assert!(get(address, "/media/photo.jpg").await.starts_with("HTTP/1.1 404 "));
        assert!(get(address, "/").await.ends_with("the application"));
        shutdown.send(()).unwrap();
        assert_eq!(server.await.unwrap(), Drained::Completed);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn serves_in_a_runtime_of_one_thread() {
        serves_until_shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn serves_in_a_runtime_of_several_threads() {
        serves_until_shutdown().await;
    }

    #[tokio::test]
    async fn dropping_the_future_closes_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(Gateway::builder().build(media()).serve(listener));
        assert!(get(address, "/private/-/health").await.ends_with("ok\n"));
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn run_inside_a_runtime_is_an_error() {
        let run = Gateway::builder().run("127.0.0.1:0", async || Ok::<_, StorageError>(media()));
        let error = run.unwrap_err();
        assert!(matches!(error, GatewayError::InsideRuntime), "{error:?}");
        assert!(error.to_string().contains("Gateway::serve"), "{error}");
    }

    #[test]
    fn invalid_settings_are_errors() {
        let run = |address| Gateway::builder().run(address, async || Ok::<_, StorageError>(media()));
        for address in ["", "8000", "127.0.0.1:99999"] {
            assert!(matches!(run(address), Err(GatewayError::Address(_))), "{address}");
        }
        assert!(matches!(run("192.0.2.1:80"), Err(GatewayError::Bind(_))));
        for url in ["", "private", "/private", "/../"] {
            assert_eq!(Gateway::builder().url(url).err(), Some(InvalidUrl), "{url}");
        }
    }
}

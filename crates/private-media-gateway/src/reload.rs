//! Serves a configuration, and replaces it by the current one on request.
//!
//! A new site is opened and checked beside the current one, which stays if anything fails. What attackers could profit from outlives the
//! site: ended sessions, throttled attempts, and the state store.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use private_media::{Accounts, PrivateMedia};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};

use crate::audit::Audit;
use crate::config::{Config, ConfigError};
use crate::health::Health;
use crate::https::{self, Https};
use crate::identity::{IdentityBackend, Previous};
use crate::live_site::LiveSite;
use crate::log;
use crate::metrics::Metrics;
use crate::notify;
use crate::open::{self, BlockCache};
use crate::pages::Pages;
use crate::request_limit::RequestLimit;
use crate::root_watch;
use crate::signals::Signals;
use crate::site::Site;
use crate::state::{self, RunningState, StateUrl};
use crate::supervise::{self, Task};
use crate::traces::Traces;

/// What all sites of a process share.
pub(crate) struct Shared {
    pub(crate) health: Health,
    pub(crate) audit: Option<Audit>,
    /// Absent without an admin address.
    pub(crate) metrics: Option<&'static Metrics>,
    /// Absent without an endpoint in the environment.
    pub(crate) traces: Option<Traces>,
}

/// Opens the site of a configuration, and reloads the configuration on request. `matches` are the arguments of the program. The health and
/// the audit are those of the process, and outlive the site.
pub(crate) async fn serve(
    config: Config,
    matches: &ArgMatches,
    signals: &Signals,
    https: Option<&Https>,
    Shared { health, audit, metrics, traces }: Shared,
) -> Result<LiveSite, ConfigError> {
    if let Some(https) = https {
        https::watch(https, &health);
    }
    let cache = open::block_cache(&config, metrics)?;
    let opened = Opened::new(&config, &health, &Previous::default(), cache.as_ref()).await?;
    let accounts = opened.identities.accounts();
    let state = open_state(&config, accounts.as_ref(), &health).await?;
    let previous = Previous { sources: Some(opened.identities.clone()), accounts };
    let (site, tasks) = opened.into_site(&config, metrics, traces.clone());
    let live = LiveSite::new(site.audit(audit.clone()), tasks);
    let (matches, current) = (matches.clone(), live.clone());
    let reloader =
        Reloader { matches, config, health, audit, cache, metrics, traces, state, previous, live: current };
    let (reloader, requests) = (Arc::new(Mutex::new(reloader)), signals.reloads.clone());
    supervise::spawn("reload", move || reload_on_request(Arc::clone(&reloader), requests.clone())).detach();
    Ok(live)
}

async fn reload_on_request(reloader: Arc<Mutex<Reloader>>, mut requests: watch::Receiver<u64>) {
    while requests.changed().await.is_ok() {
        let (reloader, runtime) = (Arc::clone(&reloader), Handle::current());
        // Reads files and looks up names, so not on the event loop. The background tasks of the site still run there.
        let reload = move || runtime.block_on(async { reloader.lock().await.reload().await });
        if tokio::task::spawn_blocking(reload).await.is_err() {
            tracing::error!("the reload panicked; the previous configuration stays in force");
        }
    }
    // The process ends.
    pending::<()>().await;
}

/// What is needed to replace the site.
struct Reloader {
    matches: ArgMatches,
    /// The configuration of the start. Some of its settings stay in force.
    config: Config,
    health: Health,
    audit: Option<Audit>,
    cache: Option<BlockCache>,
    state: Option<RunningState>,
    previous: Previous,
    live: LiveSite,
    metrics: Option<&'static Metrics>,
    traces: Option<Traces>,
}

impl Reloader {
    async fn reload(&mut self) {
        notify::reloading();
        let reloaded = self.try_reload().await;
        if let Some(metrics) = self.metrics {
            metrics.count_reload(reloaded.is_ok());
        }
        match reloaded {
            Ok(restart) => {
                if !restart.is_empty() {
                    let settings = restart.join(", ");
                    tracing::warn!(
                        "changed settings that need a restart, and keep their values until then: {settings}"
                    );
                }
                tracing::info!("the configuration was reloaded");
                notify::reloaded("the configuration was reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "the configuration was not reloaded; the previous one stays in force");
                notify::reloaded(&format!("not reloaded: {error}"));
            }
        }
    }

    /// Replaces the site. Returns the changed settings that need a restart.
    async fn try_reload(&mut self) -> Result<Vec<&'static str>, ConfigError> {
        let config = Config::load(&self.matches)?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let opened = Opened::new(&config, &self.health, &self.previous, self.cache.as_ref()).await?;
        let accounts = opened.identities.accounts();
        let cache_ttl = cache_ttl(&config);
        if self.config.state.is_none() && config.state.is_some() {
            self.state = open_state(&config, accounts.as_ref(), &self.health).await?;
            self.config.state.clone_from(&config.state);
        } else if let (Some(state), None) = (&self.state, &self.previous.accounts) {
            // Later accounts share their memory with these.
            state.prepare(accounts.as_ref()).await.map_err(|error| config.state_error(&error))?;
        }
        // Nothing fails from here on.
        if let Err(error) = log::set_filter(&config.log) {
            tracing::error!(%error, "the log level stays as it was");
        }
        let sources = opened.identities.clone();
        let (site, tasks) = opened.into_site(&config, self.metrics, self.traces.clone());
        self.live.replace(site.audit(self.audit.clone()), tasks);
        if let Some(state) = &self.state {
            state.replace_accounts(accounts.clone(), cache_ttl);
        }
        self.previous.sources = Some(sources);
        self.previous.accounts = accounts.or(self.previous.accounts.take());
        Ok(config.changes_for_restart(&self.config))
    }
}

/// All that a site needs, open and checked.
struct Opened {
    media: PrivateMedia,
    identities: IdentityBackend,
    pages: Pages,
    health: Health,
}

impl Opened {
    async fn new(
        config: &Config,
        shared: &Health,
        previous: &Previous,
        cache: Option<&BlockCache>,
    ) -> Result<Self, ConfigError> {
        let (media, identities) = open::open_after(config, previous, cache).await?;
        let pages = Pages {
            media: media.clone(),
            url: config.url.clone(),
            branding: config.branding()?,
            grants: config.grants.clone(),
            is_decided: config.decides_by_identity(),
            debug: config.debug,
        };
        Ok(Self { media, identities, pages, health: shared.of_site() })
    }

    /// Returns the site, and what ends with it. The filter of the log must be in force already.
    fn into_site(
        self,
        config: &Config,
        metrics: Option<&'static Metrics>,
        traces: Option<Traces>,
    ) -> (Site, (Task, IdentityBackend)) {
        let Self { media, identities, pages, health } = self;
        if let Some(metrics) = metrics {
            metrics.set_site(&media, &identities, &health);
        }
        // Each check of a bucket is a request that costs money.
        let pause = if config.has_bucket() { root_watch::LONGEST_PAUSE } else { config.revalidate_after };
        let root_watch = root_watch::spawn(&media, &health, pause);
        let site = Site::new(&media, &config.url)
            .health(health)
            .accounts(identities.accounts())
            .identity_needs_peer(identities.needs_peer())
            .identity_allows_path(config.decides_by_identity())
            .own_pages(pages)
            .login_pages(config.login_pages())
            .trusted_proxies(config.trusted_proxies.clone())
            .metrics(metrics)
            .traces(traces, if config.tls.is_some() { "https" } else { "http" })
            .request_limit(RequestLimit::new(config.requests_per_second))
            .hsts(config.tls.as_ref().and_then(|tls| tls.hsts.clone()));
        (site, (root_watch, identities))
    }
}

/// Opens the state store and keeps memory and store in sync in the background.
async fn open_state(
    config: &Config,
    accounts: Option<&Accounts>,
    health: &Health,
) -> Result<Option<RunningState>, ConfigError> {
    let Some(url) = &config.state else { return Ok(None) };
    if let StateUrl::Memory = url {
        tracing::warn!("state is memory: sign-outs are lost at a restart and not shared with other gateways");
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("process {} on {}", std::process::id(), host.trim());
    state::start(url, accounts.cloned(), name, cache_ttl(config), health.clone())
        .await
        .map_err(|error| config.state_error(&error))
}

/// Returns how late sign-outs may take effect. Without accounts, the store only lists the running gateways.
fn cache_ttl(config: &Config) -> Duration {
    config.accounts().map_or(Duration::from_secs(5), |accounts| accounts.cache_ttl)
}

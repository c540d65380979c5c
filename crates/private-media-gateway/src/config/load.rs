//! The configuration of the gateway, parsed and checked.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use private_media::MediaPath;
use private_media::cors::CorsOptions;
use private_media::pages::Branding;
use private_media::permission::{Grant, Grants, Template};
use private_media_listener::Limits;

use super::bucket::{self, BucketConfig};
use super::error::ConfigError;
use super::identity::{self, AccountsConfig, IdentitySource, Source};
use super::jwt::JwtConfig;
use super::key::Key;
use super::keys;
use super::keys::identity::IDENTITY;
use super::keys::lookup::LOOKUP;
use super::layers::Layers;
use super::lookup::{self, LookupConfig};
use super::settings::{Origin, Setting, Settings};
use super::tables::{self, Section};
use super::tls::{self, TlsConfig};
use super::{audit, cors, delivery, grants, root, show, site, values};
use crate::addresses::{Endpoint, ListenAddr};
use crate::audit::{AuditOptions, Problem};
use crate::causes::root_cause;
use crate::client::TrustedProxies;
use crate::front::{FrontError, FrontField};
use crate::login::LoginPages;
use crate::send_mode::SendMode;
use crate::state::{StateError, StateUrl};
use crate::{folders, log, urls};

/// The root of the files below a folder.
#[derive(Debug, Clone)]
pub(crate) struct OtherRoot {
    pub(crate) prefix: MediaPath,
    /// The configuration as if this were the only root.
    pub(crate) config: Config,
}

/// The configuration of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: ListenAddr,
    /// The address for monitoring.
    pub(crate) admin_listen: Option<ListenAddr>,
    /// `None` for plain HTTP.
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) trusted_proxies: TrustedProxies,
    /// The folder of the private files. If they are in a bucket, no file has this path.
    pub(crate) root: PathBuf,
    /// The roots of the files below some folders, if there are several.
    pub(crate) others: Vec<OtherRoot>,
    /// `None` if the root is a folder.
    pub(crate) bucket: Option<BucketConfig>,
    pub(crate) url: String,
    pub(crate) debug: bool,
    pub(crate) workers: usize,
    pub(crate) log: String,
    pub(crate) log_format: log::Format,
    /// The state store. `None` without accounts, unless the setting is given.
    pub(crate) state: Option<StateUrl>,
    /// The identity sources, in order.
    pub(crate) identity: Vec<IdentitySource>,
    /// The lookups, in order.
    pub(crate) lookups: Vec<LookupConfig>,
    pub(crate) grants: Grants,
    pub(crate) revalidate_after: Duration,
    pub(crate) follow_links: bool,
    pub(crate) send_mode: SendMode,
    /// `None` if no other origin is allowed.
    pub(crate) cors: Option<CorsOptions>,
    /// The name of the site on the pages.
    pub(crate) site_name: String,
    pub(crate) limits: Limits,
    /// 0 is no limit.
    pub(crate) connections_per_client: usize,
    /// 0 is no limit.
    pub(crate) requests_per_second: u32,
    /// `None` if nothing is recorded.
    pub(crate) audit: Option<AuditOptions>,
    /// Whether `limits.max_connections` differs from the default.
    pub(crate) max_connections_is_set: bool,
    pub(super) layers: Layers,
    identity_tables: Vec<Section>,
    lookup_tables: Vec<Section>,
}

impl Config {
    /// Parses all settings of the root without a path, also those that this configuration does not use: an error shows before the setting is needed.
    pub(super) fn parse(layers: Layers, has_other_bucket: bool) -> Result<Self, ConfigError> {
        let settings = &layers.settings;
        let url = settings.get(&keys::URL).parse_with(|value| urls::prefix(value).map(str::to_owned))?;
        let identity_tables = tables::sections(settings, &IDENTITY)?;
        let identity = identity::sources(&identity_tables, &url)?;
        let lookup_tables = tables::sections(settings, &LOOKUP)?;
        let lookups = lookup::lookups(&lookup_tables)?;
        let (listen, max_connections) = (settings.get(&keys::LISTEN), settings.get(&keys::MAX_CONNECTIONS));
        let listen = listen.parse_with(|value| ListenAddr::parse(value, listen.folder()))?;
        let send_mode = delivery::send_mode(settings, &url)?;
        Ok(Self {
            tls: tls::options(settings, &listen)?,
            admin_listen: admin_listen(&settings.get(&keys::ADMIN_LISTEN))?,
            listen,
            trusted_proxies: trusted_proxies(settings)?,
            root: settings.path(&keys::ROOT),
            bucket: bucket::bucket(settings, &send_mode, has_other_bucket)?,
            others: vec![],
            send_mode,
            cors: cors::options(settings)?,
            url,
            debug: settings.get(&keys::DEBUG).parse("true or false")?,
            workers: settings.get(&keys::WORKERS).parse_with(values::workers)?,
            log: settings.get(&keys::LOG).parse_with(log::check_filter)?,
            log_format: settings.get(&keys::LOG_FORMAT).parse("auto, text or json")?,
            state: state(&layers, &identity)?,
            grants: parse_grants(&settings.get(&keys::GRANT), &identity, &lookups)?,
            identity,
            lookups,
            revalidate_after: settings.get(&keys::REVALIDATE_AFTER).parse_with(values::duration)?,
            follow_links: settings.get(&keys::FOLLOW_LINKS).parse("true or false")?,
            max_connections_is_set: *max_connections.origin() != Origin::Default,
            site_name: settings.get(&keys::site::NAME).parse_with(site::name)?,
            connections_per_client: settings.get(&keys::CONNECTIONS_PER_CLIENT).parse_with(values::limit)?,
            requests_per_second: settings.get(&keys::REQUESTS_PER_SECOND).parse_with(values::limit)?,
            limits: Limits::default()
                .max_connections(max_connections.parse_with(values::connections)?)
                .header_timeout(settings.get(&keys::HEADER_TIMEOUT).parse_with(values::positive_duration)?)
                .min_rate(settings.get(&keys::MIN_RATE).parse_with(values::min_rate)?)
                .shutdown_timeout(settings.get(&keys::SHUTDOWN_TIMEOUT).parse_with(values::duration)?),
            audit: audit::options(settings)?,
            layers,
            identity_tables,
            lookup_tables,
        })
    }

    /// Returns the name and the logo on the pages. Reads the file of the logo.
    pub(crate) fn branding(&self) -> Result<Branding, ConfigError> {
        site::branding(&self.layers.settings, &self.site_name)
    }

    /// Checks the root, but not those of some folders.
    pub(crate) fn check_root(&self) -> Result<(), ConfigError> {
        if self.bucket.is_some() {
            return Ok(());
        }
        root::check(&self.layers.settings, self.own_files())
    }

    /// Returns the files that access depends on. None of them may be inside the root.
    pub(super) fn own_files(&self) -> Vec<(Setting, PathBuf)> {
        let files = self.identity.iter().flat_map(|source| source.source.files());
        let state = self.state.as_ref().and_then(StateUrl::file);
        let files = files.chain(self.lookups.iter().filter_map(LookupConfig::file));
        let files = files.chain(audit::files(&self.layers.settings));
        let files = files.chain(self.tls.iter().map(|tls| (self.get(&keys::tls::KEY), tls.key.clone())));
        files.chain(state.map(|path| (self.get(&keys::STATE), path.into()))).collect()
    }

    /// Returns a setting that is not a default.
    pub(super) fn given(&self, key: &Key) -> Option<&Setting> {
        self.layers.settings.given(key)
    }

    pub(super) fn get(&self, key: &'static Key) -> Setting {
        self.layers.settings.get(key)
    }

    /// Returns the settings of the built-in accounts, if they are an identity source.
    pub(crate) fn accounts(&self) -> Option<&AccountsConfig> {
        self.identity.iter().find_map(|source| match &source.source {
            Source::Accounts(accounts) => Some(accounts),
            _ => None,
        })
    }

    /// Returns the issuers of all `jwt` sources but this one.
    pub(crate) fn other_issuers(&self, own: &JwtConfig) -> Vec<String> {
        let issuers = self.identity.iter().filter_map(|source| match &source.source {
            Source::Jwt(jwt) => Some(&jwt.options.issuer),
            _ => None,
        });
        issuers.filter(|issuer| **issuer != own.options.issuer).cloned().collect()
    }

    /// Returns whether an identity source also decides about paths.
    pub(crate) fn decides_by_identity(&self) -> bool {
        self.identity.iter().any(|source| source.source.has_permission())
    }

    /// Returns the sign-in pages. With `debug` there are none, as clients get the reason.
    pub(crate) fn login_pages(&self) -> LoginPages {
        let sources = self.identity.iter().filter(|_| !self.debug);
        LoginPages::new(sources.filter_map(|source| Some((source.source.name(), source.login.clone()?))))
    }

    /// Returns the root's absolute path.
    pub(crate) fn absolute_root(&self) -> Result<PathBuf, ConfigError> {
        if self.bucket.is_some() {
            return Err(self.no_folder());
        }
        folders::absolute(&self.root).map_err(|error| self.root_error(&error))
    }

    /// Returns the error of a command that needs a folder, if the root is a bucket.
    pub(crate) fn no_folder(&self) -> ConfigError {
        self.get(&keys::ROOT).error("the root is a bucket", "name a folder, which this command needs")
    }

    /// Returns an error about the folder that caches a bucket.
    #[cfg(feature = "buckets")]
    pub(crate) fn cache_error(&self, error: &std::io::Error) -> ConfigError {
        let problem = format!("cannot open the block cache: {error}");
        self.get(&keys::cache::PATH)
            .error(&problem, "name a folder of this user, in a folder that exists, on a local disk")
    }

    /// Returns the bucket of an argument, with the options that the settings have for the root.
    pub(crate) fn bucket_of(&self, argument: &str, url: &str) -> Result<BucketConfig, ConfigError> {
        bucket::at(&self.layers.settings, url, |shown, problem| {
            ConfigError::new(format!("{argument} {shown:?}: {problem}"))
        })
    }

    /// Returns an error about the bucket.
    #[cfg(feature = "buckets")]
    pub(crate) fn bucket_error(&self, problem: &str, fix: &str) -> ConfigError {
        self.get(&keys::ROOT).error(problem, fix)
    }

    /// Returns the TOML file, if one was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.layers.file()
    }

    /// Returns a warning for each unknown variable of the environment, and for each template that probably matches no file.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.layers.warnings().to_vec();
        warnings.extend(grants::warnings(&self.grants, &self.lookups, &self.url, &self.root));
        warnings
    }

    /// Returns whether the default grant applies, because none is configured.
    pub(crate) fn has_default_grant(&self) -> bool {
        self.get(&keys::GRANT).values().is_empty() && !self.decides_by_identity()
    }

    /// Returns the folders that the application serves publicly.
    pub(crate) fn public_folders(&self) -> Vec<PathBuf> {
        self.layers.settings.paths(&keys::PUBLIC)
    }

    /// Returns an error about the root, with the cause of `error`.
    pub(crate) fn root_error(&self, error: &(dyn Error + 'static)) -> ConfigError {
        self.get(&keys::ROOT).error(&root_cause(error), "name a folder that this user can read")
    }

    /// Returns where clients connect to.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        let endpoint = self.listen.endpoint()?;
        Some(if self.tls.is_some() { endpoint.with_tls() } else { endpoint })
    }

    /// Returns an error about the file of the certificate or the key.
    pub(crate) fn certificate_error(&self, is_about_key: bool, problem: &str, fix: &str) -> ConfigError {
        self.get(if is_about_key { &keys::tls::KEY } else { &keys::tls::CERTIFICATE }).error(problem, fix)
    }

    /// Returns an error about the address that redirects to HTTPS.
    pub(crate) fn redirect_error(&self, problem: &str, fix: &str) -> ConfigError {
        self.get(&keys::tls::REDIRECT_HTTP).error(problem, fix)
    }

    /// Returns an error about the address to listen on.
    pub(crate) fn listen_error(&self, problem: &str, fix: &str) -> ConfigError {
        self.get(&keys::LISTEN).error(problem, fix)
    }

    /// Returns an error about the address for monitoring.
    pub(crate) fn admin_error(&self, problem: &str, fix: &str) -> ConfigError {
        self.get(&keys::ADMIN_LISTEN).error(problem, fix)
    }

    /// Returns an error about a front server's configuration, by the setting that it is about.
    pub(crate) fn front_error(&self, front: &str, error: &FrontError) -> ConfigError {
        let problem_and_fix = error.problem_and_fix(|name| name);
        match front_key(error.field()) {
            Some(key) => self.get(key).error_with(&problem_and_fix),
            None => ConfigError::new(format!("--front {front:?}: {problem_and_fix}")),
        }
    }

    /// Returns an error about the state store.
    pub(crate) fn state_error(&self, error: &StateError) -> ConfigError {
        let general = match &self.state {
            Some(StateUrl::Postgres(_)) => "check that the server runs and that this user may create tables",
            _ => {
                "name a file in a folder that this user can write to, or memory to lose sign-outs at a restart"
            }
        };
        let fix = error.fix().unwrap_or(general);
        self.get(&keys::STATE).error(&format!("cannot open the state store: {error}"), fix)
    }

    /// Returns an error about the audit file, or about its key.
    pub(crate) fn audit_error(&self, error: &Problem) -> ConfigError {
        let key = if error.is_key { &keys::audit::KEY_FILE } else { &keys::audit::PATH };
        self.get(key).error(&error.what, &error.fix)
    }

    /// Returns the configuration as TOML, with the origin of each value.
    pub(crate) fn to_toml(&self) -> String {
        show::toml(
            &self.layers.settings,
            &[(&IDENTITY, &self.identity_tables), (&LOOKUP, &self.lookup_tables)],
        )
    }
}

/// Returns the address for monitoring, if it is set.
fn admin_listen(setting: &Setting) -> Result<Option<ListenAddr>, ConfigError> {
    if setting.values().iter().all(String::is_empty) {
        return Ok(None);
    }
    setting.parse_with(|value| ListenAddr::parse(value, setting.folder())).map(Some)
}

/// Returns the proxies that may name the client.
fn trusted_proxies(settings: &Settings) -> Result<TrustedProxies, ConfigError> {
    let (proxies, header) = (settings.get(&keys::TRUSTED_PROXIES), settings.get(&keys::CLIENT_HEADER));
    let name = header.parse_with(values::header_name)?;
    if proxies.values().is_empty() && !keys::CLIENT_HEADER.default.eq_ignore_ascii_case(name.as_str()) {
        return Err(header.error("no proxy is trusted", "list each in listen.trusted_proxies"));
    }
    Ok(TrustedProxies::new(proxies.parse_each(str::parse)?, name))
}

/// Returns the setting of a field of a front server's configuration; `None` for `--front`, which is no setting.
fn front_key(field: FrontField) -> Option<&'static Key> {
    match field {
        FrontField::Front => None,
        FrontField::Gateway | FrontField::Application => Some(&keys::LISTEN),
        FrontField::Url => Some(&keys::URL),
        FrontField::Root => Some(&keys::ROOT),
        FrontField::Store => Some(&keys::storage::ENDPOINT),
        FrontField::SendMode => Some(&keys::MODE),
        FrontField::InternalUrl => Some(&keys::INTERNAL_URL),
        FrontField::Encoding => Some(&keys::SENDFILE_ENCODING),
        FrontField::Public => Some(&keys::PUBLIC),
    }
}

/// Returns the state store, which holds the ended sessions of accounts. Other sources need none.
fn state(layers: &Layers, identity: &[IdentitySource]) -> Result<Option<StateUrl>, ConfigError> {
    let setting = layers.settings.get(&keys::STATE);
    let is_default = *setting.origin() == Origin::Default;
    // The default file is next to the TOML file, wherever the program is started.
    let beside_file = layers.file().and_then(Path::parent).filter(|_| is_default);
    let url = setting.parse_with(|value| StateUrl::parse(value, beside_file.unwrap_or(setting.folder())))?;
    let has_accounts = identity.iter().any(|source| matches!(source.source, Source::Accounts(_)));
    Ok((has_accounts || !is_default).then_some(url))
}

fn parse_grants(
    setting: &Setting,
    identity: &[IdentitySource],
    lookups: &[LookupConfig],
) -> Result<Grants, ConfigError> {
    if setting.values().is_empty() {
        // If an application decides, staff may not read more than it says.
        let is_decided = identity.iter().any(|source| source.source.has_permission());
        return Ok(if is_decided { Grants::new([]) } else { Grants::default() });
    }
    let lookups: Vec<Template> = lookups.iter().map(|lookup| lookup.path.clone()).collect();
    Ok(Grants::new(setting.parse_each(|value| Grant::parse(value, &lookups))?))
}

//! The settings that only a restart changes.

use super::keys;
use super::load::Config;
use super::tls::TlsConfig;
use crate::state::StateUrl;

impl Config {
    /// Returns the settings that differ from those of the start, and that only a restart changes.
    pub(crate) fn changes_for_restart(&self, started: &Self) -> Vec<&'static str> {
        let (new, old) = (&self.limits, &started.limits);
        let files = |tls: &Option<TlsConfig>| {
            tls.clone().map(|tls| (tls.certificate, tls.key, tls.redirect_http)).unwrap_or_default()
        };
        let settings = [
            (&keys::LISTEN, self.listen != started.listen),
            (&keys::tls::CERTIFICATE, files(&self.tls).0 != files(&started.tls).0),
            (&keys::tls::KEY, files(&self.tls).1 != files(&started.tls).1),
            (&keys::tls::REDIRECT_HTTP, files(&self.tls).2 != files(&started.tls).2),
            (&keys::ADMIN_LISTEN, self.admin_listen != started.admin_listen),
            (&keys::WORKERS, self.workers != started.workers),
            (&keys::LOG_FORMAT, self.log_format != started.log_format),
            // Without accounts, there may be no store. The open one stays.
            (&keys::STATE, self.state.is_some() && !self.has_state_of(started)),
            (&keys::MAX_CONNECTIONS, new.max_connections != old.max_connections),
            (&keys::CONNECTIONS_PER_CLIENT, self.connections_per_client != started.connections_per_client),
            (&keys::HEADER_TIMEOUT, new.header_timeout != old.header_timeout),
            (&keys::MIN_RATE, new.min_rate != old.min_rate),
            (&keys::SHUTDOWN_TIMEOUT, new.shutdown_timeout != old.shutdown_timeout),
        ];
        let differs = |key| (key, self.get(key).values() != started.get(key).values());
        let (audit, cache) = (keys::audit::ALL.map(differs), keys::cache::ALL.map(differs));
        let settings = settings.into_iter().chain(audit).chain(cache);
        settings.filter(|(_, differs)| *differs).map(|(key, _)| key.name).collect()
    }

    fn has_state_of(&self, other: &Self) -> bool {
        match (&self.state, &other.state) {
            (Some(StateUrl::Postgres(_)), Some(StateUrl::Postgres(_))) => {
                self.get(&keys::STATE).values() == other.get(&keys::STATE).values()
            }
            (Some(StateUrl::Memory), Some(StateUrl::Memory)) => true,
            (Some(own), Some(other)) => own.file().is_some() && own.file() == other.file(),
            (own, other) => own.is_none() && other.is_none(),
        }
    }
}

//! The input of the checks, and the requests that they share.

use http::{HeaderMap, HeaderValue};

use super::super::canaries::Canaries;
use super::super::canary::Canary;
use super::super::client::{Client, RequestError, Response};
use super::super::probe_accounts::ProbeAccounts;
use super::front::Front;
use crate::config::Config;

/// The input of the checks.
pub(in crate::commands::doctor) struct Probe<'a> {
    pub(in crate::commands::doctor) config: &'a Config,
    /// The headers of every response below the private URL.
    pub(in crate::commands::doctor) common_headers: HeaderMap,
    /// The client of the public URL.
    pub(in crate::commands::doctor) front: Client,
    /// The client of the gateway itself, if this machine can reach it.
    pub(in crate::commands::doctor) gateway: Option<Client>,
    pub(in crate::commands::doctor) canaries: Canaries,
    pub(in crate::commands::doctor) accounts: ProbeAccounts,
    pub(in crate::commands::doctor) kind: Front,
    /// Whether the front server serves files to everyone without asking the gateway.
    pub(in crate::commands::doctor) is_open: bool,
}

impl Probe<'_> {
    /// Returns the session of the permitted account.
    pub(super) fn cookie(&self) -> Option<&HeaderValue> {
        self.accounts.permitted.as_ref().map(|account| &account.cookie)
    }

    /// Returns the path of a canary below the private URL.
    pub(super) fn url(&self, canary: &Canary) -> String {
        format!("{}{}", self.config.url, canary.path.to_url())
    }

    /// Sends a request to the front server as the permitted account.
    pub(super) async fn get_as_user(&self, path: &str) -> Result<Response, RequestError> {
        self.front.get(path, self.cookie()).await
    }

    /// Sends a request to the front server without signing in.
    pub(super) async fn get_anonymously(&self, path: &str) -> Result<Response, RequestError> {
        self.front.get(path, None).await
    }

    pub(super) async fn is_open_to_everyone(&self) -> bool {
        let response = self.get_anonymously(&self.url(&self.canaries.closed)).await;
        response.is_ok_and(|response| self.contains_secret(&response))
    }

    /// Returns whether a response contains a canary's content.
    pub(super) fn contains_secret(&self, response: &Response) -> bool {
        response.contains(&self.canaries.nonces.secret)
    }
}

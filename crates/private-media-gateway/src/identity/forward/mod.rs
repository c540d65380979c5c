//! The identity source `forward`: the application is asked over HTTP, as nginx's `auth_request` and Caddy's and Traefik's forward
//! authentication ask it.
//!
//! 2xx is yes, and names the user by headers; 401 and 403 are no; anything else is no answer, and the client is denied. Answers are kept
//! by everything that was sent to get them ([`Question::key`]), for as long as the application and `cache_ttl` allow.

mod answer;
mod freshness;
mod options;
mod outages;
mod permission;
mod question;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderName, Request};
use http_body_util::Full;
use private_media::decision_cache::DecisionCache;
use private_media::identity::IdentifyError;
use private_media::{CacheCounts, Identify, Identity};
use tokio::sync::Semaphore;
use tokio_rustls::rustls;

use self::answer::Answer;
use self::outages::OutageLog;
use self::question::Question;
use crate::http_client::{self, HttpClient, HttpOptions};
use crate::single_flight::SingleFlight;

pub(crate) use self::options::{ForwardOptions, HeaderNames, PassedHeaders};
pub(crate) use self::permission::{AllowedPath, ForwardPermissions};

/// The most questions at a time. Further ones wait, within the timeout.
pub(crate) const MAX_QUESTIONS: usize = 64;
/// When a client may try again while the application does not answer.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The longest body of a response, in bytes. The body is not used, but a connection with an unread body cannot be used again.
const MAX_BODY: usize = 1 << 20;

/// Identifies users by asking an application. Cheap to clone; clones share connections and answers.
#[derive(Debug, Clone)]
pub(crate) struct Forward(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: ForwardOptions,
    client: HttpClient,
    slots: Semaphore,
    answers: DecisionCache<Answer>,
    questions: SingleFlight<Result<Answer, Arc<str>>>,
    outages: OutageLog,
}

impl Forward {
    pub(crate) fn new(options: ForwardOptions) -> Result<Self, rustls::Error> {
        let ForwardOptions { timeout, cache_ttl, .. } = options;
        let client = HttpClient::new(HttpOptions { connect_timeout: timeout, timeout, max_body: MAX_BODY })?;
        Ok(Self(Arc::new(Inner {
            client,
            slots: Semaphore::new(MAX_QUESTIONS),
            answers: DecisionCache::new(cache_ttl),
            questions: SingleFlight::new(),
            outages: OutageLog::new(http_client::shown(&options.url)),
            options,
        })))
    }

    /// Returns how many answers of the application were found in the cache.
    pub(super) fn cache_counts(&self) -> CacheCounts {
        self.0.answers.counts()
    }

    /// Returns the answer about the client of a request: a kept one, or that to a question that is asked now.
    async fn answer(&self, question: &Question<'_>) -> Result<Answer, Arc<str>> {
        let inner = &self.0;
        let key = question.key();
        if let Some(answer) = inner.answers.get(key, Instant::now()) {
            return Ok(answer);
        }
        let request = question.to_request(&inner.options).map_err(|error| error.to_string())?;
        let (cache_ttl, shared) = (inner.options.cache_ttl, Arc::clone(inner));
        let ask = move |asked| async move {
            let (answer, lifetime) = shared.ask(request).await?;
            shared.answers.insert_for(key, answer.clone(), answer.is_yes, asked, lifetime);
            Ok(answer)
        };
        inner.questions.ask(key, cache_ttl, ask).await
    }

    async fn identity(&self, question: Question<'_>, request: &Parts) -> Result<Identity, IdentifyError> {
        let answer = self.answer(&question).await.map_err(|problem| {
            IdentifyError::unavailable(format!("{}: {problem}", answer::SOURCE), self.0.options.retry_after)
        })?;
        if answer.is_yes
            && let Some(path) = question.path
            && let Some(allowed) = AllowedPath::of(request)
        {
            allowed.set(path);
        }
        Ok(answer.identity)
    }
}

impl Inner {
    /// Asks the application. Returns its answer and how long it may be used; the error says why it is none.
    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(Answer, Duration), Arc<str>> {
        let timeout = self.options.timeout;
        let response = async {
            // The semaphore is never closed.
            let _slot = self.slots.acquire().await;
            self.client.send(request).await.map_err(|error| Arc::from(error.to_string()))
        };
        let response = tokio::time::timeout(timeout, response).await.unwrap_or_else(|_| {
            let url = http_client::shown(&self.options.url);
            Err(format!("{url}: no response within {}", humantime::format_duration(timeout)).into())
        });
        match response.and_then(|response| answer::read(&response, &self.options)) {
            Ok(fresh) => {
                match &fresh.mistake {
                    Some(mistake) => self.outages.failed(mistake),
                    None => self.outages.answered(),
                }
                Ok((fresh.answer, fresh.lifetime))
            }
            Err(problem) => {
                self.outages.failed(&problem);
                Err(problem)
            }
        }
    }
}

impl Identify for Forward {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        match Question::new(&self.0.options, request) {
            Some(question) => Box::pin(self.identity(question, request)),
            None => Box::pin(std::future::ready(Ok(Identity::Anonymous))),
        }
    }

    fn recognizes(&self, request: &Parts) -> bool {
        question::has_credential(&self.0.options, &request.headers)
    }

    fn vary(&self) -> Vec<HeaderName> {
        self.0.options.pass.iter().cloned().collect()
    }
}

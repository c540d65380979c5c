//! Lets Django decide about the gateway's requests: who sends a request, and whether the project's own permission class allows it.
//!
//! An event loop puts a request into a [`RequestQueue`] and awaits the reply; it serves other requests meanwhile. A Python thread
//! takes the [`QueuedRequest`] and replies.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::HeaderName;
use http::header::{
    COOKIE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use private_media::decision_cache::{CacheKey, DecisionCache};
use private_media::identity::ClientAddr;
use private_media::permission::{Context, Decision};
use private_media::{Action, Identify, IdentifyError, Identity, MediaPath, Permissions, User};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::oneshot;

/// The queue's capacity. Requests beyond it are denied.
const QUEUE_CAPACITY: usize = 1024;
/// How long a request waits for Django's reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Headers that select a part or version of a file. They do not affect the decision, so they are neither sent to Django nor part of
/// the cache key.
const IGNORED_HEADERS: [HeaderName; 6] =
    [RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];

type ReplyCache = Arc<DecisionCache<DjangoReply>>;

/// Requests on their way from the gateway to Python's threads.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct RequestQueue {
    receiver: Mutex<Receiver<PendingRequest>>,
    client: Mutex<Option<DjangoClient>>,
    replies: ReplyCache,
}

#[pymethods]
impl RequestQueue {
    /// Creates an empty queue whose replies are cached for `cache` seconds. With `by_path`, an identity is cached for its path only,
    /// for projects with a middleware that decides by the path.
    #[new]
    #[pyo3(signature = (cache, *, by_path=false))]
    fn new(cache: f64, by_path: bool) -> PyResult<Self> {
        let replies = Arc::new(DecisionCache::new(duration(cache)?));
        let (sender, receiver) = sync_channel(QUEUE_CAPACITY);
        let client = DjangoClient { sender, replies: Arc::clone(&replies), by_path };
        Ok(Self { receiver: Mutex::new(receiver), client: Mutex::new(Some(client)), replies })
    }

    /// Waits for the next request. Returns None when the gateway has stopped.
    fn next(&self, py: Python<'_>) -> Option<QueuedRequest> {
        py.detach(|| {
            loop {
                let pending = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()?;
                if pending.reply.is_closed() {
                    continue;
                }
                // Django may have replied to an equal request in the meantime.
                let Some(reply) = self.replies.get(pending.key, Instant::now()) else {
                    let pending = Mutex::new(Some(pending));
                    return Some(QueuedRequest { pending, replies: Arc::clone(&self.replies) });
                };
                // The client may have given up.
                let _ = pending.reply.send(Ok(reply));
            }
        })
    }
}

impl RequestQueue {
    /// Returns the only sender of this queue, once.
    pub(crate) fn take_client(&self) -> Option<DjangoClient> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A request that waits for Django's reply. It is denied if it is dropped without one.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct QueuedRequest {
    pending: Mutex<Option<PendingRequest>>,
    replies: ReplyCache,
}

#[pymethods]
impl QueuedRequest {
    /// The path to check the permission for; None if the request is to be authenticated.
    #[getter]
    fn path(&self) -> Option<String> {
        self.with(|pending| pending.path.as_ref().map(ToString::to_string)).flatten()
    }

    /// Returns the request's part of a WSGI environ. `script` is the prefix that is removed from its path.
    fn environ<'py>(&self, py: Python<'py>, script: &str) -> PyResult<Bound<'py, PyDict>> {
        let environ = PyDict::new(py);
        let filled = self.with(|pending| pending.request.fill(&environ, script));
        filled.unwrap_or(Ok(()))?;
        Ok(environ)
    }

    /// Replies with the user who sends the request; None is an anonymous one.
    #[pyo3(signature = (user, *, name="", staff=false, groups=None))]
    fn reply_identity(&self, user: Option<String>, name: &str, staff: bool, groups: Option<Vec<String>>) {
        let identity = user.map_or(Identity::Anonymous, |id| {
            let user = User::new(id).name(name).staff(staff).source("django");
            groups.unwrap_or_default().into_iter().fold(user, User::group).into()
        });
        let is_favourable = identity.user().is_some();
        self.reply(DjangoReply::Identity(identity), is_favourable);
    }

    /// Replies with the decision, and the reason for it.
    fn reply_decision(&self, allowed: bool, reason: String) {
        let decision = if allowed { Decision::allow(reason) } else { Decision::deny(reason) };
        self.reply(DjangoReply::Decision(decision), allowed);
    }

    /// Replies that Django failed, and why.
    fn fail(&self, reason: String) {
        if let Some(pending) = self.take() {
            // The client may have given up.
            let _ = pending.reply.send(Err(reason));
        }
    }
}

impl QueuedRequest {
    fn with<T>(&self, look: impl FnOnce(&PendingRequest) -> T) -> Option<T> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    fn take(&self) -> Option<PendingRequest> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn reply(&self, reply: DjangoReply, is_favourable: bool) {
        if let Some(pending) = self.take() {
            self.replies.insert(pending.key, reply.clone(), is_favourable, pending.received);
            let _ = pending.reply.send(Ok(reply));
        }
    }
}

struct PendingRequest {
    key: CacheKey,
    received: Instant,
    request: WsgiRequest,
    path: Option<MediaPath>,
    reply: oneshot::Sender<Result<DjangoReply, String>>,
}

#[derive(Clone)]
enum DjangoReply {
    Identity(Identity),
    Decision(Decision),
}

/// Authenticates and authorizes requests through Django. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DjangoClient {
    sender: SyncSender<PendingRequest>,
    replies: ReplyCache,
    by_path: bool,
}

impl DjangoClient {
    async fn send(&self, head: &Parts, path: Option<&MediaPath>) -> Result<DjangoReply, String> {
        let (request, received) = (WsgiRequest::new(head), Instant::now());
        let kind: &[u8] = if path.is_some() { b"permission" } else { b"identity" };
        let key = request.cache_key(kind, path.is_some() || self.by_path);
        if let Some(reply) = self.replies.get(key, received) {
            return Ok(reply);
        }
        let (sender, reply) = oneshot::channel();
        let pending = PendingRequest { key, received, request, path: path.cloned(), reply: sender };
        self.sender
            .try_send(pending)
            .map_err(|_| format!("{QUEUE_CAPACITY} requests already wait for Django"))?;
        match tokio::time::timeout(REPLY_TIMEOUT, reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err("Django did not reply".into()),
            Err(_) => Err(format!("Django did not reply within {REPLY_TIMEOUT:?}")),
        }
    }
}

impl Identify for DjangoClient {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(async {
            match self.send(request, None).await {
                Ok(DjangoReply::Identity(identity)) => Ok(identity),
                Ok(DjangoReply::Decision(_)) => Err(IdentifyError::new("Django replied with a decision")),
                Err(reason) => Err(IdentifyError::new(reason)),
            }
        })
    }
}

impl Permissions for DjangoClient {
    /// Denies: the gateway always has a request, and calls `may_with`.
    fn may_read<'a>(&'a self, _: &'a Identity, _: &'a MediaPath) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(Decision::deny("Django decides about requests only")))
    }

    fn may_with<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        path: &'a MediaPath,
        context: Context<'a>,
    ) -> BoxFuture<'a, Decision> {
        let (Action::Read, Some(request)) = (action, context.request()) else {
            return self.may(identity, action, path);
        };
        Box::pin(async move {
            match self.send(request, Some(path)).await {
                Ok(DjangoReply::Decision(decision)) => decision,
                Ok(DjangoReply::Identity(_)) => Decision::deny("Django replied with an identity"),
                Err(reason) => Decision::deny(reason),
            }
        })
    }
}

/// The parts of a request that Django sees.
struct WsgiRequest {
    method: String,
    path: String,
    query: String,
    remote_addr: String,
    headers: Vec<(HeaderName, Vec<u8>)>,
}

impl WsgiRequest {
    fn new(head: &Parts) -> Self {
        let headers = head.headers.iter().filter(|(name, _)| !IGNORED_HEADERS.contains(name));
        let client = head.extensions.get::<ClientAddr>().and_then(ClientAddr::ip);
        Self {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            remote_addr: client.map(|ip| ip.to_string()).unwrap_or_default(),
            headers: headers.map(|(name, value)| (name.clone(), value.as_bytes().to_owned())).collect(),
        }
    }

    /// Covers everything that Django's reply may depend on, so that no reply is used for another client's request.
    fn cache_key(&self, kind: &[u8], with_path: bool) -> CacheKey {
        let target: [&[u8]; 3] = if with_path {
            [self.method.as_bytes(), self.path.as_bytes(), self.query.as_bytes()]
        } else {
            [b"", b"", b""]
        };
        let headers = self.headers.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value]);
        let parts = [kind].into_iter().chain(target).chain([self.remote_addr.as_bytes()]);
        CacheKey::of(parts.chain(headers))
    }

    /// Fills a WSGI environ: PEP 3333 maps each byte to the character of the same number.
    fn fill(&self, environ: &Bound<'_, PyDict>, script: &str) -> PyResult<()> {
        let path = percent_decode_str(self.path.strip_prefix(script).unwrap_or(&self.path));
        environ.set_item("REQUEST_METHOD", &self.method)?;
        environ.set_item("SCRIPT_NAME", "")?;
        environ.set_item("PATH_INFO", latin1(path))?;
        environ.set_item("QUERY_STRING", &self.query)?;
        environ.set_item("REMOTE_ADDR", &self.remote_addr)?;
        environ.set_item("SERVER_PROTOCOL", "HTTP/1.1")?;
        for (name, value) in &self.headers {
            // A name with `_` would collide with one with `-`. `Proxy` would set a proxy for this process (httpoxy).
            if name.as_str().contains('_') || name.as_str() == "proxy" {
                continue;
            }
            let key = match name.as_str() {
                name @ ("content-type" | "content-length") => name.replace('-', "_").to_uppercase(),
                name => format!("HTTP_{}", name.replace('-', "_").to_uppercase()),
            };
            let value = latin1(value.iter().copied());
            let value = match environ.get_item(&key)? {
                Some(previous) => {
                    let separator = if *name == COOKIE { "; " } else { "," };
                    format!("{}{separator}{value}", previous.extract::<String>()?)
                }
                None => value,
            };
            environ.set_item(key, value)?;
        }
        Ok(())
    }
}

fn latin1(bytes: impl Iterator<Item = u8>) -> String {
    bytes.map(char::from).collect()
}

/// Parses a number of seconds that is not negative.
pub(crate) fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| PyValueError::new_err(format!("{seconds} seconds: {error}")))
}

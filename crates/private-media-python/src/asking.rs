//! What the gateway has to ask Django, and Python's threads answer: who sends a request, and what a project's own permission class
//! says of it.
//!
//! An event loop asks, and waits without holding up anybody. A thread of Python takes a [`Question`] from [`Questions`], and answers.

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
use private_media::identity::accounts::ClientAddr;
use private_media::permission::Decision;
use private_media::{Action, Identify, IdentifyError, Identity, MediaPath, Permissions, User};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::oneshot;

/// How many questions may wait; who comes then is denied.
const WAITING: usize = 1024;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// What says which part of a file is wanted, and not by whom: not a part of the question.
const NOT_ASKED: [HeaderName; 6] =
    [RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];

/// What is asked, on its way from the gateway to Python's threads.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Questions {
    waiting: Mutex<Receiver<Waiting>>,
    asker: Mutex<Option<Asker>>,
    answers: Arc<DecisionCache<Answered>>,
}

#[pymethods]
impl Questions {
    /// None yet. Answers are kept so many seconds. With `by_path`, the answer to who sends a request is kept for its path alone: a
    /// middleware may decide by it.
    #[new]
    #[pyo3(signature = (cache, *, by_path=false))]
    fn new(cache: f64, by_path: bool) -> PyResult<Self> {
        let cache = seconds(cache)?;
        let answers = Arc::new(DecisionCache::new(cache));
        let (sender, waiting) = sync_channel(WAITING);
        let asker = Mutex::new(Some(Asker { questions: sender, answers: Arc::clone(&answers), by_path }));
        Ok(Self { waiting: Mutex::new(waiting), asker, answers })
    }

    /// The next question, waited for. None: there will be no more.
    fn next(&self, py: Python<'_>) -> Option<Question> {
        py.detach(|| {
            loop {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()?;
                // Whoever asked may have given up, or somebody have asked the same a moment ago.
                if waiting.reply.is_closed() {
                    continue;
                }
                match self.answers.get(waiting.fingerprint, Instant::now()) {
                    Some(answer) => drop(waiting.reply.send(Ok(answer))),
                    None => return Some(Question(Mutex::new(Some(waiting)), Arc::clone(&self.answers))),
                }
            }
        })
    }
}

impl Questions {
    /// Whoever asks; there is one.
    pub(crate) fn asker(&self) -> Option<Asker> {
        self.asker.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A request that somebody waits to have judged. Without an answer it is denied.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Question(Mutex<Option<Waiting>>, Arc<DecisionCache<Answered>>);

#[pymethods]
impl Question {
    /// The path of the file whose reading has to be permitted; None: it is asked who sends the request.
    #[getter]
    fn path(&self) -> Option<String> {
        self.with(|waiting| waiting.path.as_ref().map(ToString::to_string)).flatten()
    }

    /// The request as WSGI has it, with this `SCRIPT_NAME` taken off its path; without what WSGI says of the server.
    fn environ<'py>(&self, py: Python<'py>, script: &str) -> PyResult<Bound<'py, PyDict>> {
        let environ = PyDict::new(py);
        let filled = self.with(|waiting| waiting.request.fill(&environ, script));
        filled.unwrap_or(Ok(()))?;
        Ok(environ)
    }

    /// Answers who it is. None: nobody who is known.
    #[pyo3(signature = (user, *, name="", staff=false, groups=None))]
    fn identify(&self, user: Option<String>, name: &str, staff: bool, groups: Option<Vec<String>>) {
        let identity = user.map_or(Identity::Anonymous, |id| {
            let user = User::new(id).name(name).staff(staff);
            groups.unwrap_or_default().into_iter().fold(user, User::group).into()
        });
        let is_somebody = identity.user().is_some();
        self.answer(Answered::Identity(identity), is_somebody);
    }

    /// Answers whether they may, and what decided it.
    fn decide(&self, allowed: bool, reason: String) {
        let decision = if allowed { Decision::allow(reason) } else { Decision::deny(reason) };
        self.answer(Answered::Decision(decision), allowed);
    }

    /// Says why there is no answer.
    fn fail(&self, reason: String) {
        if let Some(waiting) = self.take() {
            // Whoever asked may have gone.
            let _ = waiting.reply.send(Err(reason));
        }
    }
}

impl Question {
    fn with<T>(&self, look: impl FnOnce(&Waiting) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    fn take(&self) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn answer(&self, answer: Answered, is_favourable: bool) {
        if let Some(waiting) = self.take() {
            self.1.keep(waiting.fingerprint, answer.clone(), is_favourable, waiting.asked);
            let _ = waiting.reply.send(Ok(answer));
        }
    }
}

struct Waiting {
    fingerprint: CacheKey,
    asked: Instant,
    request: Asking,
    path: Option<MediaPath>,
    reply: oneshot::Sender<Result<Answered, String>>,
}

#[derive(Clone)]
enum Answered {
    Identity(Identity),
    Decision(Decision),
}

/// Asks Django. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asker {
    questions: SyncSender<Waiting>,
    answers: Arc<DecisionCache<Answered>>,
    by_path: bool,
}

impl Asker {
    async fn ask(&self, head: &Parts, path: Option<&MediaPath>) -> Result<Answered, String> {
        let (request, asked) = (Asking::of(head), Instant::now());
        let kind: &[u8] = if path.is_some() { b"permission" } else { b"identity" };
        let fingerprint = request.fingerprint(kind, path.is_some() || self.by_path);
        if let Some(answer) = self.answers.get(fingerprint, asked) {
            return Ok(answer);
        }
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { fingerprint, asked, request, path: path.cloned(), reply };
        self.questions
            .try_send(waiting)
            .map_err(|_| format!("{WAITING} questions to Django wait already"))?;
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("Django gave no answer".into()),
            Err(_) => Err(format!("Django did not answer within {ANSWER:?}")),
        }
    }
}

impl Identify for Asker {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(async {
            match self.ask(request, None).await {
                Ok(Answered::Identity(identity)) => Ok(identity),
                Ok(Answered::Decision(_)) => Err(IdentifyError::new("Django answered something else")),
                Err(reason) => Err(IdentifyError::new(reason)),
            }
        })
    }
}

impl Permissions for Asker {
    /// There is always a request.
    fn may_read<'a>(&'a self, _: &'a Identity, _: &'a MediaPath) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(Decision::deny("Django is asked about requests only")))
    }

    fn may_with_request<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        path: &'a MediaPath,
        request: &'a Parts,
    ) -> BoxFuture<'a, Decision> {
        if action != Action::Read {
            return self.may(identity, action, path);
        }
        Box::pin(async move {
            match self.ask(request, Some(path)).await {
                Ok(Answered::Decision(decision)) => decision,
                Ok(Answered::Identity(_)) => Decision::deny("Django answered something else"),
                Err(reason) => Decision::deny(reason),
            }
        })
    }
}

/// What of a request Django is told.
struct Asking {
    method: String,
    path: String,
    query: String,
    address: String,
    /// Names and values as they came.
    fields: Vec<(HeaderName, Vec<u8>)>,
}

impl Asking {
    fn of(head: &Parts) -> Self {
        let fields = head.headers.iter().filter(|(name, _)| !NOT_ASKED.contains(name));
        Self {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            address: head
                .extensions
                .get::<ClientAddr>()
                .map(|client| client.0.to_string())
                .unwrap_or_default(),
            fields: fields.map(|(name, value)| (name.clone(), value.as_bytes().to_owned())).collect(),
        }
    }

    /// Everything that an answer to this kind of question may depend on.
    fn fingerprint(&self, kind: &[u8], with_path: bool) -> CacheKey {
        let target: [&[u8]; 3] = if with_path {
            [self.method.as_bytes(), self.path.as_bytes(), self.query.as_bytes()]
        } else {
            [b"", b"", b""]
        };
        let fields = self.fields.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value]);
        let parts = [kind].into_iter().chain(target).chain([self.address.as_bytes()]);
        CacheKey::of(parts.chain(fields))
    }

    /// PEP 3333: each byte is the character of that number.
    fn fill(&self, environ: &Bound<'_, PyDict>, script: &str) -> PyResult<()> {
        let path = percent_decode_str(self.path.strip_prefix(script).unwrap_or(&self.path));
        environ.set_item("REQUEST_METHOD", &self.method)?;
        environ.set_item("SCRIPT_NAME", "")?;
        environ.set_item("PATH_INFO", latin1(path))?;
        environ.set_item("QUERY_STRING", &self.query)?;
        environ.set_item("REMOTE_ADDR", &self.address)?;
        environ.set_item("SERVER_PROTOCOL", "HTTP/1.1")?;
        for (name, value) in &self.fields {
            // Two names would become one, and `Proxy` a setting of this process (httpoxy).
            if name.as_str().contains('_') || name.as_str() == "proxy" {
                continue;
            }
            let key = match name.as_str() {
                name @ ("content-type" | "content-length") => name.replace('-', "_").to_uppercase(),
                name => format!("HTTP_{}", name.replace('-', "_").to_uppercase()),
            };
            let value = latin1(value.iter().copied());
            let value = match environ.get_item(&key)? {
                Some(before) => {
                    let between = if *name == COOKIE { "; " } else { "," };
                    format!("{}{between}{value}", before.extract::<String>()?)
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

pub(crate) fn seconds(cache: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(cache)
        .map_err(|error| PyValueError::new_err(format!("{cache} seconds: {error}")))
}

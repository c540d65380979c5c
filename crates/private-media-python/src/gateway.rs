//! The gateway inside a Django process: `manage.py serve_private_media`.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use private_media::delivery::MediaResponse;
use private_media::permission::Read;
use private_media::{
    Builder, Identify, LocalStorage, MediaFile, MediaRequest, Permissions, Permit, PrivateMedia,
    Storage as _, StorageError,
};
use private_media_buckets::ObjectStorage;
use private_media_django::{Database, DatabaseUrl, DjangoOptions, DjangoSessions, SecretKeys, SessionEngine};
use private_media_gateway::{Endpoint, Gateway, GatewayBuilder, GatewayError, Shutdown};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::bucket::Bucket;
use crate::cors::Cors;
use crate::delivery::Delivery;
use crate::django_bridge::{RequestQueue, duration};
use crate::permission::Grants;

/// How long a cached file is used before it is re-checked.
const REVALIDATE_AFTER: Duration = Duration::from_secs(1);

/// Reads Django's sessions and users without Django.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Sessions {
    database: DatabaseUrl,
    keys: SecretKeys,
    options: DjangoOptions,
}

#[pymethods]
impl Sessions {
    /// Validates the settings. With `max_age`, sessions are stored in cookies. Identities are cached for `cache` seconds.
    #[new]
    #[pyo3(signature = (database, keys, *, cookie, backends, cache, max_age=None))]
    fn new(
        database: &str,
        keys: Vec<String>,
        cookie: String,
        backends: Vec<String>,
        cache: f64,
        max_age: Option<f64>,
    ) -> PyResult<Self> {
        let engine = match max_age {
            None => SessionEngine::Database,
            Some(age) => SessionEngine::SignedCookies { max_age: duration(age)? },
        };
        let database =
            database.parse::<DatabaseUrl>().map_err(|error| PyValueError::new_err(error.to_string()))?;
        let keys = SecretKeys::new(keys).ok_or_else(|| PyValueError::new_err("SECRET_KEY is empty"))?;
        let options =
            DjangoOptions::new().engine(engine).cookie(cookie).backends(backends).cache_ttl(duration(cache)?);
        Ok(Self { database, keys, options })
    }
}

impl Sessions {
    async fn open(&self) -> Result<DjangoSessions, String> {
        let database = Database::connect(&self.database).await.map_err(|error| error.to_string())?;
        if self.options.engine == SessionEngine::Database {
            database.check_sessions().await.map_err(|error| error.to_string())?;
        }
        Ok(DjangoSessions::new(database, self.keys.clone(), self.options.clone()))
    }
}

/// Serves a root, which may be a bucket, below a URL until Ctrl-C or SIGTERM. Returns whether a second signal forced the shutdown.
///
/// Without sessions, Django authenticates each request; without grants, Django authorizes it. Both go through `queue`. `cache_files`
/// is for files that this process sends itself. `notes` are logged at the start.
#[pyfunction]
#[pyo3(signature = (
    bind, url, root, delivery, queue, *, bucket=None, sessions=None, grants=None, cors=None, cache_files=false, follow_links=false, download=false, debug=false, workers=None, log="info",
    notes=None
))]
#[expect(
    clippy::too_many_arguments,
    clippy::fn_params_excessive_bools,
    reason = "they are keyword arguments in Python"
)]
pub(crate) fn serve(
    py: Python<'_>,
    bind: &str,
    url: &str,
    root: &str,
    delivery: &Delivery,
    queue: &RequestQueue,
    bucket: Option<&Bucket>,
    sessions: Option<&Sessions>,
    grants: Option<&Grants>,
    cors: Option<&Cors>,
    cache_files: bool,
    follow_links: bool,
    download: bool,
    debug: bool,
    workers: Option<usize>,
    log: &str,
    notes: Option<Vec<String>>,
) -> PyResult<bool> {
    let invalid = |name: &str, value: &str, problem: &dyn std::fmt::Display| {
        PyValueError::new_err(format!("{name} {value:?}: {problem}"))
    };
    let gateway =
        Gateway::builder().url(url).map_err(|problem| invalid("PRIVATE_MEDIA_URL", url, &problem))?;
    let gateway = gateway.on_bound(print_address);
    let gateway = workers.into_iter().fold(gateway, GatewayBuilder::workers);
    private_media_gateway::log_to_stderr(log).map_err(|problem| invalid("--log", log, &problem))?;
    notes.into_iter().flatten().for_each(|note| tracing::info!("{note}"));
    let django = queue.take_client().ok_or_else(|| PyValueError::new_err("the queue is already in use"))?;
    let delivery = ForceDownload { delivery: delivery.shared(), download };
    let open =
        async || {
            let identify: Box<dyn Identify> =
                match sessions {
                    None => Box::new(django.clone()),
                    Some(sessions) => Box::new(sessions.open().await.map_err(|problem| {
                        format!("DATABASES['default']: {problem}; or use --ask-django")
                    })?),
                };
            let permissions: Box<dyn Permissions> = match grants {
                None => Box::new(django.clone()),
                Some(grants) => Box::new(grants.shared()),
            };
            let media = match bucket {
                Some(bucket) => PrivateMedia::builder(open_bucket(bucket).await?),
                None => PrivateMedia::builder(open_folder(root, follow_links, cache_files)?),
            };
            let media = media.identify(identify).permissions(permissions);
            let media = cors.map(Cors::options).into_iter().fold(media, Builder::cors);
            Ok(media.delivery(delivery.clone()).debug(debug).build())
        };
    let shutdown = py.detach(|| gateway.run(bind, open)).map_err(|error: GatewayError<String>| match error {
        GatewayError::Address(problem) => invalid("--bind", bind, &problem),
        GatewayError::Open(problem) => PyValueError::new_err(problem),
        GatewayError::Bind(cause) => PyOSError::new_err(format!(
            "--bind {bind:?}: cannot listen on this address: {cause}; use another, or port 0 for a free one"
        )),
        error => PyOSError::new_err(error.to_string()),
    })?;
    Ok(shutdown == Shutdown::Forced)
}

fn open_folder(root: &str, follow_links: bool, cache_files: bool) -> Result<LocalStorage, String> {
    let storage = LocalStorage::open_root(root).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.unwrap_or_else(|| error.to_string());
        format!("PRIVATE_MEDIA_ROOT {root:?}: {cause}; use an existing folder that this user can read")
    })?;
    let storage = storage.follow_links(follow_links);
    Ok(if cache_files { storage.cache(Gateway::default_cache(REVALIDATE_AFTER)) } else { storage })
}

/// Connects to a bucket, and checks that it can be read. If it does not respond, requests get 503 until it does.
async fn open_bucket(bucket: &Bucket) -> Result<ObjectStorage, String> {
    let url = bucket.url();
    let storage = bucket.connect().map_err(|problem| format!("PRIVATE_MEDIA_ROOT {url}: {problem}"))?;
    match storage.ready().await {
        Ok(()) => {}
        Err(error @ StorageError::Unavailable { .. }) => {
            tracing::warn!("{url}: {}; requests get 503 until the bucket responds", cause(&error));
        }
        Err(error) => {
            let fix =
                "create the bucket, and give these credentials permission to list it and to read its objects";
            return Err(format!("PRIVATE_MEDIA_ROOT {url}: {}; {fix}", cause(&error)));
        }
    }
    Ok(storage)
}

fn cause(error: &StorageError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Prints the first line of `manage.py serve_private_media`. A closed standard output is ignored.
fn print_address(endpoint: &Endpoint) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "listening on {endpoint}").and_then(|()| stdout.flush());
}

/// Sends files as attachments if `PRIVATE_MEDIA_FORCE_DOWNLOAD` is set.
#[derive(Debug, Clone)]
struct ForceDownload {
    delivery: Arc<dyn private_media::Delivery>,
    download: bool,
}

impl private_media::Delivery for ForceDownload {
    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> MediaResponse {
        if self.download && !request.download {
            let mut request = request.clone();
            request.download = true;
            return self.delivery.deliver(&request, permit, file, now);
        }
        self.delivery.deliver(request, permit, file, now)
    }
}

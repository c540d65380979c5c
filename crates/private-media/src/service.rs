//! The tower service that responds to requests.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use futures_core::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::builder::{Inner, PrivateMedia};
use crate::delivery::handoff::is_handed_off;
use crate::delivery::response::SerializedHeaders;
use crate::delivery::{MediaBody, MediaResponse};
use crate::error::Refusal;
use crate::identity::Identity;
use crate::permission::{self, Permit, Read};
use crate::request::{MediaPath, MediaRequest, PathError, RequestError};
use crate::steps::{FailedStep, Laps, StepTimes};
use crate::storage::{MediaFile, StorageError};

/// How often a request opens a file again that is replaced at the same time.
const MAX_REOPENED: usize = 3;

impl PrivateMedia {
    /// Returns the tower service. Paths are relative to the mount, as with axum's `nest_service`. Without such a router,
    /// [`MediaService::at`] strips the prefix.
    #[must_use]
    pub fn service(&self) -> MediaService {
        MediaService { media: self.clone(), mount: "".into(), is_measured: false }
    }
}

impl Inner {
    /// Responds to a request in steps. Each step is a module.
    async fn process(
        &self,
        head: &Parts,
        path: &str,
        mut laps: Laps,
        record: &mut AccessRecord,
    ) -> Result<MediaResponse, Refusal> {
        // Parse the request.
        let request = MediaRequest::parse_at(head, path)?;
        record.path = Some(request.path.clone());
        // Authenticate.
        let identity = self.identify(head).await;
        record.steps.identity = laps.lap();
        let identity = identity?;
        record.identity = identity.clone();
        // Look up the attributes of the file.
        let attributes = if self.lookups.is_empty() { None } else { self.look_up(&request.path).await? };
        // Authorize.
        let context = permission::Context::new().with_request(head).with_attributes(attributes.as_ref());
        let path = request.path.clone();
        let permit = Permit::<Read>::authorize_with(&*self.permissions, identity, path, context).await;
        record.steps.permission = laps.lap();
        let permit = permit?;
        record.allowed_by = Some(Arc::clone(permit.decision().shared_reason()));
        // Open the file.
        let is_whole = request.is_for_whole_file() && self.delivery.sends_content();
        let file = self.open(&permit, is_whole).await;
        record.steps.storage = laps.lap();
        let file = file?;
        // Deliver it.
        let response = if file.is_streamed() {
            // Boxed, so that the future of a local file is small.
            Box::pin(self.deliver_streamed(&request, &permit, file)).await?
        } else {
            self.delivery.deliver(&request, &permit, file, SystemTime::now())
        };
        record.handed_off = is_handed_off(&response);
        Ok(response)
    }

    /// Delivers a file from a server after its first bytes have arrived: until then, a failure is a response and no broken download.
    async fn deliver_streamed(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        mut file: MediaFile,
    ) -> Result<MediaResponse, StorageError> {
        let mut reopened = 0;
        loop {
            let mut response = self.delivery.deliver(request, permit, file, SystemTime::now());
            match response.body.prefetch().await {
                Ok(()) => return Ok(response),
                // The file was replaced or deleted after it was opened.
                Err(error)
                    if error.kind() == ErrorKind::StaleNetworkFileHandle && reopened < MAX_REOPENED =>
                {
                    reopened += 1;
                    file = self.open(permit, false).await?;
                }
                Err(source) => return Err(StorageError::Unavailable { doing: "reading the file", source }),
            }
        }
    }
}

/// The decision about a request, for access logs and audits. It is in the extensions of every response.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AccessRecord {
    /// The identity of the client.
    pub identity: Identity,
    /// The path of the file; `None` if the request has no valid one.
    pub path: Option<MediaPath>,
    /// The reason why access was allowed; `None` if it was denied.
    pub allowed_by: Option<Arc<str>>,
    /// The reason why the response does not contain the file; `None` if it does. Not for the client.
    pub refused: Option<Arc<str>>,
    /// Whether the file was denied or is missing, which the response does not distinguish.
    pub not_found: bool,
    /// Whether another server sends the file: a front server, as the response tells it to, or the bucket that the client is redirected to.
    /// How much it sends is not known here.
    pub handed_off: bool,
    /// Whether the file was denied or is missing, and the client is not signed in. A server may send such a client to its sign-in page.
    pub needs_sign_in: bool,
    /// How long the steps took, if the service [measures](MediaService::measured) them.
    pub steps: StepTimes,
    /// The step that failed, if one did.
    pub failed: Option<FailedStep>,
}

/// Serves private media: a [`tower_service::Service`] for axum, hyper and other tower servers, with any type of request body. Returned by
/// [`PrivateMedia::service`].
#[derive(Debug, Clone)]
pub struct MediaService {
    media: PrivateMedia,
    /// The prefix that is stripped from each path. A slash has to follow it.
    mount: Arc<str>,
    is_measured: bool,
}

impl MediaService {
    /// Returns the rest of a path below the prefix, with its slash.
    pub(crate) fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.mount).filter(|path| path.starts_with('/'))
    }

    /// Strips a prefix, such as `/private/`, from the path of each request, for servers without a router. A path without the prefix is
    /// not found. Missing slashes at the ends of the prefix are added.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        self.mount = match url.trim_matches('/') {
            "" => "".into(),
            prefix => format!("/{prefix}").into(),
        };
        self
    }

    /// Measures the steps of each request, for [`AccessRecord::steps`].
    #[must_use]
    pub fn measured(mut self, is_measured: bool) -> Self {
        self.is_measured = is_measured;
        self
    }

    /// Returns the response to a request, and the record of the decision. The tower service puts the record into the extensions of the
    /// response.
    pub async fn respond(&self, head: &Parts) -> (Response<MediaBody>, AccessRecord) {
        let (response, record) = self.respond_raw(head).await;
        let mut response = Response::from(response);
        for (name, value) in self.common_headers(&head.headers).fields() {
            response.headers_mut().insert(name, value.clone());
        }
        (response, record)
    }
}

/// The parts of [`MediaService::respond`], for servers that write response heads themselves.
pub trait RespondRaw {
    /// Like [`MediaService::respond`], without the [common headers](Self::common_headers).
    fn respond_raw(&self, head: &Parts) -> impl Future<Output = (MediaResponse, AccessRecord)> + Send;

    /// Returns the headers that all responses to a request have in common. They replace other headers with the same names. With
    /// [`Builder::cors`](crate::Builder::cors), they depend on the origin of the request.
    ///
    /// ```
    /// use http::HeaderMap;
    /// use private_media::raw::RespondRaw as _;
    /// use private_media::{PrivateMedia, storage::MemoryStorage};
    ///
    /// let service = PrivateMedia::builder(MemoryStorage::new()).build().service();
    /// let common = service.common_headers(&HeaderMap::new());
    /// assert_eq!(common.fields()["cache-control"], "private, no-cache");
    /// assert!(common.fields().contains_key("vary"));
    /// ```
    fn common_headers(&self, request: &HeaderMap) -> &Arc<SerializedHeaders>;
}

impl RespondRaw for MediaService {
    async fn respond_raw(&self, head: &Parts) -> (MediaResponse, AccessRecord) {
        self.respond_since(head, None).await
    }

    fn common_headers(&self, request: &HeaderMap) -> &Arc<SerializedHeaders> {
        self.media.inner().common.of(request)
    }
}

impl MediaService {
    /// Like [`RespondRaw::respond_raw`], for a request that has begun at this time, if it is known.
    pub(crate) async fn respond_since(
        &self,
        head: &Parts,
        begin: Option<Instant>,
    ) -> (MediaResponse, AccessRecord) {
        let laps = Laps::since(if self.is_measured { begin.or_else(|| Some(Instant::now())) } else { None });
        let inner = self.media.inner();
        let mut record = AccessRecord::default();
        let path = self.below(head.uri.path());
        let result = match path {
            Some(path) => inner.process(head, path, laps, &mut record).await,
            None if matches!(head.method, Method::GET | Method::HEAD) => {
                Err(RequestError::Path(PathError::Empty).into())
            }
            None => Err(RequestError::Method.into()),
        };
        let mut response = result.unwrap_or_else(|refusal| {
            let preflight = path.and_then(|_| inner.common.preflight(head));
            if let Some(preflight) = preflight {
                return preflight;
            }
            record.refused = Some(refusal.reason());
            record.not_found = refusal.is_not_found();
            record.failed = refusal.failed_step();
            record.needs_sign_in = record.not_found && record.identity.user().is_none();
            refusal.into_response(inner.debug)
        });
        if head.method == Method::HEAD || response.status == StatusCode::NOT_MODIFIED {
            response.body = MediaBody::empty();
        }
        (response, record)
    }
}

impl<B> Service<Request<B>> for MediaService {
    type Response = Response<MediaBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, _) = request.into_parts();
        let service = self.clone();
        Box::pin(async move {
            let (mut response, record) = service.respond(&head).await;
            response.extensions_mut().insert(record);
            Ok(response)
        })
    }
}

//! Serves private user uploads: each request is authenticated and authorized, and every other client gets a 404.
//!
//! A web application stores what its users upload: photos, payslips, scans. This crate serves these files to the users who may see
//! them. Permission is read from the path, so it needs no database: `cars/7/photo.jpg` belongs to user 7. [`MediaService`] is a
//! [tower](https://docs.rs/tower-service) service, for axum or for any other server that speaks [`http`].
//!
//! ```toml
//! [dependencies]
//! axum = { version = "0.8", features = ["multipart"] } # multipart is for uploads
//! futures-util = "0.3"
//! http = "1"
//! private-media = "0.1"
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
//! ```
//!
//! # A first example
//!
#![cfg_attr(feature = "local", doc = "```no_run")]
#![cfg_attr(not(feature = "local"), doc = "```ignore")]
//! use axum::Router;
//! use axum::extract::Request;
//! use axum::middleware::{Next, from_fn};
//! use axum::response::Response;
//! use private_media::{Grants, Identity, LocalStorage, PrivateMedia, User};
//!
//! /// Your own authentication: here, each client is alice.
//! async fn authenticate(mut request: Request, next: Next) -> Response {
//!     request.extensions_mut().insert(Identity::from(User::new("7").name("alice")));
//!     next.run(request).await
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     std::fs::create_dir_all("private")?; // the root has to exist
//!     let media = PrivateMedia::builder(LocalStorage::open_root("private")?)
//!         .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
//!         .build();
//!     let app: Router = Router::new()
//!         .nest_service("/private", media.service())
//!         .layer(from_fn(authenticate));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! `/private/cars/7/photo.jpg` is the file `private/cars/7/photo.jpg` to alice and to staff, and a 404 to everyone else. Ranges,
//! conditional requests and `HEAD` follow RFC 9110; active content such as HTML is sent as a download.
//!
//! # Structure
//!
//! A request passes these steps. Each step is a module with one trait or type, and each can be replaced.
//!
//! | step | module | type | implementations |
//! |---|---|---|---|
//! | Which file? | [`request`] | [`MediaPath`] | strict parsing of URLs and of the names of uploads |
//! | Which user? | [`identity`] | [`Identify`] | [`FromExtensions`], `Accounts`, a closure, several in a chain |
//! | What is known of it? | [`lookup`] | [`Lookup`](lookup::Lookup) | nothing but the path, a closure, the crate `private-media-sql` |
//! | Is it allowed? | [`permission`] | [`Permissions`] | [`Grants`], a closure |
//! | Where is the file? | [`storage`] | [`Storage`] | `LocalStorage`, [`MemoryStorage`] |
//! | How is it sent? | [`delivery`] | [`Delivery`] | [`Direct`], [`NginxXAccelRedirect`], [`ApacheXSendfile`] |
//!
//! Storage opens a file only for a [`Permit`], and only a decision creates one. If the client cannot be identified, or permissions cannot
//! be decided, access is denied.
//!
//! # Your own authentication
//!
//! By default, [`FromExtensions`] takes the [`Identity`] that your middleware inserted. To look up sessions here, implement [`Identify`].
//! An error means that the client could not be identified, for example because the database is down:
//!
//! ```
//! use futures_util::future::BoxFuture;
//! use http::request::Parts;
//! use private_media::identity::{Rejection, has_cookie, single_cookie};
//! use private_media::{Identify, IdentifyError, Identity, MemoryStorage, PrivateMedia, User};
//!
//! struct Sessions;
//!
//! impl Sessions {
//!     async fn user_id(&self, session: &str) -> Result<Option<String>, std::io::Error> {
//!         // Ask your session store.
//!         Ok((session == "abc").then(|| "7".to_owned()))
//!     }
//! }
//!
//! impl Identify for Sessions {
//!     fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
//!         Box::pin(async {
//!             let Some(session) = single_cookie(&request.headers, "session") else {
//!                 return Ok(Identity::Anonymous);
//!             };
//!             let id = self.user_id(session).await.map_err(IdentifyError::new)?;
//!             Ok(match id {
//!                 Some(id) => User::new(id).into(),
//!                 // The reason is for the log. The client gets the same 404 as any other.
//!                 None => Rejection::new("sessions", "the session does not exist").into(),
//!             })
//!         })
//!     }
//!
//!     fn recognizes(&self, request: &Parts) -> bool {
//!         has_cookie(&request.headers, "session")
//!     }
//! }
//!
//! # futures_util::FutureExt::now_or_never(async {
//! let media = PrivateMedia::builder(MemoryStorage::new()).identify(Sessions).build();
//! let (head, ()) = http::Request::get("/").header("cookie", "session=abc").body(()).unwrap().into_parts();
//! assert_eq!(media.identify(&head).await.unwrap().user().map(User::id), Some("7"));
//! # }).unwrap();
//! ```
//!
//! [`IdentityChain`](identity::IdentityChain) combines several sources: the first one that recognizes the credential of a request
//! decides.
//!
//! # Permissions in code
//!
//! [`Grants`] covers most projects. A closure decides about reading. [`permission::by_action`] takes a closure that decides about every
//! [`Action`].
//!
//! ```
//! use private_media::{Identity, MediaPath, MemoryStorage, PrivateMedia};
//!
//! let own_folder = |identity: &Identity, path: &MediaPath| {
//!     identity.user().is_some_and(|user| path.segments().next() == Some(user.id()))
//! };
//! let media = PrivateMedia::builder(MemoryStorage::new()).permissions(own_folder).build();
//! ```
//!
//! # Storing an upload
//!
//! [`MediaPath::for_upload`] makes a safe path from the name that a browser sent. [`Storage::save`] replaces a file only if
//! [`SaveOptions::replace`] is set, and returns the path that it used.
//!
//! ```
//! use axum::Router;
//! use axum::extract::{Multipart, State};
//! use axum::http::StatusCode;
//! use axum::http::request::Parts;
//! use axum::routing::post;
//! use futures_util::TryStreamExt;
//! use private_media::identity::is_cross_site;
//! use private_media::permission::Write;
//! use private_media::{MediaPath, PrivateMedia, SaveOptions};
//!
//! async fn upload(
//!     State(media): State<PrivateMedia>,
//!     head: Parts,
//!     mut form: Multipart,
//! ) -> Result<String, StatusCode> {
//!     // A cookie alone does not prove that the user wanted the upload.
//!     if is_cross_site(&head) {
//!         return Err(StatusCode::FORBIDDEN);
//!     }
//!     let identity = media.identify(&head).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
//!     let folder = format!("cars/{}", identity.user().ok_or(StatusCode::FORBIDDEN)?.id());
//!     let field = form.next_field().await.map_err(|_| StatusCode::BAD_REQUEST)?;
//!     let field = field.ok_or(StatusCode::BAD_REQUEST)?;
//!     let name = field.file_name().unwrap_or("upload");
//!     let path = MediaPath::for_upload(&folder, name).map_err(|_| StatusCode::BAD_REQUEST)?;
//!     // Grants allow reading only: allow writing in your `Permissions`, or use `Permit::trusted` for the user's own folder.
//!     let permit = media.permit::<Write>(identity, path).await.map_err(|_| StatusCode::FORBIDDEN)?;
//!     let content = Box::pin(field.map_err(std::io::Error::other));
//!     let stored = media.storage().save(&permit, content, &SaveOptions::default()).await;
//!     let stored = stored.map_err(|_| StatusCode::INSUFFICIENT_STORAGE)?;
//!     Ok(format!("/private/{}", stored.to_url()))
//! }
//!
//! fn app(media: PrivateMedia) -> Router {
//!     Router::new().route("/upload", post(upload)).with_state(media)
//! }
//! # let _ = app;
//! ```
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `local` | yes | `LocalStorage`: files of a local folder |
//! | `accounts` | yes | `Accounts`: an accounts file, HTTP Basic and a sign-in page |
//! | `conformance` | no | `storage::conformance`: a test suite for implementations of [`Storage`] |
//! | `listener` | no | [`MediaBody`] for `private-media-listener`, which sends files with sendfile(2), and `MediaService::or` |
//!
//! `LocalStorage` and `Accounts` need a Tokio runtime. The rest of the crate does not.
//!
//! # Related crates
//!
//! - `private-media-django` identifies users by their Django session.
//! - `private-media-gateway` is a program that serves private files next to any web application.
//! - `private-media-listener` is the HTTP listener of that program, for axum and other tower services.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order of a request.
pub mod request;

pub mod identity;

pub mod lookup;

pub mod permission;

pub mod storage;

pub mod delivery;

mod builder;
mod cache_counts;
pub mod cors;
pub mod decision_cache;
mod error;
#[cfg(feature = "listener")]
mod listener;
#[cfg(feature = "accounts")]
pub mod pages;
pub mod raw;
mod service;
mod steps;
mod text;
mod two_generation_cache;

pub use builder::{Builder, PrivateMedia};
pub use cache_counts::CacheCounts;
pub use delivery::{ApacheXSendfile, Delivery, Direct, MediaBody, NginxXAccelRedirect};
#[cfg(feature = "accounts")]
pub use identity::Accounts;
pub use identity::{FromExtensions, Identify, IdentifyError, Identity, User};
#[cfg(feature = "listener")]
pub use listener::{MediaHeaders, MediaOr, MediaOrHeaders};
pub use permission::{Action, Decision, Grants, Permissions, Permit};
pub use request::{MediaPath, MediaRequest, PathError};
pub use service::{AccessRecord, MediaService};
pub use steps::{FailedStep, StepTimes};
#[cfg(feature = "local")]
pub use storage::LocalStorage;
pub use storage::{MediaFile, MemoryStorage, SaveOptions, Storage, StorageError};

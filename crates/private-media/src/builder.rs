//! [`PrivateMedia`], and its builder.

use std::sync::Arc;

use http::request::Parts;

use crate::cors::{CommonHeaders, CorsOptions};
use crate::delivery::{Delivery, Direct};
use crate::identity::{FromExtensions, Identify, IdentifyError, Identity};
use crate::permission::{Action, ActionType, Decision, Denied, Grants, Permissions, Permit};
use crate::request::MediaPath;
use crate::storage::{Content, Entry, MediaFile, SaveOptions, Storage, StorageError};

/// Combines identification, permissions, storage and delivery. Cheap to clone.
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use private_media::{Grants, LocalStorage, PrivateMedia};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let root = tempfile::tempdir()?;
/// # let root = root.path();
/// let media = PrivateMedia::builder(LocalStorage::open_root(root)?)
///     .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
///     .build();
/// let service = media.service(); // for axum: `Router::new().nest_service("/private", service)`
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PrivateMedia(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) identify: Box<dyn Identify>,
    pub(crate) permissions: Box<dyn Permissions>,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) delivery: Box<dyn Delivery>,
    pub(crate) common: CommonHeaders,
    pub(crate) debug: bool,
}

impl PrivateMedia {
    /// Returns a builder for this storage. By default the identity is taken from the extensions of the request ([`FromExtensions`]),
    /// only staff may read ([`Grants::default`]), and this process sends the files ([`Direct`]).
    pub fn builder(storage: impl Storage) -> Builder {
        Builder {
            identify: Box::new(FromExtensions),
            permissions: Box::new(Grants::default()),
            storage: Box::new(storage),
            delivery: Box::new(Direct),
            cors: None,
            debug: false,
        }
    }

    /// Identifies the client of a request. An error means that identification failed, for example because a database is down. It does not
    /// mean that the client is signed out.
    pub async fn identify(&self, head: &Parts) -> Result<Identity, IdentifyError> {
        self.0.identify.identify(head).await
    }

    /// Decides whether an identity may perform an action on a path.
    pub async fn decide(&self, identity: &Identity, action: Action, path: &MediaPath) -> Decision {
        self.0.permissions.may(identity, action, path).await
    }

    /// Returns a permit for an action of an identity, for use with [`PrivateMedia::storage`].
    pub async fn permit<A: ActionType>(
        &self,
        identity: Identity,
        path: MediaPath,
    ) -> Result<Permit<A>, Denied> {
        Permit::authorize(&*self.0.permissions, identity, path).await
    }

    /// Opens a file if the identity may read it. A denial is [`StorageError::NotFound`], here and below.
    pub async fn open(&self, identity: Identity, path: MediaPath) -> Result<MediaFile, StorageError> {
        let permit = self.permit(identity, path).await.map_err(StorageError::not_found)?;
        self.0.storage.open(&permit).await
    }

    /// Stores content if the identity may write to the path; see [`Storage::save`].
    pub async fn save(
        &self,
        identity: Identity,
        path: MediaPath,
        content: Content<'_>,
        options: &SaveOptions,
    ) -> Result<MediaPath, StorageError> {
        let permit = self.permit(identity, path).await.map_err(StorageError::not_found)?;
        self.0.storage.save(&permit, content, options).await
    }

    /// Deletes a file if the identity may do so.
    pub async fn delete(&self, identity: Identity, path: MediaPath) -> Result<(), StorageError> {
        let permit = self.permit(identity, path).await.map_err(StorageError::not_found)?;
        self.0.storage.delete(&permit).await
    }

    /// Lists a folder if the identity may do so; see [`Storage::list`].
    pub async fn list(&self, identity: Identity, folder: MediaPath) -> Result<Vec<Entry>, StorageError> {
        let permit = self.permit(identity, folder).await.map_err(StorageError::not_found)?;
        self.0.storage.list(&permit).await
    }

    /// Returns the storage, for use with a permit of [`PrivateMedia::permit`], or of the application itself ([`Permit::trusted`]).
    #[must_use]
    pub fn storage(&self) -> &dyn Storage {
        &*self.0.storage
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for PrivateMedia {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateMedia")
            .field("storage", &self.0.storage)
            .field("delivery", &self.0.delivery)
            .field("debug", &self.0.debug)
            .finish_non_exhaustive()
    }
}

/// Builds a [`PrivateMedia`]; see [`PrivateMedia::builder`].
#[must_use]
pub struct Builder {
    identify: Box<dyn Identify>,
    permissions: Box<dyn Permissions>,
    storage: Box<dyn Storage>,
    delivery: Box<dyn Delivery>,
    cors: Option<CorsOptions>,
    debug: bool,
}

impl Builder {
    /// Sets how clients are identified.
    pub fn identify(mut self, identify: impl Identify) -> Self {
        self.identify = Box::new(identify);
        self
    }

    /// Sets the permissions.
    pub fn permissions(mut self, permissions: impl Permissions) -> Self {
        self.permissions = Box::new(permissions);
        self
    }

    /// Sets how files are sent.
    pub fn delivery(mut self, delivery: impl Delivery) -> Self {
        self.delivery = Box::new(delivery);
        self
    }

    /// Sets which other origins may use the files. By default, none may.
    pub fn cors(mut self, options: CorsOptions) -> Self {
        self.cors = Some(options);
        self
    }

    /// Sets whether a denied client gets 403 and the reason, instead of 404. For development: it discloses the permissions.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Returns the [`PrivateMedia`].
    #[must_use]
    pub fn build(self) -> PrivateMedia {
        let Self { identify, permissions, storage, delivery, cors, debug } = self;
        let common = CommonHeaders::new(identify.vary(), cors);
        PrivateMedia(Arc::new(Inner { identify, permissions, storage, delivery, common, debug }))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("storage", &self.storage)
            .field("debug", &self.debug)
            .finish_non_exhaustive()
    }
}

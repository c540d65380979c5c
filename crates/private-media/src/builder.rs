//! [`PrivateMedia`], and its builder.

use std::sync::Arc;

use http::request::Parts;

use crate::cors::{CommonHeaders, CorsOptions};
use crate::delivery::{Delivery, Direct};
use crate::error::with_sources;
use crate::identity::{FromExtensions, Identify, IdentifyError, Identity};
use crate::lookup::{Attributes, Lookup, LookupError};
use crate::permission::{Action, ActionType, Context, Decision, Denied, Grants, Permissions, Permit, Read};
use crate::request::MediaPath;
use crate::storage::{Content, Entry, MediaFile, SaveOptions, Storage, StorageError};

/// Combines identification, lookups, permissions, storage and delivery. Cheap to clone.
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
    pub(crate) lookups: Vec<Box<dyn Lookup>>,
    pub(crate) permissions: Box<dyn Permissions>,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) delivery: Box<dyn Delivery>,
    pub(crate) common: CommonHeaders,
    pub(crate) debug: bool,
}

impl Inner {
    pub(crate) async fn identify(&self, head: &Parts) -> Result<Identity, IdentifyError> {
        match self.identify.identify_now(head) {
            Some(identity) => identity,
            None => self.identify.identify(head).await,
        }
    }

    /// Opens a file. `is_whole` tells whether its whole content is read next.
    pub(crate) async fn open(
        &self,
        permit: &Permit<Read>,
        is_whole: bool,
    ) -> Result<MediaFile, StorageError> {
        let file = match self.storage.open_now(permit) {
            Some(file) => file,
            None if is_whole => self.storage.open_whole(permit).await,
            None => self.storage.open(permit).await,
        };
        Ok(file?.presented_by(permit.attributes()))
    }

    /// Returns the attributes of a file; `None` if no lookup covers its path.
    pub(crate) async fn look_up(&self, path: &MediaPath) -> Result<Option<Attributes>, LookupError> {
        match self.lookups.iter().find(|lookup| lookup.covers(path)) {
            Some(lookup) => lookup.look_up(path).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the attributes for an action. Only files that exist have some: a folder has none, nor has a file before it is stored.
    async fn look_up_for(&self, action: Action, path: &MediaPath) -> Result<Option<Attributes>, LookupError> {
        match action {
            Action::Read | Action::Delete | Action::Share => self.look_up(path).await,
            Action::Write | Action::List => Ok(None),
        }
    }
}

impl PrivateMedia {
    /// Returns a builder for this storage. By default the identity is taken from the extensions of the request ([`FromExtensions`]),
    /// only staff may read ([`Grants::default`]), and this process sends the files ([`Direct`]).
    pub fn builder(storage: impl Storage) -> Builder {
        Builder {
            identify: Box::new(FromExtensions),
            lookups: Vec::new(),
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
        self.0.identify(head).await
    }

    /// Returns the attributes of a file; `None` if no lookup covers its path. A failure is not logged.
    pub async fn look_up(&self, path: &MediaPath) -> Result<Option<Attributes>, LookupError> {
        self.0.look_up(path).await
    }

    /// Decides whether an identity may perform an action on a path.
    pub async fn decide(&self, identity: &Identity, action: Action, path: &MediaPath) -> Decision {
        match self.0.look_up_for(action, path).await {
            Ok(attributes) => {
                let context = Context::new().with_attributes(attributes.as_ref());
                match context.decision(action) {
                    Some(decision) => decision,
                    None => self.0.permissions.may_with(identity, action, path, context).await,
                }
            }
            Err(error) => Decision::deny(with_sources(&error)),
        }
    }

    /// Returns a permit for an action of an identity, for use with [`PrivateMedia::storage`].
    pub async fn permit<A: ActionType>(
        &self,
        identity: Identity,
        path: MediaPath,
    ) -> Result<Permit<A>, Denied> {
        match self.0.look_up_for(A::ACTION, &path).await {
            Ok(attributes) => {
                let context = Context::new().with_attributes(attributes.as_ref());
                Permit::authorize_with(&*self.0.permissions, identity, path, context).await
            }
            Err(error) => {
                let decision = Decision::deny(with_sources(&error));
                Err(Denied::new(identity, A::ACTION, path, decision))
            }
        }
    }

    /// Opens a file if the identity may read it. A denial is [`StorageError::NotFound`], here and below.
    pub async fn open(&self, identity: Identity, path: MediaPath) -> Result<MediaFile, StorageError> {
        let permit = self.permit(identity, path).await.map_err(StorageError::not_found)?;
        self.0.open(&permit, false).await
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
    lookups: Vec<Box<dyn Lookup>>,
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

    /// Adds a lookup. The first one that covers a path decides about its attributes.
    pub fn lookup(mut self, lookup: impl Lookup) -> Self {
        self.lookups.push(Box::new(lookup));
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
        let Self { identify, lookups, permissions, storage, delivery, cors, debug } = self;
        let common = CommonHeaders::new(identify.vary(), cors);
        PrivateMedia(Arc::new(Inner { identify, lookups, permissions, storage, delivery, common, debug }))
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

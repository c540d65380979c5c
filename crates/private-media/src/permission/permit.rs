//! The proof of a permission.

use std::fmt;

use super::action::{Action, ActionType};
use super::context::Context;
use super::decision::Decision;
use super::permissions::Permissions;
use crate::identity::Identity;
use crate::lookup::Attributes;
use crate::request::MediaPath;

/// The proof that an identity may perform an action on a path. Each operation of a [`Storage`](crate::Storage) takes the permit of its
/// action.
///
/// [`Permit::authorize`] asks [`Permissions`]. [`Permit::trusted`] is for operations of the application itself. There is no other way to
/// get a permit.
///
/// ```
/// use private_media::permission::{Read, Write};
/// use private_media::{Grants, Identity, MediaPath, Permit, User};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let grants: Grants = "cars/{owner}/{*file}=owner".parse().unwrap();
/// let alice = Identity::from(User::new("7"));
/// let path = MediaPath::new("cars/7/photo.jpg").unwrap();
/// let permit = Permit::<Read>::authorize(&grants, alice.clone(), path.clone()).await.unwrap();
/// assert_eq!(permit.decision().reason(), "owner, by grant cars/{owner}/{*file}");
/// // Grants never allow writing.
/// assert!(Permit::<Write>::authorize(&grants, alice, path).await.is_err());
/// # }).unwrap();
/// ```
///
/// Its fields are private, so it cannot be constructed:
/// ```compile_fail,E0451
/// use private_media::permission::{Decision, Read};
/// use private_media::{Identity, MediaPath, Permit};
///
/// let permit = Permit::<Read> {
///     identity: Identity::Anonymous,
///     target: MediaPath::new("cars/7/photo.jpg").unwrap(),
///     decision: Decision::allow("because I say so"),
///     attributes: None,
/// };
/// ```
/// A path alone opens nothing:
/// ```compile_fail,E0308
/// use private_media::{storage::MemoryStorage, MediaPath, Storage};
///
/// let storage = MemoryStorage::new();
/// let path = MediaPath::new("cars/7/photo.jpg").unwrap();
/// let file = storage.open(&path);
/// ```
/// A permit to read does not delete:
/// ```compile_fail,E0308
/// use private_media::permission::Read;
/// use private_media::{Permit, Storage};
///
/// fn delete(storage: &dyn Storage, permit: &Permit<Read>) {
///     let deleted = storage.delete(permit);
/// }
/// ```
/// Nor does it save:
/// ```compile_fail,E0308
/// use private_media::permission::Read;
/// use private_media::{Permit, SaveOptions, Storage, storage::content};
///
/// fn save(storage: &dyn Storage, permit: &Permit<Read>) {
///     let saved = storage.save(permit, content("new"), &SaveOptions::default());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Permit<A: ActionType> {
    identity: Identity,
    target: A::Target,
    decision: Decision,
    attributes: Option<Attributes>,
}

impl<A: ActionType> Permit<A> {
    /// Returns a permit if the permissions allow the action on a path.
    pub async fn authorize(
        permissions: &dyn Permissions,
        identity: Identity,
        path: MediaPath,
    ) -> Result<Self, Denied> {
        Self::authorize_with(permissions, identity, path, Context::new()).await
    }

    /// Like [`Permit::authorize`], with the request and the attributes of the file ([`Permissions::may_with`]). The attributes may decide
    /// without the permissions: whether everyone may read the file, and when.
    pub async fn authorize_with(
        permissions: &dyn Permissions,
        identity: Identity,
        path: MediaPath,
        context: Context<'_>,
    ) -> Result<Self, Denied> {
        let decision = match context.decision(A::ACTION) {
            Some(decision) => decision,
            None => permissions.may_with(&identity, A::ACTION, &path, context).await,
        };
        if decision.is_allowed() {
            let attributes = context.attributes().cloned();
            Ok(Self { identity, target: path.into(), decision, attributes })
        } else {
            Err(Denied::new(identity, A::ACTION, path, decision))
        }
    }

    /// Returns a permit without asking permissions: for operations of the application itself, or that it has authorized itself.
    ///
    /// Search a code base for `Permit::trusted` to find every operation that permissions do not decide about.
    ///
    /// ```
    /// use private_media::storage::{MemoryStorage, SaveOptions, Storage, content};
    /// use private_media::{MediaPath, Permit};
    ///
    /// # futures_util::FutureExt::now_or_never(async {
    /// let storage = MemoryStorage::new();
    /// let permit = Permit::trusted(MediaPath::new("cars/7/thumbnail.jpg").unwrap());
    /// storage.save(&permit, content("…"), &SaveOptions::default()).await.unwrap();
    /// let root = storage.list(&Permit::trusted(None)).await.unwrap();
    /// assert!(root[0].is_folder);
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn trusted(target: impl Into<A::Target>) -> Self {
        Self {
            identity: Identity::Anonymous,
            target: target.into(),
            decision: Decision::allow("trusted: the application itself"),
            attributes: None,
        }
    }

    /// Returns the identity that was authorized; anonymous in a trusted permit.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the path of the action. For [`List`](super::List) it is a folder, or `None` for the root.
    #[must_use]
    pub fn path(&self) -> &A::Target {
        &self.target
    }

    /// Returns the decision, with its reason.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Returns the attributes of the file; `None` in a trusted permit, and if no lookup covers the path.
    #[must_use]
    pub fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_ref()
    }
}

/// The error of [`Permit::authorize`]: the permissions deny the action.
#[derive(Debug, Clone)]
pub struct Denied {
    identity: Identity,
    action: Action,
    path: MediaPath,
    decision: Decision,
}

impl Denied {
    pub(crate) fn new(identity: Identity, action: Action, path: MediaPath, decision: Decision) -> Self {
        Self { identity, action, path, decision }
    }

    /// Returns the identity that was denied.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the action that was denied.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &MediaPath {
        &self.path
    }

    /// Returns the decision, with its reason for the log.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decision.fmt(f)
    }
}

impl std::error::Error for Denied {}

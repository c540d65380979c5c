//! The proof that somebody may read something.

use http::request::Parts;

use super::{Decision, Permissions};
use crate::identity::Identity;
use crate::request::MediaPath;

/// The proof that an identity may read a path. The only way to get it is to ask the permissions, and no file is opened
/// without it: [`Storage::open`](crate::Storage::open) takes a permit and nothing else.
///
/// ```
/// use private_media::{Grants, Identity, MediaPath, Permit, User};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let grants: Grants = "cars/{owner}/{*file}=owner".parse().unwrap();
/// let alice = Identity::from(User::new("7"));
/// let path = MediaPath::new("cars/7/photo.jpg").unwrap();
/// let permit = Permit::authorize(&grants, alice, path).await.unwrap();
/// assert_eq!(permit.decision().reason(), "owner, by grant cars/{owner}/{*file}");
/// # }).unwrap();
/// ```
///
/// It cannot be made in any other way, not even by those who would rather not ask:
/// ```compile_fail,E0451
/// use private_media::{permission::Decision, Identity, MediaPath, Permit};
///
/// let permit = Permit {
///     identity: Identity::Anonymous,
///     path: MediaPath::new("cars/7/photo.jpg").unwrap(),
///     decision: Decision::allow("because I say so"),
/// };
/// ```
/// And a path alone opens nothing:
/// ```compile_fail,E0308
/// use private_media::{storage::MemoryStorage, MediaPath, Storage};
///
/// let storage = MemoryStorage::new();
/// let path = MediaPath::new("cars/7/photo.jpg").unwrap();
/// let file = storage.open(&path);
/// ```
#[derive(Debug, Clone)]
pub struct Permit {
    identity: Identity,
    path: MediaPath,
    decision: Decision,
}

impl Permit {
    /// Asks the permissions whether this identity may read this path.
    pub async fn authorize(
        permissions: &dyn Permissions,
        identity: Identity,
        path: MediaPath,
    ) -> Result<Self, Denied> {
        let decision = permissions.may_read(&identity, &path).await;
        Self::by(decision, identity, path)
    }

    /// Asks the permissions whether this identity may read this path with this request.
    pub async fn authorize_request(
        permissions: &dyn Permissions,
        identity: Identity,
        path: MediaPath,
        request: &Parts,
    ) -> Result<Self, Denied> {
        let decision = permissions.may_read_request(&identity, &path, request).await;
        Self::by(decision, identity, path)
    }

    fn by(decision: Decision, identity: Identity, path: MediaPath) -> Result<Self, Denied> {
        if decision.is_allowed() {
            Ok(Self { identity, path, decision })
        } else {
            Err(Denied { identity, path, decision })
        }
    }

    /// Who may.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What they may read.
    #[must_use]
    pub fn path(&self) -> &MediaPath {
        &self.path
    }

    /// Why they may.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

/// The other answer to [`Permit::authorize`].
#[derive(Debug, Clone)]
pub struct Denied {
    identity: Identity,
    path: MediaPath,
    decision: Decision,
}

impl Denied {
    /// Who may not.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What they may not read.
    #[must_use]
    pub fn path(&self) -> &MediaPath {
        &self.path
    }

    /// Why not: for the log, or for whoever develops the application.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.decision.fmt(f)
    }
}

impl std::error::Error for Denied {}

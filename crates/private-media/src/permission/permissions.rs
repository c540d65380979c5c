//! The trait that decides about access.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::action::Action;
use super::context::Context;
use super::decision::Decision;
use crate::identity::Identity;
use crate::request::MediaPath;

/// Decides which identities may perform which actions on which paths. If that is not possible, the decision is a denial.
///
/// [`may_read`](Self::may_read) decides about reading. Every other [`Action`] is denied unless [`may`](Self::may) is implemented, too.
///
/// [`Grants`](super::Grants) covers most projects. A closure of an identity and a path decides about reading:
/// ```
/// use private_media::{Identity, MediaPath};
///
/// let own_folder = |identity: &Identity, path: &MediaPath| {
///     identity.user().is_some_and(|user| path.segments().next() == Some(user.id()))
/// };
/// # fn check(_: impl private_media::Permissions) {}
/// # check(own_folder);
/// ```
/// [`by_action`] takes a closure that decides about every action.
pub trait Permissions: Send + Sync + 'static {
    /// Decides whether an identity may read a path.
    fn may_read<'a>(&'a self, identity: &'a Identity, path: &'a MediaPath) -> BoxFuture<'a, Decision>;

    /// Decides whether an identity may perform an action on a path. The default implementation denies every action except
    /// [`Action::Read`].
    fn may<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        path: &'a MediaPath,
    ) -> BoxFuture<'a, Decision> {
        match action {
            Action::Read => self.may_read(identity, path),
            other => {
                Box::pin(async move { Decision::deny(format!("permission to {other} is never granted")) })
            }
        }
    }

    /// Like [`may`](Self::may), for permissions that also depend on the head of the request or on the attributes of the file. All
    /// decisions are made by this method. The default implementation calls [`may`](Self::may).
    fn may_with<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        path: &'a MediaPath,
        _context: Context<'a>,
    ) -> BoxFuture<'a, Decision> {
        self.may(identity, action, path)
    }
}

impl<F> Permissions for F
where
    F: Fn(&Identity, &MediaPath) -> bool + Send + Sync + 'static,
{
    fn may_read<'a>(&'a self, identity: &'a Identity, path: &'a MediaPath) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(by_closure(self(identity, path), identity)))
    }
}

macro_rules! delegate {
    () => {
        fn may_read<'a>(&'a self, identity: &'a Identity, path: &'a MediaPath) -> BoxFuture<'a, Decision> {
            (**self).may_read(identity, path)
        }

        fn may<'a>(
            &'a self,
            identity: &'a Identity,
            action: Action,
            path: &'a MediaPath,
        ) -> BoxFuture<'a, Decision> {
            (**self).may(identity, action, path)
        }

        fn may_with<'a>(
            &'a self,
            identity: &'a Identity,
            action: Action,
            path: &'a MediaPath,
            context: Context<'a>,
        ) -> BoxFuture<'a, Decision> {
            (**self).may_with(identity, action, path, context)
        }
    };
}

impl<P: Permissions + ?Sized> Permissions for Arc<P> {
    delegate!();
}

impl Permissions for Box<dyn Permissions> {
    delegate!();
}

/// Returns permissions by a closure that decides about every [`Action`].
///
/// ```
/// use private_media::permission::{Action, by_action};
/// use private_media::{Grants, MemoryStorage, PrivateMedia};
///
/// let grants: Grants = "cars/{owner}/{*file}=owner,staff".parse()?;
/// let media = PrivateMedia::builder(MemoryStorage::new())
///     .permissions(by_action(move |identity, action, path| match action {
///         Action::Read => grants.decide(identity, path).is_allowed(),
///         Action::Write | Action::Delete => identity.user().is_some_and(|user| user.is_staff()),
///         _ => false,
///     }))
///     .build();
/// # Ok::<(), private_media::permission::GrantError>(())
/// ```
pub fn by_action<F>(decide: F) -> ByAction<F>
where
    F: Fn(&Identity, Action, &MediaPath) -> bool + Send + Sync + 'static,
{
    ByAction(decide)
}

/// The permissions that [`by_action`] returns.
#[derive(Clone, Copy)]
pub struct ByAction<F>(F);

impl<F> Permissions for ByAction<F>
where
    F: Fn(&Identity, Action, &MediaPath) -> bool + Send + Sync + 'static,
{
    fn may_read<'a>(&'a self, identity: &'a Identity, path: &'a MediaPath) -> BoxFuture<'a, Decision> {
        self.may(identity, Action::Read, path)
    }

    fn may<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        path: &'a MediaPath,
    ) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(by_closure((self.0)(identity, action, path), identity)))
    }
}

impl<F> std::fmt::Debug for ByAction<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByAction").finish_non_exhaustive()
    }
}

fn by_closure(is_allowed: bool, identity: &Identity) -> Decision {
    if is_allowed {
        Decision::allow("the application allows it")
    } else {
        Decision::deny(format!("the application denies {identity}"))
    }
}

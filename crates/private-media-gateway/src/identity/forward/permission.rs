//! The application's yes to a path, as a permission.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use http::request::Parts;
use private_media::permission::{Context, Decision};
use private_media::{Action, Grants, Identity, MediaPath, Permissions};

/// The reason of a decision by the application.
const REASON: &str = "the application, by grant forward";
/// The reason of a denial without a request, as `private-media check` prints it.
const NOT_ASKED: &str = "the application was not asked, because it decides about a credential; \
                         replace USER by the credential, e.g. --cookie 'session=…', --token TOKEN or --basic NAME";

/// The path that the application has allowed the client of one request to read. The site inserts it into the request extensions, and
/// the source fills it in.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllowedPath(Arc<OnceLock<MediaPath>>);

impl AllowedPath {
    pub(super) fn of(request: &Parts) -> Option<&Self> {
        request.extensions.get()
    }

    pub(super) fn set(&self, path: MediaPath) {
        // A request is identified once.
        let _ = self.0.set(path);
    }

    fn is(&self, path: &MediaPath) -> bool {
        self.0.get() == Some(path)
    }
}

/// Permissions to read what grants allow, and what the application allows.
#[derive(Debug)]
pub(crate) struct ForwardPermissions {
    grants: Grants,
}

impl ForwardPermissions {
    pub(crate) fn new(grants: Grants) -> Self {
        Self { grants }
    }
}

impl Permissions for ForwardPermissions {
    fn may_read<'a>(&'a self, identity: &'a Identity, path: &'a MediaPath) -> BoxFuture<'a, Decision> {
        self.may_with(identity, Action::Read, path, Context::new())
    }

    fn may_with<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        path: &'a MediaPath,
        context: Context<'a>,
    ) -> BoxFuture<'a, Decision> {
        Box::pin(async move {
            let decision = self.grants.may_with(identity, action, path, context).await;
            if decision.is_allowed() || action != Action::Read {
                return decision;
            }
            match context.request() {
                Some(request) if AllowedPath::of(request).is_some_and(|allowed| allowed.is(path)) => {
                    Decision::allow(REASON)
                }
                Some(_) => match identity.rejection() {
                    Some(rejection) if !decision.reason().contains(rejection.reason()) => {
                        Decision::deny(format!("{}; {rejection}", decision.reason()))
                    }
                    _ => decision,
                },
                None => {
                    let reason = decision.reason();
                    Decision::deny(format!("{reason}; {NOT_ASKED}"))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http::Request;

    use super::*;

    fn decide(allowed: Option<&str>, action: Action, path: &str) -> Decision {
        let (mut head, ()) = Request::new(()).into_parts();
        let slot = AllowedPath::default();
        if let Some(allowed) = allowed {
            slot.set(MediaPath::new(allowed).unwrap());
        }
        head.extensions.insert(slot);
        let permissions = ForwardPermissions::new("shared/{*file}=everyone".parse().unwrap());
        let path = MediaPath::new(path).unwrap();
        let context = Context::new().with_request(&head);
        permissions.may_with(&Identity::Anonymous, action, &path, context).now_or_never().unwrap()
    }

    #[test]
    fn only_the_path_that_was_asked_about_is_allowed() {
        for (allowed, path, expected) in [
            (Some("cars/7/a"), "cars/7/a", true),
            (Some("cars/7/a"), "cars/7/b", false),
            (Some("cars/7/a"), "shared/a", true),
            (None, "cars/7/a", false),
            (None, "shared/a", true),
        ] {
            let decision = decide(allowed, Action::Read, path);
            assert_eq!(decision.is_allowed(), expected, "{path}: {decision}");
            let others = [Action::Write, Action::Delete, Action::List, Action::Share];
            assert!(others.iter().all(|action| !decide(allowed, *action, path).is_allowed()), "{path}");
        }
    }

    #[test]
    fn without_a_request_only_grants_allow() {
        let permissions = ForwardPermissions::new("shared/{*file}=everyone".parse().unwrap());
        for (path, expected) in [("cars/7/a", false), ("shared/a", true)] {
            let path = MediaPath::new(path).unwrap();
            let decision = permissions.may_read(&Identity::Anonymous, &path).now_or_never().unwrap();
            assert_eq!(decision.is_allowed(), expected);
            assert_eq!(decision.reason().contains("was not asked"), !expected, "{decision}");
        }
    }
}

//! Several identity sources in order.

use std::fmt;
use std::future::ready;

use futures_core::future::BoxFuture;
use http::header::HeaderName;
use http::request::Parts;

use super::{Identify, IdentifyError, Identity};

/// Identity sources in order: the first source that recognizes the credential of a request decides.
///
/// A user, a [rejected](Identity::Rejected) credential and an error end the search, so an invalid credential is never tried on the
/// next source. A source that returns [`Identity::Anonymous`] found no credential, and the next one is asked.
///
/// ```
/// use http::request::Parts;
/// use private_media::identity::IdentityChain;
/// use private_media::{Identify, Identity, User};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let by_header = |name: &'static str| {
///     move |request: &Parts| match request.headers.get(name).and_then(|id| id.to_str().ok()) {
///         Some(id) => Identity::from(User::new(id)),
///         None => Identity::Anonymous,
///     }
/// };
/// let chain = IdentityChain::new(vec![Box::new(by_header("x-first")), Box::new(by_header("x-second"))]);
/// let (head, ()) = http::Request::get("/").header("x-second", "7").body(()).unwrap().into_parts();
/// assert_eq!(chain.identify(&head).await.unwrap().user().map(User::id), Some("7"));
/// # }).unwrap();
/// ```
pub struct IdentityChain(Vec<Box<dyn Identify>>);

impl IdentityChain {
    /// Creates a chain of these sources. Without any, all clients are anonymous.
    #[must_use]
    pub fn new(sources: Vec<Box<dyn Identify>>) -> Self {
        Self(sources)
    }
}

impl Identify for IdentityChain {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        let mut sources = self.0.iter().filter(|source| source.recognizes(request));
        match (sources.next(), sources.next()) {
            (None, _) => Box::pin(ready(Ok(Identity::Anonymous))),
            // Most requests have one credential, which costs no second future.
            (Some(only), None) => only.identify(request),
            (Some(first), Some(second)) => Box::pin(async move {
                for source in [first, second].into_iter().chain(sources) {
                    match source.identify(request).await? {
                        Identity::Anonymous => {}
                        decided => return Ok(decided),
                    }
                }
                Ok(Identity::Anonymous)
            }),
        }
    }

    fn identify_now(&self, request: &Parts) -> Option<Result<Identity, IdentifyError>> {
        let mut sources = self.0.iter().filter(|source| source.recognizes(request));
        match (sources.next(), sources.next()) {
            (None, _) => Some(Ok(Identity::Anonymous)),
            (Some(only), None) => only.identify_now(request),
            (Some(_), Some(_)) => None,
        }
    }

    fn recognizes(&self, request: &Parts) -> bool {
        self.0.iter().any(|source| source.recognizes(request))
    }

    /// Returns the headers of all sources; none if a source depends on other things than headers.
    fn vary(&self) -> Vec<HeaderName> {
        let mut names = Vec::new();
        for source in &self.0 {
            let own = source.vary();
            if own.is_empty() {
                return own;
            }
            for name in own {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}

impl fmt::Debug for IdentityChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityChain").field("sources", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use http::Request;
    use http::header::{AUTHORIZATION, COOKIE};

    use super::*;
    use crate::identity::{Rejection, User};

    /// The outcome of a source for a credential that it recognizes.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Outcome {
        User,
        Anonymous,
        Rejected,
        Error,
    }
    use Outcome::{Anonymous, Error, Rejected, User as Known};

    /// A source that recognizes the cookie with its name, and records that it was asked.
    struct Source {
        name: &'static str,
        outcome: Outcome,
        asked: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Identify for Source {
        fn identify<'a>(&'a self, _: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
            self.asked.lock().unwrap().push(self.name);
            Box::pin(ready(match self.outcome {
                Known => Ok(User::new(self.name).into()),
                Anonymous => Ok(Identity::Anonymous),
                Rejected => Ok(Rejection::new(self.name, "expired").into()),
                Error => Err(IdentifyError::new(self.name)),
            }))
        }

        fn recognizes(&self, request: &Parts) -> bool {
            request.headers.get(COOKIE).is_some_and(|cookie| cookie.to_str().unwrap().contains(self.name))
        }
    }

    fn head(cookie: &str) -> Parts {
        Request::get("/").header(COOKIE, cookie).body(()).unwrap().into_parts().0
    }

    /// Returns how a chain identifies a request, and the sources that it asked.
    fn identify(sources: &[(&'static str, Outcome)], cookie: &str) -> (String, Vec<&'static str>) {
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let source = |(name, outcome): &(&'static str, Outcome)| -> Box<dyn Identify> {
            Box::new(Source { name, outcome: *outcome, asked: Arc::clone(&asked) })
        };
        let chain = IdentityChain::new(sources.iter().map(source).collect());
        let head = head(cookie);
        let any = sources.iter().any(|(name, _)| cookie.contains(name));
        assert_eq!(chain.recognizes(&head), any, "{sources:?} {cookie}");
        let text = match chain.identify(&head).now_or_never().unwrap() {
            Ok(Identity::User(user)) => user.id().to_owned(),
            Ok(Identity::Anonymous) => "-".to_owned(),
            Ok(Identity::Rejected(rejection)) => format!("no, {rejection}"),
            Err(error) => format!("error, {}", std::error::Error::source(&error).unwrap()),
        };
        let asked = asked.lock().unwrap().clone();
        (text, asked)
    }

    #[test]
    fn the_first_source_that_recognizes_the_credential_decides() {
        for (sources, cookie, expected, asked) in [
            (&[][..], "a", "-", &[][..]),
            (&[("a", Known)], "", "-", &[]),
            (&[("a", Known)], "a", "a", &["a"]),
            (&[("a", Known), ("b", Known)], "a", "a", &["a"]),
            (&[("a", Known), ("b", Known)], "b", "b", &["b"]),
            (&[("a", Known), ("b", Known)], "b a", "a", &["a"]),
            (&[("b", Known), ("a", Known)], "a b", "b", &["b"]),
            // A recognized credential that is invalid ends the search.
            (&[("a", Rejected), ("b", Known)], "a b", "no, a: expired", &["a"]),
            (&[("a", Rejected), ("b", Known)], "a", "no, a: expired", &["a"]),
            (&[("a", Rejected), ("b", Known)], "b", "b", &["b"]),
            (&[("a", Known), ("b", Rejected)], "a b", "a", &["a"]),
            // So does an error.
            (&[("a", Error), ("b", Known)], "a b", "error, a", &["a"]),
            (&[("a", Error), ("b", Known)], "b", "b", &["b"]),
            (&[("a", Known), ("b", Error)], "a b", "a", &["a"]),
            // A source that finds no credential leaves the decision to the next.
            (&[("a", Anonymous), ("b", Known)], "a b", "b", &["a", "b"]),
            (&[("a", Anonymous), ("b", Known)], "a", "-", &["a"]),
            (&[("a", Anonymous), ("b", Rejected), ("c", Known)], "a b c", "no, b: expired", &["a", "b"]),
            (&[("a", Anonymous), ("b", Anonymous), ("c", Error)], "a b c", "error, c", &["a", "b", "c"]),
            (&[("a", Anonymous), ("b", Anonymous), ("c", Known)], "a c", "c", &["a", "c"]),
            (&[("a", Anonymous), ("b", Anonymous)], "a b", "-", &["a", "b"]),
        ] {
            let (text, order) = identify(sources, cookie);
            assert_eq!((text.as_str(), order.as_slice()), (expected, asked), "{sources:?} {cookie:?}");
        }
    }

    #[test]
    fn one_recognized_credential_is_identified_without_a_future() {
        let known = |_: &Parts| Identity::from(User::new("7"));
        let waits = || Box::new(Source { name: "a", outcome: Known, asked: Arc::default() });
        for (sources, cookie, expected) in [
            (vec![], "a", Some("-")),
            (vec![Box::new(known) as Box<dyn Identify>], "", Some("7")),
            (vec![Box::new(known), waits()], "", Some("7")),
            (vec![Box::new(known), waits()], "a", None),
            (vec![waits()], "a", None),
        ] {
            let identity = IdentityChain::new(sources).identify_now(&head(cookie));
            let identity = identity.map(Result::unwrap);
            assert_eq!(identity.as_ref().map(|identity| identity.user().map_or("-", User::id)), expected);
        }
    }

    #[test]
    fn a_chain_varies_by_the_headers_of_all_sources() {
        struct Varies(Vec<HeaderName>);

        impl Identify for Varies {
            fn identify<'a>(&'a self, _: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
                Box::pin(ready(Ok(Identity::Anonymous)))
            }

            fn vary(&self) -> Vec<HeaderName> {
                self.0.clone()
            }
        }

        let user = HeaderName::from_static("x-user");
        for (sources, expected) in [
            (vec![vec![COOKIE]], vec![COOKIE]),
            (vec![vec![COOKIE, AUTHORIZATION], vec![COOKIE]], vec![COOKIE, AUTHORIZATION]),
            (
                vec![vec![COOKIE], vec![AUTHORIZATION, user.clone()], vec![user.clone()]],
                vec![COOKIE, AUTHORIZATION, user],
            ),
            // A source without headers depends on something else, so the whole chain does.
            (vec![vec![COOKIE], vec![]], vec![]),
            (vec![vec![], vec![COOKIE]], vec![]),
            (vec![], vec![]),
        ] {
            let boxed = sources.iter().map(|own| Box::new(Varies(own.clone())) as Box<dyn Identify>);
            assert_eq!(IdentityChain::new(boxed.collect()).vary(), expected, "{sources:?}");
        }
    }
}

//! The readiness of the gateway, by component.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{ALLOW, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::body::{Body, text_response};

/// The problems of a running gateway. While there is one, `-/health` returns 503. Cheap to clone; clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_failing: AtomicBool,
    problems: Mutex<BTreeMap<&'static str, String>>,
    has_warnings: AtomicBool,
    warnings: Mutex<BTreeMap<&'static str, String>>,
    /// The health of what several sites share.
    shared: Option<Health>,
}

impl Health {
    /// Returns the health of a site that depends on what this is the health of, such as the state store.
    pub(crate) fn of_site(&self) -> Self {
        Self(Arc::new(Inner { shared: Some(self.clone()), ..Inner::default() }))
    }

    /// Sets the state of a component, such as `root` or `state`. Changes are logged: a problem at `error`, a recovery at `info`.
    pub(crate) fn set(&self, component: &'static str, state: Result<(), &dyn fmt::Display>) {
        let mut problems = self.0.problems.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            Ok(()) => {
                if problems.remove(component).is_some() {
                    tracing::info!(component, "recovered");
                }
            }
            Err(problem) => {
                let problem = problem.to_string();
                if problems.get(component) != Some(&problem) {
                    tracing::error!(component, problem, "not ready");
                    problems.insert(component, problem);
                }
            }
        }
        self.0.is_failing.store(!problems.is_empty(), Ordering::Release);
    }

    /// Sets or clears the warning of a component. The gateway is ready nevertheless. Changes are logged.
    pub(crate) fn warn(&self, component: &'static str, warning: Option<String>) {
        let mut warnings = self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        match warning {
            None => {
                if warnings.remove(component).is_some() {
                    tracing::info!(component, "recovered");
                }
            }
            Some(warning) => {
                if warnings.get(component) != Some(&warning) {
                    tracing::error!(component, "{warning}");
                    warnings.insert(component, warning);
                }
            }
        }
        self.0.has_warnings.store(!warnings.is_empty(), Ordering::Release);
    }

    /// Returns whether no component has a problem.
    pub(crate) fn is_ready(&self) -> bool {
        !self.0.is_failing.load(Ordering::Acquire) && self.0.shared.as_ref().is_none_or(Self::is_ready)
    }

    fn has_warnings(&self) -> bool {
        self.0.has_warnings.load(Ordering::Acquire) || self.0.shared.as_ref().is_some_and(Self::has_warnings)
    }

    /// Serves `-/health`. Problems and warnings are in the log; the client gets only the status, and that there are warnings.
    pub(crate) fn respond(&self, method: &Method) -> Response<Body> {
        match *method {
            Method::GET | Method::HEAD if self.is_ready() => text_response(
                StatusCode::OK,
                if self.has_warnings() { "ok, with warnings\n" } else { "ok\n" },
            ),
            Method::GET | Method::HEAD => text_response(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => {
                let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_components_must_be_ready() {
        let health = Health::default();
        assert!(health.is_ready());
        health.set("root", Err(&"gone"));
        health.clone().set("state", Err(&"disk full"));
        assert!(!health.is_ready());
        health.set("root", Ok(()));
        assert!(!health.is_ready());
        health.set("state", Ok(()));
        assert!(health.is_ready());
    }

    #[test]
    fn a_warning_is_shown_while_the_gateway_is_ready() {
        use http_body::Body as _;

        let shared = Health::default();
        let health = shared.of_site();
        let state = || {
            let response = health.respond(&Method::GET);
            (response.status().as_u16(), response.body().size_hint().exact().unwrap())
        };
        assert_eq!(state(), (200, 3));
        shared.warn("certificate", Some("expired".into()));
        assert_eq!(state(), (200, 18));
        health.set("root", Err(&"gone"));
        assert_eq!(state().0, 503);
        health.set("root", Ok(()));
        shared.warn("certificate", None);
        assert_eq!(state(), (200, 3));
    }

    #[test]
    fn sites_share_the_state_and_nothing_else() {
        let shared = Health::default();
        let (old, new) = (shared.of_site(), shared.of_site());
        old.set("root", Err(&"gone"));
        assert!(!old.is_ready() && new.is_ready());
        shared.set("state", Err(&"disk full"));
        assert!(!new.is_ready());
        shared.set("state", Ok(()));
        assert!(new.is_ready() && !old.is_ready());
    }
}

//! Whether the gateway can do its work, by component.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The problems of a running gateway. While there is any, `-/health` answers 503. Cheap to clone; clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_failing: AtomicBool,
    problems: Mutex<BTreeMap<&'static str, String>>,
}

impl Health {
    /// Records the state of a component, such as `root` or `state`. A change is logged: a problem at `error`, its end at `info`.
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

    /// Returns whether no component has a problem.
    pub(crate) fn is_ready(&self) -> bool {
        !self.0.is_failing.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_has_to_recover() {
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
}

//! What a decision may depend on besides the identity, the action and the path.

use std::time::SystemTime;

use http::request::Parts;

use super::action::Action;
use super::decision::Decision;
use crate::lookup::Attributes;

/// The circumstances of a decision: the head of the request, and the attributes that a [`Lookup`](crate::lookup::Lookup) found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    request: Option<&'a Parts>,
    attributes: Option<&'a Attributes>,
}

impl<'a> Context<'a> {
    /// Returns a context without a request and without attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the head of the request.
    #[must_use]
    pub fn with_request(mut self, request: &'a Parts) -> Self {
        self.request = Some(request);
        self
    }

    /// Sets the attributes of the file; `None` if no lookup covers its path.
    #[must_use]
    pub fn with_attributes(mut self, attributes: impl Into<Option<&'a Attributes>>) -> Self {
        self.attributes = attributes.into();
        self
    }

    /// Returns the head of the request; `None` if the decision is not about a request.
    #[must_use]
    pub fn request(&self) -> Option<&'a Parts> {
        self.request
    }

    /// Returns the attributes of the file; `None` if no lookup covers its path.
    #[must_use]
    pub fn attributes(&self) -> Option<&'a Attributes> {
        self.attributes
    }

    /// Returns the decision that the attributes make for every identity: permissions are not asked then.
    pub(crate) fn decision(&self, action: Action) -> Option<Decision> {
        match (action, self.attributes) {
            (Action::Read, Some(attributes)) => by_attributes(attributes, SystemTime::now()),
            _ => None,
        }
    }
}

/// Returns the decision of attributes at a time, if they make one.
fn by_attributes(attributes: &Attributes, now: SystemTime) -> Option<Decision> {
    if attributes.valid_from().is_some_and(|time| now < time) {
        return Some(Decision::deny("not yet available, by not_before of its lookup"));
    }
    if attributes.valid_until().is_some_and(|time| time <= now) {
        return Some(Decision::deny("no longer available, by not_after of its lookup"));
    }
    attributes.is_public().then(|| Decision::allow("public, by its lookup"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn attributes_that_decide_for_everyone() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds: i64| {
            let distance = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 { now - distance } else { now + distance }
        };
        let none = Attributes::new();
        for (attributes, allowed) in [
            (none.clone(), None),
            (none.clone().owner("7"), None),
            (none.clone().public(false), None),
            (none.clone().public(true), Some(true)),
            (none.clone().not_before(at(-1)), None),
            (none.clone().not_before(at(0)), None),
            (none.clone().not_before(at(1)), Some(false)),
            (none.clone().not_after(at(1)), None),
            (none.clone().not_after(at(0)), Some(false)),
            (none.clone().not_after(at(-1)), Some(false)),
            (none.clone().public(true).not_before(at(1)), Some(false)),
            (none.clone().public(true).not_after(at(-1)), Some(false)),
            (none.clone().public(true).not_before(at(-1)).not_after(at(1)), Some(true)),
        ] {
            let decision = by_attributes(&attributes, now);
            assert_eq!(decision.map(|decision| decision.is_allowed()), allowed, "{attributes:?}");
        }
    }
}
